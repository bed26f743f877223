"""The headers of every answer, written out: the expected result of the service's own constants."""

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""ASVS 3.4.1 and 3.4.4 to 3.4.8."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The policy of every answer but pages (ASVS 3.4.3)."""
