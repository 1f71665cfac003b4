"""Settings: flag, then environment, then the user's config file, then the default. Imports `errors`, `models`.

Flags are laid over `Settings` by the commands, where they are typed. The API key is no setting: see `credentials`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reve_cli.contract import ASPECT_RATIOS, DEFAULT_MODEL
from reve_cli.errors import ReveError
from reve_cli.models import is_loopback, is_web_url

BASE_URL = "https://api.apiframe.ai"
TIMEOUT = 600.0


@dataclass(frozen=True)
class Settings:
    """What a command works with. `timeout` in seconds, `output_folder` as a path, the rest by their names."""

    base_url: str = BASE_URL
    model: str = DEFAULT_MODEL
    aspect_ratio: str | None = None
    model_version: str | None = None
    output_folder: str = "."
    timeout: float = TIMEOUT
    max_credits_per_day: float | None = None
    credits_per_image: float | None = None
    history_days: float = 365.0


def seconds(value: object) -> float:
    """A time limit: a number of seconds over 0, up to a day."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number <= 86400:
        raise ValueError("must be a number of seconds over 0, at most 86400")
    return number


def amount(value: object) -> float:
    """A number from 0 up, of credits or of days."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= 10**9:
        raise ValueError("must be a number from 0 to 1000000000")
    return number


def price(value: object) -> float:
    """An amount over 0."""
    number = amount(value)
    if not number:
        raise ValueError("must be a number over 0")
    return number


def base_url(value: object) -> str:
    """The API's origin, without a trailing slash or `/v2`. https, or a loopback address."""
    text = _text(value).rstrip("/").removesuffix("/v2").rstrip("/")
    parts = urlsplit(text)
    host = parts.hostname or ""
    if (
        not is_web_url(text)
        or not _can_be_a_host(host)
        or parts.username
        or parts.password
        or parts.query
        or parts.fragment
    ):
        raise ValueError("must be a plain URL such as https://api.apiframe.ai")
    if parts.scheme != "https" and not is_loopback(host):
        raise ValueError("must be https, or an address of this machine: the key would travel in the clear")
    return text


def _can_be_a_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value.strip()


def _ratio(value: object) -> str:
    if value not in ASPECT_RATIOS:
        raise ValueError(f"must be one of {', '.join(ASPECT_RATIOS)}")
    return str(value)


_SETTINGS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "base_url": ("APIFRAME_BASE_URL", base_url),
    "model": ("REVE_MODEL", _text),
    "aspect_ratio": ("REVE_ASPECT_RATIO", _ratio),
    "model_version": ("REVE_MODEL_VERSION", _text),
    "output_folder": ("REVE_OUTPUT_FOLDER", _text),
    "timeout": ("REVE_TIMEOUT", seconds),
    "max_credits_per_day": ("REVE_MAX_CREDITS_PER_DAY", amount),
    "credits_per_image": ("REVE_CREDITS_PER_IMAGE", price),
    "history_days": ("REVE_HISTORY_DAYS", amount),
}
"""Every setting: its name in the config file, its environment variable, and how its value is read."""


def load(environ: Mapping[str, str]) -> Settings:
    """The settings from everywhere but flags. Raises `ReveError` (code `config`) naming the source of a bad value."""
    path, stored = config_file(), read_config()
    for name in stored.keys() - _SETTINGS.keys() - {"api_key"}:
        known = ", ".join([*_SETTINGS, "api_key"])
        raise ReveError("config", f"{path}: there is no setting {name!r}", hint=f"settings: {known}")
    found: dict[str, Any] = {}
    for name, (variable, read) in _SETTINGS.items():
        value: object = environ.get(variable) or stored.get(name)
        if value is None:
            continue
        try:
            found[name] = read(value)
        except ValueError as error:
            source = variable if environ.get(variable) else f"{name} in {path}"
            raise ReveError("config", f"{source} {error}") from error
    return Settings(**found)


def read_config() -> dict[str, Any]:
    """What the user's config file says; empty where there is none."""
    path = config_file()
    try:
        return {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
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
