"""The API's data: a request as it is sent, a job as it is answered, and helpers for numbers, times and text.

No input, no output, no clock.

May import: core.contract, core.errors, core.suggest.
"""

import datetime
import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, KEY_PREFIX, PROMPT_LIMIT, SEED_LIMIT, WEBHOOK_EVENTS
from reve_cli.core.errors import ReveError
from reve_cli.core.suggest import did_you_mean

Identity = tuple[int, int, int, int]
"""A file's device, inode, size and time of change (ns). They show whether a path still names the same file."""

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
"""Terminal states. A job with any other status, known or unknown, is still running."""

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_MODEL = re.compile(rf"(?!{KEY_PREFIX})[A-Za-z0-9][A-Za-z0-9._/-]{{0,99}}")
_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_PRINTABLE = re.compile("[!-~]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HEADER_TEXT = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def utf16_units(text: str) -> int:
    """The length of `text` in UTF-16 code units, as the server counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def job_id(text: object) -> str | None:
    """`text` as a job id in lower case, or None if it is not a UUID."""
    return text.lower() if isinstance(text, str) and UUID.fullmatch(text) else None


@dataclass(frozen=True)
class ImageRequest:
    """The request for one image: one job, one POST. It is checked when it is created, so it is always valid.

    Raises `ReveError` (code `usage`) that names every invalid option.
    """

    prompt: str
    model: str = DEFAULT_MODEL
    seed: int | None = None
    aspect_ratio: str | None = None
    version: str | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    typed: str | None = field(default=None, compare=False)
    """The prompt before `normal_prompt`, if that changed it. Earlier versions sent it so."""

    def __post_init__(self) -> None:
        faults = "; ".join(self._faults())
        if faults:
            raise ReveError("usage", faults)

    def _faults(self) -> Iterator[str]:
        units = utf16_units(self.prompt)
        if not self.prompt.strip():
            yield "the prompt is empty"
        if units > PROMPT_LIMIT:
            yield f"the prompt has {units:,} characters; at most {PROMPT_LIMIT:,} (an emoji counts as 2)"
        if _SURROGATE.search(self.prompt + (self.version or "")):
            yield "the prompt and the model version must be valid UTF-8 text"
        if not is_model_name(self.model):
            yield f"--model {echo(self.model)} is not a model name"
        if self.seed is not None and abs(self.seed) > SEED_LIMIT:
            limits = f"from -{SEED_LIMIT} to {SEED_LIMIT}"
            yield f"--seed {self.seed} is out of range; use a whole number {limits}, or random"
        if self.aspect_ratio is not None and self.aspect_ratio not in ASPECT_RATIOS:
            near = did_you_mean(self.aspect_ratio, ASPECT_RATIOS)
            yield f"--aspect-ratio {echo(self.aspect_ratio)} is not one of {', '.join(ASPECT_RATIOS)}{near}"
        if self.version is not None and not self.version.strip():
            yield "--model-version is empty"
        if self.webhook_url is not None and not is_web_url(self.webhook_url):
            yield f"--webhook-url {echo(self.webhook_url)} is not an http or https URL"
        if self.webhook_events and self.webhook_url is None:
            yield "--webhook-event needs --webhook-url"
        for event in self.webhook_events:
            if event not in WEBHOOK_EVENTS:
                near = did_you_mean(event, WEBHOOK_EVENTS)
                yield f"--webhook-event {echo(event)} is not one of {', '.join(WEBHOOK_EVENTS)}{near}"

    @classmethod
    def of_typed(cls, prompt: str, **others: Any) -> "ImageRequest":
        """The request for a prompt as it was typed or read from a file. Raises `ReveError`."""
        normal = normal_prompt(prompt)
        return cls(normal, **others, typed=prompt if prompt != normal else None)

    def as_before(self) -> "ImageRequest | None":
        """The request that earlier versions made, if it is another one."""
        if self.typed is None:
            return None
        try:
            return replace(self, prompt=self.typed, typed=None)
        except ReveError:
            return None

    def wire(self) -> dict[str, Any]:
        """The request's body as JSON. Unset options are left out, because the API's schema rejects null."""
        params = {"seed": self.seed, "aspect_ratio": self.aspect_ratio, "version": self.version}
        params = {name: value for name, value in params.items() if value is not None}
        body: dict[str, Any] = {"prompt": self.prompt, "model": self.model}
        if params:
            body["reveParams"] = params
        if self.webhook_url:
            body["webhookUrl"] = self.webhook_url
        if self.webhook_events:
            body["webhookEvents"] = list(self.webhook_events)
        return body

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> "ImageRequest":
        """The request with this body. Raises `ReveError` if it is invalid."""
        params = data.get("reveParams", {})
        return cls(
            prompt=data["prompt"],
            model=data["model"],
            seed=params.get("seed"),
            aspect_ratio=params.get("aspect_ratio"),
            version=params.get("version"),
            webhook_url=data.get("webhookUrl"),
            webhook_events=tuple(data.get("webhookEvents", ())),
        )

    def without_webhook(self) -> "ImageRequest":
        """The request for the same image without a webhook."""
        return replace(self, webhook_url=None, webhook_events=())

    def matches(self, job: "Job") -> bool:
        """Whether the job's `input` agrees with this request.

        Options unset in the request are ignored: the server may report its own choice. So are those missing in `input`.
        """
        for name in _ASKED:
            ours, theirs = getattr(self, name), job.asked(name)
            if ours is not None and theirs is not None and _folded(ours) != _folded(theirs):
                return False
        return True

    def body(self) -> bytes:
        """The exact bytes of the POST. Equal requests have equal bytes."""
        return json.dumps(self.wire(), ensure_ascii=False, separators=(",", ":")).encode()


def normal_prompt(text: str) -> str:
    """A prompt without what differs between systems and editors: kinds of line ends, and blanks around its lines.

    So the same file makes the same request on any machine.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip(" \t") for line in lines).strip(" \t")


