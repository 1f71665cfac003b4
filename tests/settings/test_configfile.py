"""Changes to the user's config file: one line changes, every other byte stays."""

import codecs
import os
import re
import stat
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.core.errors import ReveError
from reve_cli.sandbox import Sandbox
from reve_cli.settings import configfile
from reve_cli.settings.config import read_config
from tests.conftest import KEY, Reve
from tests.support.mounts import mounted

_AROUND = st.sampled_from(["", " ", "  ", "\t"])
_COMMENT = st.sampled_from(["", "# a note", '# "quoted" = 1', "#", "# api_key = 'old'", "# é 🦊"])
_VALUE = {
    "model": st.sampled_from(['"reve-create"', "'x'", '"""x"""', "'''x'''", '"a # b"', '"é"', '"a\\"b"']),
    "timeout": st.sampled_from(["30", "30.5", "1_000", "+7", "3e2"]),
    "aspect_ratio": st.sampled_from(['"16:9"', "'1:1'"]),
    "api_key": st.sampled_from(['"afk_old"', "'afk_old'", '"""afk_old"""']),
    "keychain": st.sampled_from(["true", "false"]),
}
_QUOTED = st.sampled_from(["{}", '"{}"', "'{}'"])


@dataclass
class Made:
    """A config file: byte-order mark, lines, and for each name its line's number and the line as it is with "new"."""

    mark: bytes
    lines: list[bytes]
    where: dict[str, tuple[int, bytes]]


@st.composite
def files(draw: st.DrawFn) -> Made:
    names = draw(st.lists(st.sampled_from(["", *_VALUE]), max_size=7, unique_by=lambda name: name or object()))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    made = Made(draw(st.sampled_from([b"", codecs.BOM_UTF8])), [], {})
    for number, name in enumerate(names):
        last = number == len(names) - 1 and draw(st.booleans())
        before = draw(_AROUND) + (f"{draw(_QUOTED).format(name)}{draw(_AROUND)}={draw(_AROUND)}" if name else "")
        after = draw(_AROUND) + draw(_COMMENT) + ("" if last else end)
        made.lines.append((before + (draw(_VALUE[name]) if name else "") + after).encode())
        if name:
            made.where[name] = number, f'{before}"new"{after}'.encode()
    return made


@given(made=files(), name=st.sampled_from(["api_key", "keychain", "model"]))
def test_setting_a_name_changes_only_its_line(file: Path, made: Made, name: str) -> None:
    old = made.lines
    file.write_bytes(made.mark + b"".join(old))
    before = read_config()
    assert configfile.put({name: "new"}) == file
    assert read_config() == {**before, name: "new"}
    raw = file.read_bytes()
    assert raw.startswith(made.mark)
    new = raw.removeprefix(made.mark).splitlines(keepends=True)
    if name in made.where:
        number, wanted = made.where[name]
        assert new[number] == wanted
    else:
        number = next(number for number, line in enumerate(new) if line.startswith(name.encode() + b' = "new"'))
        assert new[number].endswith(b"\r\n") == any(line.endswith(b"\r\n") for line in old)
        old.insert(number, b"")
    others = [(*new[:number], *new[number + 1 :]), (*old[:number], *old[number + 1 :])]
    assert b"".join(others[0]).rstrip() == b"".join(others[1]).rstrip()


@given(made=files(), name=st.sampled_from(["api_key", "keychain", "model"]))
def test_removing_a_name_removes_only_its_line(file: Path, made: Made, name: str) -> None:
    file.write_bytes(made.mark + b"".join(made.lines))
    before = read_config()
    configfile.put({name: None})
    assert read_config() == {other: value for other, value in before.items() if other != name}
    if name in made.where:
        del made.lines[made.where[name][0]]
        assert file.read_bytes().rstrip() == (made.mark + b"".join(made.lines)).rstrip()
    else:
        assert file.read_bytes() == made.mark + b"".join(made.lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b'api_key = "new"\n'),
        (b"model = 'x'", b"model = 'x'\napi_key = \"new\"\n"),
        (b"model = 'x'\r\n", b"model = 'x'\r\napi_key = \"new\"\r\n"),
        (b"model = 'x'\r\ntimeout = 3\n", b"model = 'x'\r\ntimeout = 3\napi_key = \"new\"\n"),
        (b'api_key = """\nafk_old\n"""\ntimeout = 3\n', b'api_key = "new"\ntimeout = 3\n'),
        (b"timeout = 3\n\n[later]\nx = 1\n", b'timeout = 3\napi_key = "new"\n\n[later]\nx = 1\n'),
    ],
)
def test_a_new_name_is_added_at_top_level(file: Path, before: bytes, after: bytes) -> None:
    file.write_bytes(before)
    configfile.put({"api_key": "new"})
    assert file.read_bytes() == after


