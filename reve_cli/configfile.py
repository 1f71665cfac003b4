"""Changes to the user's config file, which leave its comments and its order alone.

The file is replaced as a whole, so that a crash leaves the old one or the new one; it is its owner's alone from then
on, as it may hold the key. Imports `config`, `errors`, and tomlkit late.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reve_cli.config import config_file
from reve_cli.errors import ReveError


def put(values: dict[str, Any]) -> Path:
    """Set names of the user's file to values; None removes one. Returns the file's path.

    Raises `ReveError` (code `config`) where it cannot be read or written: it is then as it was.
    """
    with _edited() as (path, document):
        for name, value in values.items():
            if value is not None:
                document[name] = value
            elif name in document:
                del document[name]
    return path


@contextlib.contextmanager
def _edited() -> Iterator[tuple[Path, Any]]:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_file()
    if path is None:
        raise ReveError("config", "there is no home folder to keep settings in; use environment variables")
    try:
        target = Path(os.path.realpath(path))  # the file of somebody who links it from elsewhere stays a link
        document = tomlkit.parse(target.read_text(encoding="utf-8")) if target.exists() else tomlkit.document()
        before = tomlkit.dumps(document)
        yield path, document
        if tomlkit.dumps(document) != before:
            _replace(target, tomlkit.dumps(document).encode())
    except TOMLKitError as error:
        raise ReveError("config", f"{path} is not valid TOML: {error}") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ReveError("config", f"{path} cannot be changed: {why}", hint="environment variables work too") from error


def _replace(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
