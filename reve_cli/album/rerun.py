"""The work of `reve rerun`: make an image again, with what its file or the journal says of it.

It goes through `actions.generate` as `reve generate` does. The request has a new key, because a new image is meant.
May import: actions, runtime, journal, terminal, core, album.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reve_cli.actions.generate import generate, show_requests
from reve_cli.album.cards import command
from reve_cli.album.subject import Subject, find_one
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, is_loopback
from reve_cli.inputs import reading
from reve_cli.inputs.foreign import refuse
from reve_cli.journal.states import OPEN
from reve_cli.terminal.secret import agrees

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@dataclass(frozen=True)
class Changes:
    """The values that the new image has instead of the old ones. None keeps the old value."""

    seed: str | None = None
    aspect_ratio: str | None = None
    version: str | None = None
    model: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Wishes:
    """The other options. once: the value of `--once`. agreed: `--yes`."""

    out: str | None = None
    force: bool = False
    once: str | None = None
    new: bool = False
    max_credits: str | None = None
    dry_run: bool = False
    agreed: bool = False


def rerun(
    run: "Runtime", name: str | None, changes: Changes, wishes: Wishes, look: Callable[[str], None] | None = None
) -> int:
    """Make the image `name` again. Returns the exit code. look: called for each image's path. Raises `ReveError`."""
    subject = find_one(run, name)
    request = _request(run, subject, changes)
    seed = changes.seed if changes.seed is not None else None if request.seed is None else str(request.seed)
    requests = reading.expand(replace(request, seed=None), seed, changes.count, wishes.once)
    tasks = reading.new_jobs(requests, None, wishes.once, random_seed=seed == "random")
    naming = run.naming(wishes.out, tasks, force=wishes.force)
    _announce(run, subject, requests)
    if wishes.dry_run:
        naming.check(tasks)
        return show_requests(run, tasks, naming)
    if not wishes.agreed:
        _ask(run, subject)
    return generate(run, tasks, naming, new=wishes.new, max_credits=wishes.max_credits, look=look)


def _request(run: "Runtime", subject: Subject, changes: Changes) -> ImageRequest:
    """The request to repeat, with the changes. From another tool's image, it takes prompt, seed and aspect ratio."""
    facts = subject.facts
    if not facts.get("prompt"):
        where = "neither the file nor the journal says" if subject.path else "the journal no longer says"
        raise ReveError("output", f"{where} how {subject.name} was made", hint='reve generate "PROMPT"')
    if subject.is_foreign:
        refuse(facts["prompt"])
    known = {} if subject.is_foreign else facts
    return ImageRequest(
        prompt=facts["prompt"],
        model=changes.model if changes.model is not None else known.get("model") or run.defaults.model,
        seed=facts.get("seed"),
        aspect_ratio=facts.get("aspectRatio") if changes.aspect_ratio is None else changes.aspect_ratio,
        version=known.get("version") if changes.version is None else changes.version,
    )


def _announce(run: "Runtime", subject: Subject, requests: Sequence[ImageRequest]) -> None:
    """Print the equivalent `reve generate` command, and name what is left out."""
    first = requests[0]
    shown = command(
        {
            "prompt": first.prompt,
            "seed": first.seed,
            "aspectRatio": first.aspect_ratio,
            "version": first.version,
            "model": first.model,
            "simulated": run.sandbox,
            "count": len(requests) if len(requests) > 1 else None,
        }
    )
    run.output.note(f"repeating {subject.name}: {shown or first.prompt}")
    if subject.is_foreign and subject.record:
        left = [*subject.record.others, *(["Model"] if subject.record.model else [])]
        run.output.note(f"only prompt, seed and aspect ratio are taken{', not ' * bool(left)}{', '.join(left)}")
    if subject.entry and subject.entry.row.request.get("webhookUrl"):
        run.output.note("its webhook is not repeated")


def _ask(run: "Runtime", subject: Subject) -> None:
    """Ask before a request that nobody may have meant. Raises `ReveError` without a terminal or consent."""
    why = _doubt(run, subject)
    if why is None:
        return
    streams = run.output.surroundings()
    if not (streams["stdin"] and streams["stderr"]):
        raise ReveError("usage", f"{subject.name} {why}; to make the image: --yes", hint="--dry-run shows the request")
    if not agrees(f"{subject.name} {why}. Make the image?", run.process.signals, run.output.gave_up):
        raise ReveError("usage", "nothing was submitted")


def _doubt(run: "Runtime", subject: Subject) -> str | None:
    """Why the user may not mean a new image like this one; None if there is no reason."""
    here = run.sandbox or is_loopback(urlsplit(run.settings.base_url).hostname or "")
    if subject.is_foreign:
        return "was made with another tool"
    if subject.entry and subject.entry.row.state in OPEN:
        return "is not finished, and reve resume finishes it without a new charge"
    if subject.unchanged is False:
        return "was changed after it was saved, or is another image"
    return "was simulated, and the new image is charged" if subject.simulated and not here else None
