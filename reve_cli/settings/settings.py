"""The table of all settings: name, environment variable, parser and description of each.

Constants and pure functions. `config` finds the values.

May import: core.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from reve_cli.core.clock import DAY, HOUR, MINUTE
from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import cut, is_loopback, is_model_name, is_web_url
from reve_cli.core.tasks import Metadata
from reve_cli.core.templates import DEFAULT_NAME, parse

BASE_URL = "https://api.apiframe.ai"
TIMEOUT = 600.0
LONGEST = DAY  # the longest time limit of a command
METADATA: tuple[Metadata, ...] = get_args(Metadata)
COLORS = ("auto", "always", "never")
Color = Literal["auto", "always", "never"]
# Control characters: invalid in file names, models and URLs.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Settings:
    """The values of all settings for one command. `timeout` is in seconds; `output_folder` is a path."""

    base_url: str = BASE_URL
    model: str = DEFAULT_MODEL
    aspect_ratio: str | None = None
    model_version: str | None = None
    output_folder: str = "."
    name_template: str = DEFAULT_NAME
    timeout: float = TIMEOUT
    color: Color = "auto"
    preview: Literal["auto", "never"] = "auto"
    keychain: bool = False
    seed: Literal["none", "random"] = "none"
    max_credits_per_day: float | None = None
    credits_per_image: float | None = None
    history_days: float = 365.0
    trusted_folders: str | None = None
    metadata: Metadata = "embed"
    quality: int = 90


@dataclass(frozen=True)
class Setting:
    """One setting.

    name, variable: its name in config files, and its environment variable.
    read: parses a value; raises ValueError with what the value must be.
    about: a noun phrase for `config list`, help and completion.
    words: the allowed values, if there are only a few.
    in_project: whether a project file may set it.
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


_UNITS = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_AGE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)\s*([{''.join(_UNITS)}])", re.IGNORECASE)


def seconds(value: object) -> float:
    """A time limit in seconds: more than 0, at most a day. Text may have a unit: `90s`, `10m`, `2h`."""
    age = _AGE.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(age[1]) * _UNITS[age[2].lower()] if age else _number(value)
    if not 0 < number <= LONGEST:
        raise ValueError("must be a number of seconds, more than 0 and at most 86400, or a time such as 90s, 10m or 2h")
    return number


def amount(value: object) -> float:
    """A number of credits or days, 0 or more."""
    number = _number(value)
    if not 0 <= number <= 10**9:
        raise ValueError("must be a number from 0 to 1000000000")
    return number


def _number(value: object) -> float:
    """The number in a file or a variable; NaN if it is not a number."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def percent(value: object) -> int:
    """A whole number from 1 to 100."""
    number = _number(value)
    if not 1 <= number <= 100 or number % 1:
        raise ValueError("must be a whole number from 1 to 100")
    return int(number)


def price(value: object) -> float:
    """An amount of more than 0."""
    number = amount(value)
    if not number:
        raise ValueError("must be a number of more than 0")
    return number


def base_url(value: object) -> str:
    """The API's base URL, without a trailing slash or `/v2`: https, or a loopback address."""
    text = _text(value).rstrip("/").removesuffix("/v2").rstrip("/")
    if not is_web_url(text) or re.search(r"[?#@]|/v2$", text) or not _can_be_a_host(urlsplit(text).hostname or ""):
        raise ValueError("must be a plain URL such as https://api.apiframe.ai")
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host):
        raise ValueError("must be https, or an address on this machine; http would send the key unencrypted")
    return text


def name_template(value: object) -> str:
    """A template for image names: a file name that ends in `.{ext}`, not a path, not hidden, not like an option.

    The rules are the same on every system, because a project file is shared between them.
    """
    text = _text(value)
    try:
        parse(text)
    except ValueError as error:
        raise ValueError(f"must be a valid template: {cut(str(error))}") from error
    if re.search(r"[/\\:]|^[.-]", text) or not text.endswith(".{ext}") or not text.isprintable():
        raise ValueError("must be a file name without a folder that ends in .{ext}, such as {slug}-{seed}-{job}.{ext}")
    return text


