"""`reve auth`: store, check and remove the API key. May import: cli; the rest late."""

from typing import TYPE_CHECKING

import typer

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

app = typer.Typer(
    help="Store, check and remove the API key.",
    callback=command.show_help,
    invoke_without_command=True,
    epilog="Examples:\n    reve auth status",
)


@app.command()
@command.api_command
def login(run: "Runtime", with_key: options.WithKey = False) -> int:
    """Check an API key and store it.

    Asks for the key. With --with-key, reads it from standard input instead. Stores it in the system keychain, or else
    in the config file.

    Examples:
        printenv APIFRAME_API_KEY | reve auth login --with-key
    """
    from reve_cli.actions.auth import login as log_in

    return log_in(run, with_key=with_key)


@app.command()
@command.api_command
def status(run: "Runtime") -> int:
    """Show where the API key comes from and whose it is.

    Examples:
        reve auth status
        reve auth status --json | jq .credits
        reve auth status --sandbox
    """
    from reve_cli.actions.auth import status as show

    return show(run)


@app.command()
@command.local_command
def logout(run: "Runtime") -> int:
    """Remove the stored API key.

    Examples:
        reve auth logout
    """
    from reve_cli.actions.auth import logout as log_out

    return log_out(run)
