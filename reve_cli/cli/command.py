"""How a command gets the options that all have, and what it runs with.

Imports `options`, `errors` and Typer; `runtime` when a command runs: `--help` and completion load little else.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import typer

from reve_cli.cli import options
from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

P = ParamSpec("P")

_COMMON_OPTIONS = {
    "json": options.Json,
    "quiet": options.Quiet,
    "debug": options.Debug,
    "sandbox": options.Sandbox,
    "api_key_file": options.ApiKeyFile,
    "timeout": options.Timeout,
}
_LOCAL_OPTIONS = {name: kind for name, kind in _COMMON_OPTIONS.items() if name not in ("api_key_file", "timeout")}


def api_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Make a function of a `Runtime` and its own options a Typer command with the common options as well."""
    return _with_runtime(command, _COMMON_OPTIONS)


def local_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """The same for what never asks the API. As a group's callback it is what the group does without a subcommand."""
    return _with_runtime(command, _LOCAL_OPTIONS)


def lenient_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """As `api_command`, for what is to run whatever is wrong with the settings."""
    return _with_runtime(command, _COMMON_OPTIONS, lenient=True)


def mending_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """The same for what must work while settings are wrong, as it shows or mends them."""
    return _with_runtime(command, _LOCAL_OPTIONS, lenient=True)


def _with_runtime(
    command: "Callable[Concatenate[Runtime, P], int]", common: dict[str, Any], *, lenient: bool = False
) -> Callable[..., int]:
    def with_runtime(ctx: typer.Context, **arguments: Any) -> int:
        from reve_cli.runtime import Runtime

        if ctx.invoked_subcommand is not None:
            _refuse_options(ctx)
            return 0
        given = {name: arguments.pop(name, None) for name in _COMMON_OPTIONS}
        with Runtime(ctx.obj, **given, lenient=lenient) as run:
            return command(run, **arguments)  # type: ignore[call-arg]  # Typer fills them in by the signature below

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=None if name in ("api_key_file", "timeout") else False,
        )
        for name, kind in common.items()
    ]
    with_runtime.__signature__ = inspect.Signature([context, *own, *shared])  # type: ignore[attr-defined]
    with_runtime.__name__, with_runtime.__doc__ = command.__name__, command.__doc__
    return with_runtime


def _refuse_options(ctx: typer.Context) -> None:
    """Refuse a group's options where one of its subcommands follows: they would be lost on it."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            message = f"{parameter.opts[0]} stands before {ctx.invoked_subcommand}, whose own options stand after it"
            raise ReveError("usage", message, hint=f"{ctx.command_path} {ctx.invoked_subcommand} --help")


def show_help(ctx: typer.Context) -> None:
    """What a group does without a subcommand."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit
