"""The options that commands share, each declared once, and how a command gets those that all have.

Imports `contract` and Typer, and `runtime` when a command runs: `--help` and completion load little else.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from reve_cli.contract import ASPECT_RATIOS, WEBHOOK_EVENTS

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

P = ParamSpec("P")

_COMMON = "Every command"


def _ratios(incomplete: str) -> list[str]:
    return [ratio for ratio in ASPECT_RATIOS if ratio.startswith(incomplete)]


def _events(incomplete: str) -> list[str]:
    return [event for event in WEBHOOK_EVENTS if event.startswith(incomplete)]


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
    typer.Option("--aspect-ratio", "--ar", metavar="W:H", help=", ".join(ASPECT_RATIOS), autocompletion=_ratios),
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
        "--webhook-event", metavar="EVENT", help=f"{', '.join(WEBHOOK_EVENTS)}; repeatable.", autocompletion=_events
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
ExitStatus = Annotated[
    bool, typer.Option("--exit-status", help="Exit with 5 if a job failed, 75 if one is still running.")
]

_COMMON_OPTIONS = {
    "json": Json,
    "quiet": Quiet,
    "debug": Debug,
    "sandbox": Sandbox,
    "api_key_file": ApiKeyFile,
    "timeout": Timeout,
}


def api_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Make a function of a `Runtime` and its own options a Typer command with the common options as well."""

    def with_runtime(ctx: typer.Context, **arguments: Any) -> int:
        from reve_cli.runtime import Runtime

        common = {name: arguments.pop(name) for name in _COMMON_OPTIONS}
        with Runtime(ctx.obj, **common) as run:
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
        for name, kind in _COMMON_OPTIONS.items()
    ]
    with_runtime.__signature__ = inspect.Signature([context, *own, *common])  # type: ignore[attr-defined]
    with_runtime.__name__, with_runtime.__doc__ = command.__name__, command.__doc__
    return with_runtime
