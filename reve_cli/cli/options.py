"""The options and arguments of all commands but `batch`, each declared once. The common ones are in `command`.

May import: checks, completers, journal, core.
"""

from typing import Annotated, Literal

import typer

from reve_cli.cli import checks, completers
from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, JOB_STATUSES, WEBHOOK_EVENTS
from reve_cli.journal.states import CLOSED, OPEN

_IMAGE, _OUTPUT, _JOB, _MONEY, _FILTER = "Image", "Output", "Job", "Money", "Filter"
STATES = ("unfinished", *OPEN, *CLOSED)
"""The values of `--state`: the journal's states, and `unfinished` for all that `resume` can finish."""

Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="A file, an existing folder, a name template, or - for standard output (default: the setting"
        " output_folder, else the current folder). See reve help templates.",
        rich_help_panel=_OUTPUT,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.", rich_help_panel=_OUTPUT)]
Preview = Annotated[
    bool | None,
    typer.Option(
        "--preview/--no-preview",
        help="Draw images on the terminal (default: the setting preview). See reve help pictures.",
        rich_help_panel=_OUTPUT,
    ),
]
Open = Annotated[
    bool,
    typer.Option(
        "--open", help="Open the image, or the first of several, in the desktop's viewer.", rich_help_panel=_OUTPUT
    ),
]
Metadata = Annotated[
    Literal["embed", "sidecar", "none"] | None,
    typer.Option(
        "--metadata",
        metavar="WHERE",
        help="Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none"
        " (default: the setting metadata). See reve help pictures.",
        rich_help_panel=_OUTPUT,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "--quality", metavar="N", min=1, max=100, help="Quality of JPEG, WebP, AVIF: 1 to 100.", rich_help_panel=_OUTPUT
    ),
]
JobIds = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB...",
        help="Job ids or their first characters, last for the newest job, or - to read ids from standard input.",
        autocompletion=completers.recent_jobs("jobs"),
    ),
]

Prompt = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The prompt, or - to read it from standard input.", callback=checks.prompt),
]
PromptFile = Annotated[
    str | None,
    typer.Option("--prompt-file", metavar="PATH", help="Read the prompt from a file.", rich_help_panel=_IMAGE),
]
Seed = Annotated[
    str | None,
    typer.Option(
        "--seed",
        metavar="N|random|none",
        help="The same seed usually reproduces the same image. random chooses one and prints it; none sends no seed "
        "(default: the setting seed).",
        callback=checks.seed,
        rich_help_panel=_IMAGE,
    ),
]
Count = Annotated[
    int,
    typer.Option(
        "--count",
        "-n",
        metavar="N",
        min=1,
        max=100,
        help="Number of images, 1 to 100. Each one is charged.",
        rich_help_panel=_IMAGE,
    ),
]
AspectRatio = Annotated[
    str | None,
    typer.Option(
        "--aspect-ratio",
        "--ar",
        metavar="W:H",
        help=f"One of {', '.join(ASPECT_RATIOS)} (default: the setting aspect_ratio, else the API's choice).",
        autocompletion=completers.among(ASPECT_RATIOS),
        rich_help_panel=_IMAGE,
    ),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(
        "--model-version", metavar="NAME", help="Version of the model, such as latest.", rich_help_panel=_IMAGE
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help=f"Model to use (default {DEFAULT_MODEL}).", rich_help_panel=_IMAGE),
]
WebhookUrl = Annotated[
    str | None,
    typer.Option("--webhook-url", metavar="URL", help="URL that the API sends job events to.", rich_help_panel=_JOB),
]
WebhookEvent = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook-event",
        metavar="EVENT",
        help=f"Event to send: {', '.join(WEBHOOK_EVENTS)}. Repeatable.",
        autocompletion=completers.among(WEBHOOK_EVENTS),
        rich_help_panel=_JOB,
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="PORT",
        help="Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.",
        rich_help_panel=_JOB,
    ),
]
CheckListen = Annotated[
    str | None,
    typer.Option("--listen", metavar="PORT", help="Also check that webhooks can arrive on PORT or HOST:PORT."),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Print the job id and exit without waiting.", rich_help_panel=_JOB)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the request as JSON without sending it.", rich_help_panel=_MONEY),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Within 24 hours, the same key makes only one job.",
        rich_help_panel=_MONEY,
    ),
]
Once = Annotated[
    str | None,
    typer.Option(
        "--once",
        metavar="SCOPE",
        help="Make it only once under this name (such as a CI run id), on any machine, for 24 hours.",
        rich_help_panel=_MONEY,
    ),
]
New = Annotated[
    bool,
    typer.Option("--new", help="Start over instead of continuing an interrupted run.", rich_help_panel=_MONEY),
]
MaxCredits = Annotated[
    str | None,
    typer.Option(
        "--max-credits", metavar="N", help="Submit nothing if the cost could exceed N credits.", rich_help_panel=_MONEY
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB...",
        help="Jobs, idempotency keys or run ids, or - to read them from standard input (default: all unfinished).",
        autocompletion=completers.recent_jobs("unfinished"),
    ),
]
WouldDo = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, without doing it.")]
Abandon = Annotated[bool, typer.Option("--abandon", help="Give up the named jobs instead of finishing them.")]
ExitStatus = Annotated[
    bool, typer.Option("--exit-status", help="Exit with 5 if a job failed, 75 if one is still running.")
]

