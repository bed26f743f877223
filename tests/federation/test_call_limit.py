"""The limit of calls that wait for providers at once."""

from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.call_limit import CallLimit, TooManyCallsError, limit_for
from authserve.federation.upstream import BREAKER_FAILURES, ProviderUnavailableError, Upstream
from tests.support.providers import provider_server


def count_places(limit: CallLimit, *providers: str) -> int:
    """Return the number of calls, to each provider in turn, that the limit lets wait at once."""
    with ExitStack() as waiting:
        for count in range(100):
            try:
                waiting.enter_context(limit.hold(providers[count % len(providers)]))
            except TooManyCallsError:
                return count
    raise AssertionError("no limit")


def test_one_provider_takes_half_of_the_places() -> None:
    limit = limit_for(threads=32)
    assert count_places(limit, "a") == 4
    assert count_places(limit, "a", "b") == 8
    assert count_places(limit, "a", "b", "c") == 8
    # All are free again.
    assert count_places(limit, "a") == 4


def test_a_small_process_has_a_place() -> None:
    assert count_places(limit_for(threads=1), "a") == 1


def test_a_place_is_free_again_after_an_error() -> None:
    limit = CallLimit(total=1, each=1)
    with pytest.raises(ZeroDivisionError), limit.hold("a"):
        raise ZeroDivisionError
    assert count_places(limit, "a") == 1


def test_a_call_without_a_place_is_refused_and_the_breaker_stays() -> None:
    limit = CallLimit(total=2, each=1)
    hosts = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
    with provider_server() as provider:
        upstream = Upstream(OutboundClient(hosts=hosts), calls=limit)
        with limit.hold(provider.issuer):
            for _ in range(BREAKER_FAILURES):
                with pytest.raises(ProviderUnavailableError, match="too many sign-ins"):
                    upstream.begin(provider.issuer).discover()
        assert provider.questions == []
        assert upstream.begin(provider.issuer).discover().sends_issuer
        # What is remembered needs no place.
        with limit.hold(provider.issuer):
            assert upstream.begin(provider.issuer).discover().sends_issuer
