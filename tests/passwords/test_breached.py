"""Look-ups of passwords: with a service that answers, and with every kind of failure."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from threading import Barrier, Event
from typing import Any

import pytest
import trustme

from authserve.core.deadline import TLSContext
from authserve.passwords import breached
from authserve.passwords.breached import (
    BREAKER_FAILURES,
    BREAKER_RESET_SECS,
    MAX_BYTES,
    MAX_RANGES,
    RANGE_LIFETIME_SECS,
    BreachedPasswords,
    RangeService,
    RangeServiceError,
)
from tests.support.crowd import all_at_once
from tests.support.ranges import (
    Fault,
    RangeServer,
    digest_of,
    drop,
    hang,
    range_server,
    reply,
    send,
    trickle,
)
from tests.support.tls import server_context

BREACHED = "a password of many people"

GOOD = "a password of one person"

SOON_SECS = 0.3
"""Deadline in seconds for services that never answer."""

LATE_SECS = 300.0
"""Deadline in seconds for services that answer, on a machine of any load."""

SUFFIX = digest_of(BREACHED)[5:].encode()

HEAD = b"HTTP/1.1 200 OK\r\n"

SILENT: dict[str, Fault] = {
    "hangs": hang,
    "trickles a head": trickle(HEAD + b"X-Filler: "),
    "trickles a body": trickle(HEAD + b"Content-Length: 99999\r\n\r\n"),
    "trickles chunks": trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n"),
}

WRONG: dict[str, Fault] = {
    "breaks the connection": drop,
    "hangs up": send(b""),
    "breaks off in the head": send(b"HTTP/1.1 200 OK\r\nContent-"),
    "breaks off in the body": send(reply(SUFFIX + b":1")[:-10]),
    "fails": send(reply(SUFFIX + b":1", status="500 Internal Server Error")),
    "has too much to do": send(reply(SUFFIX + b":1", status="429 Too Many Requests")),
    "has no such thing": send(reply(SUFFIX + b":1", status="404 Not Found")),
    "answers with nothing to read": send(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "is no HTTP server": send(b"220 mail.example\r\n"),
    "sends garbage": send(bytes(range(256)) * 9),
    "says too much": send(reply((b"0" * 35 + b":1\r\n") * (MAX_BYTES // 38))),
    "says no length": send(HEAD + b"\r\n" + SUFFIX + b":1"),
    "has a page for people": send(reply(b"<!doctype html>\n" + SUFFIX + b":1")),
    "sends short lines": send(reply(SUFFIX[:-1] + b":1")),
    "sends long lines": send(reply(SUFFIX + b"0:1")),
    "sends no counts": send(reply(SUFFIX)),
    "sends odd counts": send(reply(SUFFIX + b":-1")),
    "sends huge counts": send(reply(SUFFIX + b":" + b"9" * 5_000)),
    "sends other digits": send(reply("٠".encode() * 35 + b":1")),
    "sends no text": send(reply(b"\xff" * 35 + b":1")),
    "compresses": send(reply(b"\x1f\x8b\x08\x00", headers=b"Content-Encoding: gzip\r\n")),
    "breaks its chunks": send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + SUFFIX + b":1"
    ),
    "says two lengths": send(
        reply(SUFFIX + b":1", headers=b"Content-Length: 1\r\n"),
    ),
    "has endless headers": send(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 200 + b"\r\n"),
}


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def look_up_with(server: RangeServer, **options: Any) -> BreachedPasswords:
    monotonic = options.pop("monotonic", time.monotonic)
    options.setdefault("total_timeout_secs", LATE_SECS)
    return BreachedPasswords(RangeService(server.url, **options), monotonic=monotonic)


def wait_until_no_name_is_looked_up() -> None:
    give_up = time.monotonic() + LATE_SECS
    while [thread for thread in threading.enumerate() if "(_look_up)" in thread.name]:
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server(BREACHED) as running:
        yield running


@pytest.fixture
def reasons(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The logged reasons for passwords not looked up, oldest first."""

    def read() -> list[str]:
        return [
            record.__dict__["reason"]
            for record in caplog.records
            if record.name == breached.__name__
        ]

    return read


