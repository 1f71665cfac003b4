"""Settings: their sources and their valid values."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.sandbox import Sandbox
from reve_cli.settings import config, folders
from reve_cli.settings import settings as known
from reve_cli.settings.settings import SETTINGS
from tests.conftest import Reve, loaded


def write(text: str) -> Path:
    path = config.config_file()
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@dataclass(frozen=True)
class Sources:
    """A different value of a setting from each source, None for a source that cannot set it.

    flag: the option and its value. shown: extracts the value in use from a dry run's document.
    """

    name: str
    flag: tuple[str, Any] | None
    environment: Any
    project: Any
    user: Any
    default: Any
    shown: Callable[[dict[str, Any]], Any] | None = None


def body(*names: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: reduce(lambda found, name: found.get(name, {}), names, document["body"]) or None


SOURCES = [
    Sources(
        "base_url", None, "https://a.example", None, "https://b.example", "https://api.apiframe.ai",
        lambda document: document["url"].removesuffix("/v2/images/generate"),
    ),
    Sources("model", ("--model", "m-flag"), "m-environment", None, "m-user", "reve-create", body("model")),
    Sources("aspect_ratio", ("--ar", "16:9"), "3:2", "2:3", "4:3", None, body("reveParams", "aspect_ratio")),
    Sources("model_version", ("--model-version", "f"), "e", "p", "u", None, body("reveParams", "version")),
    Sources(
        "output_folder", ("--out", "flag/"), "environment", "project", "user", ".",
        lambda document: os.path.dirname(document["out"]) or ".",
    ),
    Sources(
        "name_template", ("--out", "f-{job}.{ext}"), "e-{job}.{ext}", "p-{job}.{ext}", "u-{job}.{ext}",
        "{slug}-{job}.{ext}", lambda document: document["out"].replace("fox", "{slug}"),
    ),
    Sources("timeout", None, 3, 4, 5, 600),  # its flag: below
    Sources("color", None, "always", None, "never", "auto"),
    Sources("preview", None, "never", None, "never", "auto"),
    Sources("keychain", None, "false", None, True, False),
    Sources("seed", None, "none", None, "random", "none"),
    Sources("max_credits_per_day", None, 10, None, 20.5, None),
    Sources("credits_per_image", None, 1.5, None, 4, None),
    Sources("history_days", None, 30, None, 60, 365),
    Sources("trusted_folders", None, "/e", None, "/u", None),
    Sources("metadata", None, "none", "sidecar", "none", "embed"),
    Sources("quality", None, 10, None, 80, 90),
]  # fmt: skip


@pytest.mark.parametrize("case", SOURCES, ids=lambda case: case.name)
def test_sources_take_precedence_flag_environment_project_user_default(reve: Reve, case: Sources) -> None:
    setting, project = SETTINGS[case.name], Path.cwd() / config.PROJECT_FILE
    for folder in ("flag", "environment", "project", "user"):
        Path(folder).mkdir()

    def assert_counts(value: Any, source: str, where: object) -> None:
        (row,) = (row for row in reve("config", "list", "--json").documents if row["name"] == case.name)
        where = None if where is None else str(where)
        wanted = {"name": case.name, "value": value, "source": source, "where": where, "default": case.default}
        assert list(row.items()) == list(wanted.items())
        if case.shown:
            assert case.shown(reve("generate", "fox", "--dry-run").document) == value

    assert_counts(case.default, "default", None)
    path = write(f"{case.name} = {json.dumps(case.user)}")
    assert_counts(case.user, "user", path)
    assert (case.project is not None) == setting.in_project
    if setting.in_project:
        project.write_text(f"{case.name} = {json.dumps(case.project)}")
        assert_counts(case.project, "project", project)
    reve.environ[setting.variable] = str(case.environment)
    value = False if case.environment == "false" else case.environment
    assert_counts(value, "environment", setting.variable)
    if case.flag and case.shown:
        option, text = case.flag
        assert case.shown(reve("generate", "fox", "--dry-run", option, text).document) == text.rstrip("/")
    reve.environ[setting.variable] = ""
    expected = ("project", project) if setting.in_project else ("user", path)
    assert_counts(case.project if setting.in_project else case.user, *expected)


def test_the_table_of_sources_lists_every_setting() -> None:
    assert [case.name for case in SOURCES] == list(SETTINGS)


VALUES: dict[str, tuple[list[object], list[object]]] = {
    "base_url": (
        ["https://api.example/v2/", "http://localhost:1", "http://[::1]:8765/v2"],
        ["http://api.example", "ftp://127.0.0.1", "api.example", "https://user:secret@api.example", 7, True, [], ""],
    ),
    "model": (
        ["reve-create", "m", " m "],
        ["", " ", 7, False, ["m"], {"m": 1}, "a\nb", "two words", "-x", "é", "afk_0123456789"],
    ),
    "aspect_ratio": (list(ASPECT_RATIOS), ["5:4", "16 : 9", "", 1, 1.5, None, ["16:9"]]),
    "model_version": (["latest", "2.0"], ["", 2.0, True, [], "a\tb"]),
    "output_folder": (["pics", "/srv/pics", "..", "~/pics", "-"], ["", 1, True, "a\x00b", "a\nb"]),
    "name_template": (
        ["{slug}-{job}.{ext}", "x.{ext}", "{{x}}.{ext}", "a b.{ext}", "{date} {index}.{ext}"],
        [
            "x",
            "x.png",
            "{ext}",
            "a/b.{ext}",
            "a\\b.{ext}",
            "C:x.{ext}",
            ".x.{ext}",
            "-x.{ext}",
            "{y}.{ext}",
            "{",
            7,
            "",
        ],
    ),
    "timeout": (
        [1, 0.5, "30", " 30 ", "1e3", 86400],
        [0, -1, "x", "", 86401, "nan", "inf", True, [], 10**400, "1e999"],
    ),
    "color": (["auto", "always", "never"], ["", "yes", "Always", True, 1]),
    "preview": (["auto", "never"], ["", "always", True]),
    "keychain": ([True, False, "true", "on", "YES", "1", "false", "off", "no", "0"], ["", "maybe", 1, 0, [], None]),
    "seed": (["none", "random"], ["", "1", 1, "Random", True]),
    "max_credits_per_day": ([0, 1, "10", 2.5], [-1, "x", "nan", "inf", True, 10**10, 10**400]),
    "credits_per_image": ([1, "0.5", 4], [0, -1, "x", "nan", True]),
    "history_days": ([2, 365, "30"], [-1, "x", "nan", True, {}]),
    "metadata": (["embed", "sidecar", "none"], ["", "yes", "Embed", True, 1]),
    "quality": ([1, 100, "90"], [0, 101, 1.5, "x", "nan", True, []]),
    "trusted_folders": (["/a", f"/a{os.pathsep}/b c"], ["", "a", "*", f"/a{os.pathsep}", 1, ["/a"]]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_invalid_value_is_refused_with_what_it_must_be(name: str) -> None:
    right, wrong = VALUES[name]
    for value in right:
        SETTINGS[name].read(value)
    for value in wrong:
        with pytest.raises(ValueError, match=r"^must be "):
            SETTINGS[name].read(value)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_one_line_description(name: str) -> None:
    assert 10 < len(SETTINGS[name].about) < 80
    assert SETTINGS[name].variable.startswith(("REVE_", "APIFRAME_"))
    for word in SETTINGS[name].words:
        SETTINGS[name].read(word)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example", "ftp://127.0.0.1", "api.example", "https://", "https://user:secret@api.example",
        "https://api.example?x=1", "https://api.example/#x", "http://127.0.0.1.example", "http://localhost.example",
        "https://api.example/?", "https://api.example#", "https://@api.example", "https://api.example/@x",
        "https://api.example/v2/v2", "https://api.example/v2/v2/", "http://[", "https://[bad/v2", "http://127.0.0.1.5",
        "http://127.0.0.1.", "http://127.0.0.256", "http://127.1", "http://[::2]", "http://localhost..",
        "http://127.0.0.1:99999", "https://api.exa mple", "http://10.0.0.1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_base_url_must_be_https_or_on_this_machine(reve: Reve, url: str) -> None:
    result = reve("generate", "fox", "--dry-run", env={"APIFRAME_BASE_URL": url})
    assert result.code == 2
    assert "APIFRAME_BASE_URL must be " in result.stderr


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost.:1", "http://localhost.:1"),
        ("http://127.255.0.9", "http://127.255.0.9"),
        ("https://api.example", "https://api.example"),
        ("https://api.example/v2", "https://api.example"),
        ("https://api.example/v2/", "https://api.example"),
        ("https://gateway.example/apiframe", "https://gateway.example/apiframe"),
        ("http://localhost:8765", "http://localhost:8765"),
        ("http://[::1]:8765/v2", "http://[::1]:8765"),
    ],
)
def test_a_base_url_may_end_in_v2(url: str, origin: str) -> None:
    assert known.base_url(url) == origin


@pytest.mark.parametrize(
    "text", ["timeout = 0", "timeout = true", 'timeout = "x"', 'aspect_ratio = "5:4"', "model = 7", "nope = 1", "= ="]
)
def test_an_invalid_config_file_is_named_in_the_error(reve: Reve, text: str) -> None:
    path = write(text)
    result = reve("generate", "fox", "--dry-run", "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "config")
    assert str(path) in result.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_config_file_that_cannot_be_read_is_an_error(reve: Reve) -> None:
    write("").chmod(0)
    assert reve("generate", "fox", "--dry-run").code == 2


def test_images_are_saved_in_the_output_folder(reve: Reve, sandbox: Sandbox) -> None:
    Path("pics").mkdir()
    result = reve("generate", "fox", env={"REVE_OUTPUT_FOLDER": "pics"})
    assert result.code == 0
    assert Path(result.out.strip()).parent == Path("pics")


def test_the_environment_sets_the_time_limit_and_timeout_overrides_it(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--out", "a.png", env={"REVE_TIMEOUT": "1"}).code == 75
    assert reve("generate", "fox", "--out", "b.png", "--timeout", "60", env={"REVE_TIMEOUT": "1"}).code == 0


def test_the_state_folder_is_reve_state_dir_or_the_platforms(home: Path) -> None:
    assert folders.state_folder({"REVE_STATE_DIR": "state"}) == Path.cwd() / "state"
    folder = folders.state_folder({})
    assert folder is not None
    assert home in folder.parents


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"REVE_SANDBOX_SECONDS": "soon"}, "SECONDS"),
        ({"REVE_SANDBOX_SECONDS": "nan"}, "SECONDS"),
        ({"REVE_SANDBOX_SECONDS": "-1"}, "SECONDS"),
        ({"REVE_SANDBOX_FAULTS": "moon:full"}, "moon"),
    ],
)
def test_an_invalid_sandbox_variable_exits_2_and_is_named(reve: Reve, environ: dict[str, str], said: str) -> None:
    result = reve("generate", "fox", "--sandbox", env=environ)
    assert result.code == 2
    assert said in result.stderr


@pytest.mark.parametrize("value", ["0", "no", "off", "false", " ", ""])
def test_reve_sandbox_set_to_off_turns_the_sandbox_off(reve: Reve, value: str) -> None:
    assert reve("generate", "fox", env={"REVE_SANDBOX": value}).code == 3


def test_an_invalid_environment_variable_is_named(reve: Reve) -> None:
    result = reve("generate", "fox", "--dry-run", env={"REVE_TIMEOUT": "ten"})
    assert (result.code, result.stderr.split(" must")[0]) == (2, "error: REVE_TIMEOUT")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["generate", "--help"]], ids=" ".join)
def test_help_and_version_read_no_settings(arguments: list[str]) -> None:
    write("= =")
    modules = loaded(arguments)[1]
    assert not modules & {
        "tomllib",
        "tomlkit",
        "platformdirs",
        "reve_cli.settings.config",
        "reve_cli.settings.settings",
        "reve_cli.core.models",
    }
