"""Finds the images of a gallery: in a folder with everything below it, or in the journal.

May import: actions.history, batch.manifest, journal, pictures, core.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from reve_cli.actions.history import Query, pages
from reve_cli.batch.manifest import images
from reve_cli.core.errors import ReveError
from reve_cli.core.models import moment, typed
from reve_cli.journal.journal import Journal
from reve_cli.pictures.metadata import read

_EXTENSIONS = ("png", "apng", "jpg", "jpeg", "jfif", "webp", "avif", "gif")
"""Extensions of images that browsers show."""

Facts = Mapping[str, Any]
"""Fields of a job's document; empty if nothing is known."""


@dataclass(frozen=True)
class Found:
    """An image. path: absolute. made: epoch seconds."""

    path: str
    facts: Facts
    made: float


def in_folder(folder: str, most: int) -> list[Found]:
    """The images in `folder` and below it, newest first, at most `most`. Hidden files and folders are left out.

    How they were made comes from the manifests of batches, else from the image files. Raises `ReveError` (code
    `output`).
    """
    found = []
    for here, names in _folders(folder):
        known = dict(images(Path(here))) if any(name.startswith("manifest") for name in names) else {}
        for name in names:
            path = os.path.join(here, name)
            if name.rpartition(".")[2].lower() in _EXTENSIONS and not name.startswith(".") and os.path.isfile(path):
                facts = known.get(path, {})
                ended = moment(typed(facts.get("completedAt"), str))
                found.append(Found(path, facts, os.path.getmtime(path) if ended is None else ended))
    found.sort(key=attrgetter("made", "path"), reverse=True)
    return [each if each.facts else Found(each.path, _said_inside(each.path), each.made) for each in found[:most]]


def _said_inside(path: str) -> Facts:
    """The record in an image file. Empty if there is none, or if the file is not a complete image."""
    try:
        record = read(path)
    except ReveError:
        return {}
    return record.document() if record else {}


def _folders(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with the names of its files."""

    def refuse(error: OSError) -> None:
        if error.filename == folder:
            raise ReveError("output", f"cannot read {folder}: {error.strerror}") from error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield here, names


def in_journal(journal: Journal | None, query: Query, most: int, now: float) -> list[Found]:
    """The images of the jobs that match `query` and are still where they were saved, newest job first."""
    found: list[Found] = []
    for page in [] if journal is None else pages(journal, query, now):
        for entry in page:
            facts = entry.document()
            paths = [str(file.get("path")) for file in entry.files]
            found += [Found(path, facts, entry.row.created) for path in paths if os.path.isfile(path)]
        if len(found) >= most:
            break
    return found[:most]
