"""How a simulated job can end: its status, result, error and files. One row for each outcome.

May import: nothing of ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Text that must never reach a terminal unescaped: escape sequences, C0, C1 and bidi controls, rich markup.
UGLY = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://example.com\x07link\x1b]8;;\x07 \x9b31m C1 \x9d0;t\x9c"
    " \u202egnp.exe\u202c \u2066isolate\u2069 [red]markup[/red] [link=http://example.com]x[/] \r\n\tline \x00 end"
)


@dataclass(frozen=True)
class Outcome:
    """One way for a job to end.

    ending: the terminal status; None for a job that never ends.
    running: the status while it runs, if not the usual one.
    shape: makes the job's `result` from its image URLs.
    top: put the result's keys at the job's top level instead.
    url: an image URL in place of the real ones.
    image_status: the status of requests for its images.
    other_input: report a prompt other than the one submitted.
    """

    ending: str | None = "COMPLETED"
    error: str | None = None
    running: str | None = None
    has_progress: bool = True
    shape: Callable[[list[str]], Any] = lambda urls: {"images": urls}
    top: bool = False
    url: str | None = None
    expired: bool = False
    image_status: int = 200
    other_input: bool = False


OUTCOMES: dict[str, Outcome] = {
    "": Outcome(),
    "fail": Outcome("FAILED", error="Generation failed: the model returned no image"),
    "capacity": Outcome("FAILED", error="No available capacity \u2014 please retry shortly"),
    "moderated": Outcome("FAILED", error="The prompt was flagged by moderation. Change it and try again."),
    "cancel": Outcome("CANCELLED"),
    "expired": Outcome(expired=True, image_status=410),
    "gone": Outcome(image_status=404),
    "no-url": Outcome(shape=lambda urls: None),
    "odd-status": Outcome(running="RENDERING"),
    "forever": Outcome(None),
    "no-progress": Outcome(has_progress=False),
    "control": Outcome("FAILED", error=UGLY),
    "images": Outcome(),
    "shape-string": Outcome(shape=lambda urls: urls[0]),
    "shape-image_url": Outcome(shape=lambda urls: {"image_url": urls[0]}),
    "shape-imageUrl": Outcome(shape=lambda urls: {"imageUrl": urls[0]}),
    "shape-url": Outcome(shape=lambda urls: {"url": urls[0]}),
    "shape-urls": Outcome(shape=lambda urls: {"urls": urls}),
    "shape-list": Outcome(shape=lambda urls: urls),
    "shape-objects": Outcome(shape=lambda urls: [{"url": url} for url in urls]),
    "shape-top": Outcome(top=True),
    "url-file": Outcome(url="file:///etc/passwd"),
    "url-private": Outcome(url="https://10.0.0.1/x.png"),
    "url-public-http": Outcome(url="http://example.com/x.png"),
    "url-local": Outcome(url="https://localhost:1/x.png"),
    "url-name": Outcome(url="https://metadata.internal/x.png"),
    "other-input": Outcome(other_input=True),
}
