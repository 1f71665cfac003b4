"""The data that everything else passes around, and how it looks on the API's wire.

A request as it is sent, a job as it is answered, and how numbers and times are written.
No input, no output, no clock. Imports `contract`, `suggest` and `errors`.
"""

import datetime
import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, KEY_PREFIX, PROMPT_LIMIT, SEED_LIMIT, WEBHOOK_EVENTS
from reve_cli.core.errors import ReveError
from reve_cli.core.suggest import did_you_mean

Identity = tuple[int, int, int, int]
"""Device, inode, size and time of change (ns): what tells one file from another under the same name."""

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
"""Terminal states. Any other status, known or not, is a job that is still running."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_MODEL = re.compile(rf"(?!{KEY_PREFIX})[A-Za-z0-9][A-Za-z0-9._/-]{{0,99}}")
_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_HEADER_TEXT = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def utf16_units(text: str) -> int:
    """The length of `text` as the server counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def job_id(text: object) -> str | None:
    """`text` as a job id in its canonical form, or None where it is not a UUID."""
    return text.lower() if isinstance(text, str) and _UUID.fullmatch(text) else None


@dataclass(frozen=True)
class ImageRequest:
    """One image asked for: one job, one POST. Checked as it is made, so that nothing invalid is ever sent.

    Raises `ReveError` (code `usage`) naming the option at fault.
    """

    prompt: str
    model: str = DEFAULT_MODEL
    seed: int | None = None
    aspect_ratio: str | None = None
    version: str | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise ReveError("usage", fault)

    def _faults(self) -> Iterator[str]:
        units = utf16_units(self.prompt)
        if not self.prompt.strip():
            yield "the prompt is empty"
        if units > PROMPT_LIMIT:
            yield f"the prompt is {units} UTF-16 units long; the API takes at most {PROMPT_LIMIT}"
        if any("\ud800" <= character <= "\udfff" for character in self.prompt + (self.version or "")):
            yield "the prompt and the model version must be valid UTF-8 text"
        if not is_model_name(self.model):
            yield f"--model {echo(self.model)} is not a model name"
        if self.seed is not None and abs(self.seed) > SEED_LIMIT:
            yield f"--seed {self.seed} is out of range: integers from -{SEED_LIMIT} to {SEED_LIMIT}, or random"
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

    def wire(self) -> dict[str, Any]:
        """The request's body. The API's schema is strict at both levels: what was not asked for is left out."""
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
        """The request that has this body. Raises `ReveError` where it cannot be one."""
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

    def matches(self, job: "Job") -> bool:
        """Whether `job` can have come from this request, as far as its `input` says what was asked for.

        What we left to the server does not count: it may say what it chose.
        """
        for name in _ASKED:
            ours, theirs = getattr(self, name), job.asked(name)
            if ours is not None and theirs is not None and _folded(ours) != _folded(theirs):
                return False
        return True

    def body(self) -> bytes:
        """The exact bytes of the POST: the same request is always the same bytes."""
        return json.dumps(self.wire(), ensure_ascii=False, separators=(",", ":")).encode()


def is_web_url(text: str) -> bool:
    """Whether `text` is an absolute http or https URL of printable ASCII."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    printable = all("!" <= character <= "~" for character in text)
    return printable and port_is_valid and parts.scheme in ("http", "https") and bool(parts.hostname)


def is_model_name(text: str) -> bool:
    """Whether `text` can be the name of a model. An API key, given by mistake, cannot."""
    return bool(_MODEL.fullmatch(text))


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, by its name or by an address in its usual spelling: no name server can say
    otherwise of those.
    """
    if host.removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK if address.version == 4 else address == ipaddress.IPv6Address("::1")


def cut(text: str, length: int = 300) -> str:
    """`text`, short enough for a line that people read."""
    return text if len(text) <= length else text[: length - 1] + "…"


def echo(text: str) -> str:
    """What somebody typed, in quotes, for a message about it."""
    return repr(cut(text, 60))


def moment(text: str | None) -> float | None:
    """An ISO 8601 time as seconds since the epoch, or None."""
    try:
        parsed = datetime.datetime.fromisoformat(text or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as an ISO 8601 time in UTC, in milliseconds."""
    if seconds is None:
        return None
    text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def whole(value: float | None) -> float | None:
    """A number as the API writes it: 4, not 4.0."""
    return int(value) if value is not None and value.is_integer() else value


def is_header_text(text: str) -> bool:
    """Whether `text` can stand as the value of an HTTP header."""
    return bool(_HEADER_TEXT.fullmatch(text))


@dataclass(frozen=True)
class Job:
    """A job as the API answered it. Fields may be absent or null on the wire; such are None here.

    `progress` is in percent, `credit_cost` in credits, the times ISO 8601 as the API wrote them.
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
        return self.status in ENDED

    def row(self) -> list[str]:
        """The job in one line: id, status, progress, credits, time of creation, prompt; empty where unknown."""
        progress = "" if self.progress is None else f"{self.progress:g} %"
        cost = "" if self.credit_cost is None else f"{self.credit_cost:g}"
        return [self.id, self.status, progress, cost, self.created_at or "", self.asked("prompt") or ""]

    @classmethod
    def from_wire(cls, data: Any) -> "Job | None":
        """Read a job defensively; None where `data` is no job at all (no id, or no status)."""
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
        """What the job's `input` says was asked for under one of `_ASKED`, or None where it does not say."""
        found = self.input or {}
        params = found.get("reveParams")
        for place in (params if isinstance(params, dict) else {}, found):
            value = typed(place.get(name), _ASKED[name])
            if value is not None:
                return value
        return None


_ASKED: dict[str, type] = {"prompt": str, "model": str, "seed": int, "aspect_ratio": str, "version": str}
"""What `input` may say of a request, at its top level or in `reveParams`."""
_URL_FIELDS = ("images", "image_url", "imageUrl", "url", "urls")


def _urls(result: Any, depth: int = 3) -> list[str]:
    """Every image URL in a `result`, which has no schema: a string, a list, or an object with a known field."""
    if isinstance(result, str):
        return [result] if result.strip() else []
    if depth and isinstance(result, list):
        return [url for item in result for url in _urls(item, depth - 1)]
    if depth and isinstance(result, dict):
        found = (_urls(result.get(name), depth - 1) for name in _URL_FIELDS)
        return next(filter(None, found), [])
    return []


def _folded(value: Any) -> Any:
    """Text as a server may have tidied it."""
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def typed(value: Any, kind: type) -> Any:
    """`value` where it is just of that type, else None."""
    return value if type(value) is kind else None


def number(value: Any) -> float | None:
    """`value` where it is a number that can be meant, else None."""
    return value if type(value) in (int, float) and value == value and abs(value) < 1e15 else None
