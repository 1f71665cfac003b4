"""The Apiframe API, simulated on this machine: a real HTTP server on loopback, strict to the API's contract.

People use it to try things without an account; the tests use it as their one fake of the API. Jobs live in a folder:
they outlive the command that made them, and several processes can share them. It can be told to fail: see `faults`.

Imports `contract`, `models` and the standard library only, and is itself imported late: nobody else pays for it.
"""

from reve_cli.sandbox.faults import ALL_FAULTS, Fault, parse_faults
from reve_cli.sandbox.sandbox import Recorded, Sandbox
from reve_cli.sandbox.store import JobRecord, reset

__all__ = ["ALL_FAULTS", "Fault", "JobRecord", "Recorded", "Sandbox", "parse_faults", "reset"]
