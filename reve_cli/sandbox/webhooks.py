"""The webhooks of a job: which events it reports, when, and as which request; and the faults that spoil them.

May import: sandbox (api, faults, messages, store), core (contract, models), serving.signatures.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from reve_cli.core.contract import WEBHOOK_EVENTS
from reve_cli.core.models import is_loopback
from reve_cli.sandbox import api
from reve_cli.sandbox.faults import WEBHOOK_FAULTS
from reve_cli.sandbox.messages import to_json
from reve_cli.sandbox.store import JobRecord
from reve_cli.serving import signatures

if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT = 10.0
_PROGRESS = (0.25, 0.5, 0.75)
_ENDINGS = {"COMPLETED": "completed", "FAILED": "failed"}
_REORDER_SECONDS = 0.5
_PIECES = 10


class Event(NamedTuple):
    """A webhook to deliver. `at`: the moment whose state of the job it reports. `due`: when to send it."""

    name: str
    at: float
    due: float
    fault: str | None = None
    argument: str | None = None
    status: str = "pending"


def plan(job: JobRecord, fault: Callable[[], tuple[str, str | None] | None]) -> list[Event]:
    """The events that a new job with a webhook will report. fault: returns name and argument of the next fault."""
    asked = job.body.get("webhookEvents", WEBHOOK_EVENTS)
    moments = [("progress", job.created_at + part * job.duration) for part in _PROGRESS if job.duration]
    ending = _ENDINGS.get(job.way.ending or "")
    if ending:
        moments.append((ending, job.ends_at))
    events: list[Event] = []
    for name, at in moments:
        if name in asked:
            events += _spoilt(Event(name, at, at), job, fault())
    return [event._replace(status="pending" if _target(job) else "failed") for event in events]


def _spoilt(event: Event, job: JobRecord, fault: tuple[str, str | None] | None) -> list[Event]:
    """The event, with a fault. A fault of time moves it; others work as it is sent."""
    if fault is None:
        return [event]
    name, argument = fault
    seconds = float(argument or WEBHOOK_FAULTS[name] or 0)
    if name == "twice":
        return [event, event]
    if name == "late":
        return [event._replace(due=event.due + seconds)]
    if name == "early":
        return [event._replace(due=max(job.created_at, event.due - seconds))]
    if name == "reorder":
        late = event.name == "progress" and math.isfinite(job.ends_at)
        return [event._replace(due=job.ends_at + _REORDER_SECONDS) if late else event]
    return [event._replace(fault=name, argument=argument)]


@dataclass(frozen=True)
class Delivery:
    """One try to deliver an event. `job`: in the state that the event reports."""

    job: JobRecord
    event: str
    fault: str | None
    argument: str | None

    def connect(self) -> "HTTPConnection | None":
        """A connection to its target, not open yet; None if it must not be sent."""
        from http.client import HTTPConnection

        target = _target(self.job)
        return HTTPConnection(*target, timeout=TIMEOUT) if target and self.fault != "drop" else None

    def send(self, connection: "HTTPConnection", cdn_url: str) -> bool:
        """Send it. Returns whether the answer is 2xx. Raises OSError or HTTPException."""
        body = to_json(self._payload(cdn_url))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "reve-sandbox",
            signatures.EVENT_HEADER: self.event,
        }
        if self.fault != "unsigned":
            signed = body + b" " if self.fault == "badsign" else body
            derivation: signatures.Derivation = "hex" if self.fault == "hexsign" else "bytes"
            headers[signatures.HEADER] = signatures.sign_by_hash(signed, self.job.api_key_hash, derivation)
        content: bytes | Iterable[bytes] = body
        if self.fault == "chunked":
            content = iter((body[:10], body[10:]))
        elif self.fault == "slow":
            headers["Content-Length"] = str(len(body))
            content = _slowly(body, float(self.argument or WEBHOOK_FAULTS["slow"] or 0))
        parts = urlsplit(self.job.body["webhookUrl"])
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, content, headers, encode_chunked=self.fault == "chunked")
        return 200 <= connection.getresponse().status < 300

    def _payload(self, cdn_url: str) -> dict[str, Any]:
        """The document of the event, with the fields that the API sends."""
        document = api.document(self.job, cdn_url)
        head = {"event": self.event, "jobId": self.job.id, "status": document["status"]}
        if self.event == "failed":
            return {**head, "error": document["error"], "model": document["model"]}
        if self.event == "progress":
            return {**head, "progress": document["progress"], "model": document["model"]}
        result = document["result"]
        if self.fault == "string-result" and isinstance(result, dict):
            result = result["images"][0]
        names = ("model", "creditCost", "completedAt")
        return {**head, "progress": 100, "result": result, **{name: document[name] for name in names}}


def _target(job: JobRecord) -> tuple[str, int] | None:
    """Host and port of a job's webhook, if it is on this machine: the sandbox contacts no other."""
    parts = urlsplit(job.body["webhookUrl"])
    host = parts.hostname or ""
    return (host, parts.port or 80) if parts.scheme == "http" and is_loopback(host) else None


def _slowly(body: bytes, seconds: float) -> Iterator[bytes]:
    step = -(-len(body) // _PIECES)
    for position in range(0, len(body), step):
        time.sleep(seconds / _PIECES)
        yield body[position : position + step]
