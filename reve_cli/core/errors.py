"""The error codes, the exit code of each, and the one exception that carries them.

ReveError           ends a command or a job with an exit code other than 0
  code              one of `ErrorCode`, a closed list that scripts can match
  exit_code         from `EXIT_CODES`, the only table of exit codes
  message           one line for people: what is wrong
  hint              one line for people: what to do (for exit 75, the command that finishes the job)

An error never shows an API key, even if the user typed it by mistake as an argument, a path or a file's content.

May import: core.contract.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, get_args

from reve_cli.core.contract import KEY_PREFIX

ErrorCode = Literal[
    "internal", "write_failed",
    "usage", "config", "invalid_request", "key_mismatch",
    "no_key", "invalid_key", "forbidden", "bad_signature",
    "insufficient_credits", "over_cap", "price_unknown",
    "job_failed", "job_cancelled",
    "network", "server", "gateway", "rate_limited", "timed_out",
    "output", "journal", "download", "expired",
    "not_found",
    "unsettled", "key_conflict", "unfinished", "unsaved", "no_image", "saved_elsewhere",
    "interrupted",
]  # fmt: skip

EXIT_CODES: dict[ErrorCode, int] = {
    "internal": 1, "write_failed": 1,
    "usage": 2, "config": 2, "invalid_request": 2, "key_mismatch": 2,
    "no_key": 3, "invalid_key": 3, "forbidden": 3, "bad_signature": 3,
    "insufficient_credits": 4, "over_cap": 4, "price_unknown": 4,
    "job_failed": 5, "job_cancelled": 5,
    "network": 6, "server": 6, "gateway": 6, "rate_limited": 6, "timed_out": 6,
    "output": 7, "journal": 7, "download": 7, "expired": 7,
    "not_found": 8,
    "unsettled": 75, "key_conflict": 75, "unfinished": 75, "unsaved": 75, "no_image": 75, "saved_elsewhere": 75,
    "interrupted": 130,
}  # fmt: skip

WORST_FIRST = (75, 1, 2, 3, 4, 6, 7, 8, 5, 130, 0)
"""The exit code of a command with several jobs is the first of these that one of its jobs has."""

_KEY = re.compile(KEY_PREFIX + r"[^\s'\"()\[\]/\\,;:…]{5,}")
"""An API key, but not one that was shortened to a few characters and an ellipsis."""
REPLACE = "other users can see a key on a command line, and the shell's history keeps it: replace the key"


def holds_key(text: str) -> bool:
    """Whether `text` contains something like an API key."""
    return bool(_KEY.search(text))


def without_keys(value: Any) -> Any:
    """Replace each API key by `afk_[hidden]` in text, or in all text of parsed JSON."""
    if isinstance(value, dict):
        return {without_keys(name): without_keys(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_keys(item) for item in value]
    return _KEY.sub(f"{KEY_PREFIX}[hidden]", value) if isinstance(value, str) else value


class ReveError(Exception):
    """An expected error, with its code. See the module's docstring."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str | None = None,
        request_id: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        if code == "usage" and hint is None and holds_key(message):
            hint = REPLACE
        self.code: ErrorCode = code
        self.message: str = without_keys(message)
        self.hint: str | None = without_keys(hint)
        self.request_id: str | None = without_keys(request_id)
        self.details: dict[str, Any] | None = without_keys(details)
        super().__init__(self.message)

    @property
    def exit_code(self) -> int:
        """The exit code of a command or job that ends with this error."""
        return EXIT_CODES[self.code]

    def with_(self, **changes: Any) -> "ReveError":
        """A copy with other values for `code`, `message`, `hint`, `request_id` or `details`."""
        names = ("code", "message", "hint", "request_id", "details")
        return ReveError(**{name: getattr(self, name) for name in names} | changes)

    def document(self) -> dict[str, Any]:
        """The error as a JSON document. The order of keys is fixed."""
        return {
            "code": self.code,
            "message": self.message,
            "exitCode": self.exit_code,
            "hint": self.hint,
            "requestId": self.request_id,
            "details": self.details,
        }


def worst(codes: Iterable[int]) -> int:
    """The exit code for several jobs: see `WORST_FIRST`."""
    return min(codes, key=WORST_FIRST.index, default=0)


assert set(EXIT_CODES) == set(get_args(ErrorCode))  # a code without an exit code fails on import
