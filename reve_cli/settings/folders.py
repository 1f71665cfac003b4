"""The state folder, and switches in the environment. Shell completion loads this module, so it reads no settings.

May import: nothing of ours.
"""

import os
from collections.abc import Mapping
from pathlib import Path

# The sandbox's folder in the state folder.
SANDBOX = "sandbox"


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder for the journal, rescued and piped images, and sandbox jobs. None without a home folder."""
    if environ.get("REVE_STATE_DIR"):
        return Path(os.path.abspath(os.path.expanduser(environ["REVE_STATE_DIR"])))
    import platformdirs

    try:
        return Path(platformdirs.user_state_dir("reve", appauthor=False))
    except RuntimeError:
        return None


def truthy(value: str | None) -> bool:
    """Whether the value of an environment variable means "on"."""
    return (value or "").strip().lower() not in ("", "0", "no", "off", "false")