def is_web_url(text: str) -> bool:
    """Whether `text` is an absolute http or https URL of printable ASCII."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        bool(_PRINTABLE.fullmatch(text))
        and port_is_valid
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
    )


def is_model_name(text: str) -> bool:
    """Whether `text` can be a model's name. An API key cannot."""
    return bool(_MODEL.fullmatch(text))


@lru_cache(64)
def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine: `localhost` or a loopback address. No name server can change these."""
    if host.removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK if address.version == 4 else address == ipaddress.IPv6Address("::1")


def cut(text: str, length: int = 300) -> str:
    """Shorten `text` to `length` characters, ending in an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def echo(text: str) -> str:
    """Quote and shorten what the user typed, for an error message."""
    return repr(cut(text, 60))


def moment(text: str | None) -> float | None:
    """An ISO 8601 time as seconds since the epoch, or None if it is not one."""
    try:
        parsed = datetime.datetime.fromisoformat(text or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as an ISO 8601 time in UTC, with milliseconds."""
    if seconds is None:
        return None
    text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def whole(value: float | None) -> float | None:
    """A number as JSON shows it: 4 rather than 4.0."""
    return int(value) if value is not None and value.is_integer() else value


def plural(count: float, word: str, many: str = "") -> str:
    """`count` things: `1 image`, `2,000 images`. many: an irregular plural."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:,.10g}"
    return f"{number} {word if count == 1 else many or f'{word}s'}"


def credits_of(amount: float, *, simulated: bool) -> str:
    """`amount` in words. The sandbox's credits are always called simulated, because they cost nothing."""
    return plural(amount, "simulated credit" if simulated else "credit")


def is_header_text(text: str) -> bool:
    """Whether `text` is valid as an HTTP header's value."""
    return bool(_HEADER_TEXT.fullmatch(text))


@dataclass(frozen=True)
class Job:
    """A job as the API answered it. A field is None if it was missing or null.

    progress: in percent. credit_cost: in credits. created_at, completed_at: ISO 8601, as the API wrote them.
    """

    id: str
    status: str
    model: str | None = None
    progress: float | None = None
    input: dict[str, Any] | None = None
    urls: tuple[str, ...] = ()
    error: str | None = None
    credit_cost: float | None = None
    created_at: str | None = None
    completed_at: str | None = None
    expired: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether the job's status is terminal."""
        return self.status in ENDED

    @property
    def charge(self) -> float | None:
        """Credits charged, or None while unknown."""
        if self.status in ENDED - {"COMPLETED"}:
            return 0
        return self.credit_cost if self.ended else None

    def row(self) -> list[str]:
        """The cells of a table: id, status, progress, credits, creation time, prompt. Unknown cells are empty."""
        progress = "" if self.progress is None else f"{self.progress:g} %"
        cost = "" if self.credit_cost is None else f"{self.credit_cost:g}"
        return [self.id, self.status, progress, cost, self.created_at or "", self.asked("prompt") or ""]

    @classmethod
    def from_wire(cls, data: Any) -> "Job | None":
        """Read a job, ignoring invalid fields. Returns None if it has no valid id or status."""
        if not isinstance(data, dict):
            return None
        identity, status = job_id(data.get("id") or data.get("jobId")), data.get("status")
        if identity is None or not isinstance(status, str) or not status:
            return None
        return cls(
            id=identity,
            status=status,
            model=typed(data.get("model"), str),
            progress=number(data.get("progress")),
            input=typed(data.get("input"), dict),
            urls=tuple(dict.fromkeys(_urls(data.get("result")) or _urls({k: data.get(k) for k in _URL_FIELDS}))),
            error=typed(data.get("error"), str),
            credit_cost=number(data.get("creditCost")),
            created_at=typed(data.get("createdAt"), str),
            completed_at=typed(data.get("completedAt"), str),
            expired=typed(data.get("expired"), bool),
        )

    def asked(self, name: str) -> Any:
        """The value of an option (one of `_ASKED`) in the job's `input`, or None."""
        found = self.input or {}
        params = found.get("reveParams")
        for place in (params if isinstance(params, dict) else {}, found):
            value = typed(place.get(name), _ASKED[name])
            if value is not None:
                return value
        return None


_ASKED: dict[str, type] = {"prompt": str, "model": str, "seed": int, "aspect_ratio": str, "version": str}
"""The options that `input` may contain, at its top level or in `reveParams`."""
_URL_FIELDS = ("images", "image_url", "imageUrl", "url", "urls")


def _urls(result: Any, depth: int = 3) -> list[str]:
    """All image URLs in a `result`. It has no schema: a string, a list, or an object with a known field."""
    if isinstance(result, str):
        return [result] if result.strip() else []
    if depth and isinstance(result, list):
        return [url for item in result for url in _urls(item, depth - 1)]
    if depth and isinstance(result, dict):
        found = (_urls(result.get(name), depth - 1) for name in _URL_FIELDS)
        return next(filter(None, found), [])
    return []


def _folded(value: Any) -> Any:
    """Normalize text, because a server may have stripped or normalized it."""
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def typed(value: Any, kind: type) -> Any:
    """`value` if its type is exactly `kind`, else None."""
    return value if type(value) is kind else None


def number(value: Any) -> float | None:
    """`value` if it is a plausible number, else None."""
    return value if type(value) in (int, float) and value == value and abs(value) < 1e15 else None
