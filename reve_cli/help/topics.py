"""The topics of `reve help`, read from topics/*.md. The manual page and readers on GitHub get the same text.

A file has a title, a paragraph of one sentence that says what the topic is about, and the rest.

May import: pages and markdown.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reve_cli.help.pages import Section

TOPICS = (
    "batch", "shards", "templates", "json", "exit-codes", "money", "journal", "configuration", "environment", "files",
    "pictures", "security", "ci", "webhooks", "agents", "containers", "sandbox", "faults", "completion",
)  # fmt: skip
"""Names of topics, in the order of the list that `reve help` prints."""
_FOLDER = Path(__file__).with_name("topics")


class Topic(NamedTuple):
    """What a file says. The first section has no heading."""

    title: str
    sections: "list[Section]"


def read(name: str) -> Topic:
    """Read a topic by its name."""
    from reve_cli.help.markdown import parse

    (title, blocks), *sections = parse(text(name))
    return Topic(title, [("", blocks), *sections])


def about(name: str) -> str:
    """The sentence that says what a topic is about."""
    return " ".join(text(name).split("\n\n")[1].split())


def text(name: str) -> str:
    """The Markdown of a topic."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
