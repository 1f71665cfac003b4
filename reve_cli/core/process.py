"""The parts of the operating-system process that a run uses: environment, signals, clock. Tests pass their own.

May import: core.signals, and core.clock late; terminal.output (for types only).
"""

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from reve_cli.core.signals import Signals

if TYPE_CHECKING:
    from reve_cli.core.clock import Clock, Limits, Stop
    from reve_cli.terminal.output import Output


class Process:
    """Environment, signals, clock and limits of one run. The command sets `output` once it knows how to print."""

    def __init__(
        self,
        signals: Signals,
        environ: Mapping[str, str] = os.environ,
        clock: "Clock | None" = None,
        limits: "Limits | None" = None,
    ) -> None:
        self.signals, self.environ = signals, environ
        self.output: Output | None = None
        self._clock, self._limits = clock, limits

    @cached_property
    def clock(self) -> "Clock":
        """The clock that every wait of this run uses."""
        from reve_cli.core.clock import Clock

        return self._clock or Clock()

    @cached_property
    def limits(self) -> "Limits":
        """The limits of this run's requests."""
        from reve_cli.core.clock import Limits

        return self._limits or Limits()

    @cached_property
    def stop(self) -> "Stop":
        """The flag that tells this run's workers to stop."""
        from reve_cli.core.clock import Stop

        return Stop()
