"""The work of `reve webhook verify` and `reve webhook send`.

May import: webhooks, inputs, runtime, serving, core.
"""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import iso
from reve_cli.inputs.reading import full_ids, open_input, read_stdin
from reve_cli.serving.requests import Bounds
from reve_cli.serving.signatures import EVENT_HEADER, HEADER, BadSignature, sign, verify
from reve_cli.webhooks.events import example, read_event
from reve_cli.webhooks.ports import check_target, signing_keys

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

_MOST = Bounds.body_bytes + 1


def check(run: "Runtime", signature: str | None, headers: str | None) -> int:
    """Check the body on standard input. Returns the exit code: 3 if its signature is not valid."""
    if (signature is None) == (headers is None):
        raise ReveError("usage", "give the signature either with --signature or with --headers")
    given = [signature] if signature is not None else _signatures(_read(run, str(headers), "--headers"))
    keys, body = signing_keys(run), read_stdin(_MOST, run.deadline)
    why: ReveError | None = None
    verified_as = None
    if len(body) >= _MOST:
        why = ReveError("bad_signature", "not valid: the body is larger than 1 MiB")
    else:
        try:
            verified_as = verify(body, given, keys)
        except BadSignature as bad:
            why = ReveError("bad_signature", f"not valid: {bad}")
    if run.output.json:
        error = why.document() if why else None
        run.output.document({"valid": why is None, "verifiedAs": verified_as, "error": error})
    elif why is None:
        run.output.line(f"valid (secret as {verified_as})")
    if why is not None:
        run.output.fail(why)
        return why.exit_code
    return 0


def _signatures(text: bytes) -> list[str]:
    """The values of the signature's header in lines of `Name: value`, up to the first empty line."""
    found: list[str] = []
    for line in text.decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            break
        if colon and name.strip().lower() == HEADER.lower():
            found.append(value)
    return found


def _read(run: "Runtime", path: str, option: str) -> bytes:
    with open_input(local_path(path, option), run.deadline) as file:
        content = file.read(_MOST)
    if len(content) >= _MOST:
        raise ReveError("usage", f"{option} {path} is larger than 1 MiB")
    return content


@dataclass(frozen=True)
class Trial:
    """The options of `webhook send`. body: a file to send instead of an example. hex: how the secret is made."""

    event: str
    to: str
    job: str | None
    times: int
    tamper: bool
    hex: bool
    body: str | None


def send(run: "Runtime", trial: Trial) -> int:
    """Send an event. Returns the exit code: 0 if each was answered with 2xx, else 6."""
    from reve_cli.webhooks.posting import Poster

    check_target(trial.to, "--to")
    if trial.body is not None and trial.job is not None:
        raise ReveError("usage", "--job cannot be used with --body")
    (job,) = full_ids(run, [trial.job]) if trial.job is not None else [str(uuid.uuid4())]
    if trial.body is not None:
        body = _read(run, trial.body, "--body")
    else:
        body = example(trial.event, job, str(iso(run.process.clock.now())))
    signature = sign(body, signing_keys(run)[0], "hex" if trial.hex else "bytes")
    if trial.tamper:
        body = body[:-1] + bytes([(body[-1] ^ 1) if body else 0])
    headers = [("Content-Type", "application/json"), (EVENT_HEADER, trial.event), (HEADER, signature)]
    poster = Poster(trial.to)
    run.resources.callback(poster.close)
    code = 0
    for _ in range(trial.times):
        status, why = run.ask(lambda: poster.post(body, headers))
        error = None
        if status is None:
            error = ReveError("network", f"{trial.to}: {why}")
        elif not 200 <= status < 300:
            error = ReveError("server", f"{trial.to} answered with status {status}")
        if run.output.json:
            document = error.document() if error else None
            run.output.document(
                {"event": trial.event, "jobId": _job_in(body, job), "answer": status, "error": document}
            )
        elif status is not None:
            run.output.line(str(status))
        if error is not None:
            run.output.fail(error)
            code = error.exit_code
    return code


def _job_in(body: bytes, job: str) -> str:
    """The job that a body names, else `job`."""
    try:
        return read_event(body).job
    except ValueError:
        return job
