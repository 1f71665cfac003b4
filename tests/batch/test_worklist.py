"""The worklist: when two items are the same, the paths of images, and what earlier runs left to do."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from reve_cli.batch.items import Item
from reve_cli.batch.worklist import Planned, Worklist
from reve_cli.core.filesystem import SameNames
from reve_cli.core.models import ImageRequest
from tests.support.memory import run_measured

JOB = "01234567-89ab-cdef-0123-456789abcdef"


def item(prompt: str, line: int = 1, out: str | None = None, source: str | None = None) -> Item:
    return Item(line, ImageRequest(prompt), out, source)


@pytest.fixture
def worklist() -> Iterator[Worklist]:
    made = Worklist()
    yield made
    made.close()


def filled(items: Iterable[Item]) -> list[Planned]:
    worklist = Worklist()
    worklist.fill(items)
    found = worklist.take(1000)
    worklist.close()
    return found


def names(items: Iterable[Item]) -> set[str]:
    return {planned.item for planned in filled(items)}


# Identity


def test_an_item_is_the_same_on_any_line() -> None:
    there = names([item("fox", 1), item("wolf", 2), item("bear", 3, "b.png")])
    assert names([item("bear", 1, "b.png"), item("owl", 2), item("fox", 7), item("wolf", 8)]) > there
    assert not names([item("fox ", 1), item("bear", 2, "c.png"), item("bear", 3)]) & there


def test_identical_items_differ_in_their_ordinal() -> None:
    three = filled([item("fox", 1), item("wolf", 2), item("fox", 3), item("fox", 4, "f.png"), item("fox", 5)])
    assert [planned.ordinal for planned in three] == [1, 1, 2, 1, 3]
    assert len({planned.item for planned in three}) == 5
    assert names([item("fox", 9)]) == {three[0].item}


def test_lines_with_the_same_source_are_one_item() -> None:
    found = filled([item("fox", 1, source="r a"), item("fox", 2, source="r b"), item("fox", 3, source="r a")])
    assert [planned.line for planned in found] == [1, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_item_is_in_one_shard_whatever_the_order(count: int) -> None:
    items = [item(f"prompt {number}", number) for number in range(100)]

    def shard(index: int, items: list[Item]) -> set[str]:
        worklist = Worklist()
        worklist.fill(items)
        worklist.keep_shard(index, count)
        assert worklist.size == worklist.left
        assert worklist.share == worklist.size / 100
        return {planned.item for planned in worklist.take(1000)}

    parts = [shard(index, items) for index in range(1, count + 1)]
    assert sum(map(len, parts)) == 100
    assert set[str]().union(*parts) == names(items)
    assert [shard(index, items[::-1]) for index in range(1, count + 1)] == parts


# Taking items


def test_items_are_taken_once_in_order(worklist: Worklist) -> None:
    worklist.fill([item(f"prompt {number}", number) for number in range(1, 251)])
    taken = [worklist.take(100) for _ in range(4)]
    assert [len(some) for some in taken] == [100, 100, 50, 0]
    assert [planned.number for some in taken for planned in some] == list(range(1, 251))
    assert (worklist.size, worklist.left) == (250, 0)


# Paths


def test_every_line_with_the_path_of_an_earlier_line_is_reported(worklist: Worklist) -> None:
    worklist.fill([item("a", 1), item("b", 2), item("a", 3), item("c", 4), item("a", 5), item("d", 6), item("d", 6)])
    bad: list[tuple[int, str]] = []
    worklist.set_paths(lambda one: f"{one.request.prompt}.png", lambda line, why: bad.append((line, why)))
    assert bad == [
        (3, "a.png is already the path of line 1"),
        (5, "a.png is already the path of line 1"),
        (6, "d.png is already the path of another image of this line"),
    ]


def test_a_path_that_is_a_file_in_one_line_and_a_folder_in_another_is_reported(worklist: Worklist) -> None:
    worklist.fill([item("a/b", 1), item("a", 2), item("a-b/c", 3), item("a0", 4), item("a/b/c", 5)])
    bad: list[tuple[int, str]] = []
    path = str(Path("x", "{}"))
    worklist.set_paths(lambda one: path.format(one.request.prompt), lambda line, why: bad.append((line, why)))
    assert [line for line, _ in bad] == [1, 2]
    assert bad[0][1] == f"{path.format('a/b')} is a file here, but a folder in line 5"


# Earlier runs


def test_a_saved_image_is_done_and_a_deleted_one_is_fetched_from_its_job(worklist: Worklist) -> None:
    worklist.fill([item("fox", 1), item("wolf", 2), item("bear", 3)])
    fox, wolf, _ = (planned.item for planned in filled([item("fox"), item("wolf"), item("bear")]))
    worklist.note_image(fox, JOB, "f.png", is_there=True)
    worklist.note_image(wolf, JOB, "w.png", is_there=False)
    assert (worklist.left, worklist.to_buy) == (2, 1)
    assert [(planned.request.prompt, planned.job) for planned in worklist.take(9)] == [("wolf", JOB), ("bear", None)]


def test_the_next_attempt_follows_the_highest_failed_one(worklist: Worklist) -> None:
    worklist.fill([item("fox")])
    (fox,) = names([item("fox")])
    worklist.note_failed(fox, 2)
    worklist.note_failed(fox, 1)
    assert [planned.attempt for planned in worklist.take(1)] == [3]


def test_a_file_belongs_to_the_last_item_that_was_saved_there(worklist: Worklist) -> None:
    worklist.fill([item("fox", 1, "x.png")])
    worklist.set_paths(lambda one: one.out, lambda line, why: pytest.fail(why))
    (fox,), (old,) = names([item("fox", 1, "x.png")]), names([item("wolf", 1, "x.png")])
    worklist.note_image(fox, JOB, "x.png", is_there=True)
    worklist.note_image(old, JOB, "x.png", is_there=True)
    worklist.skip_existing(lambda path: True)
    assert [planned.job for planned in worklist.take(1)] == [JOB]  # the file is the wolf, so the fox is fetched again
    worklist.note_image(fox, JOB, "x.png", is_there=True)
    assert worklist.left == 0


def test_a_file_that_belongs_to_no_other_item_counts_as_made(worklist: Worklist) -> None:
    worklist.fill([item("fox", 1, "x.png"), item("wolf", 2, "y.png"), item("bear", 3, "z.png"), item("owl", 4)])
    worklist.set_paths(lambda one: one.out, lambda line, why: pytest.fail(why))
    worklist.note_image(None, None, "y.png", is_there=True)
    worklist.note_known(lambda chunk: [one.number for one in chunk if one.request.prompt == "bear"])
    worklist.skip_existing(lambda path: True)
    assert worklist.to_buy == 2
    assert [planned.request.prompt for planned in worklist.take(9)] == ["wolf", "bear", "owl"]


def test_a_path_may_be_any_bytes(worklist: Worklist) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    worklist.fill([item("fox", 1)])
    worklist.set_paths(lambda one: name, lambda line, why: pytest.fail(why))
    worklist.skip_existing(lambda path: path == b"caf\xe9.png")
    assert worklist.left == 0


# Many items


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no peak of this program alone")
@pytest.mark.parametrize(
    ("kind", "extra"),
    [("text", []), ("text", ["--out", "pics/{index}.{ext}"]), ("csv", []), ("json", [])],
    ids=["default names", "known paths", "table", "array"],
)
def test_many_lines_need_no_more_memory_than_few(kind: str, extra: list[str], full: bool) -> None:
    def peak(count: int) -> int:
        prompts = [f"a fox, number {number}" for number in range(count)]
        rows = "".join(f'x,"{prompt}  ",random\n' for prompt in prompts)
        text = {"text": "\n".join(prompts), "csv": f"note,prompt,seed\n{rows}", "json": json.dumps(prompts)}
        Path("many").write_text(text[kind])
        command = ["batch", "many", "--dry-run", "--format", kind, *extra]
        with open("requests.jsonl", "w") as requests:
            codes, peaks = run_measured([command], os.environ, requests)
        assert codes == [0]
        assert len(Path("requests.jsonl").read_bytes().splitlines()) == count
        return peaks[0]

    peak(10)  # warm-up: Python writes its bytecode
    many = 30_000 if full else 3_000
    assert peak(many) - peak(300) < 0.35 * many  # KiB; an item that is kept takes 0.6 or more


@pytest.mark.parametrize(
    ("same", "refused"),
    [((False, False), []), ((True, False), [2, 3]), ((False, True), [6]), ((True, True), [2, 3, 6])],
)
def test_paths_that_are_one_file_conflict(worklist: Worklist, same: tuple[bool, bool], refused: list[int]) -> None:
    prompts = ("A", "a", "B", "b/c", "\u00e9", "e\u0301")
    worklist.fill([item(prompt, line) for line, prompt in enumerate(prompts, start=1)])
    bad: list[int] = []
    path = str(Path("x", "{}"))
    worklist.set_paths(
        lambda one: path.format(one.request.prompt), lambda line, why: bad.append(line), SameNames(*same).one
    )
    assert sorted(bad) == refused


def test_the_last_line_of_a_manifest_with_the_same_out_counts(worklist: Worklist) -> None:
    worklist.fill([
        item("fox", 1, "a.png", "r a"),
        item("wolf", 2, "b.png", "r b"),
        item("red fox", 3, "a.png", "r c"),
        item("fox", 4, "a.png", "r a"),
        item("wolf", 5, "b.png", "s b"),
    ])  # fmt: skip
    worklist.set_paths(lambda one: one.out, lambda line, why: pytest.fail(why))
    left = worklist.take(9)
    assert [one.request.prompt for one in left] == ["fox", "wolf"]
    assert {one.item for one in left} == names([item("fox", 1, "a.png"), item("wolf", 2, "b.png")])


def test_only_lines_of_a_manifest_give_up_their_path(worklist: Worklist) -> None:
    worklist.fill([item("fox", 1, "a.png"), item("wolf", 2, "a.png", "r b"), item("owl", 3, "a.png", "r c")])
    bad: list[int] = []
    worklist.set_paths(lambda one: one.out, lambda line, why: bad.append(line))
    assert bad == [3]
    default = Worklist()
    default.fill([item("fox", 1, source="r a"), item("wolf", 2, source="r b")])
    default.set_paths(lambda one: "same.png", lambda line, why: bad.append(line))
    assert bad == [3, 2]
    default.close()
