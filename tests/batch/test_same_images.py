"""What does not change an image: kinds of line ends, blanks, and in which run a random seed was chosen."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from reve_cli.core.models import ImageRequest
from reve_cli.core.tasks import new_key
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

STATE = ".local/state/reve"


def lose_journal(home: Path) -> None:
    for path in (home / STATE).glob("journal*"):
        path.unlink()


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def seeds(sandbox: Sandbox) -> list[int]:
    return [job.body["reveParams"]["seed"] for job in sandbox.jobs()]


def made(folder: str = "pics") -> list[dict[str, object]]:
    lines = [json.loads(line) for line in Path(folder, "manifest.jsonl").read_text().splitlines()]
    return [line for line in lines if line["item"]]


# Line ends

FORMS = {
    "p.txt": [b"a fox\na wolf\n", b"a fox\r\na wolf\r\n", b"a fox\ra wolf", b"\xef\xbb\xbfa fox  \n a wolf\t\n"],
    "p.csv": [
        b'prompt\n"a fox\nin snow"\n', b'prompt\r\n"a fox\r\nin snow"\r\n', b'prompt\r"a fox\rin snow"\r',
        b'Prompt;\n"a fox  \nin snow\t"\n',
    ],
    "p.jsonl": [b'{"prompt": "a fox\\nin snow"}\n', b'{"prompt": " a fox\\r\\nin snow "}\r\n'],
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_the_same_list_with_other_line_ends_is_paid_once(name: str, reve: Reve, sandbox: Sandbox) -> None:
    for number, content in enumerate(FORMS[name]):
        Path(name).write_bytes(content)
        for options in (["--out", "pics"], ["--out", f"pics-{number}", "--run", "r"]):
            assert reve("batch", name, *options).code == 0
    images = FORMS[name][0].count(b"a fox") + FORMS[name][0].count(b"a wolf")
    assert len(sandbox.jobs()) == 2 * images  # in two runs
    assert sandbox.charged == 2 * images * 4


def test_the_same_prompt_file_with_other_line_ends_is_paid_once(reve: Reve, sandbox: Sandbox) -> None:
    for number, content in enumerate([b"a fox\nin snow\n", b"a fox\r\nin snow\r\n", b"a fox \rin snow\t\r\n"]):
        Path("p.txt").write_bytes(content)
        options = ["--prompt-file", "p.txt", "--once", "P1", "--out", f"{number}.png"]
        assert reve("generate", *options).code == 0
    assert sandbox.charged == 4
    assert {job.body["prompt"] for job in sandbox.jobs()} == {"a fox\nin snow"}


@pytest.mark.parametrize("lose", ["journal", "manifest", "nothing"])
def test_images_of_earlier_versions_with_such_prompts_are_not_paid_again(
    lose: str, reve: Reve, sandbox: Sandbox, home: Path
) -> None:
    former = ["a fox\r\nin snow", "a wolf  ", "a wolf", "a wolf "]
    Path("pics").mkdir()
    old = [
        {"run": "r", "item": f"i{number}", "prompt": prompt, "request": {"prompt": prompt, "model": "reve-create"}}
        for number, prompt in enumerate(former)
    ]  # a manifest's requests are made again as they are
    Path("old.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    assert reve("batch", "old.jsonl", "--out", "pics").code == 0
    assert sorted(job.body["prompt"] for job in sandbox.jobs()) == sorted(former)
    if lose == "journal":
        lose_journal(home)
    if lose == "manifest":
        Path("pics", "manifest.jsonl").unlink()
    before = posts(sandbox)
    for prompts in (former, former[::-1], former[1:]):
        Path("p.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        result = reve("batch", "p.jsonl", "--out", "pics")
        assert result.code == 0, result.stderr
    assert posts(sandbox) == before


def test_a_request_that_an_earlier_version_made_once_keeps_its_key(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    Path("p.txt").write_bytes(b"a fox\r\nin snow")
    options = ["--prompt-file", "p.txt", "--once", "P1"]
    former = ImageRequest("a fox\r\nin snow")
    assert reve("generate", *options, "--out", "1.png").code == 0
    with sqlite3.connect(home / STATE / "journal.db") as journal:
        values = (former.body().decode(), new_key("P1", former, 1, 1))
        assert journal.execute("UPDATE jobs SET body = ?, key = ?", values).rowcount == 1
    journal.close()
    assert reve("generate", *options, "--out", "2.png").code == 0
    assert [request.headers.get("idempotency-key") for request in sandbox.requests if request.method == "POST"][1:] == [
        new_key("P1", former, 1, 1)
    ]


# Random seeds


def random_list(prompts: Sequence[str]) -> None:
    Path("p.csv").write_text("prompt,seed\n" + "".join(f"{prompt},random\n" for prompt in prompts))


def test_a_random_seed_is_chosen_once_for_each_line(reve: Reve, sandbox: Sandbox) -> None:
    random_list(["a fox", "a fox", "a wolf"])
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    first = seeds(sandbox)
    assert len(set(first)) == 3
    assert sorted(first) == sorted(line["seed"] for line in made())  # type: ignore[type-var]
    random_list(["a bear", "a wolf", "a fox", "a fox"])
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    assert posts(sandbox) == 4
    assert reve("batch", "p.csv", "--out", "pics", "--run", "another").code == 0
    assert posts(sandbox) == 4


def test_new_chooses_new_seeds(reve: Reve, sandbox: Sandbox) -> None:
    random_list(["a fox"])
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    assert reve("batch", "p.csv", "--out", "pics", "--new").code == 0
    assert len(set(seeds(sandbox))) == 2


def test_a_named_run_has_the_same_random_seeds_on_any_machine(reve: Reve, sandbox: Sandbox) -> None:
    random_list(["a fox", "a fox"])
    for machine in ("a", "b"):
        environ = {"REVE_STATE_DIR": str(Path(machine).absolute())}
        assert reve("batch", "p.csv", "--run", "nightly", "--out", f"pics-{machine}", env=environ).code == 0
    assert len(sandbox.jobs()) == 2
    assert sandbox.charged == 8


def test_a_lost_manifest_does_not_change_a_random_seed(reve: Reve, sandbox: Sandbox) -> None:
    random_list(["a fox"])
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    Path("pics", "manifest.jsonl").unlink()
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    assert posts(sandbox) == 1


def test_resume_records_an_item_with_a_random_seed_as_such(reve: Reve, simulate: object, home: Path) -> None:
    sandbox = simulate(job_seconds=60)  # type: ignore[operator]
    random_list(["a fox", "a fox"])
    assert reve("batch", "p.csv", "--out", "pics", "--timeout", "3").code == 75
    sandbox.job_seconds = 0
    assert len(sandbox.jobs()) == 2
    reve("resume")
    lose_journal(home)
    assert len(made()) == 2
    before = posts(sandbox)
    assert reve("batch", "p.csv", "--out", "pics").code == 0
    assert posts(sandbox) == before


def test_seed_random_chooses_a_seed_for_every_line(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text("a fox\na fox\na wolf\n")
    for _ in range(2):
        assert reve("batch", "p.txt", "--out", "pics", "--seed", "random").code == 0
    assert len(set(seeds(sandbox))) == posts(sandbox) == 3


def test_a_path_may_have_a_random_seed(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.csv").write_text("prompt,seed,out\na fox,random,{seed}.png\na wolf,random,\n")
    for _ in range(2):
        assert reve("batch", "p.csv", "--out", "pics/{slug}-{seed}.{ext}").code == 0
    assert posts(sandbox) == 2
    fox, wolf = (
        next(job.body["reveParams"]["seed"] for job in sandbox.jobs() if name in job.body["prompt"])
        for name in ("fox", "wolf")
    )
    assert {path.name for path in Path("pics").glob("*.png")} == {f"{fox}.png", f"a-wolf-{wolf}.png"}


@pytest.mark.parametrize("row", ["a fox,-1", "a fox,-1.0", "a fox, -1"])
def test_minus_one_in_a_seed_column_is_refused(row: str, reve: Reve, sandbox: Sandbox) -> None:
    result = reve("batch", "-", "--out", "pics", stdin=f"prompt,seed\n{row}\n".encode())
    assert (result.code, posts(sandbox)) == (2, 0)
    assert "use random, or leave it out" in result.stderr


# Parameters of other tools


@pytest.mark.parametrize(
    "line",
    ["a fox --ar 16:9 --v 6", '--prompt "a fox" --negative_prompt "blur"', '"a fox" -s50 -S123', "a fox --seed 7"],
)
def test_parameters_of_other_tools_in_a_prompt_are_refused(line: str, reve: Reve, sandbox: Sandbox) -> None:
    table = json.dumps({"prompt": line})
    for stdin, options in ((line, []), (table, ["--format", "jsonl"])):
        result = reve("batch", "-", "--out", "pics", *options, stdin=f"{stdin}\n".encode())
        assert (result.code, posts(sandbox)) == (2, 0)
        assert "the prompt contains '-" in result.stderr
    assert reve("batch", "-", "--out", "pics", "--format", "text", stdin=f"{line}\n".encode()).code == 0
    assert [job.body["prompt"] for job in sandbox.jobs()] == [line]


@pytest.mark.parametrize("options", [["--format", "text"], []])
def test_an_api_key_in_a_prompt_or_another_column_is_refused(options: list[str], reve: Reve, sandbox: Sandbox) -> None:
    for text in (f"a fox {sandbox.key}\n", *([] if options else [f"prompt,note\na fox,{sandbox.key}\n"])):
        result = reve("batch", "-", "--out", "pics", *options, stdin=text.encode())
        assert (result.code, posts(sandbox)) == (2, 0)
        assert sandbox.key not in result.stderr
