"""What is surely not meant as a prompt, a seed or a name is refused before anything is sent; `--` sends any prompt."""

import json
import sqlite3
from pathlib import Path

import pytest

from reve_cli.inputs.foreign import problem
from reve_cli.sandbox import Sandbox
from tests.conftest import KEY, Reve

ODD = {
    "a fox --ar 16:9": "put options outside the quotes: --ar 16:9",
    "a fox --ar 16:9 --v 6": "'--v 6' (leave it out: Reve has nothing like it)",
    '--prompt "a fox" --negative_prompt "dogs"': "reve generate -- ",
    "a fox -s50 -S123": "--seed 123",
    "a fox -W512 -H768": "--ar W:H",
    "a fox -n 4": "--count 4",
    "a fox -o fox.png": "--out fox.png",
    "a fox --sandbox": "put options outside the quotes: --sandbox",
    "a fox --dry-run": "put options outside the quotes: --dry-run",
    "a fox \u2014ar 16:9": "--ar 16:9",
    "a fox --stylize 250 --chaos 10": "Reve has nothing like it",
    "a fox --zork 7": "Reve has nothing like it",
    "a fox seed=7": "--seed 7",
    "a fox --size 1024x1024": "--ar W:H",
    "a fox\nNegative prompt: dogs\nSteps: 20, Sampler: Euler a": "a parameter of another tool",
    "a fox <lora:fur:0.8>": "a parameter of another tool",
    '{"prompt": "a fox", "seed": 7}': "JSON",
    "null": "not filled in",
    "None": "not filled in",
    "$PROMPT": "not filled in",
    "{{ prompt }}": "not filled in",
    "help": "reve help generate",
    "batch": "reve help batch",
    "true": "take no value",
    "prompts.txt": "reve batch prompts.txt",
    "\u201cfox\u201d": "curly quotes",
    "\u201ca red fox\u201d": "curly quotes",
    "\u2013-ar": "long dash",
}
PLAIN = [
    "a fox -- running",
    "a well--known fox",
    "a red-brown fox, f/1.8, 16:9, at -5 degrees",
    'a sign that says "--help"',
    "a $5 bill, 100% cotton, {curly} braces",
    "an A-1 steak -- rare",
    "the \u201cfox\u201d of \u2018letters\u2019 \u2014 and more",
    "history of art",
    "a file named prompts.txt",
    "what = ever",
]


@pytest.mark.parametrize(("prompt", "said"), ODD.items())
def test_what_is_no_prompt_is_refused_and_two_hyphens_send_it(
    reve: Reve, sandbox: Sandbox, prompt: str, said: str
) -> None:
    result = reve("generate", prompt)
    assert (result.code, result.out) == (2, "")
    assert said in result.stderr
    assert not sandbox.requests
    assert reve("generate", "--no-wait", "--", prompt).code == 0
    assert [job.body["prompt"] for job in sandbox.jobs()] == [prompt]


@pytest.mark.parametrize("prompt", [each for each in ODD if problem(each)])
def test_a_prompt_from_a_file_or_a_pipe_is_looked_at_too(reve: Reve, sandbox: Sandbox, prompt: str) -> None:
    Path("prompt").write_text(prompt)
    for result in (reve("generate", "--prompt-file", "prompt"), reve("generate", "-", stdin=prompt.encode())):
        assert result.code == 2
        assert "reve generate -- " in result.stderr
    assert not sandbox.requests


@pytest.mark.parametrize("prompt", PLAIN)
def test_ordinary_prose_is_a_prompt(reve: Reve, sandbox: Sandbox, prompt: str) -> None:
    assert problem(prompt) == problem(prompt, in_batch=True) == ""
    assert reve("generate", prompt, "--no-wait").code == 0


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a fox --ar 16:9", "--ar 16:9, or a column aspectRatio"),
        ("a fox -S123", "--seed 123, or a column seed"),
        ("a fox --n 4", "--seeds 1-N"),
        ("a fox --size 512x512", "--ar W:H, or a column aspectRatio"),
    ],
)
def test_in_a_batch_the_column_is_named(prompt: str, said: str) -> None:
    assert said in problem(prompt, in_batch=True)


@pytest.mark.parametrize("line", [["generate", "a fox"], ["batch", "prompts.txt", "--out", "pics/"]], ids=" ".join)
def test_the_seed_minus_one_is_refused_unless_it_is_given_in_full(
    reve: Reve, sandbox: Sandbox, line: list[str]
) -> None:
    Path("prompts.txt").write_text("a fox\n")
    result = reve(*line, "--seed", "-1")
    assert result.code == 2
    assert "use --seed random" in result.stderr
    assert not sandbox.requests
    result = reve(*line, "--seed=-1")
    assert result.code == 0
    assert "seed -1 is sent as the number; --seed random chooses a random one" in result.stderr
    assert [job.body["reveParams"]["seed"] for job in sandbox.jobs()] == [-1]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (["generate", KEY], "the prompt"),
        (["generate", f"a fox {KEY}"], "the prompt"),
        (["generate", "--", KEY], "PROMPT"),
        (["generate", "-"], "the prompt"),
        (["generate", "--prompt-file", "key"], "the prompt"),
        (["generate", "a fox", "--once", KEY], "--once"),
        (["generate", "a fox", "--idempotency-key", KEY], "--idempotency-key"),
        (["generate", "a fox", "--out", KEY], "--out"),
        (["generate", "a fox", "--webhook-url", f"https://hook.example/{KEY}"], "--webhook-url"),
        (["batch", "prompts.txt", "--out", "pics/", "--run", KEY], "--run"),
        (["resume", KEY], "JOB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_api_key_in_place_of_another_value_is_neither_sent_nor_stored_nor_repeated(
    reve: Reve, sandbox: Sandbox, home: Path, line: list[str], name: str
) -> None:
    Path("prompts.txt").write_text("a fox\n")
    Path("key").write_text(KEY)
    result = reve(*line, stdin=KEY.encode())
    assert (result.code, result.out) == (2, "")
    assert f"{name} contains an API key" in result.stderr
    assert "replace the key" in result.stderr
    assert KEY not in result.stderr
    assert KEY not in json.dumps(reve(*[word for word in line if word != "--"], "--json", stdin=KEY.encode()).documents)
    assert not sandbox.requests
    for path in home.rglob("journal.db"):
        with sqlite3.connect(path) as database:
            assert KEY not in "".join(database.iterdump())
