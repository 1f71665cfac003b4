"""What a batch has made, in a file of its output folder: a line for each item that ended, with all it takes to redo it.

    {"run": …, "item": null, "begunAt": …, "folder": …, "instead": […]}  a run has begun, in place of earlier ones
    {"run": …, "item": …, "line": …, "attempt": …, "request": …, …}      and the job's document

Paths of files inside the folder are relative to it: it may be moved as a whole. It is how a later run knows what
is left, also without the journal, and may be put together from several with `cat`.
Imports `owners`, `models`, `errors`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reve_cli.errors import ReveError
from reve_cli.models import job_id
from reve_cli.owners import FileLock

_NAME = "manifest"


@dataclass(frozen=True)
class Entry:
    """What a manifest says of an item. paths: of its images; empty where it has none."""

    run: str
    item: str
    job: str | None
    attempt: int
    paths: Sequence[str]
    has_failed: bool
    has_expired: bool
    simulated: bool


class Manifest:
    """The manifest in `folder`, or that of one shard there, held by this process alone.

    Raises `ReveError`: `output` where it cannot be written, or another process is at work on it.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] | None) -> None:
        self._folder = folder
        self.path = folder / (f"{_NAME}-{shard[0]}-of-{shard[1]}.jsonl" if shard else f"{_NAME}.jsonl")
        try:
            self._lock = FileLock(folder / f".{self.path.name}.lock")
            if not self._lock.take() or not self._lock.is_there():
                self._lock.close()
                message = f"another reve batch is at work on {self.path}; nothing was submitted"
                raise ReveError("output", message, hint="wait until it has ended, or use another --out")
            if self.path.exists() and not self.path.is_file():
                raise ReveError("output", f"{self.path} is not a file")
            self._descriptor = os.open(
                self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
        except OSError as error:
            raise ReveError("output", f"{error.filename}: {error.strerror}") from error
        self._is_torn = not _ends_with_newline(self._descriptor)  # a process was killed as it wrote

    def close(self) -> None:
        os.close(self._descriptor)
        self._lock.close(remove=True)

    def begin(self, run: str, now: str | None, instead: Sequence[str]) -> None:
        """Note, if nobody has, that `run` has begun here, in place of others. Raises `ReveError` (code `output`)."""
        if any(line["run"] == run and not line.get("item") for line in lines(self._folder)):
            return
        folder = os.path.abspath(self._folder)
        self.append({"run": run, "item": None, "begunAt": now, "folder": folder, "instead": list(instead)})
        os.fsync(self._descriptor)

    def append(self, line: Mapping[str, Any]) -> None:
        """Note one item that has ended. Raises `ReveError` (code `output`)."""
        data = b"\n" * self._is_torn + json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            while data:  # a disk that is full takes a part
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._is_torn = True
            raise ReveError("output", f"{self.path} cannot be written: {error.strerror}") from error
        self._is_torn = False

    def relative(self, path: str) -> str:
        """A file's path as a line has it: an absolute one where it leads out of the folder."""
        here, there = Path(os.path.abspath(self._folder)), Path(os.path.abspath(path))
        return str(there.relative_to(here) if there.is_relative_to(here) else there)


@dataclass(frozen=True)
class Past:
    """What the manifests in a folder tell of runs. run: the one to go on with. replaced: those begun anew since."""

    run: str | None
    known: frozenset[str]
    replaced: frozenset[str]


def past(folder: Path) -> Past:
    """What was begun in `folder`. A run that came from elsewhere (`cat`) is gone on with only if none is from here."""
    begun = [line for line in lines(folder) if not line.get("item")]
    replaced = frozenset(str(run) for line in begun for run in _list(line.get("instead")))
    current = [line for line in begun if line["run"] not in replaced]
    here = [line for line in current if line.get("folder") == os.path.abspath(folder)]
    last = max(here or current, key=lambda line: str(line.get("begunAt")), default=None)
    return Past(last["run"] if last else None, frozenset(line["run"] for line in begun), replaced)


def entries(folder: Path) -> Iterator[Entry]:
    """What was noted of items, here and in other shards, in order."""
    for line in lines(folder):
        if isinstance(line["item"], str) and line["item"].isascii():
            files = [file["path"] for file in _list(line.get("files")) if isinstance(file, dict) and "path" in file]
            attempt = line.get("attempt")
            yield Entry(
                run=line["run"],
                item=line["item"],
                job=job_id(line.get("jobId")),
                attempt=attempt if type(attempt) is int else 1,
                paths=[str(folder / path) for path in files if _is_path(path)],
                has_failed=line.get("status") in ("FAILED", "CANCELLED"),
                has_expired=line.get("expired") is True,
                simulated=line.get("simulated") is True,
            )


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """All lines of the manifests in `folder`, its own before those of shards. What is none is passed over."""
    whole = folder / f"{_NAME}.jsonl"
    for path in sorted(folder.glob(f"{_NAME}*.jsonl"), key=lambda path: (path != whole, path)):
        if not path.is_file():
            continue
        try:
            with open(path, "rb") as file:
                for raw in file:
                    try:
                        line = json.loads(raw)
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(line, dict) and isinstance(line.get("run"), str) and "item" in line:
                        yield line
        except OSError as error:
            raise ReveError("output", f"{path} cannot be read: {error.strerror}") from error


def _is_path(value: Any) -> bool:
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _ends_with_newline(descriptor: int) -> bool:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - 1), os.SEEK_SET)
    return os.read(descriptor, 1) in (b"", b"\n")
