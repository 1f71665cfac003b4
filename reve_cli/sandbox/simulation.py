"""Starts a sandbox for one command or for `sandbox serve`, configured by environment variables.

May import: core, settings.config; the rest of this package late, because it is slow to load.
"""

import errno
from typing import TYPE_CHECKING

from reve_cli.core.clock import DAY
from reve_cli.core.errors import ReveError
from reve_cli.core.process import Process
from reve_cli.settings import folders

if TYPE_CHECKING:
    from reve_cli.sandbox import Sandbox


def simulate(process: Process, port: int = 0) -> "Sandbox":
    """A running sandbox with its jobs in the state folder, and with duration and faults from the environment.

    Raises `ReveError` (code `config`) if a variable is invalid, or the port or folder is not usable.
    """
    from reve_cli.sandbox import Sandbox, parse_faults

    environ, folder = process.environ, folders.state_folder(process.environ)
    if folder is None:
        raise ReveError("config", "there is no home folder to keep simulated jobs in", hint="set REVE_STATE_DIR")
    job_seconds = _job_seconds(environ.get("REVE_SANDBOX_SECONDS") or "2")
    try:
        faults = parse_faults(environ.get("REVE_SANDBOX_FAULTS") or "")
    except ValueError as error:
        raise ReveError("config", f"REVE_SANDBOX_FAULTS: {error}") from error
    sandbox = Sandbox(
        folder / folders.SANDBOX, port=port, job_seconds=job_seconds, faults=faults, clock=process.clock.now
    )
    try:
        return sandbox.start()
    except OSError as error:
        where = f"the folder {folder / folders.SANDBOX}"
        hint = "set REVE_STATE_DIR to another folder, or run reve sandbox reset"
        if port and error.errno in (errno.EADDRINUSE, errno.EACCES):
            where, hint = f"port {port} of 127.0.0.1", "choose another --port, or omit it"
        message = f"cannot start the sandbox: cannot use {where}: {error.strerror or error}"
        raise ReveError("config", message, hint=hint) from error


def _job_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < DAY:
        raise ReveError("config", f"REVE_SANDBOX_SECONDS must be a number of seconds from 0 to under {DAY:g}")
    return seconds
