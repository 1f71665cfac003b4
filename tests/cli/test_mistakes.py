"""Mistyped command lines: each names the mistake and the right way in one line, exits with 2, and sends nothing."""

import shlex
from pathlib import Path

import pytest

from reve_cli.core.suggest import did_you_mean
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

JOB = "01234567-89ab-cdef-0123-456789abcdef"
LINES = {
    # Commands
    'gen "a fox"': "use reve generate",
    'gnerate "a fox"': "Did you mean 'generate'?",
    'Generate "a fox"': "use reve generate",
    "login": "use reve auth login",
    "logout": "use reve auth logout",
    "whoami": "use reve account",
    "credits": "use reve account",
    "balance": "use reve account",
    "list": "use reve history",
    "ls": "use reve history",
    "log": "use reve history",
    "info": "use reve show",
    "redo": "use reve rerun",
    "album": "use reve gallery",
    "version": "use reve --version",
    'run "a fox"': "use reve generate",
    'create "a fox"': "use reve generate",
    'image "a fox"': "use reve generate",
    'imagine "a fox"': "use reve generate",
    "pull": "use reve download",
    "ps": "use reve jobs",
    "price": "use reve model",
    "settings": "use reve config list",
    "retry": "use reve resume",
    "cancel": "use reve resume --abandon JOB",
    "completion": "use reve --show-completion SHELL",
    "gen": "use reve generate",
    "create": "use reve generate",
    "image": "use reve generate",
    "zzz": "reve --help lists the commands",
    '"a red fox"': 'reve generate "a red fox"',
    "a red fox": 'reve generate "a red fox"',
    '"a red fox" --seed 1': 'reve generate "a red fox"',
    "\u201ca red fox\u201d": 'use straight ones: reve generate "a red fox"',
    "prompts.txt": "reve batch prompts.txt",
    JOB: f"reve status {JOB}",
    "auth whoami": "use reve auth status",
    "auth token": "use reve auth login",
    "auth xyz": "the commands are login, status, logout",
    "config show": "use reve config list",
    "config edit": "use reve config set",
    "history fox": "use reve history --search fox",
    "history shwo": "Did you mean 'show'?",
    "history inspect": "use reve history show",
    f"history {JOB}": f"use reve history show {JOB}",
    "sandbox start": "use reve sandbox serve",
    # Before the command
    '--out x.png generate "a fox"': "put options after it: reve COMMAND --out",
    '--timeout 5 generate "a fox"': "put options after it",
    "--sandbox": "put options after it",
    '--sandbox "a red fox"': 'reve generate "a red fox"',
    "--quiet gnerate fox": "Did you mean 'generate'?",
    "-v": "use --version",
    "--completion bash": "use --show-completion SHELL",
    # Options of other tools
    'generate "a fox" --size 1024x1024': "use --ar W:H for the shape",
    'generate "a fox" --width 512': "use --ar W:H for the shape",
    'generate "a fox" --height=512': "use --ar W:H for the shape",
    'generate "a fox" -W 512': "use --ar W:H for the shape",
    'generate "a fox" --quality hd': "--quality takes a whole number, not 'hd'",
    'generate "a fox" --steps 20': "Reve has nothing like it",
    'generate "a fox" --cfg-scale 7': "Reve has nothing like it",
    'generate "a fox" --style anime': "Reve has nothing like it",
    'generate "a fox" --n 4': "use --count N",
    'generate "a fox" --num 4': "use --count N",
    'generate "a fox" --num-images 4': "use --count N",
    'generate "a fox" --num_images 4': "use --count N",
    'generate "a fox" --output x.png': "use --out PATH",
    'generate "a fox" --output-dir x': "use --out FOLDER/",
    'generate "a fox" --format png': "use --out NAME.png",
    'generate "a fox" --negative-prompt dogs': "Reve has no negative prompt",
    'generate --prompt "a fox"': 'reve generate "a fox"',
    'generate -p "a fox"': 'reve generate "a fox"',
    'generate --api-key K "a fox"': "use APIFRAME_API_KEY or --api-key-file: a key is never an argument",
    'generate "a fox" --verbose': "use --debug",
    'generate "a fox" --overwrite': "use --force",
    'generate "a fox" -f': "use --force",
    'generate "a fox" --async': "use --no-wait",
    'generate "a fox" --parallel 4': "use --count N",
    'generate "a fox" -j 4': "use --count N",
    'generate "a fox" --mock': "use --sandbox",
    'generate "a fox" --dryrun': "use --dry-run",
    'generate "a fox" --silent': "use --quiet",
    'generate "a fox" --max-cost 4': "use --max-credits N",
    'generate "a fox" --input p.txt': "use --prompt-file PATH",
    'generate "a fox" --image x.png': "Reve makes images from text",
    'generate "a fox" --base-url http://x': "use APIFRAME_BASE_URL",
    "batch a.txt --count 4": "use --seeds 1-4",
    "batch --count 4": "use --seeds 1-4",
    "batch a.txt -j 4": "use --concurrency N",
    "batch a.txt --parallel 4": "use --concurrency N",
    "batch a.txt --workers 4": "use --concurrency N",
    'batch "a fox"': 'reve generate "a fox"',
    "batch a.txt b.txt": "cat FILE... | reve batch -",
    "resume --all": "reve resume takes all unfinished jobs",
    # Spelling and hyphens
    'generate "a fox" --sed 1': "Did you mean '--seed'?",
    'generate "a fox" --sandbx': "Did you mean '--sandbox'?",
    'generate "a fox" --sand': "Did you mean '--sandbox'?",
    'generate "a fox" -seed 1': "use two hyphens: --seed",
    'generate "a fox" -ar 16:9': "use two hyphens: --ar",
    'generate "a fox" -json': "use two hyphens: --json",
    'generate "a fox" -out': "use two hyphens: --out",
    'generate "a fox" -out x.png': "use two hyphens: --out",
    'generate "a fox" -output=x.png': "use two hyphens: --out",
    'generate "a fox" -o=x.png': "use -o x.png or --out=x.png",
    'generate "a fox" -n=4': "use -n 4 or --count=4",
    'generate "a fox" --sandbox=true': "'--sandbox' does not take a value",
    'generate "a fox" \u2013-ar 16:9': "options begin with two hyphens: --ar",
    'generate "a fox" \u2014sandbox': "options begin with two hyphens: --sandbox",
    'generate \u2013-ar 16:9 "a fox"': "options begin with '--'",
    "generate \u201ca red fox\u201d": "use straight ones",
    # Words and values
    "generate a red fox": 'put quotes around the prompt: reve generate "a red fox"',
    'generate "a fox" 16:9': "for the shape: --ar 16:9",
    'generate "a fox" fox.png': "for the file: --out fox.png",
    'generate "a fox" seed=7': "options begin with two hyphens",
    'generate "a fox --ar 16:9"': "put options outside the quotes: --ar 16:9",
    "generate help": "reve help generate",
    "generate prompts.txt": "reve batch prompts.txt",
    'generate "a fox" --sandbox false': "unexpected 'false'",
    "generate --sandbox false": "take no value",
    'generate "a fox" -o --dry-run': "'--dry-run' is an option (for a file of that name: ./--dry-run)",
    'generate "a fox" --once --sandbox': "--once needs a value",
    'generate "a fox" --model-version --dry-run': "--model-version needs a value",
    'generate "a fox" --idempotency-key --dry-run': "--idempotency-key needs a value",
    'generate "a fox" -n2 --out -q': "--out needs a value; '-q' is an option",
    'generate "a fox" --ar 16x9': "Did you mean '16:9'?",
    'generate "a fox" --ar square': "Did you mean '1:1'?",
    'generate "a fox" --ar 1920x1080': "Did you mean '16:9'?",
    'generate "a fox" --ar portrait': "Did you mean '9:16'?",
    'generate "a fox" --seed -1': "use --seed random",
    'generate "a fox" --seed rand': '"random"',
    'generate "a fox" --count four': "--count takes a whole number, not 'four'",
    'generate "a fox" --count 0': "--count takes a whole number from 1 to 100, not 0",
    "history --limit=-1": "--limit takes a whole number, at least 0, not -1",
    "history --state done": "Did you mean 'saved'?",
    "history --state running": "Did you mean 'unfinished'?",
    "jobs --status done": "Did you mean 'COMPLETED'?",
    "jobs fox": "reve status JOB",
    "account me": "takes no arguments",
    "config set ar 16:9": "Did you mean 'aspect_ratio'?",
    "help generat": "Did you mean 'generate'?",
}


