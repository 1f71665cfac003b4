"""Commands that are loaded when they are used, so that a command loads no other command's module.

May import: help, core.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

import typer
from typer.core import TyperGroup

from reve_cli.core.typer_private import Command, parse_strictly
from reve_cli.help.tree import describe_commands, walk


class LazyCommands(Mapping[str, Command]):
    """The commands of a group, by name. Looking one up imports its module; the names alone import none."""

    def __init__(self, package: str, headings: Mapping[str, str]) -> None:
        """package: has a module for each command, with its function, or with the Typer `app` of a group.

        headings: the heading in the help, by the command's name.
        """
        self._package, self._headings = package, headings
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            heading = self._headings[name]
            module = import_module(f"{self._package}.{name}")
            group = typer.Typer(callback=lambda: None, add_completion=False, rich_markup_mode=None)
            if hasattr(module, "app"):
                group.add_typer(module.app, name=name, rich_help_panel=heading)
            else:
                group.command(name, rich_help_panel=heading)(getattr(module, name))
            self._loaded[name] = prepared(build(group).commands[name], f"reve {name}")
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._headings

    def __iter__(self) -> Iterator[str]:
        return iter(self._headings)

    def __len__(self) -> int:
        return len(self._headings)


def build(group: typer.Typer) -> TyperGroup:
    """The group as a command that can be called."""
    built = typer.main.get_command(group)
    assert isinstance(built, TyperGroup)
    return built


def prepared(command: Command, path: str) -> Command:
    """Make a command and those below it answer --help with reve's text, and refuse likely mistakes."""
    for _, each in walk(describe_commands(command, path), path):
        parse_strictly(each)
    return command
