"""The effect of each fault on a request: one small function per fault.

An effect gets the request and `process`, which does what the API would do. It may call `process` or not, and may return
its answer or another one.

May import: sandbox (messages, outcomes, picture), serving.answers.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from reve_cli.sandbox import messages, picture
from reve_cli.sandbox.messages import Answer, Request, error_answer, json_answer
from reve_cli.sandbox.outcomes import UGLY
from reve_cli.serving.answers import Delivery, whole

Process = Callable[[Request], Answer]
Effect = Callable[[Request, Process, str | None], Answer]

_NOTHING = Answer(0)
_EXTRA: dict[int, dict[str, Any]] = {
    400: {"details": {"prompt": ["Refused by a sandbox fault"]}},
    402: {"creditsRequired": 4, "creditsAvailable": 0},
}
_PAGE = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>simulated gateway</body></html>\n"


def error(status: int) -> Effect:
    """The API's own error; the request is not processed. Argument: Retry-After in seconds, or `date` for 2 s ahead."""

    def effect(request: Request, process: Process, argument: str | None) -> Answer:
        wait = argument or ("1" if status == 429 else None)
        if wait == "date":
            wait = formatdate(request.now + 2, usegmt=True)
        return error_answer(status, extra=_EXTRA.get(status), **({"Retry_After": wait} if wait else {}))

    return effect


def gateway_page(status: int) -> Effect:
    """The HTML page of a gateway in front of the API; the request is not processed."""
    title = f"{status} from the gateway"
    return _instead(Answer(status, _PAGE.format(title).encode(), {"Content-Type": "text/html; charset=utf-8"}))


def _instead(answer: Answer) -> Effect:
    """This answer; the request is not processed."""
    return lambda request, process, argument: answer


def _spoilt(change: Callable[[bytes], bytes] = bytes, delivery: Delivery = whole, **headers: str | None) -> Effect:
    """The request is processed; the body, the headers or the delivery of the answer are changed."""

    def effect(request: Request, process: Process, argument: str | None) -> Answer:
        answer = process(request)
        fields = {**answer.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return answer.spoilt(body=change(answer.body), headers=fields, delivery=delivery)

    return effect


def _json(value: Any) -> Effect:
    return _spoilt(lambda body: json.dumps(value).encode(), Content_Type="application/json")


def _jobs(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Effect:
    """The request is processed; each job in the answer is changed."""

    def effect(request: Request, process: Process, argument: str | None) -> Answer:
        answer = process(request)
        if answer.status != 200:
            return answer
        data = json.loads(answer.body)
        changed = {**data, "jobs": [change(job) for job in data["jobs"]]} if "jobs" in data else change(data)
        return replace(answer, body=messages.to_json(changed))

    return effect


def _without_jobs(request: Request, process: Process, argument: str | None) -> Answer:
    answer = process(request)
    data = json.loads(answer.body)
    return answer.spoilt(body=messages.to_json({**data, "jobs": []})) if answer.status == 200 else answer


def _redirect(request: Request, process: Process, argument: str | None) -> Answer:
    return _moved(int(argument or 307), request.cdn_url + request.target)


def _redirect_loop(request: Request, process: Process, argument: str | None) -> Answer:
    return _moved(int(argument or 302), request.origin + request.target)


def _moved(status: int, location: str) -> Answer:
    return Answer(status, b"", {"Location": location})


def _echo_key(request: Request, process: Process, argument: str | None) -> Answer:
    key = request.headers.get("x-api-key", "")
    answer = error_answer(401, f"Invalid API key: {key}")
    return replace(answer, headers={**answer.headers, "x-request-id": key})


def _slow_dedupe(request: Request, process: Process, argument: str | None) -> Answer:
    process(replace(request, key_delay=float(argument or 1)))
    return replace(_NOTHING, delivery=messages.reset_connection)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()


def _sample(body: Callable[[], bytes], media_type: str) -> Effect:
    return lambda request, process, argument: Answer(200, body(), {"Content-Type": media_type})


def _scramble(body: bytes) -> bytes:
    """Bytes of the same length that are not an image."""
    return bytes(255 - (byte + position) % 251 for position, byte in enumerate(body))


ANYWHERE: dict[str, Effect] = {
    "redirect": _redirect,
    "redirect-loop": _redirect_loop,
    "drop-before": _instead(replace(_NOTHING, delivery=messages.reset_connection)),
    "drop-after": _spoilt(delivery=messages.reset_connection),
    "hang-before": _instead(replace(_NOTHING, delivery=messages.hang)),
    "hang-after": _spoilt(delivery=messages.hang),
    "cut": _spoilt(delivery=messages.half),
    "drip": _spoilt(delivery=messages.drip),
    "empty": _spoilt(lambda body: b""),
    "not-json": _spoilt(lambda body: body[: len(body) // 2]),
    "null": _json(None),
    "list": _json([]),
    "huge": lambda request, process, argument: error_answer(500, "x" * 5_000_000),
    "control": _instead(error_answer(500, UGLY)),
    "echo-key": _echo_key,
}
SUBMIT: dict[str, Effect] = {
    "no-id": _instead(json_answer(202, {"status": "QUEUED"})),
    "bad-id": _instead(json_answer(202, {"jobId": "../../etc", "status": "QUEUED"})),
    "slow-dedupe": _slow_dedupe,
}
_WRONG_TYPES: dict[str, Any] = {
    "model": {},
    "progress": "abc",
    "result": 7,
    "error": ["text"],
    "creditCost": [],
    "createdAt": 5,
    "completedAt": {},
    "webhookStatus": 1,
    "input": "text",
    "expired": "no",
}
JOB: dict[str, Effect] = {
    "sparse": _jobs(lambda job: {"id": job["id"], "status": job["status"]}),
    "nulls": _jobs(lambda job: {name: job[name] if name in ("id", "status") else None for name in job}),
    "wrong-types": _jobs(lambda job: {**job, **_WRONG_TYPES}),
}
JOBS: dict[str, Effect] = {"missing": _without_jobs}
IMAGE: dict[str, Effect] = {
    "cut-silent": _spoilt(delivery=messages.half, Content_Length=None, Connection="close"),
    "oversize": _instead(messages.oversize("image/png")),
    "jpeg": _sample(picture.jpeg, "image/jpeg"),
    "webp": _sample(picture.webp, "image/webp"),
    "gzip": _spoilt(_gzip, Content_Encoding="gzip"),
    "redirect-private": _instead(_moved(302, "http://10.0.0.1/x.png")),
    "redirect-file": _instead(_moved(302, "file:///etc/passwd")),
    "redirect-http": _instead(_moved(302, "http://example.com/x.png")),
    "garbage": _spoilt(_scramble, Content_Type="image/png"),
    "trailing": _spoilt(lambda body: body + b"trailing bytes"),
}
