"""The API's endpoints: what is asked, and how the JSON that comes back becomes models. No retries, no policy.

Imports `http`, `models`, `accounts`, `clock`, `contract`, `errors`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reve_cli.api.accounts import Account, Offer
from reve_cli.api.answers import Answer
from reve_cli.api.http import Request
from reve_cli.api.sending import Sender
from reve_cli.core.clock import Deadline
from reve_cli.core.contract import GENERATE_PATH
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, Job, job_id

PAGE = 100
"""Most jobs in one page."""
_FEW = 2
"""Tries of a question that can be done without."""


@dataclass(frozen=True)
class Accepted:
    """A job that was made for a request, and when, by the server's clock, it was asked for at the earliest."""

    job_id: str
    status: str
    asked_at: float


@dataclass(frozen=True)
class Page:
    jobs: list[Job]
    cursor: str | None


class Api:
    """Apiframe v2, as far as image jobs go."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.http = sender, sender.http

    def submit(
        self,
        request: ImageRequest,
        idempotency_key: str,
        deadline: Deadline,
        before: Callable[[], None],
        leaving: Callable[[], None],
        *,
        perhaps: bool,
    ) -> Accepted:
        """POST /v2/images/generate. Exactly these bytes and this key on every try; see `Sender.send`."""
        clock = self.http.clock
        tries: list[float] = []

        def begin() -> None:
            before()
            tries.append(clock.monotonic())

        def read(answer: Answer) -> Accepted | None:
            data = answer.data if isinstance(answer.data, dict) else {}
            identity, status = job_id(data.get("jobId")), data.get("status")
            if identity is None:
                return None
            server_now = answer.date or clock.now()
            asked_at = server_now - (clock.monotonic() - tries[0])
            return Accepted(identity, status if isinstance(status, str) else "QUEUED", asked_at)

        headers = {"Idempotency-Key": idempotency_key}
        return self.sender.send(
            Request("POST", GENERATE_PATH, body=request.body(), headers=headers),
            read,
            deadline,
            tries=self.http.limits.tries,
            before=begin,
            leaving=leaving,
            perhaps=perhaps,
        )

    def job(self, identity: str, deadline: Deadline, *, tries: float) -> Job:
        """GET /v2/jobs/{id}. An answer about another job is no answer."""

        def read(answer: Answer) -> Job | None:
            job = Job.from_wire(answer.data)
            return job if job is not None and job.id == identity else None

        return self.sender.send(Request("GET", f"/v2/jobs/{identity}"), read, deadline, tries=tries)

    def account(self, deadline: Deadline, *, tries: float = _FEW) -> Account:
        """GET /v2/me. Raises `ReveError` also where the answer does not tell the user, or the time."""

        def read(answer: Answer) -> Account | None:
            return Account.from_wire(answer.data, answer.date)

        return self.sender.send(Request("GET", "/v2/me"), read, deadline, tries=tries)

    def offers(self, deadline: Deadline, *, tries: float = _FEW) -> list[Offer]:
        """GET /v2/models: the image models that the API offers."""

        def read(answer: Answer) -> list[Any] | None:
            found = answer.data.get("models") if isinstance(answer.data, dict) else answer.data
            return found if isinstance(found, list) else None

        request = Request("GET", "/v2/models", params={"modality": "image"})
        models = self.sender.send(request, read, deadline, tries=tries)
        return [offer for offer in map(Offer.from_wire, models) if offer is not None]

    def price(self, model: str, deadline: Deadline) -> float | None:
        """The most credits that an image of `model` costs; None where that is not published."""
        try:
            offers = self.offers(deadline)
        except ReveError:
            return None
        costs = (offer.cost_max for offer in offers if offer.id == model and offer.cost_max is not None)
        return next((cost for cost in costs if cost >= 0), None)

    def page(
        self, cursor: str | None, deadline: Deadline, *, tries: float, filters: Mapping[str, str] | None = None
    ) -> Page:
        """GET /v2/jobs: one page, newest first. Its jobs say nothing of what was asked for.

        filters: `status`, `model`, `scope` and `search` (a job id), as the API takes them.
        """

        def read(answer: Answer) -> Page | None:
            data = answer.data if isinstance(answer.data, dict) else {}
            if not isinstance(data.get("jobs"), list):
                return None
            jobs = [job for job in map(Job.from_wire, data["jobs"]) if job is not None]
            following = data.get("nextCursor")
            return Page(jobs, following if isinstance(following, str) and data.get("hasMore") is True else None)

        params = {**(filters or {}), "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        return self.sender.send(Request("GET", "/v2/jobs", params=params), read, deadline, tries=tries)
