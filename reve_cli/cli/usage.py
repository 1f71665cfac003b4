"""Turns Typer's usage errors into reve's: with a suggestion and the help command to run.

May import: help, terminal, core.
"""

from collections.abc import Sequence

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from reve_cli.core.errors import ReveError, holds_key
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.typer_private import Command, NoSuchOption
from reve_cli.help.manual import find
from reve_cli.terminal.text import quote


def _word(arguments: Sequence[str], name: str) -> str:
    """The word of the command line in which the parser found the option `name`."""
    for word in arguments:
        if word.startswith(name) or (word[:1] == name[0] != word[1:2] and name[1:] in word):
            return word
    return name


def usage_error(caught: typer.TyperException, root: Command, arguments: Sequence[str]) -> ReveError:
    """Return the error to report for `caught`, which Typer raised for the command line `arguments`."""
    context = getattr(caught, "ctx", None)
    path, command = (context.command_path, context.command) if context else find(root, arguments)
    message, hint = caught.format_message().replace("\n", " "), f"{path} --help"
    if isinstance(caught, NoSuchOption):
        names = [name for each in command.params if isinstance(each, TyperOption) for name in each.opts]
        nearest = did_you_mean(caught.option_name, names)
        message = caught.message + nearest
        if isinstance(command, TyperGroup) and not nearest:
            hint += " (put options after the command)"
        elif not nearest and any(isinstance(each, TyperArgument) for each in command.params):
            hint = f"{path} -- {quote(_word(arguments, caught.option_name))} (if it is no option)"
    if "extra argument" in message:
        if not any(isinstance(each, TyperArgument) for each in command.params):
            message = f"{path} takes no arguments"
        elif path == "reve generate":
            hint += " (put quotes around the prompt)"
    message = message[:1].lower() + message[1:].removesuffix(".")
    return ReveError("usage", message, hint=None if holds_key(message) else hint)  # a leaked key gets its own hint
