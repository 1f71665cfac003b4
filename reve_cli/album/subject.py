"""Finds the image that a command names: a file, or a job of the journal. What is known comes from both.

May import: actions.history, settings, journal, pictures, core.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reve_cli.actions.history import Entry, hours_left, of_name, saved, sha256_of
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import echo, is_loopback, moment
from reve_cli.journal.names import full_names
from reve_cli.journal.states import LAST
from reve_cli.pictures.formats import image_format
from reve_cli.pictures.metadata import is_as_downloaded, read

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal
    from reve_cli.pictures.provenance import Provenance
    from reve_cli.runtime import Runtime


@dataclass(frozen=True)
class Subject:
    """An image, or a job without one. path: absolute; None if no image is saved. sha256: None if the file is gone.

    entry: what the journal says; record: what the file says. unchanged: whether the file is as it was saved; None if
    that is unknown.
    """

    name: str
    path: str | None
    now: float
    sha256: str | None = None
    entry: Entry | None = None
    record: "Provenance | None" = None
    unchanged: bool | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """How the image was made, with the names of the job's document. The journal comes before the file."""
        known = self.entry.document() if self.entry else {}
        inside = self.record.document() if self.record else {}
        request = known if known.get("prompt") else inside  # the journal forgets old requests
        facts = inside | {name: value for name, value in known.items() if value is not None}
        return facts | {name: request.get(name) for name in ("prompt", "seed", "aspectRatio", "version")}

    @property
    def is_foreign(self) -> bool:
        """Whether only another tool says how the image was made."""
        return self.entry is None and self.record is not None and not self.record.is_ours

    @property
    def simulated(self) -> bool:
        """Whether the sandbox made the image."""
        if self.record and self.record.is_ours:
            return self.record.simulated
        origin = self.entry.row.origin if self.entry else ""
        return origin == "sandbox" or is_loopback(urlsplit(origin).hostname or "")

    @property
    def hours_left(self) -> float | None:
        """Hours until the image expires on the server; 0 if expired, None if unknown."""
        if self.entry:
            return self.entry.hours_left
        ended = moment(self.record.completed_at) if self.record and self.record.is_ours else None
        return None if ended is None else hours_left(ended, self.now)

    def document(self) -> dict[str, Any]:
        """Return the JSON document: always the full shape, in this order, null if unknown."""
        facts, left = self.facts, self.hours_left
        size, media_type = _looked_at(self.path)
        return {
            "path": self.path,
            "bytes": size,
            "sha256": self.sha256,
            "mediaType": media_type,
            "unchanged": self.unchanged,
            **{name: facts.get(name) for name in ("prompt", "seed", "aspectRatio", "version", "model", "jobId")},
            "state": self.entry.row.state if self.entry else None,
            "creditCost": facts.get("creditCost"),
            **{name: facts.get(name) for name in ("createdAt", "completedAt")},
            "hoursLeft": None if left is None else round(left, 1),
            "simulated": self.simulated,
            "tool": self.record.tool if self.record else None,
            "others": dict(self.record.others) if self.record else {},
        }


def find(run: "Runtime", name: str | None) -> list[Subject]:
    """The images of the file or job `name`; without a name, of the newest job.

    A name with a dot or a slash is a file. Other names are those of jobs, keys or runs if the journal has them, else
    of files. Raises `ReveError`: `not_found` if there is neither, `output` if the file is not an image.
    """
    journal, lost = run.journal(begin=False)
    now, name = run.process.clock.now(), LAST if name is None else local_path(name, "IMAGE")
    if name == LAST and journal is None:
        raise ReveError("usage", f"'{LAST}' needs the journal: {lost or 'there is none yet'}; name an image file")
    if journal is not None and not set("./" + os.sep) & set(name):
        (full,) = full_names([name], lambda: (journal, ""), only_jobs=False)
        found = [entry for entry in of_name(journal, full, now) if entry.row.current]
        if found:
            return [subject for entry in found for subject in _of_job(entry, now)]
    if not os.path.lexists(name):
        message = f"there is no image or job {echo(name)} here"
        raise ReveError("not_found", message, hint="reve history lists the jobs of this machine")
    return [_of_file(journal, name, now)]


def find_one(run: "Runtime", name: str | None) -> Subject:
    """The image or job `name`. Raises `ReveError` (code `usage`) if it names images of several requests."""
    found = find(run, name)
    if len({id(subject.entry) for subject in found}) > 1:
        raise ReveError("usage", f"{echo(str(name))} names {len(found)} images; name one of them")
    return found[0]


def _of_job(entry: Entry, now: float) -> list[Subject]:
    name = entry.row.job or entry.row.key
    found = []
    for file in entry.files:
        path = str(file.get("path"))
        digest = sha256_of(path)
        unchanged = None if digest is None else digest == file.get("sha256")
        record = read(path) if unchanged else None
        found.append(Subject(path, path, now, digest, entry, record, unchanged))
    return found or [Subject(name, None, now, entry=entry)]


def _of_file(journal: "Journal | None", name: str, now: float) -> Subject:
    path, record = os.path.abspath(name), read(name)
    digest = sha256_of(path)
    entries = saved(journal, "sha256", digest, now) if journal and digest else []
    if entries:
        return Subject(name, path, now, digest, entries[-1], record, True)
    if journal and record and record.is_ours and record.job_id:
        entries = [entry for entry in of_name(journal, record.job_id, now) if entry.row.job == record.job_id]
    elif journal and record is None:
        entries = saved(journal, "path", path, now)
    unchanged = False if entries else is_as_downloaded(path, record)
    return Subject(name, path, now, digest, entries[-1] if entries else None, record, unchanged)


def _looked_at(path: str | None) -> tuple[int | None, str | None]:
    """The size of a file in bytes, and its media type."""
    if path is None or not os.path.isfile(path):
        return None, None
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = image_format(file, size)
    return size, found.media_type if found else None
