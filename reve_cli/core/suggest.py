"""What somebody may have meant. Imports the standard library."""

import difflib
import itertools
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `word`: the nearest of those known, or nothing where none is near."""
    bare = {each.lstrip("-"): each for each in known}
    typed = word.lstrip("-").lower()
    near = difflib.get_close_matches(typed, bare)
    best = max(near, key=lambda name: _same_beginning(typed, name), default=None)  # 16:9 for 16:10, and not 1:1
    return f". Did you mean {bare[best]!r}?" if best else ""


def _same_beginning(one: str, other: str) -> int:
    """How many characters two words have in common at their beginnings."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
