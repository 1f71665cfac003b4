"""The file of a batch, read into items: a prompt a line, CSV with a header, or JSON Lines, a manifest among them.

One item is held at a time, however long the file is. What is wrong with a line is told with its number, and the rest is
read all the same, so that a user mends a file once. Imports `inputs`, `output`, `settings`, `models`, `clock`,
`contract`, `templates`, `errors`.
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

from reve_cli.actions.inputs import TimedFile, to_seed, to_seeds
from reve_cli.core.clock import Deadline
from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, cut, echo
from reve_cli.core.templates import parse
from reve_cli.settings.settings import Settings
from reve_cli.terminal.text import quote

FORMATS = ("text", "csv", "jsonl")
"""As they are named. What has none and looks like text is `PROMPTS`."""
PROMPTS = "prompts"
"""Text that nobody said is text: JSON in it is not taken for prompts."""
FIELDS = ("prompt", "seed", "aspectRatio", "version", "out")
"""What an item may have. The rest of its request is the command's."""
_NAMES = {name.lower(): name for name in FIELDS} | {"aspect_ratio": "aspectRatio"}
_LONGEST = 1 << 20
"""Characters of a line at most."""
_LONGEST_NAME = 200
_ANY_PROMPT = "any"
_EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_OTHER_DATA = re.compile(r"\.(json|tsv|ya?ml|toml|xml|xlsx?|ods|parquet|gz|bz2|xz|zst|zip|tar|tgz)")
_LIKE_JSON = re.compile(r'[\[{][\[{\s]*(["\]}]|$)')
_NOT_OF_TEXT = re.compile("[\0\ud800-\udfff]")
_ENDS = ("\n", "\r")

Lines = Iterator[tuple[int, dict[str, Any]]]
"""The number of each line, and its fields."""
Bad = Callable[[int, str], None]
"""Told the number of a bad line, and why it is."""


@dataclass(frozen=True)
class Item:
    """One image that a line asks for. `out`: its file in the output folder, a template; None for the default name.

    source: what it was in the manifest that the line is of; other lines there are about the same image.
    """

    line: int
    request: ImageRequest
    out: str | None
    source: str | None = None


@dataclass(frozen=True)
class Multiples:
    """Seeds and ratios that every line is made with, each with each; empty for those of the line, or the default."""

    seeds: Sequence[int] = ()
    ratios: Sequence[str] = ()

    @classmethod
    def of(cls, seeds: str | None, ratios: str | None) -> "Multiples":
        """As they are typed: `1-8`, `1,5,9-12`; `1:1,16:9`. Raises `ReveError` (code `usage`)."""
        found = [] if seeds is None else to_seeds(seeds)
        named = [] if ratios is None else [part.strip() for part in ratios.split(",")]
        for ratio in named:
            if ratio not in ASPECT_RATIOS:
                raise ReveError("usage", f"--ratios: {echo(ratio)} is not one of {', '.join(ASPECT_RATIOS)}")
        for option, values in (("--seeds", found), ("--ratios", named)):
            if len(set(values)) < len(values):
                raise ReveError("usage", f"{option} names one twice, which would be paid for twice")
        return cls(found, named)

    def __call__(self, item: Item) -> Iterator[Item]:
        """Everything that `item` becomes."""
        for ratio in self.ratios or (item.request.aspect_ratio,):
            for seed in self.seeds or (item.request.seed,):
                yield replace(item, request=replace(item.request, aspect_ratio=ratio, seed=seed))

    def check(self, seed: object, ratio: object) -> None:
        """Raises `ReveError` (code `usage`) where a line, or an option, chooses itself what is multiplied."""
        if self.seeds and seed is not None:
            raise ReveError("usage", "it has a seed, and --seeds is given as well")
        if self.ratios and ratio is not None:
            raise ReveError("usage", "it has an aspect ratio, and --ratios is given as well")


def read_items(file: TextIO, kind: str, defaults: ImageRequest, multiples: Multiples, bad: Bad) -> Iterator[Item]:
    """The items of `file`, which is of one of `FORMATS`, or `PROMPTS`."""
    for line, fields in _LINES[kind](file, bad):
        try:
            multiples.check(fields.get("seed"), fields.get("aspectRatio"))
            yield from multiples(_item(line, fields, defaults))
        except ReveError as error:
            bad(line, _of_a_line(error.message))


