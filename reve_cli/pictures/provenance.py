"""How an image was made: the record that is written into its file or beside it, and read again.

May import: core.contract, core.models.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from reve_cli.core.contract import SEED_LIMIT
from reve_cli.core.models import number, typed

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""Marks an image as made by a trained model (IPTC digital source type)."""


@dataclass(frozen=True)
class Provenance:
    """What is known of how an image was made; None for what is not.

    image: the image's position in its job, from 1. downloaded_sha256: of the file as the server sent it, in hex.
    tool: what wrote the record. source_type: the IPTC digital source type. others: what another tool noted that reve
    has no option for, by its names there.
    """

    prompt: str | None = None
    seed: int | None = None
    aspect_ratio: str | None = None
    version: str | None = None
    model: str | None = None
    job_id: str | None = None
    image: int | None = None
    credit_cost: float | None = None
    created_at: str | None = None
    completed_at: str | None = None
    simulated: bool = False
    downloaded_sha256: str | None = None
    tool: str | None = None
    source_type: str | None = None
    is_ours: bool = False
    others: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The record as JSON, with the names of the job's document. Has no paths, URLs or account."""
        return {name: getattr(self, attribute) for attribute, name in NAMES.items()}

    @classmethod
    def of_document(cls, data: Mapping[str, Any]) -> "Provenance":
        """The record that `document` gave. Values of a wrong type count as unknown: the file may be anyone's."""
        checked: dict[str, Any] = {}
        for attribute, name in NAMES.items():
            value = data.get(name)
            if attribute in ("seed", "image"):
                is_good = type(value) is int and abs(value) <= SEED_LIMIT
                checked[attribute] = value if is_good else None
            elif attribute == "credit_cost":
                checked[attribute] = number(value)
            elif attribute == "simulated":
                checked[attribute] = value is True
            else:
                checked[attribute] = typed(value, str)
        return cls(**checked, is_ours=True)


NAMES = {
    one.name: re.sub("_(.)", lambda match: match[1].upper(), one.name)
    for one in fields(Provenance)
    if one.name not in ("is_ours", "others")
}
"""The attributes of the record, and their names in JSON and XMP."""
NAMES["source_type"] = "digitalSourceType"
