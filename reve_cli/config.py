"""Settings: flag, then environment, then project file, then the user's file, then the default.

Flags are laid over `Settings` by the commands, where they are typed. The API key is no setting: see `credentials`.
A project file comes with whatever was cloned. So it may set little, keep images inside the project only, and is refused
as a whole, before anything is sent, where it asks for more. Imports `settings`, `errors`.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reve_cli.errors import ReveError
from reve_cli.settings import API_KEY, SETTINGS, Settings

PROJECT_FILE = ".reve.toml"
Source = Literal["environment", "project", "user", "default"]
_LONGEST = 64 * 2**10
"""Bytes of a project file at most."""


@dataclass(frozen=True)
class Value:
    """A setting's value; `where` is the variable or the file that it comes from, None for a default."""

    value: Any
    source: Source
    where: str | None


def load(environ: Mapping[str, str]) -> Settings:
    """The settings from everywhere but flags. Raises `ReveError` (code `config`) naming the source of a bad value."""
    values, problems = resolve(environ)
    if problems:
        raise problems[0]
    return settings_of(values)


def settings_of(values: Mapping[str, Value]) -> Settings:
    return Settings(**{name: value.value for name, value in values.items()})


def resolve(environ: Mapping[str, str]) -> tuple[dict[str, Value], list[ReveError]]:
    """Every setting with its source, and all that is wrong. What is wrong counts for nothing."""
    problems: list[ReveError] = []
    values = {name: Value(setting.default, "default", None) for name, setting in SETTINGS.items()}
    try:
        user = read_config()
        for name in user.keys() - SETTINGS.keys() - {API_KEY}:
            problems.append(_unknown(name, config_file()))
        found = {name: raw for name, raw in user.items() if name in SETTINGS}
        values |= _read(found, "user", {name: str(config_file()) for name in found}, problems)
    except ReveError as error:
        problems.append(error)
    try:
        values |= _project_values(problems)
    except ReveError as error:
        problems.append(error)
    given = {name: environ[setting.variable] for name, setting in SETTINGS.items() if environ.get(setting.variable)}
    values |= _read(given, "environment", {name: SETTINGS[name].variable for name in given}, problems)
    return values, problems


def _read(
    found: Mapping[str, object], source: Source, where: Mapping[str, str], problems: list[ReveError]
) -> dict[str, Value]:
    """What `found` says, typed; what cannot be read goes to `problems`."""
    values: dict[str, Value] = {}
    for name, raw in found.items():
        try:
            values[name] = Value(SETTINGS[name].read(raw), source, where[name])
        except ValueError as error:
            place = where[name] if source == "environment" else f"{name} in {where[name]}"
            problems.append(ReveError("config", f"{place} {error}"))
    return values


def _unknown(name: str, path: Path | None) -> ReveError:
    known = ", ".join([*SETTINGS, API_KEY])
    return ReveError("config", f"{path}: there is no setting {name!r}", hint=f"settings: {known}")


def read_config() -> dict[str, Any]:
    """What the user's config file says; empty where there is none."""
    path = config_file()
    try:
        return {} if path is None else tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ReveError("config", f"{path} cannot be read: {error}") from error


def config_file() -> Path | None:
    """The user's config file, where this platform keeps such. None for a user without a home."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_dir("reve", appauthor=False)) / "config.toml"
    except RuntimeError:
        return None


def project_file() -> Path | None:
    """The nearest project file: here, or in a folder above, up to the repository's root or home.

    Where there is neither above, only here: folders of nobody's project, such as /tmp, belong to strangers too.
    """
    try:
        here, home = Path.cwd(), os.path.realpath(Path.home())
    except (OSError, RuntimeError):
        return None
    folders = [here, *here.parents]
    ends = (depth for depth, folder in enumerate(folders) if os.path.lexists(folder / ".git") or str(folder) == home)
    files = (folder / PROJECT_FILE for folder in folders[: next(ends, 0) + 1])
    return next((file for file in files if os.path.lexists(file)), None)


def _project_values(problems: list[ReveError]) -> dict[str, Value]:
    path = project_file()
    if path is None:
        return {}
    found = _read_project(path)
    allowed = [name for name, setting in SETTINGS.items() if setting.in_project]
    for name in found:
        if name not in SETTINGS and name != API_KEY:
            raise _unknown(name, path)
        if name not in allowed:
            message = f"{path} sets {name}, which a project file may not: it comes with whatever was cloned, and could"
            hint = f"remove it there; a project file may set {', '.join(allowed)}"
            raise ReveError("config", f"{message} send your key, your credits or your images elsewhere", hint=hint)
    values = _read(found, "project", dict.fromkeys(found, str(path)), problems)
    if "output_folder" in values:
        values["output_folder"] = Value(_inside(values["output_folder"].value, path), "project", str(path))
    return values


def _read_project(path: Path) -> dict[str, Any]:
    """What the project file says. Raises `ReveError` where it is not ours to trust, or cannot be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ReveError("config", f"{path} is not a regular file")
            if os.name != "nt" and status.st_uid not in (os.geteuid(), 0):
                message = f"{path} belongs to another user, who could steer your images"
                raise ReveError("config", message, hint="make it your own, or work in another folder")
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise ReveError("config", f"{path} is larger than {_LONGEST} bytes")
        return tomllib.loads(raw.decode())
    except (OSError, ValueError) as error:
        why = "it is a link" if os.path.islink(path) else str(error)
        raise ReveError("config", f"{path} cannot be read: {why}") from error


def _inside(folder: str, path: Path) -> str:
    """A project's output folder, as a path from here. Raises `ReveError` where it is not inside the project."""
    project, folder = os.path.realpath(path.parent), os.path.normpath(folder)
    target = os.path.join(project, folder)
    real = os.path.realpath(target)
    if (real != project and not real.startswith(os.path.join(project, ""))) or not folder.isprintable():
        raise ReveError("config", f"output_folder in {path} must be a folder inside the project")
    return folder if os.path.realpath(os.curdir) == project else target


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """Where the journal, rescued images, images on their way to a pipe, and the sandbox's jobs are kept.

    None without a home.
    """
    if environ.get("REVE_STATE_DIR"):
        return Path(os.path.abspath(environ["REVE_STATE_DIR"]))
    import platformdirs

    try:
        return Path(platformdirs.user_state_dir("reve", appauthor=False))
    except RuntimeError:
        return None


def truthy(value: str | None) -> bool:
    """Whether an environment variable switches something on."""
    return (value or "").strip().lower() not in ("", "0", "no", "off", "false")
