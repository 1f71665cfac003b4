"""Checks of arguments and options, run by the parser before the command: what is surely not meant is refused here.

Everything after `--` is taken as it is. May import: actions (late), terminal, core.
"""

import os
import re

import typer

from reve_cli.core.errors import REPLACE, ReveError, holds_key
from reve_cli.core.typer_private import looks_like_an_option, was_attached, was_literal
from reve_cli.terminal.text import double_quote, quote

CURLY = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_FILE = r"(?i)\S+\.(?:txt|prompts|csv|tsv|jsonl?|md|xlsx|ods)"
_WORDS_FOR_FLAGS = ("true", "false", "yes", "no", "on", "off")


def prompt(ctx: typer.Context, value: str | None) -> str | None:
    """Refuse a prompt that is a command, an option, a file's name, or has options in it."""
    if value in (None, "-") or ctx.resilient_parsing or was_literal(ctx, value):
        return value
    assert value is not None
    from reve_cli.inputs import foreign

    word, hint = value.strip(), f"to send it as it is: reve generate -- {quote(value)}"
    if looks_like_an_option(word):
        message = f"the prompt begins with a long dash, {word[:1]!r}; options begin with '--'"
        raise ReveError("usage", message, hint=hint)
    if word[:1] in CURLY and word[:1]:
        raise ReveError(
            "usage",
            f"the prompt is in curly quotes, {word[:1]!r}; use straight ones",
            hint=hint if word[-1:] in CURLY else None,
        )
    if word.lower() in getattr(ctx.find_root().command, "commands", {}):
        raise ReveError("usage", f"{word!r} is a command; for its help: reve help {_helped(word.lower())}", hint=hint)
    if word.lower() in _WORDS_FOR_FLAGS:
        raise ReveError("usage", f"{word!r} is no prompt; options such as --sandbox take no value", hint=hint)
    if re.fullmatch(_FILE, word):
        right = f"--prompt-file {quote(word)} for one prompt, or reve batch {quote(word)}"
        raise ReveError("usage", f"{word!r} is the name of a file; use {right}", hint=hint)
    foreign.refuse(value)
    return value


def _helped(word: str) -> str:
    """The words for `reve help` about a command that was typed as a prompt."""
    return "generate" if word == "help" else word


def prompts_file(ctx: typer.Context, value: str) -> str:
    """Refuse a prompt where `batch` needs the file of prompts."""
    is_prose = re.search(r"\s", value.strip()) and not was_literal(ctx, value)
    if is_prose and not ctx.resilient_parsing and not os.path.lexists(value):
        message = f"{value!r} is not a file; for one prompt: reve generate {double_quote(value)}"
        raise ReveError("usage", message, hint="reve batch --help")
    return value


def seed(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """Refuse the seed -1, by which other tools mean a random one, unless it is given as `--seed=-1`."""
    if value is not None and not ctx.resilient_parsing and value.strip() == "-1" and not was_attached(ctx, param.name):
        right = "use --seed random, or --seed=-1 for the number"
        message = f"--seed -1 means a random seed in other tools; {right}"
        raise ReveError("usage", message, hint=f"{ctx.command_path} --help")
    return value


def no_key(name: str, value: object) -> None:
    """Refuse an API key as the value of an argument or option, without repeating it: the journal would keep it."""
    values = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(each, str) and holds_key(each) for each in values):
        raise ReveError("usage", f"{name} contains an API key", hint=REPLACE)
