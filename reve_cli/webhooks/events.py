"""What an event says: its body read, and bodies to try a receiver with.

May import: core.
"""

import json
from dataclasses import dataclass
from typing import Any

from reve_cli.core.contract import DEFAULT_MODEL
from reve_cli.core.models import ENDED, Job, job_id, number, typed

_LONGEST_NAME = 40


@dataclass(frozen=True)
class Event:
    """An event of a job, as its body says. progress: in percent. images: how many URLs the result has."""

    name: str
    job: str
    status: str | None = None
    progress: float | None = None
    error: str | None = None
    images: int = 0

    @property
    def ends(self) -> bool:
        """Whether it says that the job has ended."""
        return self.name in ("completed", "failed") or self.status in ENDED


def read_event(body: bytes) -> Event:
    """Read the body of an event. Fields that are missing or of another type are left out. Raises ValueError."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("the body is not a JSON object")
    job, name = job_id(data.get("jobId")), data.get("event")
    if job is None:
        raise ValueError("the body has no valid jobId")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise ValueError("the body has no valid event")
    as_job = Job.from_wire({**data, "id": job, "status": data.get("status") or "-"})
    images = len(as_job.urls) if as_job else 0
    status, why = typed(data.get("status"), str), typed(data.get("error"), str)
    return Event(name, job, status, number(data.get("progress")), why, images)


def example(event: str, job: str, now: str) -> bytes:
    """The body of an event as the API sends it. now: an ISO 8601 time."""
    common: dict[str, Any] = {"event": event, "jobId": job}
    if event == "completed":
        result = {"images": [f"https://images.example.com/{job}.png"]}
        common |= {"status": "COMPLETED", "progress": 100, "result": result, "model": DEFAULT_MODEL, "creditCost": 4}
        common |= {"completedAt": now}
    elif event == "failed":
        common |= {"status": "FAILED", "error": "a test of reve webhook send", "model": DEFAULT_MODEL}
    else:
        common |= {"status": "PROCESSING", "progress": 50, "model": DEFAULT_MODEL}
    return json.dumps(common, separators=(",", ":")).encode()
