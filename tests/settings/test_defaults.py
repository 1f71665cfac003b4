"""Settings in use: folders and names of images, and colors."""

import os
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Reve
from tests.settings.test_config import write
from tests.support.terminal import Screen, Terminal

# Names and folders


def test_the_name_template_names_images_without_out(reve: Reve, sandbox: Sandbox) -> None:
    write('name_template = "{date} {slug} {seed}.{ext}"')
    result = reve("generate", "a red fox", "--seed", "7")
    assert (result.code, result.out) == (0, "2027-01-15 a-red-fox 7.png\n")
    assert Path("2027-01-15 a-red-fox 7.png").is_file()


def test_the_name_template_applies_inside_an_out_folder(reve: Reve, sandbox: Sandbox) -> None:
    write('name_template = "{seed}-{index}.{ext}"\noutput_folder = "elsewhere"')
    Path("pics").mkdir()
    result = reve("generate", "fox", "--seed", "7", "--count", "2", "--out", "pics/")
    assert result.out.split() == ["pics/7-1.png", "pics/8-2.png"]
    assert Path("pics/7-1.png").is_file()


def test_a_file_name_in_out_overrides_the_name_template(reve: Reve, sandbox: Sandbox) -> None:
    write('name_template = "never.{ext}"\noutput_folder = "elsewhere"')
    assert reve("generate", "fox", "--out", "fox.png").out == "fox.png\n"
    assert reve("generate", "fox", "--out", "{seed}.{ext}").out == "none.png\n"


@pytest.mark.parametrize("out", [[], ["--out", "pics/"]], ids=["no out", "out folder"])
def test_a_template_that_gives_every_image_the_same_name_is_refused_before_payment(
    reve: Reve, sandbox: Sandbox, out: list[str]
) -> None:
    write('name_template = "{slug}.{ext}"')
    Path("pics").mkdir()
    result = reve("generate", "fox", "--count", "2", *out)
    assert result.code == 2
    assert result.stderr.startswith(
        "error: name_template: several images would have the same name; add {index} or {job}"
    )
    assert not sandbox.requests
    assert reve("generate", "fox", *out).code == 0
    again = reve("generate", "fox", "--seed", "1", *out)
    assert (again.code, "fox.png exists" in again.stderr) == (7, True)


@pytest.mark.parametrize("command", ["wait", "download"])
def test_the_name_template_names_images_of_earlier_jobs(reve: Reve, sandbox: Sandbox, command: str) -> None:
    write('name_template = "img-{job}.{ext}"')
    Path("pics").mkdir()
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve("wait", job)
    assert reve(command, job, "--out", "pics/").out == f"pics/img-{job}.png\n"


def test_a_tilde_in_the_file_means_the_home_folder(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    write('output_folder = "~/pics"')
    result = reve("generate", "fox")
    assert result.code == 7
    assert f"mkdir -p {home / 'pics'}" in result.stderr
    (home / "pics").mkdir()
    assert Path(reve("generate", "fox").out.strip()).parent == home / "pics"


def test_braces_in_a_folder_name_are_kept_as_they_are(reve: Reve, sandbox: Sandbox) -> None:
    write('output_folder = "{job}"')
    Path("{job}").mkdir()
    assert Path(reve("generate", "fox").out.strip()).parent == Path("{job}")


def test_resume_saves_under_the_settings_of_the_original_run(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    (home / "pics").mkdir()
    path = write('output_folder = "~/pics"\nname_template = "first.{ext}"')
    assert reve("generate", "fox", "--timeout", "1").code == 75
    path.write_text('name_template = "second.{ext}"')
    assert reve("resume").code == 0
    assert [file.name for file in (home / "pics").iterdir()] == ["first.png"]


# Colors

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


def on_terminal(reve: Reve, *arguments: str, columns: int = 80, **environ: str) -> tuple[int, Screen]:
    with Terminal(reve.command(*arguments), env={**reve.environ, **environ}, columns=columns) as terminal:
        return terminal.wait(), terminal.screen


@POSIX
@pytest.mark.parametrize(
    ("color", "no_color", "expected"),
    [
        ("", "", True), ("", "1", False), ("auto", "", True), ("auto", "1", False),
        ("always", "", True), ("always", "1", True), ("never", "", False), ("never", "1", False),
    ],
)  # fmt: skip
def test_terminal_colors_follow_setting_then_no_color(reve: Reve, color: str, no_color: str, expected: bool) -> None:
    reve.environ |= {"NO_COLOR": no_color, "REVE_COLOR": color}
    _, screen = on_terminal(reve, "generate", "fox")
    assert screen.text.startswith("error: no API key")
    assert bool(screen.styles) == expected
    _, screen = on_terminal(reve, "config", "list", columns=250)
    assert screen.text.startswith("NAME ")
    assert bool(screen.styles) == expected


@POSIX
@pytest.mark.parametrize("arguments", [["nosuch"], ["status"], ["status", "x"], ["config", "list"]], ids=" ".join)
def test_the_color_setting_applies_even_if_other_settings_are_invalid(reve: Reve, arguments: list[str]) -> None:
    for color in ("never", "always"):  # NO_COLOR does not override the setting
        write(f'color = "{color}"\nnope = 1')
        _, screen = on_terminal(reve, *arguments, columns=250, NO_COLOR="1")
        assert "error: " in screen.text
        assert bool(screen.styles) == (color == "always")


@POSIX
def test_color_never_prints_no_style_in_a_whole_run(reve: Reve, slow: Sandbox) -> None:
    code, screen = on_terminal(reve, "generate", "fox", "--debug", REVE_COLOR="never")
    assert (code, screen.styles) == (0, [])
    assert any("submitting" in frame for frame in screen.erased)


@pytest.mark.parametrize("term", ["", "xterm-256color"])
def test_color_always_colors_errors_in_a_pipe_but_never_data(reve: Reve, term: str) -> None:
    result = reve.child("status", "x", env={"REVE_COLOR": "always", "TERM": term})
    assert result.stderr.startswith("\x1b[31merror: ")
    result = reve.child("config", "list", env={"REVE_COLOR": "always", "TERM": term})
    assert (result.code, result.stdout.count(b"\x1b"), result.stderr) == (0, 0, "")
    result = reve.child("status", "x", "--json", env={"REVE_COLOR": "always", "TERM": term})
    assert result.document["error"]["code"] == "usage"


@pytest.mark.parametrize("color", ["auto", "never"])
def test_a_pipe_gets_no_colors_unless_color_is_always(reve: Reve, color: str) -> None:
    assert "\x1b" not in reve.child("status", "x", env={"REVE_COLOR": color, "FORCE_COLOR": "1"}).stderr


@POSIX
def test_help_obeys_no_color(reve: Reve) -> None:
    _, screen = on_terminal(reve, "--help")
    assert any(screen.styles)
    _, screen = on_terminal(reve, "--help", NO_COLOR="1")
    assert not any(screen.styles)
