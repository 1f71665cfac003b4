"""What a webhook answers to each request."""

import contextlib
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from reve_cli.journal.database import JournalError
from reve_cli.serving.answers import Answer
from reve_cli.serving.requests import Request
from reve_cli.serving.server import Server
from reve_cli.serving.signatures import sign
from reve_cli.webhooks.receiving import Delivery, Receiver
from tests.conftest import KEY, MadeUpClock
from tests.webhooks.conftest import payload

JOB = "4a0d477c-0000-4000-8000-000000000001"
BODY = payload("completed", JOB)


class Desk:
    """A receiver, what it stored and told, and what it said."""

    def __init__(self, *keys: str, path: str | None = "/", error: Exception | None = None) -> None:
        self.stored: list[bytes] = []
        self.told: list[Delivery] = []
        self.said: list[str] = []
        self.clock, self._error = MadeUpClock(), error
        self.receiver = Receiver(keys or (KEY,), path, self._store, self.told.append, self.said.append, self.clock)

    def _store(self, job: str, event: str, body: bytes, verified_as: str, received: float) -> bool:
        if self._error:
            raise self._error
        self.stored.append(body)
        return True

    def __call__(self, body: bytes = BODY, *more: tuple[str, str], method: str = "POST", target: str = "/") -> Answer:
        signed = any(name == "x-webhook-signature" for name, _ in more)
        headers = (*more, *(() if signed else (("x-webhook-signature", sign(body, KEY)),)))
        request = Request(method, target, headers, True, body)
        return self.receiver.refuse(request) or self.receiver.answer(request)


def test_a_signed_event_is_stored_before_it_is_answered() -> None:
    desk = Desk()
    assert (
        desk(BODY, ("content-type", "application/json"), ("x-webhook-event", "completed"), ("host", "x")).status == 204
    )
    assert desk.stored == [BODY]
    (told,) = desk.told
    assert (told.event.name, told.event.job, told.event.ends) == ("completed", JOB, True)
    assert [name for name, _ in told.headers] == ["content-type", "x-webhook-event", "x-webhook-signature"]


def test_an_event_that_cannot_be_stored_is_answered_with_503() -> None:
    desk = Desk(error=JournalError("disk full"))
    assert desk().status == 503
    assert not desk.told
    assert "disk full" in desk.said[0]


@pytest.mark.parametrize(
    ("more", "method", "target", "status"),
    [
        ((), "POST", "/other", 404),
        ((), "GET", "/other", 404),
        ((), "GET", "/", 405),
        ((), "OPTIONS", "/", 405),
        ((("origin", "https://a.example"),), "GET", "/", 405),
        ((("origin", "https://a.example"),), "POST", "/", 403),
        ((("origin", "null"), ("x-webhook-signature", "")), "POST", "/", 403),
        ((("x-webhook-signature", ""),), "POST", "/", 401),
        ((), "POST", "/?token=1", 204),
    ],
)
def test_what_is_wrong_is_answered_in_this_order(
    more: tuple[tuple[str, str], ...], method: str, target: str, status: int
) -> None:
    desk = Desk()
    answer = desk(BODY, *more, method=method, target=target)
    assert answer.status == status
    assert bool(desk.stored) == (status == 204)
    assert (answer.headers.get("Allow") == "POST") == (status == 405)


def test_without_a_path_any_path_is_served() -> None:
    assert Desk(path=None)(target="/hooks/reve").status == 204


def deep(levels: int) -> bytes:
    return b'{"event":"completed","jobId":"' + JOB.encode() + b'","result":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"completed"', 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b"{}", 400),
        (payload("completed", "not-a-job"), 400),
        (b'{"event":"completed"}', 400),
        (b'{"event":"completed","jobId":null}', 400),
        (b'{"event":"completed","jobId":["%s"]}' % JOB.encode(), 400),
        (b'{"jobId":"%s"}' % JOB.encode(), 400),
        (payload("", JOB), 400),
        (payload("x" * 41, JOB), 400),
        (payload("a\nb", JOB), 400),
        (deep(100_000), 400),
        (deep(100), 204),
        (payload("started", JOB), 204),
        (payload("completed", JOB.upper(), progress="much", error=7, result=3), 204),
        (payload("completed", JOB, result="https://images.example/1.png"), 204),
        (payload("completed", JOB, result={"images": [{"url": "https://images.example/1.png"}]}), 204),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_a_signed_body_of_another_form_is_refused(body: bytes, status: int) -> None:
    desk = Desk()
    assert desk(body).status == status
    assert bool(desk.told) == (status == 204)


