"""Changes to the user's config file, which leave its comments, its order and all other bytes alone.

The file is replaced as a whole, so that a crash leaves the old one or the new one; it is its owner's alone from then
on, as it may hold the key. A lock beside it keeps two changes at once from undoing each other. Imports `config`,
`filelock`, `errors`, and tomlkit late.
"""

import codecs
import errno
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.filelock import FileLock
from reve_cli.settings.config import config_file, contents

_BARE_LINE_END = re.compile(r"(?<!\r)\n")
_LOCK_SECONDS = 10.0


def put(values: Mapping[str, Any]) -> Path:
    """Set names of the user's file to values; None removes one. Returns the file's path.

    Raises `ReveError` (code `config`) where it cannot be read or written: it is then as it was.
    """
    path = config_file()
    if path is None:
        raise ReveError("config", "there is no home folder to keep settings in; use environment variables")
    try:
        target = Path(os.path.realpath(path))  # the file of somebody who links it from elsewhere stays a link
        if all(value is None for value in values.values()) and _new(target, values) == _old(target):
            return path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        try:
            if not lock.take(seconds=_LOCK_SECONDS):
                raise TimeoutError(errno.ETIMEDOUT, "another process is changing it")
            _replace(target, _new(target, values))
        finally:
            lock.close(remove=True)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not valid TOML: {error}"
        raise ReveError("config", f"{path} cannot be changed: {why}", hint="environment variables work too") from error
    return path


def _old(target: Path) -> bytes:
    return contents(target) if target.exists() else b""


def _new(target: Path, values: Mapping[str, Any]) -> bytes:
    """The file with `values` in it. Raises OSError and ValueError."""
    raw = _old(target)
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    return mark + _changed(raw.removeprefix(mark).decode(), values).encode()


def _changed(old: str, values: Mapping[str, Any]) -> str:
    """The TOML text `old` with `values` in it. Raises ValueError where it is no TOML, or cannot be changed so."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    wanted = {**tomllib.loads(old), **values}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    try:
        document = tomlkit.parse(old)
        for name, value in values.items():
            if value is not None:
                document[name] = value
            elif name in document:
                del document[name]
    except TOMLKitError as error:
        raise ValueError(str(error)) from None
    new = tomlkit.dumps(document)
    if "\n" in old and not _BARE_LINE_END.search(old):
        new = _BARE_LINE_END.sub("\r\n", new)
    if tomllib.loads(new) != wanted:
        raise ValueError("reve does not understand its layout; change it by hand")
    return new


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
