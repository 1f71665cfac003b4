"""Earlier paid jobs that are unfinished, and the note about them at the end of every command that calls the API.

May import: runtime, journal, core.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reve_cli.core.clock import HOUR
from reve_cli.core.errors import ReveError
from reve_cli.core.models import plural
from reve_cli.journal.states import UNFINISHED

if TYPE_CHECKING:
    from reve_cli.journal.rows import Row
    from reve_cli.runtime import Runtime


def note_unfinished(run: "Runtime", code: int) -> None:
    """Say after a command that earlier paid jobs are unfinished. code: the command's exit code."""
    if code == 75 or run.output.json or run.output.quiet or run.process.stop:  # 75 has its own hint
        return
    recent = run.process.clock.now() - HOUR
    count = sum(not (row.is_handed_over and row.created > recent) for row in unfinished(run))
    if count:
        kind = "simulated job" if run.sandbox else "paid job"
        command = " ".join(["reve resume", *run.flags])
        run.output.note(f"{plural(count, kind)} {'is' if count == 1 else 'are'} unfinished: {command}")


def unfinished(run: "Runtime") -> "Sequence[Row]":
    """The rows that `resume` would finish; none if the journal cannot be used."""
    journal, _ = run.journal(begin=False)
    if journal is None:
        return ()
    origin = "sandbox" if run.sandbox else run.api.http.base_url
    try:
        found = journal.runs.find(f"{UNFINISHED} AND state != 'intent' AND origin = :origin", {"origin": origin})
    except ReveError:
        return ()
    return [
        row
        for each in found
        if each.standing in ("ours", "rebooted")
        for row in each.rows
        if row.is_unfinished and row.state != "intent"
    ]
