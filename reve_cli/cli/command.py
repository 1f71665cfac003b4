"""Wraps a command function: adds the common options and passes it a `Runtime`.

`runtime` is imported when a command runs, so that `--help` and completion stay fast.
May import: runtime, help, core.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from reve_cli.cli import checks
from reve_cli.core.errors import ReveError
from reve_cli.core.typer_private import Parameter
from reve_cli.help.tree import COMMON

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

_COMMON_OPTIONS: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document per line.", rich_help_panel=COMMON)],
    "quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only.", rich_help_panel=COMMON)
    ],
    "debug": Annotated[bool, typer.Option("--debug", help="Show each request and response.", rich_help_panel=COMMON)],
    "sandbox": Annotated[
        bool, typer.Option("--sandbox", help="Use a simulated API: no key, no charge.", rich_help_panel=COMMON)
    ],
    "api_key_file": Annotated[
        str | None,
        typer.Option("--api-key-file", metavar="PATH", help="Read the API key from a file.", rich_help_panel=COMMON),
    ],
    "timeout": Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).",
            rich_help_panel=COMMON,
        ),
    ],
}
_WEBHOOK_OPTIONS = _COMMON_OPTIONS | {
    "api_key_file": Annotated[
        list[str] | None,
        typer.Option(
            "--api-key-file", metavar="PATH", help="Read an API key from a file. Repeatable.", rich_help_panel=COMMON
        ),
    ]
}
_LOCAL_OPTIONS = {name: kind for name, kind in _COMMON_OPTIONS.items() if name not in ("api_key_file", "timeout")}


def api_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Add the common options to a command that calls the API, and pass it a `Runtime` as first argument."""
    return _with_runtime(command, _COMMON_OPTIONS)


def local_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Wrap a command that never calls the API: as `api_command`, without the key and the time limit.

    Also wraps a group's callback, which runs if the group is called without a subcommand.
    """
    return _with_runtime(command, _LOCAL_OPTIONS)


def webhook_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Wrap a command that checks signatures: as `api_command`, with any number of key files."""
    return _with_runtime(command, _WEBHOOK_OPTIONS)


def lenient_api_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Wrap a command that calls the API and must run even if settings are invalid."""
    return _with_runtime(command, _COMMON_OPTIONS, lenient=True)


def lenient_local_command(command: "Callable[Concatenate[Runtime, P], int]") -> Callable[..., int]:
    """Wrap a command that shows or repairs settings, and must run even if they are invalid."""
    return _with_runtime(command, _LOCAL_OPTIONS, lenient=True)


def _with_runtime(
    command: "Callable[Concatenate[Runtime, P], int]", common: dict[str, Any], *, lenient: bool = False
) -> Callable[..., int]:
    def with_runtime(ctx: typer.Context, **arguments: Any) -> int:
        from reve_cli.runtime import Runtime

        if ctx.invoked_subcommand is not None:
            _refuse_options(ctx)
            return 0
        for parameter in ctx.command.params:
            if parameter.name not in ("api_key_file", "value"):  # which have messages of their own
                checks.no_key(_shown(parameter), ctx.params.get(parameter.name or ""))
        given = {name: arguments.pop(name, None) for name in _COMMON_OPTIONS}
        others: list[str] = []
        if isinstance(given["api_key_file"], list):
            given["api_key_file"], *others = given["api_key_file"] or [None]
        with Runtime(ctx.obj, **given, lenient=lenient) as run:
            run.other_key_files = others
            code = command(run, **arguments)  # type: ignore[call-arg]  # Typer passes them, by the signature below
            if "api" in vars(run) and ctx.info_name not in ("resume", "doctor"):
                from reve_cli.actions.unfinished import note_unfinished

                note_unfinished(run, code)
            return code

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
    with_runtime.__name__, with_runtime.__doc__ = command.__name__, documented(command).__doc__
    return with_runtime


def documented(command: F) -> F:
    """Give a command its docstring, which is its help, even if Python drops docstrings (`PYTHONOPTIMIZE=2`)."""
    if command.__doc__ is None:
        command.__doc__ = _docstrings(command.__module__).get(command.__name__)
    return command


@functools.cache
def _docstrings(module: str) -> dict[str, str | None]:
    """The docstrings of a module's functions, from its source; empty without a source."""
    import ast

    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def _shown(parameter: Parameter) -> str:
    """How messages name an option or an argument."""
    is_option = parameter.param_type_name == "option"
    return str(parameter.opts[0] if is_option else (parameter.metavar or parameter.name or "").rstrip("."))


def _refuse_options(ctx: typer.Context) -> None:
    """Refuse a group's options before a subcommand, which would ignore them."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            message = f"{parameter.opts[0]} must come after {ctx.invoked_subcommand}"
            raise ReveError("usage", message, hint=f"{ctx.command_path} {ctx.invoked_subcommand} --help")


def show_help(ctx: typer.Context) -> None:
    """Print a group's help if it is called without a subcommand."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit
