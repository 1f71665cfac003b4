"""The API's published request schema, as checks. Unknown fields of a body are invalid at every level.

A check yields each violation as a JSON path and a text; a valid value yields nothing.

May import: core.contract, core.models.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, JOB_STATUSES, PROMPT_LIMIT, WEBHOOK_EVENTS
from reve_cli.core.models import is_web_url, job_id, utf16_units

Check = Callable[[Any, str], Iterator[tuple[str, str]]]
Details = dict[str, list[str]]


def string(least: int = 0, most: int | None = None, valid: Callable[[str], object] = bool, kind: str = "") -> Check:
    """A string of `least` to `most` UTF-16 units. With a `kind`, such as uuid, it must also be `valid`."""

    def check(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, str):
            yield path, f"Expected string, received {_kind(value)}"
        elif utf16_units(value) < least:
            yield path, f"String must contain at least {least} character(s)"
        elif most is not None and utf16_units(value) > most:
            yield path, f"String must contain at most {most} character(s)"
        elif kind and not valid(value):
            yield path, f"Invalid {kind}"

    return check


def choice(allowed: Sequence[str]) -> Check:
    def check(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, str) or value not in allowed:
            yield path, f"Expected one of {', '.join(allowed)}"

    return check


def integer(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """As in JSON Schema, 1.0 is an integer and true is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield path, f"Expected integer, received {_kind(value)}"
    elif isinstance(value, float) and not value.is_integer():
        yield path, "Expected integer, received float"


def array(item: Check) -> Check:
    def check(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, list):
            yield path, f"Expected array, received {_kind(value)}"
        elif not value:
            yield path, "Array must contain at least 1 element(s)"
        else:
            for index, each in enumerate(value):
                yield from item(each, f"{path}.{index}")

    return check


def record(fields: Mapping[str, Check], required: Iterable[str] = ()) -> Check:
    def check(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, dict):
            yield path, f"Expected object, received {_kind(value)}"
            return
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                yield prefix + name, "Required"
        for name, each in value.items():
            if name in fields:
                yield from fields[name](each, prefix + name)
            else:
                yield prefix + name, "Unrecognized field"

    return check


def _number_text(lowest: int, highest: int) -> Check:
    return string(
        valid=lambda text: text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest,
        kind=f"integer: expected {lowest} to {highest}",
    )


UUID = string(valid=job_id, kind="uuid")

GENERATE = record(
    {
        "prompt": string(1, PROMPT_LIMIT),
        "model": choice((DEFAULT_MODEL,)),
        "reveParams": record({"seed": integer, "aspect_ratio": choice(ASPECT_RATIOS), "version": string()}),
        "webhookUrl": string(valid=is_web_url, kind="url"),
        "webhookEvents": array(choice(WEBHOOK_EVENTS)),
    },
    required=("prompt", "model"),
)

LIST_QUERY: Mapping[str, Check] = {
    "status": choice(JOB_STATUSES),
    "model": string(),
    "limit": _number_text(1, 100),
    "cursor": string(),
    "scope": choice(("user", "team")),
    "search": UUID,
    "include_models": choice(("true", "false")),
}

MODELS_QUERY: Mapping[str, Check] = {"modality": choice(("image", "video", "music"))}


def violations(check: Check, value: Any, path: str = "") -> Details:
    """The violations in `value`, by JSON path; empty if it is valid."""
    found: Details = {}
    for where, text in check(value, path):
        found.setdefault(where, []).append(text)
    return found


def read_json(body: bytes) -> Any:
    """The JSON value in `body`. Raises ValueError if it is invalid, also for NaN and Infinity, which Python accepts."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_query(query: str, allowed: Mapping[str, Check]) -> tuple[dict[str, str], Details]:
    """The parameters of a query string, and their violations. Unknown parameters are ignored."""
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] in allowed]
    values = dict(pairs)
    found = violations(record(allowed), values)
    names = [name for name, _ in pairs]
    for name in values:
        if names.count(name) > 1:
            found.setdefault(name, []).append("Given more than once")
    return values, found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "boolean", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "number")
