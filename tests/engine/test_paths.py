"""Paths as people type them: a home folder, a folder without a slash, a URL, the name of another format."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import KEY, Reve

Simulate = Callable[..., Sandbox]


def submitted(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


@pytest.mark.parametrize("extension", ["gif", "bmp", "tif", "tiff", "heic", "svg"])
@pytest.mark.parametrize("out", ["fox.{}", "{{slug}}.{}", "pics/{{seed}}-{{job}}.{}"])
def test_a_name_of_another_format_is_refused(reve: Reve, sandbox: Sandbox, extension: str, out: str) -> None:
    Path("pics").mkdir()
    name = out.format(extension)
    result = reve("generate", "fox", "--out", name)
    assert result.code == 2
    error, hint = result.stderr.splitlines()
    assert error == f"error: --out: {name} would hold a PNG image, as the API delivers them"
    assert hint == f"hint: use {out.format('png')}, or {out.format('{ext}')} for the format that arrives"
    assert submitted(sandbox) == 0


@pytest.mark.parametrize("out", ["fox.png", "fox.PNG", "fox", "fox.{ext}", "{slug}", "{slug}.png"])
def test_other_names_are_taken(reve: Reve, sandbox: Sandbox, out: str) -> None:
    result = reve("generate", "fox", "--out", out)
    assert result.code == 0, result.stderr
    assert "warning" not in result.stderr


def test_a_batch_line_with_a_name_of_another_format_is_refused(reve: Reve, sandbox: Sandbox) -> None:
    lines = [{"prompt": "a fox", "out": "a.png"}, {"prompt": "an owl", "out": "b.gif"}]
    Path("p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = reve("batch", "p.jsonl", "--out", "pics")
    assert result.code == 2
    assert "line 2: out: pics/b.gif would hold a PNG image" in result.stderr
    assert submitted(sandbox) == 0


@pytest.mark.parametrize("out", ["{slug}.bmp", "pics/{slug}.gif", "pics.tiff"])
def test_a_batch_template_of_another_format_is_refused(reve: Reve, sandbox: Sandbox, out: str) -> None:
    Path("p.txt").write_text("a fox\n")
    assert reve("batch", "p.txt", "--out", out).code == 2
    assert submitted(sandbox) == 0


@pytest.mark.parametrize(
    ("out", "expected"),
    [("~/fox.png", "fox.png"), ("~/new/", "new/fox-*.png"), ("~/new", "new/fox-*.png"), ("~", "fox-*.png")],
)
def test_a_tilde_in_out_is_the_home_folder(reve: Reve, sandbox: Sandbox, home: Path, out: str, expected: str) -> None:
    (home / "new").mkdir()
    result = reve("generate", "fox", f"--out={out}")
    assert result.code == 0, result.stderr
    assert len(list(home.glob(expected))) == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_tilde_is_the_home_folder_in_every_path(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    for name, text in {"prompt.txt": "a fox", "key": KEY, "list.txt": "an owl\n"}.items():
        (home / name).write_text(text)
    (home / "key").chmod(0o600)
    reve.environ |= {"REVE_STATE_DIR": "~/st", "REVE_OUTPUT_FOLDER": "~/pics"}
    (home / "pics").mkdir()
    del reve.environ["APIFRAME_API_KEY"]
    made = reve("generate", "--prompt-file=~/prompt.txt", "--api-key-file=~/key")
    assert made.code == 0, made.stderr
    assert reve("batch", "~/list.txt", "--out=~/more", "--api-key-file=~/key").code == 0
    assert (home / "st/journal.db").is_file()
    assert len(list((home / "pics").glob("*.png"))) == len(list((home / "more").glob("*.png"))) == 1
    assert list(Path.cwd().iterdir()) == []


def test_the_hint_for_a_missing_folder_names_it_in_full(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    result = reve("generate", "fox", "--out=~/none/fox.png")
    assert (result.code, result.stderr.splitlines()[-1]) == (7, f"hint: mkdir -p {home}/none")


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "fox", "--out", "s3://bucket/fox.png"],
        ["generate", "fox", "--out", "https://example.com/"],
        ["generate", "--prompt-file", "https://example.com/p.txt"],
        ["generate", "fox", "--api-key-file", "gs://bucket/key"],
        ["batch", "s3://bucket/p.csv"],
        ["batch", "p.txt", "--out", "s3://bucket/pics"],
        ["jobs", "--download", "--out", "file:///tmp/"],
    ],
)
def test_a_url_is_no_path(reve: Reve, sandbox: Sandbox, arguments: list[str]) -> None:
    Path("p.txt").write_text("a fox\n")
    result = reve(*arguments)
    assert result.code == 2
    assert "is a URL; reve reads and writes files of this machine only" in result.stderr
    assert sandbox.requests == []


def test_a_url_is_no_state_folder(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", env={"REVE_STATE_DIR": "s3://bucket/st"})
    assert result.code == 2
    assert sandbox.requests == []
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("out", ["pics", ".", "pics.d"])
def test_out_may_be_an_existing_folder(reve: Reve, sandbox: Sandbox, out: str) -> None:
    Path(out).mkdir(exist_ok=True)
    result = reve("generate", "fox", "--count", "2", "--out", out)
    assert result.code == 0, result.stderr
    assert len(list(Path(out).glob("fox-*.png"))) == 2


def test_a_folder_called_like_the_image_is_not_meant(reve: Reve, sandbox: Sandbox) -> None:
    Path("fox.png").mkdir()
    assert reve("generate", "fox", "--out", "fox.png").code == 7
    assert submitted(sandbox) == 0
