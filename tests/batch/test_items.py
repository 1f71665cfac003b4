"""The file of a batch: what each format is read as, and that every bad line is named."""

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.batch.items import FORMATS, PROMPTS, Item, Multiples, format_of, rate_of, read_items, run_name, shard_of
from reve_cli.core.contract import PROMPT_LIMIT, SEED_LIMIT
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest

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
    file = io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", "surrogateescape", newline="")
    items = list(read_items(file, kind, defaults, multiples or Multiples(), lambda line, why: bad.append((line, why))))
    return Read(items, bad)


def asked(item: Item) -> tuple[str, int | None, str | None, str | None, str | None]:
    request = item.request
    return request.prompt, request.seed, request.aspect_ratio, request.version, item.out


# Text


def test_text_is_a_prompt_a_line_with_the_defaults_of_the_command() -> None:
    found = read("a red fox\n\n  \na blue fox, 7\r\n{not json}")
    assert found.prompts == ["a red fox", "a blue fox, 7", "{not json}"]
    assert [item.line for item in found.items] == [1, 4, 5]
    assert asked(found.items[0]) == ("a red fox", 5, "3:2", None, None)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_byte_order_mark_and_either_line_end_are_not_part_of_anything(kind: str, ends: str) -> None:
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
def test_what_is_not_utf_8_is_named_by_its_line(kind: str, content: bytes, lines: list[int]) -> None:
    found = read(content, kind)
    assert found.bad_lines == lines
    assert "UTF-8" in found.bad[0][1]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_line_without_end_is_named_and_not_held(kind: str) -> None:
    start = {"text": "", "csv": "prompt\n", "jsonl": ""}[kind]
    found = read(f"{start}{'x' * 10_000_000}\n", kind)
    assert found.items == []
    assert found.bad_lines == [1 + start.count("\n")]


def test_what_follows_a_line_that_is_too_long_has_its_own_number() -> None:
    for ends in ("\n", "\r\n", "\r"):
        found = read(ends.join(["fox", "x" * 3_000_000, "wolf", "y" * (PROMPT_LIMIT + 1), "bear"]))
        assert [item.line for item in found.items] == [1, 3, 5]
        assert found.bad_lines == [2, 4]


# CSV


def test_csv_names_its_fields_in_a_header_in_any_order_and_case() -> None:
    found = read("Seed,out,PROMPT,aspect_ratio,version\n7,a/b.png,a fox,1:1,v2\n,,a wolf\n", "csv")
    assert found.bad == []
    assert [asked(item) for item in found.items] == [
        ("a fox", 7, "1:1", "v2", "a/b.png"),
        ("a wolf", 5, "3:2", None, None),
    ]


def test_a_cell_may_hold_commas_quotes_and_line_ends_and_its_row_has_the_line_it_begins_in() -> None:
    found = read('prompt,seed\r\n"a fox,\r\na ""wolf""",1\r\n\r\na bear, 2\r\n', "csv")
    assert found.prompts == ['a fox,\r\na "wolf"', "a bear"]
    assert [item.line for item in found.items] == [2, 5]
    assert [item.request.seed for item in found.items] == [1, 2]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("prompt,sede", "no field 'sede'"),
        ("a fox", "no field 'a fox'"),
        ("prompt,Prompt", "named twice"),
        ("aspect_ratio,prompt,aspectRatio", "named twice"),
        ("seed,out", "no column is named prompt"),
        ("prompt;seed", "no field 'prompt;seed'"),
    ],
)
def test_a_header_that_is_none_is_told_once(header: str, why: str) -> None:
    found = read(f"\n{header}\na,b,c\n", "csv")
    assert found.bad_lines == [2]
    assert why in found.bad[0][1]


def test_every_bad_row_is_named() -> None:
    rows = ["a,1", "b,2,3", ",4", "c,x", '"d"e,1', "f,1.5", "g,9", '"h', "i,1"]
    found = read("\n".join(["prompt,seed", *rows]), "csv")
    assert [item.request.prompt for item in found.items] == ["a", "g"]
    assert found.bad_lines == [3, 4, 5, 6, 7, 9]
    assert [why.partition(":")[0] for _, why in found.bad] == [
        "it has 3 cells, the header 2",
        "it has no prompt",
        "seed takes a whole number, not 'x'",
        "it is not CSV",
        "seed takes a whole number, not '1.5'",
        "it is not CSV",
    ]


