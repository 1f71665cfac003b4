"""The items of a batch and their state, in a temporary database on disk, so that 100,000 need no more memory than ten.

The database ends with the process. The journal and the manifest are what lasts.
May import: core, batch.identity, items; sqlite3.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reve_cli.batch.identity import digest, likeness, with_random_seed
from reve_cli.batch.items import Item
from reve_cli.core.clock import Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest

_CHUNK = 500
_CACHE = 64  # KiB of the database in memory
_SCHEMA = """
    CREATE TABLE items (
        number INTEGER PRIMARY KEY, line INTEGER NOT NULL, item TEXT NOT NULL, alike TEXT NOT NULL,
        ordinal INTEGER NOT NULL, body TEXT NOT NULL, out TEXT, source TEXT,
        told INTEGER NOT NULL,            -- the last line about it
        is_random INTEGER NOT NULL,       -- its seed is chosen for its run
        columns TEXT,                     -- data of the user's in its row
        former TEXT, former_item TEXT, former_alike TEXT, former_ordinal INTEGER,  -- of the earlier form of its prompt
        attempt INTEGER NOT NULL DEFAULT 1,
        job TEXT, todo INTEGER NOT NULL DEFAULT 1,
        path BLOB,                        -- of its image, if it does not depend on the job
        place BLOB,                       -- the same for all names of its file
        is_taken INTEGER NOT NULL DEFAULT 0,  -- the file is another item's image, or another run's
        is_other_lines INTEGER NOT NULL DEFAULT 0,  -- the file is the image of another item of this list
        image BLOB,                       -- the path where an earlier run saved it
        images INTEGER NOT NULL DEFAULT 1,    -- number of images of its job
        is_known INTEGER NOT NULL DEFAULT 0   -- in the journal as begun, so it may be paid for
    );
    CREATE INDEX by_item ON items (item);
    CREATE INDEX by_likeness ON items (alike, ordinal);
    CREATE INDEX by_former ON items (former_item) WHERE former IS NOT NULL;
    CREATE INDEX by_former_likeness ON items (former_alike, former_ordinal) WHERE former IS NOT NULL;
    CREATE INDEX by_source ON items (source) WHERE source IS NOT NULL;
    CREATE INDEX by_path ON items (path) WHERE path IS NOT NULL;
    CREATE INDEX by_place ON items (place) WHERE place IS NOT NULL;
    CREATE INDEX by_image ON items (image) WHERE image IS NOT NULL;
    CREATE INDEX by_turn ON items (number) WHERE todo;
"""


@dataclass(frozen=True)
class Planned:
    """An item to make. number: counts items from 1. ordinal: counts identical items from 1.

    attempt: the number of the next attempt. job: the paid job to fetch the image from again, if any. images: number of
    images of that job. is_other_lines: the file at its path is the image of another item. is_random: its seed is chosen
    for its run. columns: data of the user's in its row.
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
    is_random: bool = False
    columns: Mapping[str, Any] | None = None


