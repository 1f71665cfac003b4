"""`reve doctor`: check this installation. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.lenient_api_command
def doctor(run: "Runtime", listen: options.CheckListen = None) -> int:
    """Check settings, key, network and journal, and suggest fixes.

    Examples:
        reve doctor --sandbox
        reve doctor --sandbox --json | jq -r .finding
    """
    from reve_cli.doctor.doctor import examine

    return examine(run, listen)
