"""How the API signs a webhook: HMAC-SHA256 of the body's bytes, in hex, in one header. Pure functions.

The secret is the SHA-256 of the API key. The vendor's SDK uses its 32 bytes, other programs its hex text: both count.

May import: nothing of ours.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

HEADER = "X-Webhook-Signature"
EVENT_HEADER = "X-Webhook-Event"
PREFIX = "sha256="
Derivation = Literal["bytes", "hex"]
"""The form of the SHA-256 of the key that is the secret."""
_HEX = re.compile(rf"(?:{PREFIX})?([0-9a-fA-F]{{64}})")


class BadSignature(ValueError):
    """A body is not signed with any of the keys. The message says why, and holds no signature and no key."""


def sign(body: bytes, key: str, derivation: Derivation = "bytes") -> str:
    """The value of the header for `body`, signed with an API key."""
    return sign_by_hash(body, hashlib.sha256(key.encode()).digest(), derivation)


def sign_by_hash(body: bytes, key_hash: bytes, derivation: Derivation = "bytes") -> str:
    """The same, for callers that have only the SHA-256 of the API key."""
    return PREFIX + hmac.new(_secret(key_hash, derivation), body, hashlib.sha256).hexdigest()


def verify(body: bytes, signatures: Sequence[str], keys: Sequence[str]) -> Derivation:
    """How `body` is signed. Raises BadSignature.

    body: as received. signatures: the values of all headers called `HEADER`; only a single one is valid, with or
    without `sha256=`, in upper or lower case. keys: API keys, any of which may have signed.

    Every key is tried in both ways, each compared in constant time, so the time it takes reveals nothing.
    """
    if len(signatures) != 1:
        raise BadSignature(f"it has {len(signatures)} {HEADER} headers" if signatures else f"it has no {HEADER} header")
    found = _HEX.fullmatch(signatures[0].strip(" \t"))
    if found is None:
        raise BadSignature(f"its {HEADER} header is not sha256= followed by 64 hexadecimal digits")
    given = bytes.fromhex(found[1])
    matches: list[Derivation] = []
    for key in keys:
        key_hash = hashlib.sha256(key.encode()).digest()
        for derivation in ("bytes", "hex"):
            signed = hmac.digest(_secret(key_hash, derivation), body, "sha256")
            matches += [derivation] * hmac.compare_digest(signed, given)
    if not matches:
        raise BadSignature("its signature does not match its body and the API key")
    return matches[0]


def _secret(key_hash: bytes, derivation: Derivation) -> bytes:
    return key_hash if derivation == "bytes" else key_hash.hex().encode()
