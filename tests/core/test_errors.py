"""The hierarchy of errors, and the data of each."""

import pytest

from authserve.core.errors import (
    AuthenticationRequiredError,
    AuthserveError,
    InvalidTokenError,
    NotFoundError,
    ReauthenticationRequiredError,
    RetryableError,
    UnauthenticatedError,
    UnavailableError,
    ValidationFailedError,
)


def test_it_has_the_sentence_of_its_class() -> None:
    error = NotFoundError()
    assert error.detail == str(error) == NotFoundError.default_detail


def test_it_has_another_sentence_where_one_is_given() -> None:
    error = NotFoundError("There is no such key.")
    assert error.detail == str(error) == "There is no such key."
    assert error.code == "not_found"


def test_its_cause_stays_out_of_its_text() -> None:
    with pytest.raises(UnavailableError) as caught:
        raise UnavailableError from OSError("connection to 10.0.0.5 refused")
    assert "10.0.0.5" not in f"{caught.value} {caught.value.detail} {caught.value!r}"
    assert isinstance(caught.value.__cause__, OSError)


def test_faulty_fields_have_their_messages() -> None:
    error = ValidationFailedError({"email": ["Not a valid address."]})
    assert error.errors == {"email": ["Not a valid address."]}
    assert error.detail == "Some fields are not acceptable."


def test_a_missing_token_is_challenged_without_an_error_code() -> None:
    assert AuthenticationRequiredError().challenge == ""
    assert InvalidTokenError().challenge == 'error="invalid_token"'


def test_a_stale_tokens_error_names_the_required_freshness() -> None:
    """RFC 9470 §3."""
    challenge = ReauthenticationRequiredError(max_age_secs=300).challenge
    assert challenge == 'error="insufficient_user_authentication", max_age=300'


@pytest.mark.parametrize("retry_after_secs", [None, 0, 30])
def test_an_error_that_may_pass_names_the_time_to_retry(retry_after_secs: int | None) -> None:
    error = UnavailableError(retry_after_secs=retry_after_secs)
    assert isinstance(error, RetryableError)
    assert error.retry_after_secs == retry_after_secs


@pytest.mark.parametrize("kind", [AuthserveError, UnauthenticatedError, RetryableError])
def test_a_kind_has_no_code_of_its_own(kind: type[AuthserveError]) -> None:
    assert not hasattr(kind, "code")
