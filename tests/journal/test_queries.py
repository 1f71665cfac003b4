"""No command reads the whole journal, whose rows only grow in number."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Reve


def test_no_command_reads_every_row(reve: Reve, sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: set[str] = set()
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*arguments, **options)
        database.set_trace_callback(statements.add)
        return database

    monkeypatch.setattr(sqlite3, "connect", traced)
    Path("prompts.txt").write_text("a fox\nan owl\n")
    commands = [
        "generate fox",
        "generate fox --no-wait",
        "batch prompts.txt --out pics",
        "batch prompts.txt --out pics",
        "batch prompts.txt --out pics --run again",
        "history",
        "history show last",
        "status last",
        "download last --out again.png",
        "resume",
        "resume last --out last.png",
    ]
    for command in commands:
        reve(*command.split())
    (path,) = home.rglob("journal.db")
    journal = connect(path)
    slow = []
    for statement in statements:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and " jobs" in statement:
            plan = [step for *_, step in journal.execute(f"EXPLAIN QUERY PLAN {statement}")]
            newest = {"SCAN jobs USING INDEX jobs_by_age": "LIMIT", "SCAN jobs": "ORDER BY id DESC LIMIT 1"}
            reads_all = [step for step in plan if step.startswith(("SCAN jobs", "SCAN runs"))]
            slow += [(step, statement) for step in reads_all if newest.get(step, "never") not in statement]
    journal.close()
    assert statements
    assert not slow
