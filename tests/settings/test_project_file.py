"""The project file: what it may set, where reve looks for it, and that a hostile one changes nothing."""

import os
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from reve_cli.settings import config
from reve_cli.settings.settings import SETTINGS
from reve_cli.terminal.text import safe
from tests.conftest import KEY, Result, Reve
from tests.settings.test_config import write
from tests.support.servers import Origin, Reply

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX only")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make these")


@pytest.fixture
def project() -> Path:
    """The path of the project file, not created yet; the current folder is a repository."""
    Path(".git").mkdir()
    return Path.cwd() / config.PROJECT_FILE


@pytest.fixture
def attacker() -> Iterator[Origin]:
    with Origin(lambda _: Reply(200, b"{}")) as server:
        yield server


def everything(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*")}


def refused(run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, project: Path) -> str:
    """Run `generate` and check that it is refused and changes nothing. Returns its stderr."""
    before = everything(tmp_path)
    result = run("generate", "fox", "--seed", "1")
    assert (result.code, result.stdout) == (2, b"")
    assert not sandbox.requests
    assert everything(tmp_path) == before
    lines = result.stderr.splitlines()
    assert [safe(line) for line in lines] == lines
    assert [line.split(": ")[0] for line in lines] == ["error", "hint"]
    assert all(len(line) < 800 for line in lines)
    assert str(project) in lines[0]
    return result.stderr


def test_a_project_file_sets_ratio_version_folder_name_and_timeout(reve: Reve, sandbox: Sandbox, project: Path) -> None:
    (project.parent / "assets" / "images").mkdir(parents=True)
    project.write_text(
        '# ours\naspect_ratio = "3:2"\nmodel_version = "latest"\noutput_folder = "assets/images"\n'
        'name_template = "{slug}-{seed}.{ext}"\ntimeout = 120\n'
    )
    result = reve("generate", "a red fox", "--seed", "1", "--json")
    assert (result.code, result.stderr.count("error")) == (0, 0)
    assert (result.document["aspectRatio"], result.document["version"]) == ("3:2", "latest")
    assert Path("assets/images/a-red-fox-1.png").is_file()
    assert [file["path"] for file in result.document["files"]] == ["assets/images/a-red-fox-1.png"]


def test_its_output_folder_is_relative_to_the_project_not_to_the_current_folder(
    reve: Reve, sandbox: Sandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.parent / "images").mkdir()
    (project.parent / "src").mkdir()
    project.write_text('output_folder = "images"')
    monkeypatch.chdir("src")
    assert Path(reve("generate", "fox").out.strip()).parent == project.parent / "images"


def test_it_may_set_six_settings_and_nothing_else() -> None:
    allowed = {name for name, setting in SETTINGS.items() if setting.in_project}
    assert allowed == {"aspect_ratio", "metadata", "model_version", "name_template", "output_folder", "timeout"}


# Where reve looks for it


@pytest.mark.parametrize(
    ("repository", "here", "file", "found"),
    [
        ("repo", "repo", "repo", True),
        ("repo", "repo/a/b", "repo", True),
        ("repo", "repo/a/b", "repo/a", True),
        ("repo", "repo/a", "repo/a/b", False),
        ("repo", "repo/a", ".", False),
        ("repo/inner", "repo/inner/a", "repo", False),
        (None, "plain/a", "plain/a", True),
        (None, "plain/a", "plain", False),
        (None, "plain/a", ".", False),
        (None, "home/a/b", "home/a", True),
        (None, "home/a/b", "home", True),
        (None, "home/a/b", ".", False),
        (None, "home", ".", False),
        (".", "home/a", ".", False),
        ("home/repo", "home/repo/a", "home", False),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_it_is_found_up_to_the_repository_root_or_home_and_elsewhere_only_in_the_current_folder(
    reve: Reve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    repository: str | None,
    here: str,
    file: str,
    found: bool,
    kind: str,
) -> None:
    for folder in (here, file, repository or "."):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    if repository and kind == "folder":
        (tmp_path / repository / ".git").mkdir()
    elif repository:  # a worktree or a submodule
        (tmp_path / repository / ".git").write_text("gitdir: elsewhere\n")
    (tmp_path / file / config.PROJECT_FILE).write_text("timeout = 77")
    monkeypatch.chdir(tmp_path / here)
    path = str(tmp_path / file / config.PROJECT_FILE)
    assert reve("config", "path", "--json").document["project"] == (path if found else None)
    assert reve("config", "get", "timeout").out == ("77\n" if found else "600\n")


def test_only_the_nearest_one_is_read(reve: Reve, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write_text('timeout = 77\naspect_ratio = "1:1"')
    Path("a").mkdir()
    monkeypatch.chdir("a")
    Path(config.PROJECT_FILE).write_text("timeout = 88")
    assert reve("config", "get", "timeout").out == "88\n"
    assert reve("config", "get", "aspect_ratio").out == ""


@POSIX
@pytest.mark.parametrize("value", ["/", "", None])
def test_without_a_home_or_with_root_as_home_only_the_current_folder_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    (tmp_path / config.PROJECT_FILE).write_text("timeout = 77")
    monkeypatch.delenv("HOME")
    if value is not None:
        monkeypatch.setenv("HOME", value)
    assert config.project_file() is None
    Path(config.PROJECT_FILE).write_text("timeout = 88")
    assert config.project_file() == tmp_path / "work" / config.PROJECT_FILE


@POSIX
def test_a_deleted_current_folder_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert config.project_file() is None


# Hostile contents

FORBIDDEN = sorted({name for name, setting in SETTINGS.items() if not setting.in_project} | {"api_key"})
NUMBERS = {"max_credits_per_day": "0", "credits_per_image": "0.0001", "history_days": "2", "keychain": "true"}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_it_may_not_redirect_the_key_the_credits_or_the_images(
    reve: Reve, sandbox: Sandbox, tmp_path: Path, project: Path, attacker: Origin, name: str
) -> None:
    url = f"http://127.0.0.1:{attacker.port}"
    project.write_text(f"{name} = {NUMBERS.get(name) or repr(url)}\ntimeout = 5\n")
    said = refused(reve, sandbox, tmp_path, project)
    assert name in said
    assert "remove this line" in said
    assert not attacker.asked


def test_one_refused_line_makes_reve_ignore_the_whole_file(reve: Reve, project: Path) -> None:
    project.write_text('timeout = 5\nmodel = "dearer"\naspect_ratio = "1:1"\n')
    result = reve("config", "list", "--json")
    assert result.code == 2
    assert {document["source"] for document in result.documents} == {"default"}
    assert result.stderr.count("error: ") == 1


TEMPLATES = [
    "../x.{ext}", "/tmp/x.{ext}", "a/b.{ext}", "a\\\\b.{ext}", "..\\\\x.{ext}", "C:x.{ext}", "x:y.{ext}", ".x.{ext}",
    "-x.{ext}", "..{ext}", "x.sh", "x", "", " ", "{ext}", "{slug}.{ext}.sh", "{job.__class__}.{ext}", "{0}.{ext}",
    "{slug!r}.{ext}", "{slug:>99999999999}.{ext}", "{slug:{job}}.{ext}", "{", "}", "{{slug}}", "a\\u0000.{ext}",
    "a\\nb.{ext}", "\\u001b[31mx.{ext}", "\\u009b31mx.{ext}", "a\\u202egnp.{ext}", "{\\u001b[31m}.{ext}",
    "\\u2028.{ext}", "{" + "x" * 4000 + "}.{ext}",
]  # fmt: skip
FOLDERS = [
    "..", "../x", "../work-2", "/", "/tmp", "~", "~/", "~/x", "~root", "~nobody/x", "a/../..", "./..", "link", "link/x",
    "images/link", "hop/../out",
    "C:\\\\Windows", "C:x", "c:/x", "\\\\\\\\server\\\\share", "//server/share", "..\\\\..", "a\\\\b",
    "\\u0000", "a\\u0000b", "a\\nb", "\\u001b[31m", "\\u009b31m", "\\u202e", "-x", "--", "", " ", "\\u007f",
]  # fmt: skip
OTHERS = [
    'aspect_ratio = "5:4"', "aspect_ratio = 7", "aspect_ratio = []", 'aspect_ratio = "\\u001b]0;x\\u0007"',
    'model_version = ""', "model_version = 7", 'model_version = "\\u001b[2J"', 'model_version = "a\\nb"',
    "timeout = 0", "timeout = -1", 'timeout = "x"', "timeout = 86401", "timeout = nan", "timeout = inf",
    "timeout = 1e400", f"timeout = 1{'0' * 400}", f"timeout = 1{'0' * 5000}", "timeout = true", "timeout = [1]",
    "timeout = 1979-05-27", "[timeout]\nx = 1", "timeout.x = 1", "output_folder = 7", "output_folder = {}",
    "name_template = 7", "[[name_template]]", "nope = 1", '"" = 1', '"\\u001b[31mred" = 1', '"x\\ny" = 1',
    '"timeout\\u0000" = 1', '"\\u202e" = 1', f"{'k' * 7000} = 1", "[project]\ntimeout = 1", "include = '/etc/passwd'",
    "timeout = 1\ntimeout = 2", "= =", "timeout", "\x1b[31m", "timeout = 5 \x1b", "\x00", "#\x07", "\u202e = 1",
    "a = " + "[" * 8000, "a = " + "[" * 4000 + "]" * 4000, "a = " + "{a=" * 2000, "a" + ".a" * 4000 + " = 1",
    "[" + "a." * 4000 + "a]", "#" * 8193,
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *(f'name_template = "{template}"' for template in TEMPLATES),
        *(f'output_folder = "{folder}"' for folder in FOLDERS),
        *OTHERS,
    ],
    ids=lambda text: ascii(text[:60]),
)
def test_hostile_values_are_refused(reve: Reve, sandbox: Sandbox, tmp_path: Path, project: Path, text: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, tmp_path / "work-2", project.parent / "images"):
        folder.mkdir()
    if os.name != "nt":
        (project.parent / "link").symlink_to(elsewhere)
        (project.parent / "images" / "link").symlink_to(elsewhere)
        (project.parent / "images" / "deep").mkdir()
        (project.parent / "hop").symlink_to("images/deep")  # hop/../out is images/out, and looks like out
        (project.parent / "out").symlink_to(elsewhere)
    project.write_bytes(text.encode())
    refused(reve, sandbox, tmp_path, project)


@pytest.mark.parametrize("template", ["x" * 300 + ".{ext}", "{date}" * 50 + ".{ext}"], ids=["long", "filled"])
def test_a_name_that_is_too_long_is_refused_before_payment(
    reve: Reve, sandbox: Sandbox, project: Path, template: str
) -> None:
    project.write_text(f'name_template = "{template}"')
    assert reve("generate", "a fox in the snow").code == 7
    assert not sandbox.requests


def test_a_missing_project_folder_is_refused_before_payment(reve: Reve, sandbox: Sandbox, project: Path) -> None:
    project.write_text('output_folder = "images"')
    result = reve("generate", "fox")
    assert result.code == 7
    assert "mkdir -p images" in result.stderr
    assert not sandbox.requests


@POSIX
def test_a_link_in_place_of_an_image_is_not_followed(
    reve: Reve, sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    project.write_text('name_template = "x.{ext}"')
    Path("x.png").symlink_to(tmp_path / "home" / ".profile")
    assert reve("generate", "fox").code == 7
    assert reve("generate", "fox", "--force").code == 0
    assert not (tmp_path / "home" / ".profile").exists()


# Hostile files


def fifo(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, tmp_path: Path) -> None:
    path.mkdir()


def listening(path: Path, tmp_path: Path) -> None:
    folder = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(folder)


def link_to_own_config(path: Path, tmp_path: Path) -> None:
    path.symlink_to(write(f'timeout = 5\n# api_key = "{KEY}"'))


def link_inside(path: Path, tmp_path: Path) -> None:
    path.with_name("other.toml").write_text("timeout = 5")
    path.symlink_to("other.toml")


def link_to_zeros(path: Path, tmp_path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nothing(path: Path, tmp_path: Path) -> None:
    path.symlink_to("nowhere")


def link_to_itself(path: Path, tmp_path: Path) -> None:
    path.symlink_to(path.name)


def hard_link_to_own_config(path: Path, tmp_path: Path) -> None:
    os.link(write(f'timeout = 5\napi_key = "{KEY}"'), path)


def hard_link_to_secrets(path: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "home" / "secrets"
    secrets.write_text(f"password = {KEY}\n")
    os.link(secrets, path)


def huge(path: Path, tmp_path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**33)


def not_utf8(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b'model_version = "\xff\xfe\x9b31m"')


def utf16(path: Path, tmp_path: Path) -> None:
    path.write_text("timeout = 5", encoding="utf-16")


def zeros(path: Path, tmp_path: Path) -> None:
    path.write_bytes(bytes(4096))


@POSIX
@pytest.mark.parametrize(
    "make",
    [
        fifo, folder, listening, link_to_own_config, link_inside, link_to_zeros, link_to_nothing, link_to_itself,
        hard_link_to_own_config, hard_link_to_secrets, huge, not_utf8, utf16, zeros,
    ],
)  # fmt: skip
def test_anything_but_a_small_regular_file_is_refused_at_once(
    reve: Reve, live: Sandbox, tmp_path: Path, project: Path, make: Callable[[Path, Path], None]
) -> None:
    make(project, tmp_path)
    said = refused(reve.child, live, tmp_path, project)
    assert KEY[4:] not in said
    assert ("is a symbolic link" in said) == project.is_symlink()


@ROOT
def test_a_device_is_refused(reve: Reve, live: Sandbox, tmp_path: Path, project: Path) -> None:
    try:
        os.mknod(project, 0o20666, os.makedev(1, 5))  # endless zeros
    except OSError:
        pytest.skip("no devices can be made here")
    refused(reve.child, live, tmp_path, project)


@ROOT
def test_a_file_of_another_user_is_refused(reve: Reve, live: Sandbox, tmp_path: Path, project: Path) -> None:
    project.write_text("timeout = 5")
    os.chown(project, 12345, 0)
    assert "belongs to another user" in refused(reve.child, live, tmp_path, project)
    project.write_text(f"timeout = 5\ntrusted_folders = {str(project.parent)!r}")
    assert "belongs to another user" in refused(reve.child, live, tmp_path, project)
    project.write_text("timeout = 5")
    os.chown(project, 0, 12345)
    assert reve("config", "get", "timeout").out == "5\n"


@ROOT
def test_the_command_in_the_hint_trusts_a_file_of_another_user(reve: Reve, project: Path, tmp_path: Path) -> None:
    project.write_text("timeout = 5")
    os.chown(project, 12345, 0)
    other = tmp_path / "another one"
    env = {"REVE_TRUSTED_FOLDERS": f"{other}:{project.parent}"}
    assert reve("config", "get", "timeout", env=env).out == "5\n"
    assert reve("config", "set", "trusted_folders", str(other)).code == 0
    said = reve("config", "get", "timeout").stderr.splitlines()[-1]
    assert said.startswith("hint: if you trust it: reve config set trusted_folders ")
    assert reve(*shlex.split(said)[6:]).code == 0
    assert reve("config", "get", "timeout").out == "5\n"
    assert reve("config", "get", "trusted_folders").out == f"{other}:{project.parent}\n"
    os.chown(project, 0, 0)
    project.write_text("timeout = 5\nnope = 1")
    assert reve("config", "get", "timeout").code == 2


@pytest.mark.parametrize("text", ["here", "*", "/a:b"])
def test_trusted_folders_are_absolute(reve: Reve, text: str) -> None:
    result = reve("config", "set", "trusted_folders", text)
    assert result.code == 2
    assert "trusted_folders must be absolute paths of folders" in result.stderr


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_refused(reve: Reve, live: Sandbox, tmp_path: Path, project: Path) -> None:
    project.write_text("timeout = 5")
    project.chmod(0)
    refused(reve.child, live, tmp_path, project)


# What still works with an invalid one


@pytest.mark.parametrize(
    "command", [["wait", "JOB", "--out", "b.png"], ["download", "JOB"], ["generate", "fox", "--no-wait"]]
)
def test_commands_that_use_it_are_refused(reve: Reve, sandbox: Sandbox, project: Path, command: list[str]) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    project.write_text("nope = 1")
    asked = len(sandbox.requests)
    result = reve(*(job if word == "JOB" else word for word in command))
    assert result.code == 2
    assert result.stderr.startswith(f"error: {project}: unknown setting 'nope'\nhint: ")
    assert len(sandbox.requests) == asked


@pytest.mark.parametrize("command", [["status", "JOB"], ["wait", "JOB"], ["resume"]], ids=" ".join)
def test_commands_that_finish_paid_jobs_ignore_it_and_warn_once(
    reve: Reve, sandbox: Sandbox, project: Path, command: list[str]
) -> None:
    cut_short = reve("generate", "fox", "--out", "a.png", "--timeout", "1")
    assert cut_short.code == 75
    job = reve("history", "--json").document["jobId"]
    project.write_text("timeout = 0.001\nnope = 1")
    result = reve(*(job if word == "JOB" else word for word in command))
    assert result.code == 0
    assert result.stderr.startswith(f"warning: {project}: unknown setting 'nope'; it is ignored here\n")
    assert result.stderr.count("nope") == 1
    assert Path("a.png").exists() == (command == ["resume"])


@pytest.mark.parametrize("command", [["history"], ["config", "path"], ["--version"], ["sandbox", "reset"]])
def test_commands_that_do_not_use_it_do_not_mention_it(reve: Reve, project: Path, command: list[str]) -> None:
    project.write_text("nope = 1")
    result = reve(*command)
    assert (result.code, "nope" in result.stderr) == (0, False)


def test_it_is_refused_in_the_sandbox_too(reve: Reve, project: Path) -> None:
    project.write_text("nope = 1")
    assert reve("generate", "fox", "--sandbox").code == 2


def test_its_time_limit_does_not_apply_to_paid_images(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    Path(config.PROJECT_FILE).write_text("timeout = 0.000001")
    assert reve("status", job).code == reve("account").code == 0
    assert reve("wait", job, "--out", "fox.png").code == 0
