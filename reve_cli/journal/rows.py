"""A row of the journal: one attempt at one image job, with the facts of its run.

May import: nothing of ours.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

NAMED = """jobs.id IN (SELECT same.id FROM jobs AS other JOIN jobs AS same USING (run, number)
    WHERE other.job IN (SELECT value FROM json_each(:names)) OR other.key IN (SELECT value FROM json_each(:names))
    OR other.run IN (SELECT value FROM json_each(:names)))"""
"""SQL condition: one of `:names` (a JSON list of job ids, keys and runs) names the row or another attempt at it."""
_SELECT = """SELECT jobs.*, identity, origin, begun, begun_uptime, machine, boot, owner, taken, told,
    (SELECT account FROM accounts WHERE accounts.origin = runs.origin AND accounts.key_tag = jobs.key_tag) AS account,
    NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.run = jobs.run AND later.number = jobs.number
                AND later.attempt > jobs.attempt) AS current
    FROM jobs JOIN runs USING (run) """
_JSON_COLUMNS = ("out", "replaces", "files", "error", "style")  # JSON can hold any path


@dataclass(frozen=True)
class Row:
    """One attempt at an image job.

    Times are in seconds since the epoch (`made` and `ended` by the API's clock); `..._uptime`: see `Clock.uptime`.
    body: the request's exact text, None once the row is thinned. out, replaces, files, error, style: decoded JSON.
    current: there is no later attempt. given_up: the user closed it, though it may have been charged.
    taken: another process continued the run. told: the user knows how the run ended.
    """

    id: int
    run: str
    number: int
    attempt: int
    key: str
    key_is_given: int
    key_tag: str
    scope: str | None
    body: str | None
    model: str
    out: str | None
    replaces: Any
    token: str
    state: str
    created: float
    tries: int
    first_try: float | None
    first_uptime: float | None
    last_uptime: float | None
    reserved: float | None
    charge: float | None
    job: str | None
    made: float | None
    ended: float | None
    images: int | None
    files: list[dict[str, Any]] | None
    error: dict[str, str] | None
    given_up: int
    style: dict[str, Any] | None
    identity: str | None
    origin: str
    begun: float
    begun_uptime: float
    machine: str
    boot: str
    owner: str | None
    taken: int
    told: int
    account: str | None
    current: int

    @property
    def is_unfinished(self) -> bool:
        """Whether there is still something to do: the same condition as `UNFINISHED`."""
        return self.state in ("intent", "sending") or (self.state in ("accepted", "completed") and self.out is not None)

    @property
    def is_handed_over(self) -> bool:
        """Whether its command did not wait for the job, because a webhook reports its end to another."""
        return self.identity is None and "webhookUrl" in self.request

    @property
    def needs_another_key(self) -> bool:
        """Whether a new attempt needs a new key: this key's job is over and brought no image."""
        return self.state in ("failed", "mismatch") or bool(self.given_up)

    @property
    def request(self) -> dict[str, Any]:
        """The request's body; empty once the row is thinned."""
        found: dict[str, Any] = json.loads(self.body or "{}")
        return found


def select_rows(database: "sqlite3.Connection", where: str, values: Mapping[str, Any]) -> list[Row]:
    """The rows that match `where` (SQL; ORDER BY and LIMIT may follow)."""
    cursor = database.execute(f"{_SELECT} WHERE {where}", values)
    names = [name for name, *_ in cursor.description]
    found = (dict(zip(names, row, strict=True)) for row in cursor)
    return [Row(**{**row, **{name: json.loads(row[name] or "null") for name in _JSON_COLUMNS}}) for row in found]
