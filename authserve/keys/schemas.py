"""Schemas of the public key set."""

from marshmallow import Schema, fields


class JWKSchema(Schema):
    """One public key (RFC 7517 §4, RFC 7518 §6.2 and §6.3)."""

    kty = fields.String(required=True, metadata={"example": "EC"})
    crv = fields.String(metadata={"example": "P-256"})
    # The coordinates of RFC 7517's example (appendix A.1).
    x = fields.String(metadata={"example": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"})
    y = fields.String(metadata={"example": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    n = fields.String(metadata={"description": "Of an RSA key; as the next."})
    e = fields.String(metadata={"example": "AQAB"})
    kid = fields.String(required=True, metadata={"example": "p9qcBWxWJCx9wb9evUx1gA"})
    use = fields.String(metadata={"example": "sig"})
    alg = fields.String(metadata={"example": "ES256"})


class JWKSetSchema(Schema):
    """A set of public keys (RFC 7517 §5)."""

    keys = fields.List(fields.Nested(JWKSchema), required=True)
