"""`reve account`: credits and plan."""

from typing import TYPE_CHECKING

from reve_cli.cli import command

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def account(run: "Runtime") -> int:
    """Show whose key it is, the plan, and the credits that are left.

    Examples:
        reve account
        reve account --json | jq .credits
    """
    from reve_cli.actions import account as action

    return action.account(run)
