"""Every private name of Typer that reve uses: a later Typer means changing this module and no other.

Typer keeps its copy of click in `typer._click` and exports only part of it. May import: nothing of ours.
"""

from typer._click import Command as Command
from typer._click import Context as Context
from typer._click import Parameter as Parameter
from typer._click.exceptions import NoSuchOption as NoSuchOption
from typer._click.shell_completion import CompletionItem as CompletionItem
from typer._click.shell_completion import _is_incomplete_argument, _resolve_context
from typer._click.shell_completion import split_arg_string as split_arg_string


def context_after(root: Command, words: list[str], obj: object) -> Context:
    """Parse `words` as far as the command they call, without running callbacks. `obj` is the context's object."""
    return _resolve_context(root, {"obj": obj}, "reve", words)


def takes_more(context: Context, parameter: Parameter) -> bool:
    """Tell whether `parameter` is an argument that can still accept a value."""
    return _is_incomplete_argument(context, parameter)


def has_unknown_subcommand(context: Context) -> bool:
    """Tell whether a word follows a group's name that is not one of its subcommands."""
    return bool(context._protected_args)
