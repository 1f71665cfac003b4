"""Changes values in the user's config file and keeps its comments, order and layout.

The file is replaced as a whole, so a crash leaves the old or the new one. Only its owner can read the new file, because
it may hold the key. A lock file beside it stops two processes from overwriting each other's changes.

May import: settings.config, core; tomlkit late.
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
from reve_cli.core.filesystem import FileLock, sync
from reve_cli.settings.config import config_file, contents

_BARE_LINE_END = re.compile(r"(?<!\r)\n")
_LOCK_SECONDS = 10.0


def put(values: Mapping[str, Any]) -> Path:
    """Set values in the user's file; None removes a name. Returns the file's path.

    Raises `ReveError` (code `config`) if the file cannot be read or written; the file is then unchanged.
    """
    path = config_file()
    if path is None:
        raise ReveError("config", "there is no home folder to keep settings in; use environment variables")
    try:
        target = Path(os.path.realpath(path))  # if the file is a link, it stays a link
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
        message = f"{path} cannot be changed: {_why(error)}"
        raise ReveError("config", message, hint="use environment variables instead") from error
    return path


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "not UTF-8 text" if isinstance(error, UnicodeError) else str(error)


def _old(target: Path) -> bytes:
    return contents(target) if target.exists() else b""


def _new(target: Path, values: Mapping[str, Any]) -> bytes:
    """The file's bytes with `values` set. Raises OSError or ValueError."""
    raw = _old(target)
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    return mark + _changed(raw.removeprefix(mark).decode(), values).encode()


def _changed(old: str, values: Mapping[str, Any]) -> str:
    """The TOML text `old` with `values` set. Raises ValueError if it is invalid or cannot be edited."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        wanted = {**tomllib.loads(old), **values}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        document = tomlkit.parse(old)
        for name, value in values.items():
            if value is not None:
                document[name] = value
            elif name in document:
                del document[name]
    except (tomllib.TOMLDecodeError, TOMLKitError) as error:
        raise ValueError(f"invalid TOML: {error}") from None
    new = tomlkit.dumps(document)
    if "\n" in old and not _BARE_LINE_END.search(old):
        new = _BARE_LINE_END.sub("\r\n", new)
    if tomllib.loads(new) != wanted:
        raise ValueError("reve cannot edit its layout; edit it by hand")
    return new


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
