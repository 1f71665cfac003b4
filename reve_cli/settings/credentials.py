"""The API key: found, stripped, checked, and kept out of sight. Imports `config`, `keychain`, `errors`, `models`.

It comes from `--api-key-file`, the environment, the system's keychain or the user's config file; never from a flag's
value, which `ps` shows.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reve_cli.core.contract import KEY_PREFIX
from reve_cli.core.errors import ReveError
from reve_cli.core.models import is_header_text
from reve_cli.settings.config import config_file, read_config
from reve_cli.settings.settings import API_KEY, Settings
from reve_cli.terminal.text import quote

VARIABLE = "APIFRAME_API_KEY"
OTHER_VARIABLE = "REVE_API_KEY"
"""Read last of the variables, and only if its value is Apiframe's: it often holds a key of Reve's own API."""
_LONGEST = 4096
SHOWN = 8


@dataclass(frozen=True)
class Key:
    """A key that can be one. `source` says where it comes from, for people."""

    text: str = field(repr=False)
    source: str

    @property
    def prefix(self) -> str:
        """As much of it as may be shown."""
        return f"{self.text[: min(SHOWN, len(self.text) // 2)]}…"


def find_key(
    api_key_file: str | None,
    environ: Mapping[str, str],
    settings: Settings,
    warn: Callable[[str], None],
    ask: Callable[[Callable[[], Key | None]], Key | None],
) -> Key:
    """The key. Raises `ReveError`: `no_key` where there is none, `invalid_key` where it cannot be one.

    `warn` is told of a file with a key in it that other users can read. `ask` answers a question that may take its
    time: a keychain that is locked asks its user, and a key file may be a pipe.
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
        f"no API key: set {VARIABLE}, or run reve auth login (keys come from the Apiframe console)",
        hint="to try reve without a key or an account, add --sandbox",
    )


def place_in_file() -> str:
    """Where a key is that is kept in the user's file, for people."""
    return f"{config_file()} ({API_KEY})"


def variable_with_key(environ: Mapping[str, str]) -> str | None:
    """The variable that the key is read from, before anything that is kept; None where no variable has one."""
    if environ.get(VARIABLE, "").strip():
        return VARIABLE
    return OTHER_VARIABLE if environ.get(OTHER_VARIABLE, "").strip().startswith(KEY_PREFIX) else None


def _from_keychain(environ: Mapping[str, str], origin: str) -> Key | None:
    from reve_cli.settings.keychain import open_keychain

    try:
        keychain = open_keychain(environ)
        found = keychain.get(origin)
    except ReveError as error:
        hint = f"{error.hint or 'unlock it'}, set {VARIABLE}, or run reve auth login again"
        raise error.with_(message=f"the API key is kept in the keychain, but {error.message}", hint=hint) from None
    return checked(found, keychain.place) if found else None


def _check_mode(path: str, warn: Callable[[str], None]) -> None:
    """Warn where other users can read or write the file, unless it is mounted such that nobody could mend it."""
    if os.name == "nt":
        return
    try:
        status = os.stat(path)
        is_mounted_so = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o066 and not is_mounted_so:
        warn(f"other users can read the API key in {path}: chmod 600 {quote(path)}")


def _from_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(_LONGEST)
    except (OSError, ValueError) as error:
        if path.strip().startswith(KEY_PREFIX):
            raise ReveError("no_key", "--api-key-file takes the path of a file, not the key itself") from None
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ReveError("no_key", f"the key file {path} cannot be read: {why}") from None


def checked(text: str, source: str) -> Key:
    """The key that `text` is. Raises `ReveError` (code `invalid_key`) where it cannot be one, naming `source`."""
    key = text.strip()
    if not key.removeprefix(KEY_PREFIX) or not key.startswith(KEY_PREFIX) or not is_header_text(key) or " " in key:
        raise ReveError(
            "invalid_key",
            f"what {source} holds is not an Apiframe key: those begin with {KEY_PREFIX} and have no spaces",
        )
    return Key(key, source)
