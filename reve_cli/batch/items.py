"""Turns the rows of a batch file into items, and parses the options that say how.

One item is held in memory at a time. An invalid row is reported with its line and every fault, and reading goes on, so
that a user sees all errors at once.
May import: inputs, settings, tables, core.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from reve_cli.core.contract import ASPECT_RATIOS, SEED_LIMIT
from reve_cli.core.errors import ReveError, holds_key
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import ImageRequest, cut, echo, normal_prompt
from reve_cli.core.templates import parse
from reve_cli.inputs.foreign import problem
from reve_cli.inputs.reading import to_seed, to_seeds
from reve_cli.settings.settings import Settings
from reve_cli.tables.columns import Columns
from reve_cli.tables.encoding import check_encoding
from reve_cli.tables.formats import PROMPTS, SHEETS, format_of
from reve_cli.tables.reading import read_rows
from reve_cli.tables.rows import Bad, Row, Seen, TableError

FIELDS = ("prompt", "seed", "aspectRatio", "version", "out")
RANDOM = "random"
_FOREIGN = {
    "negativeprompt": "Reve has no negative prompts; say in the prompt what you want.",
    "model": "the model is the same for all lines; use --model.",
}
_LONGEST_NAME = 200
_MOST_NAMES = 12
_LONGEST_INPUT = 1 << 16
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::00(?:\.0+)?)?\s*([AaPp][Mm])?")
_WHOLE = re.compile(r"([+-]?[0-9]+)[.,]0+")


@dataclass(frozen=True)
class Item:
    """One image of the batch. out: template of its path in the output folder, or None for the default name.

    source: run and id of the item, if the line is from a manifest; lines with the same source are one image.
    is_random: its seed is chosen once it is known to which run it belongs. cells: its row in the file. columns: the
    row's data of the user's.
    """

    line: int
    request: ImageRequest
    out: str | None
    source: str | None = None
    is_random: bool = False
    columns: Mapping[str, Any] | None = None
    cells: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Source:
    """The file of a batch, and how to read it. kind: its format."""

    path: str
    kind: str
    columns: Columns
    encoding: str | None = None
    strip: bool = False
    seen: Seen = field(default_factory=Seen)

    @classmethod
    def of(
        cls,
        path: str,
        *,
        format: str | None = None,
        encoding: str | None = None,
        columns: Sequence[str] = (),
        strip: bool = False,
    ) -> "Source":
        """Check the options. Raises `ReveError` (code `usage`)."""
        path = local_path(path, "FILE")
        kind = format_of(path, format)
        if kind in SHEETS:
            from reve_cli.tables.sheets import check_extra

            check_extra(kind)
        fields = Columns.of(FIELDS, "prompt", columns, foreign=_FOREIGN)
        return cls(path, kind, fields, check_encoding(encoding), strip)

    @property
    def name(self) -> str:
        return "standard input" if self.path == "-" else self.path

    def problem(self, prompt: str) -> str:
        """Why a prompt is not meant as one; "" if it may be. With --format text, only an API key is refused."""
        if self.kind == "text":
            return "the prompt contains an API key" if holds_key(prompt) else ""
        why = problem(prompt, in_batch=True)
        self.seen.foreign += bool(why)
        return why

    @property
    def hint(self) -> str | None:
        """How to send lines of text that were refused."""
        return "to send every line as it is: --format text" if self.seen.kind == PROMPTS and self.seen.foreign else None

    def notes(self) -> Iterator[str]:
        """What to say about the file once it was read."""
        others = [name for name in self.seen.columns if self.columns.field(name) is None]
        if others:
            more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
            yield f"other columns, returned as input: {', '.join(others[:_MOST_NAMES])}{more}"

    def skipped(self) -> list[str]:
        """What was skipped in the file, for the summary."""
        found = ((self.seen.comments, "comment line"), (self.seen.headers, "repeated header line"))
        return [f"{number} {name}{'s' if number > 1 else ''} skipped" for number, name in found if number]

    def rows(self, file: BinaryIO, bad: Bad) -> Iterator[Row]:
        """Yield the rows of the open file. Raises `TableError`."""
        return read_rows(
            file,
            self.kind,
            self.columns,
            "prompt",
            bad=bad,
            seen=self.seen,
            path=self.path,
            encoding=self.encoding,
            strip=self.strip,
        )


@dataclass(frozen=True)
class Multiples:
    """Seeds and ratios, in all combinations, for every line. If empty, the line or the default decides.

    is_random: lines without a seed have a random one.
    """

    seeds: Sequence[int] = ()
    ratios: Sequence[str] = ()
    is_random: bool = False

    @classmethod
    def of(cls, seeds: str | None, ratios: str | None, seed: str | None = None) -> "Multiples":
        """Parse --seeds (`1-8`, `1,5,9-12`) and --ratios (`1:1,16:9`). Raises `ReveError` (code `usage`)."""
        found = [] if seeds is None else to_seeds(seeds)
        named = [] if ratios is None else [part.strip() for part in ratios.split(",")]
        for ratio in named:
            if ratio not in ASPECT_RATIOS:
                raise ReveError("usage", f"--ratios: {echo(ratio)} is not one of {', '.join(ASPECT_RATIOS)}")
        for option, values in (("--seeds", found), ("--ratios", named)):
            if len(set(values)) < len(values):
                raise ReveError("usage", f"{option} contains the same value twice")
        return cls(found, named, seed == RANDOM)

    def __call__(self, item: Item) -> Iterator[Item]:
        """Yield `item` in all combinations."""
        for ratio in self.ratios or (item.request.aspect_ratio,):
            for seed in self.seeds or (item.request.seed,):
                yield replace(item, request=replace(item.request, aspect_ratio=ratio, seed=seed))

    def faults(self, fields: Mapping[str, Any]) -> Iterator[str]:
        """Why a row has a seed or ratio of its own as well."""
        if self.seeds and fields.get("seed") is not None:
            yield "seed conflicts with --seeds; use one of them"
        if self.ratios and fields.get("aspectRatio") is not None:
            yield "aspectRatio conflicts with --ratios; use one of them"


def read_items(
    file: BinaryIO, source: Source, defaults: ImageRequest, multiples: Multiples, bad: Bad
) -> Iterator[Item]:
    """Yield the items of `file`."""
    names: list[str] = []
    line = 1
    try:
        for row in source.rows(file, bad):
            line = row.line
            if {"run", "item"} <= row.cells.keys():
                if row.cells["item"] is None:  # the line is about a run
                    continue
                fields, others = _of_manifest(row.cells), _object(row.cells.get("input"))
            else:
                if names != list(row.cells):
                    source.columns.check(list(row.cells), row.header, is_whole=not names and bool(row.cells))
                    names = list(row.cells)
                fields, others = source.columns.split(row.cells)
            try:
                yield from multiples(_item(row, fields, others, source, defaults, multiples))
            except ReveError as error:
                bad(row.line, row.place + error.message)
        if names:
            source.columns.check_given(line)
    except TableError as error:
        bad(error.line, error.why)


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
    model: str | None,
    version: str | None,
    ratio: str | None,
    seed: str | None,
) -> ImageRequest:
    """The request of a line that sets nothing but its prompt. Raises `ReveError` (code `usage`)."""
    if seed is not None and multiples.seeds:
        raise ReveError("usage", "--seed cannot be used with --seeds")
    if ratio is not None and multiples.ratios:
        raise ReveError("usage", "--aspect-ratio cannot be used with --ratios")
    return ImageRequest(
        prompt="any",
        model=settings.model if model is None else model,
        seed=None if seed in (None, RANDOM) else to_seed(str(seed)),
        aspect_ratio=settings.aspect_ratio if ratio is None else ratio,
        version=settings.model_version if version is None else version,
    )


def _item(
    row: Row,
    fields: Mapping[str, Any],
    others: Mapping[str, Any],
    source: Source,
    defaults: ImageRequest,
    multiples: Multiples,
) -> Item:
    """The item of a row. Raises `ReveError` (code `usage`) that names every fault."""
    faults = list(multiples.faults(fields))
    given: dict[str, Any] = {}
    for name in ("prompt", "aspectRatio", "version", "out"):
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            if name == "prompt" or isinstance(value, bool | list | dict):
                faults.append(f"{name} must be text")
                continue
            value = str(value)
        given[name] = value if name == "prompt" or value is None else value.strip()
    seed: int | str | None = None
    try:
        seed = _seed(fields.get("seed"))
    except ReveError as error:
        faults.append(error.message)
    if ratio := _of_a_time(given.get("aspectRatio")):
        faults.append(ratio)
        given["aspectRatio"] = None
    if given.get("prompt") is None and "prompt must be text" not in faults:
        faults.append("no prompt")
    out = given.get("out")
    if out is not None:
        try:
            _check_out(out)
        except ReveError as error:
            faults.append(error.message)
    if len(str(others)) > _LONGEST_INPUT:
        faults.append(f"the additional columns have more than {_LONGEST_INPUT:,} characters")
    origin = fields.get("source")
    raw = given.get("prompt") or ("" if given.get("prompt") == "" else "any")
    wish: dict[str, Any] = {"aspect_ratio": given.get("aspectRatio"), "version": given.get("version"), "seed": seed}
    if origin is None:
        wish = {name: value for name, value in wish.items() if value is not None}
    elif isinstance(fields.get("model"), str):
        wish["model"] = fields["model"]
    is_random = wish.get("seed", RANDOM if multiples.is_random and origin is None else None) == RANDOM
    if is_random:
        wish["seed"] = None
    request = None
    try:
        prompt = raw if origin is not None else normal_prompt(raw)
        request = replace(defaults, prompt=prompt, **wish, typed=raw if raw != prompt else None)
    except ReveError as error:
        faults.append(_of_a_line(error.message))
    if origin is None and (why := source.problem(raw)):
        faults.append(why)
    if holds_key(str(others)):
        faults.append("another column contains an API key")
    if faults or request is None:
        raise ReveError("usage", "; ".join(faults))
    columns = dict(others) if others else None
    return Item(row.line, request, out, origin, is_random, columns, row.cells)


def _of_manifest(line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line of a manifest. The same request is made again, whatever the options are."""
    request = line.get("request")
    model = request.get("model") if isinstance(request, dict) else None
    return {**{name: line.get(name) for name in FIELDS}, "model": model, "source": f"{line['run']} {line['item']}"}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _seed(value: object) -> int | str | None:
    """The seed in a field: a number or `RANDOM`. Spreadsheets and pandas write 1 as 1.0. Raises `ReveError`."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip().lower() == RANDOM:
        return RANDOM
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ReveError("usage", "seed must be a whole number")
    text = str(value).strip()
    if found := _WHOLE.fullmatch(text):
        text = found[1]
    try:
        seed = to_seed(text)
    except ReveError:
        seed = None
    if seed is None or abs(seed) > SEED_LIMIT:
        message = f"seed {echo(str(value))} is not a whole number from -{SEED_LIMIT} to {SEED_LIMIT}, or random"
        raise ReveError("usage", message)
    if seed == -1:
        raise ReveError("usage", "seed -1 means a random seed in other tools; use random, or leave it out")
    return seed


def _of_a_time(ratio: str | None) -> str:
    """The error for a ratio that a spreadsheet made a time of; "" for others."""
    found = _TIME.fullmatch(ratio or "")
    if not found or ratio in ASPECT_RATIOS:
        return ""
    hour, minute, half = int(found[1]), int(found[2]), (found[3] or "").lower()
    hours = {hour, hour % 12 + (12 if half == "pm" else 0)} if half else {hour}
    meant = next((f"{one}:{minute}" for one in hours if f"{one}:{minute}" in ASPECT_RATIOS), None)
    if meant is None:
        return ""
    return f"aspectRatio {ratio!r} is a time that a spreadsheet made of {meant}; format the column as text"


def _of_a_line(message: str) -> str:
    """The message about options as a message about fields."""
    for option, name in (("--aspect-ratio", "aspectRatio"), ("--model-version", "version")):
        message = re.sub(rf"(^|; ){option}\b", rf"\1{name}", message)
    return message


def _check_out(out: str) -> None:
    """Check the path of an item's image. Raises `ReveError` if it leaves the output folder or cannot be a file."""
    try:
        parse(out)
    except ValueError as error:
        raise ReveError("usage", cut(f"out: {error}")) from error
    parts = out.replace("\\", "/").split("/")
    climbs = (
        os.path.isabs(os.path.expanduser(out))
        or os.path.splitdrive(out)[0]
        or ".." in parts
        or "" in parts
        or parts[-1] == "."
    )
    if climbs or not out.isprintable():
        raise ReveError("usage", f"out {echo(out)} must be a file path inside the output folder")
