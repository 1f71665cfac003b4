"""The work of `reve show`: what is known about an image. It calls no API.

May import: actions.history, terminal, core, album.subject.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reve_cli.actions.history import sandbox_has
from reve_cli.album.subject import Subject, find
from reve_cli.core.models import credits_of
from reve_cli.terminal.text import in_words, quote, safe

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

_YES_OR_NO = {True: "yes", False: "no"}


def show(run: "Runtime", name: str | None, look: Callable[[str], None]) -> int:
    """Print what is known about the image or job `name`. Returns the exit code. look: called for each image's path."""
    for number, subject in enumerate(find(run, name)):
        if number and not run.output.json:
            run.output.line("")
        _print(run, subject)
        if subject.path is not None:
            look(subject.path)
    return 0


def _print(run: "Runtime", subject: Subject) -> None:
    document = subject.document()
    if run.output.json:
        run.output.document(document)
        return
    for line in _lines(document):
        run.output.line(line)
    if document["prompt"] is None:
        run.output.note("neither the file nor the journal says how the image was made")
    elif subject.sha256 is None and subject.path is not None:
        run.output.note(f"{subject.path} is gone")
    if subject.entry is None and document["simulated"] and sandbox_has(run, document["jobId"]):
        run.output.note(f"its job is in the sandbox's journal: reve show {quote(subject.name)} --sandbox")


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for people: one for each known field, the prompt first."""
    for name in ("prompt", "seed", "aspectRatio", "version", "model", "jobId", "state"):
        if document[name] is not None:
            yield f"{in_words(name)}: {safe(str(document[name]))}"
    if document["creditCost"] is not None:
        yield f"charged: {credits_of(document['creditCost'], simulated=document['simulated'])}"
    for name in ("createdAt", "completedAt", "path"):
        if document[name] is not None:
            yield f"{in_words(name)}: {safe(str(document[name]))}"
    if document["bytes"] is not None:
        yield f"size: {document['bytes']:,} bytes, {document['mediaType']}"
        yield f"unchanged: {_YES_OR_NO.get(document['unchanged'], 'unknown')}"
    if document["hoursLeft"] is not None:
        yield f"on the server: {document['hoursLeft']} h left" if document["hoursLeft"] else "on the server: expired"
    for name, value in {"made with": document["tool"], **document["others"]}.items():
        if value is not None:
            yield f"{safe(str(name))}: {safe(str(value))}"
