"""Asking an agent what goes on on its node."""

import json
import re
from typing import Any

from costmeter.config.flags import PORT
from costmeter.errors import CostmeterError, UsageError
from costmeter.feeds.http import UNBELIEVED, Door, FeedError, Limits, shown_url
from costmeter.feeds.http import address as http_address

_PATH = "/api/v1/node"
_SCHEMA = "costmeter.node/"
_SECONDS = 5.0
_WHERE = "is it running there? costmeter agent.  Another: --from http://gpu02:26786"
_PASSWORD = "name a user and a password: --from https://USER:PASSWORD@gpu02:26786"
_NOT_FOUND = 404
_NOT_READY = 503
_UNKNOWN_USER, _NOT_ALLOWED = 401, 403
#: What servers that speak TLS answer to who does not.
_PLAIN_TO_TLS = 400
_METRICS = "/metrics"
_HAS_PORT = re.compile(r":[0-9]*$")


class Absent(CostmeterError):
    """No agent is there."""


class Agent:
    """One agent, by the address that was typed. Its password stands in no message."""

    def __init__(self, address: str, trusted: str | None) -> None:
        """Raises UsageError for what is no address, or would send a password in the clear."""
        found = http_address(_with_port(address))
        if found is None:
            typed = address.rpartition("@")[2]  # no password is repeated
            raise UsageError(f'--from "{typed}" is no http or https address', "--from http://gpu02:26786")
        if found.headers and not found.is_here and found.base.startswith("http://"):
            raise UsageError(f"a password is not sent to {shown_url(found.base)} in the clear", "--from https://…")
        self._base = found.base.removesuffix(_PATH).removesuffix(_METRICS)
        self._headers = found.headers
        self._trusted = trusted
        self._is_proxied = not found.is_here

    def node(self) -> dict[str, Any]:
        """Its JSON. Raises Absent where nobody answers, and CostmeterError for any other answer."""
        where = shown_url(self._base)
        door = Door(Limits(_SECONDS, _SECONDS), self._is_proxied, trusted=self._trusted)
        try:
            body = door.get(self._base + _PATH, self._headers).body
        except FeedError as refusal:
            raise _told(where, refusal, bool(self._headers)) from None
        try:
            node = json.loads(body)
        except (ValueError, RecursionError):
            node = None
        if not isinstance(node, dict) or not str(node.get("schema")).startswith(_SCHEMA):
            raise Absent(f"{where} answers, but is no agent of costmeter", _WHERE)
        return node


def _with_port(address: str) -> str:
    """A host alone is its agent's address; a URL is taken as it is."""
    host, slash, path = address.partition("/")
    if "://" in address or not host or _HAS_PORT.search(host.rpartition("@")[2].rpartition("]")[2]):
        return address
    return f"{host}:{PORT}{slash}{path}"


def _told(where: str, refusal: FeedError, has_password: bool) -> CostmeterError:
    if refusal.status == _UNKNOWN_USER and has_password:
        return CostmeterError(f"{where}: this user and password are refused", "those of its --web.config.file")
    if refusal.status in (_UNKNOWN_USER, _NOT_ALLOWED):
        return CostmeterError(f"{where} refuses us (status {refusal.status})", _PASSWORD)
    rest = where.partition("://")[2]
    if refusal.status == _PLAIN_TO_TLS and where.startswith("http://"):
        return CostmeterError(f"{where} speaks TLS", f"--from https://{rest} --ca authority.pem")
    if refusal.has_no_tls:
        return CostmeterError(f"{where} serves plain http, without TLS", f"--from http://{rest}")
    if refusal.status == _NOT_READY:
        return CostmeterError(f"{where} has only begun, and has read no GPU yet (status 503)", "try again")
    if refusal.status == _NOT_FOUND:
        return Absent(f"{where} answers, but is no agent of costmeter", _WHERE)
    if refusal.status is None and "cannot be reached" in refusal.message:
        why = refusal.message.partition("cannot be reached: ")[2]
        return Absent(f"no agent answers at {where}: {why}", _WHERE)
    if UNBELIEVED in refusal.message:
        return CostmeterError(refusal.message.replace(_PATH, ""), "its authority's certificate: --ca authority.pem")
    return CostmeterError(refusal.message.replace(_PATH, ""), refusal.hint if refusal.status is None else _WHERE)