States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"Only jobs in this state: {', '.join(STATES)}. Repeatable.",
        autocompletion=completers.among(STATES),
        rich_help_panel=_FILTER,
    ),
]
_WHEN = "a date, a time, or an age such as 90m, 24h, 7d or 2w"
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help=f"Only jobs started since then: {_WHEN}.", rich_help_panel=_FILTER),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="WHEN",
        help="Only jobs started until then. A date includes the whole day.",
        rich_help_panel=_FILTER,
    ),
]
Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        help="Only jobs with this text in prompt, path, job id or key.",
        rich_help_panel=_FILTER,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="Show the newest N; 0 shows all (default: 20 on a terminal, else all).",
        rich_help_panel=_FILTER,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Job, idempotency key or run id; or an image: its path or SHA-256.",
        autocompletion=completers.recent_jobs("all"),
    ),
]
HelpWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="TOPIC|COMMAND...", help="Topic or command to show.", autocompletion=completers.help_words),
]

ModelName = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="Model name (default: the configured model).",
        autocompletion=completers.among((DEFAULT_MODEL,)),
    ),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help=f"Only jobs with this status: {', '.join(JOB_STATUSES)}; upper or lower case. Repeatable.",
        autocompletion=completers.among([*JOB_STATUSES, *map(str.lower, JOB_STATUSES)]),
        rich_help_panel=_FILTER,
    ),
]
OfModel = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Only jobs of this model.", rich_help_panel=_FILTER)
]
OfScope = Annotated[
    Literal["user", "team"] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="Whose jobs: user (your own, the default) or team (admins only).",
        rich_help_panel=_FILTER,
    ),
]
OfJob = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only the job with this id.", rich_help_panel=_FILTER)
]
CreatedSince = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help=f"Only jobs created since then: {_WHEN}.", rich_help_panel=_FILTER),
]
CreatedUntil = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="WHEN",
        help="Only jobs created until then. A date includes the whole day.",
        rich_help_panel=_FILTER,
    ),
]
JobLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="Take the newest N; 0 takes all (default: 20 in a table on a terminal, else all).",
        rich_help_panel=_FILTER,
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Save the images of completed jobs that have not expired.", rich_help_panel=_OUTPUT
    ),
]

Image = Annotated[
    str | None,
    typer.Argument(
        metavar="[IMAGE|JOB]",
        help="An image file, or a job id or its first characters (default: last, the newest job).",
        autocompletion=completers.images_and_jobs,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Make the image without asking. See reve help pictures."),
]
Folder = Annotated[
    str | None,
    typer.Argument(
        metavar="[DIR]", help="Folder of images (default: the setting output_folder, else the current folder)."
    ),
]
FromHistory = Annotated[
    bool,
    typer.Option("--history", help="Show the images that the journal lists, from any folder.", rich_help_panel=_FILTER),
]
PageOut = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Path of the page (default: gallery.html in DIR; with --history, in the current folder).",
        rich_help_panel=_OUTPUT,
    ),
]

OtherSeed = Annotated[
    str | None,
    typer.Option(
        "--seed",
        metavar="N|random|none",
        help="Seed of the new image. random chooses one and prints it; none sends no seed (default: the image's own).",
        callback=checks.seed,
        rich_help_panel=_IMAGE,
    ),
]
OtherAspectRatio = Annotated[
    str | None,
    typer.Option(
        "--aspect-ratio",
        "--ar",
        metavar="W:H",
        help=f"One of {', '.join(ASPECT_RATIOS)} (default: the image's own).",
        autocompletion=completers.among(ASPECT_RATIOS),
        rich_help_panel=_IMAGE,
    ),
]
OtherModelVersion = Annotated[
    str | None,
    typer.Option(
        "--model-version",
        metavar="NAME",
        help="Version of the model (default: the image's own).",
        rich_help_panel=_IMAGE,
    ),
]
OtherModel = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Model to use (default: the image's own).", rich_help_panel=_IMAGE),
]

WithKey = Annotated[bool, typer.Option("--with-key", help="Read the key from standard input.")]
SettingName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Setting name; reve config list shows all.", autocompletion=completers.setting_names
    ),
]
SettingValue = Annotated[
    str,
    typer.Argument(
        metavar="VALUE",
        help="New value. Put -- before a value that starts with -.",
        autocompletion=completers.setting_words,
    ),
]