@pytest.mark.parametrize(("line", "said"), LINES.items())
def test_a_mistyped_line_is_told_the_right_one(reve: Reve, sandbox: Sandbox, line: str, said: str) -> None:
    Path("a.txt").write_text("a fox\n")
    words = shlex.split(line)
    result = reve(*words)
    assert (result.code, result.out) == (2, "")
    first, *others = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert len(others) <= 1
    assert not sandbox.requests


def test_there_are_more_than_a_hundred_lines() -> None:
    assert len(LINES) > 100


@pytest.mark.parametrize("word", ["zebra", "out", "xyzzy"])
def test_nothing_is_suggested_if_nothing_is_near(word: str) -> None:
    assert did_you_mean(word, ["generate", "wait", "--count", "abandoned"]) == ""


@pytest.mark.parametrize("flag", ["--json", "--quiet", "-q", "--debug", "--sandbox"])
def test_a_common_flag_also_works_before_the_command(reve: Reve, sandbox: Sandbox, flag: str) -> None:
    before, after = reve(flag, "model", "reve-create"), reve("model", "reve-create", flag)
    assert (before.code, before.out) == (after.code, after.out) == (0, after.out)
    before, after = reve(flag, "config", "get", "timeout"), reve("config", "get", "timeout", flag)
    assert (before.code, before.out) == (after.code, after.out) == (0, after.out)


