"""The manifest: a file in the output folder with a line for each item that ended, complete enough to make it again.

    {"run": …, "item": null, "begunAt": …, "folder": …, "instead": […]}  a run began and replaced earlier ones
    {"run": …, "item": …, "line": …, "attempt": …, "request": …, …}      and the job's document

A later run finds out from it what is left, even without the journal. Paths inside the folder are relative, so the
folder may be moved. Several manifests may be joined with `cat`.
May import: terminal.text, core.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import NO_LOCKS, FileLock, sync
from reve_cli.core.models import job_id
from reve_cli.core.tasks import Task
from reve_cli.terminal.text import quote

_NAME = "manifest"
FINAL = ("job_failed", "job_cancelled", "expired")
"""Codes of errors after which the job will never have an image. Such items get a line, too."""
_BEGINNING = b'{"run":"'  # of every line
_LONGEST = 1 << 20  # bytes; every line is shorter
_LOCK_SECONDS = 0.3  # longer than it takes to add a line


@dataclass(frozen=True)
class Entry:
    """What a manifest says about an item. paths: its images."""

    run: str
    item: str
    job: str | None
    attempt: int
    paths: Sequence[str]
    has_failed: bool
    has_expired: bool
    simulated: bool


class Manifest:
    """The manifest in `folder`, or that of one shard, locked by this process.

    name: an existing file to use instead. Raises `ReveError` (code `output`) if the file cannot be written, or another
    process has locked it.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] | None, *, name: str | None = None) -> None:
        self._folder = folder
        self.path = folder / (name or (f"{_NAME}-{shard[0]}-of-{shard[1]}.jsonl" if shard else f"{_NAME}.jsonl"))
        try:
            self._lock = _take_lock(self.path)
            try:
                if self.path.exists() and not self.path.is_file():
                    raise ReveError("output", f"{self.path} is not a file")
                flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | (0 if name else os.O_CREAT)
                self._descriptor = os.open(self.path, flags, 0o666)
            except BaseException:
                if self._lock:
                    self._lock.close(remove=True)
                raise
        except OSError as error:
            message = f"cannot write {error.filename}: {error.strerror}; nothing was submitted"
            raise ReveError("output", message) from error
        self._lacks_newline = _mend(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
        if self._lock:
            self._lock.close(remove=True)

    @property
    def is_locked(self) -> bool:
        """Whether no other process can use the manifest: there is no lock on a file system that has none."""
        return self._lock is not None

    @property
    def is_there(self) -> bool:
        """Whether the file is still in its place: a user may have moved, replaced or removed it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except OSError:
            return False

    def begin(self, run: str, now: str | None, instead: Sequence[str]) -> None:
        """Add a line for the start of `run`, unless there is one. instead: the runs that it replaces.

        Raises `ReveError` (code `output`).
        """
        if any(line["run"] == run and not line.get("item") for line in lines(self._folder)):
            return
        folder = os.path.abspath(self._folder)
        self.append({"run": run, "item": None, "begunAt": now, "folder": folder, "instead": list(instead)})
        sync(self._descriptor)

    def note(
        self,
        task: Task,
        run: str,
        item: str,
        out: str | None,
        *,
        simulated: bool,
    ) -> Mapping[str, Any]:
        """Add a line for an item whose task ended, and return it. out: its own path.

        Raises `ReveError` (code `output`).
        """
        assert task.request is not None
        document = task.document(simulated)
        line = {
            "run": run,
            "item": item,
            "line": task.line,
            "ordinal": task.ordinal,
            "attempt": task.attempt,
            "request": task.request.wire(),
            "out": out,
            **document,
            "files": [{**file, "path": self.relative(file["path"])} for file in document["files"]],
        }
        self.append(line)
        return line

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line. Raises `ReveError` (code `output`)."""
        data = b"\n" * self._lacks_newline + json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            while data:  # a full disk takes only a part
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._lacks_newline = _mend(self._descriptor)
            raise ReveError("output", f"cannot write {self.path}: {error.strerror}") from error
        self._lacks_newline = False

    def relative(self, path: str) -> str:
        """A file's path relative to the folder, or absolute if it is outside."""
        here, there = os.path.join(os.path.abspath(self._folder), ""), os.path.abspath(path)
        return there[len(here) :] if os.path.normcase(there).startswith(os.path.normcase(here)) else there


@dataclass(frozen=True)
class Past:
    """The runs in a folder's manifests. run: the one to continue. replaced: those that a later `--new` replaced."""

    run: str | None
    known: frozenset[str]
    replaced: frozenset[str]


def past(folder: Path) -> Past:
    """The runs in the manifests of `folder`. A run from another folder (`cat`) is continued only if there is no other.

    If the line for a run's start is missing (`jq 'select(.item)'`), its items stand for it.
    """
    begun: list[dict[str, Any]] = []
    made: dict[str, None] = {}
    """Runs, in the order of their last items."""
    for line in lines(folder):
        if line["item"]:
            made.pop(line["run"], None)
            made[line["run"]] = None
        else:
            begun.append(line)
    replaced = frozenset(str(run) for line in begun for run in _list(line.get("instead")))
    current = [line for line in begun if line["run"] not in replaced]
    here = [line for line in current if line.get("folder") == os.path.abspath(folder)]
    last = max(here or current, key=lambda line: str(line.get("begunAt")), default=None)
    last_made = next((run for run in reversed(made) if run not in replaced), None)
    return Past(last["run"] if last else last_made, frozenset([*made, *(line["run"] for line in begun)]), replaced)


def begun_in(folder: Path) -> dict[str, list[Path]]:
    """The manifests in `folder` that have a line for the start of a run, by run."""
    found: dict[str, list[Path]] = {}
    for path in _files(folder):
        for line in _lines(path):
            if not line["item"] and path not in found.setdefault(line["run"], []):
                found[line["run"]].append(path)
    return found


def entries(folder: Path, warn: Callable[[str], None]) -> Iterator[Entry]:
    """Yield the items in the manifests of `folder`, in order. `warn` is called for damaged files."""
    for path in _files(folder):
        for line in _lines(path, warn):
            if not line["item"]:
                continue
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


def results(folder: Path, counts: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the items in the manifests of `folder` with what a report shows of them. counts: whether a run counts."""
    for line in lines(folder):
        if line["item"] and counts(line["run"]):
            files = [file for file in _list(line.get("files")) if isinstance(file, dict) and _is_path(file.get("path"))]
            yield line["item"], result_of({**line, "files": [{"path": str(folder / file["path"])} for file in files]})


def images(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each image in the manifests of `folder`: its path, and the line that names it. A later line counts more."""
    for line in lines(folder):
        for file in _list(line.get("files")):
            if isinstance(file, dict) and _is_path(file.get("path")):
                yield str(folder / file["path"]), line


def result_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a report shows of a job's document."""
    error = document.get("error")
    return {
        "status": document.get("status"),
        "file": " ".join(file["path"] for file in document["files"]) or None,
        "jobId": document.get("jobId"),
        "credits": document.get("creditCost"),
        "error": error.get("message") if isinstance(error, dict) else None,
    }


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the manifests in `folder`: its own first, then those of shards. Damaged lines are skipped."""
    for path in _files(folder):
        yield from _lines(path)


def _files(folder: Path) -> list[Path]:
    whole = folder / f"{_NAME}.jsonl"
    found = sorted(folder.glob(f"{_NAME}*.jsonl"), key=lambda path: (path != whole, path))
    return [path for path in found if path.is_file()]


def _lines(path: Path, warn: Callable[[str], None] = lambda text: None) -> Iterator[dict[str, Any]]:
    """Yield the lines of one manifest. `warn` is called with the number of damaged lines, if any.

    A last line without a newline is not counted: a crash leaves it.
    """
    damaged = 0
    try:
        with open(path, "rb") as file:
            for raw in file:
                line = _understood(raw)
                if line is not None:
                    yield line
                elif raw.strip() and raw.endswith(b"\n"):
                    damaged += 1
    except OSError as error:
        raise ReveError("output", f"cannot read {path}: {error.strerror}") from error
    if damaged:
        warn(f"{path}: {damaged} damaged line{'s' if damaged > 1 else ''} ignored")


def _understood(raw: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is not from a manifest."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("run"), str) or "item" not in line:
        return None
    item = line["item"]
    return line if item is None or (isinstance(item, str) and item.isascii()) else None


def _is_path(value: Any) -> bool:
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _take_lock(path: Path) -> FileLock | None:
    """Lock the manifest at `path`. Returns None if its file system has no locks.

    A process that adds a single line holds the lock only briefly.
    """
    name = path.with_name(f".{path.name}.lock")
    try:
        lock = FileLock(name, 0o666)
    except PermissionError as error:
        message = f"another user's batch is at work in {path.parent}, or ended without removing {name}"
        hint = f"if none is at work: rm {quote(str(name))}"
        raise ReveError("output", f"{message}; nothing was submitted", hint=hint) from error
    try:
        is_ours = lock.take(seconds=_LOCK_SECONDS)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lock.close()
        return None
    if is_ours:
        return lock
    lock.close()
    message = f"another batch is at work in {path.parent}; nothing was submitted"
    raise ReveError("output", message, hint="wait until it ends, or use another --out")


def _mend(descriptor: int) -> bool:
    """Remove an incomplete last line, which a killed process or a full disk leaves.

    Returns whether the last line still lacks its newline, because it is not one of ours.
    """
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - _LONGEST), os.SEEK_SET)
    last = os.read(descriptor, _LONGEST).rpartition(b"\n")[2]
    if last and _BEGINNING.startswith(last[: len(_BEGINNING)]) and _understood(last) is None:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size - len(last))
            return False
    return bool(last)
