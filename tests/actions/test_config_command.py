"""`reve config`: showing settings, and changing the user's file."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.settings import config
from reve_cli.settings.settings import SETTINGS
from reve_cli.terminal.text import safe
from tests.conftest import KEY, Reve, loaded
from tests.settings.test_config import write


def stored() -> dict[str, Any]:
    path = config.config_file()
    assert path is not None
    return tomllib.loads(path.read_text())


def test_list_shows_every_setting_with_its_source(reve: Reve) -> None:
    path = write('model = "mine"\nkeychain = true')
    Path(config.PROJECT_FILE).write_text("timeout = 5")
    result = reve("config", "list", env={"REVE_COLOR": "never", "REVE_MODEL": ""})
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert (result.code, result.stderr) == (0, "")
    assert [name for name, _, _ in rows] == list(SETTINGS)
    shown = {name: (value, source) for name, value, source in rows}
    assert shown["model"] == ("mine", f"user {path}")
    assert shown["keychain"] == ("true", f"user {path}")
    assert shown["timeout"] == ("5", f"project {Path.cwd() / config.PROJECT_FILE}")
    assert shown["color"] == ("never", "environment REVE_COLOR")
    assert shown["aspect_ratio"] == ("", "default")
    assert shown["history_days"] == ("365", "default")


def test_config_never_prints_the_key(reve: Reve) -> None:
    write(f'api_key = "{KEY}"')
    for arguments in (["list"], ["list", "--json"], ["get", "api_key"], ["unset", "api_key"], ["set", "api_key", KEY]):
        result = reve("config", *arguments)
        assert KEY[4:] not in result.out + result.stderr
        assert "api_key" not in result.out
        assert result.code == (0 if arguments[0] == "list" else 2)
    assert stored() == {"api_key": KEY}


@pytest.mark.parametrize(
    ("action", "instead"), [("get", "auth status"), ("set", "auth login"), ("unset", "auth logout")]
)
@pytest.mark.parametrize("name", ["api_key", "apikey", "api-key", "API_KEY"])
def test_config_refuses_the_key_and_names_auth(reve: Reve, action: str, instead: str, name: str) -> None:
    result = reve("config", action, name, *([KEY] if action == "set" else []))
    assert result.code == 2
    assert result.stderr.endswith(f"hint: reve {instead}\n")
    assert KEY[4:] not in result.stderr


def test_invalid_settings_are_reported_and_the_others_listed(reve: Reve) -> None:
    path = write('timeout = 0\nnope = 1\nmodel = "mine"\nmore = 2')
    project = Path.cwd() / config.PROJECT_FILE
    project.write_text("keychain = true")
    result = reve("config", "list", "--json", env={"REVE_COLOR": "red"})
    assert result.code == 2
    assert {row["name"]: row["value"] for row in result.documents}["model"] == "mine"
    assert [row["name"] for row in result.documents] == list(SETTINGS)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(" ")[1] for line in errors] == ["REVE_COLOR", f"{path}:", f"{path}:", "timeout", f"{project}:"]
    assert errors[1].endswith("'nope'")
    assert errors[2].endswith("'more'")


@pytest.mark.parametrize("content", [b"= =", b"\xff\xfe", b"a = " + b"[" * 9000, b"timeout = 1\ntimeout = 2"])
def test_an_invalid_toml_file_is_not_changed(reve: Reve, content: bytes) -> None:
    path = write("")
    path.write_bytes(content)
    for arguments in (["set", "timeout", "30"], ["unset", "timeout"], ["unset", "nope"]):
        result = reve("config", *arguments)
        assert (result.code, result.out) == (2, "")
        assert result.stderr.startswith(f"error: {path} ")
        assert path.read_bytes() == content
    assert len(reve("config", "list").out.splitlines()) == len(SETTINGS)
    assert reve("config", "list").code == 2
    assert reve("config", "path").out == f"{path}\n"
    assert reve("config", "path").code == 0


@pytest.mark.parametrize(
    ("name", "text", "kept", "shown"),
    [
        ("timeout", "30", 30, "30"),
        ("timeout", "1e3", 1000, "1000"),
        ("timeout", "0.5", 0.5, "0.5"),
        ("max_credits_per_day", "0", 0, "0"),
        ("keychain", "yes", True, "true"),
        ("keychain", "off", False, "false"),
        ("model", " other ", "other", "other"),
        ("base_url", "https://api.example/v2/", "https://api.example/v2/", "https://api.example"),
        ("aspect_ratio", "16:9", "16:9", "16:9"),
        ("name_template", "{seed}-{job}.{ext}", "{seed}-{job}.{ext}", "{seed}-{job}.{ext}"),
        ("model_version", "3", "3", "3"),
        ("output_folder", 'a "b" \\ c#d', 'a "b" \\ c#d', 'a "b" \\ c#d'),
    ],
)
def test_set_keeps_the_type_of_a_value(reve: Reve, name: str, text: str, kept: object, shown: str) -> None:
    result = reve("config", "set", name, text)
    assert (result.code, result.out) == (0, "")
    assert result.stderr == f"set {name} in {config.config_file()}\n"
    assert stored() == {name: kept}
    assert type(stored()[name]) is type(kept)
    assert reve("config", "get", name).out == f"{shown}\n"


def test_set_and_unset_keep_comments_and_order(reve: Reve) -> None:
    path = write('# mine\nmodel = "m"  # why\n\n# slow here\ntimeout = 5\n')
    reve("config", "set", "timeout", "6")
    reve("config", "set", "color", "never")
    assert path.read_text() == '# mine\nmodel = "m"  # why\n\n# slow here\ntimeout = 6\ncolor = "never"\n'
    reve("config", "unset", "color")
    assert path.read_text() == '# mine\nmodel = "m"  # why\n\n# slow here\ntimeout = 6\n'


def test_a_file_that_begins_with_a_byte_order_mark_is_read(reve: Reve) -> None:
    write("").write_bytes(b"\xef\xbb\xbf# mine\r\ntimeout = 5\r\n")
    assert reve("config", "get", "timeout").out == "5\n"


def test_a_tilde_in_a_folder_is_stored_as_typed(reve: Reve, home: Path) -> None:
    reve("config", "set", "output_folder", "~/pics")
    assert stored() == {"output_folder": "~/pics"}
    assert reve("config", "get", "output_folder").out == f"{home / 'pics'}\n"


@pytest.mark.parametrize("action", ["get", "set", "unset"])
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("colour", ". Did you mean 'color'?"),
        ("aspect-ratio", ". Did you mean 'aspect_ratio'?"),
        ("TIMEOUT", ". Did you mean 'timeout'?"),
        ("xyzzy", ""),
        ("\x1b[31mred", ""),
    ],
)
def test_an_unknown_name_is_refused_and_the_nearest_one_is_named(
    reve: Reve, action: str, name: str, nearest: str
) -> None:
    result = reve("config", action, name, *(["x"] if action == "set" else []))
    assert (result.code, result.out) == (2, "")
    assert result.stderr == f"error: unknown setting {safe(repr(name))}{nearest}\nhint: reve config list shows all\n"


@pytest.mark.parametrize("arguments", [["timeout", "0"], ["--", "timeout", "-5"], ["color", "red"], ["model", ""]])
def test_an_invalid_value_is_refused(reve: Reve, arguments: list[str]) -> None:
    result = reve("config", "set", *arguments)
    assert (result.code, " must be " in result.stderr) == (2, True)
    path = config.config_file()
    assert path is not None
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="arguments are text there")
@pytest.mark.parametrize("name", ["output_folder", "model_version"])
def test_a_value_that_is_not_utf8_is_refused(reve: Reve, name: str) -> None:
    result = reve("config", "set", name, os.fsdecode(b"a\xffb"))
    assert (result.code, result.out) == (2, "")
    assert f"error: {name} must be UTF-8 text" in result.stderr
    assert config.read_config() == {}


def test_a_value_may_begin_with_a_hyphen(reve: Reve) -> None:
    assert reve("config", "set", "--", "output_folder", "-x").code == 0
    assert reve("config", "set", "output_folder", "--", "--y").code == 0
    assert stored() == {"output_folder": "--y"}


def test_unset_removes_an_unknown_setting_from_the_file(reve: Reve) -> None:
    write('tiemout = 5\n"a b" = 1\n[section]\nx = 1\n')
    for name in ("tiemout", "a b", "section"):
        result = reve("config", "unset", name)
        assert (result.code, result.stderr) == (0, f"removed {name} from {config.config_file()}\n")
    assert stored() == {}
    assert reve("config", "list").code == 0


def test_set_and_unset_repair_an_invalid_value_in_the_file(reve: Reve) -> None:
    write('timeout = "x"\ncolor = 7')
    assert reve("config", "get", "timeout").code == 2
    assert reve("config", "set", "timeout", "5").code == 0
    assert reve("config", "unset", "color").code == 0
    assert reve("config", "get", "timeout").code == 0


def test_unset_of_a_setting_that_is_not_set_changes_nothing(reve: Reve) -> None:
    result = reve("config", "unset", "timeout")
    assert (result.code, result.stderr) == (0, f"timeout is not set in {config.config_file()}\n")
    path = config.config_file()
    assert path is not None
    assert not path.exists()


def test_set_warns_if_the_value_is_overridden(reve: Reve) -> None:
    project = Path.cwd() / config.PROJECT_FILE
    project.write_text("timeout = 7")
    assert reve("config", "set", "timeout", "5").stderr.endswith(f"warning: {project} overrides it here: 7\n")
    result = reve("config", "set", "timeout", "6", "--quiet", env={"REVE_TIMEOUT": "8"})
    assert result.stderr == "warning: REVE_TIMEOUT overrides it here: 8\n"
    result = reve("config", "set", "timeout", "6", "--quiet", "--json", env={"REVE_TIMEOUT": "8"})
    assert result.document == {
        "name": "timeout", "value": 8, "source": "environment", "where": "REVE_TIMEOUT", "default": 600,
    }  # fmt: skip


def test_set_and_unset_print_the_effective_value_in_json(reve: Reve) -> None:
    path = write("tiemout = 1")
    row: dict[str, Any] = {"name": "color", "value": "never", "source": "user", "where": str(path), "default": "auto"}
    assert reve("config", "set", "color", "never", "--json").document == row
    row |= {"value": "auto", "source": "default", "where": None}
    assert reve("config", "unset", "color", "--json").document == row
    gone = {"name": "tiemout", "value": None, "source": None, "where": None, "default": None}
    assert reve("config", "unset", "tiemout", "--json").document == gone


def test_path_is_printed_even_without_a_file(reve: Reve) -> None:
    path = config.config_file()
    assert reve("config", "path").out == f"{path}\n"
    assert reve("config", "path", "--json").document == {"user": str(path), "project": None}
    Path(config.PROJECT_FILE).write_text("= =")
    project = str(Path.cwd() / config.PROJECT_FILE)
    assert reve("config", "path", "--json").document == {"user": str(path), "project": project}


def test_config_needs_no_key_and_calls_no_api(reve: Reve) -> None:
    modules = loaded(["config", "list"])[1]
    assert not modules & {"httpx", "rich", "sqlite3", "truststore", "tomlkit"}


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_the_file_is_private_to_its_owner(reve: Reve) -> None:
    reve("config", "set", "timeout", "5")
    path = config.config_file()
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600


# Completion


@pytest.mark.parametrize("action", ["get", "set", "unset"])
def test_setting_names_are_completed(ask: Callable[..., list[str]], action: str) -> None:
    assert ask("config", action, "") == list(SETTINGS)
    assert ask("config", action, "mod") == ["model", "model_version"]
    assert ask("config", action, "nosuch") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["color", ""], ["auto", "always", "never"]),
        (["color", "a"], ["auto", "always"]),
        (["keychain", ""], ["true", "false"]),
        (["aspect_ratio", ""], list(ASPECT_RATIOS)),
        (["aspect_ratio", "16:"], ["16:9"]),
        (["model", ""], []),
        (["nosuch", ""], []),
        (["--quiet", "color", "n"], ["never"]),
    ],
    ids=" ".join,
)
def test_values_of_choice_settings_are_completed(
    ask: Callable[..., list[str]], words: list[str], expected: list[str]
) -> None:
    assert ask("config", "set", *words) == expected


def test_completed_names_have_descriptions(reve: Reve) -> None:
    result = reve("config", "get", env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": "timeo"})
    assert result.out == f"timeout\t{SETTINGS['timeout'].about}\n"


def test_completion_reads_no_settings() -> None:
    write("= =")
    modules = loaded(["config", "set", "color"], {"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": ""})[1]
    assert not modules & {"tomllib", "platformdirs", "reve_cli.settings.config", "reve_cli.runtime"}
