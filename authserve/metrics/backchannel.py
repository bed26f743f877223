"""The metric of logout tokens. It is small because it is loaded only where apps get such tokens."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily

from authserve.oidc.logout_deliveries import count_logout_deliveries


def read_backchannel() -> Iterator[Metric]:
    """Yield the numbers of logout tokens that apps took and that were given up.

    They are read from the database, because the worker sends them and has no `/metrics`.
    """
    counts = CounterMetricFamily(
        "authserve_logout_tokens",
        "Logout tokens that apps took, and those that were given up.",
        labels=["outcome"],
    )
    delivered, failed = count_logout_deliveries()
    counts.add_metric(["delivered"], delivered)
    counts.add_metric(["failed"], failed)
    yield counts
