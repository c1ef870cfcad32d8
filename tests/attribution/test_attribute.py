"""Who holds which GPU: the order of the sources, claims against strangers, and the laws of attribution."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.attribution.announcement import Announcement
from costmeter.attribution.attribute import Announced, Attribution, Told, attribute
from costmeter.attribution.kubernetes import Pod
from costmeter.attribution.processes import UNREADABLE, Process
from costmeter.attribution.slurm import Job, Step
from costmeter.meter.holder import UNKNOWN_UID
from tests.attribution.nodes import (
    ALICE,
    BOB,
    CONTAINER,
    GPU,
    NODE,
    POD_CGROUP,
    USERS,
    announcement,
    in_step,
    job,
    process,
)
from tests.samples import device, instances

Computing = Mapping[int, Collection[Process]]


def attributed(
    computing: Computing,
    announcements: Sequence[Announcement] = (),
    pods: Sequence[Pod] = (),
    jobs: Sequence[Job] = (),
    roots: Sequence[Process] = (),
) -> Attribution:
    """The attribution of the node, where GPUs are named by index."""
    seen = {each.pid: each for each in [*roots, *(each for present in computing.values() for each in present)]}
    announced = [Announced(each, seen.get(each.root_pid)) for each in announcements]
    told = Told(NODE, announced, pods, jobs, USERS)
    return attribute(told, {GPU[index]: present for index, present in computing.items()})


def shown(found: Attribution) -> dict[int, str]:
    """By index: `run` or `user:` of each holder, and how it was found."""
    return {
        GPU.index(uuid): ", ".join(f"{each.run or each.user + ':'} {each.source}" for each in holders)
        for uuid, holders in found.by_device.items()
    }


# The order


ANNOUNCED = [announcement(root=50, uuids=frozenset({GPU[0]}))]
PODS = [Pod("ml", "train-0", ("main",), (GPU[0],))]
JOBS = [job(7, gpus="0")]
EVERYTHING = process(9, parents=(50,), step=Step(7, "0"), container=CONTAINER, run="r-marked", cgroups=(POD_CGROUP,))


@pytest.mark.parametrize(
    ("expected", "announcements", "pods", "jobs", "computing"),
    [
        pytest.param("r-one announced", ANNOUNCED, PODS, JOBS, EVERYTHING, id="announced"),
        pytest.param("k8s-ml.train-0 kubernetes", [], PODS, JOBS, EVERYTHING, id="kubernetes"),
        pytest.param("slurm-7-0 slurm", [], [], JOBS, EVERYTHING, id="slurm-with-a-prolog"),
        pytest.param("slurm-7-0 slurm", [], [], [], EVERYTHING, id="slurm-without"),
        pytest.param("container-0123456789ab container", [], [], [], replace(EVERYTHING, step=None), id="container"),
        pytest.param("r-one parents", [announcement(root=50)], [], [], process(9, parents=(50,)), id="parents"),
        pytest.param("r-marked environment", [], [], [], process(9, run="r-marked"), id="environment"),
        pytest.param("alice: user", [], [], [], process(9), id="user"),
        pytest.param("alice: user", [], [], [], process(9, run=UNREADABLE), id="user-of-an-unreadable-environment"),
        pytest.param("1003: user", [], [], [], process(9, uid=1003), id="user-without-a-name"),
        pytest.param(None, [], [], [], None, id="nobody"),
    ],
)
def test_the_first_source_that_knows_has_the_word(
    expected: str | None, announcements: list[Announcement], pods: list[Pod], jobs: list[Job], computing: Process | None
) -> None:
    """A GPU of which several sources could tell is what the surest of them says."""
    found = attributed({0: [computing] if computing else []}, announcements, pods, jobs)

    assert ({} if expected is None else {0: expected}) == shown(found)


@pytest.mark.parametrize(
    ("expected", "announcements", "pods", "jobs"),
    [
        pytest.param("r-one announced", ANNOUNCED, [], [], id="announced"),
        pytest.param("k8s-ml.train-0 kubernetes", [], PODS, [], id="kubernetes"),
        pytest.param("slurm-7 slurm", [], [], JOBS, id="slurm"),
    ],
)
def test_what_was_given_is_held_without_a_process(
    expected: str, announcements: list[Announcement], pods: list[Pod], jobs: list[Job]
) -> None:
    """A GPU is held from allocation to release, whether or not anything computes on it."""
    assert {0: expected} == shown(attributed({}, announcements, pods, jobs))


@pytest.mark.parametrize(
    ("expected", "uuids"),
    [
        pytest.param({0: "r-one announced"}, None, id="where-it-computes"),
        pytest.param({0: "r-one parents"}, frozenset(), id="nowhere"),
        pytest.param({0: "r-one parents", 1: "r-one announced"}, frozenset({GPU[1]}), id="elsewhere"),
    ],
)
def test_a_run_has_what_its_processes_use(expected: dict[int, str], uuids: frozenset[str] | None) -> None:
    """A run that does not say what it holds holds where it computes; one that does, is found there by its parents."""
    found = attributed({0: [process(9, parents=(60, 50, 1))]}, [announcement(root=50, uuids=uuids)])

    assert expected == shown(found)
    assert frozenset({(50, 500), (9, 90)}) == found.runs[ALICE, "r-one"].processes


def test_the_nearest_run_has_the_process() -> None:
    """Of two runs in one line of parents it is the inner one's."""
    runs = [announcement("r-outer", root=50, uuids=None), announcement("r-inner", root=60, uuids=None)]

    assert {0: "r-inner announced"} == shown(attributed({0: [process(9, parents=(70, 60, 50))]}, runs))


