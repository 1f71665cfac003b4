"""`reve batch`: what it refuses, what it makes again, and what it reports."""

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reve_cli.batch.results import is_for_capacity
from reve_cli.core.clock import Limits
from reve_cli.sandbox import Fault, Sandbox, parse_faults
from tests.conftest import Result, Reve, an_hour_passes
from tests.support.servers import HOST, Asked, Origin, Reply, sandbox_behind
from tests.support.terminal import PATIENCE, Terminal, eventually, running

Simulate = Callable[..., Sandbox]

FOXES = "a red fox\na blue fox\na green fox\n"


def write(text: str, name: str = "p.txt") -> str:
    Path(name).write_text(text)
    return name


def manifest(folder: str = "pics") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "manifest.jsonl").read_text().splitlines()]


def made(folder: str = "pics") -> list[dict[str, Any]]:
    return [line for line in manifest(folder) if line["item"]]


def pictures(folder: str = "pics") -> set[str]:
    return {path.name for path in Path(folder).rglob("*.png")}


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def slugs(folder: str = "pics") -> list[str]:
    return sorted(name[:-41] for name in pictures(folder))


@pytest.fixture
def batch(reve: Reve) -> Callable[..., Result]:
    """`reve batch p.txt --out pics`, with more options."""
    return lambda *more, **named: reve("batch", "p.txt", "--out", "pics", *more, **named)


Batch = Callable[..., Result]


# What is made