class Worklist:
    """The items of a batch, for use by one thread."""

    share = 1.0
    """The share of the file's items that it has: less than 1 for a shard."""

    def __init__(self, most: int = Limits.images) -> None:
        """most: maximum number of items; more are probably a mistake."""
        self._most = most
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = {-_CACHE}")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def fill(self, items: Iterable[Item], added: Callable[[int, Item], None] = lambda number, item: None) -> None:
        """Add all items, except repeated ones with the same source and request. added: called with each number."""
        with self.at_once():
            for number, item in enumerate(items):
                if number >= self._most:
                    raise ReveError("usage", f"the batch has more than {self._most:,} images; nothing was submitted")
                body = item.request.body().decode()
                same = "UPDATE items SET told = ? WHERE source = ? AND body = ?"
                if item.source and self._database.execute(same, (item.line, item.source, body)).rowcount:
                    continue
                named = with_random_seed(body) if item.is_random else body
                alike = likeness(named, item.out)
                ordinal = self._next("ordinal", alike=alike)
                facts: dict[str, Any] = {
                    "line": item.line,
                    "alike": alike,
                    "item": digest(alike, ordinal),
                    "ordinal": ordinal,
                    "body": body,
                    "out": item.out,
                    "source": item.source,
                    "told": item.line,
                    "is_random": item.is_random,
                    "columns": None if item.columns is None else json.dumps(item.columns),
                }
                if (before := item.request.as_before()) and not item.is_random:
                    former = before.body().decode()
                    alike = likeness(former, item.out)
                    ordinal = self._next("former_ordinal", former_alike=alike)
                    facts |= {"former": former, "former_alike": alike, "former_ordinal": ordinal}
                    facts["former_item"] = digest(alike, ordinal)
                names = ", ".join(facts)
                marks = ", ".join(f":{name}" for name in facts)
                row = self._database.execute(f"INSERT INTO items ({names}) VALUES ({marks})", facts).lastrowid  # noqa: S608
                added(row or 0, item)
            if self.has("former"):
                _recount(self._database)

    def _next(self, ordinal: str, **alike: str) -> int:
        (column, value), known = *alike.items(), " AND former IS NOT NULL" if "former_alike" in alike else ""
        return int(self._value(f"SELECT coalesce(max({ordinal}), 0) + 1 FROM items WHERE {column} = ?{known}", value))  # noqa: S608

    def keep_shard(self, index: int, count: int) -> None:
        """Keep only shard `index` of `count`. An item's id decides its shard, so each is in exactly one."""
        self._database.create_function("shard_of", 1, lambda item: int(item[:8], 16) % count + 1, deterministic=True)
        with self.at_once():
            every = self.size
            self._database.execute("DELETE FROM items WHERE shard_of(item) != ?", (index,))
            self.share = self.size / max(1, every)

    def set_paths(
        self,
        path_of: Callable[[Planned], str | None],
        bad: Callable[[int, str], None],
        place_of: Callable[[str], str] = str,
    ) -> None:
        """Set the path of each image, if it is known yet. `bad` is called for lines with conflicting paths.

        place_of: returns the same for paths that are one file.
        """
        with self.at_once():
            for planned in self._each("1"):
                try:
                    path = path_of(planned)
                except ReveError as error:
                    bad(planned.line, error.message.removeprefix("--"))
                    continue
                if path is not None:
                    query = "UPDATE items SET path = ?, place = ? WHERE number = ?"
                    values = os.fsencode(path), os.fsencode(place_of(path)), planned.number
                    self._database.execute(query, values)
            self._drop_replaced()
            for line, why in _conflicts(self._pages):
                bad(line, why)

    def _drop_replaced(self) -> None:
        """Of a manifest's lines with the same `out`, keep the last: its image replaced the others."""
        later = "one.place = items.place AND one.told > items.told AND one.source IS NOT NULL AND one.out IS NOT NULL"
        replaced = f"source IS NOT NULL AND out IS NOT NULL AND EXISTS (SELECT 1 FROM items AS one WHERE {later})"  # noqa: S608
        if self._database.execute(f"DELETE FROM items WHERE place IS NOT NULL AND {replaced}").rowcount:  # noqa: S608
            _recount(self._database)

    # Results of earlier runs

    def has(self, column: str) -> bool:
        """Whether any item has a value in `column`."""
        return bool(self._value(f"SELECT EXISTS (SELECT 1 FROM items WHERE coalesce({column}, 0) != 0)"))  # noqa: S608

    def keep_former(self, item: str) -> None:
        """Let `item` keep its former request, and so its key, because an earlier run used it."""
        self._database.execute(
            "UPDATE items SET body = former, item = former_item, alike = former_alike, ordinal = former_ordinal, "
            "former = NULL WHERE former_item = ? AND former IS NOT NULL",
            (item,),
        )

    def keep_known(self, known: Callable[[list[Planned]], Iterable[str]]) -> None:
        """Let items keep their former request if the journal has it. known: returns their ids."""
        with self.at_once():
            last = 0
            names = "number, line, former_item, former_ordinal, former, out, attempt"
            where = "former IS NOT NULL AND number > ?"
            query = f"SELECT {names} FROM items WHERE {where} ORDER BY number LIMIT {_CHUNK}"  # noqa: S608
            while rows := self._database.execute(query, (last,)).fetchall():
                last = rows[-1][0]
                found = [
                    Planned(number, line, item, ordinal, ImageRequest.from_wire(json.loads(body)), out, attempt, None)
                    for number, line, item, ordinal, body, out, attempt in rows
                ]
                for item in known(found):
                    self.keep_former(item)

    def choose_seeds(self, seed_of: Callable[[str, str | None, int], int]) -> None:
        """Give each item with a random seed its seed. seed_of: called with its request without one, out and ordinal."""
        with self.at_once():
            query = "SELECT number, body, out, ordinal FROM items WHERE is_random"
            for number, body, out, ordinal in self._pages(query):
                request = replace(ImageRequest.from_wire(json.loads(body)), seed=None)
                seed = seed_of(request.body().decode(), out, ordinal)
                text = replace(request, seed=seed).body().decode()
                self._database.execute("UPDATE items SET body = ? WHERE number = ?", (text, number))

    def note_image(self, item: str | None, job: str | None, path: str, *, is_there: bool, images: int = 1) -> None:
        """Record an image that an earlier run saved. item: whose it is, or None if it does not count here.

        If it is still there, the item is done; else it is fetched again from its job. Call in order: the last image at
        a path is the one that is there.
        """
        place = os.fsencode(path)
        execute = self._database.execute
        execute("UPDATE items SET is_taken = 1 WHERE path = ? AND item IS NOT ?", (place, item))
        execute("UPDATE items SET todo = 1, image = NULL WHERE image = ? AND item IS NOT ?", (place, item))
        if item is not None:
            query = "UPDATE items SET todo = ?, job = ?, image = ?, images = ?, is_taken = 0 WHERE item = ?"
            execute(query, (not is_there, job, place, images, item))

    def note_other_lines(self) -> None:
        """After all `note_image`: mark items whose path is the image of another item."""
        there = "SELECT 1 FROM items AS one WHERE one.image = items.path AND NOT one.todo"
        self._database.execute(f"UPDATE items SET is_other_lines = 1 WHERE todo AND EXISTS ({there})")  # noqa: S608

    def note_taken(self, path: str) -> None:
        """Record that the file at `path` was saved for some item, so that no other item counts as done by it."""
        self._database.execute("UPDATE items SET is_taken = 1 WHERE path = ? AND NOT is_known", (os.fsencode(path),))

    def note_job(self, item: str, job: str | None) -> None:
        """Record the job that an earlier run paid for without getting its image. It is asked again."""
        self._database.execute("UPDATE items SET job = ? WHERE item = ? AND job IS NULL", (job, item))

    def note_failed(self, item: str, attempt: int) -> None:
        """Record a failed attempt; the next one gets a new key."""
        query = "UPDATE items SET attempt = max(attempt, ?) WHERE item = ? AND job IS NULL"
        self._database.execute(query, (attempt + 1, item))

    def note_known(self, known: Callable[[list[Planned]], Iterable[int]]) -> None:
        """Mark items that the journal has as begun. known: returns their numbers."""
        with self.at_once():
            chunk: list[Planned] = []
            for planned in self._each("todo"):
                chunk.append(planned)
                if len(chunk) == _CHUNK:
                    self._set_known(known(chunk))
                    chunk = []
            self._set_known(known(chunk))

    def skip_existing(self, exists: Callable[[bytes], bool]) -> None:
        """Items whose file exists are done, unless the file is another item's, or the item is in the journal."""
        with self.at_once():
            query = "SELECT number, path FROM items WHERE path IS NOT NULL AND todo AND NOT is_taken AND NOT is_known"
            for number, path in self._pages(query):
                if exists(path):
                    self._database.execute("UPDATE items SET todo = 0 WHERE number = ?", (number,))

    # The items left

    def take(self, count: int) -> list[Planned]:
        """The next `count` items to make, or fewer if these are the last."""
        found = list(self._each("todo", count))
        self._database.executemany("UPDATE items SET todo = 0 WHERE number = ?", [(one.number,) for one in found])
        return found

    def ids(self) -> Iterator[tuple[int, str]]:
        """The number and id of every item."""
        yield from self._pages("SELECT number, item FROM items ORDER BY number")

    @property
    def size(self) -> int:
        return int(self._value("SELECT count(*) FROM items"))

    @property
    def left(self) -> int:
        """Number of items still to make."""
        return int(self._value("SELECT count(*) FROM items WHERE todo"))

    @property
    def to_buy(self) -> int:
        """Number of items left that no earlier run is known to have paid for."""
        return int(self._value("SELECT count(*) FROM items WHERE todo AND job IS NULL AND NOT is_known"))

    def _set_known(self, numbers: Iterable[int]) -> None:
        query = "UPDATE items SET is_known = 1 WHERE number = ?"
        self._database.executemany(query, [(number,) for number in numbers])

    def _each(self, where: str, most: int = -1) -> Iterator[Planned]:
        names = "number, line, item, ordinal, body, out, attempt, job, images, is_other_lines, is_random, columns"
        query = f"SELECT {names} FROM items WHERE {where} ORDER BY number LIMIT {most}"  # noqa: S608
        for row in self._pages(query):
            facts = dict(zip(names.split(", "), row, strict=True))
            facts["request"] = ImageRequest.from_wire(json.loads(facts.pop("body")))
            facts["columns"] = None if facts["columns"] is None else json.loads(facts["columns"])
            yield Planned(**facts)

    def _pages(self, query: str, values: Mapping[str, str] | None = None) -> Iterator[tuple[Any, ...]]:
        """Yield rows. Meanwhile, only columns that are not in the query's conditions may be changed."""
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
        """Do everything inside in one transaction, which is much faster."""
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            message = f"cannot store the list of images in a temporary file: {error}; set TMPDIR to another folder"
            raise ReveError("output", message) from error