def test_a_pid_that_is_used_again_is_another_process() -> None:
    """A parent with the pid of a run's first process and another start is a stranger."""
    child = process(9, ancestors=((50, 501),))

    assert {0: "alice: user"} == shown(attributed({0: [child]}, [announcement(root=50, uuids=None)]))


@pytest.mark.parametrize(
    ("expected", "cgroup"),
    [
        pytest.param("r-one parents", "/system.slice/train.service", id="a-service"),
        pytest.param("r-one parents", "/user.slice/user-1001.slice/user@1001.service/run-r12.scope", id="systemd-run"),
        pytest.param("alice: user", "/user.slice/user-1001.slice/session-3.scope", id="a-login"),
        pytest.param("alice: user", "/user.slice/user-1001.slice/user@1001.service", id="all-of-a-user"),
        pytest.param("alice: user", "/user.slice/user-1001.slice/user@1001.service/app.slice/vte-1.scope", id="window"),
        pytest.param("alice: user", "/", id="the-root"),
    ],
)
def test_a_control_group_of_one_job_leads_to_its_run(expected: str, cgroup: str) -> None:
    """A daemon that left its parents is its run's by a control group that belongs to one job, and by no other."""
    root, daemon = process(50, cgroups=(cgroup,)), process(9, cgroups=(cgroup,))

    assert {0: expected} == shown(attributed({0: [daemon]}, [announcement(root=50)], roots=[root]))


def test_a_control_group_of_two_runs_leads_to_neither() -> None:
    """Where two runs share the group nobody can say whose the process is."""
    group = ("/system.slice/train.service",)
    runs = [announcement("r-one", root=50), announcement("r-two", root=60)]
    roots = [process(50, cgroups=group), process(60, cgroups=group)]

    assert {0: "alice: user"} == shown(attributed({0: [process(9, cgroups=group)]}, runs, roots=roots))


# Strangers and allocations


@pytest.mark.parametrize(
    ("expected", "computing"),
    [
        pytest.param("bob: user", [process(9, BOB)], id="he-has-it"),
        pytest.param(
            "r-one announced, bob: user", [process(9, BOB), process(8, parents=(50,))], id="both-where-both-compute"
        ),
        pytest.param("r-bob environment", [process(9, BOB, run="r-bob")], id="his-run-has-it"),
        pytest.param("r-one announced", [process(9, 0, name="nvidia-cuda-mps")], id="a-server-is-no-stranger"),
        pytest.param("nvidia-cuda-mps", [process(9, BOB, name="nvidia-cuda-mps")], id="a-user's-server-is"),
    ],
)
def test_a_claim_never_takes_a_gpu_on_which_another_user_computes(expected: str, computing: list[Process]) -> None:
    """The claimant keeps his other GPUs, and of this one what his own processes prove."""
    claim = announcement(root=50, uuids=frozenset(GPU[:2]))
    expected = "bob: user" if expected == "nvidia-cuda-mps" else expected

    assert {0: expected, 1: "r-one announced"} == shown(attributed({0: computing}, [claim]))