class TestWithAServiceThatAnswers:
    def test_a_breached_password_is_found_and_no_other(self, server: RangeServer) -> None:
        passwords = look_up_with(server)
        assert passwords.contains(BREACHED)
        assert not passwords.contains(GOOD)

    def test_it_is_compared_in_its_composed_form(self) -> None:
        with range_server("caf\u00e9 caf\u00e9 caf\u00e9") as server:
            assert look_up_with(server).contains("cafe\u0301 cafe\u0301 cafe\u0301")

    def test_what_is_there_for_the_padding_is_not_breached(self, server: RangeServer) -> None:
        server.fault = send(reply(SUFFIX + b":0\r\n" + b"0" * 35 + b":7"))
        assert not look_up_with(server).contains(BREACHED)

    def test_an_empty_range_is_one(
        self, server: RangeServer, reasons: Callable[[], list[str]]
    ) -> None:
        server.fault = send(reply(b""))
        assert not look_up_with(server).contains(BREACHED)
        assert reasons() == []

    def test_lower_case_and_chunks_are_understood(self, server: RangeServer) -> None:
        line = SUFFIX.lower() + b":12\n"
        server.fault = send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(line), line)
        )
        assert look_up_with(server).contains(BREACHED)

    def test_the_question_holds_five_digits_and_asks_for_padding(self, server: RangeServer) -> None:
        look_up_with(server).contains(BREACHED)
        (question,) = server.questions
        request_line, *headers = question.strip().split("\r\n")
        assert request_line == f"GET /range/{digest_of(BREACHED)[:5]} HTTP/1.1"
        assert "Add-Padding: true" in headers
        assert "User-Agent: authserve" in headers
        names = {header.partition(":")[0] for header in headers}
        assert names == {"Host", "Accept", "Accept-Encoding", "Add-Padding", "User-Agent"}

    def test_no_request_is_sent_without_a_url(self) -> None:
        assert not BreachedPasswords(None).contains(BREACHED)

    def test_no_proxy_of_the_environment_comes_between(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert look_up_with(server).contains(BREACHED)


class TestCache:
    def test_a_range_is_asked_for_once_an_hour(self, server: RangeServer) -> None:
        clock = Seconds()
        passwords = look_up_with(server, monotonic=clock)
        assert passwords.contains(BREACHED)
        clock.now += RANGE_LIFETIME_SECS - 1
        assert passwords.contains(BREACHED)
        assert len(server.questions) == 1
        clock.now += 1
        server.passwords.clear()
        assert not passwords.contains(BREACHED)
        assert len(server.questions) == 2

    def test_it_keeps_no_more_than_it_may(self, server: RangeServer) -> None:
        passwords = look_up_with(server)
        for number in range(MAX_RANGES + 1):
            passwords.contains(f"{GOOD} {number}")
        passwords.contains(f"{GOOD} {MAX_RANGES}")
        assert len(server.questions) == MAX_RANGES + 1
        passwords.contains(f"{GOOD} 0")
        assert len(server.questions) == MAX_RANGES + 2

    def test_it_keeps_no_failure(self, server: RangeServer) -> None:
        passwords = look_up_with(server)
        server.fault = drop
        assert not passwords.contains(BREACHED)
        server.fault = None
        assert passwords.contains(BREACHED)

    def test_many_may_ask_at_the_same_time(self) -> None:
        """No request waits for another: the server answers only once all of them have arrived."""
        crowd = 20
        together = Barrier(crowd, timeout=LATE_SECS)
        with range_server(BREACHED, on_question=lambda _: together.wait()) as server:
            passwords = look_up_with(server)
            calls = [lambda: passwords.contains(BREACHED)] * crowd
            assert all_at_once(calls) == [True] * crowd


class TestWithAServiceThatFails:
    @pytest.mark.parametrize("fault", SILENT.values(), ids=SILENT)
    def test_a_slow_answer_is_given_up(
        self, server: RangeServer, reasons: Callable[[], list[str]], fault: Fault
    ) -> None:
        server.fault = fault
        assert not look_up_with(server, total_timeout_secs=SOON_SECS).contains(BREACHED)
        assert reasons() == [f"it took longer than {SOON_SECS} s"]

    @pytest.mark.parametrize("fault", SILENT.values(), ids=SILENT)
    def test_what_was_given_up_leaves_no_thread_behind(
        self, server: RangeServer, fault: Fault
    ) -> None:
        server.fault = fault
        look_up_with(server, total_timeout_secs=SOON_SECS).contains(BREACHED)
        wait_until_no_name_is_looked_up()

    @pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
    def test_an_invalid_answer_lets_the_password_pass(
        self, server: RangeServer, reasons: Callable[[], list[str]], fault: Fault
    ) -> None:
        server.fault = fault
        assert not look_up_with(server).contains(BREACHED)
        (reason,) = reasons()
        assert "took longer" not in reason

    def test_a_redirect_is_not_followed(
        self, server: RangeServer, reasons: Callable[[], list[str]]
    ) -> None:
        with range_server(BREACHED) as other:
            location = f"Location: {other.url}/{digest_of(BREACHED)[:5]}\r\n".encode()
            for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect"):
                server.fault = send(reply(b"", status=status, headers=location))
                assert not look_up_with(server).contains(BREACHED)
            assert other.questions == []
        assert reasons() == ["it answered 301", "it answered 302", "it answered 307"]

    def test_a_refused_connection_lets_the_password_pass(
        self, server: RangeServer, reasons: Callable[[], list[str]]
    ) -> None:
        server.stop()
        assert not look_up_with(server).contains(BREACHED)
        assert reasons() == ["no program listens at its port"]

    def test_a_name_that_is_looked_up_for_ever(
        self, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
    ) -> None:
        is_over = Event()

        def hang_up_to_the_end(*_args: object, **_kwargs: object) -> None:
            is_over.wait()
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", hang_up_to_the_end)
        service = RangeService("http://localhost/range", total_timeout_secs=SOON_SECS)
        assert not BreachedPasswords(service).contains(BREACHED)
        assert reasons() == [f"it took longer than {SOON_SECS} s"]
        is_over.set()

    def test_a_connection_that_comes_too_late_is_not_used(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_over, ask_system = Event(), socket.getaddrinfo

        def ask_late(*args: Any, **kwargs: Any) -> Any:
            is_over.wait()
            return ask_system(*args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", ask_late)
        assert not look_up_with(server, total_timeout_secs=SOON_SECS).contains(BREACHED)
        is_over.set()
        wait_until_no_name_is_looked_up()
        assert server.questions == []

    @pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
    def test_nothing_of_the_password_is_logged(
        self, server: RangeServer, caplog: pytest.LogCaptureFixture, level: str
    ) -> None:
        caplog.set_level(level)
        digest = digest_of(BREACHED)
        broken = send(HEAD + b"Content-")
        for fault in (None, drop, broken, send(reply(SUFFIX + b":no")), send(reply(b""))):
            server.fault = fault
            look_up_with(server).contains(BREACHED)
        server.stop()
        look_up_with(server).contains(BREACHED)
        logged = str([vars(record) for record in caplog.records]).upper()
        assert "NOT CHECKED" in logged
        secrets = (BREACHED.upper(), digest, digest[:5], digest[5:])
        assert [secret for secret in secrets if secret in logged] == []


class TestBreaker:
    def test_a_service_that_is_away_is_left_alone_for_a_while(
        self, server: RangeServer, reasons: Callable[[], list[str]]
    ) -> None:
        clock = Seconds()
        passwords = look_up_with(server, monotonic=clock)
        server.fault = drop
        for _ in range(BREAKER_FAILURES + 2):
            assert not passwords.contains(BREACHED)
        assert len(server.questions) == BREAKER_FAILURES
        assert reasons()[-1] == "it was away a moment ago"
        clock.now += BREAKER_RESET_SECS
        server.fault = None
        assert passwords.contains(BREACHED)
        assert passwords.breaker.state == "closed"

    def test_what_is_known_already_needs_no_service(self, server: RangeServer) -> None:
        passwords = look_up_with(server)
        assert passwords.contains(BREACHED)
        server.fault = drop
        for number in range(BREAKER_FAILURES):
            passwords.contains(f"{GOOD} {number}")
        assert passwords.breaker.is_open
        assert passwords.contains(BREACHED)

    def test_its_changes_are_logged(
        self, server: RangeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        server.fault = drop
        passwords = look_up_with(server)
        for _ in range(BREAKER_FAILURES):
            passwords.contains(BREACHED)
        changes = [vars(record) for record in caplog.records if record.msg == "breaker changed"]
        assert [(line["breaker"], line["state"]) for line in changes] == [
            ("breached_passwords", "open")
        ]


class TestTLS:
    def test_a_trusted_service_is_asked(self, authority: trustme.CA, trusting: TLSContext) -> None:
        with range_server(BREACHED, tls=server_context(authority, "127.0.0.1")) as server:
            assert look_up_with(server, tls=trusting).contains(BREACHED)

    def test_a_foreign_authority_is_not_believed(
        self, authority: trustme.CA, reasons: Callable[[], list[str]]
    ) -> None:
        with range_server(BREACHED, tls=server_context(authority, "127.0.0.1")) as server:
            assert not look_up_with(server).contains(BREACHED)
            assert server.questions == []
        assert reasons() == ["its certificate is not good"]

    def test_another_hosts_certificate_is_not_believed(
        self, authority: trustme.CA, trusting: TLSContext, reasons: Callable[[], list[str]]
    ) -> None:
        with range_server(BREACHED, tls=server_context(authority, "evil.example")) as server:
            assert not look_up_with(server, tls=trusting).contains(BREACHED)
            assert server.questions == []
        assert reasons() == ["its certificate is not good"]

    @pytest.mark.parametrize("fault", [hang, trickle(b"\x16\x03\x03\x40\x00")])
    def test_a_handshake_that_never_ends_is_given_up(
        self,
        authority: trustme.CA,
        trusting: TLSContext,
        reasons: Callable[[], list[str]],
        fault: Fault,
    ) -> None:
        context = server_context(authority, "127.0.0.1")
        with range_server(BREACHED, tls=context, fault=fault, is_early=True) as server:
            passwords = look_up_with(server, tls=trusting, total_timeout_secs=SOON_SECS)
            assert not passwords.contains(BREACHED)
            wait_until_no_name_is_looked_up()
        assert reasons() == [f"it took longer than {SOON_SECS} s"]


class TestCheck:
    def test_it_checks_that_the_service_knows_a_common_password(self) -> None:
        with range_server("password") as server:
            assert look_up_with(server).check()
            server.passwords.clear()
            assert not look_up_with(server).check()

    def test_it_reports_why_the_service_does_not_answer(self, server: RangeServer) -> None:
        server.fault = send(reply(b"", status="503 Busy"))
        with pytest.raises(RangeServiceError, match="it answered 503"):
            look_up_with(server).check()
