"""Turns Typer's usage errors into reve's: each says what is wrong and what to type instead, in one line.

May import: cli.mistakes, help, terminal, core.
"""

import re
from collections.abc import Sequence

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from reve_cli.cli import mistakes
from reve_cli.core.errors import REPLACE, ReveError, holds_key
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.synonyms import right_option
from reve_cli.core.typer_private import BadParameter, Command, NoSuchOption
from reve_cli.help.tree import find
from reve_cli.terminal.text import quote

_NOT_A_NUMBER = re.compile(
    r"Invalid value for '(--[\w-]+)'(?: / '-\w')?: (.+) is not "
    r"(?:a valid (?:int|integer)(?: range)?|in the range (?:(\d+)<=)?x(?:<=(\d+)|>=(\d+))?)\.?",
    re.DOTALL,
)


def usage_error(caught: typer.TyperException, root: Command, arguments: Sequence[str]) -> ReveError:
    """Return the error to report for `caught`, which Typer raised for the command line `arguments`."""
    context = getattr(caught, "ctx", None)
    path, command = (context.command_path, context.command) if context else find(root, arguments)
    message, hint = caught.format_message().replace("\n", " "), f"{path} --help"
    unknown = mistakes.unknown_command(message)
    if isinstance(caught, NoSuchOption):
        message, hint = _no_such_option(caught, path, command, arguments)
    elif unknown is not None and isinstance(command, TyperGroup):
        message = mistakes.no_such_command(path, command, unknown, mistakes.words_from(arguments, unknown))
    elif mistakes.is_extra(message):
        given = context.params if context else {}
        message = mistakes.extra_words(path, command, given, mistakes.words_too_many(message))
    elif isinstance(caught, BadParameter):
        message = _plain(message)
    message = message[:1].lower() + message[1:].removesuffix(".")
    return ReveError("usage", message, hint=REPLACE if holds_key(message) else hint)


def _plain(message: str) -> str:
    """Typer's message about a number, in plain words."""
    found = _NOT_A_NUMBER.fullmatch(message)
    if not found:
        return message
    name, value, low, high = found[1], found[2], found[3] or found[5], found[4]
    limits = f" from {low} to {high}" if high else f", at least {low}" if low else ""
    return f"{name} takes a whole number{limits}, not {value}"


def _no_such_option(caught: NoSuchOption, path: str, command: Command, arguments: Sequence[str]) -> tuple[str, str]:
    """The message and the hint for an option that the command does not have."""
    typed, hint = caught.option_name, f"{path} --help"
    word = _word(arguments, typed)
    message = f"no such option: {typed}"
    names = [name for each in command.params if isinstance(each, TyperOption) for name in each.opts]
    if isinstance(command, TyperGroup) and path == "reve":
        if typed == "-v" or right_option(typed, names).startswith("use --show"):
            return f"{message}; use {'--version' if typed == '-v' else right_option(typed, names)[4:]}", hint
        return f"{message} before a command; put options after it: reve COMMAND {typed}", hint
    if " " in word:
        return f"{message}; for a prompt that begins with a hyphen: {path} -- {quote(word)}", hint
    whole = word.partition("=")[0]
    if len(typed) == 2 < len(whole):  # `-seed 1`
        if f"-{whole}" in names:
            return f"no such option: {whole}; use two hyphens: -{whole}", hint
        typed, message = (f"-{whole}", f"no such option: {whole}") if whole[2:].isalpha() else (typed, message)
    advice = right_option(typed, names)
    if advice.startswith("use"):
        return f"{message}; {advice}", hint
    message += f"; {advice}" if advice else ""
    nearest = "" if advice else did_you_mean(typed, names)
    if not nearest and any(isinstance(each, TyperArgument) for each in command.params):
        hint = f"{path} -- {quote(word)} (if it is no option)"
    return message + nearest, hint


def _word(arguments: Sequence[str], name: str) -> str:
    """The word of the command line in which the parser found the option `name`."""
    for word in arguments:
        if word.startswith(name) or (word[:1] == name[0] != word[1:2] and name[1:] in word):
            return word
    return name
