"""`reve model`: a model's price, limits and availability. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def model(run: "Runtime", name: options.ModelName = None) -> int:
    """Show a model's price, limits and availability.

    Examples:
        reve model
        reve model reve-create --json | jq .offered
        reve model --sandbox
    """
    from reve_cli.actions import model as action

    return action.model(run, run.settings.model if name is None else name)
