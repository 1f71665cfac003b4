"""The system's own keychain, where the extra `reve-cli[keyring]` is installed and one of the systems' works.

Only the keychains of operating systems and desktops are used, never a backend that some package or configuration file
names: such have kept passwords in the clear. Imports `errors`, and keyring late: it is slow, and need not be there.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from reve_cli.core.errors import ReveError

EXTRA = "pip install 'reve-cli[keyring]'"
_SERVICE = "reve-cli"
_BACKENDS = {
    "darwin": (("keyring.backends.macOS", "Keyring", "macOS Keychain"),),
    "win32": (("keyring.backends.Windows", "WinVaultKeyring", "Windows Credential Manager"),),
}
_DESKTOP_BACKENDS = (
    ("keyring.backends.SecretService", "Keyring", "Secret Service"),
    ("keyring.backends.kwallet", "DBusKeyring", "KWallet"),
)
"""Those that are trusted, the best first: module, class and name. Elsewhere than on its own system a backend is not so
much as imported: macOS's then looks for its libraries by starting compilers.
"""


class Keychain:
    """A keychain that works. A key is kept for the origin that it was checked with. Raises `ReveError` (`config`)."""

    def __init__(self, backend: Any, name: str) -> None:
        self._backend, self.name = backend, name
        self.place = f"the keychain ({name})"
        """Where a key is that is kept here, for people."""

    def get(self, origin: str) -> str | None:
        with self._explained():
            found = self._backend.get_password(_SERVICE, origin)
            return str(found) if found else None

    def put(self, origin: str, key: str) -> None:
        with self._explained():
            self._backend.set_password(_SERVICE, origin, key)

    def drop(self, origin: str) -> bool:
        """Forget the key of `origin`. Returns whether there was one."""
        with self._explained():
            if self._backend.get_password(_SERVICE, origin) is None:
                return False
            self._backend.delete_password(_SERVICE, origin)
            return True

    @contextlib.contextmanager
    def _explained(self) -> Any:
        try:
            yield
        except Exception as error:  # every backend raises its own
            raise ReveError("config", f"{self.place} does not work: {str(error).rstrip('.')}") from None


def open_keychain(environ: Mapping[str, str]) -> Keychain:
    """The system's keychain. Raises `ReveError` (code `config`) saying why there is none, and what to install."""
    if importlib.util.find_spec("keyring") is None:
        raise ReveError("config", "the keychain needs an extra package", hint=EXTRA)
    asked = environ.get("PYTHON_KEYRING_BACKEND")
    for module, kind, name in _BACKENDS.get(sys.platform, _DESKTOP_BACKENDS):
        if asked and asked != f"{module}.{kind}":
            continue
        with contextlib.suppress(Exception):  # not of this system
            backend = getattr(importlib.import_module(module), kind)
            if backend.viable:
                return Keychain(backend(), name)
    why = f"PYTHON_KEYRING_BACKEND rules it out ({asked})" if asked else "none of this system's is running"
    raise ReveError("config", f"there is no keychain to use: {why}")
