"""Accounts and models as the API describes them.

Any field may be missing or null in an answer; it is None here.
May import: core.models.
"""

from dataclasses import dataclass
from typing import Any

from reve_cli.core.models import number, typed


@dataclass(frozen=True)
class Account:
    """The user and team of an API key. `user` and `team` are ids, `credits` is the team's balance.

    at: time of the answer by the server's clock, in epoch seconds.
    """

    user: str
    team: str | None
    at: float
    email: str | None = None
    role: str | None = None
    team_name: str | None = None
    plan: str | None = None
    credits: float | None = None
    key_name: str | None = None
    key_prefix: str | None = None

    @property
    def name(self) -> str:
        """A name that no other account has."""
        return f"{self.user} {self.team or ''}"

    def document(self, simulated: bool) -> dict[str, Any]:
        """The JSON document: always all keys, in this order, null for unknown values."""
        return {
            "email": self.email,
            "role": self.role,
            "team": self.team_name,
            "plan": self.plan,
            "credits": self.credits,
            "keyName": self.key_name,
            "keyPrefix": self.key_prefix,
            "simulated": simulated,
        }

    @classmethod
    def from_wire(cls, data: Any, at: float | None) -> "Account | None":
        """Parse the answer of GET /v2/me. None if the user or the time (`at`) is unknown."""
        found = data if isinstance(data, dict) else {}
        user, team, key = (typed(found.get(name), dict) or {} for name in ("user", "team", "apiKey"))
        identity = typed(user.get("id"), str)
        if identity is None or at is None:
            return None
        return cls(
            user=identity,
            team=typed(team.get("id"), str),
            at=at,
            email=typed(user.get("email"), str),
            role=typed(user.get("role"), str),
            team_name=typed(team.get("name"), str),
            plan=typed(team.get("plan"), str),
            credits=number(team.get("credits")),
            key_name=typed(key.get("name"), str),
            key_prefix=typed(key.get("prefix"), str),
        )


@dataclass(frozen=True)
class Offer:
    """A model on offer. Costs are credits per image."""

    id: str
    label: str | None = None
    description: str | None = None
    pricing: str | None = None
    cost_min: float | None = None
    cost_max: float | None = None

    @classmethod
    def from_wire(cls, data: Any) -> "Offer | None":
        """Parse an entry of GET /v2/models. None if it has no id."""
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            return None
        return cls(
            id=data["id"],
            label=typed(data.get("label"), str),
            description=typed(data.get("description"), str),
            pricing=typed(data.get("pricingMode"), str),
            cost_min=number(data.get("costMin")),
            cost_max=number(data.get("costMax")),
        )
