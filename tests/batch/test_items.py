"""Reading the file of a batch: each format, and the report of every invalid line."""

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.batch.items import Item, Multiples, Source, rate_of, read_items, run_name, shard_of
from reve_cli.core.contract import PROMPT_LIMIT, SEED_LIMIT
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, normal_prompt
from reve_cli.inputs.foreign import problem
from reve_cli.tables.formats import PROMPTS, format_of

FORMATS = ("text", "csv", "jsonl")
NUL = "it contains a NUL character; for UTF-16 without a byte-order mark, use --encoding utf-16-le"

DEFAULTS = ImageRequest(prompt="any", aspect_ratio="3:2", seed=5)


@dataclass
class Read:
    items: list[Item]
    bad: list[tuple[int, str]]

    @property
    def prompts(self) -> list[str]:
        assert self.bad == []
        return [item.request.prompt for item in self.items]

    @property
    def bad_lines(self) -> list[int]:
        return [line for line, _ in self.bad]


def read(
    content: str | bytes, kind: str = "text", defaults: ImageRequest = DEFAULTS, multiples: Multiples | None = None
) -> Read:
    raw = content.encode() if isinstance(content, str) else content
    bad: list[tuple[int, str]] = []
    source = Source.of("-", format=None if kind == PROMPTS else kind)
    reading = read_items(
        io.BytesIO(raw), source, defaults, multiples or Multiples(), lambda line, why: bad.append((line, why))
    )
    items = list(reading)
    return Read(items, bad)


def asked(item: Item) -> tuple[str, int | None, str | None, str | None, str | None]:
    request = item.request
    return request.prompt, request.seed, request.aspect_ratio, request.version, item.out


# Text


def test_text_has_one_prompt_per_line_and_takes_the_rest_from_the_options() -> None:
    found = read("a red fox\n\n  \na blue fox, 7\r\n{not json}")
    assert found.prompts == ["a red fox", "a blue fox, 7", "{not json}"]
    assert [item.line for item in found.items] == [1, 4, 5]
    assert asked(found.items[0]) == ("a red fox", 5, "3:2", None, None)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_byte_order_mark_and_line_endings_are_removed(kind: str, ends: str) -> None:
    lines = {"text": ["fox"], "csv": ["prompt", "fox"], "jsonl": ['{"prompt": "fox"}']}[kind]
    assert read(b"\xef\xbb\xbf" + ends.join([*lines, ""]).encode(), kind).prompts == ["fox"]


@pytest.mark.parametrize(
    ("kind", "content", "lines"),
    [
        ("text", b"fox\n\xff\xfeo\nwolf\n", [2]),
        ("csv", b"prompt\nfox\n\xe9\nwolf\n", [3]),
        ("jsonl", b'{"prompt": "fox"}\n{"prompt": "\xe9"}\n', [2]),
    ],
)
def test_a_line_that_is_not_utf_8_is_reported_with_its_number(kind: str, content: bytes, lines: list[int]) -> None:
    found = read(content, kind)
    assert found.bad_lines == lines
    assert "UTF-8" in found.bad[0][1]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_line_that_is_too_long_is_reported(kind: str) -> None:
    start = {"text": "", "csv": "prompt\n", "jsonl": ""}[kind]
    found = read(f"{start}{'x' * 10_000_000}\n", kind)
    assert found.items == []
    assert found.bad_lines == [1 + start.count("\n")]


def test_lines_after_a_line_that_is_too_long_keep_their_numbers() -> None:
    for ends in ("\n", "\r\n", "\r"):
        found = read(ends.join(["fox", "x" * 3_000_000, "wolf", "y" * (PROMPT_LIMIT + 1), "bear"]))
        assert [item.line for item in found.items] == [1, 3, 5]
        assert found.bad_lines == [2, 4]


# CSV


def test_a_csv_header_names_fields_in_any_order_and_case() -> None:
    found = read("Seed,out,PROMPT,aspect_ratio,version\n7,a/b.png,a fox,1:1,v2\n,,a wolf\n", "csv")
    assert found.bad == []
    assert [asked(item) for item in found.items] == [
        ("a fox", 7, "1:1", "v2", "a/b.png"),
        ("a wolf", 5, "3:2", None, None),
    ]


