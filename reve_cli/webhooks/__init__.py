"""Webhooks: the API reports the end of a job by a signed POST, so that nobody has to poll.

Open `receiving.py` first: it answers the requests. `listening.py` is the work of `reve webhook listen`, and `ear.py`
that of `--listen` in other commands; both let the engine ask about the job and save its images. `ports.py` binds the
port, or finds the reve that uses it already. `forwarding.py` forwards events to another program, and `trying.py` is for
`webhook verify` and `webhook send`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


def listen_meanwhile(run: "Runtime", address: str | None) -> None:
    """Let the engines of `run` hear events on a port. address: `[HOST:]PORT`; None does nothing.

    Raises `ReveError` (code `usage`) if the port cannot be used.
    """
    if address is not None:
        from reve_cli.webhooks.ear import Ear

        run.attach = Ear(run, address).attach
