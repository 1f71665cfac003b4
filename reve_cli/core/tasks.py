"""One image job of a command: its request, its progress and its result. No input, no output, no clock.

May import: core.errors, core.models.
"""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reve_cli.core.errors import ReveError
from reve_cli.core.models import Identity, ImageRequest, Job


@dataclass(frozen=True)
class SavedFile:
    """An image on disk.

    number: the image's position in its job, from 1. bytes, sha256 (in hex): of the file on disk. media_type: read from
    the file itself. downloaded_sha256: of what the server sent, before conversion and without reve's metadata; None if
    an earlier version saved it.
    """

    number: int
    path: str
    url: str
    bytes: int
    sha256: str
    media_type: str
    downloaded_sha256: str | None = None

    def document(self) -> dict[str, Any]:
        """The file as a JSON document."""
        return {
            "path": self.path,
            "url": self.url,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "downloadedSha256": self.downloaded_sha256,
            "mediaType": self.media_type,
        }

    @classmethod
    def of_document(cls, entry: Mapping[str, Any], number: int) -> "SavedFile":
        """The image with this document, as the journal keeps it."""
        path, url, size, sha256 = (entry[name] for name in ("path", "url", "bytes", "sha256"))
        return cls(number, path, url, size, sha256, entry["mediaType"], entry.get("downloadedSha256"))


Metadata = Literal["embed", "sidecar", "none"]
"""Where the record of how an image was made goes: into its file, beside it, or nowhere."""


@dataclass(frozen=True)
class Style:
    """How images are saved. quality: 1 to 100, of images that are converted."""

    metadata: Metadata = "embed"
    quality: int = 90


Phase = Literal["intent", "sending", "accepted", "completed", "saving", "done"]
"""A task's progress. `done`: it has ended in this run, with or without an error."""


def new_key(scope: str | None, request: ImageRequest, index: int, attempt: int) -> str:
    """Make an idempotency key: unique, or with a `scope` the same on every machine.

    With the same scope and request, each `index` and each `attempt` still has its own key.
    """
    if scope is None:
        return str(uuid.uuid4())
    text = json.dumps([scope, request.body().decode(), index, attempt])
    return f"once-{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(slots=True)  # hundreds are in memory at once
class Task:
    """One image job of this command. The main thread alone changes it, except `was_sent` and `files`."""

    index: int
    phase: Phase
    request: ImageRequest | None = None
    idempotency_key: str | None = None
    key_is_given: bool = False
    """The user chose the idempotency key, so its job may belong to an earlier command or another request."""
    scope: str | None = None
    """The value of `--once`, from which the key is made."""
    has_random_seed: bool = False
    """reve chose the request's seed, so the same command has another one."""
    line: int | None = None
    """Its line in the batch file."""
    columns: Mapping[str, Any] | None = None
    """The other columns of its row in the batch file."""
    ordinal: int | None = None
    """Its number among identical batch items, used instead of `index` to make a key from a scope."""
    attempt: int = 1
    """How many keys this image has had. A job that FAILED is made again only with a new key."""
    out: str | None = None
    """The output: an absolute template, `-` for a pipe or a device, or None if no file is wanted."""
    replaces: tuple[str, Identity] | None = None
    """The only file that its image may replace: a path and the identity of the file found there at the start."""
    noted: ImageRequest | None = None
    """The request of a job that was named by its id, if the journal has it: a list of the API's jobs lacks it."""
    style: Style | None = None
    """How its images are saved, if an earlier command decided it."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Part of the names of its temporary files."""
    run: str | None = None
    """Its run in the journal."""
    row: int | None = None
    """The id of its row in the journal."""
    is_owned: bool = False
    """This process owns the row, so only this process sends the request."""
    is_known: bool = False
    """The journal has its job, submitted by this account. So a 404 does not prove that nothing was paid for."""
    missing_since: float | None = None
    """Monotonic time since which the API answers 404 for its job."""
    adopted: bool = False
    """An earlier process began it."""
    may_renew: bool = False
    """If its job failed or expired before this run, it is made again."""
    ended_before: bool = False
    """The job had already ended when this run first saw it."""
    first_try: float | None = None
    """Wall time of the first try, in this process or an earlier one."""
    first_uptime: float | None = None
    """The same by `Clock.uptime`."""
    was_sent: bool = False
    """This process or an earlier one may have sent the request. Set by the thread that sends it."""
    job_id: str | None = None
    job: Job | None = None
    files: list[SavedFile] = field(default_factory=list)
    """The images saved so far. Set by the thread that saves them."""
    only_watched: bool = False
    """Its images are not saved, even if those of the other tasks are."""
    rescued: bool = False
    """An image is in the rescue folder, or not converted, until it can be written to its own path. Set by the thread
    that saves it."""
    replayed: bool | None = None
    error: ReveError | None = None
    accepted_at: float | None = None
    """Monotonic time of acceptance, if known."""
    asked_at: float = 0.0
    """Earliest wall time of the first try, by the server's clock."""
    due: float = 0.0
    """Monotonic time of the next step: to poll its job again, or to send its request."""

    def renew(self) -> None:
        """Start again with a new key, after the last attempt ended for good."""
        assert self.request is not None
        self.attempt += 1
        of_batch = self.ordinal is not None
        request = self.request.without_webhook() if of_batch else self.request
        self.idempotency_key = new_key(self.scope, request, self.ordinal or self.index, self.attempt)
        self.phase, self.row, self.job_id, self.job, self.error = "intent", None, None, None, None
        self.first_try = self.first_uptime = self.accepted_at = self.missing_since = self.replayed = None
        self.asked_at = self.due = 0.0
        self.was_sent = self.adopted = self.ended_before = self.rescued = False
        self.files, self.token = [], secrets.token_hex(8)

    @property
    def charge(self) -> float | None:
        """Credits charged, or None while unknown."""
        return None if self.job is None else self.job.charge

    def document(self, simulated: bool) -> dict[str, Any]:
        """The job as a JSON document: all keys in a fixed order, null for unknown values."""
        job = self.job or Job(id=self.job_id or "", status="")
        asked = self.request or self.noted
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
            "input": self.columns,
            "error": self.error.document() if self.error else None,
        }
