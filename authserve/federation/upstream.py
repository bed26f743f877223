"""Calls to providers: discovery, keys, tokens and userinfo, each with a deadline and a breaker.

Provider tokens stay inside this module's answers: nothing stores or logs them (ASVS 10.1.1).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.container import Slot
from authserve.core.deadline import Deadline
from authserve.core.outbound import (
    OutboundAnswer,
    OutboundClient,
    OutboundError,
    OutboundLimits,
    OutboundRequest,
    OutboundTimeoutError,
)
from authserve.federation.answer_faults import AnswerFault
from authserve.federation.call_limit import CallLimit, TooManyCallsError
from authserve.federation.code_exchange import Exchange, code_request, read_error
from authserve.federation.discovery import (
    Metadata,
    MetadataError,
    discovery_url,
    read_metadata,
)
from authserve.federation.document_cache import DocumentCache
from authserve.federation.id_tokens import ProviderKey, read_keys

TOTAL_SECS = 5.0
"""Limit of all the calls of one sign-in, in seconds: a person waits for it (design)."""

MAX_BYTES = 256 * 1024
"""Limit of an answer (design); the largest sets of keys are some 20 KiB."""

CACHE_SECS = 3_600
"""Age at which discovery and keys are fetched anew, in seconds (design)."""

GRACE_SECS = 2 * TOTAL_SECS
"""Time in which old ones are used while they are fetched, in seconds (chosen)."""

REFETCH_SECS = 60
"""Least time between two fetches for an unknown key, in seconds: a token can name any (design)."""

BREAKER_FAILURES, BREAKER_RESET_SECS = 3, 30.0
"""After three failures in a row one person in 30 s waits for the provider (chosen)."""

_JSON = {"Accept": "application/json"}

CallObserver = Callable[[str, bool, float], None]
"""A function that learns of each call: the host, True for a usable answer, and its seconds."""


class ProviderUnavailableError(Exception):
    """A provider that does not answer, is slow, or whose answer fails a check.

    Args:
        reason: words for the operator; they contain nothing of the request or the answer.
        fault: the check that failed; None if there is no answer.
    """

    def __init__(self, reason: str, fault: AnswerFault | None = None) -> None:
        super().__init__(reason)
        self.reason, self.fault = reason, fault


class CodeRefusedError(ProviderUnavailableError):
    """A code that the provider does not take: used, expired, or not its own.

    Args:
        error: the provider's word for it (RFC 6749 §5.2), if it is known.
    """

    def __init__(self, error: str) -> None:
        super().__init__(f"it refuses the code: {error}", AnswerFault.CODE)
        self.error = error


class _UnexpectedStatusError(OutboundError):
    """An answer of another status than those that are accepted."""


class Upstream:
    """The calls to all providers of a process, with what it remembers of each.

    Args:
        client: decides which addresses may be called.
        calls: limits the threads that wait for providers at once; None where no thread serves
            other requests.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        client: OutboundClient,
        *,
        calls: CallLimit | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client, self._calls, self._clock = client, calls, clock
        self.on_call: CallObserver | None = None
        self._breakers: dict[str, Breaker] = {}
        self.documents = DocumentCache(clock=clock)
        self._lock = Lock()

    def begin(self, issuer: str) -> "Conversation":
        """Return a conversation with a provider; its deadline starts now."""
        with self._lock:
            breaker = self._breakers.get(issuer)
            if breaker is None:
                breaker = Breaker(
                    urlsplit(issuer).hostname or issuer,
                    failures=BREAKER_FAILURES,
                    reset_secs=BREAKER_RESET_SECS,
                )
                self._breakers[issuer] = breaker
        return Conversation(self, issuer, breaker, Deadline(TOTAL_SECS))

    def breakers(self) -> tuple[Breaker, ...]:
        """Return the breakers of the providers that were called."""
        with self._lock:
            return tuple(self._breakers.values())

    @contextmanager
    def measure(self, provider: str) -> Iterator[None]:
        """Report the call that a block makes; it failed if the block raises.

        Args:
            provider: the host of its issuer.
        """
        started, is_answered = self._clock(), False
        try:
            yield
            is_answered = True
        finally:
            if self.on_call is not None:
                self.on_call(provider, is_answered, self._clock() - started)

    def hold(self, issuer: str) -> AbstractContextManager[None]:
        """Count a call to a provider while a block runs; see `CallLimit.hold`."""
        return self._calls.hold(issuer) if self._calls is not None else nullcontext()

    def send(self, request: OutboundRequest, seconds: float) -> OutboundAnswer:
        """Send a request; see `OutboundClient.send`."""
        return self._client.send(request, OutboundLimits(total_secs=seconds, max_bytes=MAX_BYTES))


UPSTREAM = Slot[Upstream]("upstream")


