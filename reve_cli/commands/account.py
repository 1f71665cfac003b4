"""`reve account`: account, plan and credits. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def account(run: "Runtime") -> int:
    """Show your account, plan and remaining credits.

    Examples:
        reve account
        reve account --json | jq .credits
        reve account --sandbox
    """
    from reve_cli.actions import account as action

    return action.account(run)
