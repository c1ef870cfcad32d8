"""The price catalogue: keys lead to rows, rows to prices per GPU, and doubtful rows say why."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.rates.catalog import (
    COLLECTED,
    DATES,
    KINDS,
    MARKETPLACES,
    SOURCES,
    Kind,
    Offer,
    find,
    is_gpu_alone,
    offers,
    traps,
)
from costmeter.rates.prices import DATA, default_price, rows


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        pytest.param("aws/p5.48xlarge/us-east-1", "on_demand", "6.88", id="on-demand-where-none-is-named"),
        pytest.param("aws/p5.48xlarge/us-east-1/on_demand", "on_demand", "6.88", id="on-demand"),
        pytest.param("gcp/a3-highgpu-8g/us-central1/spot", "spot", "4.4841975", id="spot"),
        pytest.param("aws/p4d.24xlarge/us-east-1/reserved_1yr", "reserved_1yr", "1.74013675", id="reserved"),
        pytest.param(" AWS/P5.48XLARGE/US-EAST-1 ", "on_demand", "6.88", id="case-and-blanks"),
        pytest.param("oci/VM.GPU3.4", "on_demand", "2.95", id="one-price-everywhere-needs-no-region"),
        pytest.param("oci/VM.GPU3.4/us-ashburn-1", "on_demand", "2.95", id="one-price-everywhere-answers-to-any"),
        pytest.param("oci/VM.GPU3.4/*", "on_demand", "2.95", id="one-price-everywhere-by-its-star"),
        pytest.param("azure/Standard_NV6ads_A10_v5/eastus", "on_demand", "0.454", id="a-slice-is-one-device"),
    ],
)
def test_a_key_leads_to_a_price_per_gpu(key: str, kind: Kind, expected: str) -> None:
    """55.04 for the machine is 6.88 for each of its 8 GPUs; a slice of a GPU pays what its machine costs."""
    offer, found = find(key)
    assert (kind, Decimal(expected)) == (found, offer.price(found))


@pytest.mark.parametrize(
    ("key", "told"),
    [
        pytest.param(
            "asw/p5.48xlarge/us-east-1", 'no provider "asw" in the catalogue. Did you mean "aws"?', id="seller"
        ),
        pytest.param(
            "aws/p5.48xlarg/us-east-1",
            'no instance "p5.48xlarg" of aws in the catalogue. Did you mean "p5.48xlarge"',
            id="instance",
        ),
        pytest.param(
            "aws/p5.48xlarge/us-east-9",
            'no price of aws/p5.48xlarge in "us-east-9". Did you mean "us-east-',
            id="region",
        ),
        pytest.param(
            "aws/p5.48xlarge",
            "aws/p5.48xlarge has a price per region: add one. Known here: ap-northeast-1",
            id="no-region",
        ),
        pytest.param(
            "aws/p5.48xlarge/us-east-1/spot",
            "aws/p5.48xlarge/us-east-1 has no spot price in the catalogue; it has on_demand 6.88",
            id="kind",
        ),
        pytest.param("aws/p5.48xlarge/us-east-1/spott", "a key is provider/instance/region or", id="misspelt-kind"),
        pytest.param("a/b/c/d/e", "a key is provider/instance/region or", id="too-long"),
        pytest.param("", 'no provider "" in the catalogue. Known here: akash, aws', id="empty"),
        pytest.param("aws", 'no instance "" of aws in the catalogue. Known here: ', id="seller-alone"),
    ],
)
def test_an_unknown_key_is_refused_with_what_exists_nearest(key: str, told: str) -> None:
    """The refusal names the part that is not there, and what is."""
    with pytest.raises(LookupError) as refusal:
        find(key)
    assert str(refusal.value.args[0]).startswith(told)


@pytest.mark.parametrize(
    ("key", "kind", "told"),
    [
        pytest.param("akash/nvidia-b200-180gb", "spot", "marketplace", id="marketplace"),
        pytest.param("gcp/accelerator:t4/us-west3", "on_demand", "the GPU alone", id="gpu-alone"),
        pytest.param("coreweave/tesla-v100-nvlink-16gb-nvlink", "on_demand", "the GPU alone", id="parts-billed-apart"),
        pytest.param("akash/nvidia-a100-80gb", "spot", "which model", id="unspecified"),
        pytest.param("azure/Standard_NV6ads_A10_v5/eastus", "on_demand", "a slice: 0.167 of a GPU", id="slice"),
        pytest.param("aws/g2.2xlarge/eu-central-1", "spot", "no cheaper than on demand", id="spot-not-cheaper"),
        pytest.param("aws/g2.2xlarge/eu-central-1", "spot", "spot price of 2024-08-09", id="stale-spot"),
        pytest.param("gcp/a3-highgpu-8g/us-central1", "spot", "it changes by the hour", id="any-spot"),
        pytest.param("aws/p4d.24xlarge/us-east-1", "reserved_1yr", "used or not", id="reserved"),
    ],
)
def test_a_doubtful_row_says_why(key: str, kind: Kind, told: str) -> None:
    """Each trap of the public catalogues is named in words, for the kind of price it concerns."""
    assert any(told in reason for reason in traps(find(f"{key}/{kind}")[0], kind))


def test_an_ordinary_row_has_no_traps() -> None:
    """A dated on-demand price of a whole machine of a known model is only what it says."""
    assert () == traps(find("aws/p5.48xlarge/us-east-1")[0], "on_demand")


def test_a_flex_start_price_is_not_taken_for_on_demand() -> None:
    """GCP machines whose lists give Flex-start's price have no on-demand price here, and say so."""
    rows_of = [offer for offer in offers() if "Flex-start" in offer.notes]
    assert 42 == len(rows_of)
    assert all(offer.on_demand is None for offer in rows_of)
    assert all(any("Flex-start" in reason for reason in traps(offer)) for offer in rows_of)


