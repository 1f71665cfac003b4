"""The API's endpoints: builds the requests and turns the JSON of the answers into models.

May import: core.clock, core.contract, core.errors, core.models, api.accounts, api.answers, api.http, api.sending.
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

# largest number of jobs in one page
PAGE = 100
# tries for information that a command can do without
_FEW = 2


@dataclass(frozen=True)
class Accepted:
    """A submitted job. `asked_at`: time of the first try by the server's clock, no later than the real one."""

    job_id: str
    status: str
    asked_at: float


@dataclass(frozen=True)
class Page:
    """Some jobs, newest first, and the cursor of the next page; None on the last page."""

    jobs: list[Job]
    cursor: str | None


class Api:
    """The part of Apiframe's API v2 that concerns image jobs.

    Its methods raise `ReveError`, see `Sender.send`; only `price` does not.
    """

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
        """POST /v2/images/generate. Every try sends the same bytes and the same key.

        Args:
            before, leaving, perhaps: see `Sender.send`.
        """
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

        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
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
        """GET /v2/jobs/{id}. An answer about another job counts as no answer."""

        def read(answer: Answer) -> Job | None:
            job = Job.from_wire(answer.data)
            return job if job is not None and job.id == identity else None

        return self.sender.send(Request("GET", f"/v2/jobs/{identity}"), read, deadline, tries=tries)

    def account(self, deadline: Deadline, *, tries: float = _FEW) -> Account:
        """GET /v2/me. An answer without user or time counts as no answer."""

        def read(answer: Answer) -> Account | None:
            return Account.from_wire(answer.data, answer.date)

        return self.sender.send(Request("GET", "/v2/me"), read, deadline, tries=tries)

    def offers(self, deadline: Deadline, *, tries: float = _FEW) -> list[Offer]:
        """GET /v2/models: the image models on offer."""

        def read(answer: Answer) -> list[Any] | None:
            found = answer.data.get("models") if isinstance(answer.data, dict) else answer.data
            return found if isinstance(found, list) else None

        request = Request("GET", "/v2/models", params={"modality": "image"})
        models = self.sender.send(request, read, deadline, tries=tries)
        return [offer for offer in map(Offer.from_wire, models) if offer is not None]

    def price(self, model: str, deadline: Deadline) -> float | None:
        """The highest price of an image of `model` in credits, None if the API does not publish it."""
        try:
            offers = self.offers(deadline)
        except ReveError:
            return None
        costs = (offer.cost_max for offer in offers if offer.id == model and offer.cost_max is not None)
        return next((cost for cost in costs if cost >= 0), None)

    def page(
        self, cursor: str | None, deadline: Deadline, *, tries: float, filters: Mapping[str, str] | None = None
    ) -> Page:
        """GET /v2/jobs: one page. Its jobs come without their input (prompt, seed and so on).

        filters: query parameters `status`, `model`, `scope` and `search` (a job id).
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
