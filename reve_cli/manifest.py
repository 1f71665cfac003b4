"""What a batch has made, in a file of its output folder: a line for each item that ended, with all it takes to redo it.

    {"run": …, "item": null, "begunAt": …}                             a run has begun here
    {"run": …, "item": …, "line": …, "attempt": …, "request": …, …}    and the job's document

It is how a later run knows what is left, also without the journal, and may be put together from several with `cat`.
Imports `owners`, `errors`.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reve_cli.errors import ReveError
from reve_cli.owners import FileLock

_NAME = "manifest"


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
            self._file = open(self.path, "ab")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise ReveError("output", f"{error.filename}: {error.strerror}") from error
        if self._file.tell() and not _ends_with_newline(self.path):
            self._file.write(b"\n")  # a process was killed as it wrote

    def close(self) -> None:
        self._file.close()
        self._lock.close(remove=True)

    def run(self, name: str | None, *, new: bool, now: str | None) -> str:
        """The run to go on with: `name`, or the last one that began here unless `new`. A new one is noted at once."""
        begun = [str(line["run"]) for line in self._lines() if not line.get("item")]
        run = name or (begun[-1] if begun and not new else uuid.uuid4().hex)
        if run not in begun:
            self.append({"run": run, "item": None, "begunAt": now})
            os.fsync(self._file.fileno())
        return run

    def entries(self, run: str) -> Iterator[dict[str, Any]]:
        """What was noted of a run, here and in other shards, in order. Lines that are none of ours are passed over."""
        return (line for line in self._lines() if line["run"] == run and line.get("item"))

    def append(self, line: Mapping[str, Any]) -> None:
        """Note one item that has ended. Raises `ReveError` (code `output`)."""
        try:
            self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise ReveError("output", f"{self.path} cannot be written: {error.strerror}") from error

    def _lines(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self._folder.glob(f"{_NAME}*.jsonl"), key=lambda path: (path != self.path, path)):
            with open(path, "rb") as file:
                for raw in file:
                    try:
                        line = json.loads(raw)
                    except ValueError:
                        continue
                    if isinstance(line, dict) and isinstance(line.get("run"), str):
                        yield line


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
