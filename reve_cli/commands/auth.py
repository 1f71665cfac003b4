"""`reve auth`: the API key, kept, looked at and forgotten."""

from typing import TYPE_CHECKING

import typer

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

app = typer.Typer(
    help="The API key: keep it on this machine, see whose it is, forget it.",
    callback=command.show_help,
    invoke_without_command=True,
    epilog="Examples:\n    reve auth status",
)


@app.command()
@command.api_command
def login(run: "Runtime", with_key: options.WithKey = False) -> int:
    """Ask for a key, check it with the API, and keep it: in the system's keychain if there is one, else in a file.

    Examples:
        printenv APIFRAME_API_KEY | reve auth login --with-key
    """
    from reve_cli.actions.auth import login as log_in

    return log_in(run, with_key=with_key)


@app.command()
@command.api_command
def status(run: "Runtime") -> int:
    """Show where the key comes from, and whose it is.

    Examples:
        reve auth status
        reve auth status --json | jq .credits
    """
    from reve_cli.actions.auth import status as show

    return show(run)


@app.command()
@command.local_command
def logout(run: "Runtime") -> int:
    """Forget the key that login has kept.

    Examples:
        reve auth logout
    """
    from reve_cli.actions.auth import logout as log_out

    return log_out(run)
