"""Reads the file of a batch into items: one prompt per line, CSV with a header, JSON Lines, or a manifest.

One item is held in memory at a time. An invalid line is reported with its number, and reading goes on, so that a user
sees all errors at once.
May import: actions.inputs, settings, terminal, core.
"""

import csv
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from reve_cli.actions.inputs import TimedFile, open_file, to_seed, to_seeds
from reve_cli.core.clock import Deadline
from reve_cli.core.contract import ASPECT_RATIOS, SEED_LIMIT
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, cut, echo
from reve_cli.core.templates import parse
from reve_cli.settings.settings import Settings
from reve_cli.terminal.text import quote

FORMATS = ("text", "csv", "jsonl")
PROMPTS = "prompts"  # text without --format: lines of JSON are refused
FIELDS = ("prompt", "seed", "aspectRatio", "version", "out")
_NAMES = {name.lower(): name for name in FIELDS} | {"aspect_ratio": "aspectRatio"}
_LONGEST = 1 << 20  # characters of a line
_LONGEST_NAME = 200
_EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_OTHER_DATA = re.compile(r"\.(json|tsv|ya?ml|toml|xml|xlsx?|ods|parquet|gz|bz2|xz|zst|zip|tar|tgz)")
_LIKE_JSON = re.compile(r'[\[{][\[{\s]*(["\]}]|$)')
_NOT_OF_TEXT = re.compile("[\0\ud800-\udfff]")
_TOO_LONG = f"the line is longer than {_LONGEST:,} characters"

Lines = Iterator[tuple[int, dict[str, Any]]]
"""Line numbers, each with the fields of its line."""
Bad = Callable[[int, str], None]
"""Called with the number of an invalid line and the reason."""


@dataclass(frozen=True)
class Item:
    """One image of the batch. out: template of its path in the output folder, or None for the default name.

    source: run and id of the item, if the line is from a manifest; lines with the same source are one image.
    """

    line: int
    request: ImageRequest
    out: str | None
    source: str | None = None


@dataclass(frozen=True)
class Multiples:
    """Seeds and ratios, in all combinations, for every line. If empty, the line or the default decides."""

    seeds: Sequence[int] = ()
    ratios: Sequence[str] = ()

    @classmethod
    def of(cls, seeds: str | None, ratios: str | None) -> "Multiples":
        """Parse --seeds (`1-8`, `1,5,9-12`) and --ratios (`1:1,16:9`). Raises `ReveError` (code `usage`)."""
        found = [] if seeds is None else to_seeds(seeds)
        named = [] if ratios is None else [part.strip() for part in ratios.split(",")]
        for ratio in named:
            if ratio not in ASPECT_RATIOS:
                raise ReveError("usage", f"--ratios: {echo(ratio)} is not one of {', '.join(ASPECT_RATIOS)}")
        for option, values in (("--seeds", found), ("--ratios", named)):
            if len(set(values)) < len(values):
                raise ReveError("usage", f"{option} contains the same value twice")
        return cls(found, named)

    def __call__(self, item: Item) -> Iterator[Item]:
        """Yield `item` in all combinations."""
        for ratio in self.ratios or (item.request.aspect_ratio,):
            for seed in self.seeds or (item.request.seed,):
                yield replace(item, request=replace(item.request, aspect_ratio=ratio, seed=seed))

    def check(self, seed: object, ratio: object) -> None:
        """Raises `ReveError` (code `usage`) if a line has a seed or ratio of its own as well."""
        if self.seeds and seed is not None:
            raise ReveError("usage", "seed conflicts with --seeds; use one of them")
        if self.ratios and ratio is not None:
            raise ReveError("usage", "aspectRatio conflicts with --ratios; use one of them")


def read_items(file: TextIO, kind: str, defaults: ImageRequest, multiples: Multiples, bad: Bad) -> Iterator[Item]:
    """Yield the items of `file`. kind: one of `FORMATS`, or `PROMPTS`."""
    for line, fields in _LINES[kind](file, bad):
        try:
            multiples.check(fields.get("seed"), fields.get("aspectRatio"))
            yield from multiples(_item(line, fields, defaults))
        except ReveError as error:
            bad(line, _of_a_line(error.message))


def format_of(path: str, given: str | None) -> str:
    """The format of a file: `given` with --format, or else from its extension. Raises `ReveError` (code `usage`)."""
    if given is not None and given not in FORMATS:
        raise ReveError("usage", f"--format {echo(given)} is not one of {', '.join(FORMATS)}")
    extension = os.path.splitext(path)[1].lower()
    if given is None and _OTHER_DATA.fullmatch(extension):
        converted = f"jq -c '.[]' {quote(path)} | reve batch - --format jsonl" if extension == ".json" else None
        message = f"unknown format of {path}; name it with --format {'|'.join(FORMATS)}"
        raise ReveError("usage", message, hint=converted)
    return given or _EXTENSIONS.get(extension, PROMPTS)


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Parse --shard I/N. Raises `ReveError` (code `usage`)."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ReveError("usage", f"--shard {echo(text)} is not I/N, such as 1/4 (I from 1 to N)")
    return int(found[1]), int(found[2])


