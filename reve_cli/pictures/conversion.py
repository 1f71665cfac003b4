"""Converts images to the format that a file's name asks for, with Pillow (extra `reve-cli[images]`).

Pillow takes 60 ms to load: only a conversion loads it.
May import: core.errors, pictures.
"""

import importlib.util
import io
from functools import cache
from typing import Any, BinaryIO

from reve_cli.core.errors import ReveError
from reve_cli.pictures import xmp
from reve_cli.pictures.formats import AVIF, JPEG, PNG, Format, image_format, target_of
from reve_cli.pictures.layout import replace_all
from reve_cli.pictures.png import XMP_KEYWORD
from reve_cli.pictures.provenance import Provenance

INSTALL = "pip install 'reve-cli[images]'"
_MODES = {PNG: ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), JPEG: ("L", "RGB", "CMYK")}
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")
# Metadata of others that Pillow keeps: the color profile, Exif and XMP.
_KEPT = ("icc_profile", "exif", "xmp")


class NotConverted(Exception):
    """An image could not be converted. The file is as it was."""


def check_can_convert(extension: str) -> None:
    """Raise `ReveError` (code `usage`) if images cannot be converted to the format of `extension` here."""
    kind = target_of(extension)
    if kind in (None, PNG):  # the API delivers PNG
        return
    if importlib.util.find_spec("PIL") is None:
        message = f"the API delivers PNG images, and conversion to {extension} needs an extra"
        raise ReveError("usage", message, hint=f"{INSTALL}, or use a name that ends in .png or .{{ext}}")
    if kind is AVIF and not _has_avif():
        message = "the installed Pillow cannot write AVIF images"
        raise ReveError("usage", message, hint="pip install --upgrade pillow, or use .webp")


@cache
def _has_avif() -> bool:
    from PIL import features

    return features.check("avif") is True


def convert(file: BinaryIO, target: Format, quality: int, record: Provenance | None) -> None:
    """Convert the image in `file` in place: its first picture, with its color profile and others' metadata.

    quality: 1 to 100, not used by PNG. A transparent image becomes a JPEG on white. record: written into an AVIF, which
    `metadata.embed` cannot do. Raises `NotConverted`, and OSError if the result cannot be written.
    """
    try:
        data = _converted(file, target, quality, record if target is AVIF else None)
    except ImportError:
        raise NotConverted(f"it needs an extra: {INSTALL}") from None
    except Exception as error:  # an image library raises errors of any type for damaged or huge images
        raise NotConverted(" ".join(str(error).split())[:200] or type(error).__name__) from error
    if image_format(io.BytesIO(data), len(data)) is not target:
        raise NotConverted("the result is not a complete image")
    replace_all(file, data)


def _converted(file: BinaryIO, target: Format, quality: int, record: Provenance | None) -> bytes:
    import warnings

    from PIL import Image

    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an image is large; one that is too large raises an error
        with Image.open(file) as image:
            image.load()
            kept: dict[str, Any] = {name: image.info[name] for name in _KEPT if image.info.get(name)}
            picture = _fitting(image, target)
            if _colors(picture.mode) != _colors(image.mode):  # another color space than the profile's
                kept.pop("icc_profile", None)
    if record is not None:
        old = bytes(kept.pop("xmp", b"")).decode("utf-8", "replace")
        kept["xmp"] = (xmp.written(record, old or None) or old).encode()
    result = io.BytesIO()
    options = _for_png(kept) if target is PNG else {**kept, "quality": quality}
    picture.save(result, target.media_type.partition("/")[2].upper(), **options)
    return result.getvalue()


def _fitting(image: Any, target: Format) -> Any:
    """The image in a mode that `target` can hold."""
    from PIL import Image

    is_transparent = image.mode in _TRANSPARENT or "transparency" in image.info
    if image.mode in _MODES.get(target, ("RGB", "RGBA")) and not (target is JPEG and is_transparent):
        return image
    if image.mode.startswith("I"):  # 16 bits for each pixel
        gray = image.convert("I").point(lambda value: value / 256).convert("L")
        return gray if target is JPEG else gray.convert("RGB")
    if not is_transparent:
        return image.convert("RGB")
    colored = image.convert("RGBA")
    if target is not JPEG:
        return colored
    return Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored).convert("RGB")


def _colors(mode: str) -> str:
    """The color space of a mode of Pillow."""
    return "CMYK" if mode == "CMYK" else "RGB" if mode.startswith(("RGB", "P")) else "gray"


def _for_png(kept: dict[str, Any]) -> dict[str, Any]:
    """What Pillow takes for a PNG: XMP is a text chunk there."""
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if packet := kept.pop("xmp", None):
        texts.add_itxt(XMP_KEYWORD, bytes(packet).decode("utf-8", "replace"))
    return {**kept, "pnginfo": texts}
