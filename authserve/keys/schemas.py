"""The form of a public key set."""

from marshmallow import Schema, fields


class JWKSchema(Schema):
    """One public key (RFC 7517 §4, RFC 7518 §6.2)."""

    kty = fields.String(required=True, metadata={"example": "EC"})
    crv = fields.String(metadata={"example": "P-256"})
    x = fields.String()
    y = fields.String()
    kid = fields.String(required=True)
    use = fields.String(metadata={"example": "sig"})
    alg = fields.String(metadata={"example": "ES256"})


class JWKSetSchema(Schema):
    """RFC 7517 §5."""

    keys = fields.List(fields.Nested(JWKSchema), required=True)