def run_name(text: str | None, shard: str | None, *, new: bool) -> str | None:
    """Check --run. Raises `ReveError` (code `usage`) if the name is invalid, or shards have none."""
    if text is not None and (not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME):
        raise ReveError("usage", f"--run takes a name of 1 to {_LONGEST_NAME} printable characters")
    if shard is not None and text is None:
        raise ReveError("usage", "--shard needs --run NAME; use the same name for all shards")
    if new and text is not None:
        raise ReveError("usage", "--new cannot be used with --run; to start over, use another name")
    return text


def rate_of(text: str | None) -> float | None:
    """Parse --rate, N or N/min requests per minute. Raises `ReveError` (code `usage`)."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})(?:/min)?", text)
    if not found or not int(found[1]):
        raise ReveError("usage", f"--rate {echo(text)} is not a number of requests per minute, such as 300/min")
    return float(found[1])


def defaults(
    settings: Settings,
    multiples: Multiples,
    *,
    model: str | None = None,
    version: str | None = None,
    ratio: str | None = None,
    seed: str | None = None,
) -> ImageRequest:
    """The request of a line that sets nothing but its prompt. Raises `ReveError` (code `usage`)."""
    if seed == "random":
        raise ReveError("usage", "--seed random would pay for new images in each run; omit it, or use --seeds")
    if seed is not None and multiples.seeds:
        raise ReveError("usage", "--seed cannot be used with --seeds")
    if ratio is not None and multiples.ratios:
        raise ReveError("usage", "--aspect-ratio cannot be used with --ratios")
    return ImageRequest(
        prompt="any",
        model=settings.model if model is None else model,
        seed=None if seed is None else to_seed(seed),
        aspect_ratio=settings.aspect_ratio if ratio is None else ratio,
        version=settings.model_version if version is None else version,
    )


def _item(line: int, fields: Mapping[str, Any], defaults: ImageRequest) -> Item:
    """The item of a line. Raises `ReveError` (code `usage`) if a field is invalid."""
    for name in ("prompt", "aspectRatio", "version", "out"):
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise ReveError("usage", f"{name} must be text")
    prompt, out = fields.get("prompt"), fields.get("out")
    if prompt is None:
        raise ReveError("usage", "no prompt")
    given: dict[str, Any] = {"seed": _seed(fields.get("seed"))}
    given |= {"aspect_ratio": fields.get("aspectRatio"), "version": fields.get("version")}
    source = fields.get("source")
    if source is None:
        given = {name: value for name, value in given.items() if value is not None}
    elif isinstance(fields.get("model"), str):
        given["model"] = fields["model"]
    request = replace(defaults, prompt=prompt, **given)
    return Item(line, request, None if out is None else _checked_out(out), source)


def _seed(value: object) -> int | None:
    """The seed in a field. Raises `ReveError` (code `usage`)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ReveError("usage", "seed must be a whole number")
    try:
        seed = to_seed(str(value))
    except ReveError:
        seed = None
    if seed is None or abs(seed) > SEED_LIMIT:
        message = f"seed {echo(str(value))} is not a whole number from -{SEED_LIMIT} to {SEED_LIMIT}"
        raise ReveError("usage", message)
    return seed


def _of_a_line(message: str) -> str:
    """The message about an option as a message about a field."""
    for option, field in (("--aspect-ratio", "aspectRatio"), ("--model-version", "version")):
        message = re.sub(rf"^{option}\b", field, message)
    return message


def _checked_out(out: str) -> str:
    """Check the path of an item's image. Raises `ReveError` if it leaves the output folder or cannot be a file."""
    try:
        parse(out)
    except ValueError as error:
        raise ReveError("usage", cut(f"out: {error}")) from error
    parts = out.replace("\\", "/").split("/")
    climbs = os.path.isabs(out) or os.path.splitdrive(out)[0] or ".." in parts or "" in parts or parts[-1] == "."
    if climbs or not out.isprintable():
        raise ReveError("usage", f"out {echo(out)} must be a file path inside the output folder")
    return out


def _text_lines(file: TextIO, bad: Bad) -> Lines:
    for number, line in _numbered(file, bad):
        if line.strip():
            yield number, {"prompt": line}


def _prompt_lines(file: TextIO, bad: Bad) -> Lines:
    """Like text, but without --format text a line of JSON is more likely a mistake than a prompt."""
    for number, fields in _text_lines(file, bad):
        if problem := _json_in(fields["prompt"].strip()):
            bad(number, problem)
        else:
            yield number, fields


def _json_in(line: str) -> str:
    """The error for a prompt that is JSON, or a part of JSON on several lines; empty for other prompts."""
    if not _LIKE_JSON.match(line):
        return ""
    try:
        is_object = isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        is_object = False
    if is_object:
        return "a JSON object is not a prompt; add --format jsonl, or --format text to use lines as they are"
    return (
        "JSON is not a prompt; convert it with jq -c for --format jsonl, or add --format text to use lines as they are"
    )


