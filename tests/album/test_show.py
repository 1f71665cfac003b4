"""`reve show`: what it finds by a file, a job or `last`, with and without a journal."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.core.models import iso
from reve_cli.pictures.metadata import embed, original_sha256
from reve_cli.pictures.provenance import Provenance
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.support.pictures import PICTURES

KEYS = [
    "path", "bytes", "sha256", "mediaType", "unchanged", "prompt", "seed", "aspectRatio", "version", "model", "jobId",
    "state", "creditCost", "createdAt", "completedAt", "hoursLeft", "simulated", "tool", "others",
]  # fmt: skip
FOX = ["a red fox", "--seed", "7", "--ar", "3:2", "--model-version", "latest", "--out", "fox.png"]


def picture(name: str, record: Provenance | None = None) -> Path:
    """Write an image with a record."""
    path = Path(name)
    path.write_bytes(PICTURES["jpeg" if name.endswith("jpg") else "png"])
    if record is not None:
        with open(path, "r+b") as file:
            assert embed(file, record)
    return path


def foreign(name: str, parameters: str) -> Path:
    """Write an image as other tools do, with a text `parameters`."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    info = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
    info.add_text("parameters", parameters)
    image.new("RGB", (4, 4)).save(name, pnginfo=info)
    return Path(name)


def show(reve: Reve, *arguments: str) -> dict[str, Any]:
    result = reve("show", *arguments, "--json")
    assert result.code == 0, result.stderr
    assert list(result.document) == KEYS
    return result.document


def test_a_file_a_job_and_last_show_the_same(reve: Reve, sandbox: Sandbox) -> None:
    made = reve("generate", *FOX, "--json").document
    reve.clock.advance(3600)
    shown = show(reve, "fox.png")
    (file,) = made["files"]
    assert {name: shown[name] for name in KEYS[:4]} == {
        **{name: file[name] for name in ("bytes", "sha256", "mediaType")},
        "path": str(Path("fox.png").absolute()),
    }
    same = ("prompt", "seed", "aspectRatio", "version", "model", "jobId", "creditCost")
    assert {name: shown[name] for name in same} == {name: made[name] for name in same}
    assert (shown["unchanged"], shown["state"], shown["simulated"]) == (True, "saved", True)
    assert 22.9 <= shown["hoursLeft"] <= 23.1
    for name in ("last", made["jobId"], made["jobId"][:8]):
        assert show(reve, name) == shown
    assert show(reve) == shown
    assert "key" not in reve("show", "fox.png", env={"APIFRAME_API_KEY": ""}).stderr


