"""Asking an agent what goes on on its node."""

import base64
import json
import urllib.parse
from typing import Any

from costmeter.errors import CostmeterError, UsageError
from costmeter.feeds.http import Door, FeedError, Limits, shown_url

_PATH = "/api/v1/node"
_SCHEMA = "costmeter.node/"
_SECONDS = 5.0
_WHERE = "is it running there? costmeter agent.  Another: --from http://gpu02:26786"
_PASSWORD = "name a user and a password: --from https://USER:PASSWORD@gpu02:26786"
_NOT_FOUND = 404
_NOT_READY = 503
_REFUSED = (401, 403)


class Absent(CostmeterError):
    """No agent is there."""


class Agent:
    """One agent, by the address that was typed. Its password stands in no message."""

    def __init__(self, address: str, trusted: str | None) -> None:
        """Raises UsageError for what is no address, or would send a password in the clear."""
        url = address if "://" in address else f"http://{address}"
        try:
            parts = urllib.parse.urlsplit(url)
            host, is_web = parts.hostname, parts.scheme in ("http", "https") and (parts.port or 1) > 0
        except ValueError:
            host, is_web = None, False
        if host is None or not is_web or parts.query or parts.fragment:
            raise UsageError(f"--from: {shown_url(url)} is no http or https address", "--from http://gpu02:26786")
        is_here = host == "localhost" or host == "::1" or host.startswith("127.")
        self._headers: dict[str, str] = {}
        if parts.username is not None:
            if parts.scheme == "http" and not is_here:
                raise UsageError(f"a password is not sent to {shown_url(url)} in the clear", "--from https://…")
            said = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(said.encode()).decode()}"
        base = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/").removesuffix(_PATH))
        self._base = urllib.parse.urlunsplit(base)
        self._trusted = trusted
        self._is_proxied = not is_here

    def node(self) -> dict[str, Any]:
        """Its JSON. Raises Absent where nobody answers, and CostmeterError for any other answer."""
        where = shown_url(self._base)
        door = Door(Limits(_SECONDS, _SECONDS), self._is_proxied, trusted=self._trusted)
        try:
            body = door.get(self._base + _PATH, self._headers).body
        except FeedError as refusal:
            raise _told(where, refusal) from None
        try:
            node = json.loads(body)
        except (ValueError, RecursionError):
            node = None
        if not isinstance(node, dict) or not str(node.get("schema")).startswith(_SCHEMA):
            raise Absent(f"{where} answers, but is no agent of costmeter", _WHERE)
        return node


def _told(where: str, refusal: FeedError) -> CostmeterError:
    if refusal.status in _REFUSED:
        return CostmeterError(f"{where} refuses us (status {refusal.status})", _PASSWORD)
    if refusal.status == _NOT_READY:
        return CostmeterError(f"{where} has only begun, and has read no GPU yet (status 503)", "try again")
    if refusal.status == _NOT_FOUND:
        return Absent(f"{where} answers, but is no agent of costmeter", _WHERE)
    if refusal.status is None and "cannot be reached" in refusal.message:
        why = refusal.message.partition("cannot be reached: ")[2]
        return Absent(f"no agent answers at {where}: {why}", _WHERE)
    return CostmeterError(refusal.message.replace(_PATH, ""), refusal.hint if refusal.status is None else _WHERE)
