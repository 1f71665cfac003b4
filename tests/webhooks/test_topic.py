"""The topic `webhooks`: its commands work, and its programs agree with reve about signatures."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reve_cli.help.topics import text
from reve_cli.sandbox import Sandbox
from reve_cli.serving.signatures import sign
from tests.conftest import KEY, Reve
from tests.webhooks.conftest import Hook
from tests.webhooks.test_ear import when_it_has_ended

TEXT = text("webhooks")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BODY = '{"event":"completed","prompt":"ä fox"}\n'.encode()
GO = """package main

import ("crypto/hmac"; "crypto/sha256"; "encoding/hex"; "io"; "os")

%s
func main() {
	body, _ := io.ReadAll(os.Stdin)
	if !isValid(body, os.Args[1], os.Args[2]) { os.Exit(1) }
}
"""


def program(language: str) -> list[str]:
    """The command that runs the topic's function for a body on stdin, a signature and a key; exits with 1 or 0."""
    (code,) = (block for tag, block in BLOCKS if tag == language)
    if language == "python":
        Path("check.py").write_text(
            f"{code}\nimport sys\nsys.exit(not is_valid(sys.stdin.buffer.read(), *sys.argv[1:]))"
        )
        return [sys.executable, "check.py"]
    if language == "js":
        Path("check.js").write_text(
            f'{code}\nconst body = require("node:fs").readFileSync(0);\n'
            "process.exit(isValid(body, process.argv[2], process.argv[3]) ? 0 : 1);"
        )
        return ["node", "check.js"]
    Path("check.go").write_text(GO % code)
    return ["go", "run", "check.go"]


@pytest.mark.parametrize(("language", "tool"), [("python", sys.executable), ("js", "node"), ("go", "go")])
def test_the_programs_check_signatures_as_reve_does(language: str, tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    command, right = program(language), sign(BODY, KEY)
    for body, signature, code in (
        (BODY, right, 0),
        (BODY + b" ", right, 1),
        (BODY, right[:-1] + ("0" if right[-1] != "0" else "1"), 1),
        (BODY, "", 1),
    ):
        done = subprocess.run([*command, signature, KEY], input=body, capture_output=True, check=False)
        assert done.returncode == code, done.stderr


def commands(block: str) -> list[list[str]]:
    """The commands of a block, without `reve` and `&`."""
    lines = block.replace("\\\n", "").splitlines()
    return [[word for word in shlex.split(line)[1:] if word != "&"] for line in lines]


def test_the_command_for_a_tunnel_works(hook: Hook, slow: Sandbox) -> None:
    ((generate,), _) = (commands(block) for tag, block in BLOCKS if tag == "text")
    at = {"8787": str(hook.port), generate[-1]: hook.url}
    thread = when_it_has_ended(slow, lambda job: hook.event("completed", job))
    result = hook.reve.child(*(at.get(word, word) for word in generate))
    thread.join()
    assert result.code == 0, result.stderr
    assert Path("fox.png").is_file()


def test_the_commands_for_a_server_work(hook: Hook, sandbox: Sandbox) -> None:
    (_, (listen, generate)) = (commands(block) for tag, block in BLOCKS if tag == "text")
    job = hook.reve(*generate).out.strip()
    hook.reve.clock.advance(60)
    path = listen[listen.index("--path") + 1]
    assert generate[-1].endswith(path)
    body = b'{"event":"completed","jobId":"%s"}' % job.encode()
    post = lambda: hook.post(body, {"X-Webhook-Signature": sign(body, KEY)}, path=path)  # noqa: E731
    result = hook.listen(*listen[2:], "--count", "1", then=post)
    assert result.code == 0, result.stderr
    assert Path("fox.png").is_file()


def test_doctor_checks_the_port(reve: Reve, hook: Hook, sandbox: Sandbox) -> None:
    found = {one["check"]: one for one in reve("doctor", "--listen", str(hook.port), "--json").documents}
    assert found["port"]["status"] == "ok"
    found = {one["check"]: one for one in reve("doctor", "--listen", "192.0.2.1:8787", "--json").documents}
    assert found["port"]["status"] == "problem"
