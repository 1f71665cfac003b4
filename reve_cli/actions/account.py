"""What `account` and `model` tell: whose key it is and what is left, and what the API says of a model.

Imports `output`, `models`, `contract`, `errors`; works through a `Runtime`.
"""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from reve_cli.core.contract import ASPECT_RATIOS, PROMPT_LIMIT, SEED_LIMIT
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import is_model_name
from reve_cli.terminal.output import Output
from reve_cli.terminal.text import in_words, safe

if TYPE_CHECKING:
    from reve_cli.api.accounts import Offer
    from reve_cli.runtime import Runtime

_REFUSALS: tuple[ErrorCode, ...] = (
    "invalid_request", "invalid_key", "forbidden", "insufficient_credits", "not_found",
)  # fmt: skip
"""Answers that are final: the API does not tell. All else is no answer, and worth another try."""
_NAMED = 10
"""Models that an error names at most; its details name all."""
_FOR_PEOPLE = {"promptLimit": f"{PROMPT_LIMIT} UTF-16 units", "versions": "any text, such as latest"}


def account(run: "Runtime") -> int:
    """Print whose key it is, and what its team has left. Returns the exit code."""
    api, tries = run.api, run.process.limits.tries
    found = run.ask(lambda: api.account(run.deadline, tries=tries))
    _print(run.output, found.document(api.http.simulated))
    return 0


def model(run: "Runtime", name: str) -> int:
    """Print what the API says of a model, and what reve sends to it at most. Returns the exit code.

    Where the API does not tell, the price is unknown, and that is no error: `generate` may work all the same.
    """
    if not is_model_name(name):
        raise ReveError("usage", f"{name!r} is not a model name")
    api, tries = run.api, run.process.limits.tries
    offers: Sequence[Offer] | None = None
    try:
        offers = run.ask(lambda: api.offers(run.deadline, tries=tries))
    except ReveError as refused:
        if refused.code not in _REFUSALS:
            raise
        run.output.note(f"price unknown: {refused.message}")
    offer = next((offer for offer in offers or () if offer.id == name), None)
    error = None if offers is None or offer else _not_offered(name, [offer.id for offer in offers])
    if error:
        run.output.fail(error)
    document = {
        "model": name,
        "offered": None if offers is None else offer is not None,
        "label": offer and offer.label,
        "description": offer and offer.description,
        "pricingMode": offer and offer.pricing,
        "costMin": offer and offer.cost_min,
        "costMax": offer and offer.cost_max,
        "promptLimit": PROMPT_LIMIT,
        "aspectRatios": list(ASPECT_RATIOS),
        "seedMin": -SEED_LIMIT,
        "seedMax": SEED_LIMIT,
        "versions": None,
        "simulated": api.http.simulated,
        "error": error and error.document(),
    }
    _print(run.output, document)
    return error.exit_code if error else 0


def _not_offered(name: str, offered: Sequence[str]) -> ReveError:
    nearest = sorted(offered, key=lambda other: SequenceMatcher(None, name, other).ratio(), reverse=True)
    named = ", ".join(nearest[:_NAMED]) + (f" and {len(nearest) - _NAMED} more" if len(nearest) > _NAMED else "")
    message = f"the API does not list {name} among its image models, which are: {named or 'none'}"
    return ReveError("not_found", message, details={"offered": nearest})


def _print(output: Output, document: Mapping[str, Any]) -> None:
    """A document: as it is with `--json`, else as lines for people."""
    if output.json:
        output.document(document)
        return
    for name, value in document.items():
        if name not in ("simulated", "error"):
            output.line(f"{in_words(name)}: {_FOR_PEOPLE.get(name) or safe(_words(value))}")


def _words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
