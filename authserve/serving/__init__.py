"""What the service makes of gunicorn: how a request arrives, how a server stops."""

from authserve.serving.drain import drain_on_sigterm
from authserve.serving.worker import Worker

__all__ = ["Worker", "drain_on_sigterm"]
