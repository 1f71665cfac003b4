"""What happens to an image before it gets its name: conversion, and the record of how it was made."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reve_cli.core.tasks import SavedFile
from reve_cli.engine.publishing import already_saved
from reve_cli.pictures import metadata
from reve_cli.pictures.provenance import SOURCE_TYPE, Provenance
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.picture import png
from reve_cli.settings.config import PROJECT_FILE
from tests.conftest import KEY, Reve
from tests.support.pictures import as_sent

Simulate = Callable[..., Sandbox]
KindOf = Callable[[str], tuple[str, tuple[int, int]]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def record(path: str) -> Provenance:
    found = metadata.read(path)
    assert found is not None
    return found


def submitted(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """There is no Pillow. The value brings it back."""
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("PIL.")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "PIL", None)
        yield patch.undo


@pytest.fixture
def kind_of() -> KindOf:
    """The format and the size of a picture, by Pillow."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

    def kind(path: str) -> tuple[str, tuple[int, int]]:
        with image.open(path) as picture:
            picture.load()
            return picture.format, picture.size

    return kind


# The record


def test_an_image_says_how_it_was_made(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "a red fox", "--seed", "7", "--ar", "3:2", "--out", "fox.png", "--json").document
    found = record("fox.png")
    assert (found.prompt, found.seed, found.aspect_ratio) == ("a red fox", 7, "3:2")
    assert (found.model, found.job_id, found.image) == ("reve-create", job["jobId"], 1)
    assert (found.created_at, found.completed_at) == (job["createdAt"], job["completedAt"])
    assert (found.credit_cost, found.simulated, found.is_ours) == (job["creditCost"], True, True)
    assert found.source_type == SOURCE_TYPE
    assert found.tool is not None
    assert found.tool.startswith("reve ")


