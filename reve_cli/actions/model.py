"""The work of `reve model`: print a model's price, limits and availability.

May import: terminal, core; the rest through a `Runtime`.
"""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from reve_cli.actions.account import print_fields
from reve_cli.core.contract import ASPECT_RATIOS, PROMPT_LIMIT, SEED_LIMIT
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import credits_of, is_model_name

if TYPE_CHECKING:
    from reve_cli.api.accounts import Offer
    from reve_cli.runtime import Runtime

# Refusals of the API to list its models. Any other error is worth another try, so it is an error of the command.
_REFUSALS: tuple[ErrorCode, ...] = (
    "invalid_request", "invalid_key", "forbidden", "insufficient_credits", "not_found",
)  # fmt: skip
_NAMED = 10
"""Models that an error message names at most. Its details name all."""


def model(run: "Runtime", name: str) -> int:
    """Print a model's price, limits and availability. Returns the exit code.

    If the API refuses to list its models, the price is unknown. That is not an error: `generate` may still work.
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
    if run.output.json:
        run.output.document(document)
    else:
        print_fields(run.output, _for_people(document))
    return error.exit_code if error else 0


def _not_offered(name: str, offered: Sequence[str]) -> ReveError:
    nearest = sorted(offered, key=lambda other: SequenceMatcher(None, name, other).ratio(), reverse=True)
    named = ", ".join(nearest[:_NAMED]) + (f" and {len(nearest) - _NAMED} more" if len(nearest) > _NAMED else "")
    message = f"the API does not offer the image model {name}; it offers {named or 'none'}"
    return ReveError("not_found", message, details={"offered": nearest})


def _for_people(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document, with its limits and prices in one line each."""
    shown = {
        "costMin": ("price", _price(document["costMin"], document["costMax"], simulated=document["simulated"])),
        "costMax": None,
        "promptLimit": ("promptLimit", f"{PROMPT_LIMIT:,} characters (an emoji counts as 2)"),
        "seedMin": ("seeds", f"{-SEED_LIMIT} to {SEED_LIMIT}"),
        "seedMax": None,
        "versions": ("versions", "any text, such as latest"),
    }
    lines = (shown.get(name, (name, value)) for name, value in document.items())
    return dict(line for line in lines if line)


def _price(least: float | None, most: float | None, *, simulated: bool) -> str | None:
    """The price of an image in words; None if it is unknown."""
    if most is None:
        return None if least is None else f"at least {credits_of(least, simulated=simulated)} per image"
    price = f"{credits_of(most, simulated=simulated)} per image"
    return price if least in (most, None) else f"{least:g} to {price}"
