"""Delivers webhooks: a thread that claims the rows that are due, and a thread for each try.

Jobs go on without a running process, but somebody must send. Each process that uses the folder delivers what is due
while it runs; a claim, which a killed process loses after a while, keeps two of them from sending the same row.

May import: sandbox (store, webhooks).
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from reve_cli.sandbox.store import Store
from reve_cli.sandbox.webhooks import TIMEOUT, Delivery

# Seconds between the tries of one event. The API documents none of these numbers.
GAPS = (1.0, 4.0)
_CLAIM_SECONDS = 2 * TIMEOUT
_POLL_SECONDS = 0.25  # between two looks for rows of other processes
_AT_ONCE = 16
_STOP_SECONDS = 5.0
_DRAIN_STEP = 0.02


@dataclass(eq=False)
class _Try:
    row: int
    tries: int
    delivery: Delivery
    connection: HTTPConnection | None = field(init=False)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.connection = self.delivery.connect()


class Outbox:
    """The webhooks of a folder, delivered until `stop`. clock: the sandbox's. cdn_url: the address in image URLs."""

    def __init__(self, store: Store, clock: Callable[[], float], cdn_url: str) -> None:
        self._store = store
        self._clock = clock
        self._cdn_url = cdn_url
        self._lock = threading.Lock()
        self._running: dict[_Try, threading.Thread] = {}
        self._woken = threading.Event()
        self._stopping = False
        self._sender = threading.Thread(target=self._send_all, name="sandbox-outbox", daemon=True)
        self._sender.start()

    def wake(self) -> None:
        """Look at the clock and for due rows now. Needed after a test's clock has moved."""
        self._woken.set()

    def drain(self, seconds: float) -> None:
        """Wait up to `seconds` until all events that become due in that time are delivered."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._store.has_deliveries(self._clock() + left):
            time.sleep(min(left, _DRAIN_STEP))

    def stop(self) -> None:
        """End every thread."""
        self._stopping = True
        self._woken.set()
        self._sender.join(_STOP_SECONDS)
        with self._lock:
            running = dict(self._running)
        for each, thread in running.items():
            _abort(each)
            thread.join(_STOP_SECONDS)

    def _send_all(self) -> None:
        while not self._stopping:
            self._woken.clear()
            with self._lock:
                running = list(self._running)
            for each in running:
                if time.monotonic() - each.began > TIMEOUT:
                    _abort(each)
            pause = self._pause() if len(running) < _AT_ONCE else _POLL_SECONDS
            due = None if pause else self._claim()
            if due is None:
                self._woken.wait(pause)
                continue
            thread = threading.Thread(target=self._try, args=(due,), name="sandbox-delivery", daemon=True)
            with self._lock:
                self._running[due] = thread
            thread.start()

    def _claim(self) -> _Try | None:
        """The next row that is due, claimed for this process. Claims are measured by real time."""
        now, real = self._clock(), time.time()
        with self._store.use() as database:
            found = database.execute(
                """SELECT id, tries, job, event, at, fault, argument FROM deliveries
                WHERE status = 'pending' AND due <= ? AND claimed_until <= ? ORDER BY due, id LIMIT 1""",
                (now, real),
            ).fetchone()
            if found is None:
                return None
            row, tries, job, event, at, fault, argument = found
            database.execute("UPDATE deliveries SET claimed_until = ? WHERE id = ?", (real + _CLAIM_SECONDS, row))
        record = self._store.get(job, at)
        return _Try(row, tries, Delivery(record, event, fault, argument)) if record else None

    def _pause(self) -> float:
        """Seconds until the next row is due, or until the next look for rows of other processes."""
        with self._store.use(write=False) as database:
            query = "SELECT min(due) FROM deliveries WHERE status = 'pending' AND claimed_until <= ?"
            (due,) = database.execute(query, (time.time(),)).fetchone()
        return _POLL_SECONDS if due is None else max(0.0, min(_POLL_SECONDS, due - self._clock()))

    def _try(self, it: _Try) -> None:
        delivered = False
        if it.connection is not None and not self._stopping:
            with suppress(OSError, HTTPException):
                delivered = it.delivery.send(it.connection, self._cdn_url)
            it.connection.close()
        self._note(it, delivered)
        with self._lock:
            del self._running[it]
        self._woken.set()

    def _note(self, it: _Try, delivered: bool) -> None:
        """Record a try. One that `stop` interrupted does not count."""
        tries = it.tries + (delivered or not self._stopping)
        status = "delivered" if delivered else "failed" if tries > len(GAPS) else "pending"
        gap = GAPS[tries - 1] if 0 < tries <= len(GAPS) else 0.0
        query = "UPDATE deliveries SET tries = ?, status = ?, due = max(due, ?), claimed_until = 0 WHERE id = ?"
        with self._store.use() as database:
            database.execute(query, (tries, status, self._clock() + gap, it.row))


def _abort(it: _Try) -> None:
    """End a try that takes too long, or whose sandbox stops."""
    sock = it.connection.sock if it.connection else None
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
