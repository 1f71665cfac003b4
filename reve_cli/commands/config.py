"""`reve config`: show and change settings. May import: cli; the rest late."""

from typing import TYPE_CHECKING

import typer

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

app = typer.Typer(
    help="Show and change settings.",
    callback=command.show_help,
    invoke_without_command=True,
    epilog="Examples:\n    reve config list",
)


@app.command("list")
@command.lenient_local_command
def list_(run: "Runtime") -> int:
    """List all settings with their values and sources.

    Examples:
        reve config list
        reve config list --json | jq -r 'select(.source != "default").name'
    """
    from reve_cli.actions.config import show_all

    return show_all(run)


@app.command()
@command.lenient_local_command
def get(run: "Runtime", name: options.SettingName) -> int:
    """Print the value of a setting, or nothing if it has none.

    Examples:
        reve config get timeout
    """
    from reve_cli.actions.config import show_one

    return show_one(run, name)


@app.command("set")
@command.lenient_local_command
def set_(run: "Runtime", name: options.SettingName, value: options.SettingValue) -> int:
    """Change a setting in your config file. Comments in the file are kept.

    Examples:
        reve config set aspect_ratio 16:9
        reve config set name_template '{slug}-{seed}-{job}.{ext}'
    """
    from reve_cli.actions.config import change

    return change(run, name, value)


@app.command()
@command.lenient_local_command
def unset(run: "Runtime", name: options.SettingName) -> int:
    """Remove a setting from your config file, even an unknown one.

    Examples:
        reve config unset aspect_ratio
    """
    from reve_cli.actions.config import remove

    return remove(run, name)


@app.command()
@command.lenient_local_command
def path(run: "Runtime") -> int:
    """Print the path of your config file. With --json, print the project's file too.

    Examples:
        reve config path
    """
    from reve_cli.actions.config import show_path

    return show_path(run)
