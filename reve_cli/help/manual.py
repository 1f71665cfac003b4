"""Describes the commands: --help, `reve help` and the manual page, from the command tree that parses the command line.

The text is plain ASCII, for any terminal, pipe and locale, and needs no rich.

May import: tree, topics, pages, terminal, core.
"""

import inspect
import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from typer.core import TyperArgument, TyperGroup, TyperOption

from reve_cli import __version__
from reve_cli.core.errors import ReveError
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.typer_private import Command, Context, Parameter
from reve_cli.help.pages import WIDTH, Block, Code, Section, plain, roff
from reve_cli.help.topics import TOPICS, about, read
from reve_cli.help.tree import COMMON, find, walk
from reve_cli.terminal.streams import stdout_is_open, stdout_is_terminal

_HELP = ("--help, -h", "Show this help.")
_ALSO = "reve help COMMAND is the same as reve COMMAND --help. reve help --man prints the manual page."
_NARROWEST = 30
_METAVARS = {"integer": "N", "integer range": "N", "int": "N", "int range": "N", "float": "N", "float range": "N"}


def help_of(command: Command, path: str, context: Context) -> str:
    """The text of a command's --help. Raises `ReveError` if standard output is closed: Typer would say nothing."""
    if not stdout_is_open():
        raise ReveError("write_failed", "cannot write to standard output: it is closed")
    environ = context.obj.environ
    bold = stdout_is_terminal() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb" and os.name != "nt"
    return describe(command, path, bold=bold)


def _width() -> int:
    return max(_NARROWEST, min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH))


def help_text(root: Command, words: Sequence[str], *, man: bool) -> str:
    """The text of `reve help WORDS`. Raises `ReveError` (code `usage`) if there is no such topic or command."""
    if man and words:
        raise ReveError("usage", "--man prints help for all commands: it takes no topic", hint="reve help --man")
    if man:
        return manual(root)
    if not words:
        topics = [(name, about(name)) for name in TOPICS]
        return plain([("Topics: reve help TOPIC", [topics]), ("", [_ALSO])], _width())
    path, command = find(root, words)
    known = path.split()[1:]
    pages = [describe(command, path)] if known == list(words) else []
    if len(words) == 1 and words[0] in TOPICS:
        (_, blocks), *others = read(words[0]).sections
        title = read(words[0]).title if pages else ""  # the name of a topic and of a command
        pages.append(plain([(title, blocks), *others], _width()))
    if pages:
        return "\n\n".join(pages)
    if words[0] in TOPICS and not known:
        raise ReveError("usage", f"{words[0]} is a topic: it takes no other word", hint=f"reve help {words[0]}")
    unknown = words[len(known)]
    names = [*(command.commands if isinstance(command, TyperGroup) else ()), *(() if known else TOPICS)]
    message = f"unknown {'command' if known else 'topic or command'} {' '.join([*known, unknown])!r}"
    raise ReveError("usage", message + did_you_mean(unknown, names), hint=f"reve help {' '.join(known)}".strip())


def describe(command: Command, path: str, *, bold: bool = False) -> str:
    """The page of one command. Long options do not indent the summaries of subcommands."""
    paragraphs, examples = explained(command)
    commands: list[Section] = [
        ("", [f"Usage: {usage(command, path)}"]),
        ("", paragraphs),
        *((title, [rows]) for title, rows in commands_in_groups(command).items()),
    ]
    options: list[Section] = [
        *((title, [rows]) for title, rows in parameters(command).items()),
        *([("Examples", [Code(examples)])] if examples else []),
    ]
    return "\n\n".join(plain(part, _width(), bold=bold) for part in (commands, options))


def usage(command: Command, path: str) -> str:
    """The command's name, its arguments and its kind of options, on one line."""
    words = [path, "[OPTIONS]"]
    for parameter in command.params:
        if isinstance(parameter, TyperArgument) and not parameter.hidden:
            metavar = _metavar(parameter)
            words.append(metavar if parameter.required else f"[{metavar}]")
    if isinstance(command, TyperGroup):
        words.append("[COMMAND]" if command.invoke_without_command else "COMMAND")
    return " ".join(words)