def test_a_new_file_is_readable_by_its_owner_only(home: Path) -> None:
    file = configfile.put({"api_key": KEY})
    assert tomllib.loads(file.read_text()) == {"api_key": KEY}
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_concurrent_changes_are_all_kept(reve: Reve, file: Path) -> None:
    file.write_text(f'api_key = "{KEY}"\nhistory_days = 9\n')
    wanted = {"timeout": 30, "max_credits_per_day": 9, "credits_per_image": 2, "model_version": "v1", "color": "never"}
    commands: list[tuple[str, ...]] = [("config", "set", name, str(value)) for name, value in wanted.items()]
    commands += [("auth", "logout"), ("config", "unset", "history_days")]
    running = [
        subprocess.Popen(reve.command(*command), env=reve.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in commands
    ]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    assert read_config() == wanted
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
@pytest.mark.parametrize("command", [("account",), ("config", "set", "timeout", "3"), ("auth", "logout"), ("doctor",)])
def test_a_fifo_in_place_of_the_file_is_refused_at_once(reve: Reve, file: Path, command: tuple[str, ...]) -> None:
    os.mkfifo(file)
    result = reve.child(*command)
    assert result.code == 2
    assert f"{file} cannot be read: not a regular file" in result.stderr + result.out.replace("~", str(Path.home()))
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_changing_a_fifo_is_refused_at_once(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(ReveError, match="cannot be changed: not a regular file"):
        configfile.put({"api_key": KEY})


def test_removing_a_name_without_a_file_creates_none(file: Path) -> None:
    configfile.put({"api_key": None})
    assert list(file.parent.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_change_makes_the_file_private_even_if_the_key_stays_the_same(file: Path) -> None:
    file.write_text(f'api_key = "{KEY}"\n')
    file.chmod(0o644)
    configfile.put({"api_key": KEY})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_a_link(file: Path, tmp_path: Path, exists: bool) -> None:
    real = tmp_path / "dotfiles.toml"
    if exists:
        real.write_text("timeout = 3 # mine\n")
    file.symlink_to(real)
    configfile.put({"model": "x"})
    assert file.readlink() == real
    assert real.read_text() == ("timeout = 3 # mine\n" if exists else "") + 'model = "x"\n'
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", [b"= =", b"model = 'x\n", b"\xff\xfe\x00", b"model = 1\nmodel = 2\n"])
def test_an_invalid_file_is_left_unchanged(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ReveError, match=re.escape(str(file))) as caught:
        configfile.put({"api_key": KEY})
    assert caught.value.code == "config"
    assert KEY not in str(caught.value)
    assert file.read_bytes() == content


@pytest.mark.skipif(os.name == "nt", reason="ulimit")
def test_a_full_disk_leaves_the_old_file(reve: Reve, live: Sandbox, file: Path) -> None:
    file.write_text("timeout = 30\n")
    key = reve.environ.pop("APIFRAME_API_KEY")
    command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *reve.command("auth", "login", "--with-key")]
    done = subprocess.run(
        command, input=key, env={**reve.environ, "REVE_KEYCHAIN": "off"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"error: {file} cannot be changed: File too large\n" in done.stderr
    assert file.read_text() == "timeout = 30\n"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_read_only_folder_is_one_clear_error(reve: Reve, sandbox: Sandbox, file: Path) -> None:
    key = reve.environ.pop("APIFRAME_API_KEY")
    with mounted(file.parent) as freeze:
        file.write_text("timeout = 30\n")
        freeze()
        result = reve("auth", "login", "--with-key", stdin=key.encode(), env={"REVE_KEYCHAIN": "off"})
        assert (result.code, result.out) == (2, "")
        assert result.stderr.splitlines() == [
            f"error: {file} cannot be changed: Read-only file system",
            "hint: use environment variables instead",
        ]
        assert file.read_text() == "timeout = 30\n"
