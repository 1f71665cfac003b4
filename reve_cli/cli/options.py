"""The options and arguments of all commands, each declared once.

Imports `contract`, `states` and Typer; `recent`, `manual` and `settings` when a word is completed: `--help` loads
little else.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, JOB_STATUSES, WEBHOOK_EVENTS
from reve_cli.journal.states import CLOSED, OPEN

if TYPE_CHECKING:
    from reve_cli.cli.recent import Wanted

_COMMON = "Every command"
_IMAGE, _OUTPUT, _JOB, _MONEY, _WHICH = "Image", "Output", "Job", "Money", "Which"
STATES = ("unfinished", *OPEN, *CLOSED)
"""What `--state` takes: that something is left to do, and the states of the journal."""


def _among(words: Sequence[str]) -> Callable[[str], list[str]]:
    """Completes one of `words`."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _recent(wanted: "Wanted") -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """Completes a job of the journal that a command can do something with."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from reve_cli.cli.recent import jobs

        typed = ctx.params.get("jobs") or ()
        found = jobs(ctx.obj.environ, wanted, incomplete, sandbox=bool(ctx.params.get("sandbox")))
        return [(name, about) for name, about in found if name not in typed]

    return complete


def _words_of_help(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Completes a topic, or the words of a command."""
    from reve_cli.help.manual import next_words

    return next_words(ctx.find_root().command, ctx.params.get("words") or (), incomplete)


def _among_statuses(incomplete: str) -> list[str]:
    """Completes a job's status, in the case in which it is typed."""
    return _among([status.lower() if incomplete.islower() else status for status in JOB_STATUSES])(incomplete)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document a line.", rich_help_panel=_COMMON)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes; errors still.", rich_help_panel=_COMMON)]
Debug = Annotated[bool, typer.Option("--debug", help="Show each request and answer.", rich_help_panel=_COMMON)]
Sandbox = Annotated[
    bool, typer.Option("--sandbox", help="Simulate the API here: no key, no charge.", rich_help_panel=_COMMON)
]
ApiKeyFile = Annotated[
    str | None, typer.Option("--api-key-file", metavar="PATH", help="Read the API key here.", rich_help_panel=_COMMON)
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Limit for the whole command (default 600; batch: none).",
        rich_help_panel=_COMMON,
    ),
]

Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="A file, a folder ending in /, a template, or - for standard output; see reve help templates.",
        rich_help_panel=_OUTPUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace what exists at the output path.", rich_help_panel=_OUTPUT)
]
JobIds = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Job ids; - reads them from stdin.", autocompletion=_recent("jobs")),
]

Prompt = Annotated[str | None, typer.Argument(metavar="PROMPT", help="What to draw; - reads it from stdin.")]
PromptFile = Annotated[
    str | None,
    typer.Option("--prompt-file", metavar="PATH", help="Read the prompt from a file.", rich_help_panel=_IMAGE),
]
Seed = Annotated[
    str | None,
    typer.Option(
        "--seed",
        metavar="N|random",
        help="The same number draws the same picture, mostly.",
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
        help="Make this many images, 1 to 100, each charged.",
        rich_help_panel=_IMAGE,
    ),
]
AspectRatio = Annotated[
    str | None,
    typer.Option(
        "--aspect-ratio",
        "--ar",
        metavar="W:H",
        help=f"{', '.join(ASPECT_RATIOS)}.",
        autocompletion=_among(ASPECT_RATIOS),
        rich_help_panel=_IMAGE,
    ),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(
        "--model-version", metavar="NAME", help="A version of the model, such as latest.", rich_help_panel=_IMAGE
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help=f"Another model (default {DEFAULT_MODEL}).", rich_help_panel=_IMAGE),
]
WebhookUrl = Annotated[
    str | None,
    typer.Option(
        "--webhook-url",
        metavar="URL",
        help="Where the API reports what becomes of the job.",
        rich_help_panel=_JOB,
    ),
]
WebhookEvent = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook-event",
        metavar="EVENT",
        help=f"What it reports: {', '.join(WEBHOOK_EVENTS)}; repeatable.",
        autocompletion=_among(WEBHOOK_EVENTS),
        rich_help_panel=_JOB,
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Print the job id and leave the job running.", rich_help_panel=_JOB)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the exact request as JSON and send nothing.", rich_help_panel=_MONEY),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="The same key within 24 hours is the same job, charged once.",
        rich_help_panel=_MONEY,
    ),
]
Once = Annotated[
    str | None,
    typer.Option(
        "--once",
        metavar="SCOPE",
        help="Make it once in this scope, such as a pipeline, on any machine.",
        rich_help_panel=_MONEY,
    ),
]
New = Annotated[
    bool,
    typer.Option("--new", help="Make new images; do not take up a run that was cut short.", rich_help_panel=_MONEY),
]
MaxCredits = Annotated[
    str | None,
    typer.Option(
        "--max-credits", metavar="N", help="Refuse to begin what may cost more than this.", rich_help_panel=_MONEY
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB...",
        help="Job ids, idempotency keys or runs; - reads them from stdin; without any, all that is unfinished.",
        autocompletion=_recent("unfinished"),
    ),
]
WouldDo = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Abandon = Annotated[
    bool, typer.Option("--abandon", help="Give up the jobs that are named: they are not asked about again.")
]
ExitStatus = Annotated[
    bool, typer.Option("--exit-status", help="Exit with 5 if a job failed, 75 if one is still running.")
]