# JSON Lines


def test_json_lines_name_their_fields_and_null_is_none() -> None:
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
        ("{", "it is not JSON"),
        ("[]", "it is no JSON object"),
        ('"a fox"', "it is no JSON object"),
        ("NaN", "it is no JSON object"),
        ("[" * 100_000, "it is not JSON: nested too deeply"),
        ('{"prompt": "x", "seed": ' + "1" * 5000 + "}", "it is not JSON: nested too deeply, or a number too long"),
        ('{"prompt": "x", "prompt": "y"}', "it is not JSON: a name is there twice"),
        ("{}", "it has no prompt"),
        ('{"prompt": null}', "it has no prompt"),
        ('{"prompt": ""}', "the prompt is empty"),
        ('{"prompt": ["x"]}', "prompt must be text"),
        ('{"prompt": "\\ud800"}', "the prompt and the model version must be valid UTF-8 text"),
        ('{"prompt": "x", "model": "y"}', "there is no field 'model'"),
        ('{"prompt": "x", "aspectRatio": "1:1", "aspect_ratio": "1:1"}', "a field is named twice"),
        ('{"prompt": "x", "aspectRatio": "7:3"}', "aspectRatio '7:3' is not one of 16:9"),
        ('{"prompt": "x", "aspectRatio": ""}', "aspectRatio '' is not one of 16:9"),
        ('{"prompt": "x", "version": " "}', "version is empty"),
        ('{"prompt": "x", "seed": NaN}', "seed must be an integer"),
        ('{"prompt": "x", "seed": 1.0}', "seed must be an integer"),
        ('{"prompt": "x", "seed": true}', "seed must be an integer"),
        ('{"prompt": "x", "seed": "random"}', "seed takes a whole number, not 'random'"),
        (
            f'{{"prompt": "x", "seed": {SEED_LIMIT + 1}}}',
            f"seed {SEED_LIMIT + 1} is out of range; use a whole number from",
        ),
        ('{"prompt": "x", "seed": 1' + "0" * 30 + "}", "seed '1000"),
    ],
)
def test_a_line_that_cannot_be_an_item_is_named_with_the_reason(line: str, why: str) -> None:
    found = read(f'{line}\n{{"prompt": "a fox"}}\n', "jsonl")
    assert found.bad_lines == [1]
    assert found.bad[0][1].startswith(why)
    assert "random" not in found.bad[0][1].replace("'random'", "")
    assert [item.request.prompt for item in found.items] == ["a fox"]


@pytest.mark.parametrize(
    "out", ["a.png", "a/b/{seed}-{slug}.{ext}", "{job}.{ext}", "...png", "a{{}}.png", "-", "ü.png"]
)
def test_out_is_a_path_in_the_output_folder(out: str) -> None:
    (item,) = read(json.dumps({"prompt": "x", "out": out}), "jsonl").items
    assert item.out == out


@pytest.mark.parametrize(
    "out",
    ["", ".", "..", "../a.png", "a/../../b.png", "/etc/a.png", "a/", "a//b", "a/.", "..\\a.png", "a\\..\\b", "a\0b.png",
     "a\nb.png", "a\u202eb.png", "{nope}.png", "{", "{seed!r}.png"],
)  # fmt: skip
def test_out_that_leads_elsewhere_or_cannot_be_a_file_is_refused(out: str) -> None:
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


def test_a_manifest_asks_for_the_same_images_whatever_the_options_say() -> None:
    begun: dict[str, object] = {"run": "r", "item": None, "begunAt": None}
    found = read(manifest(begun, MANIFEST, {**MANIFEST, "item": "i2", "seed": 3, "out": "x.png"}), "jsonl")
    assert found.bad == []
    assert [item.line for item in found.items] == [2, 3]
    assert found.items[0].request == ImageRequest("a fox", "other-model")
    assert asked(found.items[1]) == ("a fox", 3, None, None, "x.png")
    assert found.items[0].source != found.items[1].source


