"""The options of `batch` alone. Imports `options` and Typer."""

from typing import Annotated

import typer

_FILE, _RUN, _SPEED = "File", "Run", "Speed and limits"

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A prompt a line; or .csv or .jsonl with prompt, seed, aspectRatio, version, out; - reads stdin.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="A folder, or a template such as 'pics/{slug}-{job}.{ext}'.",
        rich_help_panel="Output",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="text|csv|jsonl",
        help="What FILE is, where its name does not say.",
        rich_help_panel=_FILE,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", metavar="LIST", help="Each line with each of these, such as 1-8 or 1,5.", rich_help_panel=_FILE
    ),
]
Ratios = Annotated[
    str | None,
    typer.Option(
        "--ratios", metavar="LIST", help="Each line in each of these, such as 1:1,16:9.", rich_help_panel=_FILE
    ),
]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="N", help="For lines that have none of their own.", rich_help_panel="Image"),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what is missing, as JSON, and send nothing.", rich_help_panel="Money"),
]
RunName = Annotated[
    str | None,
    typer.Option("--run", metavar="NAME", help="The same name is the same run, on any machine.", rich_help_panel=_RUN),
]
New = Annotated[bool, typer.Option("--new", help="Start over: make all images anew.", rich_help_panel=_RUN)]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only this part of the file, I from 1 to N; needs --run. See reve help shards.",
        rich_help_panel=_RUN,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        help="How often a job that failed for want of capacity is made again.",
        rich_help_panel=_SPEED,
    ),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Begin no more after the first failure.", rich_help_panel=_SPEED)
]
MaxFailures = Annotated[
    int | None,
    typer.Option("--max-failures", metavar="N", min=1, help="Begin no more after N failures.", rich_help_panel=_SPEED),
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", metavar="N/min", help="Ask the API no faster than this.", rich_help_panel=_SPEED),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency", metavar="N", min=1, max=1000, help="At most so many jobs at once.", rich_help_panel=_SPEED
    ),
]