@pytest.mark.parametrize("name", ["Xorg", "nvidia-cuda-mps", "nvidia-persiste", "nv-hostengine"])
def test_what_serves_the_node_holds_nothing(name: str) -> None:
    """Root's display and MPS servers hold no GPU; another process of root's does."""
    assert {1: "root: user"} == shown(attributed({0: [process(9, 0, name=name)], 1: [process(8, 0, name="python")]}))


@pytest.mark.parametrize(
    ("expected", "jobs"),
    [
        pytest.param({0: "r-one announced", 1: "slurm-7 slurm"}, [job(7, gpus="0 1")], id="to-its-own-job"),
        pytest.param(
            {0: "r-one announced", 1: "r-one announced", 2: "r-one announced", 3: "slurm-8 slurm"},
            [job(8, BOB, gpus="3")],
            id="not-to-another's",
        ),
        pytest.param(dict.fromkeys(range(3), "r-one announced"), [job(7)], id="not-to-a-job-of-unknown-gpus"),
    ],
)
def test_a_claim_is_cut_to_the_allocation(expected: dict[int, str], jobs: list[Job]) -> None:
    """A run in a Slurm job that claims more than the job was given gets what the job was given."""
    uuids = frozenset(GPU[:1]) if jobs[0].gpus == ("0", "1") else frozenset(GPU[:3])
    wide = frozenset(GPU[2:]) | uuids if jobs[0].gpus == ("0", "1") else uuids
    found = attributed({}, [announcement(root=50, uuids=wide)], jobs=jobs, roots=[in_step(50, 7)])

    assert expected == shown(found)


def test_several_runs_hold_one_gpu() -> None:
    """Runs of one user on one GPU are all its holders; whoever else of his computes there is not."""
    claims = [announcement(f"r-{name}", uuids=frozenset({GPU[0]})) for name in ("a", "b")]

    assert {0: "r-a announced, r-b announced"} == shown(attributed({0: [process(9, run="r-c")]}, claims))


def test_a_run_found_in_two_ways_is_one_holder() -> None:
    """A run that two processes lead to, one by its parents and one by its environment, has one share."""
    computing = {0: [process(9, parents=(50,)), process(8, run="r-one"), process(7, BOB)]}
    found = attributed(computing, [announcement(root=50)])

    assert {0: "r-one parents, bob: user"} == shown(found)


def test_a_holder_says_what_its_run_does() -> None:
    """Phase and repetition come from the announcement, however the GPU was found to be the run's."""
    told = announcement(root=50, phase="eval", redone=True)
    found = attributed({0: [process(9, parents=(50,))], 1: [process(8, run="r-one")]}, [told])

    assert {("eval", True)} == {(each.phase, each.redone) for held in found.by_device.values() for each in held}
    assert {0: "r-one parents", 1: "r-one environment"} == shown(found)


def test_of_two_announcers_of_one_run_each_claims_for_it() -> None:
    """One names a GPU, the other computes on two: all are the run's, and what descends from either is."""
    claims = [announcement(root=50, uuids=frozenset({GPU[0]})), announcement(root=60, uuids=None)]
    computing = {1: [process(9, parents=(60,))], 2: [process(8, parents=(50,))]}
    found = attributed(computing, claims)
    assert dict.fromkeys(range(3), "r-one announced") == shown(found)
    [run] = found.runs.values()
    assert {(50, 500), (60, 600), (9, 90), (8, 80)} == run.processes
    assert run.announcement is not None
    assert 50 == run.announcement.root_pid


def test_an_announced_run_without_a_gpu_is_known() -> None:
    """A run that waits for its GPUs is on the node."""
    found = attributed({}, [announcement()])

    assert ({}, [(ALICE, "r-one")]) == (found.by_device, list(found.runs))


# Slurm


@pytest.mark.parametrize(
    ("expected", "computing", "jobs"),
    [
        pytest.param("slurm-7-0 slurm, slurm-7-1 slurm", [in_step(9, 7), in_step(8, 7, "1")], JOBS, id="two-steps"),
        pytest.param("slurm-7 slurm", [in_step(9, 7, "batch")], JOBS, id="the-batch-script"),
        pytest.param(
            "slurm-120_3-0 slurm", [in_step(9, 7)], [job(7, gpus="0", array="120_3")], id="a-task-of-an-array"
        ),
        pytest.param("slurm-8-0 slurm", [in_step(9, 8, uid=BOB)], JOBS, id="another-user's-job"),
        pytest.param("slurm-7-0 slurm", [in_step(9, 7)], [job(7, gpus=GPU[0])], id="given-by-uuid"),
        pytest.param("slurm-7 slurm, slurm-8 slurm", [], [*JOBS, job(8, BOB, gpus="0")], id="shared-by-two-jobs"),
        pytest.param("alice: user", [in_step(9, 7)], [job(7, BOB, gpus="1", array="9_9")], id="another's-by-his-file"),
        pytest.param("r-mine environment", [in_step(9, 7, run="r-mine")], [job(7, BOB)], id="another's-and-told-of"),
    ],
)
def test_a_job_holds_what_it_was_given(expected: str, computing: list[Process], jobs: list[Job]) -> None:
    """By the steps that compute on it, else as a whole."""
    assert expected == shown(attributed({0: computing}, jobs=jobs))[0]


