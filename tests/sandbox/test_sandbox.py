"""The sandbox over real loopback: it enforces the API's contract, keeps its jobs, and fails as told."""

import gzip
import hashlib
import json
import math
import os
import re
import socket
import sqlite3
import ssl
import stat
import struct
import subprocess
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reve_cli.core.clock import DAY
from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.core.models import Job, utf16_units
from reve_cli.sandbox import ALL_FAULTS, Fault, Sandbox, parse_faults, picture, reset
from reve_cli.sandbox.outcomes import UGLY

NOW = 1_800_000_000.0
# Shared, because loading certificates would take most of the time of these tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
BODY: dict[str, Any] = {"prompt": "a red fox", "model": "reve-create"}
NOBODY = str(uuid.UUID(int=7))

STATUS = {"enum": ["QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"]}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
ID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with exactly these fields."""
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "null"}, schema]}


LISTED_FIELDS: dict[str, Any] = {
    "id": ID,
    "status": STATUS,
    "model": {"type": "string"},
    "progress": nullable({"type": "integer", "minimum": 0, "maximum": 100}),
    "result": {},
    "error": nullable({"type": "string"}),
    "creditCost": nullable({"type": "integer"}),
    "webhookStatus": {"enum": ["pending", "delivered", "failed", None]},
    "createdAt": TIME,
    "completedAt": nullable(TIME),
    "expired": {"type": "boolean"},
}
JOB = closed({**LISTED_FIELDS, "input": {"type": "object"}})
PAGE = closed(
    {
        "jobs": {"type": "array", "items": closed(LISTED_FIELDS)},
        "nextCursor": nullable({"type": "string"}),
        "hasMore": {"type": "boolean"},
    },
    models={"type": "array", "items": {"type": "string"}},
)
ACCEPTED = closed({"jobId": ID, "status": {"enum": ["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]}})
ERROR = closed(
    {"error": {"type": "string"}},
    details={"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
)
NAME = {"type": "string"}
ME = closed(
    {
        "user": closed({"id": ID, "email": NAME, "role": NAME}),
        "team": closed(
            {
                "id": ID,
                "name": NAME,
                "credits": {"type": "integer", "minimum": 0},
                "plan": NAME,
                "customerId": nullable(NAME),
            }
        ),
        "apiKey": closed({"id": ID, "name": NAME, "prefix": NAME}),
    }
)
GENERATE = closed(
    {"prompt": {"type": "string"}, "model": {"const": "reve-create"}},
    reveParams=closed(
        {}, seed={"type": "integer"}, aspect_ratio={"enum": list(ASPECT_RATIOS)}, version={"type": "string"}
    ),
    webhookUrl={"type": "string", "pattern": "^https?://[a-z]"},
    webhookEvents={"type": "array", "minItems": 1, "items": {"enum": ["progress", "completed", "failed"]}},
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Bench:
    """A sandbox and a client that has its key."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.client = httpx.Client(
            trust_env=False, verify=NO_TLS, base_url=sandbox.url, headers={"X-API-Key": sandbox.key}
        )
        self.public = httpx.Client(trust_env=False, verify=NO_TLS)

    def submit(self, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key is not None else {}
        return self.client.post("/v2/images/generate", json=BODY if body is None else body, headers=headers)

    def made(self, body: Any = None, key: str | None = None) -> str:
        answer = self.submit(body, key)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["jobId"])

    def job(self, identity: str) -> Any:
        answer = self.client.get(f"/v2/jobs/{identity}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def page(self, **query: Any) -> Any:
        answer = self.client.get("/v2/jobs", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def image_url(self, identity: str, number: int = 1) -> str:
        return f"{self.sandbox.cdn_url}/images/{identity}/{number}.png"

    def ask(self, place: str, client: httpx.Client | None = None) -> httpx.Response:
        """Send a valid request to `place`; for a job or an image, about the first job."""
        if place in ("job", "image") and not self.sandbox.jobs():
            held, self.sandbox.faults = self.sandbox.faults, []
            self.made()
            self.sandbox.faults = held
        return (client or self.client).send(self.request(place))

    def request(self, place: str) -> httpx.Request:
        jobs = self.sandbox.jobs()
        first = jobs[0].id if jobs else NOBODY
        if place == "image":
            return self.public.build_request("GET", self.image_url(first))
        if place == "submit":
            return self.client.build_request("POST", "/v2/images/generate", json=BODY)
        paths = {"job": f"/v2/jobs/{first}", "jobs": "/v2/jobs", "me": "/v2/me", "models": "/v2/models"}
        return self.client.build_request("GET", paths[place])

    def close(self) -> None:
        self.client.close()
        self.public.close()
        self.sandbox.stop()


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts sandboxes on one folder. By default the clock stands still, jobs take no time, and no limit applies."""
    benches: list[Bench] = []

    def start(faults: str = "", **options: Any) -> Bench:
        clock = options.pop("clock", None) or Clock()
        options = {"job_seconds": 0, "requests_per_minute": 0, "folder": tmp_path / "sandbox", **options}
        bench = Bench(Sandbox(faults=parse_faults(faults), clock=clock, **options).start(), clock)
        benches.append(bench)
        return bench

    yield start
    for bench in benches:
        bench.close()


def check(schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator(schema).validate(value)


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-")]


# The routes


def test_a_job_is_queued_then_processing_then_completed(make: Make) -> None:
    bench = make(job_seconds=10)
    accepted = bench.submit().json()
    check(ACCEPTED, accepted)
    assert accepted["status"] == "QUEUED"
    seen = []
    for elapsed in (0, 0.9, 1, 5.5, 9.99, 10):
        bench.clock.now = NOW + elapsed
        job = bench.job(accepted["jobId"])
        check(JOB, job)
        seen.append((job["status"], job["progress"]))
    assert seen == [
        ("QUEUED", 0), ("QUEUED", 0), ("PROCESSING", 0), ("PROCESSING", 50), ("PROCESSING", 99), ("COMPLETED", 100),
    ]  # fmt: skip
    assert (job["creditCost"], job["createdAt"], job["completedAt"]) == (
        4, "2027-01-15T08:00:00.000Z", "2027-01-15T08:00:10.000Z",
    )  # fmt: skip
    assert job["input"] == BODY
    assert job["result"] == {"images": [bench.image_url(job["id"])]}


def test_a_running_job_has_no_result_and_no_cost(make: Make) -> None:
    bench = make(job_seconds=10)
    job = bench.job(bench.made())
    assert (job["result"], job["creditCost"], job["completedAt"], job["expired"]) == (None, None, None, False)
    assert bench.sandbox.charged == 0


def test_a_job_of_zero_seconds_is_completed_at_once(make: Make) -> None:
    bench = make()
    assert bench.submit().json()["status"] == "COMPLETED"
    assert bench.sandbox.charged == 4


def test_job_seconds_can_be_a_function_called_for_each_job(make: Make) -> None:
    lengths = iter([1.0, 5.0])
    bench = make(job_seconds=lambda: next(lengths))
    bench.made()
    bench.made()
    assert sorted(job.ends_at for job in bench.sandbox.jobs()) == [NOW + 1, NOW + 5]


def test_every_answer_has_the_sandbox_header_a_request_id_and_a_date(make: Make) -> None:
    bench = make()
    answers = [bench.submit(), bench.client.get("/v2/me"), bench.client.get("/nowhere"), bench.ask("image")]
    assert {answer.headers["X-Reve-Sandbox"] for answer in answers} == {"1"}
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    assert {parsedate_to_datetime(answer.headers["Date"]).timestamp() for answer in answers} == {NOW}


def test_only_completed_jobs_are_charged(make: Make) -> None:
    bench = make("outcome:fail*1,outcome:cancel*1")
    for _ in range(4):
        bench.made()
    me = bench.client.get("/v2/me").json()
    check(ME, me)
    assert me["team"]["credits"] == 100_000 - 8
    assert sum(job.charged for job in bench.sandbox.jobs()) == bench.sandbox.charged == 8


@pytest.mark.parametrize(("fault", "after"), [("", 96), ("outcome:fail", 100), ("outcome:cancel", 100)])
def test_credits_are_deducted_at_submission_and_refunded_if_the_job_fails(make: Make, fault: str, after: int) -> None:
    bench = make(fault, credits=100, job_seconds=10)

    def left() -> int:
        return int(bench.client.get("/v2/me").json()["team"]["credits"])

    bench.made()
    assert (left(), bench.sandbox.charged) == (96, 0)
    bench.clock.now += 10
    assert (left(), bench.sandbox.charged) == (after, 100 - after)


def test_without_credits_a_job_is_refused_but_a_replay_is_not(make: Make) -> None:
    bench = make("outcome:fail*1", credits=11, job_seconds=10)
    first = bench.made(key="k")
    bench.made()
    answer = bench.submit()
    assert answer.status_code == 402
    assert answer.json() == {"error": "Insufficient credits", "creditsRequired": 4, "creditsAvailable": 3}
    assert bench.made(key="k") == first
    bench.clock.now += 10
    assert bench.submit().status_code == 202
    assert len(bench.sandbox.jobs()) == 3


def test_a_submission_answers_only_with_the_statuses_that_the_api_documents(make: Make) -> None:
    bench = make("outcome:odd-status*1,outcome:cancel*1", job_seconds=10)
    assert [bench.submit(key=key).json()["status"] for key in ("odd", "cancelled")] == ["PROCESSING", "QUEUED"]
    bench.clock.now += 10
    replays = [bench.submit(key=key).json() for key in ("odd", "cancelled")]
    assert [replay["status"] for replay in replays] == ["COMPLETED", "FAILED"]
    for replay in replays:
        check(ACCEPTED, replay)


def test_the_models_need_no_key_and_can_be_filtered(make: Make) -> None:
    bench = make()
    models = bench.public.get(bench.sandbox.url + "/v2/models?modality=image").json()["models"]
    assert [(model["id"], model["costMin"], model["costMax"], model["pricingMode"]) for model in models] == [
        ("reve-create", 4, 4, "flat")
    ]
    assert bench.client.get("/v2/models?modality=music").json() == {"models": []}
    assert bench.client.get("/v2/models?modality=text").status_code == 400


def test_250_jobs_are_paged_newest_first_each_once(make: Make) -> None:
    bench = make()
    made = []
    for number in range(250):
        bench.clock.now = NOW + number // 3
        made.append(bench.made())
    found: list[Any] = []
    cursor: dict[str, str] = {}
    sizes = []
    while True:
        page = bench.page(limit=100, **cursor)
        check(PAGE, page)
        sizes.append(len(page["jobs"]))
        found += page["jobs"]
        assert page["hasMore"] == (page["nextCursor"] is not None)
        if not page["hasMore"]:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert sizes == [100, 100, 50]
    assert [(job["createdAt"], job["id"]) for job in found] == sorted(
        ((job["createdAt"], job["id"]) for job in found), reverse=True
    )
    assert {job["id"] for job in found} == set(made)
    assert len(bench.page()["jobs"]) == 20


def test_the_list_can_be_filtered_by_status_model_and_id(make: Make) -> None:
    bench = make(job_seconds=10)
    old = bench.made()
    bench.clock.now += 10
    new = bench.made()

    def ids(**query: str) -> list[str]:
        return [job["id"] for job in bench.page(**query)["jobs"]]

    assert (ids(status="COMPLETED"), ids(status="QUEUED"), ids(status="FAILED")) == ([old], [new], [])
    assert (ids(model="reve-create"), ids(model="other")) == ([new, old], [])
    assert (ids(search=old.upper()), ids(search=NOBODY)) == ([old], [])
    assert bench.page(scope="team", include_models="true")["models"] == ["reve-create"]
    assert "models" not in bench.page(include_models="false")


def test_polls_are_counted_by_id_and_by_page(make: Make) -> None:
    bench = make("job:500*1,jobs:missing*1", job_seconds=10)
    identity = bench.made()
    bench.client.get(f"/v2/jobs/{identity}")
    bench.page()
    assert (bench.sandbox.jobs()[0].polls, bench.sandbox.jobs()[0].seen_at) == (0, None)
    bench.job(identity)
    bench.page()
    assert (bench.sandbox.jobs()[0].polls, bench.sandbox.jobs()[0].seen_at) == (2, None)
    for _ in range(2):
        bench.clock.now += 10
        bench.job(identity)
    assert (bench.sandbox.jobs()[0].polls, bench.sandbox.jobs()[0].seen_at) == (4, NOW + 10)


def test_requests_are_recorded(make: Make) -> None:
    bench = make()
    bench.client.get("/v2/jobs?limit=3", headers={"X-Thing": "Value"})
    bench.ask("image")
    first, _, last = bench.sandbox.requests
    assert (first.side, first.method, first.path, first.headers["x-thing"], first.at) == (
        "api", "GET", "/v2/jobs?limit=3", "Value", NOW,
    )  # fmt: skip
    assert last.side == "cdn"
    assert "x-api-key" not in last.headers


# Invalid requests


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"model": "reve-create"}, "prompt"),
        ({"prompt": "x"}, "model"),
        ({**BODY, "prompt": ""}, "prompt"),
        ({**BODY, "prompt": 5}, "prompt"),
        ({**BODY, "prompt": "\U0001f98a" * 1001}, "prompt"),
        ({**BODY, "prompt": "x" * 2001}, "prompt"),
        ({**BODY, "model": "reve-2"}, "model"),
        ({**BODY, "webhook_url": "https://a.example"}, "webhook_url"),
        ({**BODY, "reveParams": {"size": 1}}, "reveParams.size"),
        ({**BODY, "reveParams": None}, "reveParams"),
        ({**BODY, "reveParams": {"seed": True}}, "reveParams.seed"),
        ({**BODY, "reveParams": {"seed": "1"}}, "reveParams.seed"),
        ({**BODY, "reveParams": {"seed": 1.5}}, "reveParams.seed"),
        ({**BODY, "reveParams": {"aspect_ratio": "5:4"}}, "reveParams.aspect_ratio"),
        ({**BODY, "reveParams": {"version": 3}}, "reveParams.version"),
        ({**BODY, "webhookUrl": "nowhere"}, "webhookUrl"),
        ({**BODY, "webhookUrl": "ftp://a.example"}, "webhookUrl"),
        ({**BODY, "webhookEvents": []}, "webhookEvents"),
        ({**BODY, "webhookEvents": "failed"}, "webhookEvents"),
        ({**BODY, "webhookEvents": ["failed", "started"]}, "webhookEvents.1"),
        ([], ""),
        (None, ""),
    ],
)
def test_an_invalid_body_is_refused_with_the_path_of_the_field(make: Make, body: Any, path: str) -> None:
    bench = make()
    answer = bench.client.post(
        "/v2/images/generate", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    check(ERROR, answer.json())
    assert list(answer.json()["details"]) == [path]
    assert bench.sandbox.jobs() == []


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "prompt": "\U0001f98a" * 1000},
        {**BODY, "reveParams": {}},
        {**BODY, "reveParams": {"seed": -5, "aspect_ratio": "9:16", "version": "latest"}},
        {**BODY, "webhookUrl": "https://a.example/hook", "webhookEvents": ["failed", "completed"]},
        {**BODY, "prompt": "a lone surrogate \ud83d"},
    ],
)
def test_a_valid_body_is_the_input_of_the_job(make: Make, body: Any) -> None:
    bench = make()
    answer = bench.client.post(
        "/v2/images/generate", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 202
    answer = bench.client.get(f"/v2/jobs/{answer.json()['jobId']}")
    assert json.loads(answer.content)["input"] == body


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
ANYTHING = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))
WILD_PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.one_of(st.integers(), ANYTHING),
        "aspect_ratio": st.one_of(st.sampled_from(ASPECT_RATIOS), ANYTHING),
        "version": ANYTHING,
        "extra": ANYTHING,
    },
)
WILD_BODY = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.one_of(st.text(), st.text("a\U0001f98a", min_size=995, max_size=2005), ANYTHING),
        "model": st.one_of(st.just("reve-create"), ANYTHING),
        "reveParams": st.one_of(WILD_PARAMS, ANYTHING),
        "webhookUrl": st.one_of(
            st.sampled_from(["https://a.example/x", "http://a", "a.example", "https://"]), ANYTHING
        ),
        "webhookEvents": st.one_of(st.lists(st.sampled_from(["progress", "completed", "failed", "other"])), ANYTHING),
        "webhook_url": ANYTHING,
    },
)


def test_exactly_the_bodies_that_the_schema_allows_are_accepted(make: Make, full: bool) -> None:
    bench = make()

    @settings(max_examples=300 if full else 60)
    @given(body=st.one_of(WILD_BODY, WILD_BODY.map(lambda body: {**BODY, **body}), ANYTHING))
    @example(body=BODY)
    def holds(body: Any) -> None:
        valid = jsonschema.Draft202012Validator(GENERATE).is_valid(body) and 1 <= utf16_units(body["prompt"]) <= 2000
        answer = bench.client.post(
            "/v2/images/generate", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == (202 if valid else 400), body

    holds()


@pytest.mark.parametrize("content", [b"", b"{", b'{"prompt": NaN}', b"\xff", b"[" * 60_000, b"\xef\xbb\xbf{}"])
def test_a_body_that_is_not_json_is_refused(make: Make, content: bytes) -> None:
    answer = make().client.post("/v2/images/generate", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    check(ERROR, answer.json())


def test_a_body_must_be_declared_as_json(make: Make) -> None:
    answer = make().client.post("/v2/images/generate", content=json.dumps(BODY))
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["Content-Type"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=x", "limit=", "limit=1&limit=2", "status=DONE", "scope=all", "search=fox",
        "include_models=yes", "cursor=x", "cursor=bm90IGEgY3Vyc29y",
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused_with_its_parameter(make: Make, query: str) -> None:
    answer = make().client.get(f"/v2/jobs?{query}")
    assert answer.status_code == 400
    check(ERROR, answer.json())
    assert list(answer.json()["details"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/jobs/fox", 400),
        ("GET", "/v2/jobs/..%2F..%2Fetc", 400),
        ("GET", f"/v2/jobs/{NOBODY}", 404),
        ("GET", "/", 404),
        ("GET", "/v2/videos/generate", 404),
        ("GET", "/images/x/1.png", 404),
        ("DELETE", f"/v2/jobs/{NOBODY}", 405),
        ("GET", "/v2/images/generate", 405),
        ("HEAD", "/v2/me", 405),
    ],
)
def test_unknown_jobs_paths_and_methods_are_answered_in_json(make: Make, method: str, path: str, status: int) -> None:
    bench = make()
    answer = bench.client.request(method, path)
    assert answer.status_code == status
    if method != "HEAD":
        check(ERROR, answer.json())
    assert bench.client.get("/v2/me").status_code == 200


@pytest.mark.parametrize(
    "path", ["/v2/jobs?cursor=", "/v2/jobs/?page=2&page=3", "/v2/me/", "/v2/models/?x=", "/v2/me?x"]
)
def test_what_the_document_does_not_forbid_is_accepted(make: Make, path: str) -> None:
    assert make().client.get(path).status_code == 200


def test_another_endpoint_of_the_api_is_not_simulated_and_says_so(make: Make) -> None:
    assert "not simulated" in make().client.get("/v2/videos").json()["error"].lower()


@pytest.mark.parametrize("key", [None, "", "afk_wrong", "afk_sandbox_"])
@pytest.mark.parametrize("place", ["submit", "job", "jobs", "me"])
def test_a_wrong_key_is_refused(make: Make, key: str | None, place: str) -> None:
    bench = make()
    bench.made()
    request = bench.request(place)
    del request.headers["X-API-Key"]
    if key is not None:
        request.headers["X-API-Key"] = key
    answer = bench.client.send(request)
    assert answer.status_code == 401
    check(ERROR, answer.json())
    assert len(bench.sandbox.jobs()) == 1


def test_the_key_belongs_to_the_folder_until_reset(make: Make, tmp_path: Path) -> None:
    one, same, other = make(), make(), make(folder=tmp_path / "other")
    assert re.fullmatch("afk_sandbox_[0-9a-f]{32}", one.sandbox.key)
    assert one.sandbox.key == same.sandbox.key != other.sandbox.key
    reset(tmp_path / "sandbox")
    assert make().sandbox.key not in ("", one.sandbox.key)


def test_a_given_key_replaces_the_key_of_the_folder(make: Make) -> None:
    given = make(key="afk_mine")
    assert given.sandbox.key == "afk_mine"
    assert given.client.get("/v2/me").status_code == 200


def test_a_job_keeps_the_hash_of_the_key_that_submitted_it(make: Make) -> None:
    bench = make()
    bench.made()
    assert bench.sandbox.jobs()[0].api_key_hash == hashlib.sha256(bench.sandbox.key.encode()).digest()


@pytest.mark.parametrize("side", ["api", "cdn"])
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1:1"}, {"Origin": "https://evil.example"}]
)
def test_requests_with_a_foreign_host_or_an_origin_are_refused(make: Make, side: str, headers: dict[str, str]) -> None:
    bench = make()
    bench.made()
    url = bench.sandbox.url + "/v2/me" if side == "api" else bench.image_url(bench.sandbox.jobs()[0].id)
    answer = bench.client.get(url, headers=headers)
    assert answer.status_code == 403
    check(ERROR, answer.json())


def test_the_host_localhost_is_accepted(make: Make) -> None:
    bench = make()
    port = bench.sandbox.url.rpartition(":")[2]
    assert bench.client.get("/v2/me", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_a_large_body_is_refused_and_the_server_goes_on(make: Make) -> None:
    bench = make()
    answer = bench.submit({**BODY, "prompt": "x" * 100_000})
    assert answer.status_code == 413
    check(ERROR, answer.json())
    assert bench.submit().status_code == 202


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", b"100"),
    ],
)
def test_malformed_requests_get_an_answer(make: Make, sent: bytes, status: bytes) -> None:
    with raw(make().sandbox.url) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_chunked_body_is_accepted(make: Make) -> None:
    bench = make()
    content = iter([json.dumps(BODY)[:5].encode(), json.dumps(BODY)[5:].encode()])
    answer = bench.client.post("/v2/images/generate", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.request.headers["Transfer-Encoding"]) == (202, "chunked")
    assert bench.sandbox.jobs()[0].body == BODY


def test_a_client_that_disconnects_early_does_no_harm_and_prints_nothing(
    make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = make()
    for sent in (b"", b"GET /v2/me HT", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"):
        with raw(bench.sandbox.url) as connection:
            connection.sendall(sent)
    assert bench.client.get("/v2/me").status_code == 200
    bench.close()
    assert capfd.readouterr() == ("", "")


def test_one_connection_serves_many_requests(make: Make) -> None:
    bench = make()
    for _ in range(5):
        bench.client.get("/v2/me")
    assert len([thread for thread in sandbox_threads() if thread.name == "sandbox-api-connection"]) == 1


def test_an_http_1_0_connection_is_closed_after_the_answer(make: Make) -> None:
    bench = make()
    port = bench.sandbox.url.rpartition(":")[2]
    with raw(bench.sandbox.url) as connection:
        connection.sendall(f"GET /v2/models HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"Connection: close" in received
    assert received.endswith(b"}]}")


def test_requests_over_the_rate_limit_get_429_with_retry_after(make: Make) -> None:
    bench = make(requests_per_minute=3)
    for _ in range(3):
        assert bench.client.get("/v2/me").status_code == 200
        bench.clock.now += 10
    answer = bench.client.get("/v2/me")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    check(ERROR, answer.json())
    bench.clock.now += 29.5
    assert bench.client.get("/v2/me").headers["Retry-After"] == "1"
    assert bench.public.get(bench.image_url(NOBODY)).status_code == 404
    bench.clock.now += 0.5
    assert bench.client.get("/v2/me").status_code == 200


# Idempotency


def test_the_same_key_returns_the_original_job_for_a_day(make: Make) -> None:
    bench = make(job_seconds=10)
    first = bench.submit(key="k").json()
    bench.clock.now += DAY - 1
    again = bench.submit(key="k")
    assert (again.status_code, again.json()) == (202, {"jobId": first["jobId"], "status": "COMPLETED"})
    bench.clock.now += 1
    assert bench.made(key="k") != first["jobId"]
    assert [job.key for job in bench.sandbox.jobs()] == ["k", "k"]


def test_the_same_key_with_another_body_is_a_conflict(make: Make) -> None:
    bench = make()
    bench.made(key="k")
    answer = bench.submit({**BODY, "prompt": "another"}, key="k")
    assert answer.status_code == 409
    check(ERROR, answer.json())
    assert bench.submit(dict(reversed(BODY.items())), key="k").status_code == 202
    assert len(bench.sandbox.jobs()) == 1


def test_without_a_key_every_request_makes_a_new_job(make: Make) -> None:
    bench = make()
    assert bench.made() != bench.made()


def test_a_key_has_at_most_255_characters(make: Make) -> None:
    bench = make()
    assert bench.submit(key="k" * 255).status_code == 202
    answer = bench.submit(key="k" * 256)
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["Idempotency-Key"])


def test_sixteen_threads_with_one_key_make_one_job(make: Make) -> None:
    benches = [make() for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda number: benches[number % 2].made(key="k"), range(64)))
    assert len(made) == len(benches[0].sandbox.jobs()) == 1


def test_a_key_is_found_by_a_request_with_an_earlier_clock(make: Make) -> None:
    late, early = make(), make()
    late.clock.now += 0.001
    assert late.made(key="k") == early.made(key="k")


# The folder


def test_jobs_outlive_the_sandbox_that_made_them(make: Make) -> None:
    first = make(job_seconds=10)
    identity = first.made(key="k")
    first.close()
    assert [job.id for job in first.sandbox.jobs()] == [identity]
    second = make(clock=first.clock)
    second.clock.now += 10
    assert second.job(identity)["status"] == "COMPLETED"
    assert second.made(key="k") == identity
    assert second.public.get(second.image_url(identity)).status_code == 200


def test_two_sandboxes_share_a_folder_and_each_returns_its_own_urls(make: Make) -> None:
    one, other = make(), make()
    identity = one.made()
    urls = [bench.job(identity)["result"]["images"][0] for bench in (one, other)]
    assert urls == [one.image_url(identity), other.image_url(identity)]
    assert urls[0] != urls[1]
    assert one.public.get(urls[0]).content == other.public.get(urls[1]).content


def test_several_processes_can_share_a_folder(tmp_path: Path) -> None:
    program = """if True:
        import sys, urllib.request, pathlib
        from reve_cli.sandbox import Sandbox
        body = b'{"prompt":"fox","model":"reve-create"}'
        with Sandbox(pathlib.Path(sys.argv[1]), requests_per_minute=0) as sandbox:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            for number in range(25):
                headers = {"X-API-Key": sandbox.key, "Content-Type": "application/json", "Idempotency-Key": str(number)}
                opener.open(urllib.request.Request(sandbox.url + "/v2/images/generate", body, headers)).read()
    """
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(Sandbox(tmp_path).jobs()) == 25


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_folder_is_private(make: Make, tmp_path: Path) -> None:
    make().made()
    folder = tmp_path / "sandbox"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_reset_deletes_the_jobs_under_a_running_sandbox(make: Make, tmp_path: Path) -> None:
    bench = make()
    identity = bench.made(key="k")
    reset(tmp_path / "sandbox")
    assert bench.sandbox.jobs() == []
    assert bench.made(key="k") != identity


def test_reset_of_a_missing_folder_creates_nothing(tmp_path: Path) -> None:
    reset(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_reset_removes_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_bytes(b"not a database" * 100)
    with pytest.raises(OSError, match=r"sandbox\.db"):
        Sandbox(tmp_path).start()
    reset(tmp_path)
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.jobs() == []


def test_a_database_of_another_version_is_emptied(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "sandbox.db")
    database.executescript("CREATE TABLE jobs (id); PRAGMA user_version = 999")
    database.close()
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.jobs() == []


# Starting and stopping


def test_stop_ends_every_thread_and_may_be_called_again(make: Make) -> None:
    bench = make()
    bench.client.get("/v2/me")
    assert sandbox_threads()
    bench.sandbox.stop()
    bench.sandbox.stop()
    assert sandbox_threads() == []
    with pytest.raises(httpx.ConnectError):
        bench.public.get(bench.sandbox.url)


def test_a_sandbox_can_be_started_again_on_the_same_port(make: Make) -> None:
    bench = make()
    port = int(bench.sandbox.url.rpartition(":")[2])
    bench.client.get("/v2/me")
    bench.close()
    assert make(port=port).sandbox.url == bench.sandbox.url


def test_a_taken_port_raises_and_leaves_no_thread(make: Make, tmp_path: Path) -> None:
    bench = make()
    before = len(sandbox_threads())
    with pytest.raises(OSError, match="in use"):
        Sandbox(tmp_path, port=int(bench.sandbox.url.rpartition(":")[2])).start()
    assert len(sandbox_threads()) == before


def test_both_servers_listen_on_loopback_only(make: Make) -> None:
    bench = make()
    assert bench.sandbox.url.startswith("http://127.0.0.1:")
    assert bench.sandbox.cdn_url.startswith("http://127.0.0.1:")
    assert bench.sandbox.url != bench.sandbox.cdn_url


# Images


def chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG. Checks every CRC, and that no bytes follow."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, position = {}, 8
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + content)
        found[kind] = content
        position += 12 + length
    assert position == len(data)
    return found


@pytest.mark.parametrize(
    ("ratio", "size"),
    [(None, (512, 512)), ("1:1", (512, 512)), ("16:9", (512, 288)), ("9:16", (288, 512)), ("3:2", (512, 341)),
     ("2:3", (341, 512)), ("4:3", (512, 384)), ("3:4", (384, 512))],
)  # fmt: skip
@pytest.mark.parametrize("seed", [None, 0, -(2**53), 10**30])
def test_an_image_is_a_valid_png_of_its_ratio_with_a_comment_that_it_is_simulated(
    ratio: str | None, size: tuple[int, int], seed: int | None
) -> None:
    found = chunks(picture.png("fox", seed, ratio, 2, NOBODY))
    assert list(found) == [b"IHDR", b"tEXt", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">II", found[b"IHDR"][:8]) == size
    assert len(zlib.decompress(found[b"IDAT"])) == (size[0] + 1) * size[1]
    assert len(found[b"PLTE"]) % 3 == 0
    assert max(zlib.decompress(found[b"IDAT"])) < len(found[b"PLTE"]) // 3
    assert b"imulated" in found[b"tEXt"]


def test_the_word_simulated_is_drawn_on_the_image() -> None:
    pixels = zlib.decompress(chunks(picture.png("fox", 1, None, 1, NOBODY))[b"IDAT"])
    rows = [pixels[start + 1 : start + 513] for start in range(0, len(pixels), 513)]
    light = [row[121:176:5] for row in rows if 241 in row][: 7 * 5 : 5]
    assert ["".join("#" if value == 241 else "." for value in row) for row in light] == [
        ".####..###.",
        "#.......#..",
        "#.......#..",
        ".###....#..",
        "....#...#..",
        "....#...#..",
        "####...###.",
    ]


def test_an_image_depends_on_the_request_only(make: Make) -> None:
    bench = make()

    def drawn(prompt: str = "fox", **params: Any) -> bytes:
        return bench.public.get(bench.image_url(bench.made({**BODY, "prompt": prompt, "reveParams": params}))).content

    assert drawn(seed=1) == drawn(seed=1)
    others = [drawn(seed=1), drawn(seed=2), drawn("hen", seed=1), drawn(seed=1, aspect_ratio="1:1"), drawn(), drawn()]
    assert len(set(others)) == len(others)


def test_the_sample_jpeg_and_webp_are_complete_files() -> None:
    jpeg, webp = picture.jpeg(), picture.webp()
    assert (jpeg[:3], jpeg[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")
    assert (webp[:4], webp[8:12]) == (b"RIFF", b"WEBP")
    assert struct.unpack_from("<I", webp, 4)[0] == len(webp) - 8


def test_an_image_is_served_without_a_key_until_it_expires(make: Make) -> None:
    bench = make(job_seconds=10)
    identity = bench.made()
    statuses = []
    for elapsed in (5, 10, 10 + DAY - 1, 10 + DAY):
        bench.clock.now = NOW + elapsed
        answer = bench.public.get(bench.image_url(identity))
        statuses.append((answer.status_code, answer.headers["Content-Type"], bench.job(identity)["expired"]))
    assert statuses == [
        (404, "application/json", False), (200, "image/png", False), (200, "image/png", False),
        (410, "application/json", True),
    ]  # fmt: skip
    assert bench.public.get(bench.image_url(NOBODY)).status_code == 404
    assert bench.public.get(bench.image_url(identity, 2)).status_code == 404


# The syntax of faults


def test_every_listed_fault_is_unique_and_can_be_parsed() -> None:
    assert len(set(ALL_FAULTS)) == len(ALL_FAULTS)
    parsed = parse_faults(",".join(ALL_FAULTS))
    assert [f"{fault.place}:{fault.what}" for fault in parsed] == list(ALL_FAULTS)


def test_a_fault_has_a_place_a_name_and_optional_argument_and_times() -> None:
    assert parse_faults(" submit:429/2*3 , image:cut*1,outcome:images/5,me:503/date,job:redirect/303 ") == [
        Fault("submit", "429", "2", 3),
        Fault("image", "cut", None, 1),
        Fault("outcome", "images", "5"),
        Fault("me", "503", "date"),
        Fault("job", "redirect", "303"),
    ]
    assert parse_faults("  ") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nonsense", ["'nonsense'", "PLACE:WHAT", "outcome"]),
        ("submit:500,,", ["''"]),
        ("nowhere:500", ["'nowhere'", "submit, job, jobs, me, models, image, outcome, webhook"]),
        ("submit:200", ["'200'", "400 to 599", "drop-before", "slow-dedupe"]),
        ("submit:600", ["'600'"]),
        ("me:no-id", ["'no-id' is not a fault of me"]),
        ("image:html-999", ["'html-999'"]),
        ("outcome:500", ["'500'", "capacity"]),
        ("webhook:500", ["'500' is not a fault of webhook", "drop, twice"]),
        ("webhook:late/soon", ["'soon'", "number of seconds"]),
        ("submit:429/soon", ["'soon'", "seconds"]),
        ("submit:cut/1", ["'1'", "no argument"]),
        ("outcome:images/0", ["'0'", "1 to 20"]),
        ("submit:500*0", ["'0'", "times"]),
        ("submit:500*", ["''", "times"]),
        ("submit:500*x", ["'x'", "times"]),
    ],
)
def test_the_error_for_an_invalid_fault_is_one_line_with_what_is_allowed(text: str, names: list[str]) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        parse_faults(text)
    message = str(caught.value)
    assert "\n" not in message
    assert [name for name in names if name not in message] == []


def test_faults_apply_in_order_and_are_counted_down(make: Make) -> None:
    bench = make("me:500*2,me:503*1,jobs:500*1")
    assert [bench.client.get("/v2/me").status_code for _ in range(4)] == [500, 500, 503, 200]
    assert bench.sandbox.faults == [Fault("jobs", "500", times=1)]
    bench.sandbox.faults = [Fault("me", "502")]
    assert [bench.client.get("/v2/me").status_code for _ in range(3)] == [502, 502, 502]


def test_counting_down_in_one_sandbox_does_not_affect_another(make: Make) -> None:
    shared = [Fault("me", "500", times=1)]
    for _ in range(2):
        bench = make()
        bench.sandbox.faults = list(shared)
        assert bench.client.get("/v2/me").status_code == 500


# What each fault does

PLACES = ("submit", "job", "jobs", "me", "models", "image")
STATUSES = [text for text in ALL_FAULTS if re.fullmatch(r"\w+:\d+", text)]
PAGES = [text for text in ALL_FAULTS if re.fullmatch(r"\w+:html-\d+", text)]
TESTED: set[str] = set()


def each(*faults: str) -> pytest.MarkDecorator:
    """Parametrize over these faults and mark them as tested."""
    TESTED.update(faults)
    return pytest.mark.parametrize("fault", faults)


def given_each(cases: dict[str, Any]) -> pytest.MarkDecorator:
    """Parametrize over these faults and what is expected, and mark them as tested."""
    TESTED.update(cases)
    return pytest.mark.parametrize(("fault", "expected"), list(cases.items()))


def everywhere(*whats: str) -> list[str]:
    return [f"{place}:{what}" for place in PLACES for what in whats]


def ask(make: Make, fault: str, **options: Any) -> tuple[Bench, httpx.Response]:
    bench = make(**options)
    bench.made()
    bench.sandbox.faults = parse_faults(fault)
    return bench, bench.ask(fault.partition(":")[0])


@each(*STATUSES)
def test_a_status_fault_answers_as_in_the_contract(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault + "*1")
    status = int(fault.partition(":")[2])
    error = answer.json()
    assert answer.status_code == status
    assert isinstance(error.pop("error"), str)
    if status == 400:
        assert error == {"details": {"prompt": ["Refused by a sandbox fault"]}}
    else:
        assert error == ({"creditsRequired": 4, "creditsAvailable": 0} if status == 402 else {})
    assert answer.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert len(bench.sandbox.jobs()) == 1
    assert bench.ask(fault.partition(":")[0]).status_code in (200, 202)


def test_retry_after_is_seconds_or_a_date_from_the_sandboxs_clock(make: Make) -> None:
    assert ask(make, "me:503/7")[1].headers["Retry-After"] == "7"
    date = ask(make, "me:429/date")[1].headers["Retry-After"]
    assert parsedate_to_datetime(date).timestamp() == NOW + 2


@each(*PAGES)
def test_a_gateway_page_is_html(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    assert answer.status_code == int(fault[-3:])
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@each(*everywhere("redirect"))
def test_a_redirect_leads_to_the_other_server(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault)
    assert answer.status_code == 307
    assert answer.headers["Location"] == bench.sandbox.cdn_url + answer.request.url.raw_path.decode()
    assert ask(make, fault + "/303")[1].status_code == 303


@each(*everywhere("redirect-loop"))
def test_a_redirect_loop_leads_to_the_same_url(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    assert (answer.status_code, answer.headers["Location"]) == (302, str(answer.request.url))


@each(*everywhere("drop-before", "drop-after"))
def test_a_drop_resets_the_connection_before_or_after_processing(make: Make, fault: str) -> None:
    bench = make()
    bench.made()
    bench.sandbox.faults = parse_faults(fault)
    with pytest.raises(httpx.ReadError, match=r"reset|10054"):
        bench.ask(fault.partition(":")[0])
    assert len(bench.sandbox.jobs()) == (2 if fault == "submit:drop-after" else 1)


@each(*everywhere("hang-before", "hang-after"))
def test_a_hang_sends_nothing_until_the_sandbox_stops(make: Make, fault: str) -> None:
    bench = make()
    bench.made()
    bench.sandbox.faults = parse_faults(fault)
    before = len(bench.sandbox.requests)
    with raw_request(bench, fault) as connection:
        while len(bench.sandbox.requests) == before:
            time.sleep(0.001)
        bench.sandbox.stop()
        assert connection.recv(100) == b""
    assert len(bench.sandbox.jobs()) == (2 if fault == "submit:hang-after" else 1)
    assert sandbox_threads() == []


def test_a_hang_ends_when_the_client_disconnects(make: Make) -> None:
    bench = make("me:hang-before")
    with raw_request(bench, "me:hang-before"):
        while not bench.sandbox.requests:
            time.sleep(0.001)
    while any(thread.name.endswith("connection") for thread in sandbox_threads()):
        time.sleep(0.001)


@each(*everywhere("cut"))
def test_a_cut_answer_ends_halfway(make: Make, fault: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        ask(make, fault)


@each(*everywhere("drip"))
def test_a_drip_sends_the_body_slowly_until_the_sandbox_stops(make: Make, fault: str) -> None:
    bench = make()
    bench.made()
    bench.sandbox.faults = parse_faults(fault)
    with raw_request(bench, fault) as connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, rest = received.partition(b"\r\n\r\n")
        assert rest == b""
        assert int(head.lower().partition(b"content-length: ")[2].split()[0]) > 10
        bench.sandbox.stop()
        assert len(b"".join(iter(lambda: connection.recv(65536), b""))) <= 2
    assert sandbox_threads() == []


def test_a_drip_sends_one_byte_at_a_time(make: Make) -> None:
    with raw_request(make("me:drip"), "me:drip") as connection:
        while b"\r\n\r\n" not in connection.recv(65536):
            pass
        assert connection.recv(65536) == b"{"


@each(*everywhere("empty", "null", "list", "not-json"))
def test_empty_null_list_and_not_json_replace_the_body_after_processing(make: Make, fault: str) -> None:
    place, _, what = fault.partition(":")
    bench, answer = ask(make, fault + "*1")
    assert answer.status_code == (202 if place == "submit" else 200)
    if what == "not-json":
        with pytest.raises(ValueError, match=r"."):
            json.loads(answer.content)
        assert answer.content
    else:
        assert answer.content == {"empty": b"", "null": b"null", "list": b"[]"}[what]
    assert len(bench.sandbox.jobs()) == (2 if place == "submit" else 1)
    assert bench.ask(place).status_code in (200, 202)


@each(*everywhere("huge"))
def test_huge_is_an_error_of_5_megabytes(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    assert answer.status_code == 500
    assert len(answer.json()["error"]) >= 5_000_000


@each(*everywhere("control"))
def test_control_is_an_error_with_all_kinds_of_control_characters(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    assert (answer.status_code, answer.json()) == (500, {"error": UGLY})
    for ugly in ("\x1b[", "\x07", "\x9b", "\u202e", "\u2066", "[red]", "\r", "\n", "\x00"):
        assert ugly in UGLY


@each(*everywhere("echo-key"))
def test_echo_key_repeats_the_key_in_body_and_header(make: Make, fault: str) -> None:
    bench = make()
    bench.made()
    bench.sandbox.faults = parse_faults(fault)
    request = bench.request(fault.partition(":")[0])
    request.headers["X-API-Key"] = "afk_told"
    answer = bench.client.send(request)
    assert answer.status_code == 401
    assert "afk_told" in answer.json()["error"]
    assert answer.headers["x-request-id"] == "afk_told"


@given_each(
    {"submit:no-id": {"status": "QUEUED"}, "submit:bad-id": {"jobId": "../../etc", "status": "QUEUED"}},
)
def test_no_id_and_bad_id_accept_without_a_usable_id(make: Make, fault: str, expected: dict[str, str]) -> None:
    _, answer = ask(make, fault)
    assert (answer.status_code, answer.json()) == (202, expected)


@each("submit:slow-dedupe")
def test_slow_dedupe_lets_an_early_retry_make_a_second_job(make: Make, fault: str) -> None:
    bench = make(f"{fault}/2*1")
    with pytest.raises(httpx.ReadError):
        bench.submit(key="k")
    assert len(bench.sandbox.jobs()) == 1
    bench.clock.now += 1
    bench.made(key="k")
    assert len(bench.sandbox.jobs()) == 2


def test_slow_dedupe_finds_the_key_after_a_second(make: Make) -> None:
    bench = make("submit:slow-dedupe*1")
    with pytest.raises(httpx.ReadError):
        bench.submit(key="k")
    bench.clock.now += 1
    assert bench.made(key="k") == bench.sandbox.jobs()[0].id
    assert len(bench.sandbox.jobs()) == 1


def jobs_of(answer: httpx.Response) -> list[dict[str, Any]]:
    data = answer.json()
    return list(data.get("jobs", [data]))


@each("job:sparse", "jobs:sparse")
def test_a_sparse_job_has_only_id_and_status(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault)
    assert jobs_of(answer) == [{"id": bench.sandbox.jobs()[0].id, "status": "COMPLETED"}]
    assert bench.sandbox.jobs()[0].polls == 1


@each("job:nulls", "jobs:nulls")
def test_nulls_keeps_every_field_but_only_id_and_status_have_values(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    [job] = jobs_of(answer)
    assert set(LISTED_FIELDS) <= set(job)
    assert {name for name, value in job.items() if value is not None} == {"id", "status"}


@each("job:wrong-types", "jobs:wrong-types")
def test_wrong_types_keeps_id_and_status_valid(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    [job] = jobs_of(answer)
    assert (job["progress"], job["creditCost"], job["createdAt"], job["result"]) == ("abc", [], 5, 7)
    read = Job.from_wire(job)
    assert read is not None
    assert (read.urls, read.ended) == ((), True)


@each("jobs:missing")
def test_missing_is_a_page_without_jobs(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault)
    check(PAGE, answer.json())
    assert answer.json()["jobs"] == []
    assert bench.sandbox.jobs()[0].polls == 0


@pytest.mark.parametrize("fault", ["job:sparse", "jobs:missing", "image:garbage"])
def test_job_and_image_faults_do_not_change_a_refused_request(make: Make, fault: str) -> None:
    bench = make(fault)
    urls = {"job": f"/v2/jobs/{NOBODY}", "jobs": "/v2/jobs?limit=0", "image": bench.image_url(NOBODY)}
    assert bench.client.get(urls[fault.partition(":")[0]]).status_code in (400, 404)


@each("image:cut-silent")
def test_cut_silent_sends_half_of_the_image_as_if_complete(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault + "*1")
    whole = bench.ask("image").content
    assert "Content-Length" not in answer.headers
    assert (answer.status_code, answer.content) == (200, whole[: len(whole) // 2])


@each("image:oversize")
def test_oversize_announces_and_sends_200_megabytes(make: Make, fault: str) -> None:
    bench = make(fault)
    bench.made()
    with bench.public.stream("GET", bench.image_url(bench.sandbox.jobs()[0].id)) as answer:
        assert answer.headers["Content-Length"] == "200000000"
        read = 0
        for block in answer.iter_raw():
            assert not any(block)
            read += len(block)
            if read > 3_000_000:
                break


@given_each({"image:jpeg": picture.jpeg(), "image:webp": picture.webp()})
def test_jpeg_and_webp_have_their_media_type(make: Make, fault: str, expected: bytes) -> None:
    _, answer = ask(make, fault)
    assert (answer.headers["Content-Type"], answer.content) == (fault.replace(":", "/"), expected)


@each("image:gzip")
def test_gzip_compresses_the_image_without_being_asked(make: Make, fault: str) -> None:
    bench = make(fault)
    bench.made()
    url = bench.image_url(bench.sandbox.jobs()[0].id)
    with bench.public.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        chunks(gzip.decompress(b"".join(answer.iter_raw())))


@given_each(
    {
        "image:redirect-private": "http://10.0.0.1/x.png",
        "image:redirect-file": "file:///etc/passwd",
        "image:redirect-http": "http://example.com/x.png",
    }
)
def test_image_redirects_lead_to_forbidden_urls(make: Make, fault: str, expected: str) -> None:
    _, answer = ask(make, fault)
    assert (answer.status_code, answer.headers["Location"]) == (302, expected)


@each("image:garbage")
def test_garbage_is_sent_as_a_png(make: Make, fault: str) -> None:
    _, answer = ask(make, fault)
    assert answer.headers["Content-Type"] == "image/png"
    assert not answer.content.startswith(b"\x89PNG")


@each("image:trailing")
def test_trailing_adds_bytes_after_the_image(make: Make, fault: str) -> None:
    bench, answer = ask(make, fault + "*1")
    whole = bench.ask("image").content
    assert answer.content.startswith(whole)
    assert len(answer.content) > len(whole)


# How a job can end


def ended(make: Make, fault: str) -> tuple[Bench, dict[str, Any]]:
    bench = make(fault + "*1")
    return bench, bench.job(bench.made())


@given_each(
    {
        "outcome:fail": ("FAILED", "Generation failed: the model returned no image"),
        "outcome:capacity": ("FAILED", "No available capacity \u2014 please retry shortly"),
        "outcome:moderated": ("FAILED", "The prompt was flagged by moderation. Change it and try again."),
        "outcome:control": ("FAILED", UGLY),
        "outcome:cancel": ("CANCELLED", None),
    }
)
def test_failed_and_cancelled_jobs_cost_nothing_and_have_no_image(
    make: Make, fault: str, expected: tuple[str, str | None]
) -> None:
    bench, job = ended(make, fault)
    check(JOB, job)
    assert (job["status"], job["error"]) == expected
    assert (job["creditCost"], job["result"]) == (0, None)
    assert bench.sandbox.charged == 0
    assert bench.ask("image").status_code == 404
    assert bench.job(bench.made())["status"] == "COMPLETED"


@given_each({"outcome:expired": (True, 410), "outcome:gone": (False, 404)})
def test_images_of_expired_and_gone_jobs_cannot_be_fetched(make: Make, fault: str, expected: tuple[bool, int]) -> None:
    bench, job = ended(make, fault)
    status = bench.public.get(job["result"]["images"][0]).status_code
    assert (job["status"], job["creditCost"]) == ("COMPLETED", 4)
    assert (job["expired"], status) == expected


@each("outcome:no-url")
def test_no_url_completes_without_an_image(make: Make, fault: str) -> None:
    _, job = ended(make, fault)
    assert (job["status"], job["result"], job["creditCost"]) == ("COMPLETED", None, 4)


@each("outcome:odd-status")
def test_odd_status_is_an_unknown_status_while_running(make: Make, fault: str) -> None:
    bench = make(fault, job_seconds=10)
    identity = bench.made()
    assert bench.job(identity)["status"] == "RENDERING"
    bench.clock.now += 10
    assert bench.job(identity)["status"] == "COMPLETED"


@each("outcome:forever")
def test_forever_never_ends(make: Make, fault: str) -> None:
    bench, job = ended(make, fault)
    assert (job["status"], job["progress"]) == ("PROCESSING", 99)
    bench.clock.now += 365 * DAY
    assert bench.job(job["id"])["status"] == "PROCESSING"
    assert bench.sandbox.jobs()[0].ends_at == math.inf


@each("outcome:no-progress")
def test_no_progress_reports_no_progress(make: Make, fault: str) -> None:
    bench = make(fault, job_seconds=10)
    identity = bench.made()
    for elapsed in (0, 5, 10):
        bench.clock.now = NOW + elapsed
        assert bench.job(identity)["progress"] is None


@each("outcome:images")
@pytest.mark.parametrize(("argument", "count"), [("", 3), ("/5", 5)])
def test_images_sets_the_number_of_images(make: Make, fault: str, argument: str, count: int) -> None:
    bench, job = ended(make, fault + argument)
    urls = job["result"]["images"]
    assert urls == [bench.image_url(job["id"], number) for number in range(1, count + 1)]
    assert len({bench.public.get(url).content for url in urls}) == count
    assert bench.public.get(bench.image_url(job["id"], count + 1)).status_code == 404


@given_each(
    {
        "outcome:shape-string": lambda url: url,
        "outcome:shape-image_url": lambda url: {"image_url": url},
        "outcome:shape-imageUrl": lambda url: {"imageUrl": url},
        "outcome:shape-url": lambda url: {"url": url},
        "outcome:shape-urls": lambda url: {"urls": [url]},
        "outcome:shape-list": lambda url: [url],
        "outcome:shape-objects": lambda url: [{"url": url}],
        "outcome:shape-top": lambda url: None,
    }
)
def test_every_shape_of_result_is_understood(make: Make, fault: str, expected: Callable[[str], Any]) -> None:
    bench, job = ended(make, fault)
    url = bench.image_url(job["id"])
    assert job["result"] == expected(url)
    read = Job.from_wire(job)
    assert read is not None
    assert read.urls == (url,)


@given_each(
    {
        "outcome:url-file": "file:///etc/passwd",
        "outcome:url-private": "https://10.0.0.1/x.png",
        "outcome:url-public-http": "http://example.com/x.png",
        "outcome:url-local": "https://localhost:1/x.png",
        "outcome:url-name": "https://metadata.internal/x.png",
    }
)
def test_url_outcomes_return_forbidden_urls(make: Make, fault: str, expected: str) -> None:
    assert ended(make, fault)[1]["result"] == {"images": [expected]}


@each("outcome:other-input")
def test_other_input_reports_another_prompt(make: Make, fault: str) -> None:
    bench, job = ended(make, fault)
    assert job["input"]["prompt"] != BODY["prompt"]
    assert bench.sandbox.jobs()[0].body == BODY


def test_only_a_new_job_uses_up_an_outcome(make: Make) -> None:
    bench = make("outcome:fail*1")
    bench.submit({})
    first = bench.made(key="k")
    assert (bench.job(first)["status"], bench.made(key="k")) == ("FAILED", first)
    assert bench.submit(key="k").json()["status"] == "FAILED"


def test_every_fault_is_tested() -> None:
    """Those of webhooks in test_webhooks.py."""
    assert {fault for fault in ALL_FAULTS if not fault.startswith("webhook:")} == TESTED


def raw(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def raw_request(bench: Bench, fault: str) -> socket.socket:
    """A connection that has sent the request for the fault's place."""
    request = bench.request(fault.partition(":")[0])
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    connection = raw(str(request.url.copy_with(raw_path=b"")).rstrip("/"))
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + request.read())
    return connection
