"""Second factors: levels of sign-ins, TOTP, passkeys, recovery codes, pending sign-ins.

It finds what a set of proofs is worth and which proof is still needed, verifies proofs, and keeps
the factors of accounts. `auth` starts sessions from what it finds.
"""
