"""Images from their URL to their file: fetched, verified, published, and never lost to a bad folder.

`Images` is a client of its own that never saw the API's key and goes only where an image may be: `https`, public names
and addresses, at most 5 redirects under the same rules. `Saver` writes a temporary file beside the target, checks that
it is a whole image, and gives it its name without replacing anything that it was not told to replace.
Imports `http`, `naming`, `origins`, `formats`, `models`, `clock`, `errors`; slow to load, like `http`.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx

from reve_cli.clock import Clock, Deadline, Limits, Stop
from reve_cli.errors import ReveError
from reve_cli.formats import Format, image_format
from reve_cli.http import Say, new_client, patience, proxy_for
from reve_cli.models import SavedFile, Task, is_loopback
from reve_cli.naming import Naming, Values, identity, numbered
from reve_cli.origins import Origins, is_public
from reve_cli.output import quote

SIZE_CAP = 100 * 10**6
"""Largest image, in bytes."""
_REDIRECTS = 5
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
"""What stands in a URL as it is; a server may have left the rest unescaped."""
_GONE = (403, 404, 410)
_SPOOL_SECONDS = 24 * 3600


class Unusable(Exception):
    """An image could not be had from a URL: why, whether another try may help, and whether it is gone for good."""

    def __init__(self, reason: str, *, again: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.again, self.gone = again, gone


class Images:
    """The client for images. Certificates are loaded when the first https URL needs them."""

    def __init__(self, origins: Origins, *, clock: Clock, stop: Stop, limits: Limits, debug: Say | None) -> None:
        self.clock, self.stop, self.limits = clock, stop, limits
        self._origins, self._debug = origins, debug
        self._clients: dict[tuple[str, str | None], httpx.Client] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()

    def fetch(self, url: str, sink: BinaryIO, deadline: Deadline) -> None:
        """Stream the image at `url` into `sink`. Raises `Unusable`, and OSError where the sink fails."""
        for _ in range(_REDIRECTS + 1):
            url = urllib.parse.quote(url.strip(), safe=_URL_CHARACTERS, errors="replace")
            refused = self._origins.refuse(url)
            if refused:
                raise Unusable(f"its URL is refused: {refused} ({_shown(url)})")
            try:
                with self._stream(url, deadline) as response:
                    if not response.has_redirect_location:
                        self._copy(response, sink, deadline)
                        return
                    url = urljoin(url, response.headers["location"])
            except (httpx.RequestError, httpx.StreamError, httpx.InvalidURL) as error:
                raise Unusable(f"{type(error).__name__}: {error}", again=True) from error
            except ValueError as error:
                raise Unusable(f"its URL is refused: {error}") from error
        raise Unusable(f"more than {_REDIRECTS} redirects")

    @contextlib.contextmanager
    def _stream(self, url: str, deadline: Deadline) -> Iterator[httpx.Response]:
        proxy, timeout = proxy_for(url), patience(self.limits, deadline)
        client, extensions = self._client(url, proxy), {"trace": self._guard(url, direct=proxy is None)}
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        with client.stream("GET", url, timeout=timeout, headers=headers, extensions=extensions) as response:
            if self._debug:
                self._debug(f"GET image {_shown(url)} -> {response.status_code}")
            yield response

    def _client(self, url: str, proxy: str | None) -> httpx.Client:
        kind = urlsplit(url).scheme, proxy
        with self._lock:
            if kind not in self._clients:
                self._clients[kind] = new_client(*kind, {})
            return self._clients[kind]

    def _guard(self, url: str, *, direct: bool) -> Callable[[str, Mapping[str, Any]], None]:
        """Look at the address that a name led to, before a byte is sent. A proxy's own address may be private."""
        host = urlsplit(url).hostname or ""

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete" and direct and not is_loopback(host):
                try:
                    address = str(info["return_value"].get_extra_info("server_addr")[0])
                except OSError:
                    return  # hung up already: nothing can be sent
                if not is_public(address):
                    info["return_value"].close()
                    raise ValueError(f"{host} is at {address}, which is not a public address")

        return trace

    def _copy(self, response: httpx.Response, sink: BinaryIO, deadline: Deadline) -> None:
        status = response.status_code
        if status != 200:
            gone = status in _GONE
            raise Unusable(f"its server answered {status}", again=gone or status == 429 or status >= 500, gone=gone)
        sink.seek(0)
        sink.truncate()
        announced = response.headers.get("content-length", "")
        size = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else 0
        for chunk in response.iter_raw():
            size = max(size, sink.tell() + len(chunk))
            if size > SIZE_CAP:
                raise Unusable(f"it is larger than {SIZE_CAP // 10**6} MB")
            sink.write(chunk)
            if self.stop or deadline.passed:
                raise Unusable("stopped before it was complete")


