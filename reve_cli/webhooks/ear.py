"""`--listen` in commands that wait for jobs: events wake their engine, which then polls rarely.

If another reve of the same user already listens on the port, reads its events from the journal.
May import: webhooks, runtime, engine, journal.states, serving, core.
"""

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

from reve_cli.core.errors import ReveError
from reve_cli.journal.states import CLOSED
from reve_cli.webhooks.events import Event, read_event
from reve_cli.webhooks.ports import PortTaken, is_held, read_address, signing_keys, take_port
from reve_cli.webhooks.receiving import Delivery, Receiver

if TYPE_CHECKING:
    from reve_cli.engine.engine import Engine
    from reve_cli.runtime import Runtime
    from reve_cli.serving.server import Server

# Seconds between two looks at another listener's events. At every `_CHECK_LOOKS`-th look, whether it still listens.
_LOOK_SECONDS, _CHECK_LOOKS = 0.25, 8


class Ear:
    """Receives events on a port while a command runs, and tells its engine."""

    def __init__(self, run: "Runtime", address: str) -> None:
        """Bind the port. address: `[HOST:]PORT`. Raises `ReveError` (code `usage`)."""
        self._run, (self._host, self._port) = run, read_address(address)
        self._engine: Engine
        self._server: Server | None = None
        self._ended = threading.Event()
        # Job and name of the events that were stored, as no job of this command's was known to be theirs.
        self._stored: list[tuple[str, str]] = []
        clock = run.process.clock
        self._receiver = Receiver(signing_keys(run), None, self._store, self._told, self._warn, clock)
        run.resources.callback(self._ended.set)
        try:
            self._bind()
        except PortTaken:
            if not is_held(run.state, self._port):
                raise
        if self._server is None:
            run.output.note(f"another reve listens on port {self._port}: reading its events")

    def attach(self, engine: "Engine") -> None:
        """From now on, tell `engine` about events."""
        self._engine = engine
        engine.waiting.listens = True
        journal = engine.ledger.journal
        self._run.resources.callback(self._close)
        if self._server is not None:
            self._server.start()
        elif journal is not None:
            threading.Thread(target=self._watch, args=(journal.events.last(),), daemon=True).start()

    def _bind(self) -> None:
        self._server = take_port(self._run, self._host, self._port, self._receiver)

    # In other threads

    def _store(self, job: str, event: str, body: bytes, verified_as: str, received: float) -> bool:
        """Store an event that another command may need. This command's jobs, and saved ones, do without."""
        journal = self._engine.ledger.journal
        if journal is None or self._engine.waiting.has_task(job):
            return True
        row = journal.by_job([job]).get(job)
        if row is not None and row.state in CLOSED:
            return False
        self._stored.append((job, event))
        return journal.events.add(job, event, body, verified_as, received)

    def _told(self, delivery: Delivery) -> None:
        self._run.inbox.put(lambda: self._hear(delivery.event))

    def _warn(self, text: str) -> None:
        self._run.inbox.put(lambda: self._run.output.warn(text))

    def _watch(self, last: int) -> None:
        """Read the events that another process stores. When that process has ended, listen on the port."""
        looks = 0
        while not self._ended.wait(_LOOK_SECONDS):
            journal = self._engine.ledger.journal
            if journal is None:
                return
            with contextlib.suppress(ReveError, ValueError):
                for stored in journal.events.since(last):
                    last = stored.id
                    event = read_event(stored.body) if stored.body else Event(stored.event, stored.job)
                    self._run.inbox.put(partial(self._hear, event))
            looks += 1
            if looks % _CHECK_LOOKS == 0 and not is_held(self._run.state, self._port):
                with contextlib.suppress(ReveError):
                    self._bind()
                    assert self._server is not None
                    self._server.start()
                    return

    # In the main thread

    def _close(self) -> None:
        """Record as done the events of jobs that have been saved: they came before the request was answered."""
        journal = self._engine.ledger.journal
        if journal is None or not self._stored:
            return
        with contextlib.suppress(ReveError):
            rows = journal.by_job([job for job, _ in self._stored])
            saved = {job for job, row in rows.items() if row.state in CLOSED}
            journal.events.done([event for event in self._stored if event[0] in saved])

    def _hear(self, event: Event) -> None:
        if not event.ends:
            if event.progress is not None:
                self._engine.waiting.show_progress(event.job, event.progress)
            return
        self._engine.waiting.hear(event.job)
