"""What `doctor` looks at on this machine: versions, settings, key, state folder, journal, terminal, completion.

Each check is a function that answers with findings, and changes nothing. Imports `saving`, `recovery`, `journal`,
`database`, `credentials`, `config`, `settings`, `output`, `clock`, `contract`, `states`, `errors`; slow to load, like
`saving`.
"""

import contextlib
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reve_cli import __version__
from reve_cli.core.clock import Clock
from reve_cli.core.contract import KEY_PREFIX
from reve_cli.core.errors import EXIT_CODES, ErrorCode, ReveError
from reve_cli.engine.recovery import resume_command
from reve_cli.engine.saving import RESCUE, SPOOL
from reve_cli.journal.database import JournalError
from reve_cli.journal.journal import Journal, damaged, open_journal
from reve_cli.journal.states import UNFINISHED
from reve_cli.settings import config
from reve_cli.settings.credentials import SHOWN, Key
from reve_cli.settings.settings import SETTINGS
from reve_cli.terminal.text import quote

Status = Literal["ok", "hint", "problem"]
_LIBRARIES = ("typer", "httpx", "rich", "platformdirs", "truststore", "tomlkit", "certifi")
_OPTIONAL = ("keyring",)
_EMAIL = re.compile(r"([\w.+'-])[\w.+'-]*@((?:[\w-]+\.)+[^\W\d]{2,})")
_KEY = re.compile(rf"{KEY_PREFIX}\S+")
_AFTER_HOME = r"(?=[/\\]|[\s:,;'\")]|$)"
_LONGEST_START_FILE = 2**20


@dataclass(frozen=True)
class Finding:
    """What a check came to. remedy: what to do about it, for all but ok. code: of a problem, as in `errors`."""

    check: str
    status: Status
    finding: str
    remedy: str | None = None
    details: Mapping[str, Any] | None = None
    code: ErrorCode | None = None

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.code] if self.code else 0

    def document(self) -> dict[str, Any]:
        """The finding in JSON, fit for a bug report: see `shareable`."""
        details = {**(self.details or {}), **({"code": self.code} if self.code else {})}
        document = {"check": self.check, "status": self.status, "finding": self.finding, "remedy": self.remedy}
        return {name: shareable(value) for name, value in (document | {"details": details or None}).items()}


def problem(
    check: str, error: ReveError, remedy: str | None = None, details: Mapping[str, Any] | None = None
) -> Finding:
    """The finding that an error is. Its own hint is the remedy, where it has one."""
    return Finding(check, "problem", error.message, error.hint or remedy, details, error.code)


def shareable(value: Any) -> Any:
    """Text, or all text inside, without keys and e-mail addresses, and with the home folder as `~`."""
    if isinstance(value, Mapping):
        return {name: shareable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shareable(item) for item in value]
    if not isinstance(value, str):
        return value
    value = _KEY.sub(lambda found: found[0] if len(found[0]) <= SHOWN else f"{found[0][:SHOWN]}…", value)
    value = _EMAIL.sub(r"\1***@\2", value)
    home = os.path.expanduser("~")
    for folder in dict.fromkeys((home, os.path.realpath(home))):
        if len(folder) > 1:
            for quoted in ("$'", "'"):  # a shell expands no ~ inside quotes
                value = value.replace(f"{quoted}{folder}/", f"~/{quoted}")
            value = re.sub(re.escape(folder) + _AFTER_HOME, "~", value)
    return value


# Versions


def versions() -> Iterator[Finding]:
    """reve itself, Python, what reve is built on, and the system."""
    package = str(Path(__file__).parent)
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


def state_folder(folder: Path | None) -> Iterator[Finding]:
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


_START_FILES = {
    "bash": ("~/.bashrc", "~/.bash_profile", "~/.profile", "~/.bash_completion"),
    "zsh": ("{zsh}/.zshrc", "{zsh}/.zshenv", "{zsh}/.zprofile"),
    "fish": ("{config}/fish/config.fish", "{config}/fish/conf.d/*.fish"),
    "pwsh": ("{config}/powershell/*profile.ps1",),
}
_COMPLETION_FILES = {
    "bash": (
        "{data}/bash-completion/completions/reve",
        "{root}/share/bash-completion/completions/reve",
        "{root}/etc/bash_completion.d/reve",
    ),
    "zsh": (
        "~/.zfunc/_reve",
        "{data}/zsh/site-functions/_reve",
        "{root}/share/zsh/site-functions/_reve",
        "{root}/share/zsh/vendor-completions/_reve",
    ),
    "fish": (
        "{config}/fish/completions/reve.fish",
        "{data}/fish/vendor_completions.d/reve.fish",
        "{root}/share/fish/vendor_completions.d/reve.fish",
        "{root}/etc/fish/completions/reve.fish",
    ),
    "pwsh": (),
}
_LINES = {
    "bash": 'eval "$(reve --show-completion bash)"',
    "zsh": 'eval "$(reve --show-completion zsh)"',
    "fish": "reve --show-completion fish | source",
    "pwsh": "reve --show-completion powershell | Out-String | Invoke-Expression",
}
_ROOTS = ("/usr", "/usr/local", "/opt/homebrew", "")


def completion(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the shell of `SHELL` completes reve's words, as far as its files tell."""
    shell = os.path.basename(environ.get("SHELL", "")).removesuffix(".exe")
    if shell not in _LINES:
        said = f"nothing is known of {shell}" if shell else "SHELL is not set"
        yield Finding("completion", "ok", said, details={"shell": shell or None, "where": None})
        return
    places = {
        "zsh": environ.get("ZDOTDIR") or "~",
        "config": environ.get("XDG_CONFIG_HOME") or "~/.config",
        "data": environ.get("XDG_DATA_HOME") or "~/.local/share",
    }
    starts = [path for pattern in _START_FILES[shell] for path in _found(pattern.format(**places))]
    patterns = {pattern.format(**places, root=root) for pattern in _COMPLETION_FILES[shell] for root in _ROOTS}
    files = [path for pattern in sorted(patterns) for path in _found(pattern)]
    where = next((str(path) for path in [*filter(_mentions_us, starts), *files]), None)
    details = {"shell": shell, "where": where}
    if where:
        yield Finding("completion", "ok", f"{shell}: {where}", details=details)
        return
    start = _START_FILES[shell][0].format(**places)
    remedy = f"add to {'your profile' if '*' in start else start}: {_LINES[shell]}"
    yield Finding("completion", "hint", f"not set up for {shell}, as far as its files tell", remedy, details)


def _found(pattern: str) -> list[Path]:
    """The files that there are of a pattern, of whose path only the last part may be one."""
    folder, name = os.path.split(os.path.expanduser(pattern))
    return sorted(Path(folder).glob(name))


def _mentions_us(path: Path) -> bool:
    """Whether a start-up file asks for our completion, not in a comment."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST_START_FILE).splitlines()
    except OSError:
        return False
    return any("reve --show-completion" in line for line in lines if not line.lstrip().startswith("#"))
