"""Previews on a real pseudo-terminal that answers as known terminals do, and the desktop's viewer."""

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Reve
from tests.support.pictures import PICTURES
from tests.support.terminal import Terminal, eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")

NAME, CELL, ATTRIBUTES = b"\x1b[>0q", b"\x1b[16t", b"\x1b[c"
GRAPHICS = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
KITTY = {
    NAME: b"\x1bP>|kitty(0.26.5)\x1b\\",
    CELL: b"\x1b[6;20;10t",
    ATTRIBUTES: b"\x1b[?62;c",
    GRAPHICS: b"\x1b_Gi=31;OK\x1b\\",
}
ITERM2 = {NAME: b"\x1bP>|iTerm2 3.5.0\x1b\\", CELL: b"\x1b[6;20;10t", ATTRIBUTES: b"\x1b[?62;4c"}
XTERM = {NAME: b"\x1bP>|XTerm(379)\x1b\\", ATTRIBUTES: b"\x1b[?63;1;2;4;6;9;15;22c"}
VT340 = {ATTRIBUTES: b"\x1b[?63;1;2;4;6;9;15;22c"}
VTE = {NAME: b"\x1bP>|VTE(7600)\x1b\\", ATTRIBUTES: b"\x1b[?65;1;9c"}
APPLE = {ATTRIBUTES: b"\x1b[?1;2c"}
TMUX = {NAME: b"\x1bP>|tmux 3.3a\x1b\\", ATTRIBUTES: b"\x1b[?1;2c", GRAPHICS: b""}
TMUX_WITH_SIXEL = {NAME: b"\x1bP>|tmux 3.4\x1b\\", ATTRIBUTES: b"\x1b[?1;2;4c"}
SILENT: dict[bytes, bytes] = {}

_PATIENTLY = "from reve_cli.terminal import query; query._PATIENCE = 60\n"
"""So that no terminal of a test on a busy machine answers too late."""
_ASK = """
import os, select, sys, termios, tty
from reve_cli.terminal.query import ask

def what_is_left():
    tty.setcbreak(0, termios.TCSANOW)
    return os.read(0, 999) if select.select([0], [], [], 0)[0] else b""
"""
_DRAW = """
import json, os, sys
from reve_cli.terminal.output import Output
from reve_cli.terminal.viewing import Preview

for flags, env, path in json.loads(sys.argv[1]):
    environ = {**os.environ, **env}
    output = Output(environ, json="json" in flags, quiet="quiet" in flags)
    Preview(output, environ, wanted="wanted" in flags, is_over=lambda: "over" in flags).draw(path)
    output.note("-")
"""


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def asked(script: str, answers: Mapping[bytes, bytes]) -> str:
    """What a script prints that may ask the terminal."""
    with Terminal(python(_ASK + script), env=os.environ, answers=answers) as terminal:
        assert terminal.wait() == 0
        printed = terminal.seen
        for question in (NAME, CELL, ATTRIBUTES, GRAPHICS):
            printed = printed.replace(question, b"")
        return printed.decode().rstrip()


def drawn(
    answers: Mapping[bytes, bytes],
    *cases: tuple[str, dict[str, str]],
    paths: Sequence[str] = ("fox.png",),
    columns: int = 80,
    first: str = "",
) -> list[bytes]:
    """What reaches the terminal when images are drawn, for each case of flags and environment. first: a script."""
    if not Path("fox.png").exists():
        Path("fox.png").write_bytes(PICTURES["png"])
    script = first + (_PATIENTLY if ATTRIBUTES in answers else "") + _DRAW
    command = python(script, json.dumps([(*case, path) for case in cases or [("", {})] for path in paths]))
    with Terminal(command, env=os.environ, answers=answers, columns=columns) as terminal:
        assert terminal.wait() == 0
        *seen, rest = terminal.seen.split(b"-\r\n")
        assert rest == b""
        return seen