# Multiples


def test_seeds_and_ratios_multiply_out() -> None:
    multiples = Multiples.of("1-2, 9", "1:1, 16:9")
    found = read("fox\nwolf\n", multiples=multiples, defaults=ImageRequest("any"))
    assert [(item.request.prompt, item.request.aspect_ratio, item.request.seed) for item in found.items] == [
        (prompt, ratio, seed) for prompt in ("fox", "wolf") for ratio in ("1:1", "16:9") for seed in (1, 2, 9)
    ]


@pytest.mark.parametrize(
    ("seeds", "found"), [("3", [3]), ("-2-1", [-2, -1, 0, 1]), ("-3--2", [-3, -2]), (" 1 , 5-6", [1, 5, 6])]
)
def test_seeds_as_they_are_typed(seeds: str, found: Sequence[int]) -> None:
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
        ("1-3,2", None, "--seeds names one twice"),
        (None, "", "--ratios: '' is not one of"),
        (None, "1:1,7:3", "--ratios: '7:3' is not one of"),
        (None, "1:1,1:1", "--ratios names one twice"),
    ],
)
def test_multiples_that_make_no_sense_are_refused_once_and_not_for_each_line(
    seeds: str | None, ratios: str | None, why: str
) -> None:
    with pytest.raises(ReveError, match=why):
        Multiples.of(seeds, ratios)


def test_a_line_that_chooses_what_is_multiplied_is_named() -> None:
    lines = '{"prompt": "a", "seed": 1}\n{"prompt": "b", "aspectRatio": "1:1"}\n{"prompt": "c"}\n'
    found = read(lines, "jsonl", multiples=Multiples.of("1-2", "3:2"))
    assert found.bad_lines == [1, 2]
    assert len(found.items) == 2


# What options say of a file


def test_the_format_is_what_is_said_or_what_the_name_says() -> None:
    assert [format_of(name, None) for name in ("a.txt", "a.CSV", "a.jsonl", "a.ndjson", "-")] == [
        PROMPTS, "csv", "jsonl", "jsonl", PROMPTS,
    ]  # fmt: skip
    assert format_of("a.csv", "text") == "text"
    with pytest.raises(ReveError, match="--format 'xml'"):
        format_of("a", "xml")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "a/b", "-1/2", "1/0", "1 /2", "1/1234567"])
def test_a_shard_is_one_of_some(text: str) -> None:
    assert shard_of("2/3") == (2, 3)
    with pytest.raises(ReveError, match="--shard"):
        shard_of(text)


@pytest.mark.parametrize("text", ["0", "0/min", "-1", "5/s", "many", "1.5"])
def test_a_rate_is_requests_a_minute(text: str) -> None:
    assert (rate_of("300/min"), rate_of("300"), rate_of(None)) == (300.0, 300.0, None)
    with pytest.raises(ReveError, match="--rate"):
        rate_of(text)


def test_a_runs_name_is_some_text_and_shards_need_one() -> None:
    assert run_name("nightly", "1/2", new=False) == "nightly"
    assert run_name(None, None, new=True) is None
    for name, shard, new in ((" ", None, False), ("a\nb", None, False), (None, "1/2", False), ("x", None, True)):
        with pytest.raises(ReveError, match="--run"):
            run_name(name, shard, new=new)


# Whatever there is


@given(st.sampled_from(FORMATS), st.binary(max_size=300))
def test_no_bytes_are_a_fault_of_ours(kind: str, content: bytes) -> None:
    found = read(content, kind)
    assert all(line >= 1 and why for line, why in found.bad)
    for item in found.items:
        item.request.body().decode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50), min_size=1, max_size=5))
def test_every_prompt_comes_through_json_lines_as_it_is(prompts: list[str]) -> None:
    found = read("\n".join(json.dumps({"prompt": prompt}) for prompt in prompts), "jsonl")
    assert [item.request.prompt for item in found.items] == [prompt for prompt in prompts if prompt.strip()]


# What is no list of prompts