class Conversation:
    """The calls of one sign-in to one provider, within one deadline."""

    def __init__(
        self, upstream: Upstream, issuer: str, breaker: Breaker, deadline: Deadline
    ) -> None:
        self._upstream, self._issuer = upstream, issuer
        self._breaker, self._deadline = breaker, deadline
        self.server_time: datetime | None = None
        """The provider's clock as its last answer has it."""

    def discover(self) -> Metadata:
        """Return the provider's metadata, at most `CACHE_SECS` old.

        Raises:
            ProviderUnavailableError: it cannot be had, or names another issuer or an endpoint that
                is no URL (OpenID Connect Discovery §4.3).
        """
        url = discovery_url(self._issuer)
        return self._upstream.documents.find(
            self._issuer,
            url,
            lambda: _read_metadata(self.get_document(url), self._issuer),
            max_age_secs=CACHE_SECS,
            grace_secs=GRACE_SECS,
        )

    def find_keys(self, jwks_uri: str, *, is_key_unknown: bool = False) -> tuple[ProviderKey, ...]:
        """Return the provider's keys.

        Args:
            is_key_unknown: True if a token names a key that the set does not have, so that a set
                older than `REFETCH_SECS` is fetched anew.

        Raises:
            ProviderUnavailableError: they cannot be had.
        """
        return self._upstream.documents.find(
            self._issuer,
            jwks_uri,
            lambda: read_keys(self.get_document(jwks_uri)),
            max_age_secs=REFETCH_SECS if is_key_unknown else CACHE_SECS,
            # An old set has no new key.
            grace_secs=0 if is_key_unknown else GRACE_SECS,
        )

    def exchange(
        self, endpoint: str, exchange: Exchange, *, takes_basic: bool
    ) -> Mapping[str, Any]:
        """Return the answer to a code: an object with tokens.

        Raises:
            CodeRefusedError: the provider refuses it (RFC 6749 §5.2); GitHub does so with 200.
            ProviderUnavailableError: it does not answer as it should.
        """
        request = code_request(endpoint, exchange, takes_basic=takes_basic)
        answer, document = self._ask(request, accepted=(200, 400, 401), is_outage=_is_silence)
        if not isinstance(document, Mapping):
            raise ProviderUnavailableError("its answer to a code is no object", AnswerFault.FORM)
        if answer.status != 200 or "error" in document:
            raise CodeRefusedError(read_error(document))
        return document

    def get_with_token(self, url: str, access_token: str) -> Any:
        """Return the document at a URL of the provider's API, read with its access token.

        Raises:
            ProviderUnavailableError: it does not answer as it should.
        """
        headers = {**_JSON, "Authorization": f"Bearer {access_token}"}
        request = OutboundRequest(url=url, headers=headers)
        return self._ask(request, accepted=(200,), is_outage=_is_silence)[1]

    def get_document(self, url: str) -> Any:
        """Return the public document at a URL, fetched now.

        Raises:
            ProviderUnavailableError: it does not answer as it should.
        """
        request = OutboundRequest(url=url, headers=_JSON)
        return self._ask(request, accepted=(200,), is_outage=_is_any)[1]

    def _ask(
        self,
        request: OutboundRequest,
        *,
        accepted: tuple[int, ...],
        is_outage: Callable[[Exception], bool],
    ) -> tuple[OutboundAnswer, Any]:
        try:
            # Outside of the breaker: a call that was not made says nothing of the provider.
            with self._upstream.hold(self._issuer):
                answer = self._breaker.call(
                    lambda: self._send(request, accepted), is_failure=is_outage
                )
        except TooManyCallsError as error:
            raise ProviderUnavailableError("too many sign-ins wait for it") from error
        except BreakerOpenError as error:
            raise ProviderUnavailableError("it failed a moment ago") from error
        except OutboundError as error:
            raise ProviderUnavailableError(error.reason) from error
        self.server_time = answer.server_time
        return answer, _parse(answer.body)

    def _send(self, request: OutboundRequest, accepted: tuple[int, ...]) -> OutboundAnswer:
        with self._upstream.measure(self._breaker.name):
            try:
                answer = self._upstream.send(request, self._deadline.remaining_secs())
            except (TimeoutError, OutboundTimeoutError) as error:
                # The limit of all calls, not what the calls before have left of it.
                raise OutboundError(f"it took longer than {TOTAL_SECS:g} s") from error
            if answer.status not in accepted:
                raise _UnexpectedStatusError(f"it answered {answer.status}")
            return answer


def _is_any(_error: Exception) -> bool:
    """Count every failed call for a document, which no person's input changes, as an outage."""
    return True


def _is_silence(error: Exception) -> bool:
    """Count a failed call with a person's code or token as an outage if nothing was answered.

    The person chooses the code, and the scopes of the token. By what the provider refuses with 403
    or 500, any visitor could otherwise open the breaker for all people.
    """
    return not isinstance(error, _UnexpectedStatusError)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailableError("its answer is no JSON", AnswerFault.FORM) from error


def _read_metadata(document: object, issuer: str) -> Metadata:
    try:
        return read_metadata(document, issuer)
    except MetadataError as error:
        raise ProviderUnavailableError(error.reason, AnswerFault.METADATA) from error
