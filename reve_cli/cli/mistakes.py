"""What to type instead of a wrong command or of words too many. Pure functions of the words and the command tree.

May import: checks, terminal, core.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperArgument, TyperGroup

from reve_cli.cli.checks import CURLY
from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.core.models import job_id
from reve_cli.core.suggest import did_you_mean, with_beginning
from reve_cli.core.synonyms import right_command, right_option
from reve_cli.core.typer_private import Command, looks_like_an_option
from reve_cli.terminal.text import double_quote, quote

_UNKNOWN = re.compile(r"No such command '(.*?)'\.(?: Did you mean .*)?", re.DOTALL)
_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)\.?", re.DOTALL)
_LIST = re.compile(r"\S+\.(?:txt|prompts|csv|tsv|jsonl?|xlsx|ods)", re.IGNORECASE)
_IMAGE = re.compile(r"\S+\.(?:png|jpe?g|webp|avif)", re.IGNORECASE)
_CURLY = re.compile(f"[{CURLY}]")

_COMMON = ("--ar", "--seed", "--count", "--out", "--model", "--aspect-ratio", "--timeout")


def unknown_command(message: str) -> str | None:
    """The word in Typer's message about an unknown command; None for another message."""
    found = _UNKNOWN.fullmatch(message)
    return found[1] if found else None


def is_extra(message: str) -> bool:
    """Whether Typer's message is about words too many."""
    return bool(_EXTRA.match(message))


def words_too_many(message: str) -> list[str]:
    """The words too many in Typer's message."""
    found = _EXTRA.match(message)
    return found[1].split() if found else []


def words_from(arguments: Sequence[str], word: str) -> list[str]:
    """The words that begin with `word`, up to the first option."""
    start = arguments.index(word) if word in arguments else len(arguments)
    words: list[str] = []
    for each in arguments[start:]:
        if looks_like_an_option(each):
            break
        words.append(each)
    return words or [word]


def no_such_command(path: str, group: TyperGroup, typed: str, words: Sequence[str]) -> str:
    """The message for a word that is not one of the group's commands. words: the typed ones, from this one on."""
    message = f"no such command {typed!r}"
    if path != "reve":
        return message + _in_group(path, group, typed)
    if job_id(typed):
        return f"{message}; for a job: reve status {typed}"
    if _LIST.fullmatch(typed):
        return f"{message}; for a file of prompts: reve batch {quote(typed)}"
    if _CURLY.match(typed):
        prompt = _CURLY.sub("", " ".join(words))
        return f"{message}, which begins with a curly quote; use straight ones: reve generate {double_quote(prompt)}"
    if re.search(r"\s", typed):
        return f"{message}; for a prompt: reve generate {double_quote(typed)}"
    known = typed.lower()
    command = known if known in group.commands else right_command(known) or with_beginning(known, group.commands)
    if command:
        return f"{message}; use reve {command}"
    nearest = did_you_mean(known, group.commands)
    if nearest and len(words) < 3:
        return message + nearest
    lists = "" if len(words) > 1 else "; reve --help lists the commands"
    return f"{message}{lists}; for a prompt: reve generate {double_quote(' '.join(words))}"


def _in_group(path: str, group: TyperGroup, typed: str) -> str:
    name = path.removeprefix("reve ")
    command = right_command(f"{name} {typed.lower()}")
    if command:
        return f"; use reve {command}"
    if name == "history":
        nearest = did_you_mean(typed, group.commands)
        return nearest or (f"; use {path} show {typed}" if job_id(typed) else f"; use {path} --search {quote(typed)}")
    beginning = with_beginning(typed, group.commands)
    if beginning:
        return f"; use {path} {beginning}"
    return did_you_mean(typed, group.commands) or f"; the commands are {', '.join(group.commands)}"


def extra_words(path: str, command: Command, given: Mapping[str, Any], words: Sequence[str]) -> str:
    """The message for words too many. given: the arguments and options that were understood."""
    shown = " ".join(words)
    if not any(isinstance(each, TyperArgument) for each in command.params):
        right = "; for one job: reve status JOB" if path == "reve jobs" else ""
        return f"{path} takes no arguments{right}"  # the word is not repeated: it may be a key of another service
    if looks_like_an_option(words[0]) and not words[0].startswith("-"):
        return f"{words[0]!r} begins with a long dash; options begin with two hyphens: --{words[0].lstrip(_DASHES)}"
    if path == "reve generate":
        return _after_prompt(str(given.get("prompt") or ""), words)
    if path == "reve batch":
        return f"unexpected {shown!r}; reve batch takes one file: cat FILE... | reve batch -"
    return f"unexpected {shown!r}; see {path} --help"


_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


def _after_prompt(prompt: str, words: Sequence[str]) -> str:
    shown, word = " ".join(words), words[0]
    name, equals, _ = word.partition("=")
    if " " in prompt or len(words) == 1:
        if word in ASPECT_RATIOS:
            return f"unexpected {shown!r}; for the shape: --ar {word}"
        if _IMAGE.fullmatch(word):
            return f"unexpected {shown!r}; for the file: --out {quote(word)}"
        if equals and (f"--{name}" in _COMMON or right_option(name, _COMMON)):
            return f"unexpected {shown!r}; options begin with two hyphens, such as --seed 7"
    if " " in prompt:
        return f"unexpected {shown!r} after the prompt; options begin with two hyphens"
    together = _CURLY.sub("", f"{prompt} {shown}")
    return f"unexpected {shown!r}; put quotes around the prompt: reve generate {double_quote(together)}"
