"""Whose key it is and what the API offers, as it answers them. Imports `models`.

Fields may be absent or null on the wire; such are None here.
"""

from dataclasses import dataclass
from typing import Any

from reve_cli.core.models import number, typed


@dataclass(frozen=True)
class Account:
    """The key's user and team, by their ids and for people, and what the team has left, in credits.

    `at` is the time of the answer by the server's clock, in epoch seconds.
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
        """What tells accounts from each other."""
        return f"{self.user} {self.team or ''}"

    def document(self, simulated: bool) -> dict[str, Any]:
        """The JSON document of this account: always the full shape, in this order, null where unknown."""
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
        """GET /v2/me, read defensively; None where it does not tell the user, or nobody the time."""
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
    """A model that the API offers. Costs are credits an image."""

    id: str
    label: str | None = None
    description: str | None = None
    pricing: str | None = None
    cost_min: float | None = None
    cost_max: float | None = None

    @classmethod
    def from_wire(cls, data: Any) -> "Offer | None":
        """An entry of GET /v2/models, read defensively; None where it names no model."""
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
