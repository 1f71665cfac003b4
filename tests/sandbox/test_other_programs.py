"""Other programs use the sandbox as they would use the API: their HTTP clients send bodies of unknown length."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox

BODY = '{"prompt": "a red fox \\u00e4", "model": "reve-create"}'
FETCH = """
const [url, key, body] = process.argv.slice(1);
const stream = new ReadableStream({
    async start(controller) {
        for (const part of [body.slice(0, 9), body.slice(9)]) {
            controller.enqueue(new TextEncoder().encode(part));
            await new Promise(setImmediate);
        }
        controller.close();
    },
});
const headers = { "X-API-Key": key, "Content-Type": "application/json" };
fetch(`${url}/v2/images/generate`, { method: "POST", headers, body: stream, duplex: "half" })
    .then((answer) => answer.text())
    .then(console.log);
"""


@pytest.mark.parametrize("program", ["node", "curl"])
def test_a_job_can_be_submitted_with_a_streamed_body(live: Sandbox, tmp_path: Path, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"no {program} here")
    curl = [
        "curl", "-sS", "--noproxy", "*", f"{live.url}/v2/images/generate", "-H", f"X-API-Key: {live.key}",
        "-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-",
    ]  # fmt: skip
    command = curl if program == "curl" else ["node", "-e", FETCH, live.url, live.key, BODY]
    done = subprocess.run(command, input=BODY.encode(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (job,) = live.jobs()
    assert json.loads(done.stdout)["jobId"] == job.id
    assert job.body == json.loads(BODY)
    assert live.requests[0].headers["transfer-encoding"] == "chunked"
