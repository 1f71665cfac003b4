"""What the engine calls: a watcher that prints what happens, and a supply that brings more tasks.

May import: core.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task


class Watcher(Protocol):
    """Called when something happens, always in the main thread."""

    def accepted(self, task: Task) -> None: ...
    def done(self, task: Task) -> None: ...
    def say(self, text: str) -> None: ...
    def tick(self) -> float:
        """Show the progress. Returns the seconds until the next call, at most."""
        ...


class Supply:
    """Brings more tasks while others are at work, and decides which are tried again. This one brings none."""

    # The most threads for each kind of work.
    at_once: Mapping[str, int] = {"send": 4, "look": 4, "poll": 1, "save": 4}
    # Seconds to wait for more tasks while none is at work.
    pause = 0.0
    # Whether its tasks may be sent. If not, a path that cannot be written stops no other task.
    sends = True

    @property
    def refusal(self) -> ReveError | None:
        """Why no more requests are sent; None while there is no reason."""
        return None

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        """The tasks to begin next; the ledger knows them already.

        running: tasks at work. waiting: those of them whose request is not answered yet.
        """
        return ()

    @property
    def is_empty(self) -> bool:
        """Whether `more` will never return another task."""
        return True

    def again(self, task: Task, error: ReveError) -> float | None:
        """Seconds after which to try `task` again, whose job ended with `error`; None to let it end."""
        return None
