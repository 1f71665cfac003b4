"""A simulation of the API for one command or for `sandbox serve`, as the environment asks for it.

Imports `process`, `config`, `errors`, and `sandbox` late: it is slow to load.
"""

import errno
from typing import TYPE_CHECKING

from reve_cli.core.clock import DAY
from reve_cli.core.errors import ReveError
from reve_cli.core.process import Process
from reve_cli.settings import config

if TYPE_CHECKING:
    from reve_cli.sandbox import Sandbox


def simulate(process: Process, port: int = 0) -> "Sandbox":
    """A running simulation of the API, its jobs in the state folder, as slow and as faulty as the environment asks for.

    Raises `ReveError` (code `config`) where it cannot run like that, or not here.
    """
    from reve_cli.sandbox import Sandbox, parse_faults

    environ, folder = process.environ, config.state_folder(process.environ)
    if folder is None:
        raise ReveError("config", "there is no home folder to keep simulated jobs in", hint="set REVE_STATE_DIR")
    try:
        job_seconds = float(environ.get("REVE_SANDBOX_SECONDS") or 2)
        if not 0 <= job_seconds < DAY:
            raise ValueError(f"a job takes from 0 to {DAY:g} seconds")
        faults = parse_faults(environ.get("REVE_SANDBOX_FAULTS") or "")
    except ValueError as error:
        raise ReveError("config", f"REVE_SANDBOX_SECONDS or REVE_SANDBOX_FAULTS: {error}") from error
    sandbox = Sandbox(
        folder / config.SANDBOX, port=port, job_seconds=job_seconds, faults=faults, clock=process.clock.now
    )
    try:
        return sandbox.start()
    except OSError as error:
        where, hint = f"the folder {folder / config.SANDBOX}", "name another in REVE_STATE_DIR, or reve sandbox reset"
        if port and error.errno in (errno.EADDRINUSE, errno.EACCES):
            where, hint = f"port {port} of 127.0.0.1", "name another --port, or none"
        message = f"the sandbox cannot run: {where} cannot be used: {error.strerror or error}"
        raise ReveError("config", message, hint=hint) from error
