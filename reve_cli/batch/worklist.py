"""All items of a batch and how far each has come, on disk, so that a hundred thousand take no more memory than ten.

The file is a temporary database of this process alone, and gone with it. What lasts is the journal and the manifest.

An item is what it asks for: the exact request, its own `out`, and which of several alike it is. So it is the same item
after lines were added, moved or edited, in another shard and on another machine. Imports `items`, `clock`, `models`,
`errors`, sqlite3.
"""

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reve_cli.batch.identity import digest, item_id, likeness
from reve_cli.batch.items import Item
from reve_cli.core.clock import Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest

_CHUNK = 500
_CACHE = 256
"""KiB of the table that are held in memory."""
_SCHEMA = """
    CREATE TABLE items (
        number INTEGER PRIMARY KEY, line INTEGER NOT NULL, item TEXT NOT NULL, alike TEXT NOT NULL,
        ordinal INTEGER NOT NULL, body TEXT NOT NULL, out TEXT, source TEXT,
        told INTEGER NOT NULL,            -- the last line that is about it
        attempt INTEGER NOT NULL DEFAULT 1,
        job TEXT, todo INTEGER NOT NULL DEFAULT 1,
        path BLOB,                        -- where its image goes, where that does not depend on its job
        place BLOB,                       -- the same, as the file system tells names apart
        is_taken INTEGER NOT NULL DEFAULT 0,  -- another item's image stands there, or another run's
        is_other_lines INTEGER NOT NULL DEFAULT 0,  -- the image of another item of this list
        image BLOB,                       -- where an earlier run has saved it
        images INTEGER NOT NULL DEFAULT 1,    -- how many that are, with those beside it
        is_known INTEGER NOT NULL DEFAULT 0   -- to the journal, which may have paid for it
    );
    CREATE INDEX by_item ON items (item);
    CREATE INDEX by_likeness ON items (alike, ordinal);
    CREATE INDEX by_source ON items (source) WHERE source IS NOT NULL;
    CREATE INDEX by_path ON items (path) WHERE path IS NOT NULL;
    CREATE INDEX by_place ON items (place) WHERE place IS NOT NULL;
    CREATE INDEX by_image ON items (image) WHERE image IS NOT NULL;
    CREATE INDEX by_turn ON items (number) WHERE todo;
"""


@dataclass(frozen=True)
class Planned:
    """An item of the plan. `number` counts them from 1, `ordinal` those alike.

    attempt: the next one, where earlier ones failed. job: that of the last one, where its image was saved, and is gone.
    images: how many the job has made. is_other_lines: the image of another item stands where its own would go.
    """

    number: int
    line: int
    item: str
    ordinal: int
    request: ImageRequest
    out: str | None
    attempt: int
    job: str | None
    images: int = 1
    is_other_lines: bool = False


