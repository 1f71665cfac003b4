"""Output templates: text with fields in braces, `{{` and `}}` for braces, and the values of the fields.

`engine.naming` says which template an `--out` means.
May import: core.errors, filesystem, tasks.
"""

import glob
import os
import string
import sys
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import longest_name
from reve_cli.core.tasks import Task

FIELDS = ("index", "seed", "job", "slug", "date", "ext")
DEFAULT_NAME = "{slug}-{job}.{ext}"
ANY_JOB = "00000000-0000-0000-0000-000000000000"
"""A placeholder with the length of a job id."""
# Fields that are known only after payment.
_LATE = ("job", "ext")
_SLUG_LENGTH = 40
# Bytes of a name kept free for what is known later: a longer extension, and the number of a second image.
_SPARE = 6
# Names that Windows reserves for devices, whatever their extension.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@lru_cache(16)
def parse(template: str) -> tuple[tuple[str, str], ...]:
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
    return tuple((text, name or "") for text, name, _, _ in parts)


def ending(template: str) -> str:
    """The extension that every name has, in lower case and without the dot; "" if it has none or a field decides.

    Raises ValueError like `parse`.
    """
    text, name = parse(template)[-1] if template else ("", "")
    return "" if name else os.path.splitext(f"x{text}")[1][1:].lower()


def escape(text: str) -> str:
    """A template that stands for exactly `text`."""
    return text.replace("{", "{{").replace("}", "}}")


@lru_cache(256)
def slug(prompt: str) -> str:
    """The prompt as part of a file name: letters and digits that the file system can store, with single hyphens.

    `image` if nothing is left.
    """
    encoding = sys.getfilesystemencoding()
    text = unicodedata.normalize("NFC", prompt).encode(encoding, "ignore").decode(encoding)
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text)
    name = ""
    for word in kept.lower().split():
        if len(name) + len(word) + 1 > _SLUG_LENGTH:
            break
        name += f"-{word}" if name else word
    name = name or "".join(kept.lower().split())[:_SLUG_LENGTH] or "image"
    return f"{name}-image" if name in _RESERVED else name


@dataclass(frozen=True)
class Values:
    """The values of a template's fields for one job. None: not known yet."""

    index: int
    seed: str | None = None
    slug: str | None = None
    job: str | None = None
    ext: str | None = None

    @classmethod
    def of(cls, task: Task) -> "Values":
        """The values that are known of a task by now."""
        prompt = seed = None
        if task.request is not None:
            prompt, seed = task.request.prompt, task.request.seed
        elif task.job is not None:
            prompt, seed = task.job.asked("prompt") or "", task.job.asked("seed")
        known = task.request is not None or task.job is not None
        return cls(
            task.index,
            seed=("none" if seed is None else str(seed)) if known else None,
            slug=slug(prompt or "") if known else None,
            job=task.job_id,
        )


class PathTemplate:
    """A path with fields in braces. Raises `ReveError` (code `usage`) for a bad template."""

    def __init__(self, text: str, date: str) -> None:
        self.text, self._date = text, date
        # Shortened slugs, by the values they depend on.
        self._slugs: dict[tuple[int, str | None, str], str] = {}
        try:
            self._parts = parse(text)
        except ValueError as error:
            raise ReveError("usage", f"--out: {error}") from error
        self.folder_fields = {name for _, name in parse(os.path.split(text)[0])}
        late = sorted(self.folder_fields.intersection(_LATE))
        if late:
            raise ReveError("usage", f"--out: {{{late[0]}}} can only stand in the file's name, not in its folder")

    @property
    def names_the_job(self) -> bool:
        """Whether the job's id is part of the path."""
        return any(name == "job" for _, name in self._parts)

    def unknown(self, values: Values) -> set[str]:
        """The fields that have no value yet, except the extension."""
        return {name for _, name in self._parts if name and name != "ext" and self._value(values, name) is None}

    def fill(self, values: Values) -> str:
        """The path; a field without a value is left out. The slug is shortened if the name would be too long."""
        return self._fill(self._fitting(values))

    def _fill(self, values: Values) -> str:
        return "".join(text + (self._value(values, name) or "" if name else "") for text, name in self._parts)

    def fill_known(self, values: Values) -> str:
        """The template with the known values filled in; the other fields stay."""
        filled, values = "", self._fitting(values)
        for text, name in self._parts:
            value = self._value(values, name) if name else ""
            filled += escape(text) + (f"{{{name}}}" if value is None else escape(value))
        return filled

    def pattern(self, values: Values) -> str:
        """A glob pattern for the path; a field without a value matches anything."""
        pattern, values = "", self._fitting(values)
        for text, name in self._parts:
            value = self._value(values, name) if name else ""
            pattern += glob.escape(text) + ("*" if value is None else glob.escape(value))
        return pattern

    def _fitting(self, values: Values) -> Values:
        """`values` with the slug shortened to what the folder of the path allows, the same at any time of a job."""
        if not values.slug or all(name != "slug" for _, name in self._parts):
            return values
        known = values.index, values.seed, values.slug
        if known not in self._slugs:
            self._slugs[known] = self._short_slug(values, values.slug)
        short = self._slugs[known]
        return values if short == values.slug else replace(values, slug=short)

    def _short_slug(self, values: Values, slug: str) -> str:
        path = self._fill(replace(values, slug="\0", job=ANY_JOB, ext="png"))
        whole, longest = os.fsencode(slug), longest_name(os.path.dirname(self._parts[0][0])) - _SPARE
        names = [name for name in path.split(os.sep) if "\0" in name]
        room = min((longest - len(os.fsencode(name)) + name.count("\0")) // name.count("\0") for name in names)
        if len(whole) <= room:
            return slug
        return whole[: max(room, 0)].decode(sys.getfilesystemencoding(), "ignore").rstrip("-") or slug

    def _value(self, values: Values, name: str) -> str | None:
        if name == "date":
            return self._date
        value = getattr(values, name)
        return None if value is None else str(value)
