"""One salted digest, `sha1$salt$hex`: what Werkzeug before 3.0 and Django before 1.4 wrote.

Werkzeug's is an HMAC with the salt as its key, Django's a digest of salt and password. Both have
the same form, so both are computed. An attacker can test billions of guesses a second against such
a hash; it is accepted since the owner's first login replaces it.
"""

import hashlib
import hmac
import re

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import ForeignHash, codec, require_undamaged


def _make(match: re.Match[str]) -> ForeignHash:
    name, salt, tag = match["name"], match["salt"].encode(), bytes.fromhex(match["tag"])
    require_undamaged(len(tag) == hashlib.new(name).digest_size)

    def check(secret: bytes) -> bool:
        of_werkzeug = is_equal(hmac.digest(salt, secret, name), tag)
        of_django = is_equal(hashlib.new(name, salt + secret).digest(), tag)
        return of_werkzeug or of_django

    return ForeignHash(stored=match[0], check=check)


parse = codec(
    [(r"(?P<name>md5|sha1|sha256|sha512)\$(?P<salt>[^$]+)\$(?P<tag>[0-9A-Fa-f]+)", _make)]
)
