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
        pytest.param({"WORLD_SIZE": "16"}, None, id="torch-says-half"),
        pytest.param({"WORLD_SIZE": "16", "SLURM_NNODES": "1"}, 1, id="slurm-says-the-rest"),
        pytest.param({"WORLD_SIZE": "1"}, 1, id="one-process"),
        pytest.param({"OMPI_COMM_WORLD_SIZE": "16", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, 2, id="open-mpi"),
        pytest.param({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, 1, id="open-mpi-one"),
        pytest.param({"PMI_SIZE": "4", "MPI_LOCALNRANKS": "1"}, 4, id="mpich"),
        pytest.param({"PMI_SIZE": "4"}, None, id="mpich-says-half"),
        pytest.param({"PET_NNODES": "2"}, 2, id="torchrun"),
        pytest.param({"PET_NNODES": "1:4"}, 4, id="torchrun-elastic"),
        pytest.param({"SLURM_NNODES": "many", "WORLD_SIZE": "-2", "LOCAL_WORLD_SIZE": "0"}, 1, id="nonsense"),
    ],
)
def test_nodes_are_counted_as_told(environ: dict[str, str], expected: int | None) -> None:
    """Slurm's word, or the sizes of a launcher; what is no number is nobody's word, and half a word is no count."""
    assert expected == nodes(environ)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("torchrun --nnodes=2 train.py", 2, id="torchrun"),
        pytest.param("torchrun --nnodes 2 train.py", 2, id="two-words"),
        pytest.param("torchrun --nnodes 1:4 train.py", 4, id="elastic"),
        pytest.param("torchrun --nnodes=1 train.py", 1, id="one"),
        pytest.param("torchrun --standalone train.py --nnodes", 1, id="torn"),
        pytest.param("accelerate launch --num_machines 3 train.py", 3, id="accelerate"),
        pytest.param("accelerate launch --num-machines=3 train.py", 3, id="with-hyphens"),
        pytest.param("deepspeed --num_nodes=2 train.py", 2, id="deepspeed"),
        pytest.param("python train.py --nodes 9", 1, id="something-else"),
    ],
)
def test_nodes_are_counted_as_asked_for(command: str, expected: int) -> None:
    """Launchers are told by their own options before any variable is there."""
    assert expected == nodes({}, command.split())


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
    assert "on 2 nodes" in why_no_stop({}, tmp_path, ["torchrun", "--nnodes=2", "train.py"])
    assert "nobody says how many nodes" in why_no_stop({"WORLD_SIZE": "16"}, tmp_path)
