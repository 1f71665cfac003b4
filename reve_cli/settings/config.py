"""Settings: flag, then environment, then project file, then the user's file, then the default.

Flags are laid over `Settings` by the commands, where they are typed. The API key is no setting: see `credentials`.
A project file comes with whatever was cloned. So it may set little, keep images inside the project only, and is refused
as a whole, before anything is sent, where it asks for more. Imports `settings`, `models`, `errors`.
"""

import errno
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reve_cli.core.errors import ReveError
from reve_cli.core.models import cut
from reve_cli.settings.settings import API_KEY, SETTINGS, Settings

PROJECT_FILE = ".reve.toml"
SANDBOX = "sandbox"
"""The sandbox's folder in the state folder."""
Source = Literal["environment", "project", "user", "default"]
_LONGEST = 8 * 2**10
"""Bytes of a project file at most. Time to read grows with their square: one key of 64 KiB takes 18 s."""


@dataclass(frozen=True)
class Value:
    """A setting's value; `where` is the variable or the file that it comes from, None for a default."""

    value: Any
    source: Source
    where: str | None


class BadProjectFile(ReveError):
    """The project file is refused as a whole, and counts for nothing."""

    def __init__(self, message: str, *, hint: str = "mend it, remove it, or work in another folder") -> None:
        super().__init__("config", message, hint=hint)


def settings_of(values: Mapping[str, Value]) -> Settings:
    return Settings(**{name: value.value for name, value in values.items()})


def resolve(environ: Mapping[str, str], *, with_project: bool = True) -> tuple[dict[str, Value], list[ReveError]]:
    """Every setting with its source, and all that is wrong. What is wrong counts for nothing."""
    problems: list[ReveError] = []
    values = {name: Value(setting.default, "default", None) for name, setting in SETTINGS.items()}
    given = {name: environ[setting.variable] for name, setting in SETTINGS.items() if environ.get(setting.variable)}
    from_environment = _read(given, "environment", {name: SETTINGS[name].variable for name in given}, problems)
    try:
        user, path = read_config(), config_file()
        problems += [_unknown(name, path) for name in user if name not in SETTINGS and name != API_KEY]
        found = {name: raw for name, raw in user.items() if name in SETTINGS}
        values |= _read(found, "user", dict.fromkeys(found, str(path)), problems)
    except ReveError as error:
        problems.append(error)
    try:
        values |= _project_values() if with_project else {}
    except BadProjectFile as error:
        problems.append(error)
    return values | from_environment, problems


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
    hint = f"reve config unset {shlex.quote(name)}; settings are {', '.join(SETTINGS)}"
    return ReveError("config", f"{path}: there is no setting {cut(repr(name))}", hint=hint)


def read_config() -> dict[str, Any]:
    """What the user's config file says; empty where there is none."""
    path = config_file()
    try:
        return {} if path is None else tomllib.loads(contents(path).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ReveError("config", f"{path} cannot be read: {_why(error)}") from error


def contents(path: Path) -> bytes:
    """The bytes of a regular file. Raises OSError, also for what could be waited for, such as a FIFO."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read()


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it is not a file"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return "it is nested too deep" if isinstance(error, RecursionError) else f"it is not TOML: {cut(str(error))}"


def config_file() -> Path | None:
    """The user's config file, where this platform keeps such. None for a user without a home."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_dir("reve", appauthor=False)) / "config.toml"
    except RuntimeError:
        return None


def project_file() -> Path | None:
    """The nearest project file: here, or in a folder above, up to the repository's root or home.

    Where there is neither above, only here: folders of nobody's project, such as /tmp, belong to strangers too. So do
    those above a home that is the root, as in containers.
    """
    try:
        here = Path.cwd()
    except OSError:
        return None
    home = os.path.realpath(os.path.expanduser("~"))
    folders = [here, *here.parents]
    ends = (
        depth
        for depth, folder in enumerate(folders)
        if os.path.lexists(folder / ".git") or (str(folder) == home and folder != folder.parent)
    )
    files = (folder / PROJECT_FILE for folder in folders[: next(ends, 0) + 1])
    return next((file for file in files if os.path.lexists(file)), None)


def _project_values() -> dict[str, Value]:
    """What the project file sets. Raises `BadProjectFile` for the first thing that is wrong with it."""
    path = project_file()
    if path is None:
        return {}
    found = _read_project(path)
    allowed = [name for name, setting in SETTINGS.items() if setting.in_project]
    values: dict[str, Value] = {}
    for name, raw in found.items():
        if name in SETTINGS.keys() - allowed or name == API_KEY:
            message = f"{path} sets {name}, which a project file may not: it comes with whatever was cloned, and could"
            hint = f"remove it there; a project file may set {', '.join(allowed)}"
            raise BadProjectFile(f"{message} send your key, your credits or your images elsewhere", hint=hint)
        if name not in SETTINGS:
            message = f"{path}: there is no setting {cut(repr(name))}"
            raise BadProjectFile(message, hint=f"remove it there; a project file may set {', '.join(allowed)}")
        try:
            value = SETTINGS[name].read(raw)
            values[name] = Value(
                _inside(value, path.parent) if name == "output_folder" else value, "project", str(path)
            )
        except ValueError as error:
            raise BadProjectFile(f"{name} in {path} {error}") from None
    return values


def _read_project(path: Path) -> dict[str, Any]:
    """What the project file says. Raises `BadProjectFile` where it is not ours to trust, or cannot be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if os.path.islink(path):
        raise BadProjectFile(f"{path} is a link, which could make reve read any file of yours")
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadProjectFile(f"{path} is not a regular file")
            if os.name != "nt" and status.st_uid not in (os.geteuid(), 0):
                message = f"{path} belongs to another user, who could steer your images"
                raise BadProjectFile(message, hint="make it your own, or work in another folder")
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise BadProjectFile(f"{path} is larger than {_LONGEST} bytes")
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadProjectFile(f"{path} cannot be read: {_why(error)}") from error


def _inside(folder: str, project: Path) -> str:
    """A project's output folder, as a path from here. Raises ValueError where it is not inside the project.

    Its spelling comes first: on Windows, to look at what it names could mean to log in to a stranger's server.
    """
    is_relative = not re.search(r"^[/~-]|[\\:]", folder) and ".." not in folder.split("/") and folder.isprintable()
    root = os.path.realpath(project)
    if not is_relative or not Path(os.path.realpath(os.path.join(root, folder))).is_relative_to(root):
        raise ValueError("must be a folder inside the project, such as assets/images")
    folder = os.path.normpath(folder)
    return folder if os.path.realpath(os.curdir) == root else os.path.join(root, folder)


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
