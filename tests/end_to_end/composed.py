"""What docker compose starts from a compose file, without docker: processes in a network and a root of their own.

The services' names lead to this network's loopback, their files are mounted where the compose file says, and their
commands are the compose file's. Only the programs are this machine's in place of the images'. It needs root.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.installed import PYTHON, eventually, uncovered

_FOLDERS = """\
set -e
mount -t tmpfs -o mode=755 tmpfs "$root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root/"
  elif [ -d "$entry" ]; then
    mkdir "$root$entry"
    case $entry in /etc | /run | /var) ;; *) mount --rbind "$entry" "$root$entry" ;; esac
  fi
done
cp -a /etc "$root/"
mkdir -p "$root/var/lib" "$root/var/tmp" "$root/run"
printf '127.0.0.1 localhost %s\\n' "$names" >"$root/etc/hosts"
"""
#: Interface flags (linux/if.h: IFF_UP 1, IFF_RUNNING 64) of the new network's loopback, by SIOCSIFFLAGS (0x8914).
_LOOPBACK_UP = (
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh22x', b'lo', 1 | 64))"
)
_GET = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


def absent(*programs: str) -> str:
    """Why nothing can be composed here; empty where it can."""
    if os.geteuid() != 0:
        return "networks and mounts of its own need root"
    missing = [program for program in ("unshare", "nsenter", *programs) if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return "mounts are not permitted here" if tried.returncode else ""


@dataclass(frozen=True)
class Enclosure:
    """A network and file system of its own. `entered` are the words before a command that runs there."""

    entered: Sequence[str]

    def get(self, url: str) -> str | None:
        """What a page says, as one service sees it of another; None where there is none yet."""
        argv = [*self.entered, *PYTHON, "-c", _GET, url]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout if done.returncode == 0 else None


@contextmanager
def composed(folder: Path, programs: Mapping[str, Sequence[str]]) -> Iterator[Enclosure]:
    """The services of folder/compose.yaml that have a program here: its words before the service's own command."""
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    names = [name for service in programs for name in _names(service, services[service])]
    mounts = [_mounted(folder, volume) for service in programs for volume in services[service]["volumes"]]
    with enclosed(folder.parent, names, mounts) as stack, ExitStack() as running:
        for service, words in programs.items():
            command = [*stack.entered, *words, *services[service]["command"]]
            running.enter_context(_running(command, folder.parent / f"{service}.log"))
        yield stack


@contextmanager
def enclosed(folder: Path, names: Sequence[str] = (), mounts: Sequence[str] = ()) -> Iterator[Enclosure]:
    """A network in which names lead to its loopback, and a root of its own: /etc is a copy, /run and /var are empty."""
    root = folder / "root"
    root.mkdir()
    script = [f"root={shlex.quote(str(root))} names={shlex.quote(' '.join(names))}", _FOLDERS, *mounts]
    script += [shlex.join([*PYTHON, "-c", _LOOPBACK_UP]), 'exec chroot "$root" sleep infinity']
    argv = ["unshare", "--net", "--mount", "sh", "-c", "\n".join(script)]
    log = folder / "keeper.log"
    with _running(argv, log) as keeper:
        eventually(lambda: _is_ready(keeper, log) or None, "mounts")
        yield Enclosure(["nsenter", f"--target={keeper.pid}", "--net", "--mount", "--root", "--wdns=/", "--"])


def _names(name: str, service: Mapping[str, Any]) -> list[str]:
    return [name, *service.get("networks", {}).get("default", {}).get("aliases", ())]


def _mounted(folder: Path, volume: str) -> str:
    """Shell that mounts a file or folder of the export; a volume with a name is a new folder."""
    source, target, *_ = volume.split(":")
    place = f'"$root"{shlex.quote(target)}'
    if not source.startswith("./"):
        return f"mkdir -p {place}"
    path = folder / source
    make = f"mkdir -p {place}" if path.is_dir() else f'mkdir -p "$(dirname {place})" && touch {place}'
    return f"{make} && mount --bind {shlex.quote(str(path))} {place}"


def _is_ready(keeper: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Whether the mounts are made and the keeper of it all has begun to do nothing."""
    assert keeper.poll() is None, log.read_text()
    return b"sleep" in Path(f"/proc/{keeper.pid}/cmdline").read_bytes().split(b"\0")[0]


@contextmanager
def _running(argv: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as writing:
        environ = uncovered(os.environ)
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=environ) as process:
            try:
                yield process
            finally:
                process.kill()
