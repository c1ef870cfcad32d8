"""Electricity Maps: carbon intensity of what a zone consumes, flow-traced. Needs a key, in the environment."""

from costmeter.feeds.http import Door, FeedError, with_query
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Row, holes, in_order
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

NAME = "electricity-maps"
TOKEN_VARIABLE = "ELECTRICITYMAPS_TOKEN"
_LENGTHS_NS = {
    "5_minutes": 5 * NANOSECONDS_PER_MINUTE,
    "15_minutes": 15 * NANOSECONDS_PER_MINUTE,
    "hourly": NANOSECONDS_PER_HOUR,
    "daily": 24 * NANOSECONDS_PER_HOUR,
}
_SCOPES = ("lifecycle", "direct")


def fetch(door: Door, asked: Asked) -> Answer:
    """gCO2e per kWh. Words: the zone, then `latest` for the last value alone instead of the last 24 hours."""
    if not asked.token:
        raise FeedError(f"{NAME}: no key; it is read from {TOKEN_VARIABLE} only", f"export {TOKEN_VARIABLE}=…")
    zone, kind = asked.words[0], asked.words[1]
    url = with_query(f"{asked.base}/v3/carbon-intensity/{kind}", {"zone": zone})
    answer = Payload.parse(NAME, door.get(url, {"auth-token": asked.token}).body)
    told = answer.at("zone")
    if told.text() != zone:
        raise told.wrong(f'"{zone}"')
    points = list(answer.at("history").items()) if kind == "history" else [answer]
    ordered = in_order(NAME, [row for point in points for row in _row(point)])
    facts = (
        ("source", f"Electricity Maps, {zone}"),
        ("licence", "Electricity Maps terms of your key; attribute Electricity Maps"),
        ("zone", zone),
        ("scope", _scope(points)),
        ("method", "location average, flow-traced consumption"),
    )
    return Answer(ordered, "gCO2e/kWh", facts, holes(ordered, asked))


def _row(point: Payload) -> list[Row]:
    """No row where the intensity is null. `datetime` is the start of the stretch."""
    intensity = point.at("carbonIntensity")
    if intensity.is_null:
        return []
    granularity = point.optional("temporalGranularity")
    name = "hourly" if granularity.is_null else granularity.text()
    if name not in _LENGTHS_NS:
        raise granularity.wrong(" or ".join(_LENGTHS_NS))
    start_ns, estimated = point.at("datetime").instant_ns(), point.optional("isEstimated").value
    value = intensity.decimal()
    if value < 0:
        raise intensity.wrong("an intensity of 0 or more")
    return [Row(start_ns, start_ns + _LENGTHS_NS[name], value, estimated if isinstance(estimated, bool) else None)]


def _scope(points: list[Payload]) -> str:
    """The one scope of all points: lifecycle and direct are never mixed."""
    kinds = [point.optional("emissionFactorType") for point in points]
    scopes = {"lifecycle" if kind.is_null else kind.text() for kind in kinds}
    if len(scopes) != 1 or not scopes <= set(_SCOPES):
        raise FeedError(f"{NAME}: emission factors are {', '.join(sorted(scopes))}, not one of a kind", "try again")
    return scopes.pop()
