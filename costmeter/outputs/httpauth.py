"""Basic authentication: names and bcrypt hashes, checked in a thread of their own and remembered.

A check is slow on purpose (some 70 ms at cost 10), so that one who guesses gets no further than one guess after the
other; who has been let in is not checked again until the hash changes.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping

from costmeter.outputs.worker import Worker

#: So many checks wait at most: whoever guesses in parallel is told to come back later.
MOST_CHECKS = 16
_REMEMBERED = 64
#: bcrypt looks at so many bytes of a password and no further; its newer libraries refuse longer ones instead.
_PASSWORD_BYTES = 72
#: No password is known that has this hash. Checked for users who do not exist, so that they take as long as others.
_NOBODYS = "$2b${cost}$" + "." * 22 + "u" * 31


class Door:
    """Lets in who has a name and the password that goes with it."""

    def __init__(self) -> None:
        self._worker = Worker("costmeter-auth", MOST_CHECKS)
        self._secret = secrets.token_bytes(32)
        self._admitted: dict[bytes, None] = {}

    async def admits(self, users: Mapping[str, str], authorization: str) -> bool:
        """Whether this header names one of the users, with his password. Raises Busy when too many ask at once."""
        asked = credentials(authorization)
        if asked is None:
            return False
        user, password = asked
        expected = users.get(user)
        hashed = expected or _NOBODYS.format(cost=max(each[4:6] for each in users.values()))
        proof = self._proof(user, hashed, password)
        if proof in self._admitted:
            return True
        is_right = await self._worker.do(lambda: _matches(password, hashed)) and expected is not None
        if is_right:
            while len(self._admitted) >= _REMEMBERED:
                del self._admitted[next(iter(self._admitted))]
            self._admitted[proof] = None
        return is_right

    def _proof(self, user: str, hashed: str, password: bytes) -> bytes:
        """What is remembered of who was let in: nothing from which a password could be had."""
        words = b"\0".join((user.encode(), hashed.encode(), password))
        return hashlib.blake2b(words, key=self._secret, digest_size=32).digest()


def credentials(authorization: str) -> tuple[str, bytes] | None:
    """The user and the password of an Authorization header; None where it is of another kind, or garbled."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _matches(password: bytes, hashed: str) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password[:_PASSWORD_BYTES], hashed.encode())
    except ValueError:  # a NUL within it
        return False
