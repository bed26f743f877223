"""Mail: rendering from templates, and transports for SMTP, a folder and standard output.

The worker calls it; no request does. Begin with `mailer.py`; `docs/mail.md` explains how to add a
mail.
"""
