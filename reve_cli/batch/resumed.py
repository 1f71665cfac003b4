"""Records images that `resume` saved for a batch in that batch's manifest.

So a later run knows them even without the journal. If the manifest is gone or in use, only the journal has them.
May import: engine.naming, core, batch.identity, manifest.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reve_cli.batch.identity import item_id, read_scope, with_random_seed
from reve_cli.batch.manifest import FINAL, Manifest, begun_in
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task, new_key
from reve_cli.core.templates import Values
from reve_cli.engine.naming import Naming

_MOST_ALIKE = 10_000


class Finished:
    """Records tasks of batches that ended. simulated: whether the API is a simulation."""

    def __init__(self, simulated: Callable[[], bool]) -> None:
        self._simulated = simulated
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
                    book.note(task, run, item, out, simulated=self._simulated())
                break
            except ReveError:
                self._left.add(path)

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
