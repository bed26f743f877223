"""Metrics: counted, read by Prometheus, kept when workers end."""

from authserve.metrics.service.counting import (
    METRICS_EXTENSION,
    Metrics,
    count_when_committed,
    get_metrics,
)
from authserve.metrics.service.files import forget_worker
from authserve.metrics.service.scraping import (
    Source,
    expose,
    read_audit,
    read_keys,
    read_outbox,
)

__all__ = [
    "METRICS_EXTENSION",
    "Metrics",
    "Source",
    "count_when_committed",
    "expose",
    "forget_worker",
    "get_metrics",
    "read_audit",
    "read_keys",
    "read_outbox",
]
