"""Code that all HTTP calls share: parsing, authentication, errors, headers, limits, OpenAPI.

Routes import it; use cases never do. Begin with `middleware.py` (the hooks around a request),
`json_body.py` (the one reader of bodies) and `errors.py` (errors as problem+json).
"""
