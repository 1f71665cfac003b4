"""Downloads images.

`Images` has HTTP clients of its own that never see the API key. It requests only URLs that `Origins` allows.
It follows at most 5 redirects, under the same rules.
May import: core.clock, core.models, pictures.formats, api.http, api.network, api.origins. Loads httpx.
"""

import contextlib
import re
import threading
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx

from reve_cli.api.http import Say
from reve_cli.api.network import Connections, Trace, explain, patience, proxy_for
from reve_cli.api.origins import Origins, may_stand_for_a_name
from reve_cli.core.clock import Clock, Deadline, Limits, Stop
from reve_cli.core.models import cut, is_loopback
from reve_cli.pictures.formats import Format, image_format

# largest image, in bytes
SIZE_CAP = 100 * 10**6
_REDIRECTS = 5
# all other characters are escaped, in case the server left them unescaped
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
_GONE = (403, 404, 410)
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity"}
# bytes that are unpacked at once
_PART = 2**20
# for zlib: gzip; deflate with its header, and without it, as some servers send it
_GZIP, _DEFLATE, _BARE_DEFLATE = 31, 15, -15


class Unusable(Exception):
    """An image cannot be downloaded.

    again: another try may help.
    gone: the image no longer exists at this URL.
    """

    def __init__(self, reason: str, *, again: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.again, self.gone = again, gone


@dataclass(frozen=True)
class _Arrival:
    """A file that was downloaded. media_type: what the server calls it. is_whole: the server said where it ends."""

    media_type: str
    is_whole: bool


class Images:
    """Downloads images. Any thread may use it. Certificates are loaded for the first https URL."""

    def __init__(self, origins: Origins, *, clock: Clock, stop: Stop, limits: Limits, debug: Say | None) -> None:
        self.clock, self.stop, self.limits = clock, stop, limits
        self._origins, self._debug = origins, debug
        self._connections: dict[tuple[str, str | None], Connections] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for connections in self._connections.values():
                connections.close()

    def fetch(self, url: str, file: BinaryIO, deadline: Deadline) -> Format:
        """Download the image at `url` into `file`, with retries, and return its format.

        Raises `Unusable` if no try brings a complete image, OSError if writing to the file fails.
        """
        for number in range(1, self.limits.tries + 1):
            try:
                arrival = self._stream_into(file, url, deadline)
                file.flush()
                found = image_format(file, file.tell(), arrival.media_type, arrived=arrival.is_whole)
                if found is None:
                    raise Unusable("the download is not a complete image", again=True)
                return found
            except Unusable as error:
                delay = 0.5 * 2 ** (number - 1)
                last = number == self.limits.tries or not error.again
                if last or self.stop or delay >= deadline.left:
                    raise
            self.clock.sleep(delay, self.stop)
        raise AssertionError("unreachable: the last try returns or raises")

    def _stream_into(self, sink: BinaryIO, url: str, deadline: Deadline) -> _Arrival:
        """Try once, and follow redirects. Raises `Unusable`, OSError if writing fails."""
        for _ in range(_REDIRECTS + 1):
            url = urllib.parse.quote(url.strip(), safe=_URL_CHARACTERS, errors="replace")
            refused = self._origins.refuse(url)
            if refused:
                raise Unusable(f"URL refused: {refused} ({_shown(url)})")
            try:
                with self._stream(url, deadline) as response:
                    if not response.has_redirect_location:
                        return self._copy(response, sink, deadline)
                    url = urljoin(url, response.headers["location"])
            except (httpx.RequestError, httpx.StreamError, httpx.InvalidURL) as error:
                trouble = explain(error)
                raise Unusable(trouble.reason, again=not trouble.lasting) from error
            except ValueError as error:
                raise Unusable(f"URL refused: {error}") from error
        raise Unusable(f"more than {_REDIRECTS} redirects")

    @contextlib.contextmanager
    def _stream(self, url: str, deadline: Deadline) -> Iterator[httpx.Response]:
        proxy, timeout = proxy_for(url), patience(self.limits, deadline)
        connections, guard = self._connections_for(url, proxy), self._guard(url, direct=proxy is None)
        with connections.stream("GET", url, timeout=timeout, trace=guard) as response:
            if self._debug:
                self._debug(f"GET image {_shown(url)} -> {response.status_code}")
            yield response

    def _connections_for(self, url: str, proxy: str | None) -> Connections:
        kind = urlsplit(url).scheme, proxy
        with self._lock:
            if kind not in self._connections:
                self._connections[kind] = Connections(*kind, _HEADERS)
            return self._connections[kind]

    def _guard(self, url: str, *, direct: bool) -> Trace:
        """Refuse a private address behind a public name before a byte is sent. A proxy may have a private address."""
        host = urlsplit(url).hostname or ""

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete" and direct and not is_loopback(host):
                try:
                    address = str(info["return_value"].get_extra_info("server_addr")[0])
                except OSError:
                    return  # already disconnected: nothing can be sent
                if not may_stand_for_a_name(address):
                    info["return_value"].close()
                    raise ValueError(f"{host} resolves to {address}, which is not a public address")

        return trace

    def _copy(self, response: httpx.Response, sink: BinaryIO, deadline: Deadline) -> _Arrival:
        status = response.status_code
        if status != 200:
            gone = status in _GONE
            raise Unusable(
                f"the image server answered {status}", again=gone or status == 429 or status >= 500, gone=gone
            )
        sink.seek(0)
        sink.truncate()
        headers = response.headers
        announced = headers.get("content-length", "")
        has_length = announced.isascii() and announced.isdigit() and len(announced) < 16
        _check_size(int(announced) if has_length else 0)
        for part in _unpacked(response.iter_raw(), headers.get("content-encoding", "")):
            _check_size(sink.tell() + len(part))
            sink.write(part)
            if self.stop or deadline.passed:
                raise Unusable("stopped before the download was complete")
        is_whole = has_length or "chunked" in headers.get("transfer-encoding", "").lower()
        return _Arrival(headers.get("content-type", "").partition(";")[0].strip(), is_whole)


def _check_size(size: int) -> None:
    if size > SIZE_CAP:
        raise Unusable(f"the image is larger than {SIZE_CAP // 10**6} MB")


def _unpacked(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo a Content-Encoding, which some servers apply unasked. Yields small parts, so that the size can be checked.

    Raises `Unusable` if the data is damaged, incomplete, or in another encoding than gzip and deflate.
    """
    names = [name for name in re.split(r"[\s,]+", encoding.lower()) if name not in ("", "identity")]
    for name in reversed(names):
        if name not in ("gzip", "x-gzip", "deflate"):
            raise Unusable(f"the image server compressed the image with {cut(name)}, unasked", again=True)
        chunks = _unpacked_once(chunks, is_gzip=name != "deflate")
    yield from chunks


def _unpacked_once(chunks: Iterable[bytes], *, is_gzip: bool) -> Iterator[bytes]:
    unpacker = None
    try:
        for chunk in chunks:
            if unpacker is None:
                has_header = is_gzip or chunk[0] & 15 == 8
                unpacker = zlib.decompressobj(_GZIP if is_gzip else _DEFLATE if has_header else _BARE_DEFLATE)
            rest, part = chunk, b""
            while not unpacker.eof and (rest or len(part) == _PART):
                part = unpacker.decompress(rest, _PART)
                yield part
                rest = unpacker.unconsumed_tail
                if unpacker.eof and is_gzip and unpacker.unused_data.startswith(b"\x1f\x8b"):  # another member
                    rest, unpacker = unpacker.unused_data, zlib.decompressobj(_GZIP)
    except zlib.error as error:
        raise Unusable("the compressed download is damaged", again=True) from error
    if unpacker is None or not unpacker.eof:
        raise Unusable("the compressed download is incomplete", again=True)


def _shown(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    return url.split("?")[0][:200]
