"""Topics: Markdown files with tables from the program, shown as text, in the manual page and on the web."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import reve_cli
from reve_cli.commands.root import tree
from reve_cli.core.errors import EXIT_CODES, ReveError
from reve_cli.core.tasks import Task
from reve_cli.core.templates import FIELDS
from reve_cli.help import tables
from reve_cli.help.documents import ERROR_FIELDS, JOB_FIELDS
from reve_cli.help.manual import commands_in_groups
from reve_cli.help.markdown import parse
from reve_cli.help.pages import Code, Items, plain, roff
from reve_cli.help.tables import TABLES, Table, filled
from reve_cli.help.topics import TOPICS, about, read
from reve_cli.journal.states import CLOSED, OPEN
from reve_cli.sandbox import ALL_FAULTS
from reve_cli.sandbox.catalog import FAULTS, OUTCOMES, WEBHOOKS
from reve_cli.settings.settings import SETTINGS
from tests.conftest import Reve
from tests.support import session

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "reve_cli" / "help" / "topics"
README = ROOT / "README.md"
PAGES = [README, *sorted(FOLDER.glob("*.md"))]


def text_of(reve: Reve, topic: str) -> str:
    """A topic without its line breaks."""
    return " ".join(reve("help", topic).out.split())


# Files


def test_every_topic_is_a_file_and_every_file_a_topic() -> None:
    assert sorted(TOPICS) == [path.stem for path in PAGES[1:]]


def _commands() -> Table:
    groups = commands_in_groups(tree()).values()
    return [("command", "purpose"), *((f"reve {name}", text) for rows in groups for name, text in rows)]


def _topics() -> Table:
    links = [(f"[{name}](reve_cli/help/topics/{name}.md)", about(name)) for name in TOPICS]
    return [("topic", "content"), *links]


OF_THE_README: Mapping[str, Callable[[], Table]] = {"commands": _commands, "topics": _topics}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_tables_are_those_of_the_program(path: Path, request: pytest.FixtureRequest) -> None:
    """With `--golden`, writes them."""
    text = path.read_text()
    wanted = filled(text, {**TABLES, **OF_THE_README})
    if request.config.getoption("--golden"):
        path.write_text(wanted)
    assert path.read_text() == wanted


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_to_files(path: Path) -> None:
    for address in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        assert address.startswith("https:") or (path.parent / address).is_file(), address


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 250


@pytest.mark.skipif(os.name == "nt" or not shutil.which("jq"), reason="needs a pseudo-terminal and jq")
def test_the_picture_in_the_readme_is_a_session_with_this_version(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With `--golden`, draws it anew if its words have changed."""
    text = session.session(tmp_path, 0)
    if request.config.getoption("--golden") and _words_of_picture() != session.constant(text):
        session.PICTURE.write_text(session.draw(text), encoding="utf-8")
    assert _words_of_picture() == session.constant(text)


def _words_of_picture() -> str:
    return session.constant(session.text_of(session.PICTURE.read_text(encoding="utf-8")).removeprefix("reve"))


def test_the_picture_is_small_and_loads_and_reveals_nothing() -> None:
    svg = session.PICTURE.read_text(encoding="utf-8")
    assert len(svg) < 60_000
    assert re.findall(r"https?://[^\"]*|url\((?!#)", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"/(?:tmp|home|root|Users|var)\b", svg)


# In the terminal


def test_without_a_word_the_topics_are_listed_a_line_each(reve: Reve) -> None:
    result = reve("help")
    assert (result.code, result.stderr) == (0, "")
    for topic in TOPICS:
        assert re.search(rf"^  {topic} +{re.escape(about(topic))}$", result.out, re.MULTILINE)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_plain_text_of_80_columns(reve: Reve, topic: str) -> None:
    result = reve("help", topic)
    assert (result.code, result.stderr) == (0, "")
    assert about(topic) in result.out
    assert [line for line in result.out.splitlines() if len(line) > 80] == []
    assert result.out.isascii()
    assert result.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_shows_all_words_of_its_file(topic: str) -> None:
    unseen = r"<!--.*?-->|^\|.*\n\| ?---.*$|^```\w*$|^#+ |\]\(.*?\)|\\(?=[*<|\[\]])"
    words = re.findall(r"\w+", re.sub(unseen, " ", _text(topic), flags=re.MULTILINE))
    shown = re.findall(r"\w+", f"{read(topic).title} {plain(read(topic).sections)}")
    assert set(words) <= set(shown)


def _text(topic: str) -> str:
    return (FOLDER / f"{topic}.md").read_text()


def test_every_exit_code_and_every_error_code_is_listed(reve: Reve) -> None:
    text = text_of(reve, "exit-codes")
    assert tables.MEANINGS.keys() == {*EXIT_CODES.values(), 0, 129, 143}
    for code, meaning in tables.MEANINGS.items():
        assert f"{code} {meaning}" in text
    for name, code in EXIT_CODES.items():
        assert re.search(rf"\b{code} [^.]+\.(?: [^.]+\.)? error.code: [a-z_, ]*\b{name}\b", text), name


def test_every_variable_is_listed(reve: Reve) -> None:
    text = text_of(reve, "environment")
    for name in [*tables.VARIABLES, *(setting.variable for setting in SETTINGS.values())]:
        assert f" {name} " in text


