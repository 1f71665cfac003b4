"""What a run takes from the process it is in; tests make up their own. Imports `signals`, and `clock` late."""

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from reve_cli.core.signals import Signals

if TYPE_CHECKING:
    from reve_cli.core.clock import Clock, Limits, Stop
    from reve_cli.terminal.output import Output


class Process:
    """Environment, signals, clocks and patience. `output` is set by the command once it knows how to print."""

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
        from reve_cli.core.clock import Clock

        return self._clock or Clock()

    @cached_property
    def limits(self) -> "Limits":
        from reve_cli.core.clock import Limits

        return self._limits or Limits()

    @cached_property
    def stop(self) -> "Stop":
        from reve_cli.core.clock import Stop

        return Stop()
