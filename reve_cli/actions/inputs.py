"""Arguments, files and standard input, read into requests and job ids.

Imports `tasks`, `models`, `clock`, `contract`, `errors`.
"""

import codecs
import io
import os
import random
import re
import select
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reve_cli.core.clock import Deadline
from reve_cli.core.contract import IDEMPOTENCY_KEY_LIMIT, SEED_LIMIT
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, echo, is_header_text, job_id
from reve_cli.core.tasks import Task, new_key

_LONGEST = 1 << 20
"""Bytes that are read at most: far more than a prompt, or all ids of a command, could be."""
_RANDOM_SEEDS = 2**31
_MANY_SEEDS = 100_000


def read_prompt(prompt: str | None, prompt_file: str | None, deadline: Deadline) -> str:
    """The prompt, from where it was given. One newline at the end of a file or of standard input is dropped."""
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
            with open(prompt_file, "rb") as file:
                raw = file.read(_LONGEST)
        else:
            raw = read_stdin(_LONGEST, deadline)
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        return re.sub(r"\r?\n\Z", "", decoder.decode(raw, final=len(raw) < _LONGEST))
    except OSError as error:
        raise ReveError("usage", f"{source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReveError("usage", f"{source} is not UTF-8 text") from error


def _as_text(argument: str) -> str:
    """An argument that the locale could not decode, decoded: as UTF-8 where it is that."""
    undecoded = any("\udc80" <= character <= "\udcff" for character in argument)
    try:
        return os.fsencode(argument).decode() if undecoded else argument
    except UnicodeError:
        return argument  # refused where requests are checked


def expand(request: ImageRequest, seed: str | None, count: int) -> list[ImageRequest]:
    """`count` requests like `request`, with seeds from `seed` on."""
    if seed is None:
        return [request] * count
    first = random.SystemRandom().randrange(_RANDOM_SEEDS) if seed == "random" else to_seed(seed)
    return [replace(request, seed=first + index) for index in range(count)]


def to_seed(text: str) -> int:
    """A seed as it is typed. Raises `ReveError` (code `usage`); the range is checked with the request."""
    if not re.fullmatch(r"[+-]?[0-9]{1,17}", text):
        limits = f"from -{SEED_LIMIT} to {SEED_LIMIT}"
        raise ReveError("usage", f"--seed {echo(text)} is not an integer {limits}, nor random")
    return int(text)


def to_seeds(text: str) -> list[int]:
    """Seeds as they are typed, such as `1-8` or `1,5,9-12`. Raises `ReveError` (code `usage`)."""
    found: list[int] = []
    for part in text.split(","):
        bounds = re.fullmatch(r"\s*(-?[0-9]+)(?:-(-?[0-9]+))?\s*", part)
        if not bounds:
            raise ReveError("usage", f"--seeds {echo(text)} is not a list of seeds such as 1-8 or 1,5,9-12")
        ends = bounds[1], bounds[2] or bounds[1]
        if any(len(end) > len(str(-SEED_LIMIT)) or abs(int(end)) > SEED_LIMIT for end in ends):
            raise ReveError("usage", f"--seeds {echo(text)}: seeds are integers from -{SEED_LIMIT} to {SEED_LIMIT}")
        first, last = map(int, ends)
        if first > last:
            raise ReveError("usage", f"--seeds {echo(text)}: {first} is larger than {last}")
        if len(found) + last - first >= _MANY_SEEDS:
            raise ReveError("usage", f"--seeds {echo(text)}: these are more than {_MANY_SEEDS:,} seeds")
        found += range(first, last + 1)
    return found


def new_jobs(requests: Sequence[ImageRequest], key: str | None, scope: str | None = None) -> list[Task]:
    """A task for each request, with the user's idempotency key, one made of a scope, or one that nobody else has."""
    if key is not None and len(requests) > 1:
        raise ReveError("usage", "--idempotency-key names one job: it cannot be used with --count over 1")
    if key is not None and scope is not None:
        raise ReveError("usage", "--once makes the idempotency keys: it cannot be used with --idempotency-key")
    if key is not None and (not is_header_text(key) or len(key) > IDEMPOTENCY_KEY_LIMIT):
        raise ReveError("usage", f"--idempotency-key takes 1 to {IDEMPOTENCY_KEY_LIMIT} printable ASCII characters")
    if scope is not None and (not scope.strip() or any("\ud800" <= character <= "\udfff" for character in scope)):
        raise ReveError("usage", "--once takes some text that names what is made once, such as the id of a pipeline")
    tasks = []
    for index, request in enumerate(requests, start=1):
        task = Task(index, "intent", request=request, key_is_given=key is not None, scope=scope)
        task.idempotency_key = key or new_key(scope, request, index, task.attempt)
        task.may_renew = scope is not None
        tasks.append(task)
    return tasks


def read_words(arguments: Sequence[str], deadline: Deadline) -> list[str]:
    """The arguments; `-` stands for those on standard input, separated by white space."""
    words: list[str] = []
    for argument in arguments:
        words += read_stdin(_LONGEST, deadline).decode(errors="replace").split() if argument == "-" else [argument]
    return words


def read_job_ids(arguments: Sequence[str], deadline: Deadline) -> list[str]:
    """The job ids, each once, in order; see `read_words`."""
    words = read_words(arguments, deadline)
    found: dict[str, None] = {}
    for word in words:
        identity = job_id(word)
        if identity is None:
            raise ReveError("usage", f"{word!r} is not a job id, which looks like 01234567-89ab-cdef-0123-456789abcdef")
        found[identity] = None
    if not found:
        raise ReveError("usage", "no job ids on standard input")
    return list(found)


def earlier_jobs(arguments: Sequence[str], deadline: Deadline) -> list[Task]:
    """The jobs that a command line names, as tasks."""
    return [Task(index, "accepted", job_id=job) for index, job in enumerate(read_job_ids(arguments, deadline), start=1)]


def read_stdin(limit: int, deadline: Deadline) -> bytes:
    """Standard input to its end, at most about `limit` bytes of it, and until `deadline` at the latest."""
    if sys.stdin is None:
        raise ReveError("usage", "standard input is closed")
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # not a file of the system's
        return sys.stdin.buffer.read(limit)
    raw = b""
    while len(raw) < limit:
        if os.name != "nt" and not select.select([descriptor], [], [], max(0.0, deadline.left))[0]:
            raise ReveError("timed_out", "standard input did not end within the time limit; nothing was submitted")
        part = os.read(descriptor, limit)
        if not part:
            break
        raw += part
    return raw


class Patient(io.RawIOBase):
    """A file that is waited for until a deadline, as a pipe may never end."""

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
        """Wait for more, or for the end. Returns whether it came in time."""
        return os.name == "nt" or bool(select.select([self._file], [], [], self._deadline.left)[0])

    def close(self) -> None:
        self._file.close()
        super().close()
