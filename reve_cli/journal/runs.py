"""Runs in the journal: which process owns each, and which of them this process may continue.

May import: core.clock; journal.database, journal.owners, journal.rows, journal.states.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reve_cli.core.clock import Clock
from reve_cli.journal.database import Database, JournalError
from reve_cli.journal.owners import Owner, boot, machine
from reve_cli.journal.rows import Row, select_rows
from reve_cli.journal.states import UNFINISHED

Standing = Literal["ours", "live", "rebooted", "elsewhere"]
"""Who owns a run. ours: this process, or one that ended. live: another process that still works on it.
rebooted: a process of this machine before its last restart. elsewhere: another machine."""


@dataclass
class Run:
    """The current rows of a run, by number. is_taken: `claim` made this process its owner."""

    rows: list[Row]
    standing: Standing
    is_taken: bool = False


class Runs:
    """The runs in a journal. Any thread may call any method."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._owner: Owner | None = None

    def close(self) -> None:
        """Stop being an owner."""
        if self._owner is not None:
            self._owner.close()

    @property
    def owner(self) -> Owner:
        """This process. Raises JournalError if it cannot lock its file."""
        try:
            self._owner = self._owner or Owner(self._database.path.parent)
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        return self._owner

    def add(self, run: str, identity: str | None, origin: str) -> None:
        """Add a run of this process, unless it is there. identity: see `ledger.identity_of`."""
        facts = (run, identity, origin, self._clock.now(), self._clock.uptime(), machine(), boot(), self.owner.name)
        with self._database.transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO runs (run, identity, origin, begun, begun_uptime, machine, boot, owner)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                facts,
            )

    def find(self, which: str, values: Mapping[str, Any]) -> list[Run]:
        """All runs with a row that matches `which` (SQL), newest first."""
        chosen = f"run IN (SELECT run FROM jobs JOIN runs USING (run) WHERE {which}) AND current"
        found: dict[str, list[Row]] = {}
        with self._database.transaction() as database:  # so that no two processes try an owner's lock at once
            for row in select_rows(database, f"{chosen} ORDER BY begun DESC, jobs.run, number", values):
                found.setdefault(row.run, []).append(row)
            return [Run(rows, self.standing(rows[0])) for rows in found.values()]

    def claim(self, which: str, values: Mapping[str, Any], accept: Callable[[Run], bool]) -> list[Run]:
        """All runs with a row that matches `which` (SQL), newest first. This process becomes the owner of some.

        Those are the runs for which `accept` returns true, except runs with a live owner or of another machine.
        """
        with self._database.transaction():
            found = self.find(which, values)
            for run in found:
                if run.standing in ("ours", "rebooted") and accept(run):
                    run.is_taken = True
                    self._own(run.rows[0].run)
        return found

    def take_over(self, row: Row) -> Standing:
        """Become the owner of a row's run, unless it has a live owner or is of another machine.

        Returns who owned it before.
        """
        with self._database.transaction():
            standing = self.standing(row)
            if standing in ("ours", "rebooted"):
                self._own(row.run)
        return standing

    def standing(self, row: Row) -> Standing:
        """Who owns a row's run."""
        here = row.machine == machine()
        if row.owner not in (None, self.owner.name) and not self.owner.is_gone(row.owner, is_here=here):
            return "live"
        if not here:
            return "elsewhere"
        return "ours" if row.boot == boot() else "rebooted"

    def end(self, *, told: bool) -> None:
        """Release this process's runs. told: the user knows the result, so finished runs are not continued again."""
        dropped = "(state = 'abandoned' AND error IS NULL AND NOT given_up)"  # never sent, though nothing failed
        finished = f"NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.run = runs.run AND ({UNFINISHED} OR {dropped}))"
        with self._database.transaction() as database:
            database.execute(
                f"UPDATE runs SET owner = NULL, told = max(told, :told AND {finished}) WHERE owner = :owner",
                {"told": int(told), "owner": self.owner.name},
            )

    def release(self, run: str) -> None:
        """Stop owning a run, so that another process may continue it."""
        with self._database.transaction() as database:
            database.execute("UPDATE runs SET owner = NULL WHERE run = ? AND owner = ?", (run, self.owner.name))

    def _own(self, run: str) -> None:
        with self._database.transaction() as database:
            database.execute("UPDATE runs SET owner = ?, taken = 1 WHERE run = ?", (self.owner.name, run))
