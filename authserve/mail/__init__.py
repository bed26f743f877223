"""How messages leave: rendering, and the transports for SMTP, files and the log.

The worker calls it; no request does. Begin with `mailer.py`; `docs/mail.md` says how to add a mail.
"""
