"""The work of `reve auth`: check and store the API key, show its first characters, or remove it.

`keychain` is imported late. May import: runtime and every package below it.
"""

import contextlib
from typing import TYPE_CHECKING, Any

from reve_cli.api.accounts import Account
from reve_cli.core.contract import CONSOLE
from reve_cli.core.errors import ReveError
from reve_cli.core.models import plural
from reve_cli.inputs.reading import read_stdin
from reve_cli.runtime import Runtime
from reve_cli.settings import config, configfile
from reve_cli.settings.credentials import Key, checked, place_in_file, variable_with_key
from reve_cli.settings.settings import API_KEY
from reve_cli.terminal.streams import stdin_is_terminal
from reve_cli.terminal.text import safe

if TYPE_CHECKING:
    from reve_cli.api.endpoints import Api

_KEYCHAIN = "keychain"
_SWITCH_OFF = "reve config unset keychain"
_LONGEST_KEY = 4096
_LONGEST_PREFIX = 16


def login(run: Runtime, *, with_key: bool) -> int:
    """Check the user's key, store it and say where. Returns the exit code.

    Changes nothing if the API refuses the key or cannot be reached.
    """
    _refuse_sandbox(run)
    key = _read_key(run, with_key)
    api = run.api_of(run.settings.base_url, key.text)
    try:
        account = run.ask(lambda: api.account(run.deadline))
    except ReveError as error:
        if error.exit_code != 3:
            raise
        raise error.with_(hint=f"nothing was changed; get a key at {CONSOLE}") from None
    place = _store(run, key.text)
    if run.output.json:
        run.output.document(_document(account, Key(key.text, place), api))
    else:
        run.output.line(safe(f"logged in as {_account_in_words(account)}; key stored in {place}"))
    _warn_of_variable(run)
    return 0


def status(run: Runtime) -> int:
    """Print the key's source and its account. Returns the exit code."""
    api = run.api
    key = Key(api.http.key, "the sandbox") if run.sandbox else run.key
    try:
        account = run.ask(lambda: api.account(run.deadline))
    except ReveError as error:
        if error.exit_code != 3:
            raise
        raise error.with_(hint=f"the key {key.prefix} comes from {key.source}") from None
    document = _document(account, key, api)
    if run.output.json:
        run.output.document(document)
        return 0
    document["credits"] = None if account.credits is None else _amount(account.credits)
    for name, label in _LABELS.items():
        label = "simulated credits" if name == "credits" and document["simulated"] else label
        run.output.line(safe(f"{label}: {document[name] or '-'}"))
    return 0


def logout(run: Runtime) -> int:
    """Remove the stored key, and say where it was. Returns the exit code.

    The `keychain` setting stays on, because the keychain may hold keys of other base URLs. Raises `ReveError` if the
    key may still be in the keychain; it is removed from the user's file in any case.
    """
    _refuse_sandbox(run)
    setting = config.resolve(run.process.environ)[0][_KEYCHAIN]
    place, problem = None, None
    if setting.value or setting.source == "default":
        try:
            place = run.ask(lambda: _remove_from_keychain(run))
        except ReveError as error:
            problem = error if setting.value else None
    stored = config.read_config()
    if API_KEY in stored:
        configfile.put({API_KEY: None})
    removed = [*([place] if place else []), *([place_in_file()] if API_KEY in stored else [])]
    _warn_of_variable(run)
    if problem is not None:
        for where in removed:
            run.output.note(f"removed the key from {where}")
        message = f"the key may still be in the keychain: {problem.message}"
        raise problem.with_(message=message, hint=f"{problem.hint or 'unlock it'}, then run reve auth logout again")
    if run.output.json:
        run.output.document({"removed": removed})
    else:
        for where in removed:
            run.output.line(f"removed the key from {where}")
    if place and setting.source == "user":
        run.output.note(f"the keychain stays on for keys of other base URLs; to switch it off: {_SWITCH_OFF}")
    if not removed:
        run.output.note(f"no key is stored for {run.settings.base_url}")
    return 0


