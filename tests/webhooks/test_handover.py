"""`generate --no-wait --out --webhook-url`: the journal keeps the path, and another command saves the image there."""

from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import KEY, Reve
from tests.webhooks.conftest import Hook

URL = "https://hooks.example.com/reve"
HANDED_OVER = ["generate", "a fox", "--no-wait", "--out", "fox.png", "--webhook-url", URL]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.com/", "not an https URL"),
        ("https://localhost:8787/", "on this machine"),
        ("https://127.0.0.1/", "on this machine"),
        ("https://[::1]/", "on this machine"),
        ("https://10.0.0.8/hook", "not a public address"),
        ("https://192.168.1.2/hook", "not a public address"),
        ("https://[fd00::1]/hook", "not a public address"),
        ("https://2130706433/hook", "not a public address"),
        ("https://printer/hook", "not a public name"),
        ("https://nas.local/hook", "not a public name"),
        ("https://me:secret@hooks.example.com/", "user name"),
    ],
)
def test_a_webhook_url_that_the_api_cannot_reach_is_refused(reve: Reve, url: str, why: str, dry: list[str]) -> None:
    result = reve("generate", "a fox", "--webhook-url", url, *dry, env={"APIFRAME_API_KEY": KEY})
    assert result.code == 2
    assert why in result.stderr
    assert "secret" not in result.stderr


def test_an_api_on_this_machine_can_reach_any_webhook_url(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "a fox", "--no-wait", "--webhook-url", "http://127.0.0.1:8787/").code == 0
    assert reve("generate", "a fox", "--no-wait", "--webhook-url", "http://127.0.0.1:8787/", "--sandbox").code == 0


def test_a_job_that_is_handed_over_prints_its_id_and_saves_nothing(reve: Reve, sandbox: Sandbox) -> None:
    result = reve(*HANDED_OVER)
    assert (result.code, result.out.strip()) == (0, sandbox.jobs()[0].id)
    assert not list(reve.folder.glob("*.png"))
    assert "unfinished" not in result.stderr


def test_resume_saves_what_was_handed_over(reve: Reve, sandbox: Sandbox) -> None:
    assert reve(*HANDED_OVER).code == 0
    result = reve("resume")
    assert result.code == 0, result.stderr
    assert Path(result.out.strip()).name == "fox.png"
    assert (reve.folder / "fox.png").is_file()


def test_each_image_of_several_has_its_own_path(reve: Reve, sandbox: Sandbox) -> None:
    assert reve(*HANDED_OVER, "--count", "2").code == 0
    assert reve("resume").code == 0
    assert {path.name for path in reve.folder.glob("*.png")} == {"fox-1.png", "fox-2.png"}


@pytest.mark.parametrize("again", [HANDED_OVER, ["generate", "a fox", "--out", "fox.png", "--webhook-url", URL]])
def test_no_command_continues_what_was_handed_over(reve: Reve, sandbox: Sandbox, again: list[str]) -> None:
    assert reve(*HANDED_OVER).code == 0
    result = reve(*again)
    assert result.code == 0, result.stderr
    assert len(sandbox.jobs()) == 2
    assert "continuing" not in result.stderr


def test_a_taken_path_is_refused_before_anything_is_submitted(reve: Reve, sandbox: Sandbox) -> None:
    (reve.folder / "fox.png").write_bytes(b"mine")
    assert reve(*HANDED_OVER).code == 7
    assert not sandbox.jobs()


def test_force_replaces_the_file_that_was_there_when_it_was_submitted(hook: Hook, sandbox: Sandbox) -> None:
    (hook.reve.folder / "fox.png").write_bytes(b"mine")
    job = hook.reve(*HANDED_OVER, "--force").out.strip()
    hook.reve.clock.advance(60)
    assert hook.listen("--count", "1", then=lambda: hook.event("completed", job)).code == 0
    assert (hook.reve.folder / "fox.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--out", "fox.png"], "--webhook-url"),
        (["--force", "--webhook-url", URL], "--no-wait saves nothing"),
        (["--out", "-", "--webhook-url", URL], "pipe"),
        (["--out", "/dev/null", "--webhook-url", URL], "pipe"),
    ],
)
def test_no_wait_refuses_an_output_that_nobody_would_fill(reve: Reve, options: list[str], why: str) -> None:
    result = reve("generate", "a fox", "--no-wait", *options, env={"APIFRAME_BASE_URL": "http://127.0.0.1:9"})
    assert result.code == 2
    assert why in result.stderr


def test_later_commands_name_a_handed_over_job_only_once_it_is_late(reve: Reve, sandbox: Sandbox) -> None:
    assert reve(*HANDED_OVER).code == 0
    assert "unfinished" not in reve("account").stderr
    reve.clock.advance(3700)
    assert "1 paid job is unfinished: reve resume" in reve("account").stderr
