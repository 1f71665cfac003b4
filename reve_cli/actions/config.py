"""The work of `reve config`: show settings with their sources, and change the user's file.

It also works with invalid settings: it reports them and exits with 2. The API key is not a setting here: it is never
shown, and never read from the command line. `configfile` is imported late. May import: runtime and every package below.
"""

from typing import Any

from reve_cli.core.contract import KEY_PREFIX
from reve_cli.core.errors import ReveError
from reve_cli.core.suggest import did_you_mean
from reve_cli.runtime import Runtime
from reve_cli.settings import config
from reve_cli.settings.settings import API_KEY, SETTINGS

_INSTEAD = {"get": "reve auth status", "set": "reve auth login", "unset": "reve auth logout"}
"""The command to use for the API key instead."""


def show_all(run: Runtime) -> int:
    """Print every setting with its value and its source. Returns the exit code."""
    values, _ = run.configured
    if run.output.json:
        for name in values:
            run.output.document(_document(run, name))
    else:
        rows = [(name, as_text(value.value), f"{value.source} {value.where or ''}") for name, value in values.items()]
        run.output.table(("NAME", "VALUE", "SOURCE"), [(*cells, source.strip()) for *cells, source in rows])
    return _report_problems(run)


def show_one(run: Runtime, name: str) -> int:
    """Print a setting's value, or nothing if it has none. Returns the exit code."""
    _check_name(name, "get")
    value = run.configured[0][name].value
    if run.output.json:
        run.output.document(_document(run, name))
    elif value is not None:
        run.output.line(as_text(value))
    return _report_problems(run)


def change(run: Runtime, name: str, text: str) -> int:
    """Set a setting in the user's file. Returns the exit code."""
    from reve_cli.settings.configfile import put

    _check_name(API_KEY if text.strip().startswith(KEY_PREFIX) else name, "set")
    try:
        value = SETTINGS[name].read(text)
    except ValueError as error:
        raise ReveError("usage", f"{name} {error}") from None
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ReveError("usage", f"{name} must be UTF-8 text")
    config.read_config()  # raises if the file is invalid: the user must repair it first
    path = put({name: text.strip() if isinstance(value, str) else _plain(value)})
    run.output.note(f"set {name} in {path}")
    return _warn_if_overridden(run, name)


def remove(run: Runtime, name: str) -> int:
    """Remove a setting, known or unknown, from the user's file. Returns the exit code."""
    from reve_cli.settings.configfile import put

    is_there = name in config.read_config()
    if not is_there or name == API_KEY:
        _check_name(name, "unset")
    path = put({name: None})
    run.output.note(f"removed {name} from {path}" if is_there else f"{name} is not set in {path}")
    return _warn_if_overridden(run, name)


def show_path(run: Runtime) -> int:
    """Print the path of the user's file, which may not exist. Returns the exit code.

    Raises `ReveError` if there is no home folder for it.
    """
    path = config.config_file()
    project = config.project_file()
    if run.output.json:
        run.output.document({"user": path and str(path), "project": project and str(project)})
    elif path is None:
        raise ReveError("config", "no home folder found for the config file", hint="use environment variables")
    else:
        run.output.line(str(path))
    return 0


def as_text(value: Any) -> str:
    """Return a value as text for a variable or for `config set`; empty for None."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Return a whole number without its `.0`, and any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _document(run: Runtime, name: str) -> dict[str, Any]:
    """Return the JSON document of a setting, with nulls if it is unknown."""
    value = run.configured[0].get(name)
    return {
        "name": name,
        "value": _plain(value.value) if value else None,
        "source": value.source if value else None,
        "where": value.where if value else None,
        "default": _plain(SETTINGS[name].default) if value else None,
    }


def _check_name(name: str, action: str) -> None:
    """Raise `ReveError` (code `usage`) for an unknown setting and for the API key."""
    plain = name.lower().replace("-", "_")
    if plain in (API_KEY, API_KEY.replace("_", "")):
        raise ReveError(
            "usage", "the API key is not a setting and never belongs on a command line", hint=_INSTEAD[action]
        )
    if name not in SETTINGS:
        nearest = did_you_mean(plain, SETTINGS)
        raise ReveError("usage", f"unknown setting {name!r}{nearest}", hint="reve config list shows all")


def _warn_if_overridden(run: Runtime, name: str) -> int:
    """Warn if the environment or a project file overrides the change. Returns the exit code."""
    del run.configured  # cached before the change
    value = run.configured[0].get(name)
    if value and value.source in ("environment", "project"):
        run.output.warn(f"{value.where} overrides it here: {as_text(value.value)}")
    if run.output.json:
        run.output.document(_document(run, name))
    return 0


def _report_problems(run: Runtime) -> int:
    """Report each invalid setting. Returns the exit code."""
    problems = run.configured[1]
    for problem in problems:
        run.output.fail(problem)
    return problems[0].exit_code if problems else 0