def test_a_whole_terms_price_is_no_hours() -> None:
    """A reservation of 551,221 beside 98.32 an hour is a year's price under the unit of an hour."""
    offer = find("aws/p4d.24xlarge/us-east-1/reserved_1yr")[0]
    termed = replace(offer, published=replace(offer.published, reserved_1yr=Decimal(551_221)))
    assert any("a whole term" in reason for reason in traps(termed))
    assert not any("a whole term" in reason for reason in traps(offer))


def test_every_row_is_found_by_its_own_key() -> None:
    """2,790 rows, each with a price, a date that is not of the future, and a key that leads back to it."""
    assert 2_790 == len(offers()) == len({offer.key.casefold() for offer in offers()})
    for offer in offers():
        kinds = [kind for kind in KINDS if offer.price(kind) is not None]
        assert kinds
        assert all((offer.price(kind) or 0) > 0 and "2024" <= offer.dated(kind) <= COLLECTED for kind in kinds)
    for offer in offers()[::97]:
        kind = next(kind for kind in KINDS if offer.price(kind) is not None)
        assert (offer, kind) == find(f"{offer.key}/{kind}")


def test_the_gpus_of_a_machine_add_up_to_its_price() -> None:
    """Price per GPU × GPUs is the published price, to the last digit, for every machine of whole GPUs."""
    whole = [offer for offer in offers() if offer.gpus >= 1 and not offer.published.per_gpu]
    for offer in whole:
        for kind in KINDS:
            price, published = offer.price(kind), offer.as_published(kind)
            assert (price is None and published is None) or price * offer.gpus == published  # type: ignore[operator]