# The question


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (KITTY, "kitty (10, 20)"),
        (ITERM2, "iterm2 (10, 20)"),
        (XTERM, "sixel None"),
        (VT340, "sixel None"),
        (VTE, "None None"),
        (APPLE, "None None"),
        (TMUX, "None None"),
        (TMUX_WITH_SIXEL, "sixel None"),
    ],
    ids=["kitty", "iTerm2", "xterm", "VT340", "VTE", "Terminal.app", "tmux", "tmux with sixel"],
)
def test_a_terminal_tells_what_it_can_show_and_keeps_its_settings(
    answers: Mapping[bytes, bytes], expected: str
) -> None:
    script = f"""{_PATIENTLY}
before = termios.tcgetattr(0)
found = ask()
assert termios.tcgetattr(0) == before
assert what_is_left() == b"", "an answer is left in the input"
print(found.protocol, found.cell)
"""
    assert asked(script, answers) == expected


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_tmux_in_kitty_shows_no_pictures_and_no_answer_is_left_in_the_input(tmp_path: Path) -> None:
    script = "found = ask()\nopen('found', 'w').write(f'{found and found.protocol} {what_is_left()}')"
    tmux = ["tmux", "-f", os.devnull, "-S", str(tmp_path / "tmux"), "new-session"]
    with Terminal([*tmux, *python(_ASK + script)], env=os.environ, answers=KITTY) as terminal:
        assert terminal.wait() == 0
        assert Path("found").read_text() == "None b''"
        assert b"\x1b_G" not in terminal.seen


@pytest.mark.parametrize("answers", [APPLE, TMUX], ids=["Terminal.app", "tmux"])
def test_a_terminal_that_might_print_the_question_of_kitty_does_not_get_it(answers: Mapping[bytes, bytes]) -> None:
    assert GRAPHICS not in drawn(answers)[0]


def test_a_terminal_with_a_name_of_its_own_gets_the_question_of_kitty() -> None:
    assert GRAPHICS in drawn(VTE)[0]


def test_a_terminal_that_does_not_answer_shows_nothing_and_is_restored() -> None:
    script = "before = termios.tcgetattr(0)\nprint(ask(), termios.tcgetattr(0) == before)"
    assert asked(script, SILENT) == "None True"


def test_keys_that_were_typed_ahead_are_not_lost_and_nothing_is_asked() -> None:
    script = """
print("ready", flush=True)
assert os.read(0, 99) == b"go\\n"
print(ask(), what_is_left())
"""
    with Terminal(python(_ASK + script), env=os.environ, answers=KITTY) as terminal:
        terminal.expect("ready")
        terminal.type(b"go\nls -l")
        assert terminal.wait() == 0
        assert terminal.seen.splitlines()[-1].endswith(b"None b'ls -l'")
        assert NAME not in terminal.seen


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_during_the_question_ends_the_process_and_restores_the_terminal(name: str) -> None:
    script = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("ready", flush=True)
os.read(0, 99)
while True:
    ask()
"""
    with Terminal(python(_ASK + script), env=os.environ) as terminal:
        terminal.expect("ready")
        before = terminal.modes
        terminal.type(b"\n")
        terminal.expect(NAME.decode())
        terminal.process.send_signal(Signals[name])
        assert terminal.wait() == -Signals[name]
        assert terminal.modes == before


def test_a_background_job_is_not_stopped_and_asks_nothing() -> None:
    script = """
child = os.fork()
if not child:
    os.setpgid(0, 0)
    os._exit(ask() is not None)
