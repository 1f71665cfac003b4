"""Flags before the command. May import: help, core."""

from collections.abc import Sequence

from reve_cli.core.typer_private import Command
from reve_cli.help.tree import find

FLAGS = ("--json", "--quiet", "-q", "--debug", "--sandbox")
"""The options without a value that also work before the command."""


def in_order(arguments: Sequence[str], root: Command) -> list[str]:
    """Move the common flags at the start of a command line behind its command: `--sandbox generate` works."""
    start = next((place for place, word in enumerate(arguments) if word not in FLAGS), len(arguments))
    flags, rest = list(arguments[:start]), list(arguments[start:])
    if not rest or rest[0].startswith("-"):
        return list(arguments)
    words = len(find(root, rest)[0].split()) - 1
    return [*rest[:words], *flags, *rest[words:]] if words else [*rest, *flags]
