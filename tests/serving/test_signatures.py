"""Signatures of webhooks, compared with those that openssl makes."""

import random
import shutil
import subprocess

import pytest

from reve_cli.serving.signatures import BadSignature, Derivation, sign, verify

KEY = "afk_test_0123456789abcdef"
BODY = b'{"event":"completed","jobId":"4a0d477c-0000-4000-8000-000000000001"}'
# printf %s "$KEY" | openssl dgst -sha256
# printf %s "$BODY" | openssl dgst -sha256 -mac HMAC -macopt hexkey:<those hex digits>     (bytes)
# printf %s "$BODY" | openssl dgst -sha256 -hmac <those hex digits>                        (hex)
BY_BYTES = "485a57abdaaa5828b70768760615335882b043fae46ebb80c0ed55c7997c08ad"
BY_HEX = "e5c2c87aece3687566c9824966f4fb0e02b1f33517a5a0d4e739ad5b19349cfe"


def openssl(*arguments: str, stdin: bytes) -> str:
    done = subprocess.run(["openssl", "dgst", "-sha256", *arguments], input=stdin, capture_output=True, check=True)
    return done.stdout.decode().split()[-1]


def test_both_kinds_of_secret_are_accepted() -> None:
    assert verify(BODY, [f"sha256={BY_BYTES}"], [KEY]) == "bytes"
    assert verify(BODY, [f"sha256={BY_HEX}"], [KEY]) == "hex"
    assert sign(BODY, KEY) == f"sha256={BY_BYTES}"
    assert sign(BODY, KEY, "hex") == f"sha256={BY_HEX}"


@pytest.mark.parametrize(
    "written", [BY_BYTES, BY_BYTES.upper(), f"sha256={BY_BYTES.upper()}", f" \tsha256={BY_BYTES} "]
)
def test_the_prefix_the_case_and_blanks_around_do_not_matter(written: str) -> None:
    assert verify(BODY, [written], [KEY]) == "bytes"


@pytest.mark.parametrize("keys", [[KEY, "afk_new"], ["afk_new", KEY]])
def test_any_of_the_keys_may_have_signed(keys: list[str]) -> None:
    assert verify(BODY, [BY_BYTES], keys) == "bytes"


@pytest.mark.parametrize(
    ("signatures", "why"),
    [
        ([], "it has no X-Webhook-Signature header"),
        ([BY_BYTES, BY_BYTES], "it has 2 X-Webhook-Signature headers"),
        ([""], "64 hexadecimal digits"),
        (["sha256="], "64 hexadecimal digits"),
        (["sha1=" + BY_BYTES], "64 hexadecimal digits"),
        ([BY_BYTES[:-1]], "64 hexadecimal digits"),
        ([BY_BYTES + "00"], "64 hexadecimal digits"),
        ([BY_BYTES + "\n"], "64 hexadecimal digits"),
        ([f"sha256=sha256={BY_BYTES}"], "64 hexadecimal digits"),
        ([f"{BY_BYTES}, {BY_BYTES}"], "64 hexadecimal digits"),
        (["\u0661" * 64], "64 hexadecimal digits"),
        (["0" * 64], "does not match"),
        ([BY_BYTES[::-1]], "does not match"),
    ],
    ids=repr,
)
def test_another_signature_is_refused_with_the_reason(signatures: list[str], why: str) -> None:
    with pytest.raises(BadSignature, match=why):
        verify(BODY, signatures, [KEY])


def test_a_refusal_shows_no_key_and_no_signature() -> None:
    with pytest.raises(BadSignature) as refusal:
        verify(BODY, ["0" * 64], [KEY])
    assert KEY not in str(refusal.value)
    assert "0000" not in str(refusal.value)


@pytest.mark.parametrize("place", range(len(BODY)))
def test_one_changed_byte_is_refused(place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    with pytest.raises(BadSignature):
        verify(changed, [BY_BYTES], [KEY])


def test_without_a_key_nothing_is_valid() -> None:
    with pytest.raises(BadSignature):
        verify(BODY, [BY_BYTES], [])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_signs_random_bodies_and_keys_alike(full: bool) -> None:
    rng = random.Random(None if full else 12)  # noqa: S311
    for _ in range(2000 if full else 20):
        key = "afk_" + rng.randbytes(rng.randint(1, 60)).hex()
        body = rng.randbytes(rng.choice((0, 1, 63, 64, 65, rng.randint(0, 5000))))
        digest = openssl(stdin=key.encode())
        derivation: Derivation = rng.choice(("bytes", "hex"))
        secret = ["-mac", "HMAC", "-macopt", f"hexkey:{digest}"] if derivation == "bytes" else ["-hmac", digest]
        signature = openssl(*secret, stdin=body)
        assert verify(body, [signature], ["afk_another", key]) == derivation
