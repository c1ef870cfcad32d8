"""A real Slurm of one node with GPUs that are device files of nothing: munged, slurmctld and slurmd, on free ports.

Slurm 22.05 as Debian has it; it needs root, and neither systemd nor control groups: processes are tracked by their
parents (proctrack/linuxproc).
"""

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.installed import EXAMPLES, eventually, uncovered

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol")
#: A user without a home who exists everywhere, beside root.
OTHER_USER = "nobody"

_SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SrunPortRange={srun_ports}
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
GresTypes=gpu
MpiDefault=none
MailProg=/bin/true
KillWait=2
Prolog={folder}/prolog.sh
Epilog={folder}/epilog.sh
TaskProlog={shipped}/task_prolog.sh
PrologFlags=Alloc
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES OverSubscribe=FORCE:8 State=UP
"""


def absent() -> str:
    """Why there can be no Slurm here; empty where there can."""
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install slurmctld slurmd slurm-client munge)"
    try:
        with tempfile.TemporaryDirectory() as folder:
            _device(Path(folder, "nvidia0"))
    except OSError as error:
        return f"no device files can be made here: {error.strerror}"
    return ""


def _device(path: Path) -> None:
    """A device file, which is /dev/null by another name: Slurm counts GPUs by such."""
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """One node that runs jobs. `jobs` is the folder where its prolog tells of them."""

    folder: Path
    jobs: Path

    def call(self, *command: str) -> str:
        """What a command of Slurm's says."""
        answer = subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert answer.returncode == 0, f"{command}: {answer.stderr}\n{self.log()}"
        return answer.stdout

    def submit(self, script: str, user: str = OTHER_USER, gpus: int = 1, options: Sequence[str] = ()) -> int:
        """Submit a batch script as a user; returns the job's number."""
        path = self.folder / "script.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        output = self.folder / "out"
        command = ["sbatch", "--parsable", f"--uid={user}", f"--gres=gpu:{gpus}", f"--output={output}/%j.txt", *options]
        return int(self.call(*command, f"--chdir={output}", str(path)))

    def cancel(self, job: int) -> None:
        """End a job, and wait until its epilog has taken back what its prolog told."""
        self.call("scancel", str(job))
        eventually(lambda: not (self.jobs / f"{job}.json").exists() or None, f"the epilog of job {job}\n{self.log()}")

    def log(self) -> str:
        """The last that Slurm's own processes said."""
        return "\n".join(path.read_text(errors="replace")[-2_000:] for path in self.folder.glob("*.log"))

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which Slurm's commands find this node."""
        return uncovered(os.environ) | {"SLURM_CONF": str(self.folder / "slurm.conf")}


@contextmanager
def slurm_node(folder: Path, gpus: int = 4) -> Iterator[SlurmNode]:
    """A node that takes jobs, in a folder that other users may enter; everything it started has ended afterwards."""
    node = SlurmNode(folder, folder / "jobs")
    _write(node, gpus)
    with ExitStack() as running:
        key = folder / "munge" / "key"
        munge = [f"--{name}={folder}/munge/{name[:-5]}" for name in ("log-file", "pid-file", "seed-file")]
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}", *munge]
        running.enter_context(_daemon(munged, node))
        eventually(lambda: (folder / "munge.socket").exists() or None, "munged")
        running.enter_context(_daemon(["slurmctld", "-D"], node))
        running.enter_context(_daemon(["slurmd", "-D"], node))
        eventually(lambda: "State=IDLE" in _state(node) or None, f"a node that takes jobs\n{node.log()}")
        yield node
        node.call("scancel", "--user=root")
        node.call("scancel", f"--user={OTHER_USER}")
        eventually(lambda: not list(node.jobs.glob("*.json")) or None, "the epilogs of all jobs")


def _write(node: SlurmNode, gpus: int) -> None:
    """The files Slurm wants: a key, devices, settings; the shipped prolog and epilog, with a folder of the test's."""
    for name, mode in (("munge", 0o700), ("state", 0o700), ("spool", 0o755), ("out", 0o777), ("gpus", 0o755)):
        (node.folder / name).mkdir()
        (node.folder / name).chmod(mode)
    (node.folder / "munge" / "key").write_bytes(os.urandom(1024))
    (node.folder / "munge" / "key").chmod(0o600)
    for index in range(gpus):
        _device(node.folder / "gpus" / f"nvidia{index}")
    host = os.uname().nodename.partition(".")[0]
    ports = _free_ports(2)
    facts = {"host": host, "folder": node.folder, "controller_port": ports[0], "node_port": ports[1]}
    facts |= {"shipped": EXAMPLES / "slurm", "srun_ports": "40000-49999", "cpus": os.cpu_count() or 1, "gpus": gpus}
    (node.folder / "slurm.conf").write_text(_SETTINGS.format(**facts))
    devices = f"{node.folder}/gpus/nvidia[0-{gpus - 1}]"
    (node.folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={devices}\n")
    (node.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    for name in ("prolog.sh", "epilog.sh"):
        shipped = EXAMPLES / "slurm" / name
        (node.folder / name).write_text(f"#!/bin/sh\nCOSTMETER_SLURM_FOLDER={node.jobs} exec {shipped}\n")
        (node.folder / name).chmod(0o755)


@contextmanager
def _daemon(command: Sequence[str], node: SlurmNode) -> Iterator[None]:
    """One of Slurm's daemons, which ends and is waited for."""
    program = _program(command[0])
    assert program is not None
    with (node.folder / f"{command[0]}.log").open("w") as log:
        child = subprocess.Popen([program, *command[1:]], env=node.environ, stdout=log, stderr=log)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _state(node: SlurmNode) -> str:
    answer = subprocess.run(
        ["scontrol", "show", "node"], env=node.environ, capture_output=True, text=True, timeout=60, check=False
    )
    return answer.stdout


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
