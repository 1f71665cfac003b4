"""The completion scripts for bash, zsh, fish and PowerShell, made from the files in shells/.

The scripts of bash, zsh and fish contain a table of all commands, options and fixed values. They answer from it as
`completion` does, and start reve only for other values, such as jobs. Each command has three lists in the table:

    follow  the words that may follow its name, and the help of each
    opts    its options: names, separated by blanks, after a + if the option may be repeated; values; help
    args    the values of each argument; after the last, a + if it may be repeated

Values are words separated by blanks, or one of the marks below. They are empty if any word is valid.

May import: completion, help, core.
"""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from typer.core import TyperArgument, TyperGroup, TyperOption

from reve_cli.cli.completion import LONGEST_HELP, plain, values
from reve_cli.core.typer_private import Command, Context, context_after
from reve_cli.help.manual import next_words
from reve_cli.help.tree import walk

FILES = {"bash": "reve.bash", "zsh": "_reve", "fish": "reve.fish", "powershell": "reve.ps1"}
"""The file of each shell, in completions/ and, without the table, in shells/."""
_INDENT = "\n" + 12 * " "
_FOLDER = Path(__file__).with_name("shells")
_FLAG = "-"
"""Mark of an option that takes no value."""


class Line(NamedTuple):
    """A command in the table."""

    name: str
    follow: list[str]
    opts: list[str]
    args: list[str]


def script(shell: str, root: Command) -> str:
    """The completion script for `bash`, `zsh`, `fish` or `powershell`."""
    text = _read(FILES[shell])
    if shell == "fish":
        return text.replace("TABLE\n", "".join(_fish_rows(root)))
    return text.replace("FIXED\n", _read("fixed.sh").replace("TABLE\n", "".join(_rows(root))))


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def table(root: Command) -> Iterator[Line]:
    """The lines of the table."""
    for name, command in walk(root):
        context = context_after(root, name.split()[1:], None)
        opts, args = _options(context), [*_arguments(context)]
        if name == "reve help":
            yield from _of_help(root, name, opts, [])
        else:
            follow = []
            if isinstance(command, TyperGroup):
                for word, inner in command.commands.items():
                    if not inner.hidden:
                        follow += [word, plain(inner.get_short_help_str(LONGEST_HELP))]
            yield Line(name, follow, opts, args)


def _options(context: Context) -> list[str]:
    found = []
    for option in context.command.get_params(context):
        if isinstance(option, TyperOption) and not option.hidden:
            names = " ".join([*option.opts, *option.secondary_opts])
            what = _FLAG if option.is_flag else " ".join(item.value for item in values(context, option, ""))
            found += [f"{'+' * option.multiple}{names}", what, plain(option.help or "")]
    return found


def _arguments(context: Context) -> Iterator[str]:
    for argument in context.command.get_params(context):
        if isinstance(argument, TyperArgument):
            yield " ".join(item.value for item in values(context, argument, ""))
            if argument.nargs == -1:
                yield "+"


def _of_help(root: Command, name: str, opts: list[str], words: list[str]) -> Iterator[Line]:
    """The lines of `reve help` and of all that may follow it."""
    found = next_words(root, words, "")
    yield Line(name, [plain(text) for row in found for text in row], opts, ["", "+"])
    for word, _ in found:
        yield from _of_help(root, f"{name} {word}", opts, [*words, word])


def _rows(root: Command) -> Iterator[str]:
    """The table for bash and zsh."""
    for names, line in _grouped(root):
        yield f"    {' | '.join(map(shlex.quote, names))})\n"
        for name, items in _items(line, shlex.quote, " "):
            yield f"        {name}=({''.join(f'{_INDENT}{item}' for item in items)})\n"
        yield "        ;;\n"


def _fish_rows(root: Command) -> Iterator[str]:
    """The table for fish, where the parts of an item are in one word, with tabs between them."""
    for names, line in _grouped(root):
        yield f"        case {' '.join(map(_fish_quote, names))}\n"
        for name, items in _items(line, _fish_quote, r"\t"):
            yield " \\\n                ".join([f"            set {name}", *items]) + "\n"


def _grouped(root: Command) -> Iterator[tuple[list[str], Line]]:
    """The lines of the table that differ, each with the names of its commands."""
    groups: dict[str, tuple[list[str], Line]] = {}
    for line in table(root):
        groups.setdefault(repr(line[1:]), ([], line))[0].append(line.name)
    yield from groups.values()


def _items(line: Line, quote: Callable[[str], str], between: str) -> Iterator[tuple[str, list[str]]]:
    """The lists of a line, by name. Each item is quoted and has all its parts."""
    for name, words, parts in (("follow", line.follow, 2), ("opts", line.opts, 3), ("args", line.args, 1)):
        quoted = [quote(word) for word in words]
        yield name, [between.join(quoted[start : start + parts]) for start in range(0, len(quoted), parts)]


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"
