"""The checks of `doctor`: their order, which check needs which, and how their findings are printed.

A check that fails does not stop the others. Slow to load, like `api.http`.

May import: the rest of this package, api, core, settings; runtime for types only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reve_cli.api.origins import Origins
from reve_cli.core.clock import Deadline
from reve_cli.core.contract import CONSOLE
from reve_cli.core.endings import fault
from reve_cli.core.errors import ErrorCode, ReveError, worst
from reve_cli.doctor import checks, probes
from reve_cli.doctor.completion import completion
from reve_cli.doctor.findings import Finding, lines, problem
from reve_cli.settings import config

if TYPE_CHECKING:
    from reve_cli.api.endpoints import Api
    from reve_cli.core.clock import Limits
    from reve_cli.runtime import Runtime
    from reve_cli.settings.credentials import Key

_COLORS = {"ok": "green", "hint": "yellow", "problem": "red"}
_BASE_URL = "settings (base_url)"
# For errors without a hint of their own.
_REMEDIES = {
    "key": f"set APIFRAME_API_KEY to a key from {CONSOLE}, or run reve auth login",
    "proxy": "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
    "certificates": "correct or unset SSL_CERT_FILE or SSL_CERT_DIR",
    "state": "make it readable and writable for your user",
    "journal": "make it readable and writable for your user",
    "port": "choose another port",
}
_REMEDY_WITHOUT_ANSWER = "check network, DNS and proxy, then try again"
_REMEDY_AFTER_ANSWER = "check the base URL: reve config get base_url"
# Checks of this machine alone; --timeout does not limit them.
_LOCAL = ("reve", "settings", "state", "journal", "terminal", "completion", "port")


def examine(run: "Runtime", listen: str | None = None) -> int:
    """Run every check and print its findings. Returns the exit code of the worst problem.

    listen: also check that webhooks can arrive there, as `[HOST:]PORT`.
    """
    codes, counts = [0], dict.fromkeys(_COLORS, 0)
    surroundings = run.output.surroundings()  # before a spinner changes them
    for found in Doctor(run, surroundings, listen).findings():
        counts[found.status] += 1
        codes.append(found.exit_code)
        if run.output.json:
            run.output.document(found.document())
        elif found.status != "ok" or not run.output.quiet:
            first, *others = lines(found, surroundings["columns"])
            run.output.line(first, _COLORS[found.status])
            for line in others:
                run.output.line(line)
    run.output.note(", ".join(f"{name}: {count}" for name, count in counts.items()))
    return worst(codes)


class Doctor:
    """Runs the checks in order. Keeps what later checks need: the key, and which checks failed."""

    def __init__(self, run: "Runtime", surroundings: Mapping[str, Any], listen: str | None) -> None:
        self._listen = listen
        self._run, self._environ, self._surroundings = run, run.process.environ, surroundings
        self._key: Key | None = None
        self._failed: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        """Every finding, as soon as it is made."""
        # Started first, so that its note is printed before all findings.
        simulated = self._make("sandbox", self._sandbox) if self._run.sandbox else []
        yield from self._make("reve", checks.versions)
        yield from self._make("settings", self._settings)
        yield from simulated or self._make("key", self._find_key)
        yield from self._make("proxy", lambda: probes.proxy(self._base_url), "sandbox")
        yield from self._make("certificates", lambda: probes.certificates(self._base_url, self._environ), "sandbox")
        yield from self._make("api", self._ask_api, "sandbox", "proxy", "certificates")
        yield from self._make("account", self._account, _BASE_URL, "key", "api")
        yield from self._make("images", self._images, "account")
        yield from self._make("state", lambda: checks.state(self._run.state))
        yield from self._make("journal", self._journal, "state")
        yield from self._make("terminal", lambda: checks.terminal(self._surroundings))
        yield from self._make("completion", lambda: completion(self._environ))
        if self._listen is not None:
            address = self._listen
            yield from self._make("port", lambda: checks.port(address, self._run.state))

    def _make(self, name: str, check: Callable[[], Iterable[Finding]], *needs: str) -> list[Finding]:
        """The findings of a check; the single finding "not checked" if a check it needs has failed."""
        missing = [need for need in needs if need in self._failed]
        skipped = [Finding(name, "hint", "not checked", f"solve this first: {need}") for need in missing[:1]]
        found = skipped or self._run_check(name, check)
        if skipped or any(each.check == name and each.status == "problem" for each in found):
            self._failed.add(name)
        return found

    def _run_check(self, name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
        """Run a check in a thread, within its time limit. An error becomes a finding."""
        run = self._run
        patience = self._patience() if name not in _LOCAL else Deadline(run.process.clock, probes.PATIENCE)
        if run.deadline.passed and name not in _LOCAL:
            error = ReveError("timed_out", f"not checked: the time limit of {run.deadline.seconds:g} s has passed")
            return [problem(name, error, "raise --timeout")]
        run.output.spin(f"checking: {name}")
        try:
            return run.ask(lambda: list(check()), patience)
        except ReveError as error:
            return [
                problem(
                    name,
                    error,
                    _REMEDIES.get(name, _REMEDY_WITHOUT_ANSWER if error.exit_code == 6 else _REMEDY_AFTER_ANSWER),
                )
            ]
        except OSError as error:
            code: ErrorCode = "journal" if name in ("state", "journal") else "config"
            return [problem(name, ReveError(code, f"{error.filename}: {error.strerror}"), _REMEDIES["state"])]
        except Exception as error:
            return [
                problem(name, fault(error), "this is a bug in reve; report it with the output of reve doctor --json")
            ]

    def _patience(self) -> Deadline:
        return Deadline(self._run.process.clock, min(probes.PATIENCE, self._run.deadline.left))

    def _settings(self) -> Iterator[Finding]:
        values, problems = config.resolve(self._environ)
        if not self._run.sandbox and not checks.base_url_is_known(values, self._environ):
            self._failed.add(_BASE_URL)
        return checks.settings(values, problems)

    def _sandbox(self) -> Iterator[Finding]:
        url = self._run.api.http.base_url
        yield Finding("sandbox", "ok", "the API is simulated on this machine; no key is needed", details={"url": url})

    def _find_key(self) -> Iterator[Finding]:
        warnings: list[str] = []
        try:
            self._key = self._run.find_key(warnings.append)
        except ReveError as error:
            if error.code != "no_key" or not error.hint:
                raise
            said = "no API key in a key file, the environment, the keychain or the config file"
            raise error.with_(message=said, hint=_REMEDIES["key"]) from error
        return checks.key(self._key, warnings)

    @property
    def _base_url(self) -> str:
        return self._run.api.http.base_url if self._run.sandbox else self._run.settings.base_url

    @cached_property
    def _limits(self) -> "Limits":
        return probes.limits_of(self._run.process.limits)

    @cached_property
    def _api(self) -> "Api":
        key = self._run.api.http.key if self._key is None else self._key.text
        return self._run.api_of(self._base_url, key, self._limits)

    def _ask_api(self) -> Iterator[Finding]:
        return probes.api(self._base_url, self._run.process.clock, self._limits, self._patience())

    def _account(self) -> Iterator[Finding]:
        return probes.account(self._api, self._patience())

    def _images(self) -> Iterator[Finding]:
        origins = Origins(public=not self._run.sandbox, loopback=self._api.http.loopback)
        return probes.images(self._api, origins, self._patience(), self._run.debugging)

    def _journal(self) -> Iterator[Finding]:
        run = self._run
        flags = [
            part for flag in run.flags for part in flag.split("=", 1)
        ]  # a shell expands ~ only at the start of a word
        return checks.journal(run.state, run.process.clock, flags, keeps=run.keeps_a_journal)