def test_a_csv_cell_may_contain_commas_quotes_and_line_ends_and_a_row_has_the_number_of_its_first_line() -> None:
    found = read('prompt,seed\r\n"a fox,\r\na ""wolf""",1\r\n\r\na bear, 2\r\n', "csv")
    assert found.prompts == ['a fox,\na "wolf"', "a bear"]
    assert [item.line for item in found.items] == [2, 5]
    assert [item.request.seed for item in found.items] == [1, 2]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("prompt,sede", "column 'sede': did you mean seed?"),
        ("Prompts,id", "column 'Prompts': did you mean prompt? To keep it as data: --column input=Prompts"),
        ("prompt,aspect", "column 'aspect': did you mean aspectRatio?"),
        ("prompt,negative_prompt", "column 'negative_prompt': Reve has no negative prompts"),
        ("a fox", "no prompt column; columns: a fox; name it with --column prompt=NAME"),
        (
            "id,Image Caption,caption",
            "no prompt column; columns: id, Image Caption, caption; name it with --column prompt=caption",
        ),
        ("prompt,Prompt", "two columns are prompt"),
        ("aspect_ratio,prompt,aspectRatio", "two columns are aspectRatio"),
        ("seed,out", "no prompt column"),
    ],
)
def test_an_invalid_header_is_reported_once(header: str, why: str) -> None:
    found = read(f"\n{header}\n" + "a,b,c\n" * 30, "csv")
    assert found.bad_lines == [2]
    assert why in found.bad[0][1]


def test_every_invalid_row_is_reported() -> None:
    rows = ["a,1", "b,2,3", ",4", "c,x", '"d"e,1', "f,1.5", "g,9", '"h', "i,1"]
    found = read("\n".join(["prompt,seed", *rows]), "csv")
    assert [item.request.prompt for item in found.items] == ["a", "g"]
    assert found.bad_lines == [3, 4, 5, 6, 7, 9]
    assert [why.partition(":")[0] for _, why in found.bad] == [
        "3 cells, but the header has 2",
        "no prompt",
        f"seed 'x' is not a whole number from -{SEED_LIMIT} to {SEED_LIMIT}, or random",
        "invalid CSV",
        f"seed '1.5' is not a whole number from -{SEED_LIMIT} to {SEED_LIMIT}, or random",
        "invalid CSV",
    ]


# JSON Lines


def test_json_lines_name_their_fields_and_null_means_no_value() -> None:
    lines = [
        {"prompt": "a fox", "seed": -7, "aspectRatio": "1:1", "version": "v2", "out": "{seed}.png"},
        {"prompt": "a wolf", "seed": None, "aspect_ratio": "9:16", "out": None},
        {"prompt": "a bear", "seed": "12"},
    ]
    found = read("\n".join(map(json.dumps, lines)), "jsonl")
    assert found.bad == []
    assert [asked(item) for item in found.items] == [
        ("a fox", -7, "1:1", "v2", "{seed}.png"),
        ("a wolf", 5, "9:16", None, None),
        ("a bear", 12, "3:2", None, None),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "invalid JSON"),
        ("[]", "not a JSON object"),
        ('"a fox"', "not a JSON object"),
        ("NaN", "not a JSON object"),
        ("[" * 100_000, "invalid JSON: nested too deeply"),
        ('{"prompt": "x", "seed": ' + "1" * 5000 + "}", "invalid JSON: nested too deeply, or a number is too long"),
        ('{"prompt": "x", "prompt": "y"}', "invalid JSON: duplicate key"),
        ("{}", "no prompt"),
        ('{"prompt": null}', "no prompt"),
        ('{"prompt": ""}', "the prompt is empty"),
        ('{"prompt": ["x"]}', "prompt must be text"),
        ('{"prompt": "\\ud800"}', "the prompt and the model version must be valid UTF-8 text"),
        ('{"prompt": "x", "aspectRatio": "7:3"}', "aspectRatio '7:3' is not one of 16:9"),
        ('{"prompt": "x", "aspectRatio": ""}', "aspectRatio '' is not one of 16:9"),
        ('{"prompt": "x", "version": " "}', "version is empty"),
        ('{"prompt": "x", "seed": NaN}', "seed must be a whole number"),
        ('{"prompt": "x", "seed": 1.5}', "seed must be a whole number"),
        ('{"prompt": "x", "seed": -1}', "seed -1 means a random seed in other tools; use random, or leave it out"),
        ('{"prompt": "x", "seed": "-1.0"}', "seed -1 means a random seed in other tools"),
        ('{"prompt": "x", "seed": true}', "seed must be a whole number"),
        (f'{{"prompt": "x", "seed": {SEED_LIMIT + 1}}}', f"seed '{SEED_LIMIT + 1}' is not a whole number from"),
        ('{"prompt": "x", "seed": 1' + "0" * 30 + "}", "seed '1000"),
    ],
)
def test_an_invalid_line_is_reported_with_the_reason(line: str, why: str) -> None:
    found = read(f'{line}\n{{"prompt": "a fox"}}\n', "jsonl")
    assert found.bad_lines == [1]
    assert found.bad[0][1].startswith(why)
    assert [item.request.prompt for item in found.items] == ["a fox"]