def test_the_lines_for_people_begin_with_the_prompt(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    result = reve("show", "fox.png")
    lines = dict(line.split(": ", 1) for line in result.out.splitlines())
    assert list(lines)[:5] == ["prompt", "seed", "aspect ratio", "version", "model"]
    assert (lines["charged"], lines["unchanged"]) == ("4 simulated credits", "yes")
    assert lines["on the server"].endswith("h left")


def test_a_moved_file_is_found_by_its_content_and_a_changed_one_says_so(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    Path("else").mkdir()
    shutil.move("fox.png", "else/wolf.png")
    shown = show(reve, "else/wolf.png")
    assert (shown["prompt"], shown["unchanged"]) == ("a red fox", True)
    assert show(reve, "last")["sha256"] is None
    assert "is gone" in reve("show", "last").stderr
    picture("fox.png")
    assert show(reve, "fox.png")["unchanged"] is False
    assert show(reve, "last")["unchanged"] is False


def test_a_job_without_an_image_shows_its_state(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("outcome:fail")
    reve("generate", *FOX)
    shown = show(reve)
    assert (shown["path"], shown["state"], shown["prompt"]) == (None, "failed", "a red fox")


def test_a_job_with_several_images_shows_each(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("outcome:images/3")
    reve("generate", *FOX)
    documents = reve("show", "--json").documents
    assert [Path(document["path"]).name for document in documents] == ["fox.png", "fox-2.png", "fox-3.png"]
    assert reve("show").out.count("prompt: a red fox") == 3


def test_an_image_of_the_sandbox_says_where_its_job_is(reve: Reve) -> None:
    reve.environ["REVE_SANDBOX_SECONDS"] = "0"
    assert reve("generate", *FOX, "--sandbox").code == 0
    hint = "its job is in the sandbox's journal: reve show fox.png --sandbox\n"
    result = reve("show", "fox.png")
    assert (result.code, result.stderr) == (0, hint)
    assert "state: saved" not in result.out
    result = reve("show", "fox.png", "--sandbox")
    assert (result.code, result.stderr) == (0, "")
    assert "state: saved" in result.out
    shutil.rmtree(Path(reve.environ["HOME"], ".local"))
    assert reve("show", "fox.png").stderr == ""


def test_a_file_is_enough_on_another_machine(reve: Reve) -> None:
    record = Provenance(
        prompt="a shy fox",
        seed=7,
        aspect_ratio="1:1",
        model="reve-create",
        job_id="1b4e28ba-2fa1-41d2-883f-0016d3cca427",
        completed_at=iso(reve.clock.now() - 3600),
        tool="reve 1.0",
    )
    shown = show(reve, str(picture("fox.png", record)))
    assert (shown["prompt"], shown["seed"], shown["jobId"]) == ("a shy fox", 7, record.job_id)
    assert (shown["unchanged"], shown["hoursLeft"], shown["tool"]) == (None, 23.0, "reve 1.0")


def test_the_hash_of_the_download_tells_a_changed_file(reve: Reve) -> None:
    plain = picture("plain.png")
    with open(plain, "rb") as file:
        digest = original_sha256(file)
    path = picture("fox.png", Provenance(prompt="a fox", downloaded_sha256=digest))
    assert show(reve, str(path))["unchanged"] is True
    path = picture("wolf.png", Provenance(prompt="a fox", downloaded_sha256="0" * 64))
    assert show(reve, str(path))["unchanged"] is False


def test_what_another_tool_noted_is_shown_and_cannot_control_the_terminal(reve: Reve) -> None:
    foreign("theirs.png", "a wolf \x1b[31m\nNegative prompt: blur\nSteps: 20, Sampler: Euler, Seed: 5, Size: 64x64")
    shown = show(reve, "theirs.png")
    assert (shown["seed"], shown["aspectRatio"], shown["others"]["Steps"]) == (5, "1:1", "20")
    result = reve("show", "theirs.png")
    assert "\x1b" not in result.out
    assert "Negative prompt: blur" in result.out


def test_an_image_that_nobody_described_is_shown_with_a_note(reve: Reve) -> None:
    picture("fox.png")
    result = reve("show", "fox.png")
    assert (result.code, result.stderr) == (0, "neither the file nor the journal says how the image was made\n")


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("missing.png", None, 8, "there is no image or job 'missing.png' here"),
        ("abcdef", None, 8, "there is no image or job 'abcdef' here"),
        ("empty.png", b"", 7, "empty.png is empty"),
        ("cut.png", PICTURES["png"][:40], 7, "cut.png is not a complete image"),
        ("text.png", b"no image", 7, "text.png is not a complete image"),
        ("last", None, 2, "'last' needs the journal"),
        ("https://example.com/fox.png", None, 2, "is a URL"),
        (".", None, 7, ". is not a file"),
    ],
)
def test_what_is_no_image_gets_one_line(reve: Reve, name: str, content: bytes | None, code: int, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    result = reve("show", name)
    assert (result.code, result.stdout) == (code, b"")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


# Completion


def test_completion_offers_jobs_and_images_then_what_was_begun(
    reve: Reve, sandbox: Sandbox, ask: Callable[..., list[str]]
) -> None:
    job = reve("generate", *FOX, "--json").document["jobId"]
    picture("with a blank.png")
    Path("notes.txt").write_text("")
    for command in ("show", "rerun"):
        assert ask(command, "") == ["last", job[:8], "fox.png"]
        assert ask(command, "la") == ["last"]
        assert ask(command, job[:4]) == [job[:8]]
        assert ask(command, "fo") == [":files"]
        assert ask(command, "else/") == [":files"]
