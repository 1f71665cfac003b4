"""Every fault of the sandbox, in every command that can meet it.

The tables give the exit code of each fault if it applies every time, and if it applies once. No fault causes a
traceback, a partial file, more than one job per request, or exit code 6 for a request that may have been accepted.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import ALL_FAULTS, Sandbox, parse_faults
from tests.conftest import Result, Reve

Simulate = Callable[..., Sandbox]
# After these answers, the POST may have been accepted.
PERHAPS = [
    "500", "502", "504", "html-200", "html-502", "redirect-loop", "drop-before", "drop-after", "hang-before",
    "hang-after", "cut", "drip", "empty", "not-json", "null", "list", "huge", "control",
]  # fmt: skip

SUBMIT = {
    "400": 2, "401": 3, "402": 4, "403": 3, "404": 2, "409": 75, "410": 2, "429": 6, "503": 6, "html-403": 6,
    "redirect": 6, "echo-key": 3, "no-id": 75, "bad-id": 75, "slow-dedupe": 75, **dict.fromkeys(PERHAPS, 75),
}  # fmt: skip
SUBMIT_ONCE = {
    what: code if what in ("redirect", "echo-key") or code in (2, 3, 4) else 0 for what, code in SUBMIT.items()
}
LOOK = {
    "400": 2, "401": 3, "402": 4, "403": 3, "404": 8, "409": 2, "410": 2, "429": 6, "503": 6, "html-403": 6,
    "redirect": 6, "redirect-loop": 6, "echo-key": 3, "sparse": 0, "nulls": 0, "wrong-types": 0,
    **dict.fromkeys(PERHAPS, 6),
}  # fmt: skip
KNOWN = {**LOOK, "404": 75}  # for a job in the journal
LOOK_ONCE = {what: 0 if code == 6 and what != "redirect" else code for what, code in LOOK.items()}
NO_RESULT = dict.fromkeys(("sparse", "nulls", "wrong-types"), 75)
IMAGE_FINE = ("jpeg", "webp", "gzip", "trailing")
IMAGE_FINAL = ["400", "401", "402", "409", "oversize", "redirect-private", "redirect-file", "redirect-http", "echo-key"]
OUTCOME = {
    **dict.fromkeys(("fail", "capacity", "moderated", "cancel", "control"), 5),
    "expired": 7, "gone": 75, "no-url": 75, "forever": 75,
    **dict.fromkeys(("url-file", "url-private", "url-public-http", "url-local", "url-name"), 75),
}  # fmt: skip


def whats(place: str) -> list[str]:
    return [what for at, what in (fault.split(":") for fault in ALL_FAULTS) if at == place]


def check(result: Result, code: int, sandbox: Sandbox, requests: int = 1) -> None:
    """Check the exit code, and what must hold for every fault."""
    assert result.code == code, result.stderr
    assert "Traceback" not in result.stderr
    assert not [path for path in Path.cwd().iterdir() if path.suffix == ".part"]
    assert len(sandbox.jobs()) <= requests
    assert not (requests == 1 and sandbox.jobs() and result.code == 6)
    if result.code == 75:
        assert result.stderr.splitlines()[-1].startswith("reve ")
    for path in Path.cwd().glob("*.png"):
        assert path.stat().st_size > 0


def made(reve: Reve, sandbox: Sandbox, count: int = 1) -> list[str]:
    """The ids of jobs made by an earlier command, without faults except outcomes."""
    faults, sandbox.faults = sandbox.faults, [fault for fault in sandbox.faults if fault.place == "outcome"]
    result = reve("generate", "fox", "--no-wait", "--count", str(count))
    assert result.code == 0, result.stderr
    sandbox.faults = faults
    reve.clock.advance(5)
    return result.out.split()


def test_the_tables_list_every_fault_of_the_sandbox() -> None:
    assert set(whats("submit")) == set(SUBMIT)
    assert set(whats("job")) == set(LOOK)
    assert set(whats("jobs")) == set(LOOK) | {"missing"}
    assert set(OUTCOME) <= set(whats("outcome"))


@pytest.mark.parametrize("what", whats("submit"))
@pytest.mark.parametrize("more", [(), ("--no-wait",)], ids=["wait", "no-wait"])
def test_generate_exits_by_the_submit_fault(reve: Reve, simulate: Simulate, what: str, more: tuple[str, ...]) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{what}"))
    out = () if more else ("--out", "fox.png")
    check(reve("generate", "fox", "--timeout", "60", *out, *more), SUBMIT[what], sandbox)
    assert not Path("fox.png").exists()


@pytest.mark.parametrize("what", whats("submit"))
def test_a_single_submit_fault_is_retried_unless_it_is_a_refusal(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{what}*1"))
    result = reve("generate", "fox", "--out", "fox.png")
    check(result, SUBMIT_ONCE[what], sandbox)
    assert Path("fox.png").exists() == (result.code == 0)
    assert sandbox.charged == (4 if result.code == 0 else 0)


@pytest.mark.parametrize("refusal", ["400", "401", "402", "403", "404", "410", "429", "503", "html-403", "redirect"])
@pytest.mark.parametrize("perhaps", ["drop-after", "hang-after", "502", "empty"])
def test_a_refusal_after_a_possible_acceptance_exits_75(
    reve: Reve, simulate: Simulate, perhaps: str, refusal: str
) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{perhaps}*1,submit:{refusal}"))
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    check(result, 75, sandbox)
    assert result.document["error"]["code"] == "unsettled"
    assert result.stderr.splitlines()[-1] == f"reve resume {result.document['idempotencyKey']}"


@pytest.mark.parametrize("what", whats("submit"))
def test_a_submit_fault_of_one_job_leaves_the_others_alone(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{what}*1"))
    result = reve("generate", "fox", "--count", "3", "--out", "fox.png")
    check(result, SUBMIT_ONCE[what], sandbox, requests=3)
    assert len(list(Path.cwd().glob("fox-?.png"))) == (3 if result.code == 0 else 2)


@pytest.mark.parametrize("what", whats("job"))
def test_a_job_fault_after_acceptance_exits_75(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"job:{what}"))
    check(reve("generate", "fox", "--out", "fox.png", "--timeout", "30"), 75, sandbox)


@pytest.mark.parametrize("what", whats("job"))
def test_status_exits_by_the_job_fault(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"job:{what}"))
    check(reve("status", *made(reve, sandbox)), KNOWN[what], simulate())


@pytest.mark.parametrize("what", whats("job"))
def test_wait_exits_by_the_job_fault(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"job:{what}"))
    code = 75 if LOOK[what] == 6 and what != "redirect" else NO_RESULT.get(what, KNOWN[what])
    code = 75 if what == "redirect" else code
    check(reve("wait", *made(reve, sandbox), "--timeout", "30"), code, sandbox)


@pytest.mark.parametrize("what", whats("job"))
def test_download_exits_by_the_job_fault(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"job:{what}"))
    result = reve("download", *made(reve, sandbox), "--out", "fox.png")
    assert result.code == NO_RESULT.get(what, KNOWN[what]), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("what", whats("job"))
def test_a_single_job_fault_is_retried_unless_it_is_a_refusal(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"job:{what}*1"))
    result = reve("generate", "fox", "--out", "fox.png")
    refused = LOOK[what] in (2, 3, 4) or what == "redirect"  # a 404 can come from a part of the API that lags behind
    check(result, 75 if refused else 0, sandbox)


@pytest.mark.parametrize("times", ["", "*1"])
@pytest.mark.parametrize("what", whats("jobs"))
def test_if_a_page_fails_jobs_are_polled_by_id(reve: Reve, simulate: Simulate, what: str, times: str) -> None:
    sandbox = simulate(faults=parse_faults(f"jobs:{what}{times}"))
    check(reve("generate", "fox", "--count", "3", "--out", "fox.png"), 0, sandbox, requests=3)
    assert len(list(Path.cwd().glob("fox-?.png"))) == 3


@pytest.mark.parametrize("what", whats("me"))
def test_generate_works_without_an_answer_about_the_account(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"me:{what}"))
    check(reve("generate", "fox", "--out", "fox.png"), 0, sandbox)
    assert any(request.path == "/v2/me" for request in sandbox.requests)
    assert Path("fox.png").exists()


@pytest.mark.parametrize("what", whats("image"))
@pytest.mark.parametrize("command", ["generate", "wait", "download"])
def test_only_a_harmless_image_fault_saves_the_image(reve: Reve, simulate: Simulate, command: str, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"image:{what}"))
    subject = ["fox"] if command == "generate" else made(reve, sandbox)
    result = reve(command, *subject, "--out", "fox.png", "--timeout", "120")
    failed = 7 if command == "download" else 75
    assert result.code == (0 if what in IMAGE_FINE else failed), result.stderr
    assert Path("fox.png").exists() == (what in IMAGE_FINE)
    assert len(list(Path.cwd().iterdir())) == (what in IMAGE_FINE)
    assert sandbox.charged == 4


@pytest.mark.parametrize("what", whats("image"))
def test_a_single_image_fault_is_retried_unless_it_is_final(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"image:{what}*1"))
    check(reve("generate", "fox", "--out", "fox.png"), 75 if what in IMAGE_FINAL else 0, sandbox)


@pytest.mark.parametrize("what", whats("outcome"))
def test_generate_exits_by_the_outcome(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"outcome:{what}"))
    result = reve("generate", "fox", "--out", "fox.png")
    check(result, OUTCOME.get(what, 0), sandbox)
    assert Path("fox.png").exists() == (result.code == 0)


@pytest.mark.parametrize("what", whats("outcome"))
def test_other_commands_exit_by_the_outcome(reve: Reve, simulate: Simulate, what: str) -> None:
    sandbox = simulate(faults=parse_faults(f"outcome:{what}"))
    jobs = made(reve, sandbox)
    code = OUTCOME.get(what, 0)
    urls_do = code in (7, 75) and what not in ("expired", "no-url", "forever")
    assert reve("status", *jobs).code == 0
    assert reve("status", *jobs, "--exit-status").code == {5: 5, 75: 75 if what == "forever" else 0}.get(code, 0)
    assert reve("wait", *jobs).code == (0 if urls_do else code)
    assert reve("wait", *jobs, "--out", "waited.png").code == code
    downloaded = reve("download", *jobs, "--out", "downloaded.png")
    assert downloaded.code == (7 if urls_do else code), downloaded.stderr
