"""What `reve auth` does: a key is checked and kept, shown in part, and forgotten.

Imports `runtime`, `inputs`, `credentials`, `configfile`, `config`, `output`, `accounts`, `settings`, `errors`, and
`keychain` late.
"""

import contextlib
from typing import TYPE_CHECKING, Any

from reve_cli.actions.inputs import read_stdin
from reve_cli.api.accounts import Account
from reve_cli.core.errors import ReveError
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
    """Check the key that is typed or handed over, keep it and say where. Returns the exit code.

    Nothing is kept or changed where the API does not take the key, or cannot be asked.
    """
    _refuse_sandbox(run)
    key = _given(run, with_key)
    api = run.api_of(run.settings.base_url, key.text)
    try:
        account = run.ask(lambda: api.account(run.deadline))
    except ReveError as error:
        if error.exit_code != 3:
            raise
        raise error.with_(hint="it is not kept, and nothing is changed; keys come from the Apiframe console") from None
    place = _keep(run, key.text)
    if run.output.json:
        run.output.document(_document(account, Key(key.text, place), api))
    else:
        run.output.line(safe(f"logged in as {_described(account)}; the key is kept in {place}"))
    _warn_of_variable(run)
    return 0


def status(run: Runtime) -> int:
    """Print where the key comes from and whose it is. Returns the exit code."""
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
        run.output.line(safe(f"{label}: {document[name] or '-'}"))
    return 0


def logout(run: Runtime) -> int:
    """Forget the key that is kept, and say where it was. Returns the exit code.

    The keychain stays switched on: it does not tell whether it holds the keys of other base URLs.

    Raises `ReveError` where it may still be in the keychain; it is then gone from the user's file all the same.
    """
    _refuse_sandbox(run)
    setting = config.resolve(run.process.environ)[0][_KEYCHAIN]
    place, problem = None, None
    if setting.value or setting.source == "default":
        try:
            place = run.ask(lambda: _drop(run))
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
        message = f"the key may still be in the keychain, but {problem.message}"
        raise problem.with_(message=message, hint=f"{problem.hint or 'unlock it'}, and run reve auth logout again")
    if run.output.json:
        run.output.document({"removed": removed})
    else:
        for where in removed:
            run.output.line(f"removed the key from {where}")
    if place and setting.source == "user":
        run.output.note(f"keychain stays on, as other base URLs may have keys there: {_SWITCH_OFF} switches it off")
    if not removed:
        run.output.note(f"no key is kept for {run.settings.base_url}")
    return 0


def _given(run: Runtime, with_key: bool) -> Key:
    """The key that the user gives, as one that can be one."""
    if run.api_key_file is not None:
        if with_key:
            raise ReveError("usage", "--with-key and --api-key-file both say where the key is")
        return run.key
    if stdin_is_terminal():
        text = run.output.secret(f"API key for {run.settings.base_url}: ", run.process.signals)
    elif with_key:
        text = read_stdin(_LONGEST_KEY, run.deadline).decode("utf-8-sig", "replace")
    else:
        message = "there is no terminal to ask for the key on: use --with-key, and give it on stdin, or --api-key-file"
        raise ReveError("usage", message)
    if not text.strip():
        raise ReveError("usage", "no key was given, and nothing is changed")
    return checked(text, "standard input")


def _keep(run: Runtime, key: str) -> str:
    """Keep the key in the keychain, or in the user's file where there is none to use. Returns where.

    The old key is never gone before the new one is there: the file is replaced once, after the keychain has it.
    """
    setting = config.resolve(run.process.environ)[0][_KEYCHAIN]
    if setting.value or setting.source == "default":
        try:
            return run.ask(lambda: _keep_in_keychain(run, key))
        except ReveError as error:
            if error.code != "config" or setting.source == "environment":
                raise
            run.output.note(f"not in the keychain, as {error.message}" + (f" ({error.hint})" if error.hint else ""))
    forgets = {} if setting.source == "user" and not setting.value else {_KEYCHAIN: None}
    configfile.put({API_KEY: key, **forgets})
    return place_in_file()


def _keep_in_keychain(run: Runtime, key: str) -> str:
    from reve_cli.settings.keychain import open_keychain

    keychain, origin = open_keychain(run.process.environ), run.settings.base_url
    before = keychain.get(origin)
    try:
        keychain.put(origin, key)
        if keychain.get(origin) != key:
            raise ReveError("config", f"{keychain.place} does not give back what it is given")
        configfile.put({_KEYCHAIN: True, API_KEY: None})
    except ReveError:
        with contextlib.suppress(ReveError):
            keychain.put(origin, before) if before else keychain.drop(origin)
        raise
    return keychain.place


def _drop(run: Runtime) -> str | None:
    """Forget the key of this origin in the keychain. Returns where it was, None where there was none."""
    from reve_cli.settings.keychain import open_keychain

    keychain = open_keychain(run.process.environ)
    return keychain.place if keychain.drop(run.settings.base_url) else None


def _refuse_sandbox(run: Runtime) -> None:
    if run.sandbox:
        raise ReveError("usage", "the sandbox needs no key: without --sandbox and REVE_SANDBOX, this is for a real one")


def _warn_of_variable(run: Runtime) -> None:
    variable = variable_with_key(run.process.environ)
    if variable is not None:
        run.output.warn(f"{variable} holds a key, which is used before any that is kept: unset {variable}")


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


def _described(account: Account) -> str:
    """Whose key it is, as far as the API tells."""
    amount = None if account.credits is None else f"{_amount(account.credits)} credits"
    more = [account.team_name, account.plan and f"plan {account.plan}", amount]
    known = ", ".join(word for word in more if word)
    return (account.email or account.user) + (f" ({known})" if known else "")


def _amount(credits: float) -> str:
    return f"{credits:.10g}"
