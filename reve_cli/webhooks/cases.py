"""What became of each event, and how that is printed: a line for people, or a JSON document.

May import: webhooks.events, webhooks.forwarding, webhooks.receiving, terminal, core.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from reve_cli.core import endings
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Job, cut, iso
from reve_cli.core.tasks import Task
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import stdout_is_terminal
from reve_cli.terminal.text import safe
from reve_cli.webhooks.events import Event
from reve_cli.webhooks.forwarding import Forwarded
from reve_cli.webhooks.receiving import Delivery

_SHORT = 8
# Errors after which nothing more can be done for a job.
_FINAL = (*endings.FINAL, "not_found")
_COLORS = {"completed": "green", "failed": "red"}


@dataclass
class Case:
    """An event that is being worked on. delivery: None for a job that was named on the command line.

    task: the task of its job, once it has ended. is_over: in the journal, its job has ended. why: the reason why no
    image is saved here. looks: how often the journal was asked for its job. is_early: the command that submits the job
    is still at work.
    """

    delivery: Delivery | None
    task: Task | None = None
    is_working: bool = False
    is_forwarding: bool = False
    forwarded: Forwarded | None = None
    is_over: bool = False
    why: str = ""
    looks: int = 0
    is_early: bool = False

    @property
    def error(self) -> ReveError | None:
        """Why its job has no image; None if it has one, or if this is not known."""
        if self.task is not None:
            return self.task.error
        event = self.delivery.event if self.delivery else None
        if event is None or event.name != "failed":
            return None
        return endings.of_job(Job(event.job, event.status or "FAILED", error=event.error), key_is_given=False)

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to do."""
        is_saved = self.task is None or self.task.error is None or self.task.error.code in _FINAL
        return is_saved and (self.forwarded is None or self.forwarded.arrived)


class Log:
    """Prints events. shown: the names of those to print; empty for all. count: new events printed so far."""

    def __init__(self, output: Output, shown: Sequence[str]) -> None:
        self._output, self._shown = output, shown
        self.count = 0
        self.codes: list[int] = [0]

    def shows(self, name: str) -> bool:
        """Whether an event with this name is printed."""
        return not self._shown or name in self._shown

    def event(self, delivery: Delivery, case: Case) -> None:
        """Print an event whose work is over."""
        event, error = delivery.event, case.error
        if delivery.is_new and error is not None:
            self.codes.append(error.exit_code)
        if not self.shows(event.name):
            return
        self.count += delivery.is_new
        self._print(event, case, delivery)

    def ended(self, task: Task) -> None:
        """Print the end of a job of which no event came."""
        if task.error is not None:
            self.codes.append(task.error.exit_code)
        name = "completed" if task.job is not None and task.job.status == "COMPLETED" else "failed"
        if task.job is None or not task.job.ended:
            if task.error is not None:
                self._output.fail(task.error)
        elif self.shows(name):
            self._print(Event(name, str(task.job_id), task.job.status, error=task.job.error), Case(None, task), None)

    def _print(self, event: Event, case: Case, delivery: Delivery | None) -> None:
        task, error = case.task, case.error
        job = task.job if task else None
        if self._output.json:
            self._output.document(
                {
                    "event": event.name,
                    "jobId": event.job,
                    "status": job.status if job else event.status,
                    "progress": event.progress,
                    "receivedAt": iso(delivery.received) if delivery else None,
                    "duplicate": delivery is not None and not delivery.is_new,
                    "verifiedAs": delivery.verified_as if delivery else None,
                    "files": [file.document() for file in task.files] if task else [],
                    "forwarded": case.forwarded.document() if case.forwarded else None,
                    "error": error.document() if error else None,
                }
            )
        else:
            at = time.strftime("%H:%M:%S", time.localtime(delivery.received if delivery else None))
            name = event.job[:_SHORT] if stdout_is_terminal() else event.job
            line = f"{at} {safe(event.name):9} {name}  {self._outcome(event, case, delivery)}"
            self._output.line(line.rstrip(), _COLORS.get(event.name, ""))
        if error is not None and error.exit_code != 5:
            self._output.fail(error)

    def _outcome(self, event: Event, case: Case, delivery: Delivery | None) -> str:
        parts: list[str] = []
        if delivery is not None and not delivery.is_new:
            parts.append("repeated")
        elif case.task is not None and case.task.files:
            parts.append(f"saved {', '.join(file.path for file in case.task.files)}")
        elif case.error is not None:
            parts.append(cut(safe(event.error or ""), 100) if case.error.exit_code == 5 else "not saved")
        elif case.why == "saved":
            parts.append("was saved before")
        elif case.why:
            parts.append(f"not saved here: {case.why}")
        elif event.progress is not None and not event.ends:
            parts.append(f"{event.progress:g} %")
        if case.forwarded is not None and case.forwarded.arrived:
            parts.append(f"forwarded ({case.forwarded.status})")
        elif case.forwarded is not None:
            why = case.forwarded.why or f"status {case.forwarded.status}"
            parts.append(f"not forwarded after {case.forwarded.tries} tries: {safe(why)}")
        return "; ".join(parts)
