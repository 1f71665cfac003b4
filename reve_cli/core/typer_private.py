"""Every private name of Typer that reve uses: a later Typer means changing this module and no other.

Typer keeps its copy of click in `typer._click` and exports only part of it. May import: nothing of ours.
"""

import re
from collections.abc import Sequence

from typer._click import Command as Command
from typer._click import Context as Context
from typer._click import Parameter as Parameter
from typer._click.exceptions import BadOptionUsage as BadOptionUsage
from typer._click.exceptions import BadParameter as BadParameter
from typer._click.exceptions import NoSuchOption as NoSuchOption
from typer._click.parser import _Option, _OptionParser, _ParsingState
from typer._click.shell_completion import CompletionItem as CompletionItem
from typer._click.shell_completion import _is_incomplete_argument, _resolve_context
from typer._click.shell_completion import split_arg_string as split_arg_string

_LITERAL, _ATTACHED = "reve.literal", "reve.attached"
_LIKE_AN_OPTION = re.compile(r"-[^\W\d_]|--|[\u2010-\u2015\u2212]+-*[^\W\d_]")
"""The start of a word that is meant as an option, even if its hyphens became dashes. `-` and `-1` are values."""


def context_after(root: Command, words: list[str], obj: object) -> Context:
    """Parse `words` as far as the command they call, without running callbacks. `obj` is the context's object."""
    return _resolve_context(root, {"obj": obj}, "reve", words)


def takes_more(context: Context, parameter: Parameter) -> bool:
    """Tell whether `parameter` is an argument that can still accept a value."""
    return _is_incomplete_argument(context, parameter)


def has_unknown_subcommand(context: Context) -> bool:
    """Tell whether a word follows a group's name that is not one of its subcommands."""
    return bool(context._protected_args)


def parse_strictly(command: Command) -> None:
    """Make `command` refuse a value that looks like an option. `--out=--sandbox` and all after `--` are values."""

    def make_parser(context: Context) -> _OptionParser:
        parser = _StrictParser(context)
        for parameter in command.get_params(context):
            parameter.add_to_parser(parser, context)
        return parser

    command.make_parser = make_parser  # type: ignore[method-assign,assignment]


def looks_like_an_option(word: str) -> bool:
    """Tell whether a word is meant as an option, known or not. `-` and negative numbers are not."""
    return bool(_LIKE_AN_OPTION.match(word))


def was_literal(context: Context, value: object) -> bool:
    """Tell whether an argument was given after `--`."""
    return value in context.meta.get(_LITERAL, ())


def was_attached(context: Context, name: str | None) -> bool:
    """Tell whether the option with this parameter name was given as `--option=VALUE`."""
    return name in context.meta.get(_ATTACHED, ())


class _StrictParser(_OptionParser):
    """Click's parser, which takes any word as a value, with the values that are surely not meant refused."""

    def _process_args_for_options(self, state: _ParsingState) -> None:
        super()._process_args_for_options(state)
        if self.ctx is not None and self.allow_interspersed_args:
            self.ctx.meta[_LITERAL] = tuple(state.rargs)

    def _match_long_opt(self, opt: str, explicit_value: str | None, state: _ParsingState) -> None:
        option = self._long_opt.get(opt)
        if option is None or not option.takes_value or explicit_value is None:
            super()._match_long_opt(opt, explicit_value, state)
            return
        if self.ctx is not None:
            self.ctx.meta.setdefault(_ATTACHED, set()).add(option.dest)
        option.process(explicit_value, state)

    def _match_short_opt(self, arg: str, state: _ParsingState) -> None:
        for place, letter in enumerate(arg[1:], start=2):
            option = self._short_opt.get(f"{arg[0]}{letter}")
            if option is not None and option.takes_value:
                self._check_attached(option, arg, arg[place:])
                break
        super()._match_short_opt(arg, state)

    def _check_attached(self, option: _Option, word: str, value: str) -> None:
        """Refuse `-o=x.png`, which would name a file `=x.png`, and `-o--sandbox`."""
        short, long = option._short_opts[0], _name(option)
        if value.startswith("="):
            right = f"{short} {value[1:]} or {long}={value[1:]}" if value[1:] else f"{short} VALUE"
            raise BadOptionUsage(short, f"{word!r} is unclear; use {right}", self.ctx)
        if word.startswith(long[1:]):
            raise BadOptionUsage(short, f"{word!r} is unclear; use two hyphens: {long} VALUE", self.ctx)
        if value.startswith("--"):
            raise BadOptionUsage(short, f"{word!r} is unclear; use {long}={value}, or {short} VALUE {value}", self.ctx)

    def _get_value_from_state(self, option_name: str, option: _Option, state: _ParsingState) -> str | Sequence[str]:
        if not state.rargs:
            raise BadOptionUsage(option_name, f"{_name(option, option_name)} needs a value", self.ctx)
        value = state.rargs[0]
        if looks_like_an_option(value):
            raise BadOptionUsage(option_name, self._missing(option, _name(option, option_name), value), self.ctx)
        return super()._get_value_from_state(option_name, option, state)

    def _missing(self, option: _Option, name: str, value: str) -> str:
        if value == "--":
            return f"{name} needs a value before '--'"
        is_known = value.partition("=")[0] in self._long_opt or value[:2] in self._short_opt
        what = "is an option" if is_known else "looks like an option"
        right = f"for a file of that name: ./{value}" if _is_path(option) else f"to use it as the value: {name}={value}"
        return f"{name} needs a value; {value!r} {what} ({right})"


def _name(option: _Option, typed: str = "-") -> str:
    """The long name of an option: the one that was typed, if it is one."""
    return typed if typed in option._long_opts else str((option._long_opts or option._short_opts)[0])


def _is_path(option: _Option) -> bool:
    return option.obj.metavar in ("PATH", "FILE")
