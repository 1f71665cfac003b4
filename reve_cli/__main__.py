"""The entry point of `reve` and `python -m reve_cli`.

Signal handlers are installed before anything slow is imported. May import: app and core, app only when it is called.
"""

import gc
import sys

from reve_cli.core.signals import Signals


def main() -> None:
    """Run this process's command line and exit with its code."""
    signals = Signals()
    signals.install()
    gc.disable()  # loaded modules are no garbage: looking for some takes 6 % of a short command's time
    from reve_cli.app import run
    from reve_cli.core.process import Process

    sys.exit(run(sys.argv[1:], Process(signals), _collect))


def _collect() -> None:
    """Collect garbage from now on, except among the objects that exist already."""
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    main()
