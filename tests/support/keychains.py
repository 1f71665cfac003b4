"""A made-up keyring package, for what no real keychain does when asked to: fail half-way, lie, or be of another kind.

Its keychain is a JSON file. `trouble` in the package's folder holds the names of the calls that fail.
"""

import json
import sys
from pathlib import Path

import pytest

_BACKEND = """
import json
from pathlib import Path

HERE = Path(__file__).parent
STORE, TROUBLE, SEEN = HERE / "store.json", HERE / "trouble", HERE / "seen"


class Keyring:
    viable = True

    def _load(self, call):
        exec((HERE / "first").read_text())
        with SEEN.open("a") as seen:
            seen.write(call + "\\n")
        if call in TROUBLE.read_text().split():
            raise RuntimeError(f"made-up trouble with {call}.")
        return json.loads(STORE.read_text())

    def get_password(self, service, name):
        return self._load("get").get(f"{service} {name}")

    def set_password(self, service, name, password):
        kept = self._load("set")
        kept[f"{service} {name}"] = "" if "lie" in TROUBLE.read_text() else password
        STORE.write_text(json.dumps(kept))

    def delete_password(self, service, name):
        kept = self._load("delete")
        del kept[f"{service} {name}"]
        STORE.write_text(json.dumps(kept))
"""


class MadeUpKeychain:
    """The package in `folder`, which stands before all others on the path of a process that gets `folder` there."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux":
            pytest.skip("the made-up keychain is one of Linux")
        self.folder = folder
        self._backends = folder / "keyring" / "backends"
        self._backends.mkdir(parents=True)
        for module in ("__init__.py", "backends/__init__.py"):
            (folder / "keyring" / module).touch()
        (self._backends / "SecretService.py").write_text(_BACKEND)
        self.keeps({})
        self.fails("")
        self.at_each_call("")

    def at_each_call(self, code: str) -> None:
        """Run this first."""
        (self._backends / "first").write_text(code)

    def fails(self, calls: str) -> None:
        """From now on these calls fail: get, set, delete; or `lie`: keep nothing and say nothing."""
        (self._backends / "trouble").write_text(calls)

    def keeps(self, keys: dict[str, str]) -> None:
        """It holds these keys, by origin."""
        (self._backends / "store.json").write_text(json.dumps({f"reve-cli {name}": key for name, key in keys.items()}))

    @property
    def kept(self) -> dict[str, str]:
        """The keys that it holds, by origin."""
        kept = json.loads((self._backends / "store.json").read_text())
        return {name.removeprefix("reve-cli "): key for name, key in kept.items()}

    @property
    def asked(self) -> list[str]:
        """Every call so far."""
        seen = self._backends / "seen"
        return seen.read_text().split() if seen.exists() else []


def forget_keyring() -> None:
    """Let the next import of keyring find what is then on the path."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "keyring"]:
        del sys.modules[name]
