"""Suggestions for misspelt words.

May import: nothing of ours.
"""

import difflib
import itertools
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: `. Did you mean 'seed'?`, or "" if no known word is similar."""
    bare = {each.lstrip("-"): each for each in known}
    typed = word.lstrip("-").lower()
    near = difflib.get_close_matches(typed, bare)
    best = max(
        near, key=lambda name: _same_beginning(typed, name), default=None
    )  # for 16:10, suggest 16:9 rather than 1:1
    return f". Did you mean {bare[best]!r}?" if best else ""


def _same_beginning(one: str, other: str) -> int:
    """The length of the beginning that two words share."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
