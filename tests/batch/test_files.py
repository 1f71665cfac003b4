"""Files as people have them, in `files/`: what each becomes, or the one line that says what is wrong."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.batch.items import Item, Multiples, Source, read_items
from reve_cli.core.models import ImageRequest, normal_prompt
from reve_cli.inputs.foreign import problem
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

FILES = Path(__file__).with_name("files")


def read(raw: bytes, name: str, **options: Any) -> tuple[list[Item], list[tuple[int, str]], Source]:
    bad: list[tuple[int, str]] = []
    source = Source.of(name, **options)
    items = list(read_items(io.BytesIO(raw), source, ImageRequest("any"), Multiples(), lambda *why: bad.append(why)))
    return items, bad, source


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


Expected = tuple[str, int | None, str | None, dict[str, Any] | None]


def one(prompt: str, seed: int | None = None, ratio: str | None = None, **columns: Any) -> Expected:
    return prompt, seed, ratio, columns or None


FOX_AND_WOLF = [one("a fox", 1), one("a wolf", 2)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("semicolon.csv", {}, [one("ein roter Fuchs", 1, "16:9"), one("ein Wolf; heulend", 2, "1:1")]),
        ("sheet-header.csv", {}, [one("a red fox", 1, "16:9"), one("a blue fox")]),
        ("benchmark.tsv", {}, [
            one("a green bench", Category="Objects", Challenge="Simple"),
            one('a "quoted" sign', Category="Text", Challenge="Quotes"),
        ]),
        ("catalogue.csv", {}, [
            one("a mug on oak", 3, sku="A-17", price="12.50"), one("a kettle on slate", 4, sku="A-18", price="39.00"),
        ]),
        ("captions.jsonl", {"columns": ["prompt=caption"]}, [one("a fox", id=7), one("a wolf", id=8)]),
        ("array.json", {}, [one("a fox", 1), one("a wolf")]),
        ("strings.json", {}, [one("a fox"), one("a wolf")]),
        ("powershell.txt", {}, [one("a fox"), one("a wolf")]),
        ("western.txt", {"encoding": "cp1252"}, [one("un café à Paris")]),
        ("comments.txt", {}, [one("a fox"), one("#hashtag art of a wolf"), one("a bear")]),
        ("typo.csv", {"columns": ["seed=sed"]}, [one("a fox", 1)]),
        ("typo.csv", {"columns": ["input=sed"]}, [one("a fox", sed="1")]),
        ("libreoffice.csv", {}, [one("ein Fuchs; rot", 1, Notiz='Datei "A"'), one("ein Wolf", Notiz=None)]),
        ("excel.csv", {}, [one("a café", 1), one("a fox, red")]),
        ("excel-unicode.txt", {}, [one("ein roter Fuchs", 1), one('a "quoted" sign', 2)]),
        ("excel-windows.csv", {"encoding": "cp1252"}, [one("un café à Paris", 3)]),
        ("old-mac.csv", {}, [one("a fox", 1), one("two\nlines", 2)]),
        ("old-mac.txt", {}, [one("a fox"), one("a wolf")]),
        ("nested-quotes.csv", {}, [one('a sign "say ""hi""" here', 1), one('"all of it"', 2)]),
        ("multi-line.csv", {}, [one("a fox,\nin the snow", 1), one("a wolf", 2)]),
        ("trailing-separators.csv", {}, [one("a fox", 1), one("a wolf", 2), one("a bear", 3)]),
        ("duplicate-headers.csv", {}, [("a fox", None, None, {"note": "x", "note 2": "y", "note 3": "z"})]),
        ("empty-column.csv", {}, FOX_AND_WOLF),
        ("pandas.csv", {}, [one("a fox", 7), one("a wolf")]),
        ("sep.csv", {}, [one("a fox; red", 1)]),
        ("blanks.csv", {}, [one("a fox, red", 7, "1:1"), one('a "wolf"', 8, "16:9")]),
        ("pipe.csv", {}, [one("a fox, red; white", 1), one("a | b", 2)]),
        ("joined.txt", {}, [one("a fox"), one("a wolf")]),
        ("joined.csv", {}, FOX_AND_WOLF),
        ("no-mark.csv", {"encoding": "utf-16-le"}, [one("a fox")]),
        ("tabs.txt", {}, [one("a fox", 7)]),
        ("list.csv.txt", {}, [one("a fox", 7), one("a wolf, howling", 8)]),
        ("lines.json", {}, [one("a fox", 1), one("a wolf")]),
        ("excel.xlsx", {}, [one("ein Fuchs; rot", 7, "16:9", SKU="A-1"), one("ein Wolf\nheulend", SKU="A-2")]),
        ("libreoffice.ods", {}, [one("a fox", 1, price=12.5), one("a wolf", price=3)]),
        ("geneval.jsonl", {}, [
            one("a photo of a bench", tag="single_object", include=[{"class": "bench", "count": 1}]),
            one("a photo of two cows", tag="colors", include=[{"class": "cow", "count": 2}],
                exclude=[{"class": "cow", "count": 3}]),
        ]),
    ],
)  # fmt: skip
def test_a_file_gives_its_items(name: str, options: dict[str, Any], expected: Sequence[Expected]) -> None:
    items, bad, _ = read((FILES / name).read_bytes(), name, **options)
    assert bad == []
    found = [(item.request.prompt, item.request.seed, item.request.aspect_ratio, item.columns) for item in items]
    assert found == list(expected)