def test_the_table_carries_sources_dates_and_licences() -> None:
    """The file's header names each source as the product does, with its date, and every price has one of them."""
    text = (DATA / "catalog.csv").read_text(encoding="utf-8")
    assert "Apache-2.0" in text
    assert SOURCES.keys() == DATES.keys()
    header = {line[2:4]: line for line in text.splitlines() if re.match("# S[0-9] ", line)}
    for name, source in SOURCES.items():
        assert source.removeprefix("GitHub ") in header[name]
        assert DATES[name] in header[name]
    for offer in offers():
        assert {kind: offer.price(kind) is not None for kind in KINDS} == {
            kind: offer.source_ids.get(kind) in SOURCES for kind in KINDS
        }


@pytest.mark.parametrize(
    ("kind", "dated", "source"),
    [
        pytest.param("on_demand", "2026-07-20", "aws/karpenter-provider-aws", id="on-demand"),
        pytest.param("spot", "2024-08-09", "coroot/cloud-pricing", id="spot"),
        pytest.param("reserved_1yr", "2026-01-21", "tsaol/aws-gpu", id="reserved"),
    ],
)
def test_each_price_of_a_row_has_its_own_source_and_date(kind: Kind, dated: str, source: str) -> None:
    """Three public tables made one row: only one of them has reservations, and a year older is not the other's date."""
    offer = find("aws/p4d.24xlarge/us-east-1")[0]
    assert (dated, f"GitHub {source}") == (offer.dated(kind), offer.sourced(kind))


def test_a_price_that_is_not_there_has_no_source() -> None:
    """A row without a spot price does not name the table that could have had one."""
    offer = find("aws/p5.48xlarge/us-east-1")[0]
    assert ("", "") == (offer.dated("spot"), offer.sourced("spot"))
    assert {"on_demand", "reserved_1yr"} >= offer.source_ids.keys()


def test_a_fact_about_a_price_is_told_once() -> None:
    """An old spot price is dated in one trap, not in two."""
    offer = find("aws/p4d.24xlarge/us-east-1/spot")[0]
    assert 1 == sum("2024-08-09" in trap for trap in traps(offer, "spot"))


# The default prices, made from this catalogue by the rule in their header


#: Regions of the United States as the sellers call them, and one price everywhere.
_US = re.compile(r"us-.*|us[0-9].*|(north|south|west)?(central|east|west)us[0-9]?|.*, US,.*|\*")
_DOUBTFUL = re.compile("stale|[Vv]irtualized|labels")


def _counts(offer: Offer) -> bool:
    """Whether the rule takes a row: a whole machine of whole GPUs, listed, in the US or everywhere."""
    return (
        offer.on_demand is not None
        and offer.gpus == int(offer.gpus)
        and _US.fullmatch(offer.region) is not None
        and "gov" not in offer.region
        and offer.provider not in MARKETPLACES
        and not is_gpu_alone(offer)
        and _DOUBTFUL.search(offer.notes) is None
    )


def test_the_default_prices_are_the_rule_applied_to_the_catalogue() -> None:
    """Per seller the cheapest row per GPU, over sellers the lower median: each default is recomputed from the rows."""
    cheapest: dict[str, dict[str, Decimal]] = {}
    for offer in offers():
        if _counts(offer) and offer.on_demand is not None:
            sellers = cheapest.setdefault(offer.gpu_key, {})
            sellers[offer.provider] = min(offer.on_demand, sellers.get(offer.provider, offer.on_demand))
    for row in rows("default_prices.csv"):
        sellers = cheapest[row["gpu_key"]]
        ordered = sorted(sellers.values())
        found = (ordered[(len(ordered) - 1) // 2], ordered[0], ordered[-1], len(ordered))
        listed = default_price(row["nvml_names"].split("|")[0])
        assert listed is not None
        expected = (listed.price_usd_per_gpu_hour, listed.low, listed.high, listed.sellers)
        rounded = tuple(round(figure, 4) for figure in found[:3])
        assert (row["gpu_key"], *expected) == (row["gpu_key"], *rounded, found[3])
        assert round(sellers[listed.seller], 4) == listed.price_usd_per_gpu_hour
        assert DATES[listed.source] == listed.snapshot_date
