"""The journal's newest jobs, which completion offers with their state and prompt, and the newest images.

Only reads: it never creates, locks or repairs a journal, and reports no error. May import: settings, journal.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from typing import Literal

from reve_cli.journal.peek import peek
from reve_cli.journal.states import FILE, LAST, UNFINISHED
from reve_cli.settings.folders import SANDBOX, state_folder, truthy

Wanted = Literal["jobs", "unfinished", "all"]
_WHERE: Mapping[Wanted, str] = {"jobs": "job IS NOT NULL", "unfinished": UNFINISHED, "all": "TRUE"}
"""The SQL condition of each choice. Jobs that `resume` can finish may have a key but no job id yet."""
_MOST = 10
"""Jobs that are offered at most."""
_ABOUT = 60
"""Characters of the prompt that are shown."""
_SHORT = 8
"""Characters of a job id that are offered, if they are enough."""
_MOST_FILES = 20
_PLAIN_IMAGE = re.compile(r"[\w][\w.,+@-]*\.(?:png|jpe?g|webp|avif)", re.IGNORECASE)
"""Names of images that need no quotes in any shell."""
_NEWEST = """
    SELECT coalesce(job, key) AS name, job IS NOT NULL, state, substr(json_extract(body, '$.prompt'), 1, :about),
        (SELECT count(DISTINCT job) FROM jobs AS other
         WHERE other.job >= substr(jobs.job, 1, :short) AND other.job < substr(jobs.job, 1, :short) || 'g'), max(id)
    FROM jobs
    WHERE {where} AND substr(coalesce(job, key), 1, length(:start)) = :start
    GROUP BY name ORDER BY max(id) DESC LIMIT :most
"""


def jobs(environ: Mapping[str, str], wanted: Wanted, start: str, *, sandbox: bool) -> list[tuple[str, str]]:
    """Return the names of jobs that begin with `start`, newest first, each with its state and prompt.

    A job's name is the beginning of its id, or the whole id if `start` or another job needs more of it; without an id
    it is its key. `last` comes first.
    """
    folder = state_folder(environ)
    if folder is None or not truthy(environ.get("REVE_JOURNAL") or "on"):
        return []
    if sandbox or truthy(environ.get("REVE_SANDBOX")):
        folder /= SANDBOX
    query = _NEWEST.format(where=_WHERE[wanted])
    from_last = bool(start) and LAST.startswith(start)
    values = {"start": "" if from_last else start, "about": _ABOUT, "most": _MOST, "short": _SHORT}
    found = []
    for name, is_job, state, prompt, same, _ in peek(folder / FILE, query, values):
        is_short = is_job and same == 1 and len(start) < _SHORT
        found.append((name[:_SHORT] if is_short else name, f"{state}: {prompt}" if prompt else state))
    has_last = bool(found) and LAST.startswith(start) and wanted != "unfinished"
    newest = [(LAST, f"the newest, {found[0][1]}")] if has_last else []
    return newest if from_last else [*newest, *found]


def images() -> list[str]:
    """The newest image files of the current folder."""
    with contextlib.suppress(OSError), os.scandir() as found:
        files = [file for file in found if _PLAIN_IMAGE.fullmatch(file.name) and file.is_file()]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        return [file.name for file in files[:_MOST_FILES]]
    return []


def has_files(start: str) -> bool:
    """Whether the name of a file or folder here begins with `start`, or `start` is a path."""
    with contextlib.suppress(OSError):
        return os.sep in start or any(name.startswith(start) for name in os.listdir())
    return False
