"""The end of each batch item: made again, or counted, noted in the manifest and printed, in this order.

The journal has the last fact about an item before the manifest has its line, and the manifest before it is printed. So
the journal knows whatever the manifest lacks.
May import: engine, core, batch.manifest, progress, tally, worklist.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reve_cli.batch.manifest import FINAL, Manifest
from reve_cli.batch.progress import ALIKE, LiveView, Report
from reve_cli.batch.tally import Stop, Tally, is_refused, is_unbegun
from reve_cli.batch.worklist import Planned
from reve_cli.core.clock import Clock
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming

_CAPACITY = re.compile(
    r"capacity|overload|high (demand|load|traffic)|unavailable|\bbusy\b|time[d -]*out", re.IGNORECASE
)
_REFUSED = re.compile(
    r"moderat|polic(y|ies)|safety|guideline|nsfw|flagged|sensitive|inappropriate|prohibited|violat|blocked|not allowed",
    re.IGNORECASE,
)
_MAX_REMADE = 10
"""Keys in a row that may belong to jobs that had already failed."""
_FIRST_PAUSE = 5.0
"""Seconds before the first retry; doubled for each further one."""


@dataclass
class Active:
    """An item at work. naming: names its image. failure: the error after which it is being retried."""

    planned: Planned
    task: Task
    naming: Naming
    retries: int = 0
    remade: int = 0
    failure: ReveError | None = None


class ActiveItems(dict[int, Active]):
    """The items at work, by the index of their task."""

    def phases(self) -> Counter[str]:
        """Counts the tasks in each phase."""
        return Counter(item.task.phase for item in self.values())

    def naming(self, task: Task) -> Naming:
        return self[task.index].naming


class Page(Protocol):
    """Shows the images of the output folder while the batch runs."""

    def begin(self, folder: Path) -> None:
        """Show the images that exist. Raises `ReveError` (code `output`) if that is impossible."""

    def add(self, line: Mapping[str, Any]) -> None:
        """Show the images of a line of the manifest."""

    def tick(self) -> float:
        """Show new images, if it is time. Returns the seconds until the next time."""

    def end(self) -> None:
        """Show all images for the last time."""


class Results:
    """Watches the engine: decides on retries, and records each item that ended.

    retries: how often a job that failed for lack of capacity is made again.
    """

    def __init__(
        self,
        active: ActiveItems,
        tally: Tally,
        manifest: Manifest,
        view: LiveView,
        report: Report,
        stop: Stop,
        *,
        clock: Clock,
        run: str,
        retries: int,
        simulated: Callable[[], bool],
        page: Page | None = None,
    ) -> None:
        self._page = page
        self._active, self._tally, self._manifest, self._view = active, tally, manifest, view
        self._report, self._stop, self._clock = report, stop, clock
        self._run, self._retries, self._simulated = run, retries, simulated

    def accepted(self, task: Task) -> None:
        if self._stop.refusal is None:  # nothing else: the live view counts what is accepted
            self._report.release()

    def say(self, text: str) -> None:
        self._report.say(text)

    def tick(self) -> float:
        return min(self._view.tick(), self._page.tick()) if self._page else self._view.tick()

    def done(self, task: Task) -> None:
        """Count a task that ended, record it and print it."""
        self._close(task, unbegun=task.error is not None and is_unbegun(task))

    def _close(self, task: Task, *, unbegun: bool) -> None:
        item = self._active.pop(task.index)
        if unbegun and item.failure is not None:  # the retry never started, so the failure is the result
            task.error, unbegun = item.failure, False
        self._tally.add(task, self._clock.monotonic(), unbegun=unbegun)
        error = task.error
        if error is not None and error.code == "expired":
            task.error = error.with_(hint="to pay for a new image, change the line, or use --new for all lines")
        is_beside = error is not None and error.code == "saved_elsewhere" and self.is_in_folder(task)
        if task.job_id and (error is None or error.code in FINAL or is_beside):
            self.record(task, item.planned)
        is_held = error is not None and is_refused(task, error)
        if task.error is not None and is_held and self._report.hold(task, task.error) == ALIKE:
            self._stop.because(task.error.with_(message="stopped submitting: the API refuses every request"))
        if error is not None:
            self._stop.after_failure(error, self._tally.failures)
        self._report.result(task, unbegun=unbegun, is_held=is_held)

    def end(self, task: Task, error: ReveError) -> None:
        """End a task with an error before the engine gets it."""
        task.phase, task.error = "done", error
        self._close(task, unbegun=is_unbegun(task) and error.exit_code not in (2, 7))

    def already_made(self, task: Task) -> Planned:
        """End a task whose image an earlier run made, unknown to the manifest. Returns its item."""
        task.phase = "done"
        self._tally.there += 1
        return self._active.pop(task.index).planned

    def is_in_folder(self, task: Task) -> bool:
        """Whether all images of `task` are in the output folder, under whatever names."""
        return not any(os.path.isabs(self._manifest.relative(file.path)) for file in task.files)

    def record(self, task: Task, planned: Planned) -> None:
        """Add an item to the manifest. If that fails, stop the batch; the journal has the item."""
        try:
            line = self._manifest.note(task, self._run, planned.item, planned.out, simulated=self._simulated())
        except ReveError as error:
            self._stop.because(error)
        else:
            if self._page:
                self._page.add(line)

    def again(self, task: Task, error: ReveError) -> float | None:
        """The seconds until a failed job is made again with a new key; None if it is not.

        That is a job that failed for lack of capacity, or one that had failed before this run.
        """
        item = self._active[task.index]
        ended_before = task.ended_before and (task.adopted or task.replayed)
        if error.code in ("job_failed", "job_cancelled") and ended_before and item.remade < _MAX_REMADE:
            item.remade += 1
            self._report.say(
                f"line {task.line}: {error.message}; that was before this run, so submitting it again with a new key"
            )
            return 0.0
        said = task.job.error if task.job else None
        if error.code != "job_failed" or item.retries >= self._retries or not is_for_capacity(said or ""):
            return None
        seconds = _FIRST_PAUSE * 2.0**item.retries
        item.retries += 1
        item.failure = error
        self._tally.retries += 1
        self._report.retry(task, error, seconds)
        return seconds


def is_for_capacity(reason: str) -> bool:
    """Whether a job failed for lack of capacity or time, so that the same request may succeed later.

    `reason` is the API's text. "Try again" alone says nothing: moderation says it of prompts that it always refuses.
    """
    return bool(_CAPACITY.search(reason)) and not _REFUSED.search(reason)