@pytest.mark.parametrize(
    ("name", "line", "whys"),
    [
        ("captions.jsonl", 1, ["columns: id, caption", "--column prompt=caption"]),
        ("typo.csv", 1, ["column 'sed'", "did you mean seed?", "--column input=sed"]),
        ("western.txt", 1, ["byte 7 (0xE9)", "--encoding cp1252"]),
        ("excel-windows.csv", 2, ["byte 7 (0xE9)", "--encoding cp1252"]),
        ("no-mark.csv", 1, ["--encoding utf-16-le"]),
        ("duplicate-prompt.csv", 1, ["two columns are prompt"]),
        ("unnamed-cell.csv", 2, ["the cell 'red' is in column 2, which has no name"]),
        ("nul.csv", 3, ["NUL"]),
        ("two-faults.csv", 2, ["seed 'x' is not a whole number", "; aspectRatio '7:3' is not one of"]),
        ("times.xlsx", 2, ["'16:09:00' is a time that a spreadsheet made of 16:9"]),
        ("styles.csv", 1, ["column 'negative_prompt': Reve has no negative prompts"]),
        ("coco.json", 1, ["jq -c '.annotations[]' coco.json | reve batch - --format jsonl"]),
    ],
)
def test_a_file_is_refused_in_one_line(name: str, line: int, whys: list[str]) -> None:
    _, bad, _ = read((FILES / name).read_bytes(), name)
    assert [number for number, _ in bad] == [line]
    for why in whys:
        assert why in bad[0][1]


def test_the_error_for_each_time_names_the_ratio_that_was_meant() -> None:
    items, bad, _ = read((FILES / "times.csv").read_bytes(), "times.csv")
    assert [why.partition(" made of ")[2].partition(";")[0] for _, why in bad] == ["16:9", "3:2", "16:9", "2:3"]
    assert [item.request.aspect_ratio for item in items] == ["1:1"]


def test_the_first_twenty_invalid_lines_are_shown_then_the_number_of_the_others(reve: Reve, live: Sandbox) -> None:
    shutil.copy(FILES / "many-bad.csv", "many-bad.csv")
    result = reve("batch", "many-bad.csv")
    assert result.code == 2
    *lines, last = result.stderr.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("error: many-bad.csv, line 2: seed 'x0'")
    assert last == "error: many-bad.csv: 500 invalid lines (the first 20, and 480 more); nothing was submitted"
    assert posts(live) == 0


