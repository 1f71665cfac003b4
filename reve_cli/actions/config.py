"""What `config` does: shows settings with their sources, and changes the user's file.

It works while files and environment are wrong, says what is, and ends with 2 then. The API key is no setting here: it
is never shown, and never taken from a command line. Imports `runtime`, `config`, `settings`, `contract`,
`suggest`, and late `configfile`.
"""

from typing import Any

from reve_cli.core.contract import KEY_PREFIX
from reve_cli.core.errors import ReveError
from reve_cli.core.suggest import did_you_mean
from reve_cli.runtime import Runtime
from reve_cli.settings import config
from reve_cli.settings.settings import API_KEY, SETTINGS

_INSTEAD = {"get": "reve auth status", "set": "reve auth login", "unset": "reve auth logout"}
"""What to do with the API key."""


def show_all(run: Runtime) -> int:
    """Print every setting with its value and its source. Returns the exit code."""
    values, _ = run.configured
    if run.output.json:
        for name in values:
            run.output.document(_document(run, name))
    else:
        rows = [(name, as_text(value.value), f"{value.source} {value.where or ''}") for name, value in values.items()]
        run.output.table(("NAME", "VALUE", "SOURCE"), [(*cells, source.strip()) for *cells, source in rows])
    return _say_what_is_wrong(run)


def show_one(run: Runtime, name: str) -> int:
    """Print a setting's value, and nothing where it has none. Returns the exit code."""
    _must_be_known(name, "get")
    value = run.configured[0][name].value
    if run.output.json:
        run.output.document(_document(run, name))
    elif value is not None:
        run.output.line(as_text(value))
    return _say_what_is_wrong(run)


def change(run: Runtime, name: str, text: str) -> int:
    """Set a setting in the user's file. Returns the exit code."""
    from reve_cli.settings.configfile import put

    _must_be_known(API_KEY if text.strip().startswith(KEY_PREFIX) else name, "set")
    try:
        value = SETTINGS[name].read(text)
    except ValueError as error:
        raise ReveError("usage", f"{name} {error}") from None
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ReveError("usage", f"{name} must be UTF-8 text, as the config file is")
    config.read_config()  # a file with a mistake in it is the user's to mend, and stays as it is
    path = put({name: text.strip() if isinstance(value, str) else _plain(value)})
    run.output.note(f"{name} is set in {path}")
    return _say_what_counts(run, name)


def remove(run: Runtime, name: str) -> int:
    """Remove a setting from the user's file, or what stands there and is none. Returns the exit code."""
    from reve_cli.settings.configfile import put

    is_there = name in config.read_config()
    if not is_there or name == API_KEY:
        _must_be_known(name, "unset")
    path = put({name: None})
    run.output.note(f"{name} is {'no longer' if is_there else 'not'} set in {path}")
    return _say_what_counts(run, name)


def show_path(run: Runtime) -> int:
    """Print where the user's file is, or would be. Returns the exit code. Raises `ReveError` where it has no place."""
    path = config.config_file()
    project = config.project_file()
    if run.output.json:
        run.output.document({"user": path and str(path), "project": project and str(project)})
    elif path is None:
        raise ReveError("config", "there is no home folder to keep settings in", hint="use environment variables")
    else:
        run.output.line(str(path))
    return 0


def as_text(value: Any) -> str:
    """A value as it is written in a variable or after `config set`; empty for none."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """A whole number without its `.0`, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _document(run: Runtime, name: str) -> dict[str, Any]:
    """A setting as it stands in JSON output; nulls for what is no setting."""
    value = run.configured[0].get(name)
    return {
        "name": name,
        "value": _plain(value.value) if value else None,
        "source": value.source if value else None,
        "where": value.where if value else None,
        "default": _plain(SETTINGS[name].default) if value else None,
    }


def _must_be_known(name: str, action: str) -> None:
    """Raises `ReveError` (code `usage`) for what is no setting, the API key among it."""
    plain = name.lower().replace("-", "_")
    if plain in (API_KEY, API_KEY.replace("_", "")):
        raise ReveError("usage", "the API key is no setting, and never part of a command line", hint=_INSTEAD[action])
    if name not in SETTINGS:
        nearest = did_you_mean(plain, SETTINGS)
        raise ReveError("usage", f"there is no setting {name!r}{nearest}", hint="reve config list shows all")


def _say_what_counts(run: Runtime, name: str) -> int:
    """After a change: warn where something else beats the user's file."""
    del run.configured  # it is read anew
    value = run.configured[0].get(name)
    if value and value.source in ("environment", "project"):
        run.output.warn(f"{value.where} beats it here: {as_text(value.value)}")
    if run.output.json:
        run.output.document(_document(run, name))
    return 0


def _say_what_is_wrong(run: Runtime) -> int:
    """A line for each problem. Returns the exit code."""
    problems = run.configured[1]
    for problem in problems:
        run.output.fail(problem)
    return problems[0].exit_code if problems else 0
