"""What `doctor` looks at on this machine: versions, settings, key, state folder, journal, terminal, completion.

Each check is a function that answers with findings, and changes nothing. Imports `saving`, `recovery`, `journal`,
`database`, `credentials`, `config`, `settings`, `output`, `clock`, `contract`, `states`, `errors`; slow to load, like
`saving`.
"""

import contextlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reve_cli import __version__
from reve_cli.core.clock import Clock
from reve_cli.core.errors import ReveError
from reve_cli.doctor.findings import Finding, problem
from reve_cli.engine.recovery import resume_command
from reve_cli.engine.saving import RESCUE, SPOOL
from reve_cli.journal.database import JournalError
from reve_cli.journal.journal import Journal, damaged, open_journal
from reve_cli.journal.states import UNFINISHED
from reve_cli.settings import config
from reve_cli.settings.credentials import Key
from reve_cli.settings.settings import SETTINGS
from reve_cli.terminal.text import quote

_LIBRARIES = ("typer", "httpx", "rich", "platformdirs", "truststore", "tomlkit", "certifi")
_OPTIONAL = ("keyring",)


# Versions


def versions() -> Iterator[Finding]:
    """reve itself, Python, what reve is built on, and the system."""
    package = str(Path(__file__).parents[1])
    yield Finding("reve", "ok", __version__, details={"version": __version__, "folder": package})
    python = {"version": platform.python_version(), "executable": sys.executable}
    yield Finding("python", "ok", f"{python['version']} ({platform.python_implementation()})", details=python)
    found = {name: _version(name) for name in (*_LIBRARIES, *_OPTIONAL)}
    shown = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing = [name for name in _LIBRARIES if not found[name]]
    if missing:
        remedy = "install reve-cli anew"
        yield Finding("libraries", "hint", f"{shown}; no version is known of {', '.join(missing)}", remedy, found)
    else:
        yield Finding("libraries", "ok", shown, details=found)
    system = platform.platform()
    yield Finding("system", "ok", system, details={"platform": system, "machine": platform.machine()})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


# Settings and key


def settings(values: Mapping[str, config.Value], problems: Sequence[ReveError]) -> Iterator[Finding]:
    """The files in use, what is not default, and what is wrong."""
    user, project = config.config_file(), config.project_file()
    for name, path, there in (("config", user, bool(user and os.path.lexists(user))), ("project", project, True)):
        said = f"none ({path or config.PROJECT_FILE})" if not there or path is None else str(path)
        yield Finding(name, "ok", said, details={"path": path and str(path)})
    changed = {name: value for name, value in values.items() if value.source != "default"}
    for name, value in changed.items():
        shown = "true" if value.value is True else "false" if value.value is False else value.value
        details = {"name": name, "value": value.value, "source": value.source, "where": value.where}
        yield Finding("settings", "ok", f"{name} = {shown} ({value.where})", details=details)
    for error in problems:
        yield problem("settings", error, "correct it there, or take it out")
    if not changed and not problems:
        yield Finding("settings", "ok", "all default")


def base_url_is_known(values: Mapping[str, config.Value], environ: Mapping[str, str]) -> bool:
    """Whether the base URL is the one that was meant, so that the key may go there: none was given that is wrong."""
    if values["base_url"].source == "environment":
        return True
    try:
        given = "base_url" in config.read_config()
    except ReveError:
        given = True
    return not environ.get(SETTINGS["base_url"].variable) and (not given or values["base_url"].source == "user")


def key(found: Key, warnings: Sequence[str]) -> Iterator[Finding]:
    """Where the key comes from, and what there was to be warned of."""
    details = {"source": found.source, "prefix": found.prefix}
    yield Finding("key", "ok", f"{found.prefix} from {found.source}", details=details)
    for warning in warnings:
        said, chmod, path = warning.rpartition(": chmod ")
        yield Finding("key", "hint", said or warning, chmod.removeprefix(": ") + path)


# State folder and journal


