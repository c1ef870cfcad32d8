"""Reasons of idle GPUs in words, as tables, pages and lists of them say it."""

from collections.abc import Mapping
from typing import Any

from costmeter.meter.idling import Reason

#: In few words, as a table has room for.
SHORT: Mapping[Reason, str] = {
    "no-process": "no process",
    "memory-held": "memory held",
    "waiting-for-data": "waiting for data",
    "waiting-for-peer": "waiting for a peer",
    "evaluation": "evaluation",
    "checkpoint": "checkpoint",
    "start-up": "start-up",
    "hang": "hang",
    "unexplained": "unexplained",
}


def short(reason: str) -> str:
    """A reason in few words; one of a later version stays as it is."""
    return next((words for each, words in SHORT.items() if each == reason), reason)


def reason_of(gpu: Mapping[str, Any]) -> str | None:
    """Why a GPU of a node's JSON is idle; agents before reasons do not say."""
    reason = gpu.get("reason")
    return None if reason is None else str(reason)


def idle_since(gpu: Mapping[str, Any]) -> str | None:
    """From when on it has been idle but for moments, else from when on it is in its state."""
    since = gpu.get("reason_since") if gpu["state"] == "idle" else None
    since = since or gpu["since"]
    return None if since is None else str(since)
