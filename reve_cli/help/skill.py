"""The topic `agents` as a skill: a file SKILL.md that coding agents find and read by themselves.

May import: topics, core.errors.
"""

import contextlib
import os
import stat
from pathlib import Path

from reve_cli.core.errors import ReveError
from reve_cli.help.topics import text

FOLDER = ".agents/skills"
"""The folder in which agents look for skills."""
NAME = "reve"
MARKER = "<!-- Written by `reve help agents --install`, which replaces this file. -->"
"""The line by which `install` knows its own file."""
_DESCRIPTION = (
    "Generate images with the command-line tool reve (Reve model, Apiframe API) without spending credits by mistake. "
    "Use it when the user asks for an image, or for many images from a list of prompts; when a script or CI job calls "
    "reve; or when a reve command was interrupted or ended with exit code 6 or 75."
)


def skill() -> str:
    """The text of the file: the topic after a front matter with its name and when to use it."""
    return f"---\nname: {NAME}\ndescription: {_DESCRIPTION}\n---\n\n{MARKER}\n\n{text('agents')}"


def install(folder: str) -> str:
    """Write the file into `folder`/reve. Returns its path.

    Raises `ReveError` (code `output`) if it cannot be written, or if a file of that name is not from here.
    """
    path = Path(folder) / NAME / "SKILL.md"
    temporary = path.with_name(f".SKILL.md.{os.getpid()}")
    try:
        if not _is_ours(path):
            raise ReveError("output", f"{path} was not written by reve", hint="remove it, or name another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(skill(), encoding="utf-8", newline="\n")
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise ReveError("output", f"cannot write {path}: {error.strerror}") from error
    return str(path)


def _is_ours(path: Path) -> bool:
    """Whether `install` wrote the file at `path`, or there is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return True
    return MARKER in path.read_text(encoding="utf-8", errors="replace").splitlines()
