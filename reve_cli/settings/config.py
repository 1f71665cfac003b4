"""Finds the value of each setting: environment, then project file, then user file, then default.

Commands put their flags on top. A project file can come from a stranger's repository, so it may set only a few settings
and keep images only inside the project. If it asks for more, the whole file is refused before anything is sent.

May import: settings.settings, core.
"""

import errno
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reve_cli.core.errors import ReveError
from reve_cli.core.models import cut
from reve_cli.settings.settings import API_KEY, SETTINGS, Settings

PROJECT_FILE = ".reve.toml"
Source = Literal["environment", "project", "user", "default"]
# Maximum size of a project file in bytes. Parse time grows with its square: one key of 64 KiB takes 18 s.
_LONGEST = 8 * 2**10


@dataclass(frozen=True)
class Value:
    """A setting's value. `where`: the variable or file it comes from; None for a default."""

    value: Any
    source: Source
    where: str | None


class BadProjectFile(ReveError):
    """The project file is invalid; none of it is used."""

    def __init__(self, message: str, *, hint: str = "correct or remove it, or work in another folder") -> None:
        super().__init__("config", message, hint=hint)


def settings_of(values: Mapping[str, Value]) -> Settings:
    """The bare values, without their sources."""
    return Settings(**{name: value.value for name, value in values.items()})


def resolve(environ: Mapping[str, str], *, with_project: bool = True) -> tuple[dict[str, Value], list[ReveError]]:
    """Every setting's value with its source, and every problem found. Invalid values are ignored."""
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
        trusted = (values | from_environment)["trusted_folders"].value
        values |= _project_values(trusted) if with_project else {}
    except BadProjectFile as error:
        problems.append(error)
    return values | from_environment, problems


def _read(
    found: Mapping[str, object], source: Source, where: Mapping[str, str], problems: list[ReveError]
) -> dict[str, Value]:
    """The values in `found`, parsed. Appends invalid ones to `problems`."""
    values: dict[str, Value] = {}
    for name, raw in found.items():
        try:
            values[name] = Value(SETTINGS[name].read(raw), source, where[name])
        except ValueError as error:
            place = where[name] if source == "environment" else f"{name} in {where[name]}"
            problems.append(ReveError("config", f"{place} {error}"))
    return values


def _unknown(name: str, path: Path | None) -> ReveError:
    hint = f"reve config unset {shlex.quote(name)}; the settings are {', '.join(SETTINGS)}"
    return ReveError("config", f"{path}: unknown setting {cut(repr(name))}", hint=hint)


def parsed(raw: bytes) -> dict[str, Any]:
    """The contents of a config file. Raises ValueError. Loads a parser, which runs without a file do not need."""
    import tomllib

    return tomllib.loads(raw.decode("utf-8-sig"))


def read_config() -> dict[str, Any]:
    """The contents of the user's config file; empty without a file."""
    path = config_file()
    try:
        return {} if path is None else parsed(contents(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ReveError("config", f"{path} cannot be read: {_why(error)}") from error


def contents(path: Path) -> bytes:
    """The bytes of a regular file. Raises OSError, also for a FIFO, without waiting for it."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def _why(error: Exception) -> str:
    """Why a file cannot be read."""
    if isinstance(error, OSError):
        return error.strerror or "not a file"
    if isinstance(error, UnicodeError):
        return "not UTF-8 text"
    return "nested too deeply" if isinstance(error, RecursionError) else f"invalid TOML: {cut(str(error))}"


def config_file() -> Path | None:
    """The user's config file, in the platform's usual folder. None if the user has no home folder."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_dir("reve", appauthor=False)) / "config.toml"
    except RuntimeError:
        return None


def project_file() -> Path | None:
    """The nearest project file: in this folder or one above it, up to the repository's root or the home folder.

    Outside both, only in this folder, because strangers can write to shared folders above it, such as /tmp. A home
    folder of `/`, as in containers, does not count.
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


def _project_values(trusted: str | None) -> dict[str, Value]:
    """The values in the project file. Raises `BadProjectFile` for its first problem. trusted: see `SETTINGS`."""
    path = project_file()
    if path is None:
        return {}
    found = _read_project(path, trusted)
    allowed = [name for name, setting in SETTINGS.items() if setting.in_project]
    hint = f"remove this line; a project file may set {', '.join(allowed)}"
    values: dict[str, Value] = {}
    for name, raw in found.items():
        if name in SETTINGS.keys() - allowed or name == API_KEY:
            message = f"{path}: a project file must not set {name}, because it could redirect your key or your images"
            raise BadProjectFile(message, hint=hint)
        if name not in SETTINGS:
            raise BadProjectFile(f"{path}: unknown setting {cut(repr(name))}", hint=hint)
        try:
            value = SETTINGS[name].read(raw)
            values[name] = Value(
                _inside(value, path.parent) if name == "output_folder" else value, "project", str(path)
            )
        except ValueError as error:
            raise BadProjectFile(f"{name} in {path} {error}") from None
    return values


def _read_project(path: Path, trusted: str | None) -> dict[str, Any]:
    """The contents of the project file. Raises `BadProjectFile` if it cannot be trusted or read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if os.path.islink(path):
        raise BadProjectFile(
            f"{path} is a symbolic link; reve does not follow it, because it could lead to any of your files"
        )
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadProjectFile(f"{path} is not a regular file")
            if os.name != "nt" and status.st_uid not in (os.geteuid(), 0) and not _is_trusted(path.parent, trusted):
                message = f"{path} belongs to another user, who could control where your images go"
                value = shlex.quote(os.pathsep.join(filter(None, (trusted, str(path.parent)))))
                raise BadProjectFile(message, hint=f"if you trust it: reve config set trusted_folders {value}")
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise BadProjectFile(f"{path} is larger than {_LONGEST} bytes")
        return parsed(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise BadProjectFile(f"{path} cannot be read: {_why(error)}") from error


def _is_trusted(folder: Path, trusted: str | None) -> bool:
    """Whether the user trusts the project file in `folder`, as with git's safe.directory."""
    return trusted is not None and os.path.realpath(folder) in map(os.path.realpath, trusted.split(os.pathsep))


def _inside(folder: str, project: Path) -> str:
    """A project's output folder, as a path from the current folder. Raises ValueError if it is outside the project.

    The spelling is checked first: on Windows, only looking at a path can log in to a stranger's server.
    """
    is_relative = not re.search(r"^[/~-]|[\\:]", folder) and ".." not in folder.split("/") and folder.isprintable()
    root = os.path.realpath(project)
    if not is_relative or not Path(os.path.realpath(os.path.join(root, folder))).is_relative_to(root):
        raise ValueError("must be a folder inside the project, such as assets/images")
    folder = os.path.normpath(folder)
    return folder if os.path.realpath(os.curdir) == root else os.path.join(root, folder)
