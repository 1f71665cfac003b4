"""Completion for bash, zsh, fish and PowerShell: the answers to what the scripts ask.

Typer's own scripts do not work as files (zsh's compinit ignores one, bash stops at the colon of `--ar 16:`), and its
answers load rich. Answers come from the command tree that also parses the command line. A shell asks by running `reve`
in one of two ways:

    _REVE_COMPLETE=words _REVE_COMPLETE_WORD=WORD reve WORD...    the word at the cursor, and the words before it
    _REVE_COMPLETE=line reve LINE                                 the command line up to the cursor, as typed (bash)

The answer has one candidate per line, `VALUE` or `VALUE<TAB>HELP`, always for the whole word (`--ar=16:9`). The single
line `:files` asks the shell to complete file names. On any error the answer is empty and the exit code 0, because an
error message would disturb a half-typed line.

May import: terminal, core.
"""

import contextlib
from collections.abc import Iterable, Sequence

from typer.core import TyperGroup, TyperOption

from reve_cli.cli.flags import in_order
from reve_cli.core.process import Process
from reve_cli.core.typer_private import (
    Command,
    CompletionItem,
    Context,
    Parameter,
    context_after,
    has_unknown_subcommand,
    split_arg_string,
    takes_more,
)
from reve_cli.terminal.output import Output
from reve_cli.terminal.text import safe

_FILES = CompletionItem(":files")
LONGEST_HELP = 150
"""Characters of the help of a command."""


def answer(command: Command, arguments: Sequence[str], process: Process) -> None:
    """Print the candidates for a shell's request."""
    environ = process.environ
    with contextlib.suppress(Exception):
        if environ["_REVE_COMPLETE"] == "line":
            # The added letter marks the cursor: without it, `out ` and `out` split into the same words.
            _, *words, word = split_arg_string(arguments[0] + "x")
            word = word[:-1]
        else:
            words, word = list(arguments), environ.get("_REVE_COMPLETE_WORD", "")
        output = Output(environ)
        for item in list(_candidates(command, process, words, word)):
            help_text = plain(item.help or "")
            output.line(f"{item.value}\t{help_text}" if help_text else item.value)


def plain(text: str) -> str:
    """The help of a candidate, on one line."""
    return safe(" ".join(text.split()))


def _candidates(root: Command, process: Process, words: list[str], word: str) -> Iterable[CompletionItem]:
    """Return the completions of `word` after `words`."""
    words = in_order(words, root)
    context = context_after(root, words, process)
    command = context.command
    parameters = command.get_params(context)
    if "--" not in words:
        name, equals, value = word.partition("=")
        if equals and word.startswith("--"):
            option = _option_with_value(parameters, name)
            items = values(context, option, value) if option else []
            for item in items:
                if item is not _FILES:
                    item.value = f"{name}={item.value}"
            return items
        option = _option_with_value(parameters, words[-1]) if words else None
        if option:
            return values(context, option, word)
        if word.startswith("-"):
            return command.shell_complete(context, word)
    if isinstance(command, TyperGroup):
        items = [] if has_unknown_subcommand(context) else command.shell_complete(context, word)
        for item in items:
            if item.value in command.commands:  # Typer shortens it to 45 characters
                item.help = command.commands[item.value].get_short_help_str(LONGEST_HELP)
        return items
    for parameter in parameters:
        if takes_more(context, parameter):
            return values(context, parameter, word)
    return [] if word or "--" in words else command.shell_complete(context, "-")  # only options can follow


def _option_with_value(parameters: Sequence[Parameter], name: str) -> Parameter | None:
    """Return the option `name` if it takes a value, else None."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and name in parameter.opts and not parameter.is_flag:
            return parameter
    return None


def values(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Return a value's completions: files, words of the metavar (`N|random`), choices, `autocompletion`."""
    metavar = parameter.metavar or ""
    if metavar.strip("[]").partition(".")[0] in ("PATH", "FILE", "DIR"):
        return [_FILES]
    literals = [CompletionItem(word) for word in metavar.split("|") if word.islower() and word.startswith(start)]
    found = literals + parameter.shell_complete(context, start)
    return found or ([_FILES] if "IMAGE" in metavar else [])
