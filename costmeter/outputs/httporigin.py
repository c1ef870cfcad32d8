"""Requests that a browser makes for somebody else: another site's page, or a name that was turned to this machine.

A page from anywhere can have its own name lead to 127.0.0.1 (DNS rebinding): then the browser holds us for that page's
server, and only the name in `Host` tells. An address, `localhost` and this machine's name cannot be another's.
"""

import re
import socket
from collections.abc import Mapping

_PORT = re.compile(r":[0-9]*")


def is_own_name(host: str) -> bool:
    """Whether a `Host` header names this machine as nobody else can. Browsers never send none, other clients may."""
    name = _name(host.strip().lower())
    if not name or name == "localhost" or name.endswith(".localhost"):
        return True
    here = socket.gethostname().lower()
    return _is_address(name) or name in (here, here.partition(".")[0])


def is_of_another_site(headers: Mapping[str, str], *, is_guarded: bool) -> bool:
    """Whether a page of another site asks, for all that the browser says. `is_guarded`: a password or TLS is needed."""
    if headers.get("sec-fetch-site", "none").strip().lower() not in ("same-origin", "none"):
        return True
    origin, host = headers.get("origin"), headers.get("host", "")
    return origin is not None and (origin.partition("://")[2] != host or not (is_guarded or is_own_name(host)))


def _name(host: str) -> str:
    """Without its port, and without the dot that ends a full name; what is no name with a port is as it came."""
    name, bracket, port = host[1:].partition("]") if host.startswith("[") else ("", "", "")
    if bracket and name and (not port or _PORT.fullmatch(port)):
        return name
    return host.partition(":")[0].rstrip(".") or host


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except (OSError, ValueError):
            continue
        return True
    return False
