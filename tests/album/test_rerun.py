"""`reve rerun`: the same request with a new key, with changes, and from images of other tools."""

import json
from pathlib import Path
from typing import Any

import pytest

from reve_cli.pictures.metadata import original_sha256
from reve_cli.pictures.provenance import Provenance
from reve_cli.sandbox import Sandbox, parse_faults
from tests.album.test_show import FOX, foreign, picture
from tests.conftest import Result, Reve
from tests.support.terminal import Terminal

THEIRS = "a wolf\nNegative prompt: blur\nSteps: 20, Sampler: Euler, Seed: 5, Size: 64x64, Model: sdxl"


def posts(sandbox: Sandbox) -> list[Any]:
    """The bodies of the requests for images."""
    return [json.loads(request.body) for request in sandbox.requests if request.method == "POST"]


def keys(sandbox: Sandbox) -> list[str]:
    return [request.headers["idempotency-key"] for request in sandbox.requests if request.method == "POST"]


def pixels(path: str) -> str:
    """The hash of an image as the server sent it."""
    with open(path, "rb") as file:
        return original_sha256(file)


def rerun(reve: Reve, *arguments: str) -> Result:
    result = reve("rerun", *arguments)
    assert result.code == 0, result.stderr
    return result


def test_images_are_made_again_with_the_same_requests_and_new_keys(reve: Reve, sandbox: Sandbox, full: bool) -> None:
    count = 20 if full else 6
    ratios, prompts = ("1:1", "16:9", "2:3", "4:3"), ("a fox", "-n \"q\" 'q' $x `y`", "two\nlines", "\U0001f98a" * 50)
    for number in range(count):
        options = [f"--seed={number - 3}"] if number % 5 else []
        options += ["--ar", ratios[number % 4]] if number % 3 else []
        options += ["--model-version", "latest"] if number % 4 == 1 else []
        made = reve("generate", *options, "--out", f"{number}.png", "--", prompts[number % 4])
        assert made.code == 0, made.stderr
    for number in range(count):
        rerun(reve, f"{number}.png", "--out", f"again-{number}.png")
    first, again = posts(sandbox)[:count], posts(sandbox)[count:]
    assert again == first
    assert len(set(keys(sandbox))) == 2 * count
    seeded = [number for number in range(count) if number % 5]
    assert all(pixels(f"{number}.png") == pixels(f"again-{number}.png") for number in seeded)


