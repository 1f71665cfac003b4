"""What can be set: every setting with its name, its variable, how its value is read, and what it is for.

Constants and pure functions; where values come from is `config`. Imports `contract`, `templates`, `models`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from reve_cli.contract import ASPECT_RATIOS, DEFAULT_MODEL
from reve_cli.models import is_loopback, is_web_url
from reve_cli.templates import DEFAULT_NAME, parse

BASE_URL = "https://api.apiframe.ai"
TIMEOUT = 600.0
LONGEST = 86400.0
"""Seconds that a command may take at most."""
COLORS = ("auto", "always", "never")
Color = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Settings:
    """What a command works with. `timeout` in seconds, `output_folder` as a path, the rest by their names."""

    base_url: str = BASE_URL
    model: str = DEFAULT_MODEL
    aspect_ratio: str | None = None
    model_version: str | None = None
    output_folder: str = "."
    name_template: str = DEFAULT_NAME
    timeout: float = TIMEOUT
    color: Color = "auto"
    keychain: bool = False
    max_credits_per_day: float | None = None
    credits_per_image: float | None = None
    history_days: float = 365.0


@dataclass(frozen=True)
class Setting:
    """A setting: its name in files, its environment variable, how a value is read (a ValueError says what it must be),
    what it is for, and whether a project file may set it.
    """

    name: str
    variable: str
    read: Callable[[object], Any]
    about: str
    in_project: bool = False

    @property
    def default(self) -> Any:
        return getattr(Settings(), self.name)


def seconds(value: object) -> float:
    """A time limit: a number of seconds over 0, up to a day."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number <= LONGEST:
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


def name_template(value: object) -> str:
    """What images are called where `--out` does not say: a file name, not a path, with a real extension."""
    text = _text(value)
    try:
        parse(text)
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from error
    if "/" in text or "\\" in text or text.startswith(".") or not text.endswith(".{ext}") or not text.isprintable():
        raise ValueError("must be a file name without a folder that ends in .{ext}, such as {slug}-{seed}-{job}.{ext}")
    return text


def _folder(value: object) -> str:
    return os.path.expanduser(_text(value))


def _can_be_a_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value.strip()


def _among(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return read


def _switch(value: object) -> bool:
    words = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.strip().lower() not in words:
        raise ValueError("must be true or false")
    return words[value.strip().lower()]


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("base_url", "APIFRAME_BASE_URL", base_url, "where the API is: https, or an address of this machine"),
        Setting("model", "REVE_MODEL", _text, "the model"),
        Setting("aspect_ratio", "REVE_ASPECT_RATIO", _among(ASPECT_RATIOS), f"one of {', '.join(ASPECT_RATIOS)}", True),
        Setting("model_version", "REVE_MODEL_VERSION", _text, "a version of the model, such as latest", True),
        Setting("output_folder", "REVE_OUTPUT_FOLDER", _folder, "where images go without --out", True),
        Setting("name_template", "REVE_NAME_TEMPLATE", name_template, "what they are called there", True),
        Setting("timeout", "REVE_TIMEOUT", seconds, "seconds that a command may take", True),
        Setting("color", "REVE_COLOR", _among(COLORS), "colours: auto, always or never"),
        Setting("keychain", "REVE_KEYCHAIN", _switch, "whether the API key is in the system's keychain"),
        Setting("max_credits_per_day", "REVE_MAX_CREDITS_PER_DAY", amount, "a spending cap of any 24 hours"),
        Setting("credits_per_image", "REVE_CREDITS_PER_IMAGE", price, "the price, where the API publishes none"),
        Setting("history_days", "REVE_HISTORY_DAYS", amount, "how long finished rows keep their prompts, at least 2"),
    )
}
"""Every setting, by its name."""
API_KEY = "api_key"
"""Stands in the user's file like a setting, and is none: see `credentials`."""