def format_of(path: str, given: str | None) -> str:
    """The format of a file: as it is said, or by its name. Raises `ReveError` (code `usage`)."""
    if given is not None and given not in FORMATS:
        raise ReveError("usage", f"--format {echo(given)} is not one of {', '.join(FORMATS)}")
    extension = os.path.splitext(path)[1].lower()
    if given is None and _OTHER_DATA.fullmatch(extension):
        converted = f"jq -c '.[]' {quote(path)} | reve batch - --format jsonl" if extension == ".json" else None
        message = f"{path} is not text by its name: name what it is with --format {'|'.join(FORMATS)}"
        raise ReveError("usage", message, hint=converted)
    return given or _EXTENSIONS.get(extension, PROMPTS)


def shard_of(text: str | None) -> tuple[int, int] | None:
    """A shard as it is typed, I/N. Raises `ReveError` (code `usage`)."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ReveError("usage", f"--shard {echo(text)} is not I/N, with I from 1 to N, such as 1/4")
    return int(found[1]), int(found[2])


def run_name(text: str | None, shard: str | None, *, new: bool) -> str | None:
    """The run's name. Raises `ReveError` (code `usage`) where it cannot be one, or shards have none."""
    if text is not None and (not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME):
        raise ReveError("usage", f"--run takes a name of 1 to {_LONGEST_NAME} printable characters")
    if shard is not None and text is None:
        message = "--shard needs --run NAME, the same for all shards: by it the API knows what was made before"
        raise ReveError("usage", message)
    if new and text is not None:
        raise ReveError("usage", "--new starts another run, and --run goes on with one: name another one instead")
    return text


def rate_of(text: str | None) -> float | None:
    """Requests a minute as they are typed, N or N/min. Raises `ReveError` (code `usage`)."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})(?:/min)?", text)
    if not found or not int(found[1]):
        raise ReveError("usage", f"--rate {echo(text)} is not a number of requests a minute, such as 300/min")
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
    """What every line's request has that does not say otherwise. Raises `ReveError` (code `usage`)."""
    if seed == "random":
        raise ReveError("usage", "--seed random would make each run another batch: leave it out, or name seeds")
    if (seed is not None and multiples.seeds) or (ratio is not None and multiples.ratios):
        raise ReveError("usage", "--seed and --seeds, like --aspect-ratio and --ratios, are not for use together")
    return ImageRequest(
        prompt=_ANY_PROMPT,
        model=settings.model if model is None else model,
        seed=None if seed is None else to_seed(seed),
        aspect_ratio=settings.aspect_ratio if ratio is None else ratio,
        version=settings.model_version if version is None else version,
    )


def _item(line: int, fields: Mapping[str, Any], defaults: ImageRequest) -> Item:
    """Raises `ReveError` (code `usage`)."""
    for name in ("prompt", "aspectRatio", "version", "out"):
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise ReveError("usage", f"{name} must be text")
    prompt, seed, out = fields.get("prompt"), fields.get("seed"), fields.get("out")
    if prompt is None:
        raise ReveError("usage", "it has no prompt")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | str)):
        raise ReveError("usage", "seed must be an integer")
    given: dict[str, Any] = {"seed": None if seed is None else to_seed(str(seed))}
    given |= {"aspect_ratio": fields.get("aspectRatio"), "version": fields.get("version")}
    source = fields.get("source")
    if source is None:
        given = {name: value for name, value in given.items() if value is not None}
    elif isinstance(fields.get("model"), str):
        given["model"] = fields["model"]
    request = replace(defaults, prompt=prompt, **given)
    return Item(line, request, None if out is None else _checked_out(out), source)


def _of_a_line(message: str) -> str:
    """What is said of an option, said of a field."""
    for option, field in (("--aspect-ratio", "aspectRatio"), ("--model-version", "version"), ("--seed", "seed")):
        message = re.sub(rf"^{option}\b", field, message)
    return re.sub(r',? or "?random"?', "", message)


def _checked_out(out: str) -> str:
    """A path in the output folder. Raises `ReveError` where it leads out of it, or cannot be a file."""
    try:
        parse(out)
    except ValueError as error:
        raise ReveError("usage", cut(f"out: {error}")) from error
    parts = out.replace("\\", "/").split("/")
    climbs = os.path.isabs(out) or os.path.splitdrive(out)[0] or ".." in parts or "" in parts or parts[-1] == "."
    if climbs or not out.isprintable():
        raise ReveError("usage", f"out {echo(out)} must be a file's path inside the output folder")
    return out


def _text_lines(file: TextIO, bad: Bad) -> Lines:
    for number, line in _numbered(file, bad):
        if line.strip():
            yield number, {"prompt": line}