def test_every_line_becomes_an_image(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    result = batch()
    assert result.code == 0
    assert sorted(result.out.splitlines()) == sorted(f"pics/{name}" for name in pictures())
    assert slugs() == ["a-blue-fox", "a-green-fox", "a-red-fox"]
    assert "3 of 3 saved; charged: 12 simulated credits" in result.stderr
    assert sandbox.charged == 12


def test_fields_and_options_make_up_each_request(reve: Reve, sandbox: Sandbox) -> None:
    write("prompt,aspectRatio,version,out\na fox,,,\na wolf,1:1,v2,wolf/{seed}.{ext}\n", "p.csv")
    result = reve("batch", "p.csv", "--out", "pics/{slug}-{seed}.{ext}", "--seeds", "1-2", "--ar", "3:2")
    assert result.code == 0
    bodies = sorted(json.dumps(job.body, sort_keys=True) for job in sandbox.jobs())
    assert [json.loads(body) for body in bodies] == [
        {"prompt": prompt, "model": "reve-create", "reveParams": params | {"seed": seed}}
        for prompt, params in (("a fox", {"aspect_ratio": "3:2"}), ("a wolf", {"aspect_ratio": "1:1", "version": "v2"}))
        for seed in (1, 2)
    ]
    assert {str(path) for path in Path("pics").rglob("*.png")} == {
        "pics/a-fox-1.png", "pics/a-fox-2.png", "pics/wolf/1.png", "pics/wolf/2.png",
    }  # fmt: skip


def test_settings_are_the_defaults_of_a_batch(reve: Reve, sandbox: Sandbox) -> None:
    Path(".reve.toml").write_text('aspect_ratio = "9:16"\noutput_folder = "assets"\nname_template = "{slug}.{ext}"\n')
    assert reve("batch", write("a fox\n")).code == 0
    assert Path("assets/a-fox.png").exists()
    assert sandbox.jobs()[0].body["reveParams"] == {"aspect_ratio": "9:16"}


def test_an_invalid_project_file_stops_the_batch(reve: Reve, sandbox: Sandbox) -> None:
    Path(".reve.toml").write_text('base_url = "https://evil.example"\n')
    assert reve("batch", write("a fox\n")).code == 2
    assert sandbox.requests == []


def test_the_file_may_be_standard_input(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("batch", "-", "--out", "pics", "--format", "csv", stdin=b"prompt\na fox\n")
    assert (result.code, slugs()) == (0, ["a-fox"])


def test_json_prints_a_document_for_each_job_when_it_ends(batch: Batch, simulate: Simulate) -> None:
    seconds = iter([9.0, 1.0, 5.0])
    simulate(job_seconds=lambda: next(seconds))
    write(FOXES)
    documents = batch("--json", "--concurrency", "3").documents
    assert [document["creditCost"] for document in documents] == [4, 4, 4]
    assert sorted(document["prompt"] for document in documents) == sorted(FOXES.splitlines())
    ended = [document["completedAt"] for document in documents]
    assert ended == sorted(ended)


def test_the_manifest_is_a_file_that_makes_the_same_images_again(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch("--seed", "7")
    begun, *lines = manifest()
    assert begun["item"] is None
    assert {line["run"] for line in lines} == {begun["run"]}
    for line in lines:
        assert line["request"] == {"prompt": line["prompt"], "model": "reve-create", "reveParams": {"seed": 7}}
        (file,) = line["files"]
        assert Path("pics", file["path"]).stat().st_size == file["bytes"]
    assert reve("batch", "pics/manifest.jsonl", "--out", "again").code == 0
    assert slugs("again") == slugs()
    bodies = sorted(json.dumps(job.body) for job in sandbox.jobs())
    assert bodies == sorted(2 * [json.dumps(line["request"]) for line in lines])


# Refused before anything is sent


def test_every_invalid_line_is_reported_and_nothing_is_sent(reve: Reve, sandbox: Sandbox) -> None:
    write('{"prompt": "a"}\n{"prompt": 1}\n\n{"out": "x"}\n{"prompt": "b", "out": "../x"}\n', "p.jsonl")
    result = reve("batch", "p.jsonl", "--out", "pics", "--json")
    assert result.code == 2
    assert result.document["error"]["message"] == "p.jsonl: 3 invalid lines; nothing was submitted"
    *lines, total = result.stderr.splitlines()
    assert [line.partition(": ")[2].split(":")[0] for line in lines] == [f"p.jsonl, line {n}" for n in (2, 4, 5)]
    assert total == "error: p.jsonl: 3 invalid lines; nothing was submitted"
    assert sandbox.requests == []
    assert not Path("pics").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["empty.txt"], "empty.txt contains no prompts"),
        (["nope.txt"], "cannot read nope.txt: No such file"),
        (["folder"], "cannot read folder: Is a directory"),
        (["a\0b"], "cannot read"),
        (["p.txt", "--out", "x.png"], "--out 'x.png' is not a folder or a template"),
        (["p.txt", "--out", "-"], "--out '-' is not a folder or a template"),
        (["p.txt", "--out", ""], "--out '' is not a folder or a template"),
        (["p.txt", "--out", "{nope}"], "--out: {nope} is not a field"),
        (["p.txt", "--out", "{job}/{ext}"], "--out: {job} can only stand in the file's name"),
        (["p.txt", "--out", "{seed}.png"], "line 2: none.png is already the path of line 1"),
        (["p.txt", "--ar", "7:3"], "--aspect-ratio '7:3' is not one of"),
        (["p.txt", "--seed", "1", "--seeds", "1-2"], "--seed cannot be used with --seeds"),
        (["p.txt", "--ar", "1:1", "--ratios", "1:1,3:2"], "--aspect-ratio cannot be used with --ratios"),
        (["p.txt", "--shard", "1/2"], "--shard needs --run"),
        (["p.txt", "--new", "--run", "x"], "--new cannot be used with --run"),
        (["p.txt", "--max-credits", "x"], "--max-credits 'x'"),
        (["long.jsonl"], "longer than 255 bytes"),
        (["home.jsonl"], "line 1: out '~/a.png' must be a file path inside the output folder"),
        (["late.jsonl"], "line 1: out: {job} can only stand in the file's name"),
        (["same.jsonl"], "line 2: a.png is already the path of line 1"),
        (["inside.jsonl"], "line 1: a is a file here, but a folder in line 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_invalid_input_is_refused_before_anything_is_sent(
    reve: Reve, sandbox: Sandbox, arguments: list[str], why: str
) -> None:
    write(FOXES)
    write("\n\n", "empty.txt")
    Path("folder").mkdir()
    write(json.dumps({"prompt": "x", "out": "ü" * 130 + "-{job}.png"}), "long.jsonl")
    write(json.dumps({"prompt": "x", "out": "~/a.png"}), "home.jsonl")
    write(json.dumps({"prompt": "x", "out": "{job}/a.png"}), "late.jsonl")
    write('{"prompt": "x", "out": "a.png"}\n{"prompt": "y", "out": "./a.png"}\n', "same.jsonl")
    write('{"prompt": "x", "out": "a"}\n{"prompt": "y", "out": "a/b.png"}\n', "inside.jsonl")
    result = reve("batch", *arguments)
    assert (result.code, result.out) == (2, "")
    assert why in result.stderr
    assert posts(sandbox) == 0


def test_more_than_a_million_images_are_refused(reve: Reve, sandbox: Sandbox) -> None:
    assert Limits().images == 1_000_000
    reve.limits = replace(reve.limits, images=1_000)
    write("fox\n" * 11)
    result = reve("batch", "p.txt", "--seeds", "1-100")
    assert result.code == 2
    assert "more than 1,000 images" in result.stderr
    assert posts(sandbox) == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
@pytest.mark.parametrize("redirection", ["<&-", "0>x.txt"])
def test_unreadable_standard_input_is_a_usage_error(reve: Reve, redirection: str) -> None:
    command = f'"$@" {redirection}'
    done = subprocess.run(
        ["bash", "-c", command, "-", *reve.command("batch", "-", "--sandbox")],
        env=reve.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard input")


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
@pytest.mark.parametrize("command", ["sleep 100 | {}", "yes | {}", "mkfifo f; {}"])
def test_the_time_limit_applies_to_endless_input(reve: Reve, command: str) -> None:
    file = "f" if "mkfifo" in command else "-"
    words = reve.command("batch", file, "--sandbox", "--timeout", "1")
    with subprocess.Popen(
        ["bash", "-c", command.format('"$@"'), "-", *words],
        env=reve.environ, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = process.stderr.readline()
        os.killpg(process.pid, 9)
    assert "time limit" in said


def test_an_output_folder_that_cannot_be_created_is_refused(reve: Reve, sandbox: Sandbox) -> None:
    write(FOXES)
    write("", "file")
    for out in ("file", "file/pics"):
        result = reve("batch", "p.txt", "--out", out)
        assert result.code == 7
        assert "cannot create the folder" in result.stderr
    assert posts(sandbox) == 0


# Dry runs


def test_a_dry_run_prints_the_missing_requests_and_changes_nothing(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    first = batch("--dry-run")
    assert [document["out"] for document in first.documents] == [
        f"pics/a-{color}-fox-{{job}}.{{ext}}" for color in ("red", "blue", "green")
    ]
    assert not Path("pics").exists()
    assert sandbox.requests == []
    batch()
    write(FOXES + "a fourth fox\n")
    again = batch("--dry-run", env={"APIFRAME_API_KEY": ""})
    assert [document["body"]["prompt"] for document in again.documents] == ["a fourth fox"]
    assert "1 of 4 to submit; 3 already saved" in again.stderr
    assert len(batch("--dry-run", "--new").documents) == 4


@pytest.mark.parametrize("lose", ["manifest", "image"])
def test_a_dry_run_knows_from_the_journal_what_is_made(batch: Batch, sandbox: Sandbox, lose: str) -> None:
    write(FOXES)
    assert batch().code == 0
    Path("pics", "manifest.jsonl").unlink()
    if lose == "image":
        next(Path("pics").glob("*.png")).unlink()
    write(FOXES + "a black fox\n")
    found = batch("--dry-run", env={"APIFRAME_API_KEY": ""})
    assert [document["body"]["prompt"] for document in found.documents] == ["a black fox"]
    there = "3 already saved" if lose == "manifest" else "2 already saved; 1 to download again (no charge)"
    assert found.stderr == f"1 of 4 to submit; {there}\n"
    assert posts(sandbox) == 3
    assert batch().code == 0
    assert posts(sandbox) == 4


def test_a_dry_run_knows_from_the_journal_what_was_submitted(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(job_seconds=60)
    write(FOXES)
    assert batch("--timeout", "3").code == 75
    found = batch("--dry-run")
    assert (found.documents, found.stderr) == ([], "0 of 3 to submit; 3 submitted earlier, to finish\n")
    assert posts(sandbox) == 3


def test_a_dry_run_of_a_shard_prints_its_requests(batch: Batch) -> None:
    write("".join(f"fox {number}\n" for number in range(20)))
    parts = [batch("--dry-run", "--run", "r", "--shard", f"{index}/3").documents for index in (1, 2, 3)]
    assert sorted(document["body"]["prompt"] for part in parts for document in part) == sorted(
        f"fox {number}" for number in range(20)
    )


# Running again


def test_a_second_run_makes_only_new_lines_in_any_order(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert (batch().code, posts(sandbox)) == (0, 3)
    write("a new fox\na green fox\na red fox\na red fox\n")  # added, reordered, removed, repeated
    result = batch("--json")
    assert sorted(document["prompt"] for document in result.documents) == ["a new fox", "a red fox"]
    assert "4 of 4 saved (2 before); charged: 8 simulated credits" in result.stderr
    assert sandbox.charged == 20


def test_another_name_template_makes_no_image_again(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert batch(env={"REVE_NAME_TEMPLATE": "{seed}-{slug}.{ext}"}).code == 0
    assert reve("batch", "p.txt", "--out", "pics/{index}.{ext}").code == 0
    assert len(sandbox.jobs()) == 3


def test_new_makes_all_images_again_and_later_runs_continue_it(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert batch("--new").code == 0
    assert len(sandbox.jobs()) == 6
    assert batch().code == 0
    assert len(sandbox.jobs()) == 6


def test_new_replaces_existing_files_only_with_force(reve: Reve, sandbox: Sandbox) -> None:
    write(FOXES)
    command = ("batch", "p.txt", "--out", "pics/{slug}.{ext}")
    reve(*command)
    refused = reve(*command, "--new")
    assert (refused.code, len(sandbox.jobs())) == (7, 3)
    assert "pics/a-red-fox.png exists" in refused.stderr
    assert reve(*command).code == 7  # the new run began, and these are not its images
    assert reve(*command, "--force").code == 0
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 6


def test_a_refused_new_begins_no_run(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert batch("--new", "--max-credits", "11").code == 4
    assert (batch().code, len(sandbox.jobs())) == (0, 3)


def test_a_line_with_another_prompt_does_not_count_as_made_by_the_file_at_its_path(
    reve: Reve, sandbox: Sandbox
) -> None:
    command = ("batch", "p.csv", "--out", "pics")
    write("prompt,out\na fox,x.png\na wolf,y.png\n", "p.csv")
    assert reve(*command).code == 0
    write("prompt,out\na bear,x.png\na wolf,y.png\n", "p.csv")
    refused = reve(*command)
    assert refused.code == 7
    assert "line 2: pics/x.png exists" in refused.stderr
    assert len(sandbox.jobs()) == 2
    assert reve(*command, "--force").code == 0
    assert (reve(*command).code, len(sandbox.jobs())) == (0, 3)


def test_an_existing_file_counts_as_made(reve: Reve, sandbox: Sandbox) -> None:
    Path("pics").mkdir()
    write("my own", "pics/x.png")
    write("prompt,out\na fox,x.png\na wolf,y.png\n", "p.csv")
    result = reve("batch", "p.csv", "--out", "pics")
    assert (result.code, len(sandbox.jobs())) == (0, 1)
    assert "2 of 2 saved (1 before)" in result.stderr
    assert Path("pics/x.png").read_text() == "my own"


def test_a_folder_at_the_path_of_an_image_is_an_error(reve: Reve, sandbox: Sandbox) -> None:
    Path("pics/x.png").mkdir(parents=True)
    write("prompt,out\na fox,x.png\n", "p.csv")
    result = reve("batch", "p.csv", "--out", "pics")
    assert (result.code, posts(sandbox)) == (7, 0)
    assert "pics/x.png is a folder" in result.stderr


def test_a_deleted_image_is_downloaded_again_without_paying(batch: Batch, sandbox: Sandbox, journal: bool) -> None:
    write(FOXES)
    batch()
    Path("pics", min(pictures())).unlink()
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (0, 3)
    assert result.out.startswith("pics/a-blue-fox")
    assert "3 of 3 saved (2 before); charged: 0 simulated credits" in result.stderr
    assert (batch().out, len(sandbox.jobs())) == ("", 3)


def test_an_expired_image_is_reported_and_not_bought_again(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    Path("pics", min(pictures())).unlink()
    reve.clock.advance(2 * 86400)
    for _ in range(3):
        result = batch()
        assert (result.code, len(sandbox.jobs())) == (7, 3)
        assert "line 2: the images of job" in result.stderr
        assert "hint: to pay for a new image, change the line, or use --new for all lines" in result.stderr
        assert "2 of 3 saved (2 before); 1 failed; charged: 0 simulated credits" in result.stderr


def test_a_job_that_expired_before_its_image_was_saved_is_not_bought_again(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:expired*1"))
    write("a fox\n")
    assert [batch().code for _ in range(3)] == [7, 7, 7]
    assert len(sandbox.jobs()) == 1


def test_a_second_run_makes_a_failed_job_again_with_a_new_key(batch: Batch, simulate: Simulate, journal: bool) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*2"))
    write("a fox\n")
    first = batch("--json")
    assert (first.code, first.document["error"]["code"]) == (5, "job_failed")
    assert batch().code == 5
    assert batch().code == 0
    assert len({job.key for job in sandbox.jobs()}) == 3
    assert [line["attempt"] for line in made()] == [1, 2, 3]


def test_a_failed_job_is_made_again_when_only_the_api_knows_it(
    reve: Reve, batch: Batch, simulate: Simulate, home: Path
) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*2"))
    write("a fox\n")
    for code in (5, 5, 0):
        assert batch("--run", "r").code == code
        reve.clock.advance(60)
        shutil.rmtree("pics")
        shutil.rmtree(home)
    assert len(sandbox.jobs()) == 3


# Losing the manifest, the journal or images


def lose_manifest(folder: str) -> None:
    Path(folder, "manifest.jsonl").unlink()


def lose_journal(folder: str) -> None:
    shutil.rmtree(Path(os.environ["HOME"], ".local"))


def lose_pictures(folder: str) -> None:
    for path in Path(folder).glob("*.png"):
        path.unlink()


def lose_all(folder: str) -> None:
    lose_journal(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("named", [False, True], ids=["folder", "--run"])
@pytest.mark.parametrize("lose", [lose_manifest, lose_journal, lose_pictures, lose_all])
def test_nothing_is_paid_twice_after_a_loss(
    batch: Batch, sandbox: Sandbox, lose: Callable[[str], None], named: bool
) -> None:
    if lose is lose_all and not named:
        pytest.skip("nothing knows the run; --run is for this case")
    write(FOXES)
    options = ["--run", "nightly"] if named else []
    assert batch(*options).code == 0
    lose("pics")
    result = batch(*options)
    assert (result.code, len(sandbox.jobs())) == (0, 3)
    assert slugs() == ["a-blue-fox", "a-green-fox", "a-red-fox"]
    assert lose is lose_all or re.search("charged: 0 (simulated )?credits", result.stderr)
    assert batch(*options).out == ""
    assert len(made()) >= 3


def test_replayed_jobs_are_reported_as_not_charged(batch: Batch, sandbox: Sandbox, reve: Reve) -> None:
    write(FOXES)
    batch("--run", "r")
    reve.clock.advance(60)
    lose_all("pics")
    result = batch("--run", "r", "--json")
    assert [document["replayed"] for document in result.documents] == [True] * 3
    assert "charged: 0 simulated credits" in result.stderr


def test_a_deleted_folder_is_a_new_batch(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    shutil.rmtree("pics")
    assert batch().code == 0
    assert len(sandbox.jobs()) == 6


def test_a_parent_folder_of_a_batch_is_another_batch(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert reve("batch", "p.txt").code == 0
    assert len(sandbox.jobs()) == 6


def test_a_moved_folder_is_still_complete(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    Path("pics").rename("elsewhere")
    reve.clock.advance(2 * 86400)
    result = reve("batch", "p.txt", "--out", "elsewhere/")
    assert (result.code, len(sandbox.jobs())) == (0, 3)


def test_the_same_run_in_another_folder_downloads_its_images_there(reve: Reve, sandbox: Sandbox) -> None:
    write(FOXES)
    assert reve("batch", "p.txt", "--run", "r", "--out", "one").code == 0
    result = reve("batch", "p.txt", "--run", "r", "--out", "two")
    assert (result.code, len(sandbox.jobs())) == (0, 3)
    assert pictures("one") == pictures("two")
    assert "charged: 0 simulated credits" in result.stderr


def test_incomplete_and_foreign_lines_of_the_manifest_are_skipped(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    whole = Path("pics/manifest.jsonl").read_bytes()
    odd = [b"", b"nonsense", b"[" * 100_000, b"[]", b"{}", b'"\xff"', b'{"run": 1, "item": null}', b'{"run": "x"}',
           b'{"run": "x", "item": [], "files": 3, "jobId": {}}',
           b'{"run": "x", "item": "y", "files": [1, {"path": 2}]}',
           b'{"run": "x", "item": "y", "files": [{"path": "a\\u0000b"}, {"path": "\\ud800"}], "attempt": "z"}',
           b'{"run": "x", "item": null, "instead": 5, "begunAt": 7}']  # fmt: skip
    first, *rest = whole.splitlines()
    torn = rest[-1][: len(rest[-1]) // 2]
    Path("pics/manifest.jsonl").write_bytes(b"\n".join([*odd, first, *rest[:-1], *odd, torn]))
    Path("pics/manifest-notes.jsonl").mkdir()
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (0, 3)
    assert "warning: pics/manifest.jsonl: 16 damaged lines ignored" in result.stderr
    assert torn + b"\n" not in Path("pics/manifest.jsonl").read_bytes()
    assert len(batch().out) == 0


def test_joined_manifests_of_two_runs_both_count(reve: Reve, sandbox: Sandbox) -> None:
    write(FOXES)
    write("a wolf\na bear\n", "q.txt")
    reve("batch", "p.txt", "--out", "one")
    reve.clock.advance(60)
    reve("batch", "q.txt", "--out", "two")
    for path in Path("two").glob("*.png"):
        path.rename(Path("one", path.name))
    with open("one/manifest.jsonl", "ab") as file:
        file.write(Path("two/manifest.jsonl").read_bytes())
    reve.clock.advance(2 * 86400)
    write(FOXES + "a wolf\na bear\nan owl\n")
    assert reve("batch", "p.txt", "--out", "one").code == 0
    assert len(sandbox.jobs()) == 6
    assert manifest("one")[-1]["run"] == manifest("one")[0]["run"]


def test_simulated_images_do_not_count_for_the_real_api(reve: Reve, batch: Batch) -> None:
    write(FOXES)
    assert batch("--sandbox").code == 0
    assert "3 already saved" in batch("--sandbox", "--dry-run").stderr
    assert "3 of 3 to submit" in batch("--dry-run", env={"APIFRAME_BASE_URL": "https://api.apiframe.ai"}).stderr


def test_an_image_that_a_user_moved_to_its_path_counts_as_saved(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write("a fox\n")
    batch()
    (name,) = pictures()
    lines = Path("pics/manifest.jsonl").read_text().replace(name, "rescued.png")
    Path("pics/manifest.jsonl").write_text(lines)
    lose_journal("pics")
    reve.clock.advance(2 * 86400)
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (0, 1)


# With other processes and accounts


def test_a_second_batch_in_the_same_folder_is_refused(reve: Reve, batch: Batch, live: Sandbox) -> None:
    live._job_seconds = 3600
    write(FOXES)
    command = reve.command("batch", "p.txt", "--out", "pics")
    with running(command, env=reve.environ, stderr=subprocess.DEVNULL) as first:
        eventually(lambda: len(live.jobs()) == 3, "jobs")
        sent = posts(live)
        second = reve.child("batch", "p.txt", "--out", "pics", "--json")
        assert second.code == 7
        assert second.document["error"]["message"].startswith("another batch is at work in pics")
        assert posts(live) == sent
        an_hour_passes(live)
        assert first.wait(PATIENCE) == 0
    assert batch().code == 0
    assert len(live.jobs()) == 3
    assert not list(Path("pics").glob(".*"))


def test_a_batch_counts_what_resume_finished_after_a_kill(reve: Reve, live: Sandbox) -> None:
    live._job_seconds = 3600
    write(FOXES)
    with running(reve.command("batch", "p.txt", "--out", "pics"), env=reve.environ):
        eventually(lambda: len(live.jobs()) == 3, "jobs")
    an_hour_passes(live)
    resumed = reve.child("resume")
    assert resumed.code == 0, resumed.stderr
    assert slugs() == ["a-blue-fox", "a-green-fox", "a-red-fox"]
    result = reve.child("batch", "p.txt", "--out", "pics")
    assert (result.code, result.out) == (0, "")
    assert "3 of 3 saved (3 before); charged: 0 credits" in result.stderr
    assert (len(live.jobs()), len(made())) == (3, 3)


def test_history_shows_a_batch(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    rows = reve("history", "--json").documents
    assert {row["state"] for row in rows} == {"saved"}
    assert sorted(row["prompt"] for row in rows) == sorted(FOXES.splitlines())


def test_another_key_of_the_same_account_continues_the_batch(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    first = simulate(faults=parse_faults("image:redirect-private*9"))
    write("a fox\n")
    assert batch().code == 75
    second = second_key(reve, first, user=None)
    result = batch()
    assert result.code == 0, result.stderr
    assert len(first.jobs()) == 1
    second.stop()


def test_jobs_of_another_account_are_left_alone(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    first = simulate(faults=parse_faults("image:redirect-private*9"))
    write("a fox\n")
    assert batch().code == 75
    second = second_key(reve, first, user="5a2d0000-0000-4000-8000-00000000000f")
    result = batch("--json")
    assert (result.code, len(first.jobs())) == (75, 1)
    assert "it belongs to another account" in result.document["error"]["message"]
    second.stop()


def second_key(reve: Reve, first: Sandbox, user: str | None) -> Sandbox:
    """Restart the API at the same address with another key. user: whose key it is."""
    port, folder = int(first.url.rpartition(":")[2]), first._store._folder
    first.stop()
    named: dict[str, Any] = {} if user is None else {"user": user}
    second = Sandbox(folder, key="afk_other_0123", port=port, clock=reve.clock.now, requests_per_minute=0, **named)
    reve.environ["APIFRAME_API_KEY"] = "afk_other_0123"
    return second.start()


# Failures


def test_lack_of_capacity_is_retried_with_new_keys(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:capacity*3"))
    write("a fox\n")
    started = reve.clock.monotonic()
    result = batch()
    assert result.code == 0
    assert len({job.key for job in sandbox.jobs()}) == 4
    assert "line 1: job" in result.stderr
    assert "trying again in 20 s" in result.stderr
    assert "1 of 1 saved; 3 retried; charged: 4 simulated credits" in result.stderr
    assert reve.clock.monotonic() - started > 5 + 10 + 20


@pytest.mark.parametrize(("retries", "jobs"), [("0", 1), ("2", 3)])
def test_retries_are_limited(batch: Batch, simulate: Simulate, retries: str, jobs: int) -> None:
    sandbox = simulate(faults=parse_faults("outcome:capacity"))
    write("a fox\n")
    assert batch("--retries", retries).code == 5
    assert len(sandbox.jobs()) == jobs


# The API fails for one job, or refuses all


@contextmanager
def without_answers_about_one_job(reve: Reve, sandbox: Sandbox, *, listed: bool) -> Iterator[list[str]]:
    """An API that answers 500 to each GET of the first job; lists of jobs leave it out unless `listed`."""
    inside = sandbox_behind(sandbox, sandbox.cdn_url)
    silent: list[str] = []
    made: list[str] = []

    def answer(asked: Asked) -> Reply:
        reply = inside(asked)
        if asked.method == "POST" and not made:
            made.append(json.loads(reply.body)["jobId"])
            silent.extend(made)
        if asked.target.removeprefix("/v2/jobs/") in silent:
            return Reply(500, b"{}", {"Content-Type": "application/json"})
        if asked.target.startswith("/v2/jobs?") and not listed:
            page = json.loads(reply.body)
            page["jobs"] = [job for job in page["jobs"] if job["id"] not in silent]
            return Reply(200, json.dumps(page).encode(), reply.headers)
        return reply

    with Origin(answer) as origin:
        reve.environ["APIFRAME_BASE_URL"] = f"http://{HOST}:{origin.port}"
        yield silent


def test_a_job_whose_gets_fail_for_ever_is_found_in_the_list(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    with without_answers_about_one_job(reve, sandbox, listed=True):
        assert batch().code == 0
    assert (len(pictures()), posts(sandbox)) == (3, 3)


@pytest.mark.parametrize("lines", ["a fox\n", FOXES, "".join(f"fox {number}\n" for number in range(40))])
def test_a_job_whose_gets_fail_for_ever_is_named_once_all_others_have_ended(
    reve: Reve, batch: Batch, sandbox: Sandbox, lines: str
) -> None:
    write(lines)
    images = lines.count("\n")
    with without_answers_about_one_job(reve, sandbox, listed=False) as silent:
        result = batch()
        assert (result.code, len(pictures()), posts(sandbox)) == (75, images - 1, images)
        assert f"job {silent[0]}: the API answers other requests, but not those about this job" in result.stderr
        silent.clear()
        assert batch().code == 0
    assert (len(pictures()), posts(sandbox)) == (images, images)


def test_an_outage_while_the_last_job_runs_is_outlasted(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:500*100,jobs:500*100"))
    write("a fox\n")
    started = reve.clock.monotonic()
    assert batch().code == 0
    assert reve.clock.monotonic() - started > 600


def test_a_continued_job_whose_gets_fail_for_ever_is_named(reve: Reve, batch: Batch, sandbox: Sandbox) -> None:
    write("a fox\n")
    sandbox.faults = parse_faults("job:500,jobs:missing")
    assert batch("--timeout", "60").code == 75
    result = batch()
    assert result.code == 75
    assert f"job {sandbox.jobs()[0].id}" in result.stderr
    sandbox.faults = []
    assert (batch().code, posts(sandbox)) == (0, 1)


@pytest.mark.parametrize("lines", [200, 60])
def test_after_20_equal_refusals_in_a_row_a_batch_stops_with_one_error(
    batch: Batch, simulate: Simulate, lines: int
) -> None:
    sandbox = simulate(faults=parse_faults("submit:400"))
    write("".join(f"fox {number}\n" for number in range(lines)))
    result = batch("--json")
    assert (result.code, len(sandbox.jobs())) == (2, 0)
    assert 20 <= posts(sandbox) <= 36
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert f"the API refused {posts(sandbox)} requests in a row for the same reason: the API answered 400" in error
    assert (
        f"{posts(sandbox)} failed; {lines - posts(sandbox)} not submitted; charged: 0 simulated credits"
        in result.stderr
    )
    assert len(result.documents) >= posts(sandbox)


def test_fewer_refusals_are_printed_one_by_one(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:400"))
    write("".join(f"fox {number}\n" for number in range(19)))
    result = batch()
    assert (result.code, posts(sandbox)) == (2, 19)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: line ")]
    assert len(errors) == 19


def test_refusals_between_accepted_requests_do_not_stop_a_batch(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate()
    write("".join(f"fox {number}\n" for number in range(60)))
    on_post(sandbox, lambda count: parse_faults("submit:400*1") if count % 3 else [])
    result = batch()
    assert (result.code, posts(sandbox), len(pictures())) == (2, 60, 20)
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: line ")]) == 40


def test_the_same_batch_runs_again_once_requests_are_accepted(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:400"))
    write("".join(f"fox {number}\n" for number in range(40)))
    assert batch().code == 2
    sandbox.faults = []
    assert batch().code == 0
    assert (len(pictures()), len(sandbox.jobs())) == (40, 40)


def on_post(sandbox: Sandbox, faults: Callable[[int], list[Fault]]) -> None:
    """Set the sandbox's faults before each POST, by its number from 1."""
    count = itertools.count(1)

    class Requests(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            if request.method == "POST":
                sandbox.faults = faults(next(count))

    sandbox.requests = Requests()


def test_a_prompt_that_moderation_refuses_is_submitted_once(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:moderated"))
    write("a fox\n")
    result = batch()
    assert (result.code, posts(sandbox)) == (5, 1)
    assert "flagged by moderation" in result.stderr
    assert "trying again in" not in result.stderr


@pytest.mark.parametrize(
    ("reason", "is_retried"),
    [
        ("No available capacity \u2014 please retry shortly", True),
        ("The model is overloaded, please try again later", True),
        ("Service temporarily unavailable", True),
        ("The servers are busy", True),
        ("Generation timed out after 120 s", True),
        ("Worker timeout", True),
        ("High demand: please retry", True),
        ("Please try again with another prompt", False),
        ("Your request was temporarily refused. Retry with another prompt.", False),
        ("This content is unavailable under our content policy. Try again.", False),
        ("Blocked by the safety system after a timeout of the review", False),
        ("Generation failed: a crowd of busybodies", False),
    ],
)
def test_only_lack_of_capacity_and_time_outs_are_retried(reason: str, is_retried: bool) -> None:
    assert is_for_capacity(reason) is is_retried


def test_other_failures_are_not_retried(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*1,outcome:cancel*1"))
    write(FOXES)
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (5, 3)
    assert "1 of 3 saved; 2 failed; charged: 4 simulated credits" in result.stderr


@pytest.mark.parametrize(("option", "failures"), [(["--fail-fast"], 1), (["--max-failures", "3"], 3)])
def test_submitting_stops_after_the_maximum_of_failures(
    batch: Batch, simulate: Simulate, option: list[str], failures: int
) -> None:
    sandbox = simulate(faults=[Fault("outcome", "fail", times=4)])
    write("".join(f"fox {number}\n" for number in range(40)))
    result = batch(*option, "--concurrency", "1", "--retries", "0")
    assert (result.code, len(sandbox.jobs())) == (5, failures)
    many = "1 image" if failures == 1 else f"{failures} images"
    assert f"error: {many} failed; stopped submitting" in result.stderr
    assert f"{failures} failed; {40 - failures} not submitted; charged: 0 simulated credits" in result.stderr
    assert batch("--concurrency", "1").code == (5 if failures < 4 else 0)
    assert sandbox.charged == 160 - 4 * (4 - failures)


@pytest.mark.parametrize(("fault", "code"), [("submit:402", 4), ("submit:401", 3), ("submit:403", 3)])
def test_a_refused_key_or_account_stops_submitting_and_running_jobs_are_saved(
    reve: Reve, batch: Batch, simulate: Simulate, fault: str, code: int
) -> None:
    made = 0

    def seconds() -> float:
        nonlocal made
        made += 1
        if made == 20:
            sandbox.faults += parse_faults(fault)
        return 2.0

    sandbox = simulate(job_seconds=seconds)
    write("".join(f"fox {number}\n" for number in range(100)))
    result = batch()
    assert result.code == code
    saved = len(pictures())
    assert saved == len(sandbox.jobs()) >= 20
    assert posts(sandbox) < 60
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1, told
    assert f"{saved} of 100 saved" in result.stderr
    sandbox.faults.clear()
    assert batch().code == 0
    assert sandbox.charged == 400


def test_a_refused_request_is_one_failure(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:400*1"))
    write(FOXES)
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (2, 2)
    assert "2 of 3 saved; 1 failed; charged: 8 simulated credits" in result.stderr
    assert batch().code == 0


def test_a_request_without_an_answer_is_unfinished_and_the_same_command_settles_it(
    reve: Reve, batch: Batch, simulate: Simulate
) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after*99"))
    write("a fox\n")
    result = batch()
    assert (result.code, len(sandbox.jobs())) == (75, 1)
    assert "1 unfinished: run the same command again, or:\nreve resume" in result.stderr
    assert "1 pending" in result.stderr
    sandbox.faults.clear()
    reve.clock.advance(20)
    assert batch().code == 0
    assert sandbox.charged == 4


def test_the_exit_code_is_the_worst_of_all(batch: Batch, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1,outcome:no-url*1"))
    write(FOXES)
    assert batch().code == 75


# Money


def test_a_cap_below_the_price_of_the_missing_images_refuses_all(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    result = batch("--max-credits", "11", "--json")
    assert (result.code, result.document["error"]["code"]) == (4, "over_cap")
    assert posts(sandbox) == 0
    write(FOXES.splitlines()[0])
    assert batch("--max-credits", "4").code == 0
    write(FOXES)
    assert batch("--max-credits", "8").code == 0
    assert sandbox.charged == 12


@pytest.mark.parametrize("lose", [lose_manifest, lose_pictures])
def test_a_cap_does_not_count_images_that_are_paid_for(
    batch: Batch, sandbox: Sandbox, lose: Callable[[str], None]
) -> None:
    write(FOXES)
    batch("--run", "r")
    lose("pics")
    assert batch("--run", "r", "--max-credits", "1").code == 0
    assert len(sandbox.jobs()) == 3


@pytest.mark.parametrize("fit", [10, 20])  # as many as are sent at once, and more
def test_a_daily_cap_submits_and_saves_what_fits(batch: Batch, sandbox: Sandbox, reve: Reve, fit: int) -> None:
    write("".join(f"fox {number}\n" for number in range(40)))
    cap, charge = 4 * fit + 3, 4 * fit
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = f"{cap}"
    result = batch()
    assert (result.code, len(pictures()), sandbox.charged) == (4, fit, charge)
    assert f"max_credits_per_day is {cap}" in result.stderr
    assert f"{fit} of 40 saved; {40 - fit} not submitted; charged: {charge} simulated credits" in result.stderr
    reve.clock.advance(86401)
    assert (batch().code, sandbox.charged) == (0 if fit == 20 else 4, 2 * charge)


def test_a_daily_cap_holds_for_two_batches_at_once(reve: Reve, slow: Sandbox) -> None:
    write("".join(f"fox {number}\n" for number in range(60)))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "100"
    both = [
        subprocess.Popen(
            reve.command("batch", "p.txt", "--out", folder), env=reve.environ, stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for folder in ("one", "two")
    ]  # fmt: skip
    assert [process.wait(PATIENCE) for process in both] == [4, 4]
    assert (len(slow.jobs()), len(pictures("one") | pictures("two"))) == (25, 25)


def test_without_a_journal_a_batch_needs_reve_journal_off(batch: Batch, sandbox: Sandbox, home: Path) -> None:
    write(FOXES)
    (home / ".local").write_text("no folder")
    refused = batch()
    assert (refused.code, posts(sandbox)) == (7, 0)
    assert "a batch needs the journal" in refused.stderr
    assert batch(env={"REVE_JOURNAL": "off"}).code == 0
    assert batch(env={"REVE_JOURNAL": "off"}).code == 0
    assert len(sandbox.jobs()) == 3


# Rare cases


def test_a_time_limit_that_passes_before_the_first_request_is_an_error(
    reve: Reve, batch: Batch, simulate: Simulate
) -> None:
    def late() -> float:  # the first request asks for the price
        reve.clock.advance(10)
        return reve.clock.now()

    sandbox = simulate(clock=late)
    write(FOXES)
    result = batch("--timeout", "5", "--max-credits", "1000", env={"REVE_CREDITS_PER_IMAGE": "4"})
    assert (result.code, posts(sandbox)) == (6, 0), result.stderr
    assert "error: the time limit of 5 s passed" in result.stderr
    assert "0 of 3 saved; 3 not submitted" in result.stderr


def test_a_saved_attempt_is_found_after_a_failed_one(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*1"))
    write("a fox\n")
    assert [batch("--run", "r").code for _ in range(2)] == [5, 0]
    lose_manifest("pics")
    reve.clock.advance(2 * 86400)
    result = batch("--run", "r", "--max-credits", "1")
    assert (result.code, len(sandbox.jobs())) == (0, 2)
    assert "1 of 1 saved (1 before)" in result.stderr


def test_a_job_with_a_missing_image_is_unfinished(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/3,image:500*6"))
    write("a fox\n")
    first = batch()
    assert first.code == 75
    assert 0 < len(pictures()) < 3
    assert batch().code == 0
    assert (len(pictures()), len(sandbox.jobs())) == (3, 1)


def test_an_abandoned_job_is_made_again_with_a_new_key(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:gone*1"))
    write("a fox\n")
    assert batch().code == 75
    (job,) = sandbox.jobs()
    assert reve("resume", "--abandon", job.id).code == 0
    assert batch().code == 0
    assert len(sandbox.jobs()) == 2


def test_an_interrupted_new_is_continued_without_new(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(job_seconds=60.0)
    write(FOXES)
    result = batch("--new", "--timeout", "20")
    assert result.code == 75
    assert "3 unfinished: run the same command again, without --new, or:" in result.stderr
    assert batch().code == 0
    assert len(sandbox.jobs()) == 3


def test_images_in_subfolders_identify_the_run_without_a_manifest(reve: Reve, sandbox: Sandbox) -> None:
    write(FOXES)
    command = ("batch", "p.txt", "--out", "pics/{seed}/{slug}-{job}.{ext}", "--seed", "1")
    assert reve(*command).code == 0
    lose_manifest("pics")
    assert "3 of 3 saved (3 before)" in reve(*command).stderr
    assert len(sandbox.jobs()) == 3


def test_images_of_another_run_in_the_folder_count_for_a_named_run(batch: Batch, sandbox: Sandbox) -> None:
    write(FOXES)
    batch()
    assert "3 of 3 saved (3 before)" in batch("--run", "nightly").stderr
    assert len(sandbox.jobs()) == 3


def test_losing_the_journal_during_the_run_stops_submitting(reve: Reve, batch: Batch, simulate: Simulate) -> None:
    state = Path(os.environ["HOME"], ".local")

    made = itertools.count(1)

    def seconds() -> float:
        if next(made) == 20:
            state.rename(state.with_name("moved"))
        return 1.0

    sandbox = simulate(job_seconds=seconds)
    write("".join(f"fox {number}\n" for number in range(120)))
    result = batch()
    assert result.code == 7
    assert result.stderr.count("warning: crash safety is off") == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.search("the journal (is lost|cannot record the request, so it was not sent): ", errors[0])
    assert 20 <= len(sandbox.jobs()) == len(pictures()) < 80


def test_force_does_not_replace_the_image_of_another_line(reve: Reve, sandbox: Sandbox) -> None:
    write("a\nb\n")
    command = ("batch", "p.txt", "--out", "pics/{index}.{ext}")
    assert reve(*command).code == 0
    write("new\na\nb\n")
    for force in ([], ["--force"]):
        result = reve(*command, *force)
        assert result.code == 7
        assert "line 1: pics/1.png is the image of another line" in result.stderr
        assert pictures() == {"1.png", "2.png"}
        assert len(sandbox.jobs()) == 2


def test_the_second_image_of_a_job_is_not_replaced_by_another_line(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/2*1"))
    write('{"prompt": "a", "out": "fox.png"}\n', "p.jsonl")
    assert reve("batch", "p.jsonl", "--out", "pics").code == 0
    assert pictures() == {"fox.png", "fox-2.png"}
    write('{"prompt": "a", "out": "fox.png"}\n{"prompt": "b", "out": "fox-2.png"}\n', "p.jsonl")
    result = reve("batch", "p.jsonl", "--out", "pics")
    assert result.code == 7
    assert "line 2: pics/fox-2.png" in result.stderr
    assert len(sandbox.jobs()) == 1


@pytest.mark.parametrize("instead", [lambda path: path.symlink_to("gone"), lambda path: path.write_bytes(b"")])
def test_an_empty_file_or_a_dangling_link_does_not_count_as_an_image(
    batch: Batch, sandbox: Sandbox, instead: Callable[[Path], object]
) -> None:
    write("a fox\n")
    batch()
    (name,) = pictures()
    Path("pics", name).unlink()
    instead(Path("pics", name))
    assert batch().code != 0
    assert len(sandbox.jobs()) == 1


def test_the_image_of_an_edited_line_is_known_without_a_manifest(reve: Reve, sandbox: Sandbox) -> None:
    write("prompt,out\na fox,hero.png\na cat,cat.png\n", "l.csv")
    assert reve("batch", "l.csv", "--out", "pics").code == 0
    lose_manifest("pics")
    write("prompt,out\na wolf,hero.png\na cat,cat.png\n", "l.csv")
    result = reve("batch", "l.csv", "--out", "pics")
    assert result.code == 7
    assert "line 2: pics/hero.png exists" in result.stderr
    assert len(sandbox.jobs()) == 2


def test_unfinished_jobs_of_removed_lines_are_reported(batch: Batch, simulate: Simulate) -> None:
    sandbox = simulate(job_seconds=60.0)
    write("a fox\na cat\n")
    assert batch("--timeout", "20").code == 75
    sandbox._job_seconds = 1.0
    write("a wolf\na cat\n")
    result = batch()
    assert result.code == 0
    assert "warning: jobs of removed lines are paid for but not saved; save them with: reve resume" in result.stderr


def test_a_retry_that_never_starts_ends_with_its_failure(
    batch: Batch, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = simulate(faults=parse_faults("outcome:capacity*3,outcome:fail*1"))
    receive = sandbox._refusal

    def receive_d_last(request: Any) -> Any:
        if request.method == "POST" and b'"d"' in request.body:
            eventually(lambda: len(sandbox.jobs()) == 3, "the other jobs")
        return receive(request)

    monkeypatch.setattr(sandbox, "_refusal", receive_d_last)
    write("a\nb\nc\nd\n")
    result = batch("--fail-fast", "--concurrency", "4")
    assert result.code == 5
    assert "0 of 4 saved; 4 failed; 3 retried; charged: 0 simulated credits" in result.stderr
    assert len(sandbox.jobs()) == 4


def test_a_dry_run_reports_refusals_and_free_downloads(reve: Reve, sandbox: Sandbox) -> None:
    write('{"prompt": "a", "out": "a.png"}\n{"prompt": "b", "out": "b.png"}\n', "p.jsonl")
    assert reve("batch", "p.jsonl", "--out", "pics").code == 0
    Path("pics/b.png").unlink()
    write('{"prompt": "A", "out": "a.png"}\n{"prompt": "b", "out": "b.png"}\n', "p.jsonl")
    result = reve("batch", "p.jsonl", "--out", "pics", "--dry-run")
    assert (result.code, len(result.documents)) == (7, 1)
    assert "line 1: pics/a.png exists" in result.stderr
    assert "1 of 2 to submit; 1 to download again (no charge)" in result.stderr


@pytest.mark.parametrize("resumes", [True, False])
def test_an_image_in_the_rescue_folder_is_moved_to_its_path(reve: Reve, simulate: Simulate, resumes: bool) -> None:
    def seconds() -> float:
        shutil.rmtree("pics/sub")
        return 1.0

    sandbox = simulate(job_seconds=seconds)
    write('{"prompt": "a fox", "out": "sub/fox.png"}\n', "p.jsonl")
    first = reve("batch", "p.jsonl", "--out", "pics")
    assert first.code == 75
    assert "cannot write pics/sub/fox.png: No such file or directory" in first.stderr
    assert "1 in the rescue folder" in first.stderr
    reve.clock.advance(2 * 86400)  # the server no longer has the image
    second = reve("resume") if resumes else reve("batch", "p.jsonl", "--out", "pics")
    assert second.code == 0, second.stderr
    assert "moved 1 image out of the rescue folder" in second.stderr
    third = reve("batch", "p.jsonl", "--out", "pics")
    assert third.code == 0, third.stderr
    assert "1 of 1 saved (1 before); charged: 0 credits" in third.stderr
    assert len(sandbox.jobs()) == 1


# Reserved names, and the manifest as a file


@pytest.mark.parametrize(
    "out",
    ["manifest.jsonl", "./Manifest.JSONL", "manifest-1-of-4.jsonl", "manifest-{job}.jsonl", "manifest.jsonl/fox.png",
     ".manifest.jsonl.lock", ".reve-x.png", "foxes/.reve-x.png"],
)  # fmt: skip
def test_an_out_with_a_reserved_name_is_refused(reve: Reve, sandbox: Sandbox, out: str) -> None:
    Path("pics").mkdir()
    Path("pics/manifest.jsonl").write_text("mine\n")
    write(json.dumps({"prompt": "fox", "out": out}), "p.jsonl")
    result = reve("batch", "p.jsonl", "--out", "pics", "--force")
    assert result.code == 2
    assert "p.jsonl, line 1: out: 'pics" in result.stderr
    assert "is reserved for reve's own files" in result.stderr
    assert Path("pics/manifest.jsonl").read_text() == "mine\n"
    assert posts(sandbox) == 0


@pytest.mark.parametrize(
    "template", ["{slug}.jsonl", "pics/{slug}.jsonl", "pics/{slug}-{job}.jsonl", "pics/.reve-{job}"]
)
def test_a_template_that_makes_a_reserved_name_is_refused(reve: Reve, sandbox: Sandbox, template: str) -> None:
    write("fox\nmanifest\n")
    result = reve("batch", "p.txt", "--out", template)
    assert result.code == 2
    assert "p.txt, line 2: out: " in result.stderr
    assert posts(sandbox) == 0


def test_reserved_names_are_free_in_subfolders(reve: Reve, sandbox: Sandbox) -> None:
    write('{"prompt": "fox", "out": "a/manifest.jsonl"}\n{"prompt": "wolf", "out": "manifest.{ext}"}\n', "p.jsonl")
    assert reve("batch", "p.jsonl", "--out", "pics").code == 0
    assert Path("pics/a/manifest.jsonl").exists()
    assert Path("pics/manifest.png").exists()
    assert len(made()) == 2


def test_a_manifest_makes_only_the_last_image_of_a_path_again(reve: Reve, sandbox: Sandbox) -> None:
    for prompt in ("a fox", "a red fox"):
        write(json.dumps({"prompt": prompt, "out": "fox.png"}), "p.jsonl")
        assert reve("batch", "p.jsonl", "--out", "pics", "--force").code == 0
    result = reve("batch", "pics/manifest.jsonl", "--out", "pics")
    assert (result.code, sandbox.charged) == (0, 8)
    assert reve("batch", "pics/manifest.jsonl", "--out", "again").code == 0
    assert [line["prompt"] for line in made("again")] == ["a red fox"]


def test_json_on_standard_input_is_not_used_as_prompts(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("batch", "-", stdin=b'{"prompt": "a fox"}\n')
    assert result.code == 2
    assert "standard input, line 1: a JSON object is not a prompt; add --format jsonl" in result.stderr
    assert posts(sandbox) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("options", [[], ["--quiet"]], ids=["", "quiet"])
def test_reading_prompts_from_the_terminal_is_announced(reve: Reve, options: list[str]) -> None:
    with Terminal(reve.command("batch", "-", "--sandbox", "--dry-run", *options), env=reve.environ) as terminal:
        if not options:
            terminal.expect("reading prompts from the terminal, one per line; press Ctrl-D to end")
        terminal.type(b"a fox\n")
        terminal.type(b"\x04")
        assert terminal.wait() == 0
    assert (b"reading prompts" in terminal.seen) == (not options)
