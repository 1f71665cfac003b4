"""The port on which webhooks arrive: how it is written, bound, and shared with other commands of the same user.

Here are also the keys that sign them. May import: webhooks.receiving, runtime (types only), settings, serving, core.
"""

import errno
import re
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import FileLock
from reve_cli.core.models import echo, is_loopback, is_web_url
from reve_cli.serving.answers import plain
from reve_cli.serving.server import Server
from reve_cli.settings.credentials import find_key
from reve_cli.webhooks.receiving import Receiver

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

LOCALHOST = "127.0.0.1"
_ADDRESS = re.compile(r"(?:(?:\[(?P<six>[0-9a-fA-F:.%]+)\]|(?P<host>[^\[\]:]+)):)?(?P<port>[0-9]{1,5})")
_FOLDER = "listeners"
# An event may end the command before it is answered.
_GRACE_SECONDS = 2.0


def read_address(text: str) -> tuple[str, int]:
    """The host and the port in `[HOST:]PORT`. Raises `ReveError` (code `usage`)."""
    found = _ADDRESS.fullmatch(text.strip())
    port = int(found["port"]) if found else 0
    if found is None or not 0 < port < 65536:
        raise ReveError("usage", f"--listen {echo(text)} is not a port or HOST:PORT, such as 8787 or [::1]:8787")
    return found["six"] or found["host"] or LOCALHOST, port


def open_server(host: str, port: int, receiver: Receiver | None = None) -> Server:
    """Bind the port; `start` serves it. Raises `ReveError` (code `usage`), and `PortTaken` if it is in use.

    receiver: None to try only whether it can be bound.
    """
    try:
        if receiver is None:
            return Server("webhooks", host, port, lambda request: plain(503, "not listening"))
        return Server("webhooks", host, port, receiver.answer, refuse=receiver.refuse)
    except socket.gaierror as error:
        raise ReveError("usage", f"the host {echo(host)} cannot be resolved: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port) from error
        message = f"cannot listen on port {port} of {host}: {error.strerror}"
        hint = None
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ports below 1024 belong to the system: use another one, such as 8787"
        elif error.errno == errno.EADDRNOTAVAIL:
            hint = "use an address of this machine, such as 127.0.0.1"
        raise ReveError("usage", message, hint=hint) from error
    except OverflowError:
        raise ReveError("usage", f"there is no port {port}; ports are 0 to 65535") from None


def take_port(run: "Runtime", host: str, port: int, receiver: Receiver) -> Server:
    """Bind the port until the run ends, and let other commands know. Raises as `open_server`; `start` serves it."""
    server = open_server(host, port, receiver)
    run.resources.callback(server.stop, grace=_GRACE_SECONDS)
    lock = hold(run.state, server.port)
    if lock is not None:
        run.resources.callback(lambda: lock.close(remove=True))
    return server


class PortTaken(ReveError):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__("usage", f"port {port} is in use", hint="stop the other program, or choose another port")


def hold(state: Path | None, port: int) -> FileLock | None:
    """Lock the port's file in the state folder, so that other commands know who listens there.

    Returns None if another process has locked it, or if there is no folder.
    """
    if state is None:
        return None
    try:
        (state / _FOLDER).mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(state / _FOLDER / str(port))
        if lock.take():
            return lock
        lock.close()
    except OSError:
        pass
    return None


def is_held(state: Path | None, port: int) -> bool:
    """Whether another reve with this state folder listens on the port."""
    if state is None or not (state / _FOLDER / str(port)).exists():
        return False
    lock = hold(state, port)
    if lock is not None:
        lock.close(remove=True)
    return lock is None


def signing_keys(run: "Runtime") -> list[str]:
    """The keys that may sign webhooks; the first is the API's. Raises `ReveError` if there is none."""
    first = run.api.http.key if run.sandbox else run.key.text
    find = partial(find_key, environ=run.process.environ, settings=run.settings, warn=run.output.warn, ask=run.ask)
    return [first, *(find(path).text for path in run.other_key_files)]


def check_target(url: str, option: str) -> None:
    """Refuse a target that is neither https nor on this machine. Raises `ReveError` (code `usage`)."""
    if not is_web_url(url):
        raise ReveError("usage", f"{option} {echo(url)} is not an http or https URL")
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ReveError("usage", f"{option} {echo(url)} must be https, except to this machine")
