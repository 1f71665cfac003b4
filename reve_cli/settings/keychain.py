"""The keychain of the operating system or desktop, through the extra `reve-cli[keyring]`.

Other keyring backends are never used, even if a package or configuration file names one: some store passwords
unencrypted. keyring is slow and optional, so it is imported late.

May import: core.errors.
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
# The trusted backends, best first: module, class, name. A backend of another system is never imported: macOS's would
# start compilers to look for its libraries.
_BACKENDS = {
    "darwin": (("keyring.backends.macOS", "Keyring", "macOS Keychain"),),
    "win32": (("keyring.backends.Windows", "WinVaultKeyring", "Windows Credential Manager"),),
}
_DESKTOP_BACKENDS = (
    ("keyring.backends.SecretService", "Keyring", "Secret Service"),
    ("keyring.backends.kwallet", "DBusKeyring", "KWallet"),
)


class Keychain:
    """A working keychain. It holds one key for each origin. Every method raises `ReveError` (`config`)."""

    def __init__(self, backend: Any, name: str) -> None:
        self._backend, self.name = backend, name
        self.place = f"the keychain ({name})"  # as the source of a key, for messages

    def get(self, origin: str) -> str | None:
        with self._explained():
            found = self._backend.get_password(_SERVICE, origin)
            return str(found) if found else None

    def put(self, origin: str, key: str) -> None:
        with self._explained():
            self._backend.set_password(_SERVICE, origin, key)

    def drop(self, origin: str) -> bool:
        """Delete the key of `origin`. Returns whether there was one."""
        with self._explained():
            if self._backend.get_password(_SERVICE, origin) is None:
                return False
            self._backend.delete_password(_SERVICE, origin)
            return True

    @contextlib.contextmanager
    def _explained(self) -> Any:
        try:
            yield
        except Exception as error:  # every backend has its own exceptions
            raise ReveError("config", f"{self.name} does not work: {str(error).rstrip('.')}") from None


def open_keychain(environ: Mapping[str, str]) -> Keychain:
    """The system's keychain. Raises `ReveError` (code `config`) with the reason if none can be used."""
    if importlib.util.find_spec("keyring") is None:
        raise ReveError("config", "the package keyring is not installed", hint=EXTRA)
    asked = environ.get("PYTHON_KEYRING_BACKEND")
    for module, kind, name in _BACKENDS.get(sys.platform, _DESKTOP_BACKENDS):
        if asked and asked != f"{module}.{kind}":
            continue
        with contextlib.suppress(Exception):  # not available here
            backend = getattr(importlib.import_module(module), kind)
            if backend.viable:
                return Keychain(backend(), name)
    if asked:
        raise ReveError("config", f"PYTHON_KEYRING_BACKEND={asked} is not a running system keychain")
    raise ReveError("config", "no system keychain is running")
