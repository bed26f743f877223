"""The route `/metrics`, and the counting of requests."""

import time

from flask import Blueprint, Flask, Response, request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from authserve.core.container import ListSlot
from authserve.core.crypto import is_equal
from authserve.core.errors import AuthenticationRequiredError, InvalidTokenError
from authserve.http.callers import bearer_token
from authserve.http.request_info import request_state
from authserve.metrics.counting import METRICS, Metrics
from authserve.metrics.scraping import Source, expose
from authserve.settings.model import SETTINGS

SIGN_INS = frozenset(
    {
        "auth.login_user",
        "passkey_sign_in.post_passkey",
        "email_sign_in.post_email_code_verify",
        "pages.sign_in",
        "pages.sign_in_with_passkey",
        "pages.verify_email_code",
    }
)
"""The endpoints of first steps of a sign-in."""

REFRESH = "auth.refresh_tokens"

FORWARD_AUTH = "forward_auth.check"

SOURCES = ListSlot[tuple[str, Source]]("metrics_sources")
"""The readers of the database, each with the name that is reported if it fails."""

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the metrics of all workers to Prometheus, which sends `METRICS_TOKEN` as bearer token.

    Raises:
        AuthenticationRequiredError: the request has no bearer token.
        InvalidTokenError: the token is not `METRICS_TOKEN`.
    """
    expected = SETTINGS.get().metrics_token
    token = bearer_token()
    if token is None:
        raise AuthenticationRequiredError("Send METRICS_TOKEN: Authorization: Bearer <token>.")
    if not is_equal(token.encode(), expected.encode()):
        raise InvalidTokenError
    answer = expose(METRICS.get(), dict(SOURCES.get()))
    return Response(answer, content_type=CONTENT_TYPE_PLAIN_0_0_4)


@blueprint.after_request
def _forbid_storing(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def count_requests(app: Flask, metrics: Metrics) -> None:
    """Count every request of `app`."""

    @app.after_request
    def _count(response: Response) -> Response:
        rule, state = request.url_rule, request_state()
        code = state.refusal_code
        metrics.count_request(
            method=request.method,
            route=rule.rule if rule is not None else None,
            status=response.status_code,
            duration_secs=time.perf_counter() - state.started_at,
        )
        endpoint = request.endpoint
        if endpoint == REFRESH:
            metrics.count_refresh(state.outcome, code=code)
        elif endpoint == FORWARD_AUTH:
            metrics.count_forward_auth(state.outcome, code=code)
        elif state.grant_type is not None and state.presented_client_id is not None:
            metrics.count_tokens(state.grant_type, client_id=state.presented_client_id, code=code)
        if code is not None:
            metrics.count_refusal(code)
            if endpoint in SIGN_INS:
                metrics.count_refused_sign_in(code)
        return response