def test_comments_are_counted_and_other_columns_named_once(reve: Reve) -> None:
    for name in ("comments.txt", "benchmark.tsv", "joined.csv"):
        shutil.copy(FILES / name, name)
    assert reve("batch", "comments.txt", "--dry-run").stderr == "3 of 3 to submit; 2 comment lines skipped\n"
    assert reve("batch", "benchmark.tsv", "--dry-run").stderr == (
        "other columns, returned as input: Category, Challenge\n2 of 2 to submit\n"
    )
    assert "; 1 repeated header line skipped" in reve("batch", "joined.csv", "--dry-run").stderr


# Tables that are not named .csv


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["-", "list.txt", "list.csv.txt", "list"])
def test_a_table_in_a_text_file_is_read_as_a_table(name: str, delimiter: str, reve: Reve, live: Sandbox) -> None:
    table = f"# mine\n\nSeed{delimiter}PROMPT\n7{delimiter}a fox\n"
    Path("list" if name == "-" else name).write_text(table)
    result = reve("batch", name, "--out", "pics", stdin=table.encode())
    assert result.code == 0, result.stderr
    assert posts(live) == 1
    assert [(job.body["prompt"], job.body["reveParams"]) for job in live.jobs()] == [("a fox", {"seed": 7})]


def test_format_text_reads_a_table_line_by_line() -> None:
    items, bad, _ = read(b"prompt,seed\na fox,7\n", "-", format="text")
    assert bad == []
    assert [item.request.prompt for item in items] == ["prompt,seed", "a fox,7"]


@pytest.mark.parametrize(
    "text", ["prompt engineering, a poster\na fox\n", "a prompt, seed and soil\nb\n", "the prompt\nx\n"]
)
def test_a_prompt_that_mentions_a_field_is_no_header(text: str) -> None:
    items, bad, _ = read(text.encode(), "-")
    assert bad == []
    assert len(items) == 2


# Documents


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (r"{\rtf1\ansi a fox", "RTF"),
        ("%PDF-1.7\nx", "PDF"),
        ("<!DOCTYPE html>\n<p>a fox</p>", "HTML"),
        ("<html>\n<p>a fox</p>", "HTML"),
        ("<?xml version='1.0'?>\n<a/>", "XML"),
        ("---\nprompts:\n- a fox\n", "YAML"),
        ("prompts:\n  - a fox\n", "YAML"),
        ("- prompt: a fox\n  seed: 1\n", "YAML"),
        ("#!/usr/bin/env python3\nprint('x')\n", "script"),
        ("import random\nprint('x')\n", "Python"),
        ("from pathlib import Path\nx\n", "Python"),
        ("[images]\nprompt = a fox\n", "INI"),
        ("# Title\n\na fox\n```python\nprint()\n```\n", "code fence"),
        ('{"prompt": "a fox"}\n{"prompt": "a wolf"}\n', "JSON"),
        ("PK\3\4abc", "zip"),
        ("GIF89a", "GIF"),
    ],
)
def test_a_document_is_refused_once_and_nothing_is_sent(content: str, kind: str, reve: Reve, live: Sandbox) -> None:
    for name in ("list.txt", "list.prompts", "list", "-"):
        Path("list" if name == "-" else name).write_text(content)
        result = reve("batch", name, stdin=content.encode())
        assert result.code == 2
        first, *more = result.stderr.splitlines()
        assert kind in first
        assert len(more) == 1
    assert posts(live) == 0


@pytest.mark.parametrize("extension", ["md", "py", "ini", "rtf", "html", "pdf", "yaml", "log"])
def test_other_extensions_need_a_format(extension: str, reve: Reve, live: Sandbox) -> None:
    name = f"list.{extension}"
    Path(name).write_text("a fox\n")
    result = reve("batch", name)
    assert (result.code, posts(live)) == (2, 0)
    assert "--format text reads every line as a prompt" in result.stderr
    assert reve("batch", name, "--format", "text", "--out", "pics").code == 0
    assert posts(live) == 1


def test_format_text_reads_a_document_line_by_line() -> None:
    items, bad, _ = read(b"---\n[a]\n```\n{}\n", "x.yaml", format="text")
    assert bad == []
    assert len(items) == 4


