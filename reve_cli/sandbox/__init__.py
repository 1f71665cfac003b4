"""The Apiframe API simulated on this machine: an HTTP server on loopback that enforces the API's contract.

Users try reve with it, without an account; tests use it as their only fake of the API. Jobs are kept in a folder, so
they outlive the process and several processes can share them. It fails on request: see faults.py. Open sandbox.py
first, then api.py (the routes). Runtime and commands start it through simulation.py; tests use `Sandbox`.
"""

from reve_cli.sandbox.faults import ALL_FAULTS, Fault, parse_faults
from reve_cli.sandbox.sandbox import Recorded, Sandbox
from reve_cli.sandbox.store import JobRecord, reset

__all__ = ["ALL_FAULTS", "Fault", "JobRecord", "Recorded", "Sandbox", "parse_faults", "reset"]
