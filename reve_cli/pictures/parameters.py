"""The text `parameters` of PNG files: the form that AUTOMATIC1111's web UI writes, and many viewers read.

    the prompt
    Negative prompt: what other tools also take
    Seed: 1, Size: 1024x1024, Model: reve-create, ...

Source: `create_infotext` and `parse_generation_parameters` there. Its parser wants at least 3 pairs in the last line.
May import: core.contract, pictures.provenance.
"""

import json
import re

from reve_cli.core.contract import ASPECT_RATIOS, SEED_LIMIT
from reve_cli.pictures.provenance import Provenance

_MARK = "Version: reve"
_NEGATIVE = "Negative prompt:"
# Every repetition is bounded, so that a hostile text takes no time.
_PAIR = re.compile(r'(\w[\w \-/]{0,60}):[ \t]*("(?:\\.|[^\\"]){0,2000}"|[^,]*)')
_LONGEST_LINE = 20_000
_LEAST_PAIRS = 3


def written(record: Provenance, width: int, height: int) -> str:
    """The text for an image of this size in pixels."""
    pairs = {
        "Seed": record.seed,
        "Size": f"{width}x{height}" if width and height else None,
        "Model": record.model,
        "Model version": record.version,
        "Aspect ratio": record.aspect_ratio,
        "Job": record.job_id,
    }
    line = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in pairs.items() if value is not None)
    return f"{record.prompt or ''}\n{line}, {_MARK}"


def is_ours(text: str) -> bool:
    """Whether `written` made the text."""
    return text.endswith(_MARK)


def read(text: str) -> Provenance:
    """What another tool's text says of how the image was made."""
    lines = text.strip().splitlines()
    found: dict[str, str] = {}
    if lines and len(lines[-1]) <= _LONGEST_LINE:
        found = {match[1].strip(): _plain(match[2].strip()) for match in _PAIR.finditer(lines[-1])}
    if len(found) < _LEAST_PAIRS:
        found = {}
    prompt, _, negative = "\n".join(lines[:-1] if found else lines).partition(_NEGATIVE)
    if negative.strip():
        found[_NEGATIVE.rstrip(":")] = negative.strip()
    seed, ratio = found.pop("Seed", ""), found.pop("Aspect ratio", "")
    number = int(seed) if re.fullmatch("-?[0-9]{1,20}", seed) else None
    if number is not None and abs(number) > SEED_LIMIT:
        found["Seed"], number = seed, None
    return Provenance(
        prompt=prompt.strip() or None,
        seed=number,
        aspect_ratio=ratio if ratio in ASPECT_RATIOS else _ratio(found.get("Size", "")),
        model=found.pop("Model", None),
        tool=found.pop("Version", None),
        others=found,
    )


def _ratio(size: str) -> str | None:
    """The aspect ratio that a size such as `768x512` has exactly; None if that is not one that the API takes."""
    match = re.fullmatch("([0-9]{1,6})x([0-9]{1,6})", size)
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    for ratio in ASPECT_RATIOS:
        across, down = map(int, ratio.split(":"))
        if width and width * down == height * across:
            return ratio
    return None


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search("[,:\n]", value) else value


def _plain(value: str) -> str:
    """Undo `_quoted`."""
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            pass
    return value
