"""What `batch` tells its user: results in order of completion, a live view on a terminal, else a line now and then.

Imports `output`, `endings`, `tasks`, `clock`, `errors`.
"""

from collections import Counter, deque
from collections.abc import Callable

from reve_cli.clock import Clock
from reve_cli.errors import ReveError, worst
from reve_cli.output import Output
from reve_cli.tasks import Task

_FRAME = 0.25
"""Seconds between two pictures of the live view."""
_LINE_SECONDS = 10.0
"""Seconds between two lines where there is no live view."""
_WINDOW = 60.0
_FAILURES = 3
"""How many of the last failures the live view shows."""


class Progress:
    """Watches the engine on behalf of a batch of `count` images, of which `there` need not be made."""

    def __init__(
        self,
        output: Output,
        clock: Clock,
        count: int,
        there: int,
        simulated: Callable[[], bool],
        note: Callable[[Task], None],
        is_over: Callable[[], bool],
    ) -> None:
        """note: told each task that ended, before it is printed. is_over: whether the whole run is being ended."""
        self._output, self._clock, self._simulated, self._note = output, clock, simulated, note
        self._is_over = is_over
        self.count, self.there = count, there
        self.saved = self.failed = self.begun = self.retried = 0
        self.spent = 0.0
        self.pending = 0
        """Jobs whose charge is not known yet."""
        self.codes: Counter[int] = Counter()
        self.unfinished: set[str] = set()
        """Runs that have jobs which are unfinished."""
        self._ended: deque[float] = deque()
        self._failures: deque[str] = deque(maxlen=_FAILURES)
        self._refusals: set[str] = set()
        self._started = self._last_line = clock.monotonic()
        self.running: Callable[[], Counter[str]] = Counter
        """How many tasks are in which phase."""

    def accepted(self, task: Task) -> None:
        self.begun += 1

    def done(self, task: Task) -> None:
        """Note how a job ended, and print its result."""
        self._note(task)
        error = task.error
        self.codes[error.exit_code if error else 0] += 1
        if error is None:
            self.saved += 1
            self._ended.append(self._clock.monotonic())
        if error is not None and error.exit_code == 75:
            self.unfinished.add(task.run or "")
        elif error is not None and error.code != "saved_elsewhere" and not _is_unbegun(task, error):
            self.failed += 1
        if error is not None:
            self._tell(task, error)
        if task.job_id and not task.replayed:
            self.spent += task.charge or 0.0
        unknown = task.job_id is not None and task.charge is None
        self.pending += unknown or (error is not None and error.exit_code == 75 and task.job_id is None)
        if self._output.json:
            self._output.document(task.document(self._simulated()))
        else:
            for saved in task.files:
                self._output.line(saved.path)

    def _tell(self, task: Task, error: ReveError) -> None:
        """An error of one item is one line. What ends many alike is said once, or at the end."""
        if self._is_over() and error.code in ("unfinished", "unsettled", "unsaved", "interrupted", "timed_out"):
            return
        if _is_unbegun(task, error):
            if error.message in self._refusals:
                return
            self._refusals.add(error.message)
        name = f"line {task.line}: " if task.line else ""
        self._failures.append(f"{name}{error.message}")
        self._output.fail(error.with_(message=f"{name}{error.message}"))

    def again(self, task: Task, error: ReveError, seconds: float) -> None:
        """A job failed, and is made again."""
        self.retried += 1
        self._output.note(f"line {task.line}: {error.message}; trying again in {seconds:.0f} s")

    def say(self, text: str) -> None:
        self._output.note(text)

    def tick(self) -> float:
        """Show where things stand. Returns the seconds until it wants to be asked again."""
        now = self._clock.monotonic()
        if self._output.is_live:
            self._output.spin(self.state(), *(f"  {failure}" for failure in self._failures))
            return _FRAME
        if now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._output.note(self.state())
        return self._last_line + _LINE_SECONDS - now

    def state(self) -> str:
        """Where things stand, in a line."""
        now, phases = self._clock.monotonic(), self.running()
        while self._ended and self._ended[0] <= now - _WINDOW:
            self._ended.popleft()
        elapsed = now - self._started
        rate = len(self._ended) * 60 / max(min(elapsed, _WINDOW), 1.0)
        left = self.count - self.there - self.saved - self.failed
        parts = [f"{self.there + self.saved} of {self.count} saved"]
        words = {"accepted": "running", "saving": "saving", "completed": "to save", "sending": "submitting"}
        parts += [f"{phases[phase]} {word}" for phase, word in words.items() if phases[phase]]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{rate:.0f}/min", f"{self.spent:g} credits"]
        parts += [f"{_duration(left * 60 / rate)} left"] if rate and left else []
        return " · ".join([*parts, _duration(elapsed)])

    def total(self, finish: Callable[[list[str]], str], refusal: ReveError | None) -> None:
        """Say what came of it all, and last what finishes the runs that are unfinished, but for the command itself."""
        unfinished = self.codes[75]
        unbegun = self.count - self.there - self.saved - self.failed - unfinished
        parts = [f"{self.there + self.saved} of {self.count} saved"]
        parts += [f"{self.there} of them before"] if self.there else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.retried} tried again"] if self.retried else []
        parts += [f"{unbegun} not begun"] if unbegun else []
        pending = f", {self.pending} pending" if self.pending else ""
        parts += [f"charged: {self.spent:g} credits{pending}", _duration(self._clock.monotonic() - self._started)]
        if refusal is not None and refusal.message not in self._refusals:
            self._output.fail(refusal)
        if unfinished:
            said = f"{'; '.join(parts)}; {unfinished} unfinished: run the same command again"
            hint = finish(sorted(self.unfinished)) if "" not in self.unfinished else None
            self._output.fail(ReveError("unfinished", f"{said}, or:" if hint else said, hint=hint))
        else:
            self._output.note("; ".join(parts))

    def exit_code(self, refusal: ReveError | None) -> int:
        """The worst of what the jobs ended with, and of what kept the others from being begun."""
        return worst([*self.codes, refusal.exit_code if refusal else 0])


def _is_unbegun(task: Task, error: ReveError) -> bool:
    """Whether nothing was tried for `task`: the run was ended, or nothing more was to be begun."""
    return task.first_uptime is None and not task.was_sent and task.job_id is None and error.exit_code not in (2, 7)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
