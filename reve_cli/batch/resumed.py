"""Records images that `resume` or `webhook listen` saved for a batch in that batch's manifest.

So a later run knows them even without the journal. If the manifest is gone or in use, only the journal has them.
A page of `batch --gallery` beside the manifest shows them, too.
May import: engine.naming, core, batch.identity, manifest.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reve_cli.batch.identity import item_id, read_scope, with_random_seed
from reve_cli.batch.manifest import FINAL, Manifest, begun_in
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task, new_key
from reve_cli.core.templates import Values
from reve_cli.engine.naming import Naming

if TYPE_CHECKING:
    from reve_cli.batch.results import Page

_MOST_ALIKE = 10_000


class Finished:
    """Records tasks of batches that ended. simulated: whether the API is a simulation.

    page_of: begins the page of a folder, if there is one.
    """

    def __init__(
        self, simulated: Callable[[], bool], page_of: Callable[[Path], "Page | None"] = lambda _: None
    ) -> None:
        self._simulated, self._page_of = simulated, page_of
        self._pages: dict[Path, Page | None] = {}
        self._begun: dict[Path, dict[str, list[Path]]] = {}
        """The manifests of each folder that have the start of a run, by run."""
        self._left: set[Path] = set()
        """Manifests that could not be written."""
        self._keys: dict[tuple[str, bytes, int], dict[str, int]] = {}
        """For each scope, request and attempt: the ordinals tried so far, by their idempotency keys."""

    def note(self, task: Task, naming: Naming) -> None:
        """Record `task` if it is a batch item whose images are saved at their paths, or that will never have any."""
        is_final = bool(task.files) if task.error is None else task.error.code in FINAL and task.job_id is not None
        of_batch = read_scope(task.scope)
        if not is_final or of_batch is None or task.request is None:
            return
        run, out, is_random = of_batch
        task.ordinal = self._ordinal(task)
        if task.ordinal is None:
            return
        request = task.request.without_webhook()
        body = request.body().decode()
        if is_random:
            body = with_random_seed(replace(request, seed=None).body().decode())
        item = item_id(body, out, task.ordinal)
        for path in self._manifests(run, Path(naming.path(Values.of(task)))):
            if path in self._left:
                continue
            try:
                with contextlib.closing(Manifest(path.parent, None, name=path.name)) as book:
                    line = book.note(task, run, item, out, simulated=self._simulated())
            except ReveError:
                self._left.add(path)
                continue
            if path.parent not in self._pages:
                self._pages[path.parent] = self._page_of(path.parent)
            if page := self._pages[path.parent]:
                page.add(line)
            break

    def tick(self) -> float:
        """Show new images on the pages, if that is due. Returns the seconds until the next time it is."""
        return min((page.tick() for page in self._pages.values() if page), default=math.inf)

    def close(self) -> None:
        """Complete the pages."""
        for page in filter(None, self._pages.values()):
            page.end()

    def _ordinal(self, task: Task) -> int | None:
        """The number of an item among identical ones, found by trying which one gives its key; None if none does."""
        assert task.request is not None
        request = task.request.without_webhook()
        known = self._keys.setdefault((str(task.scope), request.body(), task.attempt), {})
        key = str(task.idempotency_key)
        while key not in known and len(known) < _MOST_ALIKE:
            ordinal = len(known) + 1
            known[new_key(task.scope, request, ordinal, task.attempt)] = ordinal
        return known.get(key)

    def _manifests(self, run: str, image: Path) -> Sequence[Path]:
        """The manifests of a run: those in the nearest folder above the image that have the start of the run."""
        for folder in image.parents:
            if folder not in self._begun:
                try:
                    self._begun[folder] = begun_in(folder)
                except (ReveError, OSError):
                    self._begun[folder] = {}
            if run in self._begun[folder]:
                return self._begun[folder][run]
        return ()
