"""The work of `reve account`: print the account, its plan and its credits.

May import: terminal, core; the rest through a `Runtime`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reve_cli.terminal.output import Output
from reve_cli.terminal.text import in_words, safe

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


def account(run: "Runtime") -> int:
    """Print the key's account, plan and remaining credits. Returns the exit code."""
    api, tries = run.api, run.process.limits.tries
    document = run.ask(lambda: api.account(run.deadline, tries=tries)).document(api.http.simulated)
    if run.output.json:
        run.output.document(document)
    else:
        print_fields(run.output, document)
    return 0


def print_fields(output: Output, fields: Mapping[str, Any]) -> None:
    """Print a line for each field of a document, for people. Leaves out what only programs need."""
    for name, value in fields.items():
        if name not in ("simulated", "error"):
            label = "simulated credits" if name == "credits" and fields["simulated"] else in_words(name)
            output.line(f"{label}: {safe(_as_text(value))}")


def _as_text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
