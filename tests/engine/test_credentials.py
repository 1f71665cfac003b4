"""Images with a real manifest of Content Credentials, made with c2pa-python, still verify after reve saved them."""

import datetime
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.pictures import metadata
from reve_cli.pictures.provenance import SOURCE_TYPE
from tests.api.test_download import JOB, saved
from tests.conftest import Reve

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")

ACTION = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
MANIFEST = {
    "claim_generator_info": [{"name": "a test", "version": "1"}],
    "assertions": [{"label": "c2pa.actions", "data": {"actions": [ACTION]}}],
}
KINDS = ("png", "jpeg", "webp")


def signer() -> Any:
    """Signs with a new certificate of a new authority."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(name: str, key: Any, *extensions: Any) -> bytes:
        subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)]) for who in (name, "root"))
        unsigned = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        unsigned = unsigned.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        for extension in extensions:
            unsigned = unsigned.add_extension(extension, not isinstance(extension, x509.ExtendedKeyUsage))
        of_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
        made = unsigned.add_extension(of_root, False).sign(root, hashes.SHA256())
        return bytes(made.public_bytes(serialization.Encoding.PEM))

    def usage(*, signs: bool) -> Any:
        return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)

    email = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
    chain = certificate("leaf", leaf, x509.BasicConstraints(False, None), usage(signs=True), email)
    chain += certificate("root", root, x509.BasicConstraints(True, None), usage(signs=False))
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, leaf.private_bytes(pem, pkcs8, plain), None))


@pytest.fixture(scope="module")
def signed() -> Callable[[str], bytes]:
    """A picture of a kind, with a manifest."""
    by = signer()

    def make(kind: str) -> bytes:
        plain, result = io.BytesIO(), io.BytesIO()
        pil.new("RGB", (64, 48), "red").save(plain, kind)
        with c2pa.Builder(json.dumps(MANIFEST)) as builder:
            builder.sign(by, f"image/{kind}", plain, result)
        return result.getvalue()

    return make


def state(path: str, kind: str) -> str:
    """What c2pa-python says of the manifest of a file."""
    with open(path, "rb") as file, c2pa.Reader(f"image/{kind}", file) as reader:
        return str(json.loads(reader.json())["validation_state"])


@pytest.mark.parametrize("kind", KINDS)
def test_content_credentials_still_verify_after_saving(reve: Reve, signed: Callable[[str], bytes], kind: str) -> None:
    data = signed(kind)
    result = saved(reve, data, f"image/{kind}", "download", JOB, "--out", "fox.{ext}", "--json")
    (file,) = result.document["files"]
    assert file["sha256"] == file["downloadedSha256"] == hashlib.sha256(data).hexdigest()
    assert state(file["path"], kind) == "Valid"
    assert Path(f"{file['path']}.json").exists()
    found = metadata.read(file["path"])
    assert found is not None
    assert found.job_id == JOB


def test_a_changed_image_does_not_verify(signed: Callable[[str], bytes]) -> None:
    data = signed("png")
    Path("fox.png").write_bytes(data[:33] + b"\0\0\0\x04tEXta\0bc\xf2\xcb\x2c\x04" + data[33:])
    assert state("fox.png", "png") == "Invalid"


def test_a_conversion_says_that_it_removes_content_credentials(reve: Reve, signed: Callable[[str], bytes]) -> None:
    result = saved(reve, signed("png"), "image/png", "download", JOB, "--out", "fox.jpg")
    assert result.code == 0
    assert "warning: fox.jpg is converted, so it has lost its Content Credentials" in result.stderr
