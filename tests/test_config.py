"""Settings and where they come from."""

import os
from pathlib import Path

import pytest

from reve_cli import config
from reve_cli import settings as known
from reve_cli.errors import ReveError
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve


def write(text: str) -> Path:
    path = config.config_file()
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(reve: Reve) -> None:
    def ratio(*flags: str, **environ: str) -> object:
        body = reve("generate", "fox", "--dry-run", *flags, env=environ).document["body"]
        return body.get("reveParams", {}).get("aspect_ratio")

    assert ratio() is None
    write('aspect_ratio = "2:3"')
    assert ratio() == "2:3"
    assert ratio(REVE_ASPECT_RATIO="3:4") == "3:4"
    assert ratio("--ar", "1:1", REVE_ASPECT_RATIO="3:4") == "1:1"


def test_every_setting_is_read_from_both_places() -> None:
    values = {
        "base_url": "https://api.example/v2/",
        "model": "reve-other",
        "aspect_ratio": "3:2",
        "model_version": "latest",
        "output_folder": "pics",
        "timeout": 30,
    }
    variables = {known.SETTINGS[name].variable: str(value) for name, value in values.items()}
    wanted = known.Settings("https://api.example", "reve-other", "3:2", "latest", "pics", timeout=30.0)
    assert config.load(variables) == wanted
    write("\n".join(f"{name} = {value!r}" for name, value in values.items()))
    assert config.load({}) == wanted
    assert config.load(dict.fromkeys(variables, "")) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example", "ftp://127.0.0.1", "api.example", "https://", "https://user:secret@api.example",
        "https://api.example?x=1", "https://api.example/#x", "http://127.0.0.1.example", "http://localhost.example",
        "http://127.0.0.1:99999", "https://api.exa mple", "http://10.0.0.1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_base_url_must_be_https_or_this_machine(reve: Reve, url: str) -> None:
    result = reve("generate", "fox", "--dry-run", env={"APIFRAME_BASE_URL": url})
    assert result.code == 2
    assert "APIFRAME_BASE_URL" in result.stderr


@pytest.mark.parametrize(
    ("url", "origin"),
    [
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
def test_a_bad_config_file_is_named_with_its_setting(reve: Reve, text: str) -> None:
    path = write(text)
    result = reve("generate", "fox", "--dry-run", "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "config")
    assert str(path) in result.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_config_file_that_cannot_be_read_is_an_error(reve: Reve) -> None:
    write("").chmod(0)
    assert reve("generate", "fox", "--dry-run").code == 2


def test_the_output_folder_is_where_images_go(reve: Reve, sandbox: Sandbox) -> None:
    Path("pics").mkdir()
    result = reve("generate", "fox", env={"REVE_OUTPUT_FOLDER": "pics"})
    assert result.code == 0
    assert Path(result.out.strip()).parent == Path("pics")


def test_the_time_limit_comes_from_the_environment_too(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--out", "a.png", env={"REVE_TIMEOUT": "1"}).code == 75
    assert reve("generate", "fox", "--out", "b.png", "--timeout", "60", env={"REVE_TIMEOUT": "1"}).code == 0


def test_the_state_folder_is_named_or_the_platforms_own(home: Path) -> None:
    assert config.state_folder({"REVE_STATE_DIR": "state"}) == Path.cwd() / "state"
    folder = config.state_folder({})
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
def test_a_sandbox_that_cannot_be_is_wrong_configuration(reve: Reve, environ: dict[str, str], said: str) -> None:
    result = reve("generate", "fox", "--sandbox", env=environ)
    assert result.code == 2
    assert said in result.stderr


@pytest.mark.parametrize("value", ["0", "no", "off", "false", " ", ""])
def test_the_sandbox_is_off_where_its_variable_says_so(reve: Reve, value: str) -> None:
    assert reve("generate", "fox", env={"REVE_SANDBOX": value}).code == 3


def test_a_setting_is_read_as_what_it_is() -> None:
    with pytest.raises(ReveError, match="REVE_TIMEOUT"):
        config.load({"REVE_TIMEOUT": "ten"})
