"""Login codes: random, short enough to type, and stored only as hashes."""

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass

# No 0, O, 1, l, or i: a code is read from paper. 31 letters and digits, of which 12 are 59 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_GROUPS, _GROUP = 3, 4
_SALT_BYTES = 16
# RFC 7914's parameters for interactive logins: 16 MB and some 50 ms for each try.
_N, _R, _P = 2**14, 8, 1


@dataclass(frozen=True)
class Hashed:
    """A code's hash by scrypt, with its salt, both in base64."""

    salt: str
    digest: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def make() -> str:
    """A learner's code, such as `kd7m-2xqv-9hrt`."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def make_long() -> str:
    """An instructor's code, of 43 characters. An instructor sees the whole class, so nobody may guess it."""
    return secrets.token_urlsafe(32)


def hashed(code: str) -> Hashed:
    """The hash of a code, under a new salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return Hashed(_text(salt), _text(_scrypt(code, salt)))


def matches(code: str, stored: Hashed) -> bool:
    """Whether this is the code that was hashed. Takes the same time whether it is or not."""
    return secrets.compare_digest(
        _scrypt(code, base64.b64decode(stored.salt)), base64.b64decode(stored.digest)
    )


def nobody() -> Hashed:
    """A hash that no code matches: refusing an unknown name takes as long as refusing a wrong code."""
    return Hashed(_text(bytes(_SALT_BYTES)), _text(bytes(64)))


def as_typed(text: str) -> str:
    """A learner's code as it was made, from what was typed: with spaces, or without hyphens, or in capitals.

    An instructor's code is taken as it is.
    """
    letters = "".join(text.split()).replace("-", "").lower()
    if len(letters) != _GROUPS * _GROUP or not set(letters) <= set(_ALPHABET):
        return text.strip()
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def _scrypt(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(as_typed(code).encode(), salt=salt, n=_N, r=_R, p=_P)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
