"""The checks of `doctor`, one after the other: which there are, what depends on what, and how they are told.

Whatever one check runs into, the others are made. Imports `probes`, `checks`, `config`, `origins`, `endings`, `clock`,
`output`, `errors`; slow to load, like `http`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reve_cli.api.origins import Origins
from reve_cli.core.clock import Deadline
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
_REMEDIES = {
    "key": "set APIFRAME_API_KEY to a key from the Apiframe console, or run reve auth login",
    "proxy": "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
    "certificates": "correct SSL_CERT_FILE or SSL_CERT_DIR, or unset it",
    "state": "make it readable and writable for you",
    "journal": "make it readable and writable for you",
}
_REMEDY = "check the network, its name server and the proxy; then try again"
_OTHER_REMEDY = "check the base URL: reve config get base_url"
"""What to do about an error of a check that says nothing of it: where no answer came, and where one did."""
_LOCAL = ("reve", "settings", "state", "journal", "terminal", "completion")
"""Checks that ask nobody: the time limit is not theirs."""


def examine(run: "Runtime") -> int:
    """Make every check and print what it finds. Returns the exit code: that of the worst problem."""
    codes, counts = [0], dict.fromkeys(_COLORS, 0)
    surroundings = run.output.surroundings()  # before a spinner stands before them
    for found in Doctor(run, surroundings).findings():
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
    """The checks of one run. What they find they keep for those that depend on it."""

    def __init__(self, run: "Runtime", surroundings: Mapping[str, Any]) -> None:
        self._run, self._environ, self._surroundings = run, run.process.environ, surroundings
        self._key: Key | None = None
        self._failed: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        """Every finding, as soon as it is known."""
        # first, so that what is said of the sandbox's start stands before all findings
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

    def _make(self, name: str, check: Callable[[], Iterable[Finding]], *needs: str) -> list[Finding]:
        """The findings of a check, made in a thread with a patience of its own, unless something it needs failed."""
        missing = [need for need in needs if need in self._failed]
        skipped = [Finding(name, "hint", "not checked", f"first see to: {need}") for need in missing[:1]]
        found = skipped or self._ask(name, check)
        if skipped or any(each.check == name and each.status == "problem" for each in found):
            self._failed.add(name)
        return found

    def _ask(self, name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
        run = self._run
        patience = self._patience() if name not in _LOCAL else Deadline(run.process.clock, probes.PATIENCE)
        if run.deadline.passed and name not in _LOCAL:
            error = ReveError("timed_out", f"not checked: the time limit of {run.deadline.seconds:g} s has passed")
            return [problem(name, error, "give it more with --timeout")]
        run.output.spin(f"checking: {name}")
        try:
            return run.ask(lambda: list(check()), patience)
        except ReveError as error:
            return [problem(name, error, _REMEDIES.get(name, _REMEDY if error.exit_code == 6 else _OTHER_REMEDY))]
        except OSError as error:
            code: ErrorCode = "journal" if name in ("state", "journal") else "config"
            return [problem(name, ReveError(code, f"{error.filename}: {error.strerror}"), _REMEDIES["state"])]
        except Exception as error:
            return [problem(name, fault(error), "report it, with what reve doctor --json prints: it is reve's")]

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
            said = "there is none: not in a key file, the environment, the keychain or the config file"
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
        flags = [part for flag in run.flags for part in flag.split("=", 1)]  # a shell expands ~ at a word's start
        return checks.journal(run.state, run.process.clock, flags, keeps=run.keeps_a_journal)