print(os.waitpid(child, os.WUNTRACED)[1])
"""
    assert asked(script, KITTY) == "0"


@pytest.mark.parametrize(
    "script",
    [
        "tty.setcbreak(0)\nprint(ask())",
        "termios.tcflow(1, termios.TCOOFF)\nfound = ask()\ntermios.tcflow(1, termios.TCOON)\nprint(found)",
        "import threading; done = []\nthread = threading.Thread(target=lambda: done.append(ask()))\n"
        "thread.start()\nthread.join()\nprint(*done)",
    ],
    ids=["another program reads", "Ctrl-S", "in a thread"],
)
def test_a_terminal_that_cannot_be_asked_safely_is_not_asked(script: str) -> None:
    assert asked(script, KITTY) == "None"


# What is drawn


@pytest.mark.parametrize("columns", [80, 140])
def test_kitty_draws_the_file_at_most_half_as_high_as_the_window(columns: int) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (1200, 1000)).save("fox.png")
    (sent,) = drawn(KITTY, columns=columns)
    parts = re.findall(rb"\x1b_G(?:a=T,[^;]*c=(\d+),r=(\d+),)?m=\d;([A-Za-z0-9+/=]*)\x1b\\", sent)
    assert base64.b64decode(b"".join(part[2] for part in parts)) == Path("fox.png").read_bytes()
    assert (int(parts[0][0]), int(parts[0][1])) == (29, 12)


def test_a_file_that_kitty_does_not_take_becomes_a_png() -> None:
    pytest.importorskip("PIL.Image")
    Path("fox.png").write_bytes(PICTURES["jpeg"])
    found = re.search(rb"m=0;([A-Za-z0-9+/=]+)\x1b", drawn(KITTY)[0])
    assert found
    assert base64.b64decode(found[1]).startswith(b"\x89PNG")


def test_terminals_get_the_protocol_that_they_speak() -> None:
    pytest.importorskip("PIL.Image")
    assert base64.b64encode(PICTURES["png"]) in drawn(ITERM2)[0]
    assert b'\x1bP0;1q"1;1;5;4#' in drawn(XTERM)[0]
    assert b"\x1bP0;1q" in drawn(TMUX_WITH_SIXEL)[0]


def test_nothing_is_asked_or_drawn_where_a_picture_is_in_the_way() -> None:
    terms = [("", {"TERM": term}) for term in ("", "dumb", "linux")]
    seen = drawn(KITTY, ("", {"CI": "true"}), ("json", {}), ("quiet", {}), ("over", {}), *terms)
    assert b"".join(seen) == b""
    assert drawn(
        KITTY, ("wanted json", {}), ("wanted quiet", {}), ("wanted", {"CI": "1"}), ("wanted", {"TERM": ""})
    ) == [
        b"no preview: --json and --quiet turn it off\r\n",
        b"no preview: CI is set\r\n",
        b"no preview: TERM=\r\n",
    ]


def test_nothing_is_asked_or_loaded_in_a_pipe() -> None:
    script = (
        f"{_DRAW}\nassert not {{'PIL', 'reve_cli.terminal.graphics', 'reve_cli.terminal.query'}} & sys.modules.keys()"
    )
    command = python(script, json.dumps([("wanted", {}, "fox.png")]))
    with Terminal(command, env=os.environ, stdout=subprocess.PIPE, answers=KITTY) as terminal:
        assert terminal.wait() == 0
        assert terminal.process.stdout is not None
        with terminal.process.stdout as stdout:
            assert stdout.read() == b""
        assert terminal.seen == b"no preview: standard output is not a terminal\r\n-\r\n"


@pytest.mark.parametrize("answers", [VTE, APPLE, TMUX, SILENT], ids=["VTE", "Terminal.app", "tmux", "silent"])
def test_a_terminal_without_pictures_gets_half_blocks_only_if_they_are_wanted(answers: Mapping[bytes, bytes]) -> None:
    pytest.importorskip("PIL.Image")
    rich = ("wanted", {"COLORTERM": "truecolor"})
    plain, wanted, colorless = drawn(answers, ("", {}), rich, ("wanted", {"NO_COLOR": "1"}))
    assert plain.replace(NAME + CELL + ATTRIBUTES, b"").replace(GRAPHICS + ATTRIBUTES, b"") == b""
    assert wanted.count("▀".encode()) == 10
    assert colorless.endswith(b"no preview: this terminal shows no pictures\r\n")


@pytest.mark.parametrize(("answers", "is_drawn"), [(KITTY, True), (ITERM2, True), (XTERM, False), (VTE, False)])
def test_without_the_extra_only_files_are_drawn_that_need_no_pixels(
    answers: Mapping[bytes, bytes], is_drawn: bool
) -> None:
    (seen,) = drawn(answers, ("wanted", {}), first="import sys; sys.modules['PIL'] = None\n")
    assert (base64.b64encode(PICTURES["png"]) in seen) is is_drawn
    assert (b"it needs Pillow here: pip install 'reve-cli[images]'" in seen) is not is_drawn


def bomb() -> bytes:
    """A PNG of a few bytes that claims so many pixels that they would fill the terminal's memory."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return PICTURES["png"][:8] + chunk + PICTURES["png"][33:]