@pytest.mark.parametrize(
    "out", ["a.png", "a/b/{seed}-{slug}.{ext}", "{job}.{ext}", "...png", "a{{}}.png", "-", "ü.png"]
)
def test_out_is_a_path_inside_the_output_folder(out: str) -> None:
    (item,) = read(json.dumps({"prompt": "x", "out": out}), "jsonl").items
    assert item.out == out


@pytest.mark.parametrize(
    "out",
    ["", ".", "..", "../a.png", "a/../../b.png", "/etc/a.png", "a/", "a//b", "a/.", "..\\a.png", "a\\..\\b", "a\0b.png",
     "a\nb.png", "a\u202eb.png", "{nope}.png", "{", "{seed!r}.png"],
)  # fmt: skip
def test_an_out_that_leaves_the_folder_or_cannot_be_a_file_is_refused(out: str) -> None:
    found = read(json.dumps({"prompt": "x", "out": out}), "jsonl")
    assert found.items == []
    assert found.bad[0][1].startswith("out")
    assert found.bad[0][1].isprintable()


# Manifests


MANIFEST = {
    "run": "r", "item": "i1", "line": 3, "ordinal": 1, "attempt": 2, "out": None, "prompt": "a fox", "seed": None,
    "aspectRatio": None, "version": None, "request": {"prompt": "a fox", "model": "other-model"}, "jobId": "j",
    "error": {"code": "x"},
}  # fmt: skip


