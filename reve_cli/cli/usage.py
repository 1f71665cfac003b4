"""What Typer finds wrong with a command line, in our words: the nearest right one, and the help to read.

Imports `manual`, `suggest`, `errors` and Typer, which is pinned: the kinds of its errors are private to it.
"""

from collections.abc import Sequence

import typer
from typer.core import TyperArgument, TyperGroup

from reve_cli.core.errors import ReveError, holds_key
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.typer_private import Command, NoSuchOption
from reve_cli.help.manual import find


def usage_error(caught: typer.TyperException, root: Command, arguments: Sequence[str]) -> ReveError:
    """`caught`, which the command line `arguments` led to."""
    context = getattr(caught, "ctx", None)
    path, command = (context.command_path, context.command) if context else find(root, arguments)
    message, hint = caught.format_message().replace("\n", " "), f"{path} --help"
    if isinstance(caught, NoSuchOption):
        nearest = did_you_mean(caught.option_name, [name for each in command.params for name in each.opts])
        message = caught.message + nearest
        if isinstance(command, TyperGroup) and not nearest:
            hint += " (options stand after the name of the command)"
    if "extra argument" in message:
        if not any(isinstance(each, TyperArgument) for each in command.params):
            message = f"{path} takes no arguments"
        elif path == "reve generate":
            hint += " (a prompt of several words is quoted)"
    message = message[:1].lower() + message[1:].removesuffix(".")
    return ReveError("usage", message, hint=None if holds_key(message) else hint)  # there is more urgent advice