def _json_lines(file: TextIO, bad: Bad) -> Lines:
    for number, line in _numbered(file, bad):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            bad(number, f"invalid JSON: {error.msg}")
            continue
        except (ValueError, RecursionError):
            bad(number, "invalid JSON: nested too deeply, or a number is too long")
            continue
        if not isinstance(found, dict):
            bad(number, "not a JSON object")
        elif {"run", "item"} <= found.keys():
            if found["item"] is not None:  # else the line is about a run
                yield number, _of_manifest(found)
        elif problem := _unknown(list(found)):
            bad(number, problem)
        else:
            yield number, {_NAMES[name.lower()]: value for name, value in found.items()}


def _of_manifest(line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line of a manifest. The same request is made again, whatever the options are."""
    request = line.get("request")
    model = request.get("model") if isinstance(request, dict) else None
    return {**{name: line.get(name) for name in FIELDS}, "model": model, "source": f"{line['run']} {line['item']}"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("duplicate key", "", 0)
    return found


def _csv_lines(file: TextIO, bad: Bad) -> Lines:
    rows = csv.reader(_limited(file), strict=True)
    header: list[str] | None = None
    start = 1
    while True:
        row: list[str] | None = []
        try:
            row = next(rows, None)
        except (csv.Error, ReveError) as error:
            lost = rows.line_num > start or isinstance(error, ReveError)
            why = error.message if isinstance(error, ReveError) else f"invalid CSV: {error}"
            bad(start, why + ("; the rest of the file was not read" if lost else ""))
            if lost:
                return  # the start of the next row is unknown
        number, start = start, rows.line_num + 1
        if row is None:
            break
        if problem := _not_text("".join(row), number):
            bad(number, problem)
            continue
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [name.strip() for name in row]
            problem = _unknown(header) or ("" if "prompt" in map(str.lower, header) else "no prompt column")
            if problem:
                bad(number, f"the header: {problem}")
                return
        elif len(row) > len(header):
            bad(number, f"{len(row)} cells, but the header has {len(header)}")
        else:
            cells = {_NAMES[name.lower()]: cell for name, cell in zip(header, row, strict=False) if cell.strip()}
            yield number, {name: cell if name == "prompt" else cell.strip() for name, cell in cells.items()}


_LINES: dict[str, Callable[[TextIO, Bad], Lines]] = {
    "text": _text_lines,
    PROMPTS: _prompt_lines,
    "csv": _csv_lines,
    "jsonl": _json_lines,
}


def _unknown(names: Sequence[str]) -> str:
    """The error in a list of field names; empty if they are valid."""
    for name in names:
        if name.lower() not in _NAMES:
            return f"unknown field {echo(name)}; fields: {', '.join(FIELDS)}"
    return "" if len({_NAMES[name.lower()] for name in names}) == len(names) else "a field is given twice"


def _numbered(file: TextIO, bad: Bad) -> Iterator[tuple[int, str]]:
    """Yield the valid lines with their numbers."""
    number, too_long = 0, False
    while line := file.readline(_LONGEST):
        ends = line.endswith(("\n", "\r"))
        if not too_long:
            number += 1
            too_long = len(line) == _LONGEST and not ends
            foreign = _not_text(line, number)
            if problem := foreign or (_TOO_LONG if too_long else ""):
                bad(number, problem)
            else:
                yield number, line.rstrip("\r\n")
            if foreign and number == 1:
                return
        too_long = too_long and not ends


def _not_text(line: str, number: int) -> str:
    """The error for a line that is not UTF-8; in the first line it is about the whole file."""
    found = _NOT_OF_TEXT.search(line)
    if not found:
        return ""
    if found[0] == "\0":
        return "it contains a NUL character; is the file UTF-8?"
    return f"{'the file' if number == 1 else 'the line'} is not UTF-8"


def _limited(file: TextIO) -> Iterator[str]:
    """Yield lines for the CSV reader. Raises `ReveError` for one that is too long, or a file that is not text."""
    number = 0
    while line := file.readline(_LONGEST):
        number += 1
        foreign = _not_text(line, number) if number == 1 else ""
        if foreign or len(line) == _LONGEST:
            raise ReveError("usage", foreign or _TOO_LONG)
        yield line


def open_items(path: str, deadline: Deadline) -> TextIO:
    """Open the file at `path` as text; `-` is standard input.

    Opening and reading raise `ReveError`: `usage` if the file cannot be read, `timed_out` at the deadline.
    """
    binary: Any
    try:
        if path != "-":
            binary = open_file(path, deadline)
        elif sys.stdin is None:
            raise ReveError("usage", "standard input is closed")
        else:
            binary = TimedFile(open(sys.stdin.fileno(), "rb", 0, closefd=False), "standard input", deadline)  # noqa: SIM115
    except io.UnsupportedOperation:  # standard input without a descriptor
        binary = sys.stdin.buffer
    except (OSError, ValueError) as error:
        raise ReveError("usage", f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    # surrogateescape: a line that is not UTF-8 is reported like any other invalid line
    return io.TextIOWrapper(io.BufferedReader(binary), encoding="utf-8-sig", errors="surrogateescape", newline="")
