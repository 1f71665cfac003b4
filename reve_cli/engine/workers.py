"""Work in threads, whose outcome the main thread handles: it alone changes the state of a run.

A thread puts a function into the inbox; the main thread takes it out and calls it.
May import: core.
"""

import contextlib
import math
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from reve_cli.core import endings
from reve_cli.core.clock import Clock, Deadline
from reve_cli.core.errors import ReveError

T = TypeVar("T")
# What the main thread does with the outcome of some work.
Then = Callable[[], None]


# Seconds until a thread that the system did not allow is tried again.
_RETRY_SECONDS = 0.1
# Threads that are kept without work. Starting one costs processor time; each that is kept costs 100 KB of memory.
_SPARE = 2


class Outcome:
    """Handles the outcome of some work: changes the state of the run and records facts, but prints nothing itself."""

    def __init__(self, handle: Then) -> None:
        self.handle = handle

    def __call__(self) -> None:
        self.handle()


class Group(Protocol):
    """Records the facts of several outcomes together: the ledger."""

    def at_once(self, work: Then) -> None: ...
    def afterwards(self, step: Then) -> None: ...


class Inbox:
    """Functions that threads hand to the main thread, in order."""

    def __init__(self, clock: Clock, grace: float) -> None:
        """grace: seconds that a question may take after its deadline."""
        self._clock, self._grace = clock, grace
        self._queue: queue.SimpleQueue[Then] = queue.SimpleQueue()
        self._thread = threading.local()

    def put(self, then: Then) -> None:
        """Let the main thread call `then`. Takes no lock, so a signal handler may call it too."""
        self._queue.put(then)

    def receive(self, seconds: float, *, idle: bool, group: Group | None = None) -> bool:
        """Wait for the next function and call it. Returns False if none arrives in time.

        idle: no thread is at work. group: if several functions have arrived, call them all, the outcomes in this group.
        """
        then = self._clock.receive(self._queue, seconds, idle=idle)
        if then is None:
            return False
        arrived = [then]
        while group is not None and not self._queue.empty():
            arrived.append(self._queue.get_nowait())
        if group is None or len(arrived) == 1:
            then()
        else:
            group.at_once(lambda: _handle(arrived, group))
        return True

    def ask(
        self,
        question: Callable[[], T],
        deadline: Deadline,
        trouble: Callable[[], str],
        tick: Callable[[], float] = lambda: math.inf,
    ) -> T:
        """Call `question` in a thread, so that a silent name server delays no signal and no time limit.

        trouble: what the network last reported, for the message. tick: called while it waits; returns the seconds until
        the next call. Raises what `question` raises, and `ReveError` (code
        `timed_out`).
        """
        if getattr(self._thread, "asks", False):  # already in such a thread
            return question()
        answers: list[T] = []
        problems: list[BaseException] = []
        finished: list[bool] = []

        def work() -> None:
            self._thread.asks = True
            try:
                answers.append(question())
            except BaseException as error:
                problems.append(error)
            self.put(lambda: finished.append(True))  # after every note that the question put here

        try:
            threading.Thread(target=work, daemon=True).start()
        except RuntimeError:
            raise no_threads() from None
        end = self._clock.monotonic() + max(deadline.left, 0.0) + self._grace
        while not finished:
            left = max(end - self._clock.monotonic(), 0.0)
            pause = min(left, tick())
            if not self.receive(pause, idle=False) and pause >= left:
                known = f" ({trouble()})" if trouble() else ""
                message = f"the time limit of {deadline.seconds:g} s passed without an answer{known}"
                raise ReveError("timed_out", message)
        if problems:
            raise problems[0]
        return answers[0]


def _handle(arrived: Sequence[Then], group: Group) -> None:
    for then in arrived:
        if isinstance(then, Outcome):
            then()
        else:  # a note to print
            group.afterwards(then)


def check_threads() -> None:
    """Raise `ReveError` if this process cannot start a thread. Called before anything is paid."""
    try:
        thread = threading.Thread(target=lambda: None, daemon=True)
        thread.start()
    except RuntimeError:
        raise no_threads() from None
    thread.join()


def no_threads() -> ReveError:
    """The error of a process that cannot start the threads it needs."""
    message = "the system allows this process no more threads; nothing was submitted"
    return ReveError("config", message, hint="raise the limits of processes and memory: ulimit -u, ulimit -v")


class Workers:
    """Daemon threads: a maximum number for each kind of work, and no more than the system allows."""

    def __init__(self, inbox: Inbox, at_once: Mapping[str, int]) -> None:
        """at_once: the most threads for each kind of work."""
        self._inbox, self._at_once = inbox, at_once
        self._busy: Counter[str] = Counter()
        # Threads take work from here until they get None.
        self._work: queue.SimpleQueue[Then | None] = queue.SimpleQueue()
        self._threads = 0
        # Work that waits because the system allowed no more threads.
        self._waiting: deque[Then] = deque()

    def close(self) -> None:
        """End the threads, each after its present work."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0

    def are_busy(self, kind: str) -> bool:
        """Whether a thread does this kind of work."""
        return bool(self._busy[kind])

    def have_room(self, kind: str) -> bool:
        """Whether one more thread may do this kind of work."""
        return self._busy[kind] < self._at_once[kind] and not self._waiting

    def start(self, kind: str, work: Callable[[], Then], fail: Callable[[ReveError], None]) -> None:
        """Do `work` in a thread and what it returns in the main thread. If it raises, `fail` is called there."""
        self._busy[kind] += 1

        def run() -> None:
            try:
                then = work()
            except ReveError as error:
                then = partial(fail, error)
            except Exception as error:  # a bug in reve must not lose the other jobs
                then = partial(fail, endings.fault(error))

            def finish() -> None:
                self._busy[kind] -= 1
                if self._threads - self._busy.total() > _SPARE:
                    self._work.put(None)
                    self._threads -= 1
                then()

            self._inbox.put(Outcome(finish))

        self._waiting.append(run)
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Hand work to threads. If all are busy, start one more, as far as the system allows."""
        with contextlib.suppress(RuntimeError):
            while self._waiting:
                if self._busy.total() - len(self._waiting) >= self._threads:
                    threading.Thread(target=self._work_on, daemon=True).start()
                    self._threads += 1
                self._work.put(self._waiting.popleft())

    def _work_on(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # with all tasks that it refers to: they would stay in memory while the thread waits

    def receive(self, seconds: float, *, expects: bool = False, group: Group | None = None) -> bool:
        """Handle the next outcome; with a `group`, all that have arrived. Returns False if none does in `seconds`.

        expects: something from outside may arrive, although no thread is at work.
        """
        self._start_waiting()
        if self._waiting:
            seconds = min(seconds, _RETRY_SECONDS)
        idle = not expects and self._busy.total() == len(self._waiting)
        return self._inbox.receive(seconds, idle=idle, group=group)
