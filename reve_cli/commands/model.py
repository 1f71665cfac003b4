"""`reve model`: the price and the options of a model."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def model(run: "Runtime", name: options.ModelName = None) -> int:
    """Show what a model costs, whether it is still offered, and what it takes.

    Examples:
        reve model
        reve model reve-create --json | jq .offered
    """
    from reve_cli.actions import account as action

    return action.model(run, run.settings.model if name is None else name)
