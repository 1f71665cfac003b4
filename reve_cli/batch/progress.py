"""The output of `batch`: a live view or periodic lines while it runs, each result, and a summary.

May import: terminal, core, batch.tally.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from reve_cli.batch.tally import Tally
from reve_cli.core.clock import MINUTE, Clock
from reve_cli.core.errors import ReveError
from reve_cli.core.models import credits_of
from reve_cli.core.tasks import Task
from reve_cli.terminal.output import Output

_FRAME = 0.25
"""Seconds between two frames of the live view."""
_LINE_SECONDS = 10.0
"""Seconds between two lines without a live view."""
ALIKE = 20
"""After this many refusals in a row for the same reason, a batch stops submitting."""
_FAILURES = 3
"""Recent failures in the live view."""
_MARGIN = 5
"""Columns that the live view leaves free."""
_WORDS = {"accepted": "running", "saving": "saving", "completed": "to save", "sending": "submitting"}
"""Phases of tasks, as the live view names them."""


class LiveView:
    """Shows how far a batch is. phases: counts the tasks in each phase. trouble: why no request succeeds, or ""."""

    def __init__(
        self,
        output: Output,
        clock: Clock,
        tally: Tally,
        *,
        phases: Callable[[], Counter[str]],
        trouble: Callable[[], str],
        simulated: Callable[[], bool],
    ) -> None:
        self._output, self._clock, self._tally, self._simulated = output, clock, tally, simulated
        self._phases, self._trouble = phases, trouble
        self.usual: float | None = None
        """Seconds that a job usually takes, if known."""
        self._failures: deque[str] = deque(maxlen=_FAILURES)
        self._last_line = clock.monotonic()

    def add_failure(self, text: str) -> None:
        self._failures.append(text)

    def tick(self) -> float:
        """Draw a frame or print a line, if it is time. Returns the seconds until the next one."""
        if self._output.is_live:
            lines = _packed(self._state(), self._output.width - _MARGIN)
            tally = self._tally
            share = (tally.total - tally.left) / tally.total if tally.total else 1.0
            more = (f"  {line}" for line in [*lines[1:], *self._failures])
            self._output.spin(lines[0], *more, share=share, bar=True)
            return _FRAME
        now = self._clock.monotonic()
        if now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._output.note(" · ".join(self._state()))
        return self._last_line + _LINE_SECONDS - now

    def _state(self) -> list[str]:
        """The state of the batch, in parts of a few words."""
        tally, now, phases, trouble = self._tally, self._clock.monotonic(), self._phases(), self._trouble()
        rate = tally.per_minute(now)
        parts = [f"{tally.there + tally.saved} of {tally.total} saved"]
        parts += [f"{phases[phase]} {word}" for phase, word in _WORDS.items() if phases[phase]]
        parts += [f"{tally.failures} failed"] if tally.failures else []
        parts += [trouble] if trouble else []
        parts += [f"{rate:.0f}/min", credits_of(tally.spent, simulated=self._simulated())]
        parts += [f"{_duration(tally.left * MINUTE / rate)} left"] if rate and tally.left else []
        parts += [f"{_duration(tally.elapsed(now))} so far"]
        return parts + ([f"usually {_duration(self.usual)} a job"] if self.usual and self.usual >= 1 else [])


class Report:
    """Prints results as they arrive, errors, and a summary.

    is_over: whether the whole command is ending, by a signal or its time limit. skipped: what was skipped in the file.
    failed: called with every task that ended with an error.
    """

    def __init__(
        self,
        output: Output,
        tally: Tally,
        view: LiveView,
        *,
        simulated: Callable[[], bool],
        is_over: Callable[[], bool],
        skipped: Sequence[str] = (),
        failed: Callable[[Task], None] = lambda task: None,
    ) -> None:
        self._failed = failed
        self._skipped = skipped
        self._output, self._tally, self._view = output, tally, view
        self._simulated, self._is_over = simulated, is_over
        self._told: set[str] = set()
        """Meanings of errors that concern many images and were printed."""
        self._held: list[tuple[Task, ReveError]] = []
        """Refusals in a row, all for the same reason."""

    def hold(self, task: Task, error: ReveError) -> int:
        """Keep a refusal, to print it alone or with others. Returns how many in a row have its reason."""
        if self._held and _reason(self._held[0][1]) != _reason(error):
            self.release()
        self._held.append((task, error))
        return len(self._held)

    def release(self) -> None:
        """Print the refusals that were kept, one by one: the API does not refuse every request."""
        held, self._held = self._held, []
        for task, error in held:
            self._error(task, error, unbegun=False)

    def result(self, task: Task, *, unbegun: bool, is_held: bool) -> None:
        """Print how a task ended. unbegun: nothing was tried for it. is_held: see `hold`."""
        if task.error is not None:
            self._failed(task)
        is_one_of_many = unbegun and len(self._held) >= ALIKE
        if task.error is not None and not is_held and not is_one_of_many:
            self._error(task, task.error, unbegun=unbegun)
        if self._output.json:
            self._output.document(task.document(self._simulated()))
        else:
            for saved in task.files:
                self._output.line(saved.path)

    def _error(self, task: Task, error: ReveError, *, unbegun: bool) -> None:
        """Print the error of one item. An error that ends many items is printed once, or in the summary."""
        if self._is_over() and error.code in ("unfinished", "unsettled", "unsaved", "interrupted", "timed_out"):
            return
        if task.rescued or (unbegun and error.exit_code == 7):  # the summary says why the batch stopped
            return
        if _is_about_all(error) or unbegun:
            if _meaning(error) in self._told:
                return
            self._told.add(_meaning(error))
        name = f"line {task.line}: " if task.line else ""
        self._view.add_failure(name + error.message.replace(f"job {task.job_id} ", ""))
        self._output.fail(error.with_(message=f"{name}{error.message}"))

    def retry(self, task: Task, error: ReveError, seconds: float) -> None:
        self.say(f"line {task.line}: {error.message}; trying again in {seconds:.0f} s")

    def say(self, text: str) -> None:
        self._output.note(text)

    def summary(
        self, now: float, again: str, finish: Callable[[list[str]], str] | None, refusal: ReveError | None
    ) -> None:
        """Print the counts, and how to finish what is left.

        again: words for running the same command again. finish: makes the command that finishes the named runs.
        refusal: why the batch stopped.
        """
        tally = self._tally
        parts = [
            f"{tally.there + tally.saved} of {tally.total} saved" + (f" ({tally.there} before)" if tally.there else "")
        ]
        parts += [f"{tally.elsewhere} saved elsewhere"] if tally.elsewhere else []
        where = "in the rescue folder" if refusal is not None else "not converted"
        parts += [f"{tally.rescued} {where}"] if tally.rescued else []
        parts += [f"{tally.failed} failed"] if tally.failed else []
        parts += [f"{tally.retries} retried"] if tally.retries else []
        parts += [f"{tally.unbegun} not submitted"] if tally.unbegun else []
        pending = f", {tally.pending} pending" if tally.pending else ""
        charged = credits_of(tally.spent, simulated=self._simulated())
        parts += [f"charged: {charged}{pending}", _duration(tally.elapsed(now)), *self._skipped]
        if len(self._held) >= ALIKE:
            _, error = self._held[0]
            message = f"the API refused {len(self._held)} requests in a row for the same reason: {_reason(error)}"
            refusal = error.with_(message=f"{message}; stopped submitting")
        else:
            self.release()
        if refusal is not None and _meaning(refusal) not in self._told:
            self._output.fail(refusal)
        if tally.unfinished:
            said = f"{'; '.join(parts)}; {tally.unfinished} unfinished: {again}"
            hint = finish(sorted(tally.unfinished_runs)) if finish and "" not in tally.unfinished_runs else None
            self._output.fail(ReveError("unfinished", f"{said}, or:" if hint else said, hint=hint))
        else:
            self._output.note("; ".join(parts), has_verdicts=True)


def _meaning(error: ReveError) -> str:
    """A text that errors with the same meaning share; a refusal's message is left out, because it names a request."""
    return error.code if _is_about_all(error) else error.message


def _is_about_all(error: ReveError) -> bool:
    """Whether an error would end every other request too: no key, no credits, no journal."""
    return error.exit_code in (3, 4) or error.code == "journal"


def _reason(error: ReveError) -> str:
    """The message of a refusal without what differs from request to request."""
    return error.message.partition(" [request ")[0].removesuffix("; nothing was charged")


def _packed(parts: list[str], width: int) -> list[str]:
    """`parts` in as few lines of `width` columns as possible."""
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