def manifest(*lines: dict[str, object]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_a_manifest_makes_the_same_requests_whatever_the_options_are() -> None:
    begun: dict[str, object] = {"run": "r", "item": None, "begunAt": None}
    found = read(manifest(begun, MANIFEST, {**MANIFEST, "item": "i2", "seed": 3, "out": "x.png"}), "jsonl")
    assert found.bad == []
    assert [item.line for item in found.items] == [2, 3]
    assert found.items[0].request == ImageRequest("a fox", "other-model")
    assert asked(found.items[1]) == ("a fox", 3, None, None, "x.png")
    assert found.items[0].source != found.items[1].source


# Multiples


def test_seeds_and_ratios_are_combined() -> None:
    multiples = Multiples.of("1-2, 9", "1:1, 16:9")
    found = read("fox\nwolf\n", multiples=multiples, defaults=ImageRequest("any"))
    assert [(item.request.prompt, item.request.aspect_ratio, item.request.seed) for item in found.items] == [
        (prompt, ratio, seed) for prompt in ("fox", "wolf") for ratio in ("1:1", "16:9") for seed in (1, 2, 9)
    ]


@pytest.mark.parametrize(
    ("seeds", "found"), [("3", [3]), ("-2-1", [-2, -1, 0, 1]), ("-3--2", [-3, -2]), (" 1 , 5-6", [1, 5, 6])]
)
def test_seeds_are_numbers_and_ranges(seeds: str, found: Sequence[int]) -> None:
    assert Multiples.of(seeds, None).seeds == found


@pytest.mark.parametrize(
    ("seeds", "ratios", "why"),
    [
        ("", None, "--seeds '' is not"),
        ("1-", None, "--seeds '1-' is not"),
        ("2-1", None, "--seeds '2-1': 2 is larger than 1"),
        ("1-100001", None, "--seeds '1-100001': more than 100,000 seeds"),
        ("1-100000,100001", None, "--seeds '1-100000,100001': more than 100,000 seeds"),
        (str(SEED_LIMIT + 1), None, "--seeds"),
        ("1-3,2", None, "--seeds contains the same value twice"),
        (None, "", "--ratios: '' is not one of"),
        (None, "1:1,7:3", "--ratios: '7:3' is not one of"),
        (None, "1:1,1:1", "--ratios contains the same value twice"),
    ],
)
def test_invalid_seeds_and_ratios_are_refused_once(seeds: str | None, ratios: str | None, why: str) -> None:
    with pytest.raises(ReveError, match=why):
        Multiples.of(seeds, ratios)


def test_a_line_with_its_own_seed_or_ratio_conflicts_with_seeds_or_ratios() -> None:
    lines = '{"prompt": "a", "seed": 1}\n{"prompt": "b", "aspectRatio": "1:1"}\n{"prompt": "c"}\n'
    found = read(lines, "jsonl", multiples=Multiples.of("1-2", "3:2"))
    assert found.bad_lines == [1, 2]
    assert len(found.items) == 2


# Options


def test_the_format_is_given_or_comes_from_the_extension() -> None:
    assert [format_of(name, None) for name in ("a.txt", "a.CSV", "a.jsonl", "a.ndjson", "-")] == [
        PROMPTS, "csv", "jsonl", "jsonl", PROMPTS,
    ]  # fmt: skip
    assert [format_of(name, None) for name in ("a.TSV", "a.tab", "a.json", "a.xlsx", "a.ods", "a.prompts", "a")] == [
        "tsv", "tsv", "json", "xlsx", "ods", PROMPTS, PROMPTS,
    ]  # fmt: skip
    assert format_of("a.csv", "text") == "text"
    with pytest.raises(ReveError, match="--format 'xml'"):
        format_of("a", "xml")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "a/b", "-1/2", "1/0", "1 /2", "1/1234567"])
def test_an_invalid_shard_is_refused(text: str) -> None:
    assert shard_of("2/3") == (2, 3)
    with pytest.raises(ReveError, match="--shard"):
        shard_of(text)


@pytest.mark.parametrize("text", ["0", "0/min", "-1", "5/s", "many", "1.5"])
def test_an_invalid_rate_is_refused(text: str) -> None:
    assert (rate_of("300/min"), rate_of("300"), rate_of(None)) == (300.0, 300.0, None)
    with pytest.raises(ReveError, match="--rate"):
        rate_of(text)


def test_a_run_has_a_printable_name_and_shards_need_one() -> None:
    assert run_name("nightly", "1/2", new=False) == "nightly"
    assert run_name(None, None, new=True) is None
    for name, shard, new in ((" ", None, False), ("a\nb", None, False), (None, "1/2", False), ("x", None, True)):
        with pytest.raises(ReveError, match="--run"):
            run_name(name, shard, new=new)


# Any input


@given(st.sampled_from(FORMATS), st.binary(max_size=300))
def test_no_bytes_cause_an_internal_error(kind: str, content: bytes) -> None:
    found = read(content, kind)
    assert all(line >= 1 and why for line, why in found.bad)
    for item in found.items:
        item.request.body().decode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50), min_size=1, max_size=5))