def _conflicts(pages: Callable[..., Iterator[tuple[Any, ...]]]) -> Iterator[tuple[int, str]]:
    """Yield the lines whose path is that of another line, and why. pages: queries the worklist."""
    first = "(SELECT line FROM items AS one WHERE one.place = items.place ORDER BY number LIMIT 1)"
    earlier = "EXISTS (SELECT 1 FROM items AS one WHERE one.place = items.place AND one.number < items.number)"
    query = f"SELECT line, {first}, path FROM items WHERE place IS NOT NULL AND {earlier}"  # noqa: S608
    for line, other, path in pages(f"{query} GROUP BY line ORDER BY number"):
        whose = f"line {other}" if other != line else "another image of this line"
        yield line, f"{os.fsdecode(path)} is already the path of {whose}"
    below = "one.place > CAST(items.place || :first AS BLOB) AND one.place < CAST(items.place || :last AS BLOB)"
    inside = f"(SELECT line FROM items AS one WHERE {below} LIMIT 1)"  # noqa: S608
    query = f"SELECT line, {inside} AS other, path FROM items WHERE place IS NOT NULL AND other ORDER BY number"  # noqa: S608
    for line, other, path in pages(query, {"first": os.sep, "last": chr(ord(os.sep) + 1)}):
        yield line, f"{os.fsdecode(path)} is a file here, but a folder in line {other}"


def _recount(database: sqlite3.Connection) -> None:
    """Number identical items again; those with a former request come last, as they may go back to it."""
    database.create_function("item_of", 2, digest, deterministic=True)
    turn = "PARTITION BY alike ORDER BY former IS NOT NULL, number"
    counted = f"SELECT number AS of, row_number() OVER ({turn}) AS ordinal FROM items"  # noqa: S608
    database.execute(
        f"UPDATE items SET ordinal = now.ordinal, item = item_of(alike, now.ordinal) FROM ({counted}) AS now "  # noqa: S608
        "WHERE number = now.of AND items.ordinal != now.ordinal"
    )
