"""Which format a file has: by --format, by its extension, and what its first line says against that.

May import: core.errors, core.models, tables.rows.
"""

import json
import os
import re

from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo
from reve_cli.tables.rows import TableError

FORMATS = ("text", "csv", "tsv", "jsonl", "json", "xlsx", "ods")
PROMPTS = "prompts"
"""Text without --format: what does not look like a list of prompts is refused."""
SHEETS = ("xlsx", "ods")
_EXTENSIONS = {f".{name}": name for name in FORMATS if name != "text"} | {".ndjson": "jsonl", ".tab": "tsv"}
_TEXT_EXTENSIONS = ("", ".txt", ".prompts")
_MAGIC = {
    b"PK\3\4": "a zip file or a spreadsheet (for a spreadsheet: --format xlsx or --format ods)",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file (save it as .xlsx or .csv)",
    b"\x1f\x8b": "a gzip file (unpack it first)",
    b"BZh": "a bzip2 file (unpack it first)",
    b"\xfd7zX": "an xz file (unpack it first)",
    b"\x28\xb5\x2f\xfd": "a zstd file (unpack it first)",
    b"PAR1": "a Parquet file",
    b"SQLi": "an SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WebP image, or sound",
}
_SIGNATURES = {
    r"\{\\rtf": "RTF",
    r"%PDF-": "a PDF file",
    r"%!PS": "a PostScript file",
    r"(?i)<(!doctype|html|\?xml|svg|head|body)\b|<!--": "HTML or XML",
    r"---\s*$|%YAML|(- )?[\"']?prompts?[\"']?:(\s|$)": "YAML",
    r"#!": "a script",
    r"(import|from) [\w.]+( import .*)?$|def \w+\(.*:$": "Python",
    r"\[[\w .-]+\]$": "an INI or TOML file",
    r"\\documentclass": "LaTeX",
}
_FENCE = re.compile(r"\s*(```|~~~)")
_LIKE_JSON = re.compile(r'[\[{][\[{\s]*(["\]}]|$)')
ANYWAY = "--format text reads every line as a prompt"


def format_of(path: str, given: str | None) -> str:
    """The format of a file: `given` with --format, or else from its extension. Raises `ReveError` (code `usage`)."""
    if given is not None and given not in FORMATS:
        raise ReveError("usage", f"--format {echo(given)} is not one of {', '.join(FORMATS)}")
    extension = os.path.splitext(path)[1].lower()
    if given is None and extension not in _EXTENSIONS and extension not in _TEXT_EXTENSIONS:
        message = f"{path}: {extension} is not an extension for prompts; name the format with --format"
        raise ReveError("usage", message, hint=f"--format is one of {'|'.join(FORMATS)}; {ANYWAY}")
    return given or _EXTENSIONS.get(extension, PROMPTS)


def check_bytes(head: bytes) -> None:
    """Raises `TableError` if a file that begins with `head` (4 bytes) is not text."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            raise TableError(1, f"this is {name}, not text")


def check_first(line: str, number: int) -> None:
    """Raises `TableError` if the first line of a text shows that it is another kind of document."""
    for signature, name in _SIGNATURES.items():
        if re.match(signature, line.strip()):
            raise TableError(number, f"this is {name}, not a list of prompts; {ANYWAY}")


def check_line(line: str, number: int) -> None:
    """Raises `TableError` if a line of text is JSON, a part of it, or a code fence."""
    if _FENCE.match(line):
        raise TableError(number, f"a Markdown code fence is not a prompt; {ANYWAY}")
    if not _LIKE_JSON.match(line.strip()):
        return
    try:
        is_object = isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        is_object = False
    if is_object:
        raise TableError(number, f"a JSON object is not a prompt; add --format jsonl ({ANYWAY})")
    raise TableError(number, f"JSON is not a prompt; add --format json for an array ({ANYWAY})")
