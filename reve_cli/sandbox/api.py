"""The API's routes, answered without faults. `sandbox` adds the faults around them.

May import: sandbox (contract, messages, picture, store), core.contract, core.models.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote

from reve_cli.core.contract import ASPECT_RATIOS, DEFAULT_MODEL, IDEMPOTENCY_KEY_LIMIT, JOB_STATUSES
from reve_cli.core.models import job_id
from reve_cli.sandbox import contract, picture
from reve_cli.sandbox.messages import Answer, Request, error_answer, invalid, json_answer
from reve_cli.sandbox.store import PRICE, JobRecord, KeyConflictError, NoCreditsError, Plan, Store

CREDITS = 100_000
_ACCEPTED = {"CANCELLED": "FAILED"}  # the statuses that the answer to a submission can have are fewer
_TEAM = {"id": "5a2d0000-0000-4000-8000-000000000001", "name": "Sandbox", "customerId": None}
USER = "5a2d0000-0000-4000-8000-000000000002"
_KEY = {"id": "5a2d0000-0000-4000-8000-000000000003", "name": "Sandbox"}
_MODEL = {
    "id": DEFAULT_MODEL,
    "label": "Reve Create",
    "description": "Simulated on this machine.",
    "modality": "image",
    "aspectRatios": list(ASPECT_RATIOS),
    "pricingMode": "flat",
    "costMin": PRICE,
    "costMax": PRICE,
}


@dataclass(frozen=True)
class Service:
    """What every route uses. `plan`: the course of the next job. `credits`: of the account before its first job."""

    store: Store
    key: str
    user: str
    plan: Callable[[], Plan]
    credits: int


@dataclass(frozen=True)
class Call:
    """A request with a valid key and query. `part`: the variable part of its path."""

    service: Service
    request: Request
    part: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Route:
    place: str
    side: str
    method: str
    pattern: re.Pattern[str]
    answer: Callable[[Call], Answer]
    query: Mapping[str, contract.Check] = field(default_factory=dict)
    needs_key: bool = True


def find(request: Request) -> Route | Answer:
    """The route of a request, or the answer 404 or 405."""
    here = [route for route in ROUTES if route.side == request.side and route.pattern.fullmatch(request.path)]
    for route in here:
        if route.method == request.method:
            return route
    if here:
        return error_answer(405, "Method not allowed", Allow=", ".join(route.method for route in here))
    return error_answer(404, "Not simulated: the sandbox knows no such path")


def process(service: Service, route: Route, request: Request) -> Answer:
    """Check key and query, then answer."""
    given = request.headers.get("x-api-key", "")
    if route.needs_key and not given:
        return error_answer(401, "API key is missing: send it in the X-API-Key header")
    if route.needs_key and not compare_digest(given.encode(), service.key.encode()):
        return error_answer(401)
    query, wrong = contract.read_query(request.query, route.query)
    if wrong:
        return invalid(wrong)
    found = route.pattern.fullmatch(request.path)
    part = unquote(found[1]) if found and found.re.groups else ""
    return route.answer(Call(service, request, part, query))


def _submit(call: Call) -> Answer:
    request = call.request
    key = request.headers.get("idempotency-key") or None
    if key is not None and len(key) > IDEMPOTENCY_KEY_LIMIT:
        return invalid({"Idempotency-Key": [f"String must contain at most {IDEMPOTENCY_KEY_LIMIT} character(s)"]})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return invalid({"Content-Type": ["Expected application/json"]})
    try:
        body = contract.read_json(request.body)
    except ValueError:
        return error_answer(400, "The body is not valid JSON")
    if wrong := contract.violations(contract.GENERATE, body):
        return invalid(wrong)
    service = call.service
    key_hash = hashlib.sha256(service.key.encode()).digest()
    try:
        job = service.store.create(
            body, key, request.key_delay, request.now, service.plan, api_key_hash=key_hash, credits=service.credits
        )
    except KeyConflictError:
        return error_answer(409)
    except NoCreditsError as error:
        extra = {"creditsRequired": PRICE, "creditsAvailable": max(0, error.available)}
        return error_answer(402, extra=extra)
    status = _ACCEPTED.get(job.status, job.status)
    return json_answer(202, {"jobId": job.id, "status": status if status in JOB_STATUSES else "PROCESSING"})


def _get_job(call: Call) -> Answer:
    if wrong := contract.violations(contract.UUID, call.part, "id"):
        return invalid(wrong)
    job = call.service.store.get(call.part.lower(), call.request.now)
    if job is None:
        return error_answer(404, "Job not found")
    sent = {**job.body, "prompt": "Another prompt altogether"} if job.way.other_input else job.body
    return json_answer(200, {**document(job, call.request.cdn_url), "input": sent}, about=(job.id,))


def _list_jobs(call: Call) -> Answer:
    store, now, query = call.service.store, call.request.now, call.query
    after = _read_cursor(query["cursor"]) if query.get("cursor") else None
    if query.get("cursor") and after is None:
        return invalid({"cursor": ["Invalid cursor"]})
    limit = int(query.get("limit", 20))
    search = query["search"].lower() if "search" in query else None
    found = store.page(now, limit + 1, after, query.get("status"), query.get("model"), search)
    jobs, more = found[:limit], len(found) > limit
    page: dict[str, Any] = {
        "jobs": [document(job, call.request.cdn_url) for job in jobs],
        "nextCursor": _cursor(jobs[-1]) if more else None,
        "hasMore": more,
    }
    if query.get("include_models") == "true":
        page["models"] = store.models()
    return json_answer(200, page, about=(job.id for job in jobs))


def _me(call: Call) -> Answer:
    service = call.service
    team = {**_TEAM, "plan": "sandbox", "credits": max(0, service.credits - service.store.deducted(call.request.now))}
    user = {"id": service.user, "email": "sandbox@example.com", "role": "OWNER"}
    return json_answer(200, {"user": user, "team": team, "apiKey": {**_KEY, "prefix": service.key[:12]}})


def _models(call: Call) -> Answer:
    return json_answer(200, {"models": [_MODEL] if call.query.get("modality", "image") == "image" else []})


def _image(call: Call) -> Answer:
    identity, _, number = call.part.partition("/")
    job = call.service.store.get(identity, call.request.now) if job_id(identity) else None
    if job is None or job.status != "COMPLETED" or not 1 <= int(number) <= job.images:
        return error_answer(404)
    if job.expired:
        return error_answer(410)
    if job.way.image_status != 200:
        return error_answer(job.way.image_status)
    params = job.body.get("reveParams", {})
    seed = int(params["seed"]) if "seed" in params else None
    data = picture.png(job.body["prompt"], seed, params.get("aspect_ratio"), int(number), job.id)
    return Answer(200, data, {"Content-Type": "image/png"})


ROUTES = (
    Route("submit", "api", "POST", re.compile("/v2/images/generate/?"), _submit),
    Route("jobs", "api", "GET", re.compile("/v2/jobs/?"), _list_jobs, contract.LIST_QUERY),
    Route("job", "api", "GET", re.compile("/v2/jobs/([^/]+)/?"), _get_job),
    Route("me", "api", "GET", re.compile("/v2/me/?"), _me),
    Route("models", "api", "GET", re.compile("/v2/models/?"), _models, contract.MODELS_QUERY, needs_key=False),
    Route("image", "cdn", "GET", re.compile(r"/images/([^/]+/[1-9]\d?)\.png"), _image, needs_key=False),
)


def document(job: JobRecord, cdn_url: str) -> dict[str, Any]:
    """The job as in lists. Its URLs point at this sandbox, even if one on another port made the job."""
    completed = job.status == "COMPLETED"
    urls = [f"{cdn_url}/images/{job.id}/{number}.png" for number in range(1, job.images + 1)]
    result: Any = job.way.shape([job.way.url] if job.way.url else urls) if completed else None
    return {
        "id": job.id,
        "status": job.status,
        "model": job.body["model"],
        "progress": job.progress,
        "result": None if job.way.top else result,
        "error": job.way.error if job.ended else None,
        "creditCost": job.charged if job.ended else None,
        "webhookStatus": job.webhook_status,
        "createdAt": _iso(job.created_at),
        "completedAt": _iso(job.ends_at) if job.ended else None,
        "expired": job.expired,
        **(dict(result) if completed and job.way.top else {}),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cursor(job: JobRecord) -> str:
    return base64.urlsafe_b64encode(f"{job.created_at!r} {job.id}".encode()).decode()


def _read_cursor(text: str) -> tuple[float, str] | None:
    try:
        made, _, identity = base64.urlsafe_b64decode(text.encode()).decode().partition(" ")
        return (float(made), identity) if job_id(identity) else None
    except (ValueError, binascii.Error):
        return None
