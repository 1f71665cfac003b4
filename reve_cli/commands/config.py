"""`reve config`: the settings, where they come from, and changes to the user's file."""

from typing import TYPE_CHECKING

import typer

from reve_cli import options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

app = typer.Typer(help="The settings: what they are, where they come from, and changes to your own.")


@app.command("list")
@options.mending_command
def list_(run: "Runtime") -> int:
    """List all settings with their values, and what each comes from."""
    from reve_cli.configuring import show_all

    return show_all(run)


@app.command()
@options.mending_command
def get(run: "Runtime", name: options.SettingName) -> int:
    """Print the value of a setting; nothing where it has none."""
    from reve_cli.configuring import show_one

    return show_one(run, name)


@app.command("set")
@options.mending_command
def set_(run: "Runtime", name: options.SettingName, value: options.SettingValue) -> int:
    """Set a setting in your config file, whose comments stay as they are."""
    from reve_cli.configuring import change

    return change(run, name, value)


@app.command()
@options.mending_command
def unset(run: "Runtime", name: options.SettingName) -> int:
    """Remove a setting from your config file, or a line there that is none."""
    from reve_cli.configuring import remove

    return remove(run, name)


@app.command()
@options.mending_command
def path(run: "Runtime") -> int:
    """Print where your config file is, or would be; with --json, the project's too."""
    from reve_cli.configuring import show_path

    return show_path(run)
