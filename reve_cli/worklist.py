"""All items of a batch and how far each has come, on disk, so that a hundred thousand take no more memory than ten.

The file is a temporary database of this process alone, and gone with it. What lasts is the journal and the manifest.

An item is what it asks for: the exact request, its own `out`, and which of several alike it is. So it is the same item
after lines were added, moved or edited, in another shard and on another machine. Imports `items`, sqlite3.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reve_cli.items import Item
from reve_cli.models import ImageRequest

_CACHE = 256
"""KiB of the table that are held in memory."""
_SCHEMA = """
    CREATE TABLE items (
        number INTEGER PRIMARY KEY, line INTEGER NOT NULL, item TEXT NOT NULL, alike TEXT NOT NULL,
        ordinal INTEGER NOT NULL, body TEXT NOT NULL, out TEXT, path TEXT, attempt INTEGER NOT NULL DEFAULT 1,
        job TEXT, todo INTEGER NOT NULL DEFAULT 1
    );
    CREATE INDEX by_item ON items (item);
    CREATE INDEX by_likeness ON items (alike);
    CREATE INDEX by_path ON items (path);
    CREATE INDEX by_turn ON items (number) WHERE todo;
"""


@dataclass(frozen=True)
class Planned:
    """An item of the plan. `number` counts them from 1, `ordinal` those alike.

    attempt: the next one, where earlier ones failed. job: that of the last one, where its image was saved, and is gone.
    """

    number: int
    line: int
    item: str
    ordinal: int
    request: ImageRequest
    out: str | None
    attempt: int
    job: str | None


class Worklist:
    """The items of a batch. A context of one thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = {-_CACHE}")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def fill(self, items: Iterable[Item]) -> None:
        """Take all items."""
        self._database.execute("BEGIN")
        for item in items:
            body = item.request.body().decode()
            alike = _digest(body, item.out)
            ordinal = self._value("SELECT coalesce(max(ordinal), 0) + 1 FROM items WHERE alike = ?", alike)
            self._database.execute(
                "INSERT INTO items (line, item, alike, ordinal, body, out) VALUES (?, ?, ?, ?, ?, ?)",
                (item.line, _digest(alike, ordinal), alike, ordinal, body, item.out),
            )
        self._database.execute("COMMIT")

    def keep_shard(self, index: int, count: int) -> None:
        """Leave out all but shard `index` of `count`: by what items are, so that each is in one shard only."""
        self._database.create_function("shard_of", 1, lambda item: int(item[:8], 16) % count + 1, deterministic=True)
        self._database.execute("DELETE FROM items WHERE shard_of(item) != ?", (index,))

    def set_paths(self, path_of: Callable[[Planned], str | None]) -> list[tuple[str, int, int]]:
        """Note where each image is known to go. Returns paths that several would have, with two of their lines."""
        self._database.execute("BEGIN")
        for planned in self._each("1"):
            path = path_of(planned)
            if path is not None:
                self._database.execute("UPDATE items SET path = ? WHERE number = ?", (path, planned.number))
        self._database.execute("COMMIT")
        same = "SELECT path, min(line), max(line) FROM items WHERE path IS NOT NULL GROUP BY path HAVING count(*) > 1"
        return list(self._database.execute(same + " LIMIT 100"))

    def note_saved(self, item: str, job: str | None, *, is_there: bool) -> None:
        """An earlier run has saved an item: it is done, or its job is asked for its image again."""
        self._database.execute("UPDATE items SET todo = ?, job = ? WHERE item = ?", (not is_there, job, item))

    def note_failed(self, item: str, attempt: int) -> None:
        """An earlier run's attempt at an item has failed: the next one needs another key."""
        query = "UPDATE items SET attempt = max(attempt, ?) WHERE item = ? AND job IS NULL"
        self._database.execute(query, (attempt + 1, item))

    def skip_existing(self, exists: Callable[[str], bool], is_noted: Callable[[Planned], bool]) -> int:
        """What has a file already is done, unless more is noted of it elsewhere. Returns how many are."""
        there = self._each("path IS NOT NULL AND job IS NULL AND todo AND there(path)")
        self._database.create_function("there", 1, exists)
        numbers = [(planned.number,) for planned in there if not is_noted(planned)]
        self._database.executemany("UPDATE items SET todo = 0 WHERE number = ?", numbers)
        return len(numbers)

    def take(self, count: int) -> list[Planned]:
        """The next items to be made, at most `count`; none are left where there are fewer."""
        found = [planned for planned, _ in zip(self._each("todo"), range(count), strict=False)]
        self._database.executemany("UPDATE items SET todo = 0 WHERE number = ?", [(one.number,) for one in found])
        return found

    @property
    def size(self) -> int:
        return int(self._value("SELECT count(*) FROM items"))

    @property
    def left(self) -> int:
        """How many are still to be made."""
        return int(self._value("SELECT count(*) FROM items WHERE todo"))

    @property
    def to_buy(self) -> int:
        """How many of those left no earlier run has paid for, as far as is known."""
        return int(self._value("SELECT count(*) FROM items WHERE todo AND job IS NULL"))

    def _each(self, where: str) -> Iterator[Planned]:
        query = "SELECT number, line, item, ordinal, body, out, attempt, job FROM items"
        for number, line, item, ordinal, body, *rest in self._pages(f"{query} WHERE {where} ORDER BY number"):
            yield Planned(number, line, item, ordinal, ImageRequest.from_wire(json.loads(body)), *rest)

    def _pages(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Rows, as they are needed; the table may be changed meanwhile."""
        cursor = self._database.execute(query)
        try:
            while rows := cursor.fetchmany(100):
                yield from rows
        finally:
            cursor.close()

    def _value(self, query: str, *values: object) -> Any:
        return self._database.execute(query, values).fetchone()[0]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
