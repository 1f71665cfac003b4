"""The webhook events that were received: each is stored before it is answered, and worked on after.

May import: journal.database.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reve_cli.journal.database import Database

if TYPE_CHECKING:
    import sqlite3

PROGRESS = "progress"
_ENDS = "('completed', 'failed')"


@dataclass(frozen=True)
class StoredEvent:
    """An event of a job. body: as received; None once nothing is left to do. received: in epoch seconds."""

    id: int
    job: str
    event: str
    body: bytes | None
    verified_as: str
    received: float


class Events:
    """The table of events. Any thread may call any method. Every method raises JournalError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: str, event: str, body: bytes, verified_as: str, received: float) -> bool:
        """Store an event. Returns whether it is new: each event of a job counts once, progress each time it changes.

        Of a job's progress only the latest is kept, and none that comes after the end. Events that are added at once by
        several threads share a commit, since a disk manages only some 100 in a second.
        """
        digest = hashlib.sha256(body).hexdigest()

        def store(database: "sqlite3.Connection") -> bool:
            if event == PROGRESS:
                ended = f"SELECT 1 FROM events WHERE job = ? AND (event IN {_ENDS} OR (event = ? AND body_sha256 = ?))"  # noqa: S608
                if database.execute(ended, (job, event, digest)).fetchone():
                    return False
                database.execute("DELETE FROM events WHERE job = ? AND event = ?", (job, event))
            query = """INSERT OR IGNORE INTO events (job, event, body, body_sha256, verified_as, received)
                VALUES (?, ?, ?, ?, ?, ?)"""
            return database.execute(query, (job, event, body, digest, verified_as, received)).rowcount == 1

        return self._database.together(store)

    def to_do(self) -> list[StoredEvent]:
        """The events that are not done, oldest first."""
        return self._select("NOT done")

    def since(self, last: int) -> list[StoredEvent]:
        """The events that were stored after the one with the id `last`, oldest first."""
        return self._select("id > ?", last)

    def last(self) -> int:
        """The highest id; 0 if there is no event."""
        return int(self._database.value("SELECT coalesce(max(id), 0) FROM events"))

    def done(self, events: Sequence[tuple[str, str]]) -> None:
        """Record that nothing is left to do for events, each given by its job and its name. Shares commits."""
        query = "UPDATE events SET done = 1, body = NULL WHERE job = ? AND event = ?"
        self._database.together(lambda database: database.executemany(query, events))

    def _select(self, where: str, *values: int) -> list[StoredEvent]:
        query = f"SELECT id, job, event, body, verified_as, received FROM events WHERE {where} ORDER BY id"  # noqa: S608
        with self._database.transaction() as database:
            return [StoredEvent(*row) for row in database.execute(query, values)]
