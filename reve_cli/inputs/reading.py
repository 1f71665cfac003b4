"""Turns arguments, files and standard input into requests, seeds and job ids.

May import: api.origins, engine.naming, journal.names (late), terminal, core.
"""

import codecs
import hashlib
import io
import json
import os
import random
import re
import select
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from reve_cli.api.origins import Origins
from reve_cli.core.clock import Deadline
from reve_cli.core.contract import IDEMPOTENCY_KEY_LIMIT, SEED_LIMIT, WEBHOOK_EVENTS
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import UUID, ImageRequest, echo, is_header_text, is_loopback, job_id
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.tasks import Task, new_key
from reve_cli.engine.naming import Naming
from reve_cli.terminal.streams import stdin_is_terminal

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

_LONGEST = 1 << 20
"""Most bytes that are read of a prompt, far more than any has."""
_LONGEST_WORD = 10_000
_MANY_WORDS = 1_000_000
_CHUNK = 1 << 16
_AROUND = "\ufeff\"'`\u2018\u2019\u201c\u201d<>[](){},;"
"""What may stand around a job id that was copied from JSON, a table or a text."""
_RANDOM_SEEDS = 2**31
_MANY_SEEDS = 100_000
_LONGEST_SEED = 18


def read_prompt(prompt: str | None, prompt_file: str | None, deadline: Deadline) -> str:
    """Return the prompt. One newline at the end of a file or of standard input is dropped."""
    if (prompt is None) == (prompt_file is None):
        hint = 'reve generate "a red fox", or reve generate - for standard input'
        raise ReveError("usage", "give the prompt either as an argument or with --prompt-file", hint=hint)
    if prompt_file == "-":
        prompt, prompt_file = "-", None
    if prompt_file is None and prompt != "-":
        return _as_text(str(prompt))
    source = prompt_file if prompt_file is not None else "standard input"
    try:
        if prompt_file is not None:
            with io.BufferedReader(open_file(local_path(prompt_file, "--prompt-file"), deadline)) as file:
                raw = file.read(_LONGEST)
        else:
            raw = read_stdin(_LONGEST, deadline)
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        text = re.sub(r"\r?\n\Z", "", decoder.decode(raw, final=len(raw) < _LONGEST))
    except OSError as error:
        raise ReveError("usage", f"{source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReveError("usage", f"{source} is not UTF-8 text") from error
    from reve_cli.inputs.foreign import refuse

    refuse(text)
    return text


def _as_text(argument: str) -> str:
    """Decode an argument as UTF-8 if the locale could not decode it."""
    undecoded = any("\udc80" <= character <= "\udcff" for character in argument)
    try:
        return os.fsencode(argument).decode() if undecoded else argument
    except UnicodeError:
        return argument  # the request's check refuses it


def expand(request: ImageRequest, seed: str | None, count: int, name: str | None) -> list[ImageRequest]:
    """Return `count` copies of `request`, with seeds counting up from `seed`: a number, `random` or `none`.

    name: the value of `--once` or `--idempotency-key`. The same name and request give the same random seed, so that the
    same bytes are sent and the image is not paid for again.
    """
    if seed in (None, "none"):
        return [request] * count
    first = _random_seed(request, name) if seed == "random" else to_seed(str(seed))
    return [replace(request, seed=first + index) for index in range(count)]


def _random_seed(request: ImageRequest, name: str | None) -> int:
    if name is None:
        return random.SystemRandom().randrange(_RANDOM_SEEDS)
    known = json.dumps([name, request.body().decode()]).encode()
    return int.from_bytes(hashlib.sha256(known).digest()) % _RANDOM_SEEDS


def to_seed(text: str) -> int:
    """Read a typed seed. Raises `ReveError` (code `usage`). The request's check refuses one out of range."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ReveError("usage", f'--seed takes a whole number or "random", not {echo(text)}')
    if len(text) > _LONGEST_SEED:  # Python refuses to read thousands of digits
        raise ReveError("usage", f"--seed {echo(text)} is out of range: integers from -{SEED_LIMIT} to {SEED_LIMIT}")
    return int(text)


def note_seed(seed: str | None, note: Callable[[str], None]) -> None:
    """Say what `--seed=-1` does here."""
    if seed is not None and seed.strip() == "-1":
        note("seed -1 is sent as the number; --seed random chooses a random one")


def to_seeds(text: str) -> list[int]:
    """Read typed seeds, such as `1-8` or `1,5,9-12`. Raises `ReveError` (code `usage`)."""
    found: list[int] = []
    for part in text.split(","):
        bounds = re.fullmatch(r"\s*(-?[0-9]+)(?:-(-?[0-9]+))?\s*", part)
        if not bounds:
            raise ReveError("usage", f"--seeds {echo(text)} is not a list of seeds such as 1-8 or 1,5,9-12")
        ends = bounds[1], bounds[2] or bounds[1]
        if any(len(end) > len(str(-SEED_LIMIT)) or abs(int(end)) > SEED_LIMIT for end in ends):
            raise ReveError("usage", f"--seeds {echo(text)}: a seed must be from -{SEED_LIMIT} to {SEED_LIMIT}")
        first, last = map(int, ends)
        if first > last:
            raise ReveError("usage", f"--seeds {echo(text)}: {first} is larger than {last}")
        if len(found) + last - first >= _MANY_SEEDS:
            raise ReveError("usage", f"--seeds {echo(text)}: more than {_MANY_SEEDS:,} seeds")
        found += range(first, last + 1)
    return found


def new_jobs(
    requests: Sequence[ImageRequest], key: str | None, scope: str | None = None, *, random_seed: bool = False
) -> list[Task]:
    """Return a task for each request, with the user's idempotency key, the scope's, or a new random one.

    random_seed: reve chose the seeds.
    """
    if key is not None and len(requests) > 1:
        raise ReveError("usage", "--idempotency-key cannot be used with --count over 1")
    if key is not None and scope is not None:
        raise ReveError("usage", "--once cannot be used with --idempotency-key")
    if key is not None and (not is_header_text(key) or len(key) > IDEMPOTENCY_KEY_LIMIT):
        raise ReveError("usage", f"--idempotency-key takes 1 to {IDEMPOTENCY_KEY_LIMIT} printable ASCII characters")
    if scope is not None and (not scope.strip() or any("\ud800" <= character <= "\udfff" for character in scope)):
        raise ReveError("usage", "--once needs a name, such as a CI run id")
    tasks = []
    for index, request in enumerate(requests, start=1):
        task = Task(index, "intent", request=request, key_is_given=key is not None, scope=scope)
        task.idempotency_key = key or new_key(scope, request, index, task.attempt)
        task.may_renew = scope is not None
        task.has_random_seed = random_seed
        tasks.append(task)
    return tasks


def events_for(run: "Runtime", url: str | None, events: Sequence[str] | None, listen: str | None) -> tuple[str, ...]:
    """The events that the API sends to the webhook `url`. listen: the value of `--listen`, which needs few events.

    Raises `ReveError` (code `usage`) for a URL that the API cannot reach.
    """
    if listen is not None and url is None:
        hint = "it is the public address of that port; see reve help webhooks"
        raise ReveError("usage", "--listen needs --webhook-url", hint=hint)
    _check_webhook(url, "http://localhost" if run.sandbox else run.settings.base_url)
    if events or listen is None:
        return tuple(events or ())
    return WEBHOOK_EVENTS if run.output.is_live else ("completed", "failed")


def _check_webhook(url: str | None, base_url: str) -> None:
    """Refuse a webhook URL that the API at `base_url` cannot reach. An API on this machine can reach any."""
    if url is None or is_loopback(urlsplit(base_url).hostname or ""):
        return
    hint = "use the public https URL of your tunnel or server; see reve help webhooks"
    if "@" in urlsplit(url).netloc:
        raise ReveError("usage", "--webhook-url must not contain a user name or a password", hint=hint)
    why = Origins(public=True, loopback=False).refuse(url)
    if why is not None:
        raise ReveError("usage", f"the API cannot reach --webhook-url {echo(url)}: it is {why}", hint=hint)


def check_events(events: Sequence[str]) -> None:
    """Refuse names of webhook events that the API does not have. Raises `ReveError` (code `usage`)."""
    for event in events:
        if event not in WEBHOOK_EVENTS:
            near = did_you_mean(event, WEBHOOK_EVENTS)
            raise ReveError("usage", f"{echo(event)} is not one of {', '.join(WEBHOOK_EVENTS)}{near}")


def check_handover(naming: Naming | None, webhook_url: str | None, *, force: bool, listens: bool) -> None:
    """Refuse an output with `--no-wait` that `webhook listen` could not save to. naming: None without `--out`."""
    if listens:
        raise ReveError("usage", "--no-wait does not listen: use reve webhook listen")
    if (naming is None and force) or (naming is not None and webhook_url is None):
        message = "--no-wait saves nothing: use reve wait JOB --out PATH later"
        raise ReveError("usage", message, hint="or add --webhook-url and run reve webhook listen")
    if naming is not None and naming.identity is None:
        raise ReveError("usage", "--no-wait cannot save to a pipe or a device: use --out FILE")


def read_words(arguments: Sequence[str], deadline: Deadline) -> list[str]:
    """Return the arguments, with `-` replaced by the words on standard input."""
    words: list[str] = []
    for argument in arguments:
        if argument != "-":
            words += _ids_in(argument) or [argument]
            continue
        for word in _words_on_stdin(deadline):
            words += _ids_in(word) or ([word] if word.strip(_AROUND) else [])
            if len(words) > _MANY_WORDS:
                raise ReveError("usage", f"standard input has more than {_MANY_WORDS:,} job ids")
    return words


def _ids_in(word: str) -> list[str]:
    """The job ids in a word: in quotes, separated by commas, or one in a URL. Empty if the word has anything else."""
    found: list[str] = []
    for part in re.split("[,;]", word):
        bare = part.strip(_AROUND)
        ids = set(UUID.findall(bare.lower())) if "://" in bare else {bare} if job_id(bare) else set()
        if bare and len(ids) != 1:
            return []
        found += ids
    return found


def _words_on_stdin(deadline: Deadline) -> Iterator[str]:
    """The words on standard input, however many."""
    decoder: codecs.IncrementalDecoder | None = None
    rest = ""
    for chunk in _stdin_chunks(deadline):
        if decoder is None:  # Windows PowerShell writes UTF-16
            encoding = "utf-16" if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        *words, rest = re.split(r"\s+", rest + decoder.decode(chunk))
        if len(rest) > _LONGEST_WORD:
            raise ReveError("usage", f"standard input has no job ids: a word has over {_LONGEST_WORD:,} characters")
        yield from filter(None, words)
    yield from (rest + decoder.decode(b"", final=True)).split() if decoder else ()


def earlier_jobs(run: "Runtime", arguments: Sequence[str]) -> list[Task]:
    """Return tasks for the jobs that a command line names, each once, in order. `-` reads standard input."""
    announce_stdin(run, arguments, "job ids")
    words = read_words(arguments, run.deadline)
    if not words:
        raise ReveError("usage", "no job ids on standard input")
    found = dict.fromkeys(name.lower() for name in full_ids(run, words))
    return [Task(index, "accepted", job_id=job) for index, job in enumerate(found, start=1)]


def full_ids(run: "Runtime", words: Sequence[str]) -> list[str]:
    """Return the job ids that `words` name: `last` and beginnings of ids are those of jobs in the journal."""
    from reve_cli.journal.names import full_names

    return full_names(words, lambda: run.journal(begin=False), only_jobs=True)


def read_names(run: "Runtime", arguments: Sequence[str]) -> list[str]:
    """Return the jobs, idempotency keys and runs that a command line names. `-` reads standard input."""
    from reve_cli.journal.names import full_names

    announce_stdin(run, arguments, "jobs, keys or runs")
    return full_names(read_words(arguments, run.deadline), lambda: run.journal(begin=False), only_jobs=False)


def read_stdin(limit: int, deadline: Deadline) -> bytes:
    """Read standard input to its end, or to about `limit` bytes. Raises as `_stdin_chunks` does."""
    raw = b""
    for chunk in _stdin_chunks(deadline):
        raw += chunk
        if len(raw) >= limit:
            break
    return raw


def _stdin_chunks(deadline: Deadline) -> Iterator[bytes]:
    """Read standard input to its end. Raises `ReveError` if it is closed, and at the `deadline` (code `timed_out`)."""
    if sys.stdin is None:
        raise ReveError("usage", "standard input is closed")
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # not a real file, as in tests
        yield from iter(partial(sys.stdin.buffer.read, _CHUNK), b"")
        return
    while True:
        if os.name != "nt" and not select.select([descriptor], [], [], max(0.0, deadline.left))[0]:
            raise ReveError("timed_out", "standard input did not end within the time limit; nothing was submitted")
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return
        yield chunk


def open_file(path: str, deadline: Deadline) -> "TimedFile":
    """Open a file whose reads fail at the deadline, and so does opening a FIFO that nobody writes to."""
    if os.name == "nt" or not stat.S_ISFIFO(os.stat(path).st_mode):
        return TimedFile(io.FileIO(path), path, deadline)
    file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    if not select.select([file], [], [], max(0.0, deadline.left))[0]:  # waits for the first writer
        file.close()
        raise ReveError("timed_out", f"nobody wrote to {path} within the time limit; nothing was submitted")
    os.set_blocking(file.fileno(), True)
    return TimedFile(file, path, deadline)


def announce_stdin(run: "Runtime", arguments: Sequence[str | None], what: str) -> None:
    """Say on a terminal that a command waits for input: `-` is easily typed by mistake."""
    if "-" in arguments and stdin_is_terminal():
        run.output.note(f"type {what} here; Ctrl-D on a new line ends it")


def open_input(path: str, deadline: Deadline) -> BinaryIO:
    """Open the file at `path`; `-` is standard input.

    Opening and reading raise `ReveError`: `usage` if the file cannot be read, `timed_out` at the deadline.
    """
    binary: Any
    try:
        if path != "-":
            binary = open_file(path, deadline)
        elif sys.stdin is None:
            raise ReveError("usage", "standard input is closed")
        else:
            binary = TimedFile(open(sys.stdin.fileno(), "rb", 0, closefd=False), "standard input", deadline)  # noqa: SIM115
    except io.UnsupportedOperation:  # standard input without a descriptor
        binary = sys.stdin.buffer
    except (OSError, ValueError) as error:
        raise ReveError("usage", f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return io.BufferedReader(binary)


class TimedFile(io.RawIOBase):
    """A file whose reads fail at a deadline, because a pipe may never end."""

    def __init__(self, file: io.FileIO, name: str, deadline: Deadline) -> None:
        self._file, self._name, self._deadline = file, name, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            if self._deadline.passed or not self._has_more():
                message = f"{self._name} did not end within the time limit; nothing was submitted"
                raise ReveError("timed_out", message)
            return self._file.readinto(buffer)
        except OSError as error:
            raise ReveError("usage", f"{self._name} cannot be read: {error.strerror}") from error

    def _has_more(self) -> bool:
        """Wait for more data or the end. Returns False at the deadline."""
        return os.name == "nt" or bool(select.select([self._file], [], [], self._deadline.left)[0])

    def close(self) -> None:
        self._file.close()
        super().close()
