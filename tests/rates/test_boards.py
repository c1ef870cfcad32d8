"""What a model draws when idle and at full load: found by the driver's names, of one device, within its limit."""

import math
from statistics import median

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.rates.boards import IDLE_SHARE, power_range, range_of
from costmeter.rates.prices import rows
from costmeter.readings import PowerRange
from tests.samples import words

names = st.sampled_from(("NVIDIA H100 80GB HBM3", "Tesla K80", "GeForce RTX 4090", "NVIDIA A30 MIG 1g.6gb", "NVIDIA"))


@pytest.mark.parametrize(
    ("name", "idle_watts", "full_watts"),
    [
        pytest.param("NVIDIA H100 80GB HBM3", 70, 700, id="current-name"),
        pytest.param("NVIDIA H100 PCIe", 48, 350, id="its-neighbour"),
        pytest.param("A100-SXM4-80GB", 60, 400, id="old-driver-without-vendor"),
        pytest.param("NVIDIA T4", 9, 70, id="alias"),
        pytest.param("GeForce RTX 4090", 18, 450, id="geforce-without-vendor"),
        pytest.param("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 60, 400, id="mig-instance-leads-to-its-board"),
        pytest.param("NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb", 60, 400, id="mig-compute-instance"),
        pytest.param("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", 70, 700, id="mig-with-media-engines"),
        pytest.param("Tesla K80", 17.5, 150, id="half-of-a-board-of-two"),
        pytest.param("NVIDIA A16", 7, 62.5, id="a-quarter-of-a-board-of-four"),
        pytest.param("Tesla V100-SXM3-32GB-H", 50, 450, id="part-with-another-limit"),
    ],
)
def test_a_model_is_found_by_its_names(name: str, idle_watts: float, full_watts: float) -> None:
    """The figures are those of one device as NVML shows it: K80 has 35 W and 300 W on a board of two."""
    assert power_range(name) == PowerRange(idle_watts, full_watts)


@pytest.mark.parametrize("name", ["", "H100", "NVIDIA", "NVIDIA H100 80GB HBM3 X", " MIG 3g.40gb", "unidentified GPU"])
def test_an_unknown_model_has_no_range(name: str) -> None:
    """A name that is not in the table has no figures, however near it is."""
    assert power_range(name) is None


@pytest.mark.parametrize(
    ("name", "limit_watts", "expected"),
    [
        pytest.param("NVIDIA H100 80GB HBM3", None, PowerRange(70, 700), id="no-limit-known"),
        pytest.param("NVIDIA H100 80GB HBM3", 500.0, PowerRange(70, 500), id="limit-set-lower"),
        pytest.param("NVIDIA A10G", 300.0, PowerRange(18, 300), id="limit-above-the-design-power"),
        pytest.param("NVIDIA H100 80GB HBM3", 60.0, PowerRange(60, 60), id="limit-below-idle"),
        pytest.param("NVIDIA X900", 500.0, PowerRange(50, 500), id="unknown-model"),
        pytest.param("NVIDIA X900", None, None, id="nothing-known"),
        pytest.param("NVIDIA X900", 0.0, None, id="a-limit-of-nothing"),
        pytest.param("NVIDIA H100 80GB HBM3", math.nan, PowerRange(70, 700), id="a-limit-that-is-no-number"),
        pytest.param("NVIDIA H100 80GB HBM3", -1.0, PowerRange(70, 700), id="a-negative-limit"),
        pytest.param("NVIDIA H100 80GB HBM3", math.inf, PowerRange(70, 700), id="an-endless-limit"),
    ],
)
def test_an_enforced_limit_is_the_full_load(name: str, limit_watts: float | None, expected: PowerRange | None) -> None:
    """A limit somebody set replaces the design power; of an unknown model, a tenth of it (500 W: 50 W) is idle."""
    assert range_of(name, limit_watts) == expected


@given(names | words, st.none() | st.floats())
@example("NVIDIA L4", 5e-324)
def test_idle_is_never_above_full(name: str, limit_watts: float | None) -> None:
    """Whatever name and limit a driver tells, there is a range of positive finite watts or none."""
    found = range_of(name, limit_watts)
    if found is not None:
        assert 0 <= found.idle_watts <= found.full_watts < math.inf
        assert found.full_watts > 0


def test_the_share_of_idle_is_the_tables_median() -> None:
    """What unknown models are taken to draw is what half of the known ones do not reach."""
    shares = [float(row["idle_w"]) / float(row["full_w"]) for row in rows("boards.csv")]
    assert round(median(shares), 2) == IDLE_SHARE
    assert len(shares) == 84
    assert (round(min(shares), 2), round(max(shares), 2)) == (0.03, 0.19)


def test_every_model_of_the_other_tables_has_a_range() -> None:
    """The table knows each name of the models table, each once, says on what it rests, and has idle below full."""
    table = list(rows("boards.csv"))
    listed = [name for row in table for name in row["nvml_names"].split("|")]
    assert len(listed) == len(set(listed))
    assert set(listed) == {name for row in rows("gpu_models.csv") for name in row["nvml_names"].split("|")}
    for row in table:
        assert row["basis"].split(";")[0] in ("CCF", "typical")
        assert 0 < float(row["idle_w"]) < float(row["full_w"])
        assert power_range(row["nvml_names"].split("|")[0]) == PowerRange(float(row["idle_w"]), float(row["full_w"]))
