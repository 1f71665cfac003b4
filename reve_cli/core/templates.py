"""The language of output templates: text with fields in braces, `{{` and `}}` for braces. Imports the standard library.

What a field stands for is known to `naming`; this is what may be written.
"""

import string

FIELDS = ("index", "seed", "job", "slug", "date", "ext")
DEFAULT_NAME = "{slug}-{job}.{ext}"


def parse(template: str) -> list[tuple[str, str]]:
    """The template as pairs of literal text and the field after it ("" for none). Raises ValueError saying why not."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; {{{{ and }}}} stand for braces") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in FIELDS or spec or conversion):
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            given = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise ValueError(f"{{{given}}} is not a field; there are {known}, and {{{{ for a brace")
    return [(text, name or "") for text, name, _, _ in parts]


def escape(text: str) -> str:
    """`text` as a template that means just that."""
    return text.replace("{", "{{").replace("}", "}}")
