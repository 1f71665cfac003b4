"""One image job of a run: what was asked for, how far it has come, and what came of it.

No input, no output, no clock. Imports `models`, `errors`.
"""

import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from reve_cli.core.errors import ReveError
from reve_cli.core.models import ENDED, Identity, ImageRequest, Job


@dataclass(frozen=True)
class SavedFile:
    """An image on disk: where, from which URL, how many bytes, their SHA-256 in hex, and what they really are.

    `number` counts the images of one job from 1.
    """

    number: int
    path: str
    url: str
    bytes: int
    sha256: str
    media_type: str

    def document(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "url": self.url,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "mediaType": self.media_type,
        }


Phase = Literal["intent", "sending", "accepted", "completed", "saving", "done"]
"""How far a task has come. `done` is as far as it goes in this run, well or not."""


def new_key(scope: str | None, request: ImageRequest, index: int, attempt: int) -> str:
    """An idempotency key: one that nobody else has, or with a `scope` one that is the same wherever it is made.

    Of the same scope and request, each `index` of a run and each `attempt` has a key of its own.
    """
    if scope is None:
        return str(uuid.uuid4())
    text = json.dumps([scope, request.body().decode(), index, attempt])
    return f"once-{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass
class Task:
    """One image job of this run: what was asked for, how far it has come, and what came of it."""

    index: int
    phase: Phase
    request: ImageRequest | None = None
    idempotency_key: str | None = None
    key_is_given: bool = False
    """The idempotency key is the user's: its job may be of an earlier command, or of another request."""
    scope: str | None = None
    """What `--once` was given: the key is made from it."""
    line: int | None = None
    """The line of the file that asks for it."""
    ordinal: int | None = None
    """Which of several alike it is, where that and not its index goes into a key made of a scope."""
    attempt: int = 1
    """How many keys this image has had: a job that FAILED is never made again with the same one."""
    out: str | None = None
    """Where the images go: an absolute template, `-` for a pipe or a device, None where nobody asked for a file."""
    replaces: tuple[str, Identity] | None = None
    """The file at its output path that may be replaced, and by nothing else that stands there later."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """In the names of its temporary files."""
    run: str | None = None
    """The run that it belongs to in the journal."""
    row: int | None = None
    """Its row there."""
    is_owned: bool = False
    """The row is this process's: it alone sends the request."""
    adopted: bool = False
    """An earlier process had begun it."""
    may_renew: bool = False
    """A job that had failed or expired before this run is to be made anew."""
    ended_before: bool = False
    """The job had ended when this run first saw it."""
    first_try: float | None = None
    """Wall time of the first try of the request, in this process or an earlier one."""
    first_uptime: float | None = None
    """The same by a clock that nobody sets, see `Clock.uptime`."""
    was_sent: bool = False
    """The request may have been sent, by an earlier process or by this one. Set by the thread that sends it."""
    job_id: str | None = None
    job: Job | None = None
    files: list[SavedFile] = field(default_factory=list)
    """Noted as each is published, by the thread that saves it; but for `was_sent` all else is the main thread's."""
    replayed: bool | None = None
    error: ReveError | None = None
    accepted_at: float | None = None
    """Monotonic time of acceptance, as far as it is known."""
    asked_at: float = 0.0
    """Wall time, by the server's clock, of the first try of the request: no earlier."""
    due: float = 0.0
    """Monotonic time at which to go on with it: to ask about its job again, or to send it."""

    def renew(self) -> None:
        """Begin anew with another key, as what became of the last one is final."""
        assert self.request is not None
        self.attempt += 1
        self.idempotency_key = new_key(self.scope, self.request, self.ordinal or self.index, self.attempt)
        self.phase, self.row, self.job_id, self.job, self.error = "intent", None, None, None, None
        self.first_try = self.first_uptime = self.accepted_at = self.replayed = None
        self.asked_at = self.due = 0.0
        self.was_sent = self.adopted = self.ended_before = False
        self.files, self.token = [], secrets.token_hex(8)

    @property
    def charge(self) -> float | None:
        """Credits charged; None while that is not known."""
        if self.job is not None and self.job.status in ENDED - {"COMPLETED"}:
            return 0
        return self.job.credit_cost if self.job is not None and self.job.ended else None

    def document(self, simulated: bool) -> dict[str, Any]:
        """The JSON document of this job: always the full shape, in this order, null where unknown."""
        job = self.job or Job(id=self.job_id or "", status="")
        asked = self.request
        return {
            "jobId": self.job_id,
            "status": job.status or None,
            "progress": job.progress,
            "model": job.model or (asked.model if asked else None),
            "prompt": asked.prompt if asked else job.asked("prompt"),
            "seed": asked.seed if asked else job.asked("seed"),
            "aspectRatio": asked.aspect_ratio if asked else job.asked("aspect_ratio"),
            "version": asked.version if asked else job.asked("version"),
            "urls": list(job.urls),
            "files": [saved.document() for saved in self.files],
            "creditCost": self.charge,
            "createdAt": job.created_at,
            "completedAt": job.completed_at,
            "expired": job.expired,
            "idempotencyKey": self.idempotency_key,
            "adopted": self.adopted,
            "replayed": self.replayed,
            "simulated": simulated,
            "error": self.error.document() if self.error else None,
        }
