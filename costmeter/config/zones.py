"""Time zones by name, checked where they are written."""

from datetime import tzinfo

from costmeter.config.faults import meant


def zone(name: str) -> tzinfo | None:
    """The zone of that name; None when there is none."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def nearest(name: str) -> str:
    """`. Did you mean "Area/City"?` for a name that is nearly a zone's, by its city or its spelling; else nothing."""
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    wanted = name.casefold().replace(" ", "_")
    known = {known.casefold(): known for known in sorted(available_timezones())}
    cities = {folded.rpartition("/")[2]: folded for folded in known if "/" in folded}
    for spellings in (known, cities):
        near = get_close_matches(wanted, spellings, n=1, cutoff=0.75)
        if near:
            return meant(known[spellings[near[0]].casefold()])
    return ""
