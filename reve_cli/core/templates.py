"""The syntax of output templates: text with fields in braces, and `{{` and `}}` for braces.

`engine.naming` fills the fields in.

May import: nothing of ours.
"""

import os
import string

FIELDS = ("index", "seed", "job", "slug", "date", "ext")
DEFAULT_NAME = "{slug}-{job}.{ext}"


def parse(template: str) -> list[tuple[str, str]]:
    """Split a template into pairs of text and the field after it ("" for none). Raises ValueError if it is invalid."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; write {{{{ and }}}} for braces") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in FIELDS or spec or conversion):
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            given = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise ValueError(f"{{{given}}} is not a field; the fields are {known}; write {{{{ for a brace")
    return [(text, name or "") for text, name, _, _ in parts]


def ending(template: str) -> str:
    """The extension that every name has, in lower case and without the dot; "" if it has none or a field decides.

    Raises ValueError like `parse`.
    """
    text, name = parse(template)[-1] if template else ("", "")
    return "" if name else os.path.splitext(f"x{text}")[1][1:].lower()


def escape(text: str) -> str:
    """A template that stands for exactly `text`."""
    return text.replace("{", "{{").replace("}", "}}")
