"""What `batch` tells its user: results in order of completion, a live view on a terminal, else a line now and then.

Imports `output`, `tasks`, `clock`, `errors`.
"""

from collections import Counter, deque
from collections.abc import Callable

from reve_cli.core.clock import MINUTE, Clock
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.tasks import Task
from reve_cli.terminal.output import Output

_FRAME = 0.25
"""Seconds between two pictures of the live view."""
_LINE_SECONDS = 10.0
"""Seconds between two lines where there is no live view."""
_WINDOW = MINUTE
_FAILURES = 3
"""How many of the last failures the live view shows."""
_MARGIN = 5
"""Columns that the live view leaves free."""


class Progress:
    """Watches the engine on behalf of a batch of `count` images, of which `there` need not be made."""

    def __init__(
        self,
        output: Output,
        clock: Clock,
        count: int,
        there: int,
        *,
        simulated: Callable[[], bool],
        is_over: Callable[[], bool],
        trouble: Callable[[], str],
    ) -> None:
        """is_over: whether the whole run is being ended. trouble: why nothing moves, empty where it does."""
        self._output, self._clock, self._simulated, self._is_over = output, clock, simulated, is_over
        self._trouble = trouble
        self.note: Callable[[Task], None] = lambda task: None
        """Told each task that ended, before it is printed."""
        self.running: Callable[[], Counter[str]] = Counter
        """How many tasks are in which phase."""
        self.count, self.there = count, there
        self.saved = self.failures = 0
        self.paid_before: set[int] = set()
        """Tasks whose charge an earlier run has told, by their index."""
        self._failed = self._elsewhere = self._retried = self._pending = 0
        self._spent = 0.0
        self._codes: Counter[int] = Counter()
        self.unfinished: set[str] = set()
        """Runs that have jobs which are unfinished; empty for what the journal does not know."""
        self._ended: deque[float] = deque()
        self._last_failures: deque[str] = deque(maxlen=_FAILURES)
        self._failures: dict[int, ReveError] = {}
        """What tasks that are to be tried again have failed with, by their index."""
        self._told: set[str] = set()
        """What was said to be the end of it all, or of many images alike."""
        self._started = self._last_line = clock.monotonic()

    def accepted(self, task: Task) -> None:
        pass  # hundreds a minute: `tick` counts them

    def done(self, task: Task) -> None:
        """Note how a job ended, and print its result."""
        before = self._failures.pop(task.index, None)
        is_unbegun = task.error is not None and _is_unbegun(task, task.error)
        if is_unbegun and before is not None:  # it was not tried again, so that is how it ended
            task.error, is_unbegun = before, False
        self._count(task, is_unbegun=is_unbegun)
        self.note(task)
        if task.error is not None:
            self._tell(task, task.error, is_unbegun=is_unbegun)
        if self._output.json:
            self._output.document(task.document(self._simulated()))
        else:
            for saved in task.files:
                self._output.line(saved.path)

    def _count(self, task: Task, *, is_unbegun: bool) -> None:
        error = task.error
        self._codes[error.exit_code if error else 0] += 1
        if error is None:
            self.saved += 1
            self._ended.append(self._clock.monotonic())
        elif not is_unbegun:
            self.failures += 1
            self._elsewhere += error.code == "saved_elsewhere"
            self._failed += error.exit_code != 75
            if error.exit_code == 75 and error.code != "saved_elsewhere":
                self.unfinished.add(task.run or "")
        if task.job_id and not task.replayed and task.index not in self.paid_before:
            self._spent += task.charge or 0.0
            self._pending += task.charge is None
        else:
            self._pending += task.job_id is None and error is not None and error.exit_code == 75
        self.paid_before.discard(task.index)

    def _tell(self, task: Task, error: ReveError, *, is_unbegun: bool) -> None:
        """An error of one item is one line. What ends many alike is said once, or at the end."""
        if self._is_over() and error.code in ("unfinished", "unsettled", "unsaved", "interrupted", "timed_out"):
            return
        if error.exit_code in (3, 4) or is_unbegun:
            if _meaning(error) in self._told:
                return
            self._told.add(_meaning(error))
        name = f"line {task.line}: " if task.line else ""
        self._last_failures.append(name + error.message.replace(f"job {task.job_id} ", ""))
        self._output.fail(error.with_(message=f"{name}{error.message}"))

    def again(self, task: Task, error: ReveError, seconds: float) -> None:
        """A job failed, and is made again."""
        self._retried += 1
        self._failures[task.index] = error
        self._output.note(f"line {task.line}: {error.message}; trying again in {seconds:.0f} s")

    def say(self, text: str) -> None:
        self._output.note(text)

    def tick(self) -> float:
        """Show where things stand. Returns the seconds until it wants to be asked again."""
        if self._output.is_live:
            lines = _packed(self._state(), self._output.width - _MARGIN)
            self._output.spin(lines[0], *(f"  {line}" for line in [*lines[1:], *self._last_failures]))
            return _FRAME
        now = self._clock.monotonic()
        if now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._output.note(" · ".join(self._state()))
        return self._last_line + _LINE_SECONDS - now

    def _state(self) -> list[str]:
        """Where things stand, in a few words each."""
        now, phases = self._clock.monotonic(), self.running()
        while self._ended and self._ended[0] <= now - _WINDOW:
            self._ended.popleft()
        elapsed = now - self._started
        rate = len(self._ended) * MINUTE / max(min(elapsed, _WINDOW), 1.0)
        left = self.count - self.there - self.saved - self.failures
        parts = [f"{self.there + self.saved} of {self.count} saved"]
        words = {"accepted": "running", "saving": "saving", "completed": "to save", "sending": "submitting"}
        parts += [f"{phases[phase]} {word}" for phase, word in words.items() if phases[phase]]
        parts += [f"{self.failures} failed"] if self.failures else []
        trouble = self._trouble()
        parts += [trouble] if trouble else []
        parts += [f"{rate:.0f}/min", f"{self._spent:g} credits"]
        parts += [f"{_duration(left * MINUTE / rate)} left"] if rate and left else []
        return [*parts, _duration(elapsed)]

    def total(self, again: str, finish: Callable[[list[str]], str] | None, refusal: ReveError | None) -> None:
        """Say what came of it all, and last what finishes it. finish: makes the command that does so for named runs."""
        unfinished = self._codes[75] - self._elsewhere
        parts = [f"{self.there + self.saved} of {self.count} saved"]
        parts += [f"{self.there} of them before"] if self.there else []
        parts += [f"{self._elsewhere} saved elsewhere"] if self._elsewhere else []
        parts += [f"{self._failed} failed"] if self._failed else []
        parts += [f"{self._retried} tried again"] if self._retried else []
        parts += [f"{self.unbegun} not begun"] if self.unbegun else []
        pending = f", {self._pending} pending" if self._pending else ""
        parts += [f"charged: {self._spent:g} credits{pending}", _duration(self._clock.monotonic() - self._started)]
        if refusal is not None and _meaning(refusal) not in self._told:
            self._output.fail(refusal)
        if unfinished:
            said = f"{'; '.join(parts)}; {unfinished} unfinished: {again}"
            hint = finish(sorted(self.unfinished)) if finish and "" not in self.unfinished else None
            self._output.fail(ReveError("unfinished", f"{said}, or:" if hint else said, hint=hint))
        else:
            self._output.note("; ".join(parts))

    @property
    def unbegun(self) -> int:
        """Images that nothing was tried for."""
        return self.count - self.there - self.saved - self._failed - self._codes[75]

    def exit_code(self, refusal: ReveError | None) -> int:
        """The worst of what the jobs ended with, and of what kept the others from being begun."""
        return worst([*self._codes, refusal.exit_code if refusal else 0])


def _is_unbegun(task: Task, error: ReveError) -> bool:
    """Whether nothing was tried for `task`: the run was ended, or nothing more was to be begun."""
    return task.first_uptime is None and not task.was_sent and task.job_id is None and error.exit_code not in (2, 7)


def _meaning(error: ReveError) -> str:
    """What is the same of errors that mean the same: of a refusal not its words, which name a request."""
    return error.code if error.exit_code in (3, 4) else error.message


def _packed(parts: list[str], width: int) -> list[str]:
    """`parts` in as few lines of `width` columns as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