def test_a_job_is_known_by_name() -> None:
    """Number, name and account of a job are the run's, from its prolog."""
    [run] = attributed({0: [in_step(9, 7)]}, jobs=[job(7, gpus="0", name="train", account="nlp")]).runs.values()

    assert ("7", "train", {"account": "nlp"}, "alice") == (run.job, run.name, run.labels, run.holder.user)


# Kubernetes


def test_a_pod_is_one_run_with_and_without_a_process() -> None:
    """Whose a pod is shows when its processes do; the run stays the same, for its key has no user."""
    idle = attributed({}, pods=PODS)
    busy = attributed({0: [process(9, BOB, cgroups=(POD_CGROUP,))]}, pods=PODS)

    assert list(idle.runs) == list(busy.runs) == [(UNKNOWN_UID, "k8s-ml.train-0")]
    assert ("", "bob") == tuple(each.by_device[GPU[0]][0].user for each in (idle, busy))
    [run] = idle.runs.values()
    assert ("ml/train-0", {"namespace": "ml", "pod": "train-0", "container": "main"}) == (run.job, run.labels)


@pytest.mark.parametrize(
    ("expected", "cgroups"),
    [
        pytest.param("k8s-ml.train-0 kubernetes", (POD_CGROUP,), id="of-a-pod"),
        pytest.param("k8s-ml.train-0 kubernetes", ("/",), id="that-nobody-can-see"),
        pytest.param("bob: user", ("/user.slice/user-1002.slice/session-3.scope",), id="of-the-host"),
    ],
)
def test_a_process_of_no_pod_takes_a_pods_gpu(expected: str, cgroups: tuple[str, ...]) -> None:
    """Containers have users of their own, so it is the control group that tells a stranger."""
    assert {0: expected} == shown(attributed({0: [process(9, BOB, cgroups=cgroups)]}, pods=PODS))


@pytest.mark.parametrize(
    ("expected", "elsewhere"),
    [
        pytest.param("k8s-ml.train-0 kubernetes", (), id="nothing-is-shown"),
        pytest.param("k8s-ml.train-0 kubernetes", ("/system.slice/ssh.service",), id="only-services-are"),
        pytest.param("bob: user", (POD_CGROUP,), id="pods-are"),
    ],
)
def test_a_process_that_shows_nothing_is_of_a_pod_where_none_shows_one(
    expected: str, elsewhere: tuple[str, ...]
) -> None:
    """Where another process's control group is a pod's, one without any is of none: it is not taken for the pod's."""
    found = attributed({0: [process(9, BOB, cgroups=("/",))], 1: [process(8, cgroups=elsewhere)]}, pods=PODS)

    assert expected == shown(found)[0]


@pytest.mark.parametrize("own", ["kubepods", "kubepods.slice/kubepods-pod5f2b.slice"])
def test_a_group_that_a_user_made_is_no_pods(own: str) -> None:
    """Whoever computes on a pod's GPU from a group of his own named like a pod's pays for it himself."""
    forger = process(9, BOB, cgroups=(f"/user.slice/user-1002.slice/user@1002.service/{own}",))

    assert {0: "bob: user"} == shown(attributed({0: [forger]}, pods=PODS))


def test_pods_share_a_gpu_in_replicas() -> None:
    """Two pods with replicas of one GPU both hold it."""
    pods = [Pod("ml", name, ("main",), (f"{GPU[0]}::{place}",)) for place, name in enumerate("ab")]

    assert {0: "k8s-ml.a kubernetes, k8s-ml.b kubernetes"} == shown(attributed({}, pods=pods))


