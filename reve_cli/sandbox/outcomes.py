"""How a simulated job ends: what its status, result, error and files will be. One row for each way.

Imports the standard library only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UGLY = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://example.com\x07link\x1b]8;;\x07 \x9b31m C1 \x9d0;t\x9c"
    " \u202egnp.exe\u202c \u2066isolate\u2069 [red]markup[/red] [link=http://example.com]x[/] \r\n\tline \x00 end"
)
"""Text that must never reach a terminal as it is: escape sequences, C0, C1, bidi controls, rich markup."""


@dataclass(frozen=True)
class Outcome:
    """One way for a job to go.

    ending: the terminal status, or None for a job that never ends.
    running: the status while it runs, where that is not the usual one.
    shape: the job's `result`, from its image URLs.
    top: whether the result's keys stand at the job's top level instead.
    url: an image URL that replaces the real ones.
    image_status: what the CDN answers for its images.
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
