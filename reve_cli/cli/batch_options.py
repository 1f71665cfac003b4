"""The options of `batch` alone. May import: cli.checks."""

from typing import Annotated

import typer

from reve_cli.cli import checks

_FILE, _RUN, _SPEED = "File", "Run", "Speed and limits"

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="One prompt per line, or .csv, .tsv, .jsonl, .json, .xlsx, .ods with a column prompt; - reads stdin.",
        callback=checks.prompts_file,
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Output folder, or a template such as 'pics/{slug}-{job}.{ext}'.",
        rich_help_panel="Output",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Read FILE as text, csv, tsv, jsonl, json, xlsx or ods (default: from its extension).",
        rich_help_panel=_FILE,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="Encoding of FILE, such as cp1252 (default: UTF-8).", rich_help_panel=_FILE
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=NAME",
        help="Read the column NAME as FIELD, such as prompt=Text. Repeatable.",
        rich_help_panel=_FILE,
    ),
]
Strip = Annotated[
    bool,
    typer.Option(
        "--strip", help="Remove bullets, numbers and quotation marks around text lines.", rich_help_panel=_FILE
    ),
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE.csv",
        help="Write the table again, with status, file, jobId, credits and error of each row.",
        rich_help_panel="Output",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", metavar="LIST", help="Seeds for every line, such as 1-8 or 1,5.", rich_help_panel=_FILE),
]
Ratios = Annotated[
    str | None,
    typer.Option(
        "--ratios", metavar="LIST", help="Aspect ratios for every line, such as 1:1,16:9.", rich_help_panel=_FILE
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(
        "--seed", metavar="N", help="Seed for lines without one.", callback=checks.seed, rich_help_panel="Image"
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the requests of missing images as JSON without sending them.", rich_help_panel="Money"
    ),
]
Gallery = Annotated[
    bool,
    typer.Option(
        "--gallery",
        help="Show the images on the page gallery.html in the output folder.",
        rich_help_panel="Output",
    ),
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="NAME",
        help="Start or continue the run of this name, on any machine.",
        rich_help_panel=_RUN,
    ),
]
New = Annotated[bool, typer.Option("--new", help="Start over: generate all images again.", rich_help_panel=_RUN)]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only part I of N of the file; needs --run. See reve help shards.",
        rich_help_panel=_RUN,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        help="Retries for jobs that fail for lack of capacity.",
        rich_help_panel=_SPEED,
    ),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop submitting after the first failure.", rich_help_panel=_SPEED)
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures", metavar="N", min=1, help="Stop submitting after N failures.", rich_help_panel=_SPEED
    ),
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", metavar="N/min", help="Maximum requests per minute.", rich_help_panel=_SPEED),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency", metavar="N", min=1, max=5000, help="Maximum number of jobs in flight.", rich_help_panel=_SPEED
    ),
]
