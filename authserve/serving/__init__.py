"""What the service makes of gunicorn: how requests arrive, who takes them, how a server stops."""

from authserve.serving.drain import drain_on_sigterm
from authserve.serving.sharing import forget_connections
from authserve.serving.worker import Worker

__all__ = ["Worker", "drain_on_sigterm", "forget_connections"]