def test_the_sandbox_flag_before_the_command_keeps_from_paying(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("--json", "--sandbox", "generate", "a fox", "--no-wait")
    assert (result.code, result.document["simulated"]) == (0, True)
    assert not sandbox.requests


def test_a_command_without_json_refuses_it_before_the_command_too(reve: Reve) -> None:
    result = reve("--json", "help", "json")
    assert (result.code, result.document["error"]["code"]) == (2, "usage")


def test_completion_follows_a_flag_before_the_command(reve: Reve) -> None:
    result = reve("--sandbox", "generate", env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": "--se"})
    assert result.out.split("\t")[0] == "--seed"


def test_the_short_option_prints_the_version(reve: Reve) -> None:
    assert reve("-V").out == reve("--version").out


@pytest.mark.parametrize(
    ("key", "strip"),
    [
        ("'afk_0123456789'", "remove the quotes around it"),
        ('"afk_0123456789"', "remove the quotes around it"),
        ("\u201cafk_0123456789\u201d", "remove the quotes around it"),
        ("Bearer afk_0123456789", "remove 'Bearer' before it"),
        ("bearer: afk_0123456789", "remove 'bearer:' before it"),
        ("APIFRAME_API_KEY=afk_0123456789", "remove 'APIFRAME_API_KEY=' before it"),
        ("export APIFRAME_API_KEY='afk_0123456789'", "remove 'export APIFRAME_API_KEY=' before it, and the quotes"),
        ("X-API-Key: afk_0123456789", "remove 'X-API-Key:' before it"),
    ],
)
def test_a_key_with_something_around_it_is_told_what_to_strip(
    reve: Reve, sandbox: Sandbox, key: str, strip: str
) -> None:
    result = reve("generate", "a fox", env={"APIFRAME_API_KEY": key})
    assert (result.code, result.out) == (3, "")
    assert strip in result.stderr.splitlines()[0]
    assert "0123456789" not in result.stderr
    assert not sandbox.requests


@pytest.mark.parametrize("command", ["status", "wait", "download"])
def test_an_unknown_job_may_be_another_accounts_or_the_sandboxs(reve: Reve, sandbox: Sandbox, command: str) -> None:
    result = reve(command, JOB)
    assert result.code == 8
    assert "another account" in result.stderr
    assert "--sandbox finds the sandbox's jobs, and only those" in result.stderr