def test_every_setting_is_listed_with_its_default_and_its_variable(reve: Reve) -> None:
    text = text_of(reve, "configuration")
    for setting in SETTINGS.values():
        assert re.search(rf" {setting.name} [^.]*?{re.escape(setting.about[:20])}.*?variable: {setting.variable}", text)
    assert "default: reve-create" in text


_OF_THE_SYSTEM = (
    "TMUX",
    "COLORTERM",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "TERM_PROGRAM",
    "TERM_FEATURES",
    "WT_SESSION",
    "ConEmuANSI",
    "TERM",
    "SHELL",
    "ZDOTDIR",
    "XDG_DATA_HOME",
)


def test_every_variable_of_the_program_is_in_a_list() -> None:
    known = {*tables.VARIABLES, *(setting.variable for setting in SETTINGS.values()), *_OF_THE_SYSTEM}
    for path in Path(reve_cli.__file__).parent.rglob("*.py"):
        source = path.read_text()
        asked = set(re.findall(r"environ(?:\.get\(|\[)\s*\"([A-Z]\w+)\"", source))
        ours = set(re.findall(r"\"((?:REVE|APIFRAME)_[A-Z_]+)\"", source))
        assert asked | ours <= known, path


def test_every_field_and_every_state_of_json_is_listed(reve: Reve) -> None:
    text = text_of(reve, "json")
    job, error = Task(0, "done").document(False), ReveError("internal", "").document()
    assert (list(job), list(error)) == (list(JOB_FIELDS), list(ERROR_FIELDS))
    assert list(tables.STATES) == [*OPEN, *CLOSED]
    meanings = {name: field.about for name, field in {**JOB_FIELDS, **ERROR_FIELDS}.items()}
    for name, meaning in (meanings | tables.STATES).items():
        assert f"{name} {meaning}" in text


def test_every_field_of_every_golden_document_is_in_the_json_topic() -> None:
    documents = (ROOT / "tests" / "golden" / "documents.txt").read_text()
    for name in re.findall(r"^  \"(\w+)\":", documents, re.MULTILINE):
        assert f"`{name}`" in _text("json"), name


def test_every_field_of_a_template_is_listed(reve: Reve) -> None:
    text = text_of(reve, "templates")
    assert list(tables.PLACES) == list(FIELDS)
    for name in FIELDS:
        assert f"{{{name}}} {tables.PLACES[name]}" in text


def test_every_fault_is_listed(reve: Reve) -> None:
    text = text_of(reve, "faults")
    known = {
        what for place, _, what in (fault.partition(":") for fault in ALL_FAULTS) if place not in ("outcome", "webhook")
    }
    others = {what for what in known if re.fullmatch(r"\d{3}|html-\d{3}", what)}
    assert known - others <= FAULTS.keys() <= known
    assert OUTCOMES.keys() == {fault.partition(":")[2] for fault in ALL_FAULTS if fault.startswith("outcome:")}
    assert WEBHOOKS.keys() == {fault.partition(":")[2] for fault in ALL_FAULTS if fault.startswith("webhook:")}
    for what, meaning in [*FAULTS.items(), *OUTCOMES.items(), *WEBHOOKS.items()]:
        assert f"{what} {meaning}" in text
    for place in {fault.partition(":")[0] for fault in ALL_FAULTS}:
        assert re.search(rf"\b{place}\b", text)


def test_a_reader_that_leaves_early_is_no_error(reve: Reve) -> None:
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -1', "-", *reve.command("help", "faults")],
        env=reve.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)


def test_only_a_topic_loads_the_markdown_parser() -> None:
    script = "import sys; from reve_cli.__main__ import main\ntry: main()\nfinally: print('markdown_it' in sys.modules)"
    for words, loads in [(["--help"], "False"), (["help"], "False"), (["help", "files"], "True")]:
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1] == loads


# Markdown


def test_headings_paragraphs_lists_code_and_tables_become_blocks() -> None:
    text = """# Title

A *short*
paragraph with `code`, a [topic](a.md) and a [page](https://a.example).

<!-- a comment -->

- one
  item
- two

1. first

```sh
a  b
```

## More

| term | meaning | note |
|---|---|---|
| `a\\|b` | it is | n |
| c | it too | |
"""
    assert parse(text) == [
        (
            "Title",
            [
                "A short paragraph with code, a topic and a page (https://a.example).",
                Items(["one item", "two"]),
                Items(["first"], numbered=True),
                Code("a  b"),
            ],
        ),
        ("More", [[("a|b", "it is. note: n"), ("c", "it too")]]),
    ]


@pytest.mark.parametrize("text", ["> a quote", "- a\n\n      code", "- a\n\n  - b", "![a](b.png)", "a<br>b"])
def test_markdown_without_a_layout_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"layout|item"):
        parse(f"# Title\n\n{text}\n")


def test_lists_are_laid_out_with_their_marks() -> None:
    sections = [("Steps", [Items(["go"], numbered=True), Items(["a b c d e f g h i j k l m n o p"])])]
    assert plain(sections, 30) == "Steps\n  1. go\n\n  - a b c d e f g h i j k l m\n    n o p"
    assert roff(sections) == ".SH Steps\n.IP 1. 4\ngo\n.IP \\(bu 4\na b c d e f g h i j k l m n o p\n"