def explained(command: Command) -> tuple[list[str], str]:
    """The paragraphs of a command's docstring and epilog, and the lines after `Examples:`."""
    paragraphs, examples = [], []
    for text in filter(None, (command.help, command.epilog)):
        prose, _, code = inspect.cleandoc(text).partition("Examples:\n")
        paragraphs += [" ".join(block.split()) for block in prose.split("\n\n") if block.strip()]
        examples += [line for line in textwrap.dedent(code).splitlines() if line]
    return paragraphs, "\n".join(examples)


def summary(command: Command) -> str:
    """The first sentence of a command's docstring."""
    return next(iter(explained(command)[0]), "").partition(". ")[0].removesuffix(".") + "."


def commands_in_groups(command: Command) -> dict[str, list[tuple[str, str]]]:
    """Names and summaries of a group's commands, under their headings."""
    found: dict[str, list[tuple[str, str]]] = {}
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            if not inner.hidden:
                title = getattr(inner, "rich_help_panel", None) or "Commands"
                found.setdefault(title if isinstance(title, str) else "Commands", []).append((name, summary(inner)))
    return found


def parameters(command: Command) -> dict[str, list[tuple[str, str]]]:
    """Arguments and options under their headings: those without one first, options of every command last."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.params:
        if isinstance(parameter, TyperArgument) and not parameter.hidden:
            found["Arguments"].append((_metavar(parameter), parameter.help or ""))
        elif isinstance(parameter, TyperOption) and not parameter.hidden:
            row = (_option(parameter), _about(parameter))
            found.setdefault(parameter.rich_help_panel or "Options", []).append(row)
    common = found.pop(COMMON, [])
    (common or found["Options"]).append(_HELP)
    return {title: rows for title, rows in {**found, COMMON: common}.items() if rows}


def _option(option: TyperOption) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag or option.count else f"{names} {_metavar(option)}"


def _metavar(parameter: Parameter) -> str:
    choices = map(str, getattr(parameter.type, "choices", ()))
    given = (parameter.metavar or "").replace("[", "").replace("]", "")
    return given or "|".join(choices) or _METAVARS.get(parameter.type.name, (parameter.name or "").upper())


def _about(option: TyperOption) -> str:
    default: Any = option.default
    has_one = not option.is_flag and default is not None and default != () and not callable(default)
    text = option.help or ""
    return f"{text.removesuffix('.')} (default {default})." if has_one and option.show_default else text


def manual(root: Command) -> str:
    """The manual page reve(1), in man(7): every command, option and topic."""
    commands = list(walk(root))
    paragraphs, _ = explained(root)
    common = next(rows for _, command in commands[1:] for title, rows in parameters(command).items() if title == COMMON)
    examples = "\n".join(explained(command)[1] for _, command in commands)
    head: list[Section] = [
        ("NAME", ["reve - make images with the Reve model through Apiframe"]),
        ("SYNOPSIS", [usage(root, "reve")]),
        ("DESCRIPTION", paragraphs),
        ("OPTIONS", list(parameters(root).values())),
    ]
    body: list[Section] = []
    for path, command in commands[1:]:
        blocks: list[Block] = [usage(command, path), *explained(command)[0]]
        for title, rows in parameters(command).items():
            if title != COMMON:
                blocks += [f"{title}:", rows] if title not in ("Arguments", "Options") else [rows]
        body.append((path, blocks))
    return (
        f'.TH REVE 1 "" "reve {__version__}" "reve"\n.nh\n.ad l\n'
        + roff(head)
        + ".SH COMMANDS\n"
        + roff(body, level="SS")
        + roff([("OPTIONS OF EVERY COMMAND", [common])])
        + "".join(map(_topic, TOPICS))
        + roff([("EXAMPLES", [Code(examples)])])
    )


def _topic(name: str) -> str:
    topic = read(name)
    first, *others = topic.sections
    return roff([(topic.title.upper(), first[1])]) + roff(others, level="SS")


def next_words(root: Command, words: Sequence[str], start: str) -> list[tuple[str, str]]:
    """Candidates for the word after `reve help WORDS`: topics and commands, each with a line about it."""
    path, command = find(root, words)
    if path.split()[1:] != list(words) or not isinstance(command, TyperGroup):
        return []
    topics = [] if words else [(name, about(name)) for name in TOPICS]
    commands = [(name, summary(inner)) for name, inner in command.commands.items() if not inner.hidden]
    candidates = dict(topics) | {name: text for name, text in commands if words or name not in TOPICS}
    return [(name, text) for name, text in candidates.items() if name.startswith(start)]
