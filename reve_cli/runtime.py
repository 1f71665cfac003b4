"""Everything one run of a command needs, built when it is first asked for. Imports all below the commands.

What is slow to load (httpx, and all that imports it) is imported inside functions here: a run that is refused before it
sends anything never pays for it.
"""

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reve_cli.core.clock import Deadline, Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.process import Process
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming
from reve_cli.settings import config
from reve_cli.settings.settings import Settings, seconds
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import stdout_is_terminal
from reve_cli.terminal.text import quote

if TYPE_CHECKING:
    from reve_cli.api.endpoints import Api
    from reve_cli.core.endings import Goal
    from reve_cli.engine.report import Shows
    from reve_cli.engine.saving import Saver
    from reve_cli.journal.journal import Journal, Row
    from reve_cli.journal.ledger import Ledger
    from reve_cli.settings.credentials import Key

T = TypeVar("T")

_ABANDON = " --abandon "
"""In a command that nobody should run unseen, among others."""


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
        """`lenient`: settings that are wrong count for nothing, and are no error."""
        self.process = process
        self.output = process.output = Output(process.environ, json=json, quiet=quiet)
        self.sandbox = sandbox or config.truthy(process.environ.get("REVE_SANDBOX"))
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.to_finish: list[str] = []
        """Commands that finish what this run has left unfinished."""
        self.debugging = self.debug if debug else None
        """Where debug lines go from any thread, if they are wanted."""
        self.api_key_file = api_key_file
        self._timeout, self._lenient = timeout, lenient
        self._thread = threading.local()
        self._resources = contextlib.ExitStack()
        self.output.color = self.configured[0]["color"].value
        self.deadline = Deadline(process.clock, self.settings.timeout)
        self.output.gave_up = lambda: bool(process.stop) or self.deadline.passed

    def take_your_time(self) -> None:
        """For what may take hours: there is no time limit but one that was given to this command."""
        if self._timeout is None:
            self.deadline = Deadline(self.process.clock, math.inf)

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        self.output.rest()
        self._resources.close()

    @cached_property
    def configured(self) -> tuple[dict[str, config.Value], list[ReveError]]:
        """Each setting with its source, and all that is wrong."""
        return config.resolve(self.process.environ)

    @cached_property
    def settings(self) -> Settings:
        """Settings with the common flags laid over them. A project file that is refused counts for nothing here."""
        values, problems = self.configured
        own = [problem for problem in problems if not isinstance(problem, config.BadProjectFile)]
        if own and not self._lenient:
            raise own[0]
        settings = config.settings_of(values)
        if values["timeout"].source == "project":  # a folder that was cloned ends nothing that goes on with paid jobs
            own_values, _ = config.resolve(self.process.environ, with_project=False)
            settings = replace(settings, timeout=own_values["timeout"].value)
        if self._timeout is not None:
            try:
                settings = replace(settings, timeout=seconds(self._timeout))
            except ValueError:
                message = f"--timeout {self._timeout!r} is not a number of seconds up to 86400"
                raise ReveError("usage", message) from None
        return settings

    @property
    def defaults(self) -> Settings:
        """The settings for what is made and saved. Raises `ReveError` where the project file is refused.

        Only these depend on it, but for the time limit: a folder that was cloned keeps nobody from his paid images.
        """
        for problem in self._project_problems:
            raise problem
        return self.settings

    def limit_as_project_says(self) -> None:
        """Let the time limit of the project count: for what begins something, and for nothing else."""
        limit = self.configured[0]["timeout"]
        if limit.source == "project" and self._timeout is None:
            self.deadline = Deadline(self.process.clock, limit.value)

    @property
    def _project_problems(self) -> list[ReveError]:
        return [problem for problem in self.configured[1] if isinstance(problem, config.BadProjectFile)]

    @property
    def flags(self) -> list[str]:
        """The common flags that a command which goes on with this one's jobs needs as well."""
        key_file = [f"--api-key-file={os.path.abspath(self.api_key_file)}"] if self.api_key_file else []
        return ["--sandbox"] if self.sandbox else key_file

    @cached_property
    def api(self) -> "Api":
        """The API, real or simulated. Raises `ReveError` where there is no key."""
        for problem in self._project_problems:
            self.output.warn(f"{problem.message}; it counts for nothing here")
        if self.sandbox:
            return self.api_of(*self._start_sandbox())
        return self.api_of(self.settings.base_url, self.key.text)

    @cached_property
    def key(self) -> "Key":
        """The real API's key. Raises `ReveError` where there is none."""
        return self.find_key(self.output.warn)

    def find_key(self, warn: Callable[[str], None]) -> "Key":
        """The same, with what is wrong about its file told to `warn`."""
        from reve_cli.settings.credentials import find_key

        return find_key(self.api_key_file, self.process.environ, self.settings, warn, self.ask)

    def api_of(self, base_url: str, key: str, limits: Limits | None = None) -> "Api":
        """The API at `base_url`, asked with `key`, and with another patience than the run's where `limits` say so."""
        from reve_cli.api.endpoints import Api
        from reve_cli.api.http import Http

        process = self.process
        http = Http(
            base_url,
            key,
            clock=process.clock,
            stop=process.stop,
            limits=limits or process.limits,
            say=self.say,
            debug=self.debugging,
        )
        http.simulated = self.sandbox
        self._resources.callback(http.close)
        return Api(http)

    def ask(self, question: Callable[[], T], deadline: Deadline | None = None) -> T:
        """The answer to `question`, asked in a thread: a silent name server holds up no signal and no time limit.

        deadline: a time limit of its own. Raises what `question` raises, and `ReveError` (code `timed_out`).
        """
        if getattr(self._thread, "asks", False):  # in such a thread already
            return question()
        deadline = deadline or self.deadline
        answers: list[T] = []
        problems: list[BaseException] = []
        finished: list[bool] = []

        def work() -> None:
            self._thread.asks = True
            try:
                answers.append(question())
            except BaseException as error:
                problems.append(error)
            self.inbox.put(lambda: finished.append(True))  # after all that was said meanwhile

        threading.Thread(target=work, daemon=True).start()
        while not finished:
            patience = max(deadline.left, 0.0) + self.process.limits.grace
            then = self.process.clock.receive(self.inbox, patience, idle=False)
            if then is None:
                api: Api | None = vars(self).get("api")  # not built here: that may be what hangs
                trouble = f" ({api.http.trouble})" if api and api.http.trouble else ""
                message = f"the time limit of {deadline.seconds:g} s passed without an answer{trouble}"
                raise ReveError("timed_out", message)
            then()
        if problems:
            raise problems[0]
        return answers[0]

    def say(self, text: str) -> None:
        """A note from any thread."""
        self.inbox.put(lambda: self.output.note(text))

    def debug(self, text: str) -> None:
        """A debug line from any thread."""
        self.inbox.put(lambda: self.output.debug(text))

    @property
    def state(self) -> Path | None:
        """This run's state folder, if there can be one: the sandbox has its own."""
        folder = config.state_folder(self.process.environ)
        return folder / config.SANDBOX if folder and self.sandbox else folder

    def _start_sandbox(self) -> tuple[str, str]:
        from reve_cli.sandbox.simulation import simulate

        simulation = simulate(self.process)
        self._resources.callback(simulation.stop)
        self.output.note("sandbox: simulated on this machine, nothing is charged")
        return simulation.url, simulation.key

    def ledger(self, *, begin: bool) -> "Ledger":
        """What is written of this run's tasks into the journal. `begin`: also where there is no journal yet."""
        from reve_cli.journal.ledger import Ledger

        journal, lost = self.journal(begin=begin)
        if begin and journal is None and self.keeps_a_journal:
            self.output.warn(f"crash safety is off: {lost}")
        http = self.api.http
        origin, key = ("sandbox", "") if self.sandbox else (http.base_url, http.key)
        return Ledger(
            journal,
            origin=origin,
            key=key,
            clock=self.process.clock,
            say=self.say,
            lost=lost,
            keep_days=self.settings.history_days,
        )

    @property
    def keeps_a_journal(self) -> bool:
        """Whether the user wants a journal."""
        return config.truthy(self.process.environ.get("REVE_JOURNAL") or "on")

    def journal(self, *, begin: bool) -> "tuple[Journal | None, str]":
        """The journal, or None and why there is none."""
        if not self.keeps_a_journal:
            return None, "REVE_JOURNAL turns the journal off"
        if self.state is None:
            return None, "there is no home folder to keep the journal in; set REVE_STATE_DIR"
        from reve_cli.journal.database import JournalError
        from reve_cli.journal.journal import open_journal

        try:
            journal = open_journal(self.state, self.process.clock, self.output.warn, begin=begin)
        except JournalError as error:
            elsewhere = "; REVE_STATE_DIR names another folder" if isinstance(error.__cause__, OSError) else ""
            return None, f"{error}{elsewhere}"
        if journal is not None:
            self._resources.callback(journal.close)
        return journal, ""

    def naming(self, out: str | None, tasks: Sequence[Task], *, force: bool) -> Naming:
        """Where the images of `tasks` go, by `--out`."""
        from datetime import UTC, datetime

        date = datetime.fromtimestamp(self.process.clock.now(), UTC).date().isoformat()
        settings = self.defaults
        naming = Naming(
            out, settings.output_folder, jobs=len(tasks), force=force, date=date, default=settings.name_template
        )
        if naming.to_stdout and self.output.json:
            raise ReveError("usage", f"--out {out} and --json both want standard output")
        if naming.to_stdout and stdout_is_terminal():
            raise ReveError("usage", f"--out {out} would print an image on a terminal; redirect it, or name a file")
        return naming

    @contextlib.contextmanager
    def keeping(self, tasks: Sequence[Task], command: str) -> Iterator[None]:
        """Jobs that came through a pipe are named nowhere else: no mistake in how to save them may lose them."""
        try:
            yield
        except ReveError as error:
            if not tasks or error.exit_code not in (2, 7):
                raise
            why = f"{error.message}; nothing is saved of the {len(tasks)} jobs that came in; finish them with:"
            words = ["reve", command, *(str(task.job_id) for task in tasks), *self.flags]
            raise ReveError("unsaved", why, hint=f"{' '.join(map(quote, words))} --out PATH") from error

    def follow(self, tasks: Sequence[Task], goal: "Goal", shows: "Shows", naming: Naming | None = None) -> int:
        """Take jobs that are named by their ids to `goal`. Returns the exit code."""
        ledger = self.ledger(begin=False)
        ledger.attach(tasks)
        return self.run(tasks, goal, shows, ledger, (lambda _: naming) if naming else None)

    def run(
        self,
        tasks: Sequence[Task],
        goal: "Goal",
        shows: "Shows",
        ledger: "Ledger",
        naming_of: "Callable[[Task], Naming] | None" = None,
        rows: "Mapping[int, Row] | None" = None,
        *,
        by_run: bool = False,
        note: Callable[[Task], None] | None = None,
    ) -> int:
        """Take `tasks` to `goal`, saving where `naming_of` says, printing what `shows` says. Returns the exit code.

        rows: those of tasks that are taken up, by the task's index. by_run: the tasks are all that their run has.
        note: told each that ended.
        """
        from reve_cli.engine.engine import Engine
        from reve_cli.engine.recovery import finish_command, resume_command
        from reve_cli.engine.report import Report

        def recover(task: Task) -> str:
            if ledger.can_resume(task):
                return resume_command([_name(task)], self.flags)
            return finish_command(task, naming_of(task) if naming_of else None, self.flags)

        saver = self.saver(naming_of, ledger) if naming_of else None
        for task in tasks:
            if saver and rows and task.index in rows:
                from reve_cli.engine.takeup import recover_files

                recover_files(task, rows[task.index], saver)
        model = next((task.request.model for task in tasks if task.request), self.settings.model)
        report = Report(
            self.output,
            self.process.clock,
            tasks,
            shows,
            simulated=lambda: self.api.http.simulated,
            is_over=lambda: bool(self.process.stop) or self.deadline.passed,
        )
        report.note = note or report.note
        engine = Engine(
            api=self.api,
            ledger=ledger,
            saver=saver,
            inbox=self.inbox,
            deadline=self.deadline,
            signals=self.process.signals,
            watcher=report,
            recover=recover,
            past=ledger.durations(model),
        )
        for task in tasks:
            if task.phase == "done":
                report.done(task)
        engine.run(tasks, goal)
        self.output.rest()
        hints = {task.index: task.error.hint for task in tasks if task.error and task.error.exit_code == 75}
        resumable = [task for task in tasks if hints.get(task.index) == recover(task) and ledger.can_resume(task)]
        names = {str(task.run) for task in resumable} if by_run else {_name(task) for task in resumable}
        resume = [resume_command(sorted(names), self.flags)] if resumable else []
        done_with = {task.index for task in resumable}
        others = [hint for index, hint in hints.items() if hint and index not in done_with and _ABANDON not in hint]
        self.to_finish += [*others, *resume]
        report.total(" && ".join([*others, *resume]))
        return report.exit_code()

    def saver(self, naming_of: Callable[[Task], Naming], ledger: "Ledger") -> "Saver":
        """What saves images where `naming_of` a task says."""
        from reve_cli.api.download import Images
        from reve_cli.api.origins import Origins
        from reve_cli.engine.saving import Saver

        process = self.process
        images = Images(
            Origins(public=not self.sandbox, loopback=self.api.http.loopback),
            clock=process.clock,
            stop=process.stop,
            limits=process.limits,
            debug=self.debugging,
        )
        self._resources.callback(images.close)
        return Saver(images, naming_of, self.state, self.say, ledger.publishing, ledger.is_kept)


def _name(task: Task) -> str:
    """What the journal knows a task by."""
    return task.job_id or task.idempotency_key or ""