def test_both_hashes_are_known(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--seed", "7", "--out", "fox.png", "--json").document
    (file,) = job["files"]
    data = Path("fox.png").read_bytes()
    assert (file["bytes"], file["sha256"]) == (len(data), sha256(data))
    assert file["downloadedSha256"] == sha256(png("fox", 7, None, 1, job["jobId"])) == as_sent("fox.png")
    assert record("fox.png").downloaded_sha256 == file["downloadedSha256"]
    (noted,) = reve("history", "--json").document["files"]
    assert (noted["sha256"], noted["downloadedSha256"]) == (file["sha256"], file["downloadedSha256"])


def test_an_image_holds_no_key_account_path_or_url(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    result = reve("generate", "fox", "--idempotency-key", "my-scope", "--out", "fox.png", "--json")
    data = Path("fox.png").read_bytes()
    (account,) = reve("account", "--json").documents
    (url,) = result.document["urls"]
    for secret in (KEY, "my-scope", account["email"], str(home), "fox.png", url, sandbox.url, "manifest"):
        assert secret.encode() not in data, secret


def test_every_image_of_a_job_says_which_it_is(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:images/3"))
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert [record(path).image for path in ("fox.png", "fox-2.png", "fox-3.png")] == [1, 2, 3]


@pytest.mark.parametrize("command", ["wait", "download", "jobs"])
def test_later_commands_record_it_as_well(reve: Reve, sandbox: Sandbox, command: str) -> None:
    job = reve("generate", "a red fox", "--seed", "7", "--no-wait").out.strip()
    assert reve("wait", job).code == 0
    words = ["jobs", "--download"] if command == "jobs" else [command, job]
    result = reve(*words, "--out", "{job}.png")
    assert result.code == 0, result.stderr
    assert (record(f"{job}.png").prompt, record(f"{job}.png").seed) == ("a red fox", 7)


def test_many_jobs_that_the_journal_knows_have_their_prompts(reve: Reve, sandbox: Sandbox) -> None:
    for seed in range(8):
        assert reve("generate", "a red fox", "--seed", str(seed), "--no-wait").code == 0
    reve.clock.advance(60)
    result = reve("jobs", "--download", "--json")
    assert result.code == 0, result.stderr
    found = [record(document["files"][0]["path"]) for document in result.documents]
    assert sorted((one.prompt, one.seed) for one in found) == [("a red fox", seed) for seed in range(8)]


def test_without_a_journal_the_command_that_finishes_a_job_saves_as_meant(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("image:503*3"))
    words = ["--out", "fox.jpg", "--metadata", "sidecar", "--quality", "10"]
    result = reve("generate", "fox", *words, env={"REVE_JOURNAL": "off"})
    assert result.code == 75
    assert result.stderr.splitlines()[-1].endswith("--out=fox.jpg --metadata=sidecar --quality=10")


def test_a_batch_records_it(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text("a red fox\na blue fox\n")
    assert reve("batch", "p.txt", "--out", "pics/").code == 0
    assert sorted(str(record(str(path)).prompt) for path in Path("pics").glob("*.png")) == ["a blue fox", "a red fox"]


@pytest.mark.parametrize("how", ["option", "variable", "project file"])
def test_with_none_the_file_is_what_the_server_sent(reve: Reve, sandbox: Sandbox, how: str) -> None:
    if how == "project file":
        Path(PROJECT_FILE).write_text('metadata = "none"\n')
    environ = {"REVE_METADATA": "none"} if how == "variable" else {}
    option = ["--metadata", "none"] if how == "option" else []
    result = reve("generate", "fox", "--out", "fox.png", "--json", *option, env=environ)
    (file,) = result.document["files"]
    assert file["sha256"] == file["downloadedSha256"] == sha256(Path("fox.png").read_bytes())
    assert metadata.read("fox.png") is None
    assert not Path("fox.png.json").exists()


def test_with_sidecar_the_record_is_beside_the_file(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "a red fox", "--out", "fox.png", "--json", "--metadata", "sidecar")
    (file,) = result.document["files"]
    assert file["sha256"] == file["downloadedSha256"] == sha256(Path("fox.png").read_bytes())
    document = json.loads(Path("fox.png.json").read_text())
    assert (document["prompt"], document["digitalSourceType"]) == ("a red fox", SOURCE_TYPE)
    assert record("fox.png").prompt == "a red fox"


def test_an_unknown_place_for_the_record_is_refused(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--metadata", "xmp").code == 2
    result = reve("generate", "fox", env={"REVE_METADATA": "xmp"})
    assert result.code == 2
    assert "REVE_METADATA must be one of embed, sidecar, none" in result.stderr
    assert submitted(sandbox) == 0


def test_a_file_of_the_user_is_not_replaced_by_a_sidecar(reve: Reve, sandbox: Sandbox) -> None:
    Path("fox.png.json").write_text('{"mine": true}')
    result = reve("generate", "fox", "--out", "fox.png", "--metadata", "sidecar")
    assert result.code == 0
    assert "warning: fox.png.json is another file, so it does not record how fox.png was made" in result.stderr
    assert Path("fox.png.json").read_text() == '{"mine": true}'


def test_a_replaced_image_leaves_no_record_of_the_one_before(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "a red fox", "--out", "fox.png", "--metadata", "sidecar").code == 0
    assert reve("generate", "an owl", "--out", "fox.png", "--metadata", "sidecar", "--force").code == 0
    assert record("fox.png").prompt == "an owl"
    assert reve("generate", "a cat", "--out", "fox.png", "--metadata", "none", "--force").code == 0
    assert metadata.read("fox.png") is None
    assert not Path("fox.png.json").exists()


def test_bytes_on_standard_output_are_as_the_server_sent_them(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--seed", "7", "--out", "-")
    assert result.stdout == png("fox", 7, None, 1, "")


def test_the_same_download_is_recognized_whatever_was_written_into_it(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "fox", "--seed", "7", "--out", "fox.png")
    data = Path("fox.png").read_bytes()
    wanted = SavedFile(1, "fox.png", "", 1, "another", "image/png", sha256(png("fox", 7, None, 1, "")))
    assert already_saved(wanted) == SavedFile(
        1, "fox.png", "", len(data), sha256(data), "image/png", wanted.downloaded_sha256
    )
    Path("fox.png").write_bytes(data[:-1])
    assert already_saved(wanted) is None


# Conversion


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "jpeg"), ("a.JPEG", "jpeg"), ("a.webp", "webp"), ("a.avif", "avif")]
)
def test_the_name_decides_the_format(reve: Reve, sandbox: Sandbox, kind_of: KindOf, name: str, kind: str) -> None:
    job = reve("generate", "a red fox", "--seed", "7", "--out", name, "--json").document
    (file,) = job["files"]
    assert (file["path"], file["mediaType"]) == (name, f"image/{kind}")
    data = Path(name).read_bytes()
    assert file["sha256"] == sha256(data) != file["downloadedSha256"]
    assert kind_of(name) == (kind.upper(), (512, 512))
    assert file["downloadedSha256"] == sha256(png("a red fox", 7, None, 1, job["jobId"]))
    assert (record(name).prompt, record(name).seed, record(name).source_type) == ("a red fox", 7, SOURCE_TYPE)


def test_quality_decides_the_size(reve: Reve, sandbox: Sandbox, kind_of: KindOf) -> None:
    sizes = []
    for quality in ("10", "50", "95"):
        assert reve("generate", "fox", "--seed", "7", "--out", f"{quality}.jpg", "--quality", quality).code == 0
        sizes.append(Path(f"{quality}.jpg").stat().st_size)
    assert sizes == sorted(set(sizes))
    reve("generate", "fox", "--seed", "7", "--out", "again.jpg", env={"REVE_QUALITY": "10"})
    assert abs(Path("again.jpg").stat().st_size - sizes[0]) < 100  # another job's id and times


@pytest.mark.parametrize("quality", ["0", "101", "high"])
def test_a_wrong_quality_is_refused(reve: Reve, sandbox: Sandbox, quality: str) -> None:
    assert reve("generate", "fox", "--out", "fox.jpg", "--quality", quality).code == 2
    assert submitted(sandbox) == 0


@pytest.mark.parametrize("out", [["--out", "fox.png"], [], ["--no-wait"], ["--out", "-"]])
def test_a_quality_without_a_conversion_is_refused(reve: Reve, sandbox: Sandbox, out: list[str]) -> None:
    result = reve("generate", "fox", *out, "--quality", "80")
    assert result.code == 2
    assert "--quality" in result.stderr
    assert submitted(sandbox) == 0


@pytest.mark.parametrize("command", ["wait", "download", "jobs"])
def test_later_commands_convert_as_well(reve: Reve, sandbox: Sandbox, kind_of: KindOf, command: str) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    assert reve("wait", job).code == 0
    words = ["jobs", "--download"] if command == "jobs" else [command, job]
    assert reve(*words, "--out", "{job}.webp").code == 0
    assert kind_of(f"{job}.webp")[0] == "WEBP"


def test_a_batch_converts_by_the_name_of_each_item(reve: Reve, sandbox: Sandbox, kind_of: KindOf) -> None:
    lines = [{"prompt": "fox", "out": name} for name in ("a.png", "b.jpg", "c.webp")]
    Path("p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert reve("batch", "p.jsonl", "--out", "pics/", "--quality", "80").code == 0
    assert [kind_of(f"pics/{line['out']}")[0] for line in lines] == ["PNG", "JPEG", "WEBP"]
    before = submitted(sandbox)
    again = reve("batch", "p.jsonl", "--out", "pics/")
    assert (again.code, submitted(sandbox)) == (0, before)


def test_resume_saves_as_the_interrupted_command_would(reve: Reve, simulate: Simulate, kind_of: KindOf) -> None:
    sandbox = simulate(faults=parse_faults("image:503*3"))
    first = reve("generate", "fox", "--out", "fox.jpg", "--metadata", "sidecar", "--quality", "10")
    assert first.code == 75
    assert reve("resume").code == 0
    assert kind_of("fox.jpg")[0] == "JPEG"
    assert metadata.read("fox.jpg") == record("fox.jpg")
    assert Path("fox.jpg.json").exists()
    assert submitted(sandbox) == 1


@pytest.mark.parametrize("fault", ["jpeg", "webp"])
def test_another_format_from_the_server_is_converted_to_png(
    reve: Reve, simulate: Simulate, kind_of: KindOf, fault: str
) -> None:
    simulate(faults=parse_faults(f"image:{fault}"))
    result = reve("generate", "fox", "--out", "fox.png")
    assert result.code == 0, result.stderr
    assert kind_of("fox.png")[0] == "PNG"
    assert record("fox.png").prompt == "fox"


# Without the extra


@pytest.mark.parametrize("name", ["fox.jpg", "fox.webp", "{seed}.avif"])
def test_without_pillow_other_formats_are_refused_before_the_request(
    reve: Reve, sandbox: Sandbox, without_pillow: Callable[[], None], name: str
) -> None:
    result = reve("generate", "fox", "--out", name)
    assert result.code == 2
    assert "pip install 'reve-cli[images]'" in result.stderr
    assert submitted(sandbox) == 0


def test_without_pillow_png_is_saved(reve: Reve, sandbox: Sandbox, without_pillow: Callable[[], None]) -> None:
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert record("fox.png").prompt == "fox"


@pytest.mark.parametrize("finish", ["resume", "generate"])
def test_an_image_that_cannot_be_converted_keeps_its_format_until_it_can(
    reve: Reve, simulate: Simulate, without_pillow: Callable[[], None], finish: str
) -> None:
    sandbox = simulate(faults=parse_faults("image:webp"))
    command = ["generate", "fox", "--out", "fox.png", "--metadata", "sidecar"]
    result = reve(*command)
    assert result.code == 75
    assert "warning: the image cannot be converted for fox.png: it needs an extra" in result.stderr
    assert "the image is saved as fox.webp, not fox.png: it could not be converted" in result.stderr
    assert "reve resume" in result.stderr.splitlines()[-1]
    assert Path("fox.webp").read_bytes().startswith(b"RIFF")
    assert not Path("fox.png").exists()
    again = reve("resume")
    assert (again.code, Path("fox.webp").exists()) == (75, True)
    without_pillow()
    pytest.importorskip("PIL", reason="Pillow is not installed")
    done = reve(*(command if finish == "generate" else ["resume"]))
    assert done.code == 0, done.stderr
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path().iterdir()) == ["fox.png", "fox.png.json"]
    assert submitted(sandbox) == 1
