"""The first page of a run that serves itself: its receipt so far."""

from costmeter.ledger.query import Run, fold
from costmeter.ledger.record import SlotEntry
from costmeter.outputs.figures import duration
from costmeter.outputs.gpus import gpu_names
from costmeter.outputs.heading import headline
from costmeter.outputs.htmltables import said
from costmeter.outputs.landingframe import boxes, foot, page, section, simulated
from costmeter.outputs.markup import Markup, element, joined
from costmeter.outputs.receipt import receipt
from costmeter.outputs.snapshot import Snapshot

_LINKS = (("/metrics", "metrics"), ("/-/healthy", "health"), ("/-/ready", "readiness"))


def run_landing(snapshot: Snapshot) -> bytes:
    """The page of one run that is going on: its receipt so far."""
    part = snapshot.part
    if snapshot.open_slot is not None:
        part = fold(part, SlotEntry(snapshot.open_slot))
    so_far = receipt(Run((part,)), is_live=lambda _: True)
    run = so_far["run"]
    captions = ("cost so far", "energy", "emissions", "of GPU time")
    known = headline(so_far) if so_far["rates"] else ("no price yet", "", "", "")
    figures = [(figure, caption, "") for figure, caption in zip(known, captions, strict=True) if figure]
    facts = (", ".join(run["hosts"]), gpu_names(so_far["devices"]), duration(run["seconds"]))
    body = joined(
        element("p", "costmeter", element("span", f" · {run['id']}"), class_="brand"),
        element("h1", run["name"] or run["id"], element("span", "running", class_="ending good")),
        element("p", " · ".join(filter(None, facts)), class_="facts"),
        simulated(so_far["simulated"]),
        boxes(figures),
        section("What it rests on", said(so_far)) if so_far["rates"] else Markup(""),
        foot(_LINKS),
    )
    return page(f"{run['name'] or run['id']}: {known[0]}", body)
