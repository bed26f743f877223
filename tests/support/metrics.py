"""`/metrics`, as Prometheus reads it."""

from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

METRICS_TOKEN = "mQ7zX2cV9bN4kL8pR3tY6wE1sD5fG0hJ"

BEARER = {"Authorization": f"Bearer {METRICS_TOKEN}"}


class Client(Protocol):
    """Flask's test client, or `requests`."""

    def get(self, path: str, *, headers: dict[str, str]) -> Any:
        """Send a GET."""


class Scrape:
    """One answer, parsed by the library's own parser."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, f"twice: {family.name}"
            self.families[family.name] = family

    def series(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Every sample of this name, by its labels."""
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name
        }

    def value(self, name: str, **labels: str) -> float:
        """The one sample with exactly these labels; 0 if there is none (yet)."""
        return self.series(name).get(tuple(sorted(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels among theirs."""
        wanted: Iterable[tuple[str, str]] = labels.items()
        found = self.series(name).items()
        return sum(value for key, value in found if set(wanted) <= set(key))


def scrape(client: Client) -> Scrape:
    """Ask as Prometheus does."""
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200, response.text
    return Scrape(response.text)