def _prompt_lines(file: TextIO, bad: Bad) -> Lines:
    """Like text, but nobody said that JSON in it is meant to be drawn."""
    for number, fields in _text_lines(file, bad):
        if problem := _json_in(fields["prompt"].strip()):
            bad(number, problem)
        else:
            yield number, fields


def _json_in(line: str) -> str:
    """What is wrong with a prompt that is JSON, or a part of some on several lines."""
    if not _LIKE_JSON.match(line):
        return ""
    try:
        is_object = isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        is_object = False
    if is_object:
        return "it is a JSON object: --format jsonl reads such lines, --format text takes them as prompts"
    return "it looks like JSON: jq -c makes lines of it for --format jsonl, --format text takes lines as prompts"


def _json_lines(file: TextIO, bad: Bad) -> Lines:
    for number, line in _numbered(file, bad):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            problem = (
                error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply, or a number too long"
            )
            bad(number, f"it is not JSON: {problem}")
            continue
        if not isinstance(found, dict):
            bad(number, "it is no JSON object")
        elif {"run", "item"} <= found.keys():
            if found["item"] is not None:  # else it says that a run began
                yield number, _of_manifest(found)
        elif problem := _unknown(list(found)):
            bad(number, problem)
        else:
            yield number, {_NAMES[name.lower()]: value for name, value in found.items()}


def _of_manifest(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a line of a manifest asks for: just what it did ask for, whatever the options say."""
    request = line.get("request")
    model = request.get("model") if isinstance(request, dict) else None
    return {**{name: line.get(name) for name in FIELDS}, "model": model, "source": f"{line['run']} {line['item']}"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("a name is there twice", "", 0)
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
            why = error.message if isinstance(error, ReveError) else f"it is not CSV: {error}"
            bad(start, why + ("; what follows is not read" if lost else ""))
            if lost:
                return  # where the next row begins is not known
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
            problem = _unknown(header) or ("" if "prompt" in map(str.lower, header) else "no column is named prompt")
            if problem:
                bad(number, f"the header: {problem}")
                return
        elif len(row) > len(header):
            bad(number, f"it has {len(row)} cells, the header {len(header)}")
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
    """What is wrong with the names of fields, if something is."""
    for name in names:
        if name.lower() not in _NAMES:
            return f"there is no field {echo(name)}; fields: {', '.join(FIELDS)}"
    return "" if len({_NAMES[name.lower()] for name in names}) == len(names) else "a field is named twice"


def _numbered(file: TextIO, bad: Bad) -> Iterator[tuple[int, str]]:
    number, too_long = 0, False
    while line := file.readline(_LONGEST):
        ends = line.endswith(_ENDS)
        if not too_long:
            number += 1
            too_long = len(line) == _LONGEST and not ends
            foreign = _not_text(line, number)
            if problem := foreign or ("it is too long" if too_long else ""):
                bad(number, problem)
            else:
                yield number, line.rstrip("\r\n")
            if foreign and number == 1:
                return
        too_long = too_long and not ends


def _not_text(line: str, number: int) -> str:
    """What is wrong with a line that is not UTF-8 text, nor, if it is the first one, is the file."""
    found = _NOT_OF_TEXT.search(line)
    if not found:
        return ""
    if found[0] == "\0":
        return "it has a NUL character: is the file UTF-8?"
    return f"{'the file' if number == 1 else 'it'} is not UTF-8 text"


def _limited(file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(_LONGEST):
        number += 1
        foreign = _not_text(line, number) if number == 1 else ""
        if foreign or len(line) == _LONGEST:
            raise ReveError("usage", foreign or "it is too long")
        yield line


def open_items(path: str, deadline: Deadline) -> TextIO:
    """The file at `path`, `-` for standard input, as text.

    Raises `ReveError`, as reading does: `usage` where it cannot be read, `timed_out` at the deadline.
    """
    binary: Any
    try:
        if path != "-":
            binary = TimedFile(open(path, "rb", buffering=0), path, deadline)  # noqa: SIM115 - closed by its reader
        elif sys.stdin is None:
            raise ReveError("usage", "standard input is closed")
        else:
            binary = TimedFile(open(sys.stdin.fileno(), "rb", 0, closefd=False), "standard input", deadline)  # noqa: SIM115
    except io.UnsupportedOperation:  # not a file of the system's
        binary = sys.stdin.buffer
    except (OSError, ValueError) as error:
        raise ReveError("usage", f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    # what is not UTF-8 becomes half characters, so that its line can be named like any other
    return io.TextIOWrapper(io.BufferedReader(binary), encoding="utf-8-sig", errors="surrogateescape", newline="")
