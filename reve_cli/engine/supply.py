"""What the engine is given besides its tasks: who is told what happens, and where more tasks come from.

Imports `tasks`, `errors`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task


class Watcher(Protocol):
    """Who is told what happens, always in the main thread."""

    def accepted(self, task: Task) -> None: ...
    def done(self, task: Task) -> None: ...
    def say(self, text: str) -> None: ...
    def tick(self) -> float:
        """Show where things stand. Returns how soon, in seconds, this should be called again at the latest."""
        ...


class Supply:
    """Where tasks come from while others are at work, and what is tried again. This one has none: all are there."""

    at_once: Mapping[str, int] = {"send": 4, "look": 4, "poll": 1, "save": 4}
    """How many threads do the same kind of work at once."""

    @property
    def refusal(self) -> ReveError | None:
        """Why nothing more is begun, once there is a reason."""
        return None

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        """The tasks to begin next, noted in the ledger: none, for good, once `is_empty`.

        running: tasks that are at work. waiting: those of them that are still to be sent.
        """
        return ()

    @property
    def is_empty(self) -> bool:
        return True

    def again(self, task: Task, error: ReveError) -> float | None:
        """In how many seconds `task`, whose job ended with `error`, is tried once more; None where it is not."""
        return None
