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


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def write_scope(run: str, out: str | None) -> str:
    """The scope from which the idempotency keys of a run's items are made. out: the item's own, or None."""
    return json.dumps(["batch", run, out])


def read_scope(scope: str | None) -> tuple[str, str | None] | None:
    """The run and the `out` in a scope; None if the scope is not a batch item's."""
    try:
        found = json.loads(scope or "null")
    except (ValueError, RecursionError):
        return None
    match found:
        case ["batch", str(run), (str() | None) as out]:
            return run, out
    return None


def scope_prefix(run: str) -> str:
    """The text with which the scopes of all items of a run begin, and of no other run."""
    return json.dumps(["batch", run])[:-1] + ","
