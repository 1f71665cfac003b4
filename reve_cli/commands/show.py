"""`reve show`: what is known about an image. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.local_command
def show(
    run: "Runtime",
    image: options.Image = None,
    preview: options.Preview = None,
    open_: options.Open = False,
) -> int:
    """Show how an image was made, and whether its file is unchanged.

    Reads the image file and the journal; one of them is enough. Needs no key and no network.

    Examples:
        reve show
        reve show "$file"
        reve show "$job" --json | jq -r .prompt
        reve generate "a fox" --out tried.png --sandbox && reve show tried.png
    """
    from reve_cli.actions.looking import looker
    from reve_cli.album import show as action

    return action.show(run, image, looker(run, preview, open_, saves=True))