def state(folder: Path | None) -> Iterator[Finding]:
    """Whether what must last can be kept."""
    if folder is None:
        error = ReveError("journal", "there is no home folder to keep the journal in", hint="set REVE_STATE_DIR")
        yield problem("state", error)
        return
    there = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    details = {"path": str(folder), "exists": there == folder}
    try:
        if there == folder:
            with tempfile.TemporaryFile(dir=folder):
                pass
        else:  # only trying tells: what the system says of rights is not all that counts
            with tempfile.TemporaryDirectory(dir=there):
                pass
    except OSError as error:
        said = f"{folder} cannot be written" if there == folder else f"{folder} cannot be made in {there}"
        remedy = "make it writable for you, or set REVE_STATE_DIR to a folder that is"
        yield problem("state", ReveError("journal", f"{said}: {error.strerror}", hint=remedy), details=details)
        return
    yield Finding("state", "ok", f"{folder}{'' if there == folder else ' (not there yet)'}", details=details)


def journal(folder: Path | None, clock: Clock, flags: Sequence[str], *, keeps: bool) -> Iterator[Finding]:
    """What the journal holds, and what lies about that only its owner can put away. `keeps`: a journal is kept."""
    if not keeps:
        yield Finding("journal", "hint", "off: nothing is safe from a crash", "unset REVE_JOURNAL")
    if folder is None:
        return
    if keeps:
        try:
            opened = open_journal(folder, clock, lambda text: None, begin=False)
        except JournalError as error:
            remedy = "make it readable and writable for you"
            if error.damaged:
                remedy = "the next generate sets it aside; look for its jobs in the Apiframe console"
            yield problem("journal", error, remedy)
        else:
            yield from _rows(opened, flags)
    for path in damaged(folder):
        remedy = f"look in the Apiframe console for jobs that it alone knows, then: rm {quote(str(path))}"
        yield Finding("journal", "hint", f"a damaged journal was set aside: {path}", remedy, {"path": str(path)})
    for name, why in ((RESCUE, "found no other place"), (SPOOL, "were on their way to a pipe")):
        kept = folder / name
        count = sum(path.is_file() for path in kept.glob("*"))
        if count:
            remedy = f"take what you want to keep: ls {quote(str(kept))}"
            finding = f"images that {why}: {count}, in {kept}"
            yield Finding("journal", "hint", finding, remedy, {"path": str(kept), "files": count})


def _rows(opened: Journal | None, flags: Sequence[str]) -> Iterator[Finding]:
    if opened is None:
        yield Finding("journal", "ok", "none yet: the first image begins it", details={"rows": 0, "unfinished": 0})
        return
    with contextlib.closing(opened):
        runs = opened.runs(UNFINISHED, {})
        live = sum(row.is_unfinished for run in runs if run.standing == "live" for row in run.rows)
        unfinished = sum(row.is_unfinished for run in runs for row in run.rows) - live
        details = {"rows": opened.count(), "unfinished": unfinished, "atWork": live}
    rows = f"{details['rows']} row{'' if details['rows'] == 1 else 's'}"
    at_work = f", {live} at work" if live else ""
    if unfinished:
        finding = f"{rows}, {unfinished} unfinished{at_work}"
        yield Finding("journal", "hint", finding, resume_command([], flags), details)
    else:
        yield Finding("journal", "ok", f"{rows}, none unfinished{at_work}", details=details)


# Terminal and shell


def terminal(surroundings: Mapping[str, Any]) -> Iterator[Finding]:
    """What is printed on, as `Output.surroundings` tells it."""
    streams = [name for name in ("stdin", "stdout", "stderr") if surroundings[name]]
    width = f", {surroundings['columns']} columns" if surroundings["columns"] else ""
    term, encoding = surroundings["term"], str(surroundings["encoding"])
    colors = f"color {surroundings['color']}{' (NO_COLOR)' if surroundings['noColor'] else ''}"
    said = f"{' '.join(streams) or 'no stream is one'}{width}, TERM {term or 'unset'}, {encoding}, {colors}"
    if encoding.lower().replace("-", "") == "utf8":
        yield Finding("terminal", "ok", said, details=surroundings)
    else:
        remedy = "choose a UTF-8 locale, such as LC_ALL=C.UTF-8: other characters are shown as escapes"
        yield Finding("terminal", "hint", said, remedy, surroundings)
