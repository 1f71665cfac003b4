"""What one run of a command needs: settings, deadline, API, journal, naming. Each part is built at its first use.

Slow libraries are imported inside functions here, so a run that is refused before it sends anything does not load them.
May import: sandbox, settings, engine, journal, terminal, api, core.
"""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reve_cli.core.clock import Deadline, Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import local_path
from reve_cli.core.process import Process
from reve_cli.core.tasks import Metadata, Style, Task
from reve_cli.engine.naming import Naming
from reve_cli.engine.workers import Inbox, check_threads, no_threads
from reve_cli.settings import config, folders
from reve_cli.settings.settings import Settings, seconds
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import stdout_is_terminal

if TYPE_CHECKING:
    from reve_cli.api.endpoints import Api
    from reve_cli.engine.engine import Engine
    from reve_cli.journal.journal import Journal
    from reve_cli.journal.ledger import Ledger
    from reve_cli.settings.credentials import Key

T = TypeVar("T")


class Runtime:
    """One run of one command."""

    def __init__(
        self,
        process: Process,
        *,
        json: bool,
        quiet: bool,
        debug: bool,
        sandbox: bool,
        api_key_file: str | None,
        timeout: str | None,
        lenient: bool = False,
    ) -> None:
        """lenient: ignore invalid settings instead of raising `ReveError`."""
        self.process = process
        self.output = process.output = Output(process.environ, json=json, quiet=quiet)
        self.sandbox = sandbox or folders.truthy(process.environ.get("REVE_SANDBOX"))
        self.inbox = Inbox(process.clock, process.limits.grace)
        # Prints a debug line, from any thread; None without --debug.
        self.debugging = self.debug if debug else None
        self.api_key_file = None if api_key_file is None else local_path(api_key_file, "--api-key-file")
        # More keys that may sign webhooks; and what is called with each engine before it runs.
        self.other_key_files: Sequence[str] = ()
        self.attach: Callable[[Engine], None] = lambda engine: None
        self._timeout, self._lenient = timeout, lenient
        self._metadata: Metadata | None = None
        self._journal: Journal | None = None
        self._quality: int | None = None
        self.resources = contextlib.ExitStack()
        self.output.color = self.configured[0]["color"].value
        self.deadline = Deadline(process.clock, self.settings.timeout)
        self.output.gave_up = self.is_over

    def is_over(self) -> bool:
        """Whether a signal arrived or the time limit passed."""
        return bool(self.process.stop) or self.deadline.passed

    def is_simulated(self) -> bool:
        """Whether the API is a sandbox. Raises `ReveError` if there is no API key."""
        return self.api.http.simulated

    def take_your_time(self) -> None:
        """Drop the time limit unless --timeout was given: the command may take hours."""
        if self._timeout is None:
            self.deadline = Deadline(self.process.clock, math.inf)

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        self.output.rest()
        self.resources.close()

    @cached_property
    def configured(self) -> tuple[dict[str, config.Value], list[ReveError]]:
        """Each setting with its source, and every problem found."""
        return config.resolve(self.process.environ)

    @cached_property
    def settings(self) -> Settings:
        """The settings, with the common flags applied. An invalid project file is ignored here."""
        values, problems = self.configured
        own = [problem for problem in problems if not isinstance(problem, config.BadProjectFile)]
        if own and not self._lenient:
            raise own[0]
        settings = config.settings_of(values)
        if values["timeout"].source == "project":  # a cloned folder must not end the wait for paid jobs
            own_values, _ = config.resolve(self.process.environ, with_project=False)
            settings = replace(settings, timeout=own_values["timeout"].value)
        if self._timeout is not None:
            try:
                settings = replace(settings, timeout=seconds(self._timeout))
            except ValueError:
                message = f"--timeout {self._timeout!r} is not a time such as 90, 90s, 10m or 2h, and at most 24h"
                raise ReveError("usage", message) from None
        return settings

    @property
    def defaults(self) -> Settings:
        """The settings for new images and saved files. Raises `ReveError` if the project file is invalid.

        Commands that only fetch paid images use `settings`: a cloned folder must not keep anybody from them.
        """
        for problem in self._project_problems:
            raise problem
        return self.settings

    def limit_as_project_says(self) -> None:
        """Apply the project file's time limit. Only commands that submit new jobs call this."""
        limit = self.configured[0]["timeout"]
        if limit.source == "project" and self._timeout is None:
            self.deadline = Deadline(self.process.clock, limit.value)

    @property
    def _project_problems(self) -> list[ReveError]:
        return [problem for problem in self.configured[1] if isinstance(problem, config.BadProjectFile)]

    @property
    def flags(self) -> list[str]:
        """The common flags that a command needs to continue with this run's jobs."""
        key_file = [f"--api-key-file={os.path.abspath(self.api_key_file)}"] if self.api_key_file else []
        return ["--sandbox"] if self.sandbox else key_file

    @cached_property
    def api(self) -> "Api":
        """The API, real or simulated. Raises `ReveError` if there is no key."""
        for problem in self._project_problems:
            self.output.warn(f"{problem.message}; it is ignored here")
        if not self.sandbox:
            base_url, key = self.settings.base_url, self.key.text
            check_threads()
            return self.api_of(base_url, key)
        try:
            return self.api_of(*self._start_sandbox())
        except RuntimeError:
            raise no_threads() from None

    @cached_property
    def key(self) -> "Key":
        """The real API's key. Raises `ReveError` if there is none."""
        return self.find_key(self.output.warn)

    def find_key(self, warn: Callable[[str], None]) -> "Key":
        """Look up the key. warn: called for each problem of the key's file."""
        from reve_cli.settings.credentials import find_key

        return find_key(self.api_key_file, self.process.environ, self.settings, warn, self.ask)

    def api_of(self, base_url: str, key: str, limits: Limits | None = None) -> "Api":
        """The API at `base_url`, used with `key`. limits: replace the run's time-outs and number of tries."""
        from reve_cli.api.endpoints import Api
        from reve_cli.api.http import Http
        from reve_cli.api.sending import Sender

        process = self.process
        http = Http(
            base_url,
            key,
            clock=process.clock,
            stop=process.stop,
            limits=limits or process.limits,
            debug=self.debugging,
        )
        http.simulated = self.sandbox
        self.resources.callback(http.close)
        return Api(Sender(http, self.say))

    def ask(self, question: Callable[[], T], deadline: Deadline | None = None) -> T:
        """Call `question` in a thread until `deadline` (default: the time limit of the run). See `Inbox.ask`."""

        def trouble() -> str:
            api: Api | None = vars(self).get("api")  # not built here: building it may be what hangs
            return (api.sender.trouble or "") if api else ""

        return self.inbox.ask(question, deadline or self.deadline, trouble, self.output.redraw)

    def say(self, text: str) -> None:
        """Print a note, from any thread."""
        self.inbox.put(lambda: self.output.note(text))

    def debug(self, text: str) -> None:
        """Print a debug line, from any thread."""
        self.inbox.put(lambda: self.output.debug(text))

    @property
    def state(self) -> Path | None:
        """This run's state folder, None without a home folder. The sandbox has its own."""
        folder = folders.state_folder(self.process.environ)
        local_path(self.process.environ.get("REVE_STATE_DIR", ""), "REVE_STATE_DIR")  # refuses a URL
        return folder / folders.SANDBOX if folder and self.sandbox else folder

    def _start_sandbox(self) -> tuple[str, str]:
        from reve_cli.sandbox.simulation import simulate

        simulation = simulate(self.process)
        self.resources.callback(simulation.stop, grace=1)
        self.output.note("sandbox: simulated on this machine, with simulated credits")
        return simulation.url, simulation.key

    def ledger(self, *, begin: bool) -> "Ledger":
        """The writer of this run's facts to the journal. begin: create the journal if there is none."""
        from reve_cli.journal.ledger import Ledger

        journal, lost = self.journal(begin=begin)
        if begin and journal is None and self.keeps_a_journal:
            self.output.warn(f"crash safety is off: {lost}")
        http = self.api.http
        origin, key = ("sandbox", "") if self.sandbox else (http.base_url, http.key)
        days = self.settings.history_days
        return Ledger(
            journal, origin=origin, key=key, clock=self.process.clock, say=self.say, lost=lost, keep_days=days
        )

    @property
    def keeps_a_journal(self) -> bool:
        """Whether the user wants a journal."""
        return folders.truthy(self.process.environ.get("REVE_JOURNAL") or "on")

    def journal(self, *, begin: bool) -> "tuple[Journal | None, str]":
        """The journal, or None and the reason. begin: create it if there is none."""
        if self._journal is not None:
            return self._journal, ""
        if not self.keeps_a_journal:
            return None, "REVE_JOURNAL turns the journal off"
        if self.state is None:
            return None, "there is no home folder to keep the journal in; set REVE_STATE_DIR"
        from reve_cli.journal.database import JournalError
        from reve_cli.journal.journal import open_journal

        try:
            self._journal = open_journal(self.state, self.process.clock, self.output.warn, begin=begin)
        except JournalError as error:
            elsewhere = "; set REVE_STATE_DIR to use another folder" if isinstance(error.__cause__, OSError) else ""
            return None, f"{error}{elsewhere}"
        if self._journal is not None:
            self.resources.callback(self._journal.close)
        return self._journal, ""

    def naming(self, out: str | None, tasks: Sequence[Task], *, force: bool) -> Naming:
        """The paths of the images of `tasks`, by `--out` and the settings."""
        from datetime import UTC, datetime

        out = None if out is None else local_path(out, "--out")
        date = datetime.fromtimestamp(self.process.clock.now(), UTC).date().isoformat()
        settings = self.defaults
        naming = Naming(
            out, settings.output_folder, jobs=len(tasks), force=force, date=date, default=settings.name_template
        )
        if self._quality and not naming.converts:
            raise ReveError("usage", "--quality needs an --out that ends in .jpg, .webp or .avif")
        if naming.to_stdout and self.output.json:
            raise ReveError("usage", f"--out {out} and --json both write to standard output; use one of them")
        if naming.to_stdout and stdout_is_terminal():
            raise ReveError("usage", f"--out {out} would print an image on a terminal; redirect it or name a file")
        return naming

    def choose_style(self, metadata: Metadata | None, quality: int | None, *, saves: bool = True) -> None:
        """Take the options for how images are saved. saves: whether any are; raises `ReveError` if not."""
        if not saves and (metadata or quality):
            raise ReveError("usage", "--metadata and --quality need --out")
        self._metadata, self._quality = metadata, quality

    @property
    def style(self) -> Style:
        """How images are saved, by the options and the settings."""
        return Style(self._metadata or self.settings.metadata, self._quality or self.settings.quality)