def test_json_lines_keep_every_prompt_but_for_blanks_and_kinds_of_line_ends(prompts: list[str]) -> None:
    found = read("\n".join(json.dumps({"prompt": prompt}) for prompt in prompts), "jsonl")
    assert [item.request.prompt for item in found.items] == [
        normal_prompt(prompt) for prompt in prompts if prompt.strip() and not problem(prompt, in_batch=True)
    ]


# Files that are not lists of prompts


@pytest.mark.parametrize(
    "name",
    ["a.yaml", "a.md", "a.py", "a.ini", "a.html", "a.rtf", "a.pdf", "a.xls", "a.csv.gz", "a.parquet", "a.unknown"],
)
def test_a_file_with_the_extension_of_other_data_needs_a_format(name: str) -> None:
    with pytest.raises(ReveError, match="is not an extension for prompts; name the format with --format"):
        format_of(name, None)
    assert format_of(name, "jsonl") == "jsonl"


@pytest.mark.parametrize("line", ['{"prompt": "fox"}', ' {"a": [1, {}]}\t', "{}"])
def test_a_json_object_is_a_prompt_only_with_format_text(line: str) -> None:
    assert read(line, "text").prompts == [line.strip()]
    found = read(f"{line}\nfox\n", PROMPTS)
    why = "a JSON object is not a prompt; add --format jsonl (--format text reads every line as a prompt)"
    assert found.bad == [(1, why)]


@pytest.mark.parametrize("line", ["[", "{", '[{"prompt": "fox"}]', '[{"prompt": "fox"},', '{"prompt": "fox"},', "[]"])
def test_a_part_of_json_on_several_lines_is_a_prompt_only_with_format_text(line: str) -> None:
    assert read(line, "text").prompts == [line.strip()]
    found = read(line, PROMPTS)
    assert found.items == []
    assert found.bad[0][1].startswith("JSON is not a prompt; ")


@pytest.mark.parametrize("line", ["{a fox}", "[fox] in the snow", "{red|blue} fox", '"a fox"', "fox {", "7"])
def test_other_brackets_are_text(line: str) -> None:
    assert read(line, PROMPTS).prompts == [line]


@pytest.mark.parametrize("kind", [*FORMATS, PROMPTS])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "gzip"])
def test_a_file_in_another_encoding_is_reported_once(kind: str, encoding: str) -> None:
    text = "prompt\n" + "a fox\n" * 100
    raw = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    found = read(raw, kind)
    assert (found.items, found.bad_lines) == ([], [1])
    why = "this is a gzip file (unpack it first), not text" if encoding == "gzip" else NUL
    assert found.bad[0][1] == why


@pytest.mark.parametrize(
    ("kind", "content", "lines"),
    [
        ("text", b"fox\nf\0x\nwolf\n", [2]),
        ("csv", b"prompt\nfox\nf\0x\nwolf\n", [3]),
        ("jsonl", b'{"prompt": "fox"}\n{"prompt": "f\0x"}\n', [2]),
    ],
)
def test_a_line_with_a_nul_character_is_invalid(kind: str, content: bytes, lines: list[int]) -> None:
    found = read(content, kind)
    assert found.bad == [(line, NUL) for line in lines]


# Input quoted in errors


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        ("3-1", "'3-1': 3 is larger than 1"),
        ("1-100001", "'1-100001': more than 100,000 seeds"),
        (str(SEED_LIMIT + 1), f"a seed must be from -{SEED_LIMIT} to {SEED_LIMIT}"),
        (f"1-{'9' * 5000}", f"a seed must be from -{SEED_LIMIT} to {SEED_LIMIT}"),
    ],
)
def test_the_error_for_invalid_seeds_names_the_cause(seeds: str, why: str) -> None:
    with pytest.raises(ReveError) as caught:
        Multiples.of(seeds, None)
    assert caught.value.message.endswith(why)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("field", ["seed", "aspectRatio", "out"])
def test_a_long_value_is_cut_in_the_error(field: str) -> None:
    value = "{" * 50_001 if field == "out" else "9" * 50_000
    found = read(json.dumps({"prompt": "fox", field: value}), "jsonl")
    assert found.bad_lines == [1]
    assert len(found.bad[0][1]) <= 300