def test_it_says_what_it_repeats_before_it_submits(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    result = rerun(reve, "fox.png", "--out", "wolf.png")
    first = "repeating fox.png: reve generate --seed 7 --ar 3:2 --model-version latest -- 'a red fox'\n"
    assert result.stderr.startswith(first)
    assert result.out == "wolf.png\n"


def test_options_change_the_request_and_settings_do_not(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    reve.environ["REVE_ASPECT_RATIO"] = "9:16"
    rerun(reve, "fox.png", "--seed", "10", "--count", "2", "--ar", "1:1", "--model-version", "other", "--out", "n.png")
    changed = {"aspect_ratio": "1:1", "version": "other"}
    assert [post["reveParams"] for post in posts(sandbox)[1:]] == [{"seed": 10, **changed}, {"seed": 11, **changed}]
    reve("generate", "an owl", env={"REVE_ASPECT_RATIO": ""})
    rerun(reve)
    assert posts(sandbox)[-1] == {"prompt": "an owl", "model": "reve-create"}
    rerun(reve, "fox.png", "--seed", "none", "--out", "none.png")
    assert "seed" not in posts(sandbox)[-1]["reveParams"]


def test_the_file_is_enough_without_a_journal(reve: Reve, sandbox: Sandbox) -> None:
    picture("fox.png", Provenance(prompt="a shy fox", seed=7, aspect_ratio="3:2", version="v", model="reve-create"))
    rerun(reve, "fox.png", "--out", "again.png")
    params = {"seed": 7, "aspect_ratio": "3:2", "version": "v"}
    assert posts(sandbox) == [{"prompt": "a shy fox", "model": "reve-create", "reveParams": params}]


def test_on_another_machine_the_image_alone_is_shown_and_makes_the_same_request(
    reve: Reve, sandbox: Sandbox, tmp_path: Path
) -> None:
    reve("generate", *FOX)
    reve.environ["REVE_STATE_DIR"] = str(tmp_path / "elsewhere")
    shown = reve("show", "fox.png", "--json").document
    assert (shown["prompt"], shown["seed"], shown["unchanged"], shown["state"]) == ("a red fox", 7, True, None)
    rerun(reve, "fox.png", "--out", "again.png")
    first, again = posts(sandbox)
    assert again == first
    assert pixels("again.png") == pixels("fox.png")


def test_an_existing_file_is_never_replaced_unasked(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    before = Path("fox.png").read_bytes()
    assert Path(rerun(reve, "fox.png").out.strip()).name != "fox.png"
    result = reve("rerun", "fox.png", "--out", "fox.png")
    assert (result.code, len(posts(sandbox))) == (7, 2)
    assert Path("fox.png").read_bytes() == before


def test_an_interrupted_rerun_is_continued_and_paid_once(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    sandbox.faults[:] = parse_faults("image:cut")
    assert reve("rerun", "fox.png", "--out", "again.png").code == 75
    sandbox.faults.clear()
    result = rerun(reve, "fox.png", "--out", "again.png")
    assert "continuing this command's interrupted run" in result.stderr
    assert len(sandbox.jobs()) == 2


def test_a_dry_run_and_a_cap_pay_nothing(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    result = rerun(reve, "fox.png", "--dry-run", "--seed", "8")
    assert result.document["body"]["reveParams"]["seed"] == 8
    assert reve("rerun", "fox.png", "--max-credits", "1").code == 4
    assert len(posts(sandbox)) == 1


def test_once_makes_it_once(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    for name in ("a.png", "b.png"):
        rerun(reve, "fox.png", "--once", "run-1", "--out", name)
    assert len(sandbox.jobs()) == 2


# Other tools


def test_another_tools_image_gives_prompt_seed_and_shape_with_yes(reve: Reve, sandbox: Sandbox) -> None:
    foreign("theirs.png", THEIRS)
    result = reve("rerun", "theirs.png")
    assert (result.code, posts(sandbox)) == (2, [])
    assert "theirs.png was made with another tool; to make the image: --yes" in result.stderr
    result = rerun(reve, "theirs.png", "--yes")
    assert "only prompt, seed and aspect ratio are taken, not " in result.stderr
    for name in ("Negative prompt", "Steps", "Sampler", "Model"):
        assert name in result.stderr
    assert posts(sandbox) == [
        {"prompt": "a wolf", "model": "reve-create", "reveParams": {"seed": 5, "aspect_ratio": "1:1"}}
    ]


def test_a_prompt_with_parameters_of_another_tool_is_refused(reve: Reve, sandbox: Sandbox) -> None:
    foreign("theirs.png", THEIRS.replace("a wolf", "a wolf <lora:x:1>"))
    result = reve("rerun", "theirs.png", "--yes")
    assert (result.code, posts(sandbox)) == (2, [])
    assert "a parameter of another tool" in result.stderr


def test_a_simulated_image_is_made_for_real_only_with_yes(reve: Reve) -> None:
    picture("tried.png", Provenance(prompt="a fox", simulated=True))
    result = reve("rerun", "tried.png", env={"APIFRAME_API_KEY": "afk_" + "0" * 40})
    assert result.code == 2
    assert "tried.png was simulated, and the new image is charged; to make the image: --yes" in result.stderr


def test_a_job_that_is_not_finished_is_not_paid_for_again_unasked(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    assert reve("generate", *FOX).code == 75
    result = reve("rerun")
    assert (result.code, len(posts(sandbox))) == (2, 1)
    assert "is not finished, and reve resume finishes it without a new charge" in result.stderr


def test_a_changed_file_is_repeated_only_with_yes(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", *FOX)
    picture("fox.png")
    result = reve("rerun", "fox.png", "--out", "again.png")
    assert (result.code, len(posts(sandbox))) == (2, 1)
    assert "was changed after it was saved, or is another image" in result.stderr
    rerun(reve, "fox.png", "--out", "again.png", "--yes")
    assert posts(sandbox)[1] == posts(sandbox)[0]


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 1), ("\n", 2, 0)], ids=["yes", "no"])
def test_a_terminal_is_asked(reve: Reve, live: Sandbox, answer: str, code: int, count: int) -> None:
    foreign("theirs.png", THEIRS)
    with Terminal(reve.command("rerun", "theirs.png"), env=reve.environ) as terminal:
        terminal.expect("Make the image? [y/N]")
        terminal.type(answer.encode())
        assert terminal.wait() == code
    assert len(posts(live)) == count


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["plain.png"], 7, "neither the file nor the journal says how plain.png was made"),
        (["missing.png"], 8, "there is no image or job"),
        ([], 2, "'last' needs the journal"),
        (["hostile.png"], 2, "is not one of"),
        (["fox.png", "--ar", ""], 2, "is not one of"),
        (["fox.png", "--model", ""], 2, "is not a model name"),
        (["fox.png", "--seed", "x"], 2, "--seed takes a whole number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_repeated_says_why(
    reve: Reve, sandbox: Sandbox, arguments: list[str], code: int, message: str
) -> None:
    picture("plain.png")
    picture("fox.png", Provenance(prompt="a fox"))
    picture("hostile.png", Provenance(prompt="a fox", aspect_ratio="7:1", model="../etc"))
    result = reve("rerun", *arguments)
    assert (result.code, posts(sandbox)) == (code, [])
    assert message in result.stderr


def test_a_run_of_several_images_must_be_narrowed(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "a fox", "--count", "2")
    run = reve("history", "--json", "--limit", "1").document["run"]
    result = reve("rerun", run)
    assert (result.code, len(posts(sandbox))) == (2, 2)
    assert "names 2 images" in result.stderr