States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"Only those that are {', '.join(STATES)}; repeatable.",
        autocompletion=_among(STATES),
        rich_help_panel=_WHICH,
    ),
]
_WHEN = "a date, a time, or an age such as 90m, 24h, 7d, 2w"
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help=f"Begun then or later: {_WHEN}.", rich_help_panel=_WHICH),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="WHEN", help="Begun before then; a date is that whole day.", rich_help_panel=_WHICH
    ),
]
Search = Annotated[
    str | None,
    typer.Option(
        "--search", metavar="TEXT", help="Only with this in prompt, path, job id or key.", rich_help_panel=_WHICH
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="The newest N, 0 for all (default 50; with --json all).",
        rich_help_panel=_WHICH,
    ),
]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A job id, an idempotency key or a run.", autocompletion=_recent("all")),
]
HelpWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="TOPIC|COMMAND...", help="What to tell about.", autocompletion=_words_of_help),
]

ModelName = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="Its name (default: the one in use).", autocompletion=_among((DEFAULT_MODEL,))
    ),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help=f"{', '.join(JOB_STATUSES)}, in any case; repeatable.",
        autocompletion=_among_statuses,
        rich_help_panel=_WHICH,
    ),
]
OfModel = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Only of this model.", rich_help_panel=_WHICH)
]
OfScope = Annotated[
    Literal["user", "team"] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="Whose: user, your own (default), or for admins team.",
        rich_help_panel=_WHICH,
    ),
]
OfJob = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only the job with this id.", rich_help_panel=_WHICH)
]
CreatedSince = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help=f"Created then or later: {_WHEN}.", rich_help_panel=_WHICH),
]
CreatedUntil = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="WHEN", help="Created before then; a date is that whole day.", rich_help_panel=_WHICH
    ),
]
JobLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="The newest N, 0 for all (default 50; with --json or --download all).",
        rich_help_panel=_WHICH,
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Save the images of jobs that are COMPLETED and not expired.", rich_help_panel=_OUTPUT
    ),
]

WithKey = Annotated[bool, typer.Option("--with-key", help="Read the key from stdin.")]


def _setting_names(incomplete: str) -> list[tuple[str, str]]:
    from reve_cli.settings.settings import SETTINGS

    return [(name, setting.about) for name, setting in SETTINGS.items() if name.startswith(incomplete)]


def _setting_words(ctx: typer.Context, incomplete: str) -> list[str]:
    from reve_cli.settings.settings import SETTINGS

    setting = SETTINGS.get(ctx.params.get("name") or "")
    return [word for word in setting.words if word.startswith(incomplete)] if setting else []


SettingName = Annotated[
    str, typer.Argument(metavar="NAME", help="A setting, as reve config list shows.", autocompletion=_setting_names)
]
SettingValue = Annotated[
    str,
    typer.Argument(
        metavar="VALUE", help="Its value; one that begins with - goes after --.", autocompletion=_setting_words
    ),
]
