"""Decides which URLs images may be downloaded from.

The API's answers contain these URLs. They must not make this program send requests into the private network around it.
May import: core.models.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from reve_cli.core.models import is_loopback, is_web_url

_NOT_PUBLIC_SUFFIXES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test", ".invalid")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# the last label of a host that is an address in any notation
_IS_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
# Proxies in fake-IP mode answer every name with an address in this range. Nothing private uses it.
_FAKE_IPS = ipaddress.ip_network("198.18.0.0/15")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is public. An IPv4 address embedded in an IPv6 address is judged itself."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        ip = inner or ip
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _GLOBAL_UNICAST)


def may_stand_for_a_name(address: str) -> bool:
    """Whether a public host name may resolve to `address`: to a public address, or to that of a proxy."""
    return is_public(address) or ipaddress.ip_address(address.split("%")[0]) in _FAKE_IPS


@dataclass(frozen=True)
class Origins:
    """Which origins are allowed: public addresses, this machine (if the API is there too), or both."""

    public: bool
    loopback: bool

    def refuse(self, url: str) -> str | None:
        """The reason why `url` must not be requested, None if it may be."""
        if not is_web_url(url):
            return "not an https URL"
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if is_loopback(host):
            return None if self.loopback else "on this machine"
        if parts.scheme != "https":
            return "not an https URL"
        if not self.public:
            return "not on this machine, although the sandbox is"
        if ":" in host or _IS_NUMBER.fullmatch(host.split(".")[-1]):
            return None if is_public(host) else "not a public address"
        return "not a public name" if "." not in host or host.endswith(_NOT_PUBLIC_SUFFIXES) else None
