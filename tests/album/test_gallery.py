"""`reve gallery` and `batch --gallery`: which images the page has, where it is, and what it replaces."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from reve_cli.album.cards import address, command
from reve_cli.album.page import LIVE, MOST, page, write
from reve_cli.pictures.metadata import embed
from reve_cli.pictures.provenance import Provenance
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.support.pictures import PICTURES

PAGE = "gallery.html"


def data(path: str | Path) -> Any:
    """The data that a page shows."""
    text = Path(path).read_text()
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def cards(path: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data(path)["pictures"]
    return found


def make_batch(reve: Reve, *arguments: str, prompts: str = "a red fox\na blue fox\n") -> None:
    Path("list.txt").write_text(prompts)
    result = reve("batch", "list.txt", "--out", "foxes/", *arguments)
    assert result.code == 0, result.stderr


# Which images


def test_the_page_of_a_batch_has_each_image_with_its_facts_and_command(reve: Reve, sandbox: Sandbox) -> None:
    make_batch(reve, "--seeds", "1-2", "--ratios", "3:2")
    result = reve("gallery", "foxes")
    assert (result.code, result.out) == (0, f"{Path('foxes', PAGE).absolute()}\n")
    assert result.stderr == "4 images; open the page in a browser\n"
    found = cards(f"foxes/{PAGE}")
    assert {(each["prompt"], each["seed"], each["ratio"]) for each in found} == {
        (prompt, seed, "3:2") for prompt in ("a red fox", "a blue fox") for seed in (1, 2)
    }
    assert all((Path("foxes") / each["src"]).is_file() for each in found)
    assert {each["job"] for each in found} == {job.id for job in sandbox.jobs()}
    one = next(each for each in found if each["prompt"] == "a red fox" and each["seed"] == 2)
    assert one["command"] == "reve generate --seed 2 --ar 3:2 --sandbox -- 'a red fox'"


def test_images_without_a_manifest_say_themselves_how_they_were_made(reve: Reve) -> None:
    folder = Path("mine/deep")
    folder.mkdir(parents=True)
    (folder / "fox.png").write_bytes(PICTURES["png"])
    with open(folder / "fox.png", "r+b") as file:
        assert embed(file, Provenance(prompt="a shy fox", seed=7, simulated=True))
    (Path("mine") / "plain.jpg").write_bytes(PICTURES["jpeg"])
    (Path("mine") / "cut.png").write_bytes(PICTURES["png"][:50])
    (Path("mine") / ".hidden.png").write_bytes(PICTURES["png"])
    (Path("mine") / "notes.txt").write_text("no image")
    assert reve("gallery", "mine").code == 0
    found = {each["src"]: each for each in cards(f"mine/{PAGE}")}
    assert set(found) == {"deep/fox.png", "plain.jpg", "cut.png"}
    assert found["deep/fox.png"]["prompt"] == "a shy fox"
    assert found["deep/fox.png"]["command"] == "reve generate --seed 7 --sandbox -- 'a shy fox'"
    assert set(found["plain.jpg"]) == {"src", "name"}


def test_the_newest_image_comes_first(reve: Reve) -> None:
    for number in range(3):
        Path(f"{number}.png").write_bytes(PICTURES["png"])
        os.utime(f"{number}.png", (number, number))
    assert reve("gallery").code == 0
    assert [each["name"] for each in cards(PAGE)] == ["2.png", "1.png", "0.png"]
    assert MOST == 20_000


def test_history_has_the_saved_images_of_a_time_wherever_they_are(reve: Reve, sandbox: Sandbox) -> None:
    for name in ("old.png", "new.png", "gone.png"):
        Path(name[0]).mkdir()
        assert reve("generate", f"a fox, {name}", "--out", f"{name[0]}/{name}").code == 0
        reve.clock.advance(3 * 24 * 3600)
    Path("g/gone.png").unlink()
    result = reve("gallery", "--history", "--since", "7d", "--json")
    assert (result.code, result.document) == (0, {"page": str(Path(PAGE).absolute()), "images": 1, "thumbnails": 0})
    assert [each["src"] for each in cards(PAGE)] == ["n/new.png"]
    assert reve("gallery", "--history", "--search", "OLD", "--out", "n/all.html").code == 0
    assert [each["src"] for each in cards("n/all.html")] == ["../o/old.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gallery", "missing"], 7, "missing does not exist"),
        (["gallery", "empty"], 7, "empty contains no images"),
        (["gallery", "list.txt"], 7, "list.txt is not a folder"),
        (["gallery", "empty", "--history"], 2, "--history takes no folder"),
        (["gallery", "--since", "7d"], 2, "need --history"),
        (["gallery", "--history"], 7, "no saved image in the journal matches"),
        (["gallery", "https://example.com/"], 2, "is a URL"),
        (["batch", "list.txt", "--gallery", "--dry-run"], 2, "--gallery cannot be used with --dry-run"),
        (["batch", "list.txt", "--gallery", "--shard", "1/2", "--run", "x"], 2, "cannot be used with --shard"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_page_says_why(reve: Reve, arguments: list[str], code: int, message: str) -> None:
    Path("empty").mkdir()
    Path("list.txt").write_text("a fox\n")
    result = reve(*arguments)
    assert (result.code, result.stdout) == (code, b"")
    assert message in result.stderr


# What is written


def test_a_file_of_another_tool_is_replaced_only_with_force(reve: Reve, sandbox: Sandbox) -> None:
    make_batch(reve)
    assert [reve("gallery", "foxes").code for _ in range(2)] == [0, 0]  # its own page is replaced
    Path(f"foxes/{PAGE}").write_text("<h1>mine</h1>")
    for arguments in (["gallery", "foxes"], ["batch", "list.txt", "--out", "foxes/", "--gallery"]):
        result = reve(*arguments)
        assert result.code == 7
        assert "exists and is not a gallery of reve" in result.stderr
    assert Path(f"foxes/{PAGE}").read_text() == "<h1>mine</h1>"
    assert reve("gallery", "foxes", "--force").code == 0
    assert len(cards(f"foxes/{PAGE}")) == 2


def test_the_page_ends_no_element_early_and_names_no_address(reve: Reve, sandbox: Sandbox) -> None:
    make_batch(reve, prompts="--></script><script>run()</script>\n")
    reve("gallery", "foxes")
    text = Path(f"foxes/{PAGE}").read_text()
    assert text.count("<script") == 2
    assert text.isascii()
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    assert not {"http://", "https://"} & {word for word in ("http://", "https://") if word in text}


def test_a_hostile_name_stays_a_path_below_the_page() -> None:
    for name in ("javascript:alert(1).png", "//evil.example/x.png", "a?b#c %20.png", "\udcff.png"):
        found = address(f"/pics/{name}", "/pics")
        assert not found.startswith(("/", "javascript:"))
        assert not set(found) & set(":?# ")


def test_the_command_is_what_a_shell_passes_on(reve: Reve) -> None:
    for prompt in ('it\'s a "fox" $(run) `run` \\ !', "-n", "two\nlines", "\U0001f98a"):
        shown = command({"prompt": prompt, "seed": -3, "model": "other"})
        assert shown is not None
        if "\n" not in prompt:
            assert shlex.split(shown) == ["reve", "generate", "--seed=-3", "--model", "other", "--", prompt]
    assert command({"prompt": "a\0b"}) is None
    assert command({}) is None


def test_large_images_get_thumbnails_that_are_kept_until_the_image_is_gone(
    reve: Reve, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    monkeypatch.setattr("reve_cli.album.thumbnails._SMALL", 100)
    for name in ("png", "jpeg", "webp"):
        Path(f"fox.{name}").write_bytes(PICTURES[name] + bytes(100))
    Path("broken.png").write_bytes(PICTURES["png"][:60] + bytes(100))
    assert reve("gallery", "--json").document["thumbnails"] == 3
    kept = {each["thumb"]: Path(each["thumb"]).stat().st_mtime_ns for each in cards(PAGE) if "thumb" in each}
    assert len(kept) == 3
    assert all(name.startswith(".gallery/") for name in kept)
    Path("fox.png").unlink()
    assert reve("gallery", "--json").document["thumbnails"] == 2
    left = {str(path): path.stat().st_mtime_ns for path in Path(".gallery").iterdir()}
    assert len(left) == 2
    assert left.items() <= kept.items()


# While a batch runs


def test_a_batch_keeps_its_page_up_to_date(reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    make_batch(reve)
    scripts: list[list[dict[str, Any]]] = []

    def watched(path: str, content: bytes) -> None:
        if path.endswith(LIVE):
            assert data(f"foxes/{PAGE}")["live"] == LIVE if scripts else True
            scripts.append(json.loads(content.removeprefix(b"reve(").rstrip(b")\n")))
        write(path, content)

    monkeypatch.setattr("reve_cli.album.live.write", watched)
    Path("list.txt").write_text("a red fox\na black fox\na white fox\n")
    result = reve("batch", "list.txt", "--out", "foxes/", "--gallery", "--concurrency", "1")
    assert result.code == 0
    assert "gallery: foxes/gallery.html shows new images by itself" in result.stderr
    assert scripts[0] == []
    assert [each["prompt"] for each in scripts[-1]] in (["a white fox", "a black fox"], ["a black fox"])
    assert len(cards(f"foxes/{PAGE}")) == 4
    assert data(f"foxes/{PAGE}")["live"] is None
    assert not Path("foxes", LIVE).exists()
    assert not list(Path("foxes").glob(".reve-*"))


def test_a_batch_with_nothing_to_make_writes_its_page(reve: Reve, sandbox: Sandbox) -> None:
    make_batch(reve)
    make_batch(reve, "--gallery")
    assert len(cards(f"foxes/{PAGE}")) == 2
    assert len(sandbox.jobs()) == 2


def test_a_page_that_cannot_be_written_does_not_end_the_batch(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, content: bytes) -> None:
        if b'"a red' in content:
            path = f"/dev/null/{PAGE}"
        write(path, content)

    monkeypatch.setattr("reve_cli.album.live.write", full)
    Path("list.txt").write_text("a red fox\na red wolf\n")
    result = reve("batch", "list.txt", "--out", "foxes/", "--gallery")
    assert result.code == 0
    assert result.stderr.count("warning: the gallery is not up to date: cannot write") == 1
    assert len(list(Path("foxes").glob("*.png"))) == 2


def test_failed_items_are_not_on_the_page(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("outcome:fail*1")
    Path("list.txt").write_text("a red fox\na blue fox\n")
    assert reve("batch", "list.txt", "--out", "foxes/", "--gallery", "--retries", "0").code == 5
    assert len(cards(f"foxes/{PAGE}")) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_resume_completes_the_page_of_its_batch(reve: Reve, sandbox: Sandbox, killed: bool) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    Path("list.txt").write_text("a red fox\na blue fox\n")
    assert reve("batch", "list.txt", "--out", "foxes/", "--gallery").code == 75
    assert cards(f"foxes/{PAGE}") == []
    if killed:
        write(f"foxes/{PAGE}", page("foxes", [], live=True))
        write(f"foxes/{LIVE}", b"reve([])\n")
    sandbox.faults.clear()
    result = reve("resume")
    assert (result.code, "gallery.html shows new images by itself" in result.stderr) == (0, True)
    assert {each["prompt"] for each in cards(f"foxes/{PAGE}")} == {"a red fox", "a blue fox"}
    assert data(f"foxes/{PAGE}")["live"] is None
    assert not Path("foxes", LIVE).exists()


@pytest.mark.parametrize("there", [None, "<h1>mine</h1>"])
def test_resume_writes_no_page_where_the_batch_keeps_none(reve: Reve, sandbox: Sandbox, there: str | None) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    Path("list.txt").write_text("a red fox\n")
    assert reve("batch", "list.txt", "--out", "foxes/").code == 75
    if there:
        Path("foxes", PAGE).write_text(there)
    sandbox.faults.clear()
    assert reve("resume").code == 0
    assert [path.read_text() for path in Path("foxes").glob("gallery*")] == [there] * bool(there)


def test_a_page_that_resume_cannot_write_is_a_warning(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    Path("list.txt").write_text("a red fox\n")
    assert reve("batch", "list.txt", "--out", "foxes/", "--gallery").code == 75
    sandbox.faults.clear()
    monkeypatch.setattr("reve_cli.album.live.write", lambda path, content: write(f"/dev/null/{PAGE}", content))
    result = reve("resume")
    assert (result.code, result.stderr.count("warning: the gallery is not up to date: ")) == (0, 1)
    assert len(list(Path("foxes").glob("*.png"))) == 1
