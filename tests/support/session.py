"""Draws the terminal session in the README: real commands against the sandbox, in a pseudo-terminal.

python -m tests.support.session
"""

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from tests.support.terminal import Screen, Terminal

PICTURE = Path(__file__).parents[2] / "reve_cli" / "help" / "session.svg"
COLUMNS = 80
# JOB is the job of the first command.
COMMANDS = (
    'reve generate "a red fox in the snow" --seed 1 --out fox.png',
    "reve status JOB",
    "reve generate \"a blue fox\" --quiet --json | jq '{status, creditCost, seed}'",
)
_ERASED = re.compile(r"[^\n]*\r\n\r\x1b\[1A\x1b\[2K|[^\n]*\r\x1b\[2K")
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_VARIES = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{8}(?=\s)|\d+(?:[.,:-]\d+)*|\s+")
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def session(folder: Path, seconds: float) -> str:
    """What stays on the terminal, with its colors. A job takes `seconds`."""
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "REVE_SANDBOX": "1",
        "REVE_SANDBOX_SECONDS": str(seconds),
        "LANG": "C.UTF-8",
    }
    shown: list[str] = []
    for command in COMMANDS:
        job = re.findall(r"job (\S{36})", shown[0])[0] if shown else ""
        shown.append(_shown(command.replace("JOB", job), folder, env))
    return "\n".join(shown)


def _shown(command: str, folder: Path, env: dict[str, str]) -> str:
    script = f"cd {folder}; {command}"
    with Terminal(["bash", "-c", script], env=env, columns=COLUMNS) as terminal:
        assert terminal.wait() == 0, terminal.seen
    stays = _ERASED.sub("", terminal.seen.decode()).replace("\r\n", "\n")
    assert _STYLE.sub("", stays).rstrip() == Screen(terminal.seen, COLUMNS).text
    return f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\n{stays}"


def draw(text: str) -> str:
    """The session as SVG that loads nothing from elsewhere."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text))
    return console.export_svg(title="reve", code_format=_FORMAT, unique_id="reve")


def text_of(svg: str) -> str:
    """The text in a drawing."""
    texts: Iterator[str] = (found[1] for found in re.finditer(r"<text[^>]*>(.*?)</text>", svg))
    return unescape("".join(texts)).replace("\xa0", " ")


def constant(text: str) -> str:
    """The text without colors, spaces, ids, numbers and times."""
    return _VARIES.sub("", _STYLE.sub("", text))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PICTURE.write_text(draw(session(Path(temporary), 2)), encoding="utf-8")
