"""Text made fit for a terminal and for a shell."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.terminal.text import in_words, quote, safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a red fox", "a red fox"),
        ("füchse 🦊 狐", "füchse 🦊 狐"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\tand a tab", r"two\nlines\tand a tab"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202edcb", r"abc\u202edcb"),
        ("\u2066isolate\u2069", r"\u2066isolate\u2069"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_control_and_bidirectional_characters_are_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text())
def test_safe_text_stays_as_it_is(text: str) -> None:
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("fox.png", "fox.png"),
        ("a fox.png", "'a fox.png'"),
        ("", "''"),
        ("it's", "'it'\"'\"'s'"),
        ("a\nb", r"$'a\x0ab'"),
    ],
)
def test_text_is_quoted_as_one_word_for_a_shell(text: str, word: str) -> None:
    assert quote(text) == word


@pytest.mark.parametrize("text", ["a b", "a\nb", "\x1b[0m it's \\ 'x'", "ü\u202e", "raw \udcff byte"])
def test_bash_reads_a_quoted_word_as_the_same_text(text: str) -> None:
    printed = subprocess.run(["bash", "-c", f"printf %s {quote(text)}"], capture_output=True, check=True).stdout
    assert printed == text.encode(errors="surrogateescape")


def test_the_name_of_a_json_field_is_written_as_words() -> None:
    assert in_words("creditCost") == "credit cost"
    assert in_words("seed") == "seed"
