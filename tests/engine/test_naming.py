"""Every form of `--out`, and the checks before payment."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, Job
from reve_cli.core.tasks import Task
from reve_cli.core.templates import Values, slug
from reve_cli.engine.naming import Naming, identity

JOB = "3f2a9c1e-0000-4000-8000-000000000001"
FULL = Values(index=2, seed="7", slug="a-fox", job=JOB, ext="png")


def naming(out: str | None, folder: str = ".", jobs: int = 1, force: bool = False) -> Naming:
    return Naming(out, folder, jobs=jobs, force=force, date="2026-11-22")


def asked(count: int = 1, prompt: str = "a fox", seed: int | None = None) -> list[Task]:
    return [Task(index, "intent", request=ImageRequest(prompt, seed=seed)) for index in range(1, count + 1)]


@pytest.mark.parametrize(
    ("out", "jobs", "number", "path"),
    [
        (None, 1, 1, f"a-fox-{JOB}.png"),
        (None, 3, 2, f"a-fox-{JOB}-2.png"),
        ("pics/", 1, 1, f"pics/a-fox-{JOB}.png"),
        ("img.png", 1, 1, "img.png"),
        ("img.png", 1, 2, "img-2.png"),
        ("img.png", 3, 1, "img-2.png"),
        ("img.png", 3, 2, "img-2-2.png"),
        ("img", 1, 1, "img"),
        ("img", 2, 1, "img-2"),
        ("{index}_{seed}_{slug}_{job}_{date}.{ext}", 3, 1, f"2_7_a-fox_{JOB}_2026-11-22.png"),
        ("{{{slug}}}.{ext}", 1, 1, "{a-fox}.png"),
        ("{date}/{slug}.png", 1, 1, "2026-11-22/a-fox.png"),
    ],
)
def test_a_template_names_images(out: str | None, jobs: int, number: int, path: str) -> None:
    assert naming(out, jobs=jobs).path(FULL, number) == path


def test_the_configured_folder_is_the_default() -> None:
    assert naming(None, folder="pics{1}").path(FULL) == os.path.join("pics{1}", f"a-fox-{JOB}.png")


@pytest.mark.parametrize("out", ["", "{", "}", "{}", "{nope}", "{seed!r}", "{seed:>4}", "{0}", "{job}/x", "{ext}/x"])
def test_an_invalid_template_exits_2(out: str) -> None:
    with pytest.raises(ReveError) as caught:
        naming(out)
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.name == "nt", reason="other limits")
@pytest.mark.parametrize("out", ["{slug}-{slug}-{slug}.png", "{slug}{slug}/{slug}-{job}-{slug}-{slug}.{ext}"])
def test_a_slug_is_shortened_until_every_name_fits_and_stays_the_same(out: str) -> None:
    names, values = naming(out), Values.of(asked(prompt="\U00020000" * 40)[0])
    late = replace(values, job=JOB, ext="jpeg")
    path = names.path(late)
    assert 230 < len(os.fsencode(os.path.basename(path))) <= os.pathconf(".", "PC_NAME_MAX")
    assert naming(names.as_option(values)).path(late) == path
    assert len(os.fsencode(os.path.basename(names.path(late, 12)))) <= os.pathconf(".", "PC_NAME_MAX")


def test_one_name_for_several_images_exits_2() -> None:
    with pytest.raises(ReveError, match="index") as caught:
        naming("{slug}.png", jobs=2).check(asked(2))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("there.png", "exists"),
        ("link.png", "exists"),
        ("nowhere/fox.png", "mkdir -p nowhere"),
        ("nowhere/", "mkdir -p nowhere"),
        ("folder.png", "folder.png/"),
        ("x" * 300 + ".png", "name too long"),
        ("x" * 230 + "{job}.{ext}", "name too long"),
        ("socket", "not a file"),
        ("there.png/fox.png", "not a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_payment(out: str, said: str) -> None:
    Path("there.png").write_bytes(b"mine")
    Path("folder.png").mkdir()
    Path("link.png").symlink_to("dangling")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    listener.close()
    with pytest.raises(ReveError) as caught:
        naming(out).check(asked())
    assert caught.value.exit_code == 7
    assert said in f"{caught.value.message} {caught.value.hint}".replace("File name", "name")


def test_the_paths_of_all_images_are_checked() -> None:
    Path("img-3.png").write_bytes(b"mine")
    with pytest.raises(ReveError, match=r"img-3\.png exists"):
        naming("img.png", jobs=3).check(asked(3))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_refused() -> None:
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(ReveError, match="not writable"):
        naming("closed/").check(asked())


def test_force_replaces_only_a_file_that_was_there_at_the_start() -> None:
    Path("a.png").write_bytes(b"old")
    forced = naming("a.png", force=True)
    forced.check(asked())
    assert forced.replaceable("a.png") == identity("a.png")
    assert naming("a.png").replaceable("a.png") is None


@given(st.text())
def test_a_slug_is_safe_in_a_file_name(prompt: str) -> None:
    name = slug(prompt)
    assert 0 < len(name) <= 46
    assert not set(name) & set("/\\.:{}\0 ")
    assert not name.startswith("-")


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red fox, in the snow!", "a-red-fox-in-the-snow"),
        ("", "image"),
        ("🦊🦊", "image"),
        ("../../etc/passwd", "etc-passwd"),
        ("NUL", "nul-image"),
        ("ein süßer Fuchs", "ein-süßer-fuchs"),
        ("雪の中の赤い狐", "雪の中の赤い狐"),
        ("x" * 99, "x" * 40),
    ],
)
def test_the_slug_of_a_prompt(prompt: str, name: str) -> None:
    assert slug(prompt) == name


@pytest.mark.parametrize(
    ("out", "jobs", "option"),
    [
        ("img.png", 1, "img.png"),
        ("img.png", 8, "img-1.png"),
        (None, 1, "a-fox-{job}.{ext}"),
        ("{{x}}-{seed}.{ext}", 1, "{{x}}-none.{ext}"),
        ("-", 1, "-"),
        ("/dev/null", 1, "/dev/null"),
    ],
)
def test_the_out_option_of_the_finishing_command_gives_the_same_path(out: str | None, jobs: int, option: str) -> None:
    (task, *_) = asked()
    original = naming(out, jobs=jobs)
    assert original.as_option(Values.of(task)) == option
    task.job_id = JOB
    later = naming(original.as_option(Values.of(task)))
    full = Values(1, seed="none", slug="a-fox", job=JOB, ext="png")
    assert later.path(full) == original.path(full)


def test_an_earlier_job_is_named_from_the_apis_record_of_it() -> None:
    job = Job(id=JOB, status="COMPLETED", input={"prompt": "A Cat", "reveParams": {"seed": 3}})
    task = Task(1, "completed", job_id=JOB, job=job)
    assert Values.of(task) == Values(1, seed="3", slug="a-cat", job=JOB)


@pytest.mark.parametrize("out", ["-", "/dev/null"])
def test_a_pipe_or_device_takes_the_images_of_one_job_only(out: str) -> None:
    with pytest.raises(ReveError) as caught:
        naming(out, jobs=2)
    assert caught.value.exit_code == 2