@pytest.mark.parametrize("answers", [VT340, KITTY, ITERM2], ids=["sixel", "kitty", "iTerm2"])
def test_a_file_that_is_no_picture_gives_one_line_and_reaches_no_terminal(answers: Mapping[bytes, bytes]) -> None:
    pytest.importorskip("PIL.Image")
    files = {
        "empty.png": b"",
        "text.png": b"no picture \x1b[31m",
        "short.png": PICTURES["png"][:40],
        "short.jpg": PICTURES["jpeg"][:99],
        "bomb.png": bomb(),
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    for seen in drawn(answers, ("wanted", {}), paths=list(files)):
        line = seen.removeprefix(NAME + CELL + ATTRIBUTES).removeprefix(GRAPHICS + ATTRIBUTES)
        assert re.fullmatch(rb"no preview: the image cannot be drawn \(\w+\)\r\n", line)


# In a command


def test_generate_and_wait_draw_what_they_saved_below_its_path_and_show_what_it_shows(
    reve: Reve, live: Sandbox
) -> None:
    environ = {**reve.environ, "REVE_PREVIEW": "auto"}
    script = f"{_PATIENTLY}from reve_cli.__main__ import main; main()"
    for command in (["generate", "fox", "--out", "fox.png"], ["wait", "last", "--out", "again.png"]):
        with Terminal(python(script, *command), env=environ, answers=KITTY) as terminal:
            assert terminal.wait() == 0
            saved = Path(command[-1])
            data = b"".join(re.findall(rb"\x1b_G[^;]*m=\d;([^\x1b]*)", terminal.seen))
            assert base64.b64decode(data) == saved.read_bytes()
            assert terminal.seen.index(saved.name.encode() + b"\r\n") < terminal.seen.index(b"\x1b_Ga=T")
    for command, is_drawn in ((["show", "fox.png"], True), (["show", "fox.png", "--no-preview"], False)):
        with Terminal(python(script, *command), env=environ, answers=KITTY) as terminal:
            assert terminal.wait() == 0
            assert (NAME in terminal.seen, b"\x1b_Ga=T" in terminal.seen) == (is_drawn, is_drawn)


@pytest.mark.parametrize("option", ["--preview", "--open"])
@pytest.mark.parametrize(
    "command", ["generate fox --no-wait", "generate fox --out -", "wait last", "rerun last --out -"]
)
def test_nothing_can_be_shown_by_a_command_that_saves_nothing(
    reve: Reve, sandbox: Sandbox, command: str, option: str
) -> None:
    if "last" in command:
        reve("generate", "fox", "--no-wait")
    before = len(sandbox.jobs())
    result = reve(*command.split(), option)
    assert (result.code, result.stdout) == (2, b"")
    assert f"{option} needs a saved image, and this command saves none" in result.stderr
    assert len(sandbox.jobs()) == before


# The desktop's viewer


@pytest.fixture
def viewer(reve: Reve, tmp_path: Path) -> Path:
    """A file in which the viewer writes what it is asked to open, and its environment."""
    tools, seen = tmp_path / "tools", tmp_path / "seen"
    tools.mkdir()
    opener = tools / ("open" if sys.platform == "darwin" else "xdg-open")
    report = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getsid(0), dict(os.environ)]))"
    opener.write_text(f"#!/bin/sh\n'{sys.executable}' -c '{report}' \"$@\" >'{seen}.new' && mv '{seen}.new' '{seen}'\n")
    opener.chmod(0o755)
    reve.environ |= {"PATH": f"{tools}{os.pathsep}{reve.environ['PATH']}", "DISPLAY": ":0"}
    return seen


def test_open_shows_the_first_image_in_the_viewer_which_gets_no_key(reve: Reve, sandbox: Sandbox, viewer: Path) -> None:
    result = reve("generate", "fox", "--count", "2", "--out", "fox.png", "--open", env={"REVE_API_KEY": "afk_old"})
    assert (result.code, result.out) == (0, "fox-1.png\nfox-2.png\n")
    eventually(viewer.exists, "the viewer")
    arguments, session, environ = json.loads(viewer.read_text())
    assert arguments == [str(Path("fox-1.png").absolute())]
    assert session != os.getsid(0)
    assert {"APIFRAME_API_KEY", "REVE_API_KEY"} & environ.keys() == set()


@pytest.mark.parametrize("command", ["wait last --out again.png", "show fox.png", "rerun last --out again.png"])
def test_other_commands_open_their_image_too(reve: Reve, sandbox: Sandbox, viewer: Path, command: str) -> None:
    reve("generate", "fox", "--out", "fox.png")
    assert reve(*command.split(), "--open", "--json").code == 0
    eventually(viewer.exists, "the viewer")


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"PATH": ""}, "No such file or directory"),
        ({"DISPLAY": ""}, "there is no desktop (neither DISPLAY nor WAYLAND_DISPLAY is set)"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS always has a desktop and `open`")
def test_a_missing_viewer_is_one_warning(
    reve: Reve, sandbox: Sandbox, viewer: Path, env: dict[str, str], why: str
) -> None:
    result = reve("generate", "fox", "--out", "fox.png", "--open", "--quiet", env=env)
    assert (result.code, result.out) == (0, "fox.png\n")
    assert re.fullmatch(rf"warning: cannot open fox\.png: .*{re.escape(why)}\n", result.stderr)