def _model(value: object) -> str:
    text = _text(value)
    if not is_model_name(text):
        raise ValueError(f"must be the name of a model, such as {DEFAULT_MODEL}")
    return text


def _folder(value: object) -> str:
    text = _text(value)
    try:
        return local_path(text, "the folder")
    except ReveError as error:
        raise ValueError("must be a folder on this machine, not a URL") from error


def _folders(value: object) -> str:
    text = _text(value)
    folders = [os.path.expanduser(folder) for folder in text.split(os.pathsep)]
    if not all(map(os.path.isabs, folders)):
        raise ValueError(f"must be absolute paths of folders, separated by {os.pathsep}")
    return os.pathsep.join(folders)


def _can_be_a_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or _CONTROLS.search(value.strip()):
        raise ValueError("must be one line of text")
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


# Every setting by its name.
SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("base_url", "APIFRAME_BASE_URL", base_url, "API base URL: https, or an address on this machine"),
        Setting("model", "REVE_MODEL", _model, "model for new images"),
        Setting(
            "aspect_ratio",
            "REVE_ASPECT_RATIO",
            _among(ASPECT_RATIOS),
            "aspect ratio of new images (default: the API's choice)",
            words=ASPECT_RATIOS,
            in_project=True,
        ),
        Setting(
            "model_version",
            "REVE_MODEL_VERSION",
            _text,
            "model version, such as latest (default: the API's choice)",
            in_project=True,
        ),
        Setting(
            "output_folder",
            "REVE_OUTPUT_FOLDER",
            _folder,
            "existing folder for images saved without --out",
            in_project=True,
        ),
        Setting(
            "name_template",
            "REVE_NAME_TEMPLATE",
            name_template,
            "file name of images, unless --out gives one",
            in_project=True,
        ),
        Setting(
            "timeout", "REVE_TIMEOUT", seconds, "time limit of a command in seconds, like --timeout", in_project=True
        ),
        Setting("color", "REVE_COLOR", _among(COLORS), "use of color; auto means on a terminal only", words=COLORS),
        Setting(
            "preview",
            "REVE_PREVIEW",
            _among(("auto", "never")),
            "preview of saved images; auto means on a terminal that can show images",
            words=("auto", "never"),
        ),
        Setting(
            "keychain",
            "REVE_KEYCHAIN",
            _switch,
            "use of the system keychain for the API key",
            words=("true", "false"),
        ),
        Setting(
            "seed",
            "REVE_SEED",
            _among(("none", "random")),
            "seed of images without --seed; random chooses and prints one",
            words=("none", "random"),
        ),
        Setting("max_credits_per_day", "REVE_MAX_CREDITS_PER_DAY", amount, "spending cap in credits for any 24 hours"),
        Setting(
            "credits_per_image",
            "REVE_CREDITS_PER_IMAGE",
            price,
            "price for spending caps if the API publishes none",
        ),
        Setting(
            "history_days",
            "REVE_HISTORY_DAYS",
            amount,
            "days to keep prompts and paths of finished jobs, at least 2",
        ),
        Setting(
            "trusted_folders",
            "REVE_TRUSTED_FOLDERS",
            _folders,
            "folders whose .reve.toml may belong to another user, separated as in PATH",
        ),
        Setting(
            "metadata",
            "REVE_METADATA",
            _among(METADATA),
            "where to record how images were made: embed, sidecar (beside them) or none",
            words=METADATA,
            in_project=True,
        ),
        Setting("quality", "REVE_QUALITY", percent, "quality of JPEG, WebP and AVIF images, 1 to 100"),
    )
}
# In the user's file like a setting, but only `credentials` reads it.
API_KEY = "api_key"
