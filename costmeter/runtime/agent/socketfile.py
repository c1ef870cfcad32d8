"""The file of a socket at which others connect: where it may stand, whose it is, and when it may be taken away."""

import contextlib
import errno
import os
import socket
import stat

#: Anybody may connect; who he is the kernel says.
_FOR_ALL = 0o666
_BACKLOG = 128


class SocketFile:
    """One stream socket at `path`, made once and removed once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._made: tuple[int, int] | None = None

    def listen(self) -> socket.socket:
        """The socket, not blocking. A file of one at which nobody listens any more is taken away.

        Raises OSError: the folder is not safe, something else is there, somebody listens there, or the system's own.
        """
        self._check_folder(os.path.dirname(self.path) or ".")
        self._remove_left_over()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.bind(self.path)
            self._made = identity(self.path)
            os.chmod(self.path, _FOR_ALL)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            self.remove()
            raise
        return listener

    def is_there(self) -> bool:
        """Whether those who connect at the path still find the socket that was made."""
        return self._made is not None and self._made == identity(self.path)

    def remove(self) -> None:
        """Take the file away, if it is still the one that was made."""
        if self.is_there():
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self._made = None

    def _check_folder(self, folder: str) -> None:
        """Whoever may write to the folder could put a socket of his own in this one's place."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)
        facts = os.stat(folder)
        if facts.st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, "the folder is another user's; name another one with --socket")
        if facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX:
            raise PermissionError(errno.EPERM, f"others may write to its folder; try:  chmod go-w {folder}")

    def _remove_left_over(self) -> None:
        try:
            facts = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(facts.st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket; move it away")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                os.unlink(self.path)
                return
            except BlockingIOError:  # so many have connected already that it is a living one's
                pass
        raise OSError(errno.EADDRINUSE, "another agent listens there; name another path with --socket")


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Which file stands at a path, by device and inode; None where there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
