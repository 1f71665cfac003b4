"""The API key: found, stripped, checked, and kept out of sight. Imports `config`, `errors`, `models`.

It comes from `--api-key-file`, the environment or the user's config file; never from a flag's value, which `ps` shows.
"""

from collections.abc import Mapping

from reve_cli.config import config_file, read_config
from reve_cli.contract import KEY_PREFIX
from reve_cli.errors import ReveError
from reve_cli.models import is_header_text

VARIABLE = "APIFRAME_API_KEY"
OTHER_VARIABLE = "REVE_API_KEY"
"""Read last, and only if its value is Apiframe's: it often holds a key of Reve's own API."""
_LONGEST = 4096


def load_key(api_key_file: str | None, environ: Mapping[str, str]) -> str:
    """The key. Raises `ReveError`: `no_key` where there is none, `invalid_key` where it cannot be one."""
    if api_key_file is not None:
        return _checked(_from_file(api_key_file), api_key_file)
    if environ.get(VARIABLE, "").strip():
        return _checked(environ[VARIABLE], VARIABLE)
    if environ.get(OTHER_VARIABLE, "").strip().startswith(KEY_PREFIX):
        return _checked(environ[OTHER_VARIABLE], OTHER_VARIABLE)
    stored = read_config().get("api_key")
    if stored is not None:
        return _checked(str(stored), f"api_key in {config_file()}")
    raise ReveError(
        "no_key",
        f"no API key: set {VARIABLE} (keys come from the Apiframe console)",
        hint="to try reve without a key or an account, add --sandbox",
    )


def _from_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(_LONGEST)
    except (OSError, ValueError) as error:
        if path.strip().startswith(KEY_PREFIX):
            raise ReveError("no_key", "--api-key-file takes the path of a file, not the key itself") from None
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ReveError("no_key", f"the key file {path} cannot be read: {why}") from None


def _checked(key: str, source: str) -> str:
    key = key.strip()
    if not key.removeprefix(KEY_PREFIX) or not key.startswith(KEY_PREFIX) or not is_header_text(key) or " " in key:
        raise ReveError(
            "invalid_key",
            f"what {source} holds is not an Apiframe key: those begin with {KEY_PREFIX} and have no spaces",
        )
    return key