def _shown(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    return url.split("?")[0][:200]


class Saver:
    """Saves the images of jobs, each to where `naming` says. Several threads may save at once."""

    def __init__(self, images: Images, naming: Naming, state: Path | None, say: Say) -> None:
        self._images, self._naming, self._say = images, naming, say
        self._rescue = state / "rescue" if state else None
        self._spool = state / "spool" if state else None
        self._temporaries: set[str] = set()
        self._publishing = threading.Lock()
        self._closed = False
        if naming.to_stdout or naming.device:
            _prune(self._spool)

    def refusal(self, task: Task) -> ReveError | None:
        """Why, before a byte is fetched, `task`'s images cannot go where they are meant to; None where they can."""
        try:
            self._naming.check([task])
        except ReveError as error:
            return error
        return None

    def has_saved(self, task: Task) -> bool:
        """Whether every image of `task`'s job is where it was meant to go."""
        return task.job is not None and len(task.files) == len(task.job.urls) and self._naming.meant(task)

    def close(self) -> None:
        """Publish nothing from now on, and leave no temporary file behind. Waits for a publication under way."""
        with self._publishing:
            self._closed = True
            self.clean()

    def clean(self) -> None:
        """Remove the temporary files. Takes no lock: it also runs in the handler of a second signal."""
        for path in tuple(self._temporaries):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def save(self, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Save one image of `task`, the `number`th of its job, from `url`, and note it in the task's files.

        Returns an error (`saved_elsewhere`) where it could not go where it was meant to.
        Raises `Unusable` where the image cannot be had, and OSError where it can be written nowhere.
        """
        if self._naming.device:
            return self._save_to_device(self._naming.device, task, url, number, deadline)
        if self._naming.to_stdout:
            saved, _ = self._save(_private(self._spool), task, url, number, deadline, task.files.append, apart=True)
            self._say(f"kept for 24 hours: {saved.path}")
            return None
        likely = self._naming.path(replace(Values.of(task), ext="png"), number)
        try:
            return self._save(os.path.dirname(likely) or ".", task, url, number, deadline, task.files.append)[1]
        except OSError as error:
            saved, _ = self._save(_private(self._rescue), task, url, number, deadline, task.files.append, apart=True)
            return _elsewhere(saved.path, likely, error.strerror or str(error))

    def _save(
        self,
        folder: str,
        task: Task,
        url: str,
        number: int,
        deadline: Deadline,
        note: Callable[[SavedFile], None],
        *,
        apart: bool = False,
    ) -> tuple[SavedFile, ReveError | None]:
        """Save into `folder`. `apart`: that is a folder of ours, where files are private and named by their job."""
        values = Values.of(task)
        with self._temporary(folder, 0o600 if apart else 0o666) as (temporary, file):
            found, size, digest = self._fetch(url, file, deadline)
            file.close()  # Windows renames no open file
            values = replace(values, ext=found.extension)
            if apart:
                wanted = os.path.join(folder, f"{values.job}.{found.extension}")
                wanted = wanted if number == 1 else numbered(wanted, number)
            else:
                wanted = self._naming.path(values, number)
            with self._publishing:
                path = self._publish(temporary, wanted, str(values.job))
                saved = SavedFile(path, url, size, digest, found.media_type)
                note(saved)
        _sync_folder(folder)
        extension = os.path.splitext(path)[1][1:]
        if extension and not found.fits(extension):
            self._say(f"{path} holds {found.media_type}, not what its name says")
        return saved, None if path == wanted else _elsewhere(path, wanted, "something else appeared there meanwhile")

    def _save_to_device(self, device: str, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Through the spool, so that only a whole image is written, and it is kept where that fails."""
        kept: list[SavedFile] = []
        saved, _ = self._save(_private(self._spool), task, url, number, deadline, kept.append, apart=True)
        try:
            with open(saved.path, "rb") as source, open(device, "wb") as sink:
                shutil.copyfileobj(source, sink)
        except OSError as error:
            task.files += kept
            return _elsewhere(saved.path, device, error.strerror or str(error), "cat -- {path} > {wanted}")
        os.unlink(saved.path)
        task.files.append(replace(saved, path=device))
        return None

    @contextlib.contextmanager
    def _temporary(self, folder: str, mode: int) -> Iterator[tuple[str, BinaryIO]]:
        """A new file in `folder` that is gone at the end unless it was published."""
        path = os.path.join(folder, f".reve-{secrets.token_hex(8)}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with self._publishing:  # so that `close` finds it, or it is never made
            if self._closed:
                raise Unusable("stopped before it was saved")
            self._temporaries.add(path)
            descriptor = os.open(path, flags, mode)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield path, file
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            self._temporaries.discard(path)

    def _fetch(self, url: str, file: BinaryIO, deadline: Deadline) -> tuple[Format, int, str]:
        """Fetch until a whole image is on disk, or it is known that it cannot be had."""
        images = self._images
        for number in range(1, images.limits.tries + 1):
            try:
                images.fetch(url, file, deadline)
                size = file.tell()
                file.flush()
                found = image_format(file, size)
                if found is None:
                    raise Unusable("what came is not a whole image", again=True)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has readinto
                os.fsync(file.fileno())
                return found, size, digest.hexdigest()
            except Unusable as error:
                delay = 0.5 * 2 ** (number - 1)
                last = number == images.limits.tries or not error.again
                if last or images.stop or delay >= deadline.left:
                    raise
            images.clock.sleep(delay, images.stop)
        raise AssertionError("unreachable: the last try returns or raises")

    def _publish(self, temporary: str, path: str, job: str) -> str:
        """Give the temporary file its name, or one beside it where the name is taken. Returns the path it has."""
        if self._closed:
            raise Unusable("stopped before it was saved")
        replaceable = self._naming.replaceable(path)
        if replaceable is not None and identity(path) == replaceable:
            os.replace(temporary, path)
            return path
        for candidate in _beside(path, job):
            with contextlib.suppress(FileExistsError):
                _link(temporary, candidate)
                return candidate
        raise FileExistsError(errno.EEXIST, "the name and all names beside it are taken", path)


def _beside(path: str, job: str) -> Iterator[str]:
    yield path
    base = path if job in os.path.basename(path) else numbered(path, job)
    yield base
    for number in range(2, 100):
        yield numbered(base, number)


def _link(temporary: str, path: str) -> None:
    """Rename without replacing. Raises FileExistsError where `path` is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: claim the name first, then put the image over the claim
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(path)
            raise


def _sync_folder(folder: str) -> None:
    """Make the new name last through a power cut, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(folder: Path | None) -> str:
    """`folder`, made for its owner alone; where that cannot be, a fresh one among the system's temporary files."""
    try:
        if folder is None:
            raise FileNotFoundError
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    except OSError:
        pass
    import tempfile

    return tempfile.mkdtemp(prefix="reve-")


def _prune(spool: Path | None) -> None:
    """Forget spooled images whose day is over."""
    with contextlib.suppress(OSError):
        for path in spool.iterdir() if spool else ():
            if time.time() - path.stat().st_mtime > _SPOOL_SECONDS:
                path.unlink()


def _elsewhere(path: str, wanted: str, why: str, command: str = "mv -i -- {path} {wanted}") -> ReveError:
    """An image that is safe, but not where it was meant to be; with the command that takes it there."""
    folder = os.path.dirname(wanted)
    if folder and not os.path.isdir(folder):
        command = f"mkdir -p -- {quote(folder)} && {command}"
    hint = command.format(path=quote(path), wanted=quote(wanted))
    return ReveError("saved_elsewhere", f"the image is saved as {path}, not {wanted}: {why}; to finish:", hint=hint)
