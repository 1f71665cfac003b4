"""Finds text that is surely not a prompt: options inside the quotes, parameters of other tools, data, placeholders.

`generate` and `batch` refuse such a prompt before anything is sent, because each one would be paid for. Pure functions.
May import: terminal, core.
"""

import re

from reve_cli.core.errors import REPLACE, ReveError, holds_key
from reve_cli.core.models import cut
from reve_cli.terminal.text import quote

_OURS = {
    "--aspect-ratio": "aspectRatio", "--ar": "aspectRatio", "--seed": "seed", "--model-version": "version",
    "--out": "out", "--count": "", "--seeds": "", "--ratios": "", "--model": "", "--json": "", "--sandbox": "",
    "--force": "", "--dry-run": "", "--quiet": "", "--debug": "", "--no-wait": "", "--timeout": "", "--once": "",
    "--max-credits": "", "--new": "", "--run": "", "--prompt-file": "", "--api-key-file": "", "--webhook-url": "",
    "--webhook-event": "", "--idempotency-key": "",
}  # fmt: skip
"""The options that people put inside the quotes, each with the column of a table that does the same."""
_VALUE = r"""(?:(?:\s*=\s*|\s+)("[^"]*"|'[^']*'|[^\s"'-]\S*|-\d\S*))?"""
_LONG = re.compile(rf"(?<!\S)--([A-Za-z][\w-]*){_VALUE}")
_DASH = re.compile(r"(?<!\S)[\u2010-\u2015\u2212]-?(ar|aspect|v|s|c|q|w|iw|no|seed|stylize|chaos|niji|style)\s+(\d\S*)")
_SHORT = re.compile(r"(?<!\S)-([sSWHCnNUGfAvjcqt])\s?(\d+(?:\.\d+)?)(?!\S)")
_FILE = re.compile(r"(?<!\S)-(o)\s?(\S+\.(?:png|jpe?g|webp|avif))(?!\S)")
_EQUALS = re.compile(
    r"(?<!\S)(ar|aspect_?ratio|seed|steps|cfg|cfg_scale|width|height|negative_prompt|sampler|n|out)=(\S+)",
    re.IGNORECASE,
)
_AT_END = re.compile(r"(?<!\S)--([A-Za-z][\w-]*)(?:\s+[^\s-]\S*)?\s*\Z")
_PARAMETERS = re.compile(
    r"^\s*negative[ _]prompt:|\bsteps: ?\d+, ?(?:sampler|cfg|seed|size)|<(?:lora|lyco|hypernet):[^>]*>",
    re.IGNORECASE | re.MULTILINE,
)
_JSON = re.compile(r"""\s*[\[{].*["']prompt["']\s*:""", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"null|None|undefined|NaN|\$\{?[A-Za-z_]\w*\}?|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|%[A-Za-z_]\w*%|\[object Object\]"
)
_LETTERS = {"S": "--seed", "n": "--count", "N": "--count", "W": "--ar", "H": "--ar", "o": "--out"}
"""Letters that mean an option of reve inside a prompt. Others, such as `-s 50`, mean steps, style or scale."""
_SHOWN = 40
_MOST = 4
_LONGEST = 200


def refuse(text: str) -> None:
    """Raise `ReveError` (code `usage`) if a prompt for `generate` has a problem. The hint shows how to send it."""
    found = problem(text)
    if not found:
        return
    if holds_key(text):
        raise ReveError("usage", found, hint=REPLACE)
    raise ReveError("usage", found, hint=f"to send it as it is: reve generate -- {quote(cut(text, _LONGEST))}")


def problem(text: str, *, in_batch: bool = False) -> str:
    """Why `text` is not meant as a prompt, and the right way; "" if nothing is found.

    in_batch: name columns of a table as well as options.
    """
    if holds_key(text):
        return "the prompt contains an API key"
    if _PLACEHOLDER.fullmatch(text.strip()):
        return f"the prompt is {text.strip()!r}, which stands for a text that was not filled in"
    if _JSON.match(text):
        return "the prompt is JSON; give the text of its prompt, or a file of such lines to reve batch"
    if found := _PARAMETERS.search(text):
        return f"the prompt contains {_shown(found[0])}, a parameter of another tool; leave it out"
    return _option(text, in_batch=in_batch)


def _option(text: str, *, in_batch: bool) -> str:
    """Each option in `text`, with the right way to say it; "" if there is none."""
    found: dict[str, str] = {}
    for pattern in (_LONG, _DASH, _SHORT, _FILE, _EQUALS, _AT_END):
        for match in pattern.finditer(text):
            name = match[1] if len(match[1]) == 1 else "--" + match[1].replace("_", "-").lower()
            if name in _OURS or _is_elsewhere(name) or pattern is _AT_END:
                value = match[2] if pattern.groups > 1 else ""
                found.setdefault(_shown(match[0]), _right(name, value or "", in_batch=in_batch))
        if found:
            break
    listed = ", ".join(f"{shown} ({right})" for shown, right in list(found.items())[:_MOST])
    return f"the prompt contains {listed}" if found else ""


def _is_elsewhere(name: str) -> bool:
    from reve_cli.core.synonyms import is_option_elsewhere  # a large table, for mistakes only

    return is_option_elsewhere(name)


def _right(name: str, value: str, *, in_batch: bool) -> str:
    """The right way to give an option that is inside a prompt. name: with hyphens, or a single letter."""
    option = name if name in _OURS else _LETTERS.get(name, "")
    if not option and len(name) > 1:
        from reve_cli.core.synonyms import right_option

        advice = right_option(name, _OURS)
        option = next((word for word in advice.split() if word in _OURS), "")
        value = ""
        if not option and advice.startswith("use"):
            return advice
    if not option:
        return "leave it out: Reve has nothing like it"
    if in_batch and option == "--count":
        return "for several images of each line: --seeds 1-N"
    where = "give it to the whole batch" if in_batch else "put options outside the quotes"
    column = f", or a column {_OURS[option]}" if in_batch and _OURS[option] else ""
    shape = "W:H" if option == "--ar" else ""
    value = shape if name in ("W", "H") else value or shape
    return f"{where}: {' '.join(filter(None, (option, value)))}{column}"


def _shown(text: str) -> str:
    return repr(cut(" ".join(text.split()), _SHOWN))
