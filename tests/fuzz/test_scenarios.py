"""Long fuzz runs over whole scenarios: `make fuzz`.

Each round begins with a seed and a fresh database, so a round that failed is repeated by its seed.
Every kind of caller and machine has one round on each database, however short the time is; what is
left is shared between them.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from schemathesis import Case, GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema

from authserve.app import create_app
from authserve.database.transactions import db
from tests.conftest import DATABASES, fresh_database, make_settings
from tests.fuzz.callers import FuzzCaller
from tests.support.fuzzing import TAKES_NOTHING, excluded_checks, operations, read_schema
from tests.support.mail import open_mailbox

MINUTES = float(os.environ.get("FUZZ_MINUTES", "10"))

SEED = int(os.environ.get("FUZZ_SEED", "0"))
"""The seed of the first round; 0 draws one."""

ROLES = ("visitor", "user", "admin")

MakeCaller = Callable[[], FuzzCaller]
MakeMachine = Callable[[BaseSchema, MakeCaller], type[RuleBasedStateMachine]]

one_round = settings(
    max_examples=5,
    stateful_step_count=30,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def exclude(case: Case, caller: FuzzCaller) -> list[Any]:
    # The caller's own headers come in place of those that were made up.
    is_altered = caller.has_altered or (
        case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    )
    return excluded_checks(case, may_refuse=caller.role != "admin", is_altered=is_altered)


def follow_links(schema: BaseSchema, make_caller: MakeCaller) -> type[RuleBasedStateMachine]:
    """Scenarios of calls that Schemathesis links, for example by an id that one call returns."""
    machine: Any = schema.as_state_machine()

    class Linked(machine):  # type: ignore[misc]
        def setup(self) -> None:
            self.caller = make_caller()

        def before_call(self, case: Case) -> None:
            self.caller.prepare(case)

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"headers": self.caller.headers_for(case)}

        def after_call(self, response: Response, case: Case) -> None:
            super().after_call(response, case)
            self.caller.learn(response)

        def validate_response(self, response: Response, case: Case, **kwargs: Any) -> None:
            excluded = exclude(case, self.caller)
            case.validate_response(response, excluded_checks=excluded, recorder=self.recorder)

    return Linked


def wander(schema: BaseSchema, make_caller: MakeCaller) -> type[RuleBasedStateMachine]:
    """Scenarios of any calls in any order, by a caller that reuses values it has received."""
    cases = st.one_of(
        operation.as_strategy(generation_mode=mode)
        for operation in operations(schema)
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or operation.path not in TAKES_NOTHING
    )

    class Wandering(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.caller = make_caller()

        @rule(case=cases)
        def call(self, case: Case) -> None:
            self.caller.prepare(case)
            response = case.call(headers=self.caller.headers_for(case))
            case.validate_response(response, excluded_checks=exclude(case, self.caller))
            self.caller.learn(response)

    return Wandering


@pytest.fixture
def rounds(capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    """The seed of each round, printed before it begins, until the time is up."""

    def until_the_time_is_up() -> Iterator[int]:
        share = MINUTES * 60 / (len(DATABASES) * len(ROLES) * 2)
        first, ends_at = SEED or secrets.randbelow(2**31), time.monotonic() + share
        for number in count(first):
            with capsys.disabled():
                print(f"\n  FUZZ_SEED={number}", end=" ", flush=True)  # noqa: T201
            yield number
            if time.monotonic() >= ends_at:
                return

    return until_the_time_is_up()


@pytest.mark.parametrize("make_machine", [follow_links, wander])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", DATABASES)
def test_every_answer_of_a_scenario_is_as_the_document_says(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    rounds: Iterator[int],
    kind: str,
    role: str,
    make_machine: MakeMachine,
) -> None:
    for number in rounds:
        folder = tmp_path / str(number)
        folder.mkdir()
        with fresh_database(request, kind, folder) as url:
            app = create_app(make_settings(url, folder, trusted_proxies=1))
            mailbox, people = open_mailbox(app), count(1)

            def make_caller() -> FuzzCaller:
                return FuzzCaller(app, mailbox, next(people), role)  # noqa: B023 - this round's

            machine = make_machine(read_schema(app), make_caller)
            try:
                run_state_machine_as_test(seed(number)(machine), settings=one_round)
            finally:
                with app.app_context():
                    db.engine.dispose()