@pytest.mark.parametrize(
    "name", ["list.json", "a.TSV", "a.yaml", "a.yml", "a.xlsx", "a.xls", "a.ods", "a.csv.gz", "a.zip", "a.parquet"]
)
def test_a_file_that_is_other_data_by_its_name_is_not_taken_for_prompts(name: str) -> None:
    with pytest.raises(ReveError, match=r"--format text\|csv\|jsonl") as caught:
        format_of(name, None)
    assert (caught.value.hint is None) == (name != "list.json")
    assert format_of(name, "jsonl") == "jsonl"


def test_a_json_file_is_told_with_the_command_that_converts_it() -> None:
    with pytest.raises(ReveError) as caught:
        format_of("my list.json", None)
    assert caught.value.hint == "jq -c '.[]' 'my list.json' | reve batch - --format jsonl"


@pytest.mark.parametrize("line", ['{"prompt": "fox"}', ' {"a": [1, {}]}\t', "{}"])
def test_a_json_object_is_a_prompt_only_where_somebody_says_so(line: str) -> None:
    assert read(line, "text").prompts == [line]
    found = read(f"{line}\nfox\n", PROMPTS)
    why = "it is a JSON object: --format jsonl reads such lines, --format text takes them as prompts"
    assert found.bad == [(1, why)]
    assert [item.request.prompt for item in found.items] == ["fox"]


@pytest.mark.parametrize("line", ["[", "{", '[{"prompt": "fox"}]', '[{"prompt": "fox"},', '{"prompt": "fox"},', "[]"])
def test_nor_is_a_part_of_json_on_several_lines(line: str) -> None:
    assert read(line, "text").prompts == [line]
    found = read(line, PROMPTS)
    assert found.items == []
    assert found.bad[0][1].startswith("it looks like JSON: ")


@pytest.mark.parametrize("line", ["{a fox}", "[fox] in the snow", "{red|blue} fox", '"a fox"', "fox {", "7"])
def test_other_brackets_are_just_text(line: str) -> None:
    assert read(line, PROMPTS).prompts == [line]


@pytest.mark.parametrize("kind", [*FORMATS, PROMPTS])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "gzip"])
def test_a_file_of_another_encoding_is_told_once(kind: str, encoding: str) -> None:
    text = "prompt\n" + "a fox\n" * 100
    raw = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    found = read(raw, kind)
    assert (found.items, found.bad_lines) == ([], [1])
    why = "it has a NUL character: is the file UTF-8?" if encoding == "utf-16-be" else "the file is not UTF-8 text"
    assert found.bad[0][1].startswith(why)


@pytest.mark.parametrize(
    ("kind", "content", "lines"),
    [
        ("text", b"fox\nf\0x\nwolf\n", [2]),
        ("csv", b"prompt\nfox\nf\0x\nwolf\n", [3]),
        ("jsonl", b'{"prompt": "fox"}\n{"prompt": "f\0x"}\n', [2]),
    ],
)
def test_a_nul_character_in_a_file_is_no_part_of_a_prompt(kind: str, content: bytes, lines: list[int]) -> None:
    found = read(content, kind)
    assert found.bad == [(line, "it has a NUL character: is the file UTF-8?") for line in lines]


# What is said again


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        ("3-1", "'3-1': 3 is larger than 1"),
        ("1-100001", "'1-100001': more than 100,000 seeds"),
        (str(SEED_LIMIT + 1), f"a seed must be from -{SEED_LIMIT} to {SEED_LIMIT}"),
        (f"1-{'9' * 5000}", f"a seed must be from -{SEED_LIMIT} to {SEED_LIMIT}"),
    ],
)
def test_seeds_that_cannot_be_are_told_with_what_is_wrong(seeds: str, why: str) -> None:
    with pytest.raises(ReveError) as caught:
        Multiples.of(seeds, None)
    assert caught.value.message.endswith(why)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("field", ["seed", "aspectRatio", "out", "x" * 50_000])
def test_what_is_said_again_of_a_line_is_cut(field: str) -> None:
    value = "{" * 50_001 if field == "out" else "9" * 50_000
    found = read(json.dumps({"prompt": "fox", field: value}), "jsonl")
    assert found.bad_lines == [1]
    assert len(found.bad[0][1]) <= 300
