"""Prints what happens to the jobs of one command.

On stdout one result for each job, in the order of the jobs; on stderr a line when it is accepted and one when it ends,
and on a terminal a spinner in between. May import: terminal, core.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from reve_cli.core.clock import HOUR, Clock
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.models import credits_of, plural
from reve_cli.core.tasks import Phase, Task
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import output_is_terminal
from reve_cli.terminal.text import safe

Shows = Literal["paths", "bytes", "ids", "urls", "rows"]

# Seconds between two frames of the spinner.
_FRAME = 0.1
# Without a spinner, `tick` has nothing to draw.
_SILENT = HOUR
_WORDS: dict[Phase, str] = {
    "done": "done",
    "saving": "saving",
    "completed": "to save",
    "accepted": "running",
    "sending": "submitting",
    "intent": "to submit",
}


class Report:
    """An engine's watcher. shows: what stdout gets for each job without `--json`."""

    def __init__(
        self,
        output: Output,
        clock: Clock,
        tasks: Sequence[Task],
        shows: Shows,
        simulated: Callable[[], bool],
        is_over: Callable[[], bool],
        usual: float | None = None,
    ) -> None:
        """is_over: whether the run is winding down. usual: seconds that a job usually takes, if known."""
        self._usual = usual if usual and usual >= 1 else None
        self._is_over = is_over
        # Called for each task that ends, before it is printed.
        self.note: Callable[[Task], None] = lambda task: None
        # Called for the path of each saved image, after it is printed.
        self.look: Callable[[str], None] = lambda path: None
        self._output, self._tasks, self._shows, self._simulated = output, tasks, shows, simulated
        self._printed, self._clock, self._started = 0, clock, clock.monotonic()

    def accepted(self, task: Task) -> None:
        which = f" ({task.index} of {len(self._tasks)})" if len(self._tasks) > 1 else ""
        seed = _seed(task) if self._shows == "ids" else ""
        self._output.note(f"job {task.job_id} accepted{which}{seed}")

    def done(self, task: Task) -> None:
        """Say how a job ended, and print every result whose turn it is."""
        self.note(task)
        for number, saved in enumerate(task.files):
            cost = "charge unknown" if task.charge is None else credits_of(task.charge, simulated=self._simulated())
            cost += ", paid for before" if task.replayed else ""
            charge = f", {cost}{_seed(task)}" if number == 0 else ""
            took = f" after {self._clock.monotonic() - self._started:.1f} s" if task.request else ""
            follows = self._shows == "paths" and not self._output.json and output_is_terminal()
            name = "" if follows else f" {saved.path}"
            if follows and len(self._tasks) > 1:
                name = f" {task.index} of {len(self._tasks)}"
            self._output.note(f"saved{name} ({saved.bytes:,} bytes{charge}){took}")
        if task.error is not None and not self._is_one_of_many(task, task.error):
            self._output.fail(task.error)
        while self._printed < len(self._tasks) and self._tasks[self._printed].phase == "done":
            self._print(self._tasks[self._printed])
            self._printed += 1

    def _is_one_of_many(self, task: Task, error: ReveError) -> bool:
        """Whether many jobs end like this together, so that the last line is enough."""
        if len(self._tasks) == 1:
            return False
        stopped = self._is_over() and error.code in ("unfinished", "unsettled", "unsaved")
        return stopped or task.rescued or _is_unsent(task)

    def _print(self, task: Task) -> None:
        if self._output.json:
            self._output.document(task.document(self._simulated()))
        elif self._shows == "bytes":
            for saved in task.files[:1]:
                self._output.image(saved.path)
        else:
            for line in self._lines(task):
                self._output.line(line)
        if self._shows == "paths":
            for saved in task.files:
                self.look(saved.path)

    def _lines(self, task: Task) -> Sequence[str]:
        if self._shows == "paths":
            return [saved.path for saved in task.files]
        if self._shows == "ids":
            return [task.job_id] if task.job_id else []
        if self._shows == "urls":
            return [safe(url) for url in task.job.urls] if task.job and not task.error else []
        return []  # rows: a table at the end

    def say(self, text: str) -> None:
        self._output.note(text)

    def tick(self) -> float:
        """Draw the spinner. Returns the seconds until the next frame."""
        if not self._output.is_live:
            return _SILENT
        elapsed = f"{self._clock.monotonic() - self._started:.0f} s"
        if len(self._tasks) == 1:
            (task,) = self._tasks
            usual = self._usual_time() if task.phase in ("sending", "accepted") else ""
            done = task.job.progress if task.job else None
            self._output.spin(f"{self._state(task)} · {elapsed}{usual}", share=None if done is None else done / 100)
        else:
            counts = Counter(task.phase for task in self._tasks)
            parts = [f"{counts[phase]} {word}" for phase, word in _WORDS.items() if counts[phase]]
            usual = f" · usually {self._usual:.0f} s a job" if self._usual else ""
            share = counts["done"] / len(self._tasks)
            self._output.spin(" · ".join([*parts, elapsed]) + usual, share=share)
        return _FRAME

    def _usual_time(self) -> str:
        """How long the job usually takes, as words after the time that has passed."""
        if self._usual is None:
            return ""
        is_late = self._clock.monotonic() - self._started > self._usual
        return f", usually {self._usual:.0f} s" if is_late else f" of about {self._usual:.0f} s"

    def _state(self, task: Task) -> str:
        """The state of a single job in a word or two: the API's own word if it has one."""
        if task.phase != "accepted" or task.job is None:
            return "asking" if task.phase == "accepted" else _WORDS[task.phase]
        progress = task.job.progress
        return task.job.status if not progress else f"{task.job.status} {progress:.0f} %"

    def total(self, finish: str, refusal: ReveError | None) -> None:
        """Print what several jobs were charged in total.

        finish: the command that finishes unfinished ones. refusal: why not all were submitted.
        """
        if len(self._tasks) < 2:
            return
        unsent, rescued = sum(map(_is_unsent, self._tasks)), sum(task.rescued for task in self._tasks)
        if refusal is not None and (unsent or rescued):
            self._output.fail(refusal)
        charges = [0 if task.replayed else task.charge for task in self._tasks]
        made = [charge for task, charge in zip(self._tasks, charges, strict=True) if task.job_id]
        pending = made.count(None) + sum(not task.job_id and _is_unfinished(task) for task in self._tasks)
        said = f"charged: {credits_of(sum(filter(None, charges)), simulated=self._simulated())}"
        said += f", {pending} pending" if pending else ""
        if finish:
            count = sum(map(_is_unfinished, self._tasks))
            parts = [f"{count} of {plural(len(self._tasks), 'job')} unfinished"]
            where = "in the rescue folder" if refusal is not None else "not converted"
            parts += [f"the images of {rescued} are {where}"] if rescued else []
            parts += [f"{unsent} not submitted"] if unsent else []
            again = "run the same command again, or finish only those" if unsent else "finish them"
            message = f"{'; '.join(parts)}; {said}; {again} with:"
            self._output.fail(ReveError("unfinished", message, hint=finish))
        elif any(task.request for task in self._tasks):
            self._output.note(said)

    def exit_code(self) -> int:
        """The worst exit code of the jobs."""
        return worst(task.error.exit_code if task.error else 0 for task in self._tasks)


def _is_unsent(task: Task) -> bool:
    """Whether a job was not submitted because of something that concerned all."""
    never = task.request is not None and task.first_uptime is None and not task.was_sent and task.job_id is None
    return never and task.error is not None and task.error.code in ("output", "journal")


def _seed(task: Task) -> str:
    """The seed with which the image can be made again, if one was sent."""
    seed = task.request.seed if task.request else task.job.asked("seed") if task.job else None
    return "" if seed is None else f", seed {seed}"


def _is_unfinished(task: Task) -> bool:
    return task.error is not None and task.error.exit_code == 75
