"""Sends a body to a URL once, with headers of our own: no redirects, 30 s, the answer's body unread.

Loads httpx. May import: api.network, core.
"""

import httpx

from reve_cli.api.network import Connections, explain, proxy_for, timeouts

_TIMEOUT = timeouts(30.0, 30.0)


class Poster:
    """Posts to one URL. Any thread may call it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections = Connections(httpx.URL(url).scheme, proxy_for(url), {})

    def post(self, body: bytes, headers: list[tuple[str, str]]) -> tuple[int | None, str]:
        """POST `body`. Returns the status, or None and the reason why there is no answer."""
        try:
            with self._connections.stream("POST", self._url, body=body, headers=headers, timeout=_TIMEOUT) as answer:
                return answer.status_code, ""
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return None, explain(error).reason

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()
