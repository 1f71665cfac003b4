"""How a batch item is recognised: by its id in the manifest, and by the scope of its idempotency key in the journal.

An item is its exact request, its own `out`, and its ordinal among identical items. So it stays the same item after
lines were added, moved or edited, in another shard, and on another machine.
May import: nothing of ours.
"""

import hashlib
import json


def item_id(body: str, out: str | None, ordinal: int) -> str:
    """The id of an item. body: its exact request. ordinal: its number among identical items, from 1."""
    return digest(likeness(body, out), ordinal)


def likeness(body: str, out: str | None) -> str:
    """A digest that identical items share."""
    return digest(body, out)


def with_random_seed(body: str) -> str:
    """What stands for the exact request of an item whose seed is random. body: the request without a seed.

    So the item is the same one in every run, although its seed is not.
    """
    return f"{body} with a random seed"


def random_seed(run: str, body: str, out: str | None, ordinal: int) -> int:
    """The seed of an item whose seed is random. It is the same on any machine, but another one in another run."""
    return int(digest("seed", run, body, out, ordinal)[:8], 16) >> 1


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def write_scope(run: str, out: str | None, *, is_random: bool = False) -> str:
    """The scope from which the idempotency keys of a run's items are made. out: the item's own, or None."""
    return json.dumps(["batch", run, out, *(["random"] if is_random else [])])


def read_scope(scope: str | None) -> tuple[str, str | None, bool] | None:
    """The run, the `out` and `is_random` in a scope; None if the scope is not a batch item's."""
    try:
        found = json.loads(scope or "null")
    except (ValueError, RecursionError):
        return None
    match found:
        case ["batch", str(run), (str() | None) as out]:
            return run, out, False
        case ["batch", str(run), (str() | None) as out, "random"]:
            return run, out, True
    return None


def scope_prefix(run: str) -> str:
    """The text with which the scopes of all items of a run begin, and of no other run."""
    return json.dumps(["batch", run])[:-1] + ","
