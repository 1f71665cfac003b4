"""The faults of the sandbox, and the syntax that selects them.

    PLACE:WHAT[/ARGUMENT][*TIMES],…        submit:429/2*3,image:cut*1,outcome:expired

A place is a kind of request (`submit`, `job`, `jobs`, `me`, `models`, `image`), or `outcome` or `webhook`: these are
chosen when a job is made, for the job and for each of its webhooks. Without `*TIMES` a fault applies every time.
`effects`, `outcomes` and `webhooks` implement them.

May import: sandbox (effects, outcomes).
"""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reve_cli.sandbox.effects import ANYWHERE, IMAGE, JOB, JOBS, SUBMIT, Effect, error, gateway_page
from reve_cli.sandbox.outcomes import OUTCOMES

_EFFECTS: dict[str, dict[str, Effect]] = {
    "submit": {**ANYWHERE, **SUBMIT},
    "job": {**ANYWHERE, **JOB},
    "jobs": {**ANYWHERE, **JOB, **JOBS},
    "me": ANYWHERE,
    "models": ANYWHERE,
    "image": {**ANYWHERE, **IMAGE},
}
# Each with its default argument, in seconds.
WEBHOOK_FAULTS: dict[str, float | None] = {
    "drop": None,
    "twice": None,
    "late": 5.0,
    "reorder": None,
    "badsign": None,
    "slow": 2.0,
    "unsigned": None,
    "hexsign": None,
    "early": 1.0,
    "chunked": None,
    "string-result": None,
}
_CHOICES = {"outcome": tuple(name for name in OUTCOMES if name), "webhook": tuple(WEBHOOK_FAULTS)}
PLACES = (*_EFFECTS, *_CHOICES)

_STATUS = re.compile(r"[45]\d\d")
_PAGE = re.compile(r"html-(200|[45]\d\d)")
_ITEM = re.compile(r"(?P<place>[^:]*):(?P<what>[^/*]*)(?:/(?P<argument>[^*]*))?(?:\*(?P<times>.*))?")
_TIMES = re.compile(r"[1-9]\d{0,5}")
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?")
_ARGUMENTS = {
    "redirect": (re.compile(r"3\d\d"), "a status from 300 to 399"),
    "redirect-loop": (re.compile(r"3\d\d"), "a status from 300 to 399"),
    **dict.fromkeys(("slow-dedupe", "late", "slow", "early"), (_SECONDS, "a number of seconds")),
    "images": (re.compile(r"[1-9]|1\d|20"), "a number of images from 1 to 20"),
}
_RETRY_AFTER = (re.compile(r"\d{1,6}|date"), "seconds for Retry-After, or date")
_COMMON = ("400", "401", "402", "403", "404", "409", "410", "429", "500", "502", "503", "504")
_COMMON_PAGES = ("html-200", "html-403", "html-502")

# Every `place:what` once. All statuses from 400 to 599 and their HTML pages work; this lists only the useful ones.
ALL_FAULTS: tuple[str, ...] = (
    *(f"{place}:{what}" for place, table in _EFFECTS.items() for what in (*_COMMON, *_COMMON_PAGES, *table)),
    *(f"{place}:{name}" for place, names in _CHOICES.items() for name in names),
)


@dataclass(frozen=True)
class Fault:
    """One fault at a place. `times`: how often it applies; None for every time."""

    place: str
    what: str
    argument: str | None = None
    times: int | None = None

    def effect(self) -> Effect:
        """Its effect on a request. Raises KeyError for an unknown fault."""
        if _STATUS.fullmatch(self.what):
            return error(int(self.what))
        if page := _PAGE.fullmatch(self.what):
            return gateway_page(int(page[1]))
        return _EFFECTS[self.place][self.what]


def parse_faults(text: str) -> list[Fault]:
    """The faults in `text`. Raises ValueError with one line: the invalid item, and what is allowed."""
    return [_parse(item.strip()) for item in text.split(",")] if text.strip() else []


def take(faults: list[Fault], place: str, lock: threading.Lock) -> Fault | None:
    """The first fault for `place`. A fault with a number of times is counted down in the list, then removed."""
    with lock:
        for index, fault in enumerate(faults):
            if fault.place != place:
                continue
            if fault.times is not None and fault.times > 1:
                faults[index] = replace(fault, times=fault.times - 1)
            elif fault.times is not None:
                del faults[index]
            return fault
    return None


def _parse(item: str) -> Fault:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"fault {item!r} is not PLACE:WHAT[/ARGUMENT][*TIMES]; places: {', '.join(PLACES)}")
    place, what, argument, times = match.group("place", "what", "argument", "times")
    if place not in PLACES:
        raise _refusal(item, f"{place!r} is not a place", PLACES)
    if place in _CHOICES:
        if what not in _CHOICES[place]:
            kind = "an outcome" if place == "outcome" else "a fault of webhook"
            raise _refusal(item, f"{what!r} is not {kind}", _CHOICES[place])
    elif not (_STATUS.fullmatch(what) or _PAGE.fullmatch(what) or what in _EFFECTS[place]):
        allowed = ("400 to 599", "html-200", "html-400 to html-599", *_EFFECTS[place])
        raise _refusal(item, f"{what!r} is not a fault of {place}", allowed)
    if argument is not None:
        pattern, meaning = _RETRY_AFTER if _STATUS.fullmatch(what) else _ARGUMENTS.get(what, (None, "no argument"))
        if pattern is None or not pattern.fullmatch(argument):
            raise _refusal(item, f"{argument!r} is not an argument of {what}", (meaning,))
    if times is not None and not _TIMES.fullmatch(times):
        raise _refusal(item, f"{times!r} is not a number of times", ("1 to 999999",))
    return Fault(place, what, argument, int(times) if times else None)


def _refusal(item: str, problem: str, allowed: Iterable[str]) -> ValueError:
    return ValueError(f"fault {item!r}: {problem}; allowed: {', '.join(allowed)}")
