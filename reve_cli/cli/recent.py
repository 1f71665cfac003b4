"""The journal's newest jobs, which completion offers with their state and prompt.

Only reads: it never creates, locks or repairs a journal, and reports no error. May import: settings, journal.
"""

from collections.abc import Mapping
from typing import Literal

from reve_cli.journal.database import peek
from reve_cli.journal.journal import NAME
from reve_cli.journal.states import UNFINISHED
from reve_cli.settings.config import SANDBOX, state_folder, truthy

Wanted = Literal["jobs", "unfinished", "all"]
_WHERE: Mapping[Wanted, str] = {"jobs": "job IS NOT NULL", "unfinished": UNFINISHED, "all": "TRUE"}
"""The SQL condition of each choice. Jobs that `resume` can finish may have a key but no job id yet."""
_MOST = 10
"""Jobs that are offered at most."""
_ABOUT = 60
"""Characters of the prompt that are shown."""
_NEWEST = """
    SELECT coalesce(job, key) AS name, state, substr(json_extract(body, '$.prompt'), 1, :about), max(id) FROM jobs
    WHERE {where} AND substr(coalesce(job, key), 1, length(:start)) = :start
    GROUP BY name ORDER BY max(id) DESC LIMIT :most
"""


def jobs(environ: Mapping[str, str], wanted: Wanted, start: str, *, sandbox: bool) -> list[tuple[str, str]]:
    """Return the job ids or keys that begin with `start`, newest first, each with its state and prompt."""
    folder = state_folder(environ)
    if folder is None or not truthy(environ.get("REVE_JOURNAL") or "on"):
        return []
    if sandbox or truthy(environ.get("REVE_SANDBOX")):
        folder /= SANDBOX
    query = _NEWEST.format(where=_WHERE[wanted])
    rows = peek(folder / NAME, query, {"start": start, "about": _ABOUT, "most": _MOST})
    return [(name, f"{state}: {prompt}" if prompt else state) for name, state, prompt, _ in rows]
