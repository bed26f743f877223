"""Schemas of the public key set."""

from typing import Any

from marshmallow import Schema, fields

EXAMPLE_SET: dict[str, list[dict[str, Any]]] = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            # The coordinates of RFC 7517's example (appendix A.1).
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "kid": "p9qcBWxWJCx9wb9evUx1gA",
            "use": "sig",
            "alg": "ES256",
        }
    ]
}


class JWKSchema(Schema):
    """One public key (RFC 7517 §4, RFC 7518 §6.2 and §6.3)."""

    kty = fields.String(required=True)
    crv = fields.String(metadata={"description": "Of an EC key, as are x and y."})
    x = fields.String()
    y = fields.String()
    n = fields.String(metadata={"description": "Of an RSA key, as is e."})
    e = fields.String()
    kid = fields.String(required=True)
    use = fields.String()
    alg = fields.String()


class JWKSetSchema(Schema):
    """A set of public keys (RFC 7517 §5)."""

    keys = fields.List(fields.Nested(JWKSchema), required=True)
