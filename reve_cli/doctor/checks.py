"""The checks of this machine: versions, settings, key, state folder, journal, terminal.

A check is a function that yields findings and changes nothing. Slow to load, like `engine.saving`.

May import: doctor.findings, webhooks.ports, settings, engine, journal, terminal, core.
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
from reve_cli.core.models import plural
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
from reve_cli.webhooks.ports import is_held, open_server, read_address

_LIBRARIES = ("typer", "httpx", "rich", "platformdirs", "truststore", "tomlkit", "certifi")
_OPTIONAL = ("keyring",)


# Versions


def versions() -> Iterator[Finding]:
    """The versions of reve, Python, the libraries and the operating system."""
    package = str(Path(__file__).parents[1])
    yield Finding("reve", "ok", __version__, details={"version": __version__, "folder": package})
    python = {"version": platform.python_version(), "executable": sys.executable}
    yield Finding("python", "ok", f"{python['version']} ({platform.python_implementation()})", details=python)
    found = {name: _version(name) for name in (*_LIBRARIES, *_OPTIONAL)}
    shown = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing = [name for name in _LIBRARIES if not found[name]]
    if missing:
        remedy = "reinstall reve-cli"
        yield Finding("libraries", "hint", f"{shown}; version unknown: {', '.join(missing)}", remedy, found)
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
    """The config files, the settings that differ from their defaults, and invalid settings."""
    user, project = config.config_file(), config.project_file()
    for name, path, there in (("config", user, bool(user and os.path.lexists(user))), ("project", project, True)):
        said = f"no file ({path or config.PROJECT_FILE})" if not there or path is None else str(path)
        yield Finding(name, "ok", said, details={"path": path and str(path)})
    changed = {name: value for name, value in values.items() if value.source != "default"}
    for name, value in changed.items():
        shown = "true" if value.value is True else "false" if value.value is False else value.value
        details = {"name": name, "value": value.value, "source": value.source, "where": value.where}
        yield Finding("settings", "ok", f"{name} = {shown} ({value.where})", details=details)
    for error in problems:
        yield problem("settings", error, "correct or remove it")
    if not changed and not problems:
        yield Finding("settings", "ok", "defaults only")


def base_url_is_known(values: Mapping[str, config.Value], environ: Mapping[str, str]) -> bool:
    """Whether the base URL is the one the user chose. If that one is invalid, the key must not go to another."""
    if values["base_url"].source == "environment":
        return True
    try:
        given = "base_url" in config.read_config()
    except ReveError:
        given = True
    return not environ.get(SETTINGS["base_url"].variable) and (not given or values["base_url"].source == "user")


def key(found: Key, warnings: Sequence[str]) -> Iterator[Finding]:
    """Where the key comes from, and warnings about it."""
    details = {"source": found.source, "prefix": found.prefix}
    yield Finding("key", "ok", f"{found.prefix} from {found.source}", details=details)
    for warning in warnings:
        said, chmod, path = warning.rpartition(": chmod ")
        yield Finding("key", "hint", said or warning, chmod.removeprefix(": ") + path)


# State folder and journal


def state(folder: Path | None) -> Iterator[Finding]:
    """Whether the state folder exists or can be created, and can be written to."""
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
        else:  # try it, because file modes alone do not decide
            with tempfile.TemporaryDirectory(dir=there):
                pass
    except OSError as error:
        said = f"cannot write to {folder}" if there == folder else f"cannot create {folder} in {there}"
        remedy = "make it writable for your user, or set REVE_STATE_DIR to another folder"
        yield problem("state", ReveError("journal", f"{said}: {error.strerror}", hint=remedy), details=details)
        return
    yield Finding("state", "ok", f"{folder}{'' if there == folder else ' (does not exist yet)'}", details=details)


def journal(folder: Path | None, clock: Clock, flags: Sequence[str], *, keeps: bool) -> Iterator[Finding]:
    """Jobs in the journal, damaged journals, and images left in the state folder. `keeps`: the journal is on."""
    if not keeps:
        yield Finding("journal", "hint", "off; a crash can lose paid images", "unset REVE_JOURNAL")
    if folder is None:
        return
    if keeps:
        try:
            opened = open_journal(folder, clock, lambda text: None, begin=False)
        except JournalError as error:
            remedy = "make it readable and writable for your user"
            if error.damaged:
                remedy = "look for its jobs in the Apiframe console; the next generate starts a new journal"
            yield problem("journal", error, remedy)
        else:
            yield from _rows(opened, flags)
    for path in damaged(folder):
        remedy = f"look for its jobs in the Apiframe console, then: rm {quote(str(path))}"
        yield Finding("journal", "hint", f"a damaged journal was set aside: {path}", remedy, {"path": str(path)})
    for name, kind in ((RESCUE, "rescued"), (SPOOL, "piped")):
        kept = folder / name
        count = sum(path.is_file() for path in kept.glob("*"))
        if count:
            finding, details = f"{plural(count, kind + ' image')} in {kept}", {"path": str(kept), "files": count}
            if name == SPOOL:
                yield Finding("journal", "ok", f"{finding}, deleted after 24 hours", details=details)
            else:
                remedy = f"copy what you want to keep; list it with: ls {quote(str(kept))}"
                yield Finding("journal", "hint", finding, remedy, details)


def _rows(opened: Journal | None, flags: Sequence[str]) -> Iterator[Finding]:
    if opened is None:
        yield Finding(
            "journal", "ok", "no journal yet; the first image creates it", details={"rows": 0, "unfinished": 0}
        )
        return
    with contextlib.closing(opened):
        runs = opened.runs.find(UNFINISHED, {})
        live = sum(row.is_unfinished for run in runs if run.standing == "live" for row in run.rows)
        unfinished = sum(row.is_unfinished for run in runs for row in run.rows) - live
        details = {"rows": opened.count(), "unfinished": unfinished, "atWork": live}
    jobs = plural(details["rows"], "job")
    running = f", {live} running" if live else ""
    if unfinished:
        finding = f"{jobs}, {unfinished} unfinished{running}"
        yield Finding("journal", "hint", finding, resume_command([], flags), details)
    else:
        yield Finding("journal", "ok", f"{jobs}, none unfinished{running}", details=details)


# Terminal and shell


def terminal(surroundings: Mapping[str, Any]) -> Iterator[Finding]:
    """The terminal, its width, encoding and colors, from `Output.surroundings`."""
    streams = [name for name in ("stdin", "stdout", "stderr") if surroundings[name]]
    width = f", {surroundings['columns']} columns" if surroundings["columns"] else ""
    term, encoding = surroundings["term"], str(surroundings["encoding"])
    colors = f"color {surroundings['color']}{' (NO_COLOR)' if surroundings['noColor'] else ''}"
    where = ", ".join(streams) if streams else "not a terminal"
    said = f"{where} ({f'TERM={term}' if term else 'TERM is not set'}){width}, {encoding}, {colors}"
    if encoding.lower().replace("-", "") == "utf8":
        yield Finding("terminal", "ok", said, details=surroundings)
    else:
        remedy = "use a UTF-8 locale, such as LC_ALL=C.UTF-8; without one, many characters appear as escapes"
        yield Finding("terminal", "hint", said, remedy, surroundings)


# Webhooks


def port(address: str, state: Path | None) -> Iterator[Finding]:
    """Whether webhooks can arrive at `address`, `[HOST:]PORT`. Raises `ReveError` if not."""
    host, number = read_address(address)
    if is_held(state, number):
        yield Finding("port", "ok", f"another reve listens on port {number}")
        return
    open_server(host, number).stop()
    yield Finding("port", "ok", f"webhooks can be received on port {number} of {host}")