def test_instances_of_a_board_have_holders_of_their_own() -> None:
    """A claim of one MIG instance is no claim of its neighbour; one of the board is of all."""
    board = device(0)
    first, second = instances(board, 3, 4)
    told = Told((first, second), [Announced(announcement("r-a", uuids=frozenset({first.uuid})))])
    whole = Told((first, second), [Announced(announcement("r-a", uuids=frozenset({board.uuid})))])

    assert {first.uuid} == set(attribute(told, {}).by_device)
    assert {first.uuid, second.uuid} == set(attribute(whole, {}).by_device)


# Laws

UIDS = st.sampled_from([ALICE, BOB])
RUNS = st.sampled_from(["r-a", "r-b", "slurm-7"])
PROCESSES = st.builds(
    lambda pid, uid, parents, step, box, run: process(pid, uid, parents=parents, step=step, container=box, run=run),
    st.integers(10, 40),
    UIDS,
    st.lists(st.integers(50, 53), max_size=2, unique=True).map(tuple),
    st.none() | st.builds(Step, st.integers(7, 8), st.sampled_from(["", "0", "batch"])),
    st.sampled_from(["", CONTAINER]),
    st.sampled_from(["", "r-a", "r-b"]) | st.just(UNREADABLE),
)
CLAIMS = st.builds(
    lambda run, uid, root, uuids: announcement(run, uid, root, uuids=uuids),
    RUNS,
    UIDS,
    st.integers(50, 53),
    st.none() | st.frozensets(st.sampled_from(GPU)),
)
COMPUTING = st.dictionaries(
    st.integers(0, 3), st.lists(PROCESSES, max_size=4, unique_by=lambda each: each.pid), max_size=4
)
ANNOUNCEMENTS = st.lists(CLAIMS, max_size=4, unique_by=(lambda each: each.key, lambda each: each.root_pid))
GIVEN = st.lists(
    st.builds(
        lambda number, uid, gpus: job(number, uid, " ".join(map(str, gpus))),
        st.integers(7, 9),
        UIDS,
        st.frozensets(st.integers(0, 4)),
    ),
    max_size=3,
    unique_by=lambda each: each.job,
)


@given(COMPUTING, ANNOUNCEMENTS, GIVEN, st.randoms(use_true_random=False))
def test_the_order_of_what_is_told_changes_nothing(
    computing: Computing, announcements: list[Announcement], jobs: list[Job], chance: object
) -> None:
    """Processes, announcements and jobs in any order have the same holders and the same runs."""
    again = {index: list(reversed(list(present))) for index, present in reversed(list(computing.items()))}
    turned = attributed(again, announcements[::-1], jobs=jobs[::-1])

    assert attributed(computing, announcements, jobs=jobs) == turned


@given(COMPUTING, ANNOUNCEMENTS, GIVEN)
def test_nothing_crosses_users(computing: Computing, announcements: list[Announcement], jobs: list[Job]) -> None:
    """Where anybody computes, exactly those users hold the GPU who compute on it; no run is of two users."""
    found = attributed(computing, announcements, jobs=jobs)

    for index, present in computing.items():
        if present:
            assert {each.uid for each in present} == {each.uid for each in found.by_device[GPU[index]]}


@given(COMPUTING, ANNOUNCEMENTS, GIVEN)
def test_where_somebody_claims_alone_nobody_else_holds(
    computing: Computing, announcements: list[Announcement], jobs: list[Job]
) -> None:
    """A device whose users agree has holders of one source: the first that knows any."""
    found = attributed(computing, announcements, jobs=jobs)

    for index in range(4):
        users = {each.uid for each in computing.get(index, ())}
        sources = {each.source for each in found.by_device.get(GPU[index], ())}
        named = [each for each in announcements if each.uuids and GPU[index] in each.uuids and users <= {each.uid}]
        given_to = [each for each in jobs if str(index) in each.gpus and users <= {each.uid}]
        if len(users) <= 1 and named:
            assert sources == {"announced"}
        elif not users:
            assert sources == ({"slurm"} if given_to else set())


@given(COMPUTING, ANNOUNCEMENTS, GIVEN)
def test_every_holder_is_known(computing: Computing, announcements: list[Announcement], jobs: list[Job]) -> None:
    """Each run among the holders has its facts, each announced run, too; and nobody holds a GPU twice."""
    found = attributed(computing, announcements, jobs=jobs)
    held = {each.key for holders in found.by_device.values() for each in holders if each.run}

    assert held | {each.key for each in announcements} == set(found.runs)
    for holders in found.by_device.values():
        assert len({each.key for each in holders}) == len(holders) > 0
        assert list(holders) == sorted(holders)
