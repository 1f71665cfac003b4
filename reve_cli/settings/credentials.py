"""Finds and checks the API key: `--api-key-file`, then environment, system keychain, user's config file.

No option takes the key itself, because `ps` would show it.

May import: settings, terminal (to quote paths), core.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reve_cli.core.contract import CONSOLE, KEY_PREFIX
from reve_cli.core.errors import ReveError
from reve_cli.core.models import is_header_text
from reve_cli.settings.config import config_file, read_config
from reve_cli.settings.settings import API_KEY, Settings
from reve_cli.terminal.text import quote

VARIABLE = "APIFRAME_API_KEY"
# Read after VARIABLE, and only if it holds an Apiframe key: it often holds a key for Reve's own API.
OTHER_VARIABLE = "REVE_API_KEY"
# Characters read from a key file.
_LONGEST = 4096
# Characters of a key that may be shown.
SHOWN = 8
# A key with quotes, `Bearer`, a header's name or a variable's name around it.
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"
_WRAPPED = re.compile(
    rf"(?P<before>(?:(?:export|set|bearer|x-api-key|authorization|[A-Z_]*API_?KEY)\s*[:=]?\s*)*)"
    rf"(?P<quote>[{_QUOTES}]?){KEY_PREFIX}[^\s{_QUOTES}]+[{_QUOTES}]?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Key:
    """A well-formed key. `source`: where it comes from, for messages."""

    text: str = field(repr=False)
    source: str

    @property
    def prefix(self) -> str:
        """The start of the key, short enough to show."""
        return f"{self.text[: min(SHOWN, len(self.text) // 2)]}…"


def find_key(
    api_key_file: str | None,
    environ: Mapping[str, str],
    settings: Settings,
    warn: Callable[[str], None],
    ask: Callable[[Callable[[], Key | None]], Key | None],
) -> Key:
    """The key from the first source that has one.

    warn: called with a warning if other users can read the file that holds the key.
    ask: calls a slow function in a way that can be interrupted: a locked keychain waits for its user, a key file can
        be a pipe.

    Raises `ReveError`: `no_key` if no source has a key, `invalid_key` if the key is malformed.
    """
    if api_key_file is not None:
        _check_mode(api_key_file, warn)
        given = ask(lambda: checked(_from_file(api_key_file), api_key_file))
        assert given is not None
        return given
    variable = variable_with_key(environ)
    if variable is not None:
        return checked(environ[variable], variable)
    found = ask(lambda: _from_keychain(environ, settings.base_url)) if settings.keychain else None
    if found is not None:
        return found
    stored = read_config().get(API_KEY)
    if stored is not None:
        _check_mode(str(config_file()), warn)
        return checked(str(stored), place_in_file())
    raise ReveError(
        "no_key",
        f"no API key; get one at {CONSOLE}, then run reve auth login or set {VARIABLE}",
        hint="to try reve without a key, add --sandbox",
    )


def place_in_file() -> str:
    """The user's file as the source of the key, for messages."""
    return f"{config_file()} ({API_KEY})"


def variable_with_key(environ: Mapping[str, str]) -> str | None:
    """The environment variable that holds the key, or None."""
    if environ.get(VARIABLE, "").strip():
        return VARIABLE
    return OTHER_VARIABLE if environ.get(OTHER_VARIABLE, "").strip().startswith(KEY_PREFIX) else None


def _from_keychain(environ: Mapping[str, str], origin: str) -> Key | None:
    from reve_cli.settings.keychain import open_keychain

    try:
        keychain = open_keychain(environ)
        found = keychain.get(origin)
    except ReveError as error:
        hint = f"{error.hint or 'unlock it'}, or set {VARIABLE}, or run reve auth login again"
        raise error.with_(message=f"cannot read the API key from the keychain: {error.message}", hint=hint) from None
    return checked(found, keychain.place) if found else None


def _check_mode(path: str, warn: Callable[[str], None]) -> None:
    """Warn if other users can read or write the file, except on a read-only mount, whose modes nobody can change."""
    if os.name == "nt":
        return
    try:
        status = os.stat(path)
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o066 and not is_read_only:
        warn(f"other users can read the API key in {path}: chmod 600 {quote(path)}")


def _from_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(_LONGEST)
    except (OSError, ValueError) as error:
        if path.strip().startswith(KEY_PREFIX):
            raise ReveError("no_key", "--api-key-file takes the path of a file, not the key itself") from None
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise ReveError("no_key", f"the key file {path} cannot be read: {why}") from None


def checked(text: str, source: str) -> Key:
    """The key in `text`, without surrounding space. Raises `ReveError` (`invalid_key`) naming `source` if malformed."""
    key = text.strip()
    if not key.removeprefix(KEY_PREFIX) or not key.startswith(KEY_PREFIX) or not is_header_text(key) or " " in key:
        right = _to_strip(key) or f"keys start with {KEY_PREFIX} and have no spaces"
        raise ReveError("invalid_key", f"{source} does not hold an Apiframe key; {right}")
    return Key(key, source)


def _to_strip(text: str) -> str:
    """What to remove from a key that was copied with its name or quotes; "" if that is not what is wrong."""
    found = _WRAPPED.fullmatch(text)
    if not found:
        return ""
    before, quoted = found["before"].strip(), bool(found["quote"])
    if not before:
        return "remove the quotes around it" if quoted else ""
    return f"remove {before!r} before it{', and the quotes' if quoted else ''}"