class Worklist:
    """The items of a batch, for one thread."""

    def __init__(self, most: int = Limits.images) -> None:
        """most: more items than this are refused."""
        self._most = most
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = {-_CACHE}")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def fill(self, items: Iterable[Item]) -> None:
        """Take all items. Of several from one source, which are one image's, only the first counts."""
        with self.at_once():
            for number, item in enumerate(items):
                if number >= self._most:
                    raise ReveError("usage", f"these are more than {self._most:,} images; nothing was submitted")
                body = item.request.body().decode()
                same = "UPDATE items SET told = ? WHERE source = ? AND body = ?"
                if item.source and self._database.execute(same, (item.line, item.source, body)).rowcount:
                    continue
                alike = likeness(body, item.out)
                ordinal = self._value("SELECT coalesce(max(ordinal), 0) + 1 FROM items WHERE alike = ?", alike)
                self._database.execute(
                    "INSERT INTO items (line, item, alike, ordinal, body, out, source, told) VALUES (?,?,?,?,?,?,?,?)",
                    (
                        item.line,
                        item_id(body, item.out, ordinal),
                        alike,
                        ordinal,
                        body,
                        item.out,
                        item.source,
                        item.line,
                    ),
                )

    def keep_shard(self, index: int, count: int) -> None:
        """Leave out all but shard `index` of `count`: by what items are, so that each is in one shard only."""
        self._database.create_function("shard_of", 1, lambda item: int(item[:8], 16) % count + 1, deterministic=True)
        with self.at_once():
            self._database.execute("DELETE FROM items WHERE shard_of(item) != ?", (index,))

    def set_paths(
        self,
        path_of: Callable[[Planned], str | None],
        bad: Callable[[int, str], None],
        *,
        folds: bool = sys.platform in ("darwin", "win32"),
    ) -> None:
        """Note where each image is known to go. `bad` is told of lines whose image cannot have its name, and why.

        folds: whether names that differ in case only are one file's.
        """
        with self.at_once():
            for planned in self._each("1"):
                try:
                    path = path_of(planned)
                except ReveError as error:
                    bad(planned.line, error.message.removeprefix("--"))
                    continue
                if path is not None:
                    place = os.fsencode(path.casefold() if folds else path)
                    query = "UPDATE items SET path = ?, place = ? WHERE number = ?"
                    self._database.execute(query, (os.fsencode(path), place, planned.number))
            self._drop_replaced()
            first = "(SELECT line FROM items AS one WHERE one.place = items.place ORDER BY number LIMIT 1)"
            earlier = "EXISTS (SELECT 1 FROM items AS one WHERE one.place = items.place AND one.number < items.number)"
            query = f"SELECT line, {first}, path FROM items WHERE place IS NOT NULL AND {earlier}"  # noqa: S608
            for line, other, path in self._pages(f"{query} GROUP BY line ORDER BY number"):
                whose = f"line {other}'s" if other != line else "another one of the same line"
                bad(line, f"its image would have the name of {whose}: {os.fsdecode(path)}")
            below = "one.place > CAST(items.place || :first AS BLOB) AND one.place < CAST(items.place || :last AS BLOB)"
            inside = f"(SELECT line FROM items AS one WHERE {below} LIMIT 1)"  # noqa: S608
            query = f"SELECT line, {inside} AS other, path FROM items WHERE place IS NOT NULL AND other ORDER BY number"  # noqa: S608
            for line, other, path in self._pages(query, {"first": os.sep, "last": chr(ord(os.sep) + 1)}):
                bad(line, f"its image would be a file where line {other} needs a folder: {os.fsdecode(path)}")

    def _drop_replaced(self) -> None:
        """Of lines of a manifest that name one file, only the last counts: its image has replaced the others'."""
        later = "one.place = items.place AND one.told > items.told AND one.source IS NOT NULL AND one.out IS NOT NULL"
        replaced = f"source IS NOT NULL AND out IS NOT NULL AND EXISTS (SELECT 1 FROM items AS one WHERE {later})"  # noqa: S608
        if not self._database.execute(f"DELETE FROM items WHERE place IS NOT NULL AND {replaced}").rowcount:  # noqa: S608
            return
        self._database.create_function("item_of", 2, digest, deterministic=True)
        counted = "SELECT number AS of, row_number() OVER (PARTITION BY alike ORDER BY number) AS ordinal FROM items"
        self._database.execute(
            f"UPDATE items SET ordinal = now.ordinal, item = item_of(alike, now.ordinal) FROM ({counted}) AS now "  # noqa: S608
            "WHERE number = now.of AND items.ordinal != now.ordinal"
        )

    # What earlier runs have left

    def note_image(self, item: str | None, job: str | None, path: str, *, is_there: bool, images: int = 1) -> None:
        """An earlier run has saved an image at `path`: an item's, or with None one that counts for nothing here.

        The item is done, or its job is asked for its image again. Told in order: the last one has its path.
        """
        place = os.fsencode(path)
        execute = self._database.execute
        execute("UPDATE items SET is_taken = 1 WHERE path = ? AND item IS NOT ?", (place, item))
        execute("UPDATE items SET todo = 1, image = NULL WHERE image = ? AND item IS NOT ?", (place, item))
        if item is not None:
            query = "UPDATE items SET todo = ?, job = ?, image = ?, images = ?, is_taken = 0 WHERE item = ?"
            execute(query, (not is_there, job, place, images, item))

    def note_other_lines(self) -> None:
        """Note, once all images are told, which items would replace that of another one."""
        there = "SELECT 1 FROM items AS one WHERE one.image = items.path AND NOT one.todo"
        self._database.execute(f"UPDATE items SET is_other_lines = 1 WHERE todo AND EXISTS ({there})")  # noqa: S608

    def note_taken(self, path: str) -> None:
        """What stands at `path` was saved for an item; so it is of no other, should it be known to be begun."""
        self._database.execute("UPDATE items SET is_taken = 1 WHERE path = ? AND NOT is_known", (os.fsencode(path),))

    def note_job(self, item: str, job: str | None) -> None:
        """An earlier run has paid for an item's job, and has no image of it: the job is asked once more."""
        self._database.execute("UPDATE items SET job = ? WHERE item = ? AND job IS NULL", (job, item))

    def note_failed(self, item: str, attempt: int) -> None:
        """An earlier run's attempt at an item has failed: the next one needs another key."""
        query = "UPDATE items SET attempt = max(attempt, ?) WHERE item = ? AND job IS NULL"
        self._database.execute(query, (attempt + 1, item))

    def note_known(self, known: Callable[[list[Planned]], Iterable[int]]) -> None:
        """Note which items, by their numbers, the journal knows as begun."""
        with self.at_once():
            chunk: list[Planned] = []
            for planned in self._each("todo"):
                chunk.append(planned)
                if len(chunk) == _CHUNK:
                    self._set_known(known(chunk))
                    chunk = []
            self._set_known(known(chunk))

    def skip_existing(self, exists: Callable[[bytes], bool]) -> None:
        """What has a file already is done, unless that is known to be another's, or the journal has more to tell."""
        with self.at_once():
            query = "SELECT number, path FROM items WHERE path IS NOT NULL AND todo AND NOT is_taken AND NOT is_known"
            for number, path in self._pages(query):
                if exists(path):
                    self._database.execute("UPDATE items SET todo = 0 WHERE number = ?", (number,))

    # What is to be done

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
        return int(self._value("SELECT count(*) FROM items WHERE todo AND job IS NULL AND NOT is_known"))

    def _set_known(self, numbers: Iterable[int]) -> None:
        query = "UPDATE items SET is_known = 1 WHERE number = ?"
        self._database.executemany(query, [(number,) for number in numbers])

    def _each(self, where: str) -> Iterator[Planned]:
        query = "SELECT number, line, item, ordinal, body, out, attempt, job, images, is_other_lines FROM items"
        for number, line, item, ordinal, body, *rest in self._pages(f"{query} WHERE {where} ORDER BY number"):
            yield Planned(number, line, item, ordinal, ImageRequest.from_wire(json.loads(body)), *rest)

    def _pages(self, query: str, values: Mapping[str, str] | None = None) -> Iterator[tuple[Any, ...]]:
        """Rows, as they are needed; columns that the query does not choose by may be changed meanwhile."""
        cursor = self._database.execute(query, values or {})
        try:
            while rows := cursor.fetchmany(100):
                yield from rows
        finally:
            cursor.close()

    def _value(self, query: str, *values: object) -> Any:
        return self._database.execute(query, values).fetchone()[0]

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Everything inside is one transaction, which is what makes it fast."""
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            message = (
                f"the list of images cannot be kept among the temporary files: {error}; TMPDIR names another folder"
            )
            raise ReveError("output", message) from error
