"""Requests as they are sent, and jobs as they are read."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.core.contract import ASPECT_RATIOS, SEED_LIMIT, WEBHOOK_EVENTS
from reve_cli.core.errors import EXIT_CODES, WORST_FIRST, ReveError, worst
from reve_cli.core.models import ImageRequest, Job, job_id, utf16_units
from reve_cli.core.tasks import Task

JOB = "3f2a9c1e-0000-4000-8000-000000000001"
REQUEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["prompt", "model"],
    "properties": {
        "model": {"enum": ["reve-create"]},
        "prompt": {"type": "string", "minLength": 1, "maxLength": 2000},
        "reveParams": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "seed": {"type": "integer"},
                "version": {"type": "string"},
                "aspect_ratio": {"enum": ["16:9", "9:16", "3:2", "2:3", "4:3", "3:4", "1:1"]},
            },
        },
        "webhookUrl": {"type": "string", "format": "uri"},
        "webhookEvents": {
            "type": "array",
            "minItems": 1,
            "items": {"enum": ["progress", "completed", "failed"]},
        },
    },
}
"""The published schema of POST /v2/images/generate. It is strict at both levels."""

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    prompt=texts,
    seed=st.none() | st.integers(),
    ratio=st.none() | st.sampled_from(ASPECT_RATIOS),
    version=st.none() | texts,
    url=st.none() | st.sampled_from(["https://example.com/hook?a=b", "http://example.com:8080/"]),
    events=st.lists(st.sampled_from(WEBHOOK_EVENTS)),
)
def test_every_request_matches_the_schema_of_the_api(
    prompt: str, seed: int | None, ratio: str | None, version: str | None, url: str | None, events: list[str]
) -> None:
    try:
        request = ImageRequest(prompt, "reve-create", seed, ratio, version, url, tuple(events))
    except ReveError:
        return
    body = json.loads(request.body())
    jsonschema.validate(body, REQUEST_SCHEMA)
    assert utf16_units(body["prompt"]) <= 2000
    assert body["prompt"] == prompt
    assert request.body() == request.body()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "a" * 2001}, "2,001"),
        ({"prompt": "🦊" * 1001}, "2,002"),
        ({"prompt": "\udc80"}, "UTF-8"),
        ({"seed": SEED_LIMIT + 1}, "--seed"),
        ({"seed": -SEED_LIMIT - 1}, "--seed"),
        ({"aspect_ratio": "16:10"}, "--aspect-ratio"),
        ({"version": " "}, "--model-version"),
        ({"model": "a b"}, "--model"),
        ({"webhook_url": "ftp://example.com"}, "--webhook-url"),
        ({"webhook_url": "https://exa mple.com"}, "--webhook-url"),
        ({"webhook_url": "https://example.com:99999"}, "--webhook-url"),
        ({"webhook_events": ("failed",)}, "--webhook-url"),
        ({"webhook_url": "https://example.com", "webhook_events": ("started",)}, "--webhook-event"),
    ],
)
def test_an_invalid_request_is_refused_before_it_is_sent(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ReveError, match=named) as caught:
        ImageRequest(**({"prompt": "fox"} | options))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("prompt", ["a" * 2000, "🦊" * 1000, "[/red] [bold", "--weird", "\u202efox"])
def test_prompts_are_sent_unchanged(prompt: str) -> None:
    assert json.loads(ImageRequest(prompt).body())["prompt"] == prompt


@pytest.mark.parametrize("seed", [0, 1, -1, SEED_LIMIT, -SEED_LIMIT])
def test_seeds_within_the_limits_are_sent(seed: int) -> None:
    assert ImageRequest("fox", seed=seed).wire()["reveParams"] == {"seed": seed}


URLS = ["https://cdn.example/1.png", "https://cdn.example/2.png"]


@pytest.mark.parametrize(
    "shape",
    [
        {"result": {"images": URLS}},
        {"result": {"urls": URLS}},
        {"result": URLS},
        {"result": [{"url": url} for url in URLS]},
        {"result": {"images": [{"url": url} for url in URLS]}},
        {"images": URLS},
        {"result": None, "urls": URLS},
        {"result": {"images": [], "urls": URLS}},
        {"result": {"images": [*URLS, URLS[0], None, 7, ""]}},
    ],
)
def test_every_shape_of_a_result_is_read(shape: dict[str, Any]) -> None:
    job = Job.from_wire({"id": JOB, "status": "COMPLETED", **shape})
    assert job is not None
    assert job.urls == tuple(URLS)


@pytest.mark.parametrize("name", ["image_url", "imageUrl", "url", ""])
def test_a_single_url_is_read_under_every_name(name: str) -> None:
    result = {name: URLS[0]} if name else URLS[0]
    for data in ({"result": result}, result if isinstance(result, dict) else {"result": result}):
        job = Job.from_wire({"id": JOB, "status": "COMPLETED", **data})
        assert job is not None
        assert job.urls == (URLS[0],)


@given(data=st.fixed_dictionaries({"id": st.just(JOB), "status": st.just("COMPLETED")}).flatmap(
    lambda fixed: st.dictionaries(
        st.sampled_from(
            ["result", "progress", "input", "error", "creditCost", "createdAt", "completedAt", "expired", "url"]
        ),
        json_values,
    ).map(lambda more: fixed | more)
))  # fmt: skip
def test_a_job_with_any_fields_makes_a_json_document(data: dict[str, Any]) -> None:
    job = Job.from_wire(data)
    assert job is not None
    document = Task(1, "done", job_id=job.id, job=job).document(simulated=False)
    json.dumps(document)
    assert all(isinstance(url, str) for url in document["urls"])


@given(json_values)
def test_json_that_is_not_a_job_is_none(data: Any) -> None:
    assert Job.from_wire(data) is None


@pytest.mark.parametrize("number", [10**400, -(10**400), 1e300, True, "4", float("nan")])
def test_implausible_numbers_are_unknown(number: object) -> None:
    job = Job.from_wire({"id": JOB, "status": "COMPLETED", "creditCost": number, "progress": number})
    assert job is not None
    assert (job.credit_cost, job.progress) == (None, None)
    assert job.row()[2:4] == ["", ""]


def test_a_job_with_an_unknown_status_is_running() -> None:
    job = Job.from_wire({"id": JOB, "status": "DREAMING"})
    assert job is not None
    assert not job.ended


def test_a_deeply_nested_result_is_read_as_empty() -> None:
    result: Any = "https://cdn.example/1.png"
    for _ in range(900):
        result = [{"images": result}]
    job = Job.from_wire({"id": JOB, "status": "COMPLETED", "result": result})
    assert job is not None
    assert job.urls == ()


@pytest.mark.parametrize("text", ["", "fox", JOB[:-1], JOB + "0", f"{{{JOB}}}", JOB.replace("-", ""), None, 7])
def test_only_uuids_are_job_ids(text: object) -> None:
    assert job_id(text) is None


def test_job_ids_become_lower_case() -> None:
    assert job_id(JOB.upper()) == JOB


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ({}, {"prompt": "fox"}, True),
        ({}, {"prompt": " fox\n"}, True),
        ({}, {"prompt": "cat"}, False),
        ({"seed": 1}, {"prompt": "fox", "reveParams": {"seed": 1}}, True),
        ({"seed": 1}, {"prompt": "fox", "reveParams": {"seed": 2}}, False),
        ({"seed": 1}, {"prompt": "fox", "seed": 2}, False),
        ({"seed": 1}, {"prompt": "fox"}, True),
        ({}, {"prompt": "fox", "reveParams": {"seed": 2, "aspect_ratio": "3:2", "version": "latest"}}, True),
        ({}, {"prompt": "fox", "model": "reve-create"}, True),
        ({}, {"prompt": "fox", "model": "another"}, False),
        ({"aspect_ratio": "1:1"}, {"reveParams": {"aspect_ratio": "16:9"}}, False),
        ({}, None, True),
    ],
)
def test_a_job_matches_a_request_if_no_given_option_differs(
    asked: dict[str, Any], answered: dict[str, Any] | None, same: bool
) -> None:
    job = Job.from_wire({"id": JOB, "status": "COMPLETED", "input": answered})
    assert job is not None
    assert ImageRequest("fox", **asked).matches(job) is same


def test_several_jobs_end_with_the_worst_exit_code() -> None:
    assert set(EXIT_CODES.values()) <= set(WORST_FIRST)
    assert worst([0, 5, 75, 8]) == 75
    assert worst([0, 5, 7]) == 7
    assert worst([3, 1, 4]) == 1
    assert worst([]) == 0
