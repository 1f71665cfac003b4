"""Small pictures for the page of a gallery, made with Pillow (extra `images`) and kept in a hidden folder beside it.

May import: core.
"""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec

FOLDER = ".gallery"
_SIDE = 480
"""Pixels of the longer side: enough for a card on a screen with twice the pixels."""
_SMALL = 100_000
"""Bytes of an image that needs no thumbnail."""
_LARGE = 40_000_000
"""Bytes of an image that gets none: Pillow loads all metadata of a file, however large."""
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
_AT_ONCE = 32


def make(paths: Sequence[str], folder: str, is_over: Callable[[], bool], done: Callable[[int], None]) -> dict[str, str]:
    """Make the thumbnails of large images for a page in `folder`. Returns their paths by the image's path.

    Existing ones are kept. There are none without Pillow, and none for images that it cannot read. is_over: whether to
    stop early. done: called with the number of images that are done.
    """
    if find_spec("PIL") is None:
        return {}
    made: dict[str, str] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        warnings.simplefilter("error")  # Pillow warns of images that take too much memory
        for start in range(0, len(paths), _AT_ONCE):
            if is_over():
                break
            part = paths[start : start + _AT_ONCE]
            for path, thumb in zip(part, threads.map(partial(_thumbnail, folder), part), strict=True):
                if thumb is not None:
                    made[path] = thumb
            done(start + len(part))
    _remove_others(os.path.join(folder, FOLDER), {os.path.basename(path) for path in made.values()})
    return made


def _thumbnail(folder: str, path: str) -> str | None:
    with contextlib.suppress(Exception):  # a decoder may raise any error for a damaged file
        found = os.stat(path)
        if not _SMALL <= found.st_size <= _LARGE:
            return None
        identity = f"{os.path.relpath(path, folder)}\0{found.st_size}\0{found.st_mtime_ns}"
        name = hashlib.sha256(os.fsencode(identity)).hexdigest()[:24]
        thumb = os.path.join(folder, FOLDER, f"{name}.jpg")
        if os.path.exists(thumb) or _draw(path, thumb):
            return thumb
    return None


def _draw(path: str, thumb: str) -> bool:
    """Draw a thumbnail. Returns False for an image with transparent parts, which JPEG does not have."""
    from PIL import Image, ImageOps

    with Image.open(path, formats=_FORMATS) as image:
        if image.has_transparency_data:
            return False
        image.draft("RGB", (_SIDE, _SIDE))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((_SIDE, _SIDE), reducing_gap=2.0)
        os.makedirs(os.path.dirname(thumb), exist_ok=True)
        temporary = f"{thumb}.part"
        upright.convert("RGB").save(temporary, "JPEG", quality=80)
    os.replace(temporary, thumb)
    return True


def _remove_others(folder: str, names: set[str]) -> None:
    """Remove the thumbnails of images that are gone or changed."""
    for name in set(_names(folder)) - names:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))


def _names(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (name for name in os.listdir(folder) if name.endswith((".jpg", ".part")))
