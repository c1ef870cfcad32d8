"""On how many nodes a run is, and which folders they share, as Slurm, launchers and the kernel say it."""

from pathlib import Path

import pytest

from costmeter.runtime.nodes import is_shared, nodes, why_no_stop

#: Lines as proc(5) describes them: id, parent, device, root, mount point, options, optional fields, -, type, source.
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/local rw - xfs /dev/sdb1 rw
32 22 0:42 / /scratch rw - lustre mgs@tcp:/scratch rw
33 22 0:43 / /my\\040data rw - fuse.beegfs beegfs rw
34 22 0:44 / /mnt/own rw - fuse.sshfs host: rw
35 22 0:45 / /mnt/own rw - ceph mon:/ rw
torn
"""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, 1, id="nobody-says"),
        pytest.param({"SLURM_NNODES": "1"}, 1, id="slurm-one"),
        pytest.param({"SLURM_NNODES": "4"}, 4, id="slurm"),
        pytest.param({"SLURM_JOB_NUM_NODES": "3"}, 3, id="slurm-job"),
        pytest.param({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8"}, 1, id="torch-one"),
        pytest.param({"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, 2, id="torch"),
        pytest.param({"WORLD_SIZE": "12", "LOCAL_WORLD_SIZE": "8"}, 2, id="torch-unequal"),
        pytest.param({"WORLD_SIZE": "16"}, 1, id="torch-says-half"),
        pytest.param({"SLURM_NNODES": "many", "WORLD_SIZE": "-2", "LOCAL_WORLD_SIZE": "0"}, 1, id="nonsense"),
    ],
)
def test_nodes_are_counted_as_told(environ: dict[str, str], expected: int) -> None:
    """Slurm's word, or the sizes of a launcher; what is no number is nobody's word."""
    assert expected == nodes(environ)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        pytest.param("/var/lib", False, id="the-root"),
        pytest.param("/home/maya/.local/state/costmeter", True, id="nfs"),
        pytest.param("/home", True, id="the-mount-itself"),
        pytest.param("/home/local/maya", False, id="a-disk-below-it"),
        pytest.param("/homes/maya", False, id="a-name-that-begins-alike"),
        pytest.param("/scratch/x", True, id="lustre"),
        pytest.param("/my data/x", True, id="a-blank-and-fuse"),
        pytest.param("/mnt/own/x", True, id="the-later-mount-covers"),
    ],
)
def test_a_folder_is_shared_where_its_mount_is_a_networks(folder: str, expected: bool) -> None:
    """The innermost mount counts, the later one of two in one place."""
    assert expected == is_shared(Path(folder), MOUNTS)


def test_one_node_may_always_be_stopped(tmp_path: Path) -> None:
    """On one node the meter sees the whole run, wherever its journal is; on two it may not."""
    assert "" == why_no_stop({}, tmp_path)
    assert f"the run is on 2 nodes, and {tmp_path} is not on" in why_no_stop({"SLURM_NNODES": "2"}, tmp_path)
