"""What `resume` finishes of batches goes into their manifests as well, as if they had done it themselves.

So they know it without the journal too. What cannot be noted, as a batch is at work there, or its folder is gone, the
journal alone knows. Imports `manifest`, `worklist`, `naming`, `tasks`, `errors`.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from reve_cli.batch.identity import item_id, read_scope
from reve_cli.batch.manifest import FINAL, Manifest, begun_in
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task, new_key
from reve_cli.engine.naming import Naming, Values

_MOST_ALIKE = 10_000


class Finished:
    """Notes tasks of batches that have ended. simulated: whether the API is."""

    def __init__(self, simulated: Callable[[], bool]) -> None:
        self._simulated = simulated
        self._begun: dict[Path, dict[str, list[Path]]] = {}
        """The manifests of a folder that tell of a run's begin, by the run."""
        self._left: set[Path] = set()
        """Those that could not be written."""
        self._keys: dict[tuple[str, bytes, int], dict[str, int]] = {}
        """Ordinals by their keys, of each scope, request and attempt, as far as they were looked for."""

    def note(self, task: Task, naming: Naming) -> None:
        """Note `task`, if it is a batch's item and has its image where it was meant to go, or will never have one."""
        is_final = bool(task.files) if task.error is None else task.error.code in FINAL and task.job_id is not None
        of_batch = read_scope(task.scope)
        if not is_final or of_batch is None or task.request is None:
            return
        run, out = of_batch
        task.ordinal = self._ordinal(task)
        if task.ordinal is None:
            return
        item = item_id(task.request.body().decode(), out, task.ordinal)
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
        """Which of several alike an item is: its key was made from that."""
        assert task.request is not None
        known = self._keys.setdefault((str(task.scope), task.request.body(), task.attempt), {})
        key = str(task.idempotency_key)
        while key not in known and len(known) < _MOST_ALIKE:
            ordinal = len(known) + 1
            known[new_key(task.scope, task.request, ordinal, task.attempt)] = ordinal
        return known.get(key)

    def _manifests(self, run: str, image: Path) -> Sequence[Path]:
        """The manifests in the folder of a run: the nearest one above its image that tells of its begin."""
        for folder in image.parents:
            if folder not in self._begun:
                try:
                    self._begun[folder] = begun_in(folder)
                except (ReveError, OSError):
                    self._begun[folder] = {}
            if run in self._begun[folder]:
                return self._begun[folder][run]
        return ()