def _read_key(run: Runtime, with_key: bool) -> Key:
    """Read the user's key from a file, the terminal or standard input, and check its form."""
    if run.api_key_file is not None:
        if with_key:
            raise ReveError("usage", "--with-key cannot be used with --api-key-file")
        return run.key
    if stdin_is_terminal():
        asked = f"API key for {run.settings.base_url}, from {CONSOLE} (not shown): "
        text = run.output.secret(asked, run.process.signals)
    elif with_key:
        text = read_stdin(_LONGEST_KEY, run.deadline).decode("utf-8-sig", "replace")
    else:
        message = "cannot ask for the key without a terminal: use --with-key or --api-key-file"
        raise ReveError("usage", message)
    if not text.strip():
        raise ReveError("usage", "no key given; nothing was changed")
    return checked(text, "what you typed" if stdin_is_terminal() else "standard input")


def _store(run: Runtime, key: str) -> str:
    """Store the key in the keychain, or in the user's file if there is no usable one. Returns the place.

    The old key stays until the new one is stored: the file is replaced once, after the keychain has the key.
    """
    setting = config.resolve(run.process.environ)[0][_KEYCHAIN]
    if setting.value or setting.source == "default":
        try:
            return run.ask(lambda: _store_in_keychain(run, key))
        except ReveError as error:
            if error.code != "config" or setting.source == "environment":
                raise
            run.output.note(f"keychain not used: {error.message}" + (f" ({error.hint})" if error.hint else ""))
    forgets = {} if setting.source == "user" and not setting.value else {_KEYCHAIN: None}
    configfile.put({API_KEY: key, **forgets})
    return place_in_file()


def _store_in_keychain(run: Runtime, key: str) -> str:
    from reve_cli.settings.keychain import open_keychain

    keychain, origin = open_keychain(run.process.environ), run.settings.base_url
    before = keychain.get(origin)
    try:
        keychain.put(origin, key)
        if keychain.get(origin) != key:
            raise ReveError("config", f"{keychain.place} does not return the key that was stored in it")
        configfile.put({_KEYCHAIN: True, API_KEY: None})
    except ReveError:
        with contextlib.suppress(ReveError):
            keychain.put(origin, before) if before else keychain.drop(origin)
        raise
    return keychain.place


def _remove_from_keychain(run: Runtime) -> str | None:
    """Remove this origin's key from the keychain. Returns the keychain's name, or None if it had no key."""
    from reve_cli.settings.keychain import open_keychain

    keychain = open_keychain(run.process.environ)
    return keychain.place if keychain.drop(run.settings.base_url) else None


def _refuse_sandbox(run: Runtime) -> None:
    if run.sandbox:
        raise ReveError("usage", "the sandbox needs no key: run this without --sandbox and REVE_SANDBOX")


def _warn_of_variable(run: Runtime) -> None:
    variable = variable_with_key(run.process.environ)
    if variable is not None:
        run.output.warn(f"{variable} is set and overrides the stored key; to use the stored key: unset {variable}")


_LABELS = {
    "source": "key from",
    "prefix": "key",
    "keyName": "key name",
    "baseUrl": "base URL",
    "email": "email",
    "role": "role",
    "team": "team",
    "plan": "plan",
    "credits": "credits",
}


def _document(account: Account, key: Key, api: "Api") -> dict[str, Any]:
    prefix = account.key_prefix
    return {
        "source": key.source,
        "prefix": prefix if prefix and len(prefix) <= _LONGEST_PREFIX else key.prefix,
        "keyName": account.key_name,
        "baseUrl": api.http.base_url,
        "email": account.email,
        "role": account.role,
        "team": account.team_name,
        "plan": account.plan,
        "credits": account.credits,
        "simulated": api.http.simulated,
    }


def _account_in_words(account: Account) -> str:
    """Return the account in words: email, team, plan and credits, as far as known."""
    amount = None if account.credits is None else plural(account.credits, "credit")
    more = [account.team_name, account.plan and f"plan {account.plan}", amount]
    known = ", ".join(word for word in more if word)
    return (account.email or account.user) + (f" ({known})" if known else "")


def _amount(credits: float) -> str:
    return f"{credits:.10g}"
