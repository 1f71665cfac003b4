"""What can be set: every setting with its name, its variable, how its value is read, and what it is for.

Constants and pure functions; where values come from is `config`. Imports `contract`, `templates`, `models`.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from reve_cli.core.clock import DAY
from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL
from reve_cli.core.models import cut, is_loopback, is_model_name, is_web_url
from reve_cli.core.templates import DEFAULT_NAME, parse

BASE_URL = "https://api.apiframe.ai"
TIMEOUT = 600.0
LONGEST = DAY
"""Seconds that a command may take at most."""
COLORS = ("auto", "always", "never")
Color = Literal["auto", "always", "never"]
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
"""No file name, no model and no URL has one."""


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
    what it is for, the words that it is one of, if it is, and whether a project file may set it.
    """

    name: str
    variable: str
    read: Callable[[object], Any]
    about: str
    words: tuple[str, ...] = ()
    in_project: bool = False

    @property
    def default(self) -> Any:
        return getattr(Settings(), self.name)


def seconds(value: object) -> float:
    """A time limit: a number of seconds over 0, up to a day."""
    number = _number(value)
    if not 0 < number <= LONGEST:
        raise ValueError("must be a number of seconds over 0, at most 86400")
    return number


def amount(value: object) -> float:
    """A number from 0 up, of credits or of days."""
    number = _number(value)
    if not 0 <= number <= 10**9:
        raise ValueError("must be a number from 0 to 1000000000")
    return number


def _number(value: object) -> float:
    """`value` as a number, as written in a file or a variable; NaN where it is none."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def price(value: object) -> float:
    """An amount over 0."""
    number = amount(value)
    if not number:
        raise ValueError("must be a number over 0")
    return number


def base_url(value: object) -> str:
    """The API's origin, without a trailing slash or `/v2`. https, or a loopback address."""
    text = _text(value).rstrip("/").removesuffix("/v2").rstrip("/")
    if not is_web_url(text) or re.search(r"[?#@]|/v2$", text) or not _can_be_a_host(urlsplit(text).hostname or ""):
        raise ValueError("must be a plain URL such as https://api.apiframe.ai")
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host):
        raise ValueError("must be https, or an address of this machine: the key would travel in the clear")
    return text


def name_template(value: object) -> str:
    """What images are called where `--out` does not say: a file name, not a path, with a real extension.

    It is the same on every system, as a project file is, and no hidden file and nothing that looks like an option.
    """
    text = _text(value)
    try:
        parse(text)
    except ValueError as error:
        raise ValueError(f"is no template: {cut(str(error))}") from error
    if re.search(r"[/\\:]|^[.-]", text) or not text.endswith(".{ext}") or not text.isprintable():
        raise ValueError("must be a file name without a folder that ends in .{ext}, such as {slug}-{seed}-{job}.{ext}")
    return text


def _model(value: object) -> str:
    text = _text(value)
    if not is_model_name(text):
        raise ValueError(f"must be the name of a model, such as {DEFAULT_MODEL}")
    return text


def _folder(value: object) -> str:
    return os.path.expanduser(_text(value))


def _can_be_a_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or _CONTROLS.search(value.strip()):
        raise ValueError("must be text, on one line")
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
        Setting("model", "REVE_MODEL", _model, "the model that makes images"),
        Setting(
            "aspect_ratio",
            "REVE_ASPECT_RATIO",
            _among(ASPECT_RATIOS),
            "the shape of images; the API's own where none is set",
            words=ASPECT_RATIOS,
            in_project=True,
        ),
        Setting(
            "model_version",
            "REVE_MODEL_VERSION",
            _text,
            "the version of the model, such as latest; the API's own where none is set",
            in_project=True,
        ),
        Setting(
            "output_folder",
            "REVE_OUTPUT_FOLDER",
            _folder,
            "the folder that images go to without --out; it must exist",
            in_project=True,
        ),
        Setting(
            "name_template",
            "REVE_NAME_TEMPLATE",
            name_template,
            "what images are called without --out, or in the folder that it names",
            in_project=True,
        ),
        Setting(
            "timeout", "REVE_TIMEOUT", seconds, "seconds that a command may take, as --timeout says", in_project=True
        ),
        Setting("color", "REVE_COLOR", _among(COLORS), "when to use colors; auto is on a terminal", words=COLORS),
        Setting(
            "keychain",
            "REVE_KEYCHAIN",
            _switch,
            "whether to look for the API key in the system's keychain",
            words=("true", "false"),
        ),
        Setting("max_credits_per_day", "REVE_MAX_CREDITS_PER_DAY", amount, "credits to spend in any 24 hours at most"),
        Setting(
            "credits_per_image",
            "REVE_CREDITS_PER_IMAGE",
            price,
            "the price that spending caps count with where the API publishes none",
        ),
        Setting(
            "history_days",
            "REVE_HISTORY_DAYS",
            amount,
            "days that the journal keeps prompts and paths of what is finished, at least 2",
        ),
    )
}
"""Every setting, by its name."""
API_KEY = "api_key"
"""Stands in the user's file like a setting, and is none: see `credentials`."""
