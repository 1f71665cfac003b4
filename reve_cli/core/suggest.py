"""Suggestions for misspelt words: a synonym, the word that begins so, or the nearest spelling.

Nothing is suggested if nothing is near: a wrong guess misleads. May import: core.synonyms.
"""

from collections.abc import Iterable

_SHORTEST = 2
"""Letters that a beginning needs to stand for the whole word."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: `. Did you mean 'seed'?`, or "" if no known word is meant or near."""
    from reve_cli.core.synonyms import right_value  # a large table, for mistakes only

    known = list(known)
    meant = right_value(word, known) or with_beginning(word, known) or _nearest(word, known)
    return f". Did you mean {meant!r}?" if meant else ""


def with_beginning(word: str, known: Iterable[str]) -> str:
    """The only known word that begins with `word`; "" if there is none, or several."""
    bare = word.lstrip("-").lower()
    found = {each for each in known if each.lstrip("-").lower().startswith(bare)}
    return found.pop() if len(found) == 1 and len(bare) >= _SHORTEST else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    """The known word with the fewest typing errors, if they are few for its length and it begins alike."""
    typed = word.lstrip("-").lower()
    best, fewest = "", len(typed)
    for each in known:
        bare = each.lstrip("-").lower()
        errors = _errors(typed, bare)
        allowed = (len(typed) + 1) // 3 if typed[:1] == bare[:1] else 1
        if errors <= allowed and errors < fewest and len(bare) > 1:
            best, fewest = each, errors
    return best


def _errors(one: str, other: str) -> int:
    """The typing errors between two words: letters added, left out, changed, or swapped with the next."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        current = [i]
        for j, there in enumerate(other, start=1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (letter != there))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == there:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return row[-1]
