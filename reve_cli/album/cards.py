"""A card is what the page of a gallery knows about one image: its address, how it was made, and the command.

May import: terminal.text.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote as in_url

from reve_cli.core.contract import DEFAULT_MODEL
from reve_cli.terminal.text import quote

Card = dict[str, Any]
"""src, thumb: addresses relative to the page. name: the path for people. Unknown facts are left out."""


def card(path: str, facts: Mapping[str, Any], folder: str, thumb: str | None = None) -> Card:
    """Return the card of the image at `path` for a page in `folder`, both absolute.

    facts: fields of a job's JSON document. thumb: path of a smaller picture.
    """
    found = {
        "src": address(path, folder),
        "thumb": thumb and address(thumb, folder),
        "name": os.path.relpath(path, folder) if path.startswith(folder) else path,
        "prompt": facts.get("prompt"),
        "seed": facts.get("seed"),
        "ratio": facts.get("aspectRatio"),
        "version": facts.get("version"),
        "model": facts.get("model"),
        "job": facts.get("jobId"),
        "credits": facts.get("creditCost"),
        "made": facts.get("completedAt") or facts.get("createdAt"),
        "simulated": facts.get("simulated") or None,
        "command": command(facts),
    }
    return {name: value for name, value in found.items() if value is not None}


def address(path: str, folder: str) -> str:
    """The URL of `path` relative to `folder`. It works for any file name, and a name never acts as a scheme."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive of Windows
        return Path(path).as_uri()
    return "/".join(in_url(os.fsencode(part), safe="") for part in relative.split(os.sep))


def command(facts: Mapping[str, Any]) -> str | None:
    """The command that makes such an image again; None if no shell can pass its prompt."""
    prompt = facts.get("prompt")
    if not isinstance(prompt, str) or not prompt or "\0" in prompt:
        return None
    words = ["reve", "generate"]
    options = {"--seed": facts.get("seed"), "--ar": facts.get("aspectRatio"), "--model-version": facts.get("version")}
    if facts.get("count"):
        options["--count"] = facts["count"]
    if facts.get("model") != DEFAULT_MODEL:
        options["--model"] = facts.get("model")
    for option, value in options.items():
        if value is not None:
            words += [option, str(value)] if not str(value).startswith("-") else [f"{option}={value}"]
    if facts.get("simulated"):
        words.append("--sandbox")
    return f"{shlex.join(words)} -- {quote(prompt)}"
