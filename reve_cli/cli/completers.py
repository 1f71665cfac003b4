"""The completers of arguments and options: functions that return what the word at the cursor can become.

What they need is imported late, to keep start-up fast. May import: recent, help, settings.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from reve_cli.cli.recent import Wanted

Candidates = list[tuple[str, str]]
"""Values that completion offers, each with one line of help."""
Completer = Callable[[typer.Context, str], Candidates]
_ASK = ":reve"
"""Mark in the table of the scripts: to get the values, the script starts reve."""


def among(words: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a completer that offers `words`."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _changing(complete: Completer) -> Completer:
    """Wrap a completer whose values change. In the table of the scripts, its values are `_ASK`."""

    def completes(ctx: typer.Context, incomplete: str) -> Candidates:
        return [(_ASK, "")] if ctx.obj is None else complete(ctx, incomplete)

    return completes


def recent_jobs(wanted: "Wanted") -> Completer:
    """Return a completer that offers the journal's jobs, except those already typed."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from reve_cli.cli.recent import jobs

        typed = ctx.params.get("jobs") or ()
        found = jobs(ctx.obj.environ, wanted, incomplete, sandbox=bool(ctx.params.get("sandbox")))
        return [(name, about) for name, about in found if not any(word.startswith(name) for word in typed)]

    return _changing(complete)


@_changing
def images_and_jobs(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete an image file or a job. If a file begins with the word, offer nothing: the shell then offers files."""
    from reve_cli.cli.recent import has_files, images, jobs

    found = jobs(ctx.obj.environ, "jobs", incomplete, sandbox=bool(ctx.params.get("sandbox")))
    if not incomplete:
        return [*found, *((name, "") for name in images())]
    return [] if has_files(incomplete) else found


def help_words(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Complete a help topic or the next word of a command."""
    from reve_cli.help.manual import next_words

    return next_words(ctx.find_root().command, ctx.params.get("words") or (), incomplete)


@_changing
def setting_names(ctx: typer.Context, incomplete: str) -> Candidates:
    from reve_cli.settings.settings import SETTINGS

    return [(name, setting.about) for name, setting in SETTINGS.items() if name.startswith(incomplete)]


@_changing
def setting_words(ctx: typer.Context, incomplete: str) -> Candidates:
    from reve_cli.settings.settings import SETTINGS

    setting = SETTINGS.get(ctx.params.get("name") or "")
    return [(word, "") for word in setting.words if word.startswith(incomplete)] if setting else []
