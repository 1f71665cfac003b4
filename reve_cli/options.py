"""The options that commands share, each declared once, and how a command gets those that all have.

Imports `contract`, `states`, `errors` and Typer, and `runtime` when a command runs: `--help` and completion load little
else.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from reve_cli.contract import ASPECT_RATIOS, WEBHOOK_EVENTS
from reve_cli.errors import ReveError
from reve_cli.states import CLOSED, OPEN

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

P = ParamSpec("P")

_COMMON = "Every command"
STATES = ("unfinished", *OPEN, *CLOSED)
"""What `--state` takes: that something is left to do, and the states of the journal."""


def _among(words: Sequence[str]) -> Callable[[str], list[str]]:
    """Completes one of `words`."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


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
        "--timeout", metavar="SECONDS", help="Limit for the whole command (default 600).", rich_help_panel=_COMMON
    ),
]

Out = Annotated[
    str | None,
    typer.Option("--out", "-o", metavar="PATH", help="A file, a folder ending in /, a template, or - for stdout."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists at the output path.")]
JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Job ids; - reads them from stdin.")]

Prompt = Annotated[str | None, typer.Argument(metavar="PROMPT", help="What to draw; - reads it from stdin.")]
PromptFile = Annotated[str | None, typer.Option("--prompt-file", metavar="PATH", help="Read the prompt from a file.")]
Seed = Annotated[
    str | None, typer.Option("--seed", metavar="N|random", help="The same number draws the same picture, mostly.")
]
Count = Annotated[int, typer.Option("--count", "-n", min=1, max=100, help="Make this many images, each charged.")]
AspectRatio = Annotated[
    str | None,
    typer.Option(
        "--aspect-ratio", "--ar", metavar="W:H", help=", ".join(ASPECT_RATIOS), autocompletion=_among(ASPECT_RATIOS)
    ),
]
ModelVersion = Annotated[
    str | None, typer.Option("--model-version", metavar="NAME", help="A version of the model, such as latest.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Another model (default reve-create).")]
WebhookUrl = Annotated[
    str | None, typer.Option("--webhook-url", metavar="URL", help="Where the API reports what becomes of the job.")
]
WebhookEvent = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook-event",
        metavar="EVENT",
        help=f"{', '.join(WEBHOOK_EVENTS)}; repeatable.",
        autocompletion=_among(WEBHOOK_EVENTS),
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the job id and leave the job running.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the exact request as JSON and send nothing.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="The same key within 24 hours is the same job, charged once."
    ),
]
Once = Annotated[
    str | None,
    typer.Option("--once", metavar="SCOPE", help="Make it once in this scope, such as a pipeline, on any machine."),
]
New = Annotated[bool, typer.Option("--new", help="Make new images; do not take up a run that was cut short.")]
MaxCredits = Annotated[
    str | None, typer.Option("--max-credits", metavar="N", help="Refuse to begin what may cost more than this.")
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[JOB]...",
        help="Job ids, idempotency keys or runs; - reads them from stdin; without any, all that is unfinished.",
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
    typer.Option("--state", metavar="STATE", help=f"{', '.join(STATES)}; repeatable.", autocompletion=_among(STATES)),
]
_WHEN = "a date, a time, or an age such as 90m, 24h, 7d, 2w"
Since = Annotated[str | None, typer.Option("--since", metavar="WHEN", help=f"Begun then or later: {_WHEN}.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Begun before then; a date is that whole day.")
]
Search = Annotated[
    str | None, typer.Option("--search", metavar="TEXT", help="Only with this in prompt, path, job id or key.")
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=0, help="The newest N, 0 for all (default 50; with --json all)."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A job id, an idempotency key or a run.")]


def _setting_names(incomplete: str) -> list[tuple[str, str]]:
    from reve_cli.settings import SETTINGS

    return [(name, setting.about) for name, setting in SETTINGS.items() if name.startswith(incomplete)]


def _setting_words(ctx: typer.Context, incomplete: str) -> list[str]:
    from reve_cli.settings import SETTINGS

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

_COMMON_OPTIONS = {
    "json": Json,
    "quiet": Quiet,
    "debug": Debug,
    "sandbox": Sandbox,
    "api_key_file": ApiKeyFile,
    "timeout": Timeout,
}
_LOCAL_OPTIONS = {name: kind for name, kind in _COMMON_OPTIONS.items() if name not in ("api_key_file", "timeout")}


def api_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Make a function of a `Runtime` and its own options a Typer command with the common options as well."""
    return _with_runtime(command, _COMMON_OPTIONS)


def local_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """The same for what never asks the API. As a group's callback it is what the group does without a subcommand."""
    return _with_runtime(command, _LOCAL_OPTIONS)


def mending_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """The same for what must work while settings are wrong, as it shows or mends them."""
    return _with_runtime(command, _LOCAL_OPTIONS, lenient=True)


def _with_runtime(
    command: "Callable[Concatenate[Runtime, P], int]", options: dict[str, Any], *, lenient: bool = False
) -> Callable[..., int]:
    def with_runtime(ctx: typer.Context, **arguments: Any) -> int:
        from reve_cli.runtime import Runtime

        if ctx.invoked_subcommand is not None:
            _refuse_options(ctx)
            return 0
        common = {name: arguments.pop(name, None) for name in _COMMON_OPTIONS}
        with Runtime(ctx.obj, **common, lenient=lenient) as run:
            return command(run, **arguments)  # type: ignore[call-arg]  # Typer fills them in by the signature below

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    own = list(inspect.signature(command).parameters.values())[1:]
    common = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=None if name in ("api_key_file", "timeout") else False,
        )
        for name, kind in options.items()
    ]
    with_runtime.__signature__ = inspect.Signature([context, *own, *common])  # type: ignore[attr-defined]
    with_runtime.__name__, with_runtime.__doc__ = command.__name__, command.__doc__
    return with_runtime


def _refuse_options(ctx: typer.Context) -> None:
    """Refuse a group's options where one of its subcommands follows: they would be lost on it."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            message = f"{parameter.opts[0]} stands before {ctx.invoked_subcommand}, whose own options stand after it"
            raise ReveError("usage", message, hint=f"{ctx.command_path} {ctx.invoked_subcommand} --help")
