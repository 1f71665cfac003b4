"""The file beside an image, `IMAGE.json`, that holds the record of how it was made.

May import: core.errors, pictures.layout, pictures.provenance.
"""

import contextlib
import json
import os

from reve_cli.core.errors import ReveError
from reve_cli.pictures.layout import LONGEST_TEXT, opened
from reve_cli.pictures.provenance import Provenance

_TOOL = "reve "


def path_of(image: str) -> str:
    """The path of the sidecar of the image at `image`."""
    return f"{image}.json"


def content(record: Provenance) -> bytes:
    """What a sidecar holds."""
    return json.dumps(record.document(), indent=2).encode() + b"\n"


def read(image: str) -> Provenance | None:
    """The record in the sidecar of an image. None if there is no sidecar that reve wrote."""
    try:
        with opened(path_of(image)) as file:
            data = json.loads(file.read(LONGEST_TEXT))
    except (ReveError, OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(data, dict) and str(data.get("tool")).startswith(_TOOL)
    return Provenance.of_document(data) if is_ours else None


def is_taken(image: str) -> bool:
    """Whether the sidecar's path holds something that reve did not write."""
    return os.path.lexists(path_of(image)) and read(image) is None


def remove(image: str) -> None:
    """Remove the sidecar of an image that was at this path before."""
    if os.path.lexists(path_of(image)) and read(image) is not None:
        with contextlib.suppress(OSError):
            os.unlink(path_of(image))
