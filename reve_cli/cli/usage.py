"""Turns Typer's usage errors into reve's: with a suggestion and the help command to run.

May import: help, core.
"""

from collections.abc import Sequence

import typer
from typer.core import TyperArgument, TyperGroup

from reve_cli.core.errors import ReveError, holds_key
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.typer_private import Command, NoSuchOption
from reve_cli.help.manual import find


def usage_error(caught: typer.TyperException, root: Command, arguments: Sequence[str]) -> ReveError:
    """Return the error to report for `caught`, which Typer raised for the command line `arguments`."""
    context = getattr(caught, "ctx", None)
    path, command = (context.command_path, context.command) if context else find(root, arguments)
    message, hint = caught.format_message().replace("\n", " "), f"{path} --help"
    if isinstance(caught, NoSuchOption):
        nearest = did_you_mean(caught.option_name, [name for each in command.params for name in each.opts])
        message = caught.message + nearest
        if isinstance(command, TyperGroup) and not nearest:
            hint += " (put options after the command)"
    if "extra argument" in message:
        if not any(isinstance(each, TyperArgument) for each in command.params):
            message = f"{path} takes no arguments"
        elif path == "reve generate":
            hint += " (put quotes around the prompt)"
    message = message[:1].lower() + message[1:].removesuffix(".")
    return ReveError("usage", message, hint=None if holds_key(message) else hint)  # a leaked key gets its own hint
