"""`reve webhook verify` and `reve webhook send`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from reve_cli.serving.signatures import sign
from tests.conftest import KEY, Reve
from tests.webhooks.conftest import Hook, payload

JOB = "4a0d477c-0000-4000-8000-000000000001"
BODY = payload("completed", JOB) + b"\r\n\xff"


def test_a_valid_signature_exits_with_0(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("webhook", "verify", "--signature", sign(BODY, KEY), stdin=BODY)
    assert (result.code, result.out) == (0, "valid (secret as bytes)\n")


@pytest.mark.parametrize(
    ("signature", "why"),
    [("", "hexadecimal"), ("sha256=12", "hexadecimal"), (sign(BODY + b"x", KEY), "does not match")],
)
def test_another_signature_exits_with_3_and_the_reason(reve: Reve, sandbox: Sandbox, signature: str, why: str) -> None:
    result = reve("webhook", "verify", "--signature", signature, "--json", stdin=BODY)
    assert (result.code, result.document["valid"]) == (3, False)
    assert why in result.stderr
    assert result.document["error"]["code"] == "bad_signature"


def test_headers_are_read_as_curl_prints_them(reve: Reve, sandbox: Sandbox) -> None:
    headers = (
        f"POST / HTTP/1.1\r\nhost: x\r\nx-webhook-signature:  {sign(BODY, KEY, 'hex')}\r\n\r\nX-Webhook-Signature: no"
    )
    Path("headers.txt").write_text(headers)
    result = reve("webhook", "verify", "--headers", "headers.txt", "--json", stdin=BODY)
    assert (result.code, result.document) == (0, {"valid": True, "verifiedAs": "hex", "error": None})


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ("Host: x\n", "no X-Webhook-Signature"),
        (f"X-Webhook-Signature: {sign(BODY, KEY)}\n" * 2, "2 X-Webhook-Signature"),
    ],
)
def test_missing_and_doubled_headers_are_not_valid(reve: Reve, sandbox: Sandbox, headers: str, why: str) -> None:
    Path("headers.txt").write_text(headers)
    result = reve("webhook", "verify", "--headers", "headers.txt", stdin=BODY)
    assert (result.code, why in result.stderr) == (3, True)


def test_a_body_over_one_mebibyte_is_not_valid(reve: Reve, sandbox: Sandbox) -> None:
    body = b"x" * ((1 << 20) + 1)
    result = reve("webhook", "verify", "--signature", sign(body, KEY), stdin=body)
    assert (result.code, "1 MiB" in result.stderr) == (3, True)


def test_verify_needs_a_key_and_one_source_of_the_signature(reve: Reve) -> None:
    assert reve("webhook", "verify", "--signature", "x", stdin=BODY).code == 3
    assert reve("webhook", "verify", stdin=BODY).code == 2
    assert reve("webhook", "verify", "--signature", "x", "--headers", "y", stdin=BODY).code == 2
    assert reve("webhook", "verify", "--headers", "missing.txt", stdin=BODY).code == 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_and_verify_agree(reve: Reve, sandbox: Sandbox) -> None:
    secret = subprocess.run(["openssl", "dgst", "-sha256"], input=KEY.encode(), capture_output=True, check=True)
    digest = secret.stdout.decode().split()[-1]
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{digest}"]
    signed = subprocess.run(command, input=BODY, capture_output=True, check=True).stdout.decode().split()[-1]
    assert reve("webhook", "verify", "--signature", signed, stdin=BODY).code == 0


# send


@pytest.mark.parametrize("hex_text", [[], ["--hex"]], ids=["", "hex"])
@pytest.mark.parametrize("event", ["completed", "failed", "progress"])
def test_an_event_that_was_sent_is_received(hook: Hook, sandbox: Sandbox, event: str, hex_text: list[str]) -> None:
    sent: list[int] = []

    def then() -> None:
        process = hook.reve.child("webhook", "send", event, "--to", hook.url, "--job", JOB, *hex_text)
        sent.append(process.code)

    result = hook.listen("--count", "1", "--json", then=then)
    assert sent == [0]
    document = result.document
    assert (document["event"], document["jobId"]) == (event, JOB)
    assert document["verifiedAs"] == ("hex" if hex_text else "bytes")


def test_a_tampered_event_is_refused_and_exits_with_6(hook: Hook, sandbox: Sandbox) -> None:
    codes: list[int] = []

    def then() -> None:
        tampered = hook.reve.child("webhook", "send", "completed", "--to", hook.url, "--tamper", "--json")
        codes.extend([tampered.code, tampered.document["answer"]])
        hook.event("progress", JOB)

    hook.listen("--count", "1", then=then)
    assert codes == [6, 401]


def test_the_bytes_of_a_file_are_sent_as_often_as_asked(hook: Hook, sandbox: Sandbox) -> None:
    Path("body.json").write_bytes(payload("completed", JOB) + b" \n")
    outputs: list[str] = []

    def then() -> None:
        options = ["--to", hook.url, "--body", "body.json", "--times", "3"]
        outputs.append(hook.reve.child("webhook", "send", "completed", *options).out)
        hook.event("progress", JOB.replace("1", "2"))

    documents = hook.listen("--count", "2", "--json", then=then).documents
    assert outputs == ["204\n" * 3]
    assert [document["duplicate"] for document in documents].count(True) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["complete", "--to", "http://127.0.0.1:9/"], 2),
        (["completed", "--to", "http://hooks.example.com/"], 2),
        (["completed", "--to", "hooks.example.com"], 2),
        (["completed"], 2),
        (["completed", "--to", "http://127.0.0.1:9/", "--body", "missing.json"], 2),
        (["completed", "--to", "http://127.0.0.1:9/", "--times", "0"], 2),
        (["completed", "--to", "http://127.0.0.1:9/", "--job", "x"], 2),
        (["completed", "--to", "http://127.0.0.1:9/"], 6),
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_named(reve: Reve, sandbox: Sandbox, options: list[str], code: int) -> None:
    result = reve("webhook", "send", *options)
    assert result.code == code, result.stderr
    assert KEY not in result.stderr