def test_a_byte_order_mark_is_in_no_prompt(reve: Reve, live: Sandbox) -> None:
    shutil.copy(FILES / "joined.txt", "joined.txt")
    assert reve("batch", "joined.txt", "--out", "pics").code == 0
    assert sorted(job.body["prompt"] for job in live.jobs()) == ["a fox", "a wolf"]


# Bullets, numbers and quotation marks


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("- a fox", "a fox"), ("* a fox", "a fox"), ("• a fox", "a fox"), ("12. a fox", "a fox"), ("3) a fox", "a fox"),
        ("(3) a fox", "a fox"), ("- [x] a fox", "a fox"), ('"a fox"', "a fox"), ("'a fox',", "a fox"),
        ("“a fox”", "a fox"), ("«a fox»", "a fox"), ('1. "a fox"', "a fox"), ("a fox", "a fox"), ("-a fox", "-a fox"),
        ("3 foxes", "3 foxes"), ('"a" and "b"', '"a" and "b"'), ("16:9 fox", "16:9 fox"), ("1.5 foxes", "1.5 foxes"),
        ("- ", "-"), ('""', '""'),
    ],
)  # fmt: skip
def test_strip_removes_what_is_around_a_prompt(line: str, bare: str) -> None:
    items, bad, source = read(line.encode(), "-", strip=True)
    assert bad == []
    assert [item.request.prompt for item in items] == [bare]
    assert source.seen.decorated == (line.strip() != bare)


def test_without_strip_a_warning_has_the_number_of_such_lines(reve: Reve, live: Sandbox) -> None:
    text = b'- a fox\n2. a wolf\n"a bear"\nan owl\n'
    result = reve("batch", "-", "--dry-run", stdin=text)
    assert "warning: 3 lines have a bullet, a number or quotation marks around the prompt" in result.stderr
    stripped = reve("batch", "-", "--strip", "--out", "pics", stdin=text)
    assert (stripped.code, "warning" in stripped.stderr) == (0, False)
    assert sorted(job.body["prompt"] for job in live.jobs()) == ["a bear", "a fox", "a wolf", "an owl"]


# Options


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("prompt", "is not FIELD=NAME"),
        ("=x", "is not FIELD=NAME"),
        ("prompts=x", "is not FIELD=NAME"),
        ("prompt=", "is not FIELD=NAME"),
        ("seed=sed", "no such column; columns: prompt"),
    ],
)
def test_an_invalid_column_option_is_refused(option: str, why: str, reve: Reve, live: Sandbox) -> None:
    for kind, text in (("csv", "prompt\na fox\n"), ("jsonl", '{"prompt": "a fox"}\n')):
        result = reve("batch", "-", "--format", kind, "--column", option, stdin=text.encode())
        assert (result.code, posts(live)) == (2, 0)
        assert why in result.stderr


def test_columns_are_named_in_any_spelling() -> None:
    items, bad, _ = read(b"TEXT;Nr\na fox;4\n", "a.csv", columns=["prompt=text", "SEED=nr"])
    assert bad == []
    assert [(item.request.prompt, item.request.seed) for item in items] == [("a fox", 4)]


@pytest.mark.parametrize("name", ["rot13", "hex", "unicode_escape", "nope", ""])
def test_an_encoding_that_is_not_one_of_text_is_refused(name: str, reve: Reve) -> None:
    result = reve("batch", "-", "--encoding", name, stdin=b"a fox")
    assert result.code == 2
    assert result.stderr.startswith("error: --encoding")


@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_without_the_extra_the_error_says_how_to_install_it(kind: str, reve: Reve) -> None:
    Path("python_calamine.py").write_text("raise ImportError")
    Path(f"a.{kind}").write_bytes((FILES / "excel.xlsx").read_bytes())
    result = reve.child("batch", f"a.{kind}", "--dry-run", env={"PYTHONPATH": "."})
    assert result.code == 2
    assert result.stderr.endswith("hint: pip install 'reve-cli[sheets]'\n")


