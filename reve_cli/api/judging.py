"""What an answer or a failure means: whether a job was made, whether to try again, and which error to report.

These are pure functions. Money safety rests on `judge` and `settled`: `judge` tells whether one try of a POST may have
been accepted, and `settled` keeps that from being forgotten when a later try is refused.
May import: core.contract, core.errors, core.models, api.answers.
"""

from enum import Enum, auto
from typing import Any

from reve_cli.api.answers import Answer, Failure
from reve_cli.core.contract import CONSOLE
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import cut


class Verdict(Enum):
    """What one try of a request came to.

    OK: accepted, with a usable answer.
    REFUSED: not accepted, and final.
    NOT_ACCEPTED: not accepted; another try may succeed.
    CONFLICT: the idempotency key was used with another body, or its first request is still in progress.
    PERHAPS: perhaps accepted; another try with the same key tells.
    """

    OK = auto()
    REFUSED = auto()
    NOT_ACCEPTED = auto()
    CONFLICT = auto()
    PERHAPS = auto()


_REFUSALS: dict[int, ErrorCode] = {401: "invalid_key", 403: "forbidden", 402: "insufficient_credits", 404: "not_found"}
_HINTS: dict[ErrorCode, str] = {
    "invalid_key": f"check the key: reve auth status shows its source, {CONSOLE} lists your keys",
    "forbidden": f"the key is inactive or lacks a permission: see {CONSOLE}",
    "insufficient_credits": f"reve account shows your credits; buy more at {CONSOLE}",
    "gateway": "a gateway or proxy may have answered instead of the API: check the base URL, the proxy and the network",
}
# how many of an error's details its message shows
_SHOWN_DETAILS = 5


def judge(method: str, outcome: Answer | Failure, usable: bool) -> tuple[Verdict, ErrorCode]:
    """Judge one try of a request.

    Args:
        usable: the answer holds what was asked for.

    Returns the verdict, and the code of the error to report if this was the last try. A GET makes no job, so it is
    never PERHAPS or CONFLICT.
    """
    verdict, code = _judge_post(outcome, usable)
    if method == "POST":
        return verdict, "invalid_request" if code == "not_found" else code
    if verdict is Verdict.CONFLICT:
        return Verdict.REFUSED, "invalid_request"
    return (Verdict.NOT_ACCEPTED if verdict is Verdict.PERHAPS else verdict), code


def _judge_post(outcome: Answer | Failure, usable: bool) -> tuple[Verdict, ErrorCode]:
    if isinstance(outcome, Failure):
        return (Verdict.PERHAPS if outcome.sent else Verdict.NOT_ACCEPTED), "network"
    status, is_json = outcome.status, isinstance(outcome.data, dict)
    if 200 <= status < 300:
        return (Verdict.OK, "internal") if usable else (Verdict.PERHAPS, "gateway")
    if status == 429:
        return Verdict.NOT_ACCEPTED, "rate_limited"
    if status == 503 and is_json:
        return Verdict.NOT_ACCEPTED, "server"
    if status >= 500 or status == 408:
        return Verdict.PERHAPS, "server" if is_json else "gateway"
    if status == 409:
        return Verdict.CONFLICT, "key_conflict"
    if status == 403 and not is_json:
        return Verdict.NOT_ACCEPTED, "gateway"
    if status in (302, 303):  # web servers redirect like this after they accept a POST
        return Verdict.PERHAPS, "gateway"
    if status < 400 or status == 407 or (status in (404, 405) and not is_json):
        return Verdict.REFUSED, "gateway"
    return Verdict.REFUSED, _REFUSALS.get(status, "invalid_request")


def settled(error: ReveError, perhaps: bool) -> ReveError:
    """The error that a request ends with.

    If any of its tries was perhaps accepted (`perhaps`), that is `unsettled` (exit code 75): a refusal of a later try
    does not undo the earlier one.
    """
    if not perhaps or error.exit_code == 75:
        return error
    message = f"the request may have been accepted: {error.message}"
    return ReveError("unsettled", message, request_id=error.request_id, details=error.details)


def error_of(code: ErrorCode, outcome: Answer | Failure, base_url: str) -> ReveError:
    """Put an unsuccessful try into words."""
    if isinstance(outcome, Failure):
        problem = "no valid answer from" if outcome.sent else "cannot reach"
        return ReveError(code, f"{problem} {base_url}: {cut(outcome.reason)}", hint=outcome.hint)
    details = outcome.data.get("details") if isinstance(outcome.data, dict) else None
    if code == "insufficient_credits":
        details = {name: outcome.data.get(name) for name in ("creditsRequired", "creditsAvailable")}
    message = f"the API answered {outcome.status}" + (f": {outcome.text}" if outcome.text else "")
    if code == "gateway":
        message = f"unexpected answer with status {outcome.status}: not the API's JSON"
    if isinstance(details, dict):
        words = (f"{name}: {_words(value)}" for name, value in list(details.items())[:_SHOWN_DETAILS])
        message += f" ({cut('; '.join(words))})"
    return ReveError(
        code,
        message + (f" [request {outcome.request_id}]" if outcome.request_id else ""),
        hint=_HINTS.get(code),
        request_id=outcome.request_id,
        details=details if isinstance(details, dict) else None,
    )


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def obstacle_of(code: ErrorCode, outcome: Answer | Failure) -> str:
    """Name the cause of an unsuccessful try in a few words. Equal causes have equal names."""
    if isinstance(outcome, Failure):
        return "no answer from the API" if outcome.sent else "cannot reach the API"
    if code == "rate_limited":
        return "rate limit reached"
    return f"{'gateway' if code == 'gateway' else 'API'} error {outcome.status}"
