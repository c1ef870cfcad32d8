"""Who is at the other end of a Unix socket, by the kernel's word (SO_PEERCRED, unix(7))."""

import socket
import struct

#: The kernel's `struct ucred`: pid, uid and gid.
_CREDENTIALS = struct.Struct("iII")


def peer(connected: socket.socket) -> tuple[int, int]:
    """Pid and uid of the peer, as they were when it connected or began to listen. Raises OSError.

    The pid is 0 where it is in another pid namespace.
    """
    pid, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid
