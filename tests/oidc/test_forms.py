"""The forms of OAuth's calls."""

from flask import Flask


def test_a_form_has_at_most_fifty_fields(app: Flask) -> None:
    client = app.test_client()

    def error_with(count: int) -> str:
        form = {f"unknown{number}": "x" for number in range(count)}
        return str(client.post("/oauth/token", data=form).get_json()["error_description"])

    refused = "Send a form, with each field once."
    assert error_with(50) != refused
    assert error_with(51) == refused