@pytest.mark.parametrize("signatures", [[], ["sha256=" + "0" * 64], [sign(BODY, KEY)] * 2, [sign(BODY, "afk_other")]])
def test_an_event_that_is_not_signed_once_with_a_key_is_refused(signatures: list[str]) -> None:
    desk = Desk()
    request = Request("POST", "/", tuple(("x-webhook-signature", value) for value in signatures), True, BODY)
    assert desk.receiver.answer(request).status == 401
    assert not desk.stored


def test_refusals_are_told_once_in_ten_seconds_with_their_number() -> None:
    desk = Desk()
    for _ in range(5):
        desk(BODY, ("x-webhook-signature", ""))
    assert len(desk.said) == 1
    desk.clock.advance(11)
    desk(BODY, ("x-webhook-signature", ""))
    assert len(desk.said) == 2
    assert "(4 others before it)" in desk.said[1]


def test_no_refusal_shows_a_key_or_a_signature() -> None:
    desk = Desk()
    signature = sign(BODY, KEY, "hex")
    answer = desk(BODY + b" ", ("x-webhook-signature", signature))
    assert answer.status == 401
    for text in (answer.body.decode(), *desk.said):
        assert KEY not in text
        assert signature[7:] not in text


# Through a socket


@pytest.fixture
def served() -> Iterator[tuple[Server, Desk]]:
    desk = Desk()
    server = Server("desk", "127.0.0.1", 0, desk.receiver.answer, refuse=desk.receiver.refuse)
    server.start()
    yield server, desk
    server.stop()


def ask(server: Server, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def post(body: bytes, framed: bytes, *, signature: str | None = None, host: bytes = b"hooks.example.com") -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
    signed = (signature or sign(body, KEY)).encode()
    return head + b"X-Webhook-Event: completed\r\nX-Webhook-Signature: " + signed + b"\r\n" + framed


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def plain(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_tunnel_that_rechunks_the_body_and_changes_the_host_is_accepted(served: tuple[Server, Desk]) -> None:
    server, desk = served
    assert ask(server, post(BODY, chunked(BODY, 7), host=b"127.0.0.1:8787")).startswith(b"HTTP/1.1 204 ")
    assert desk.stored == [BODY]


def test_a_tunnel_that_writes_the_json_anew_is_refused_with_a_hint(served: tuple[Server, Desk]) -> None:
    server, desk = served
    anew = json.dumps(json.loads(BODY), indent=1).encode()
    assert ask(server, post(anew, plain(anew), signature=sign(BODY, KEY))).startswith(b"HTTP/1.1 401 ")
    assert "rewrites JSON" in desk.said[0]


@pytest.mark.parametrize("frame", [plain, lambda body: chunked(body, 65536)], ids=["plain", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(1 << 20, b"204"), ((1 << 20) + 1, b"413")])
def test_a_body_over_one_mebibyte_is_refused(
    served: tuple[Server, Desk], frame: Callable[[bytes], bytes], size: int, status: bytes
) -> None:
    body = BODY[:-1] + b" " * (size - len(BODY)) + b"}"
    assert ask(served[0], post(body, frame(body))).startswith(b"HTTP/1.1 " + status)


def test_two_events_on_one_connection_are_both_answered(served: tuple[Server, Desk]) -> None:
    server, desk = served
    assert ask(server, post(BODY, plain(BODY)) * 2).count(b"HTTP/1.1 204 ") == 2
    assert len(desk.stored) == 2


def test_expect_and_http_1_0_are_served(served: tuple[Server, Desk]) -> None:
    server, _ = served
    expecting = post(BODY, b"Expect: 100-continue\r\n" + plain(BODY))
    assert ask(server, expecting).startswith(b"HTTP/1.1 100 ")
    old = post(BODY, plain(BODY)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert ask(server, old).startswith(b"HTTP/1.1 204 ")


def test_no_mutated_request_is_accepted_unless_its_signature_fits(served: tuple[Server, Desk], full: bool) -> None:
    server, desk = served
    rng = random.Random(None if full else 3)  # noqa: S311 (mutations, not secrets)
    good = post(BODY, plain(BODY))
    threads_before = threading.active_count()
    for _ in range(20_000 if full else 150):
        mutated = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(mutated))
            match rng.randrange(3):
                case 0:
                    mutated[place] = rng.randrange(256)
                case 1:
                    del mutated[place : place + rng.randint(1, 20)]
                case _:
                    mutated[place:place] = rng.randbytes(rng.randint(1, 20))
        with contextlib.suppress(ConnectionError):
            ask(server, bytes(mutated))
        assert set(desk.stored) <= {BODY}
    assert threading.active_count() <= threads_before + 2