def test_a_broken_spreadsheet_is_refused_in_one_line() -> None:
    for raw in (b"", b"PK\3\4", b"a fox", (FILES / "excel.xlsx").read_bytes()[:1500]):
        _, bad, _ = read(raw, "a.xlsx")
        assert [line for line, _ in bad] == [1]
        assert "not a spreadsheet that can be read" in bad[0][1]


@pytest.mark.parametrize("head", ["prompt\n", "prompt,seed\n"])
def test_a_cell_of_ten_megabytes_is_refused_in_one_line(head: str) -> None:
    for cell in ("x" * 10_000_000, '"' + "x\n" * 5_000_000 + '"'):
        _, bad, _ = read(f"{head}a fox\n{cell}\n".encode(), "a.csv")
        assert len(bad) == 1
        assert "is longer than" in bad[0][1]


# JSON arrays


def test_an_array_may_be_of_any_layout() -> None:
    found = [{"prompt": f"fox {number}", "seed": number, "note": {"a": [1, "]"]}} for number in range(3000)]
    for text in (json.dumps(found), json.dumps(found, indent=2), json.dumps(found, indent=2).replace("\n", "\r\n")):
        items, bad, _ = read(text.encode(), "a.json")
        assert bad == []
        assert [item.request.seed for item in items] == list(range(3000))
        assert items[7].columns == {"note": {"a": [1, "]"]}}
    assert read(b"[]", "a.json")[:2] == ([], [])


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ('["a fox",\n 7,\n "a wolf"]', 2, "element 2: neither an object nor a string"),
        ('[{"prompt": "a", "seed": "x"}]', 1, "element 1: seed 'x'"),
        ('["a fox",\n"a wolf"', 2, "invalid JSON: expected , or ]"),
        ('["a fox"\n"a wolf"]', 2, "invalid JSON: expected , or ]"),
        ('["a fox",]', 1, "invalid JSON: Expecting value"),
        ('["a fox"] x', 1, "invalid JSON: text after the end of the array"),
        ('"a fox"', 1, "not a JSON array of objects or strings"),
        ('["' + "x" * 3_000_000 + '"]', 1, "an element is longer than"),
        ('[{"prompt": "a", "prompt": "b"}]', 1, "invalid JSON: duplicate key"),
        ('{"prompt":\n"a fox"}', 1, "a JSON object, not an array"),
    ],
)
def test_a_fault_in_an_array_is_named_once(text: str, line: int, why: str) -> None:
    _, bad, _ = read(text.encode(), "a.json")
    assert [number for number, _ in bad] == [line]
    assert bad[0][1].startswith(why)


# Any table

PROMPTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\r"), min_size=1, max_size=20)
CELLS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
SPELLINGS = st.sampled_from(["prompt", "PROMPT", "Prompt", " prompt "])


@given(
    rows=st.lists(st.tuples(PROMPTS, st.none() | st.integers(0, 99), CELLS), min_size=1, max_size=5),
    prompt=SPELLINGS,
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030", "utf-16-be"]),
)
def test_a_table_that_python_writes_gives_the_same_items_in_any_dialect_and_encoding(
    rows: list[tuple[str, int | None, str]], prompt: str, delimiter: str, quoting: Any, ends: str, encoding: str
) -> None:
    rows = [row for row in rows if row[0].strip() and not row[0].startswith("#") and not problem(row[0], in_batch=True)]
    text = io.StringIO(newline="")
    if ends == "\r":  # such a writer leaves line feeds unquoted
        rows = [(row[0].replace("\n", " "), *row[1:]) for row in rows]
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=ends)
    writer.writerow(["note", prompt, "Seed"])
    writer.writerows((note, what, seed) for what, seed, note in rows)
    items, bad, _ = read(text.getvalue().encode(encoding), "a.csv", encoding=encoding)
    assert bad == []
    found = [(item.request.prompt, item.request.seed, item.columns) for item in items]
    assert found == [(normal_prompt(what), seed, {"note": note}) for what, seed, note in rows]
