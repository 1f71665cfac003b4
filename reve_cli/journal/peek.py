"""Reads the journal's file without opening the journal, for shell completion.

May import: nothing of ours. Slow to load: sqlite3.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def peek(path: Path, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a query, or none if the file is missing, locked, half written or damaged.

    It creates, repairs and waits for nothing. Call it only in a process that has not opened the file otherwise.
    """
    if not path.is_file():  # opening a FIFO would block
        return []
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0, uri=True)
        try:
            return database.execute(query, values).fetchall()
        finally:
            database.close()
    except (sqlite3.Error, OSError):
        return []
