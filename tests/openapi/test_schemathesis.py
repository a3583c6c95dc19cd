"""Schemathesis asks whatever the document allows, and what it forbids: no 5xx, and no undocumented answer.

The emulator answers every request in time, so that a 5xx would be ours. Whether all that the document allows
is also accepted is not asked: models have limits of their own, which a schema for all of them cannot tell.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.emulator import Emulator, EmulatorSettings
from gateway.openapi.document import OPERATIONS, document
from tests.harness import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

    from gateway.openapi.operation import Operation

EXAMPLES = 50
"""Of each operation, in each of the two modes; `pytest --hypothesis-profile=search` looks for new ones."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture(name="url", scope="module")
def _url() -> Iterator[str]:
    """A gateway in a thread: Schemathesis waits for its answers in the test's own."""
    ready: list[str] = []
    told = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with Emulator(EmulatorSettings()) as emulator, started(emulator) as caller:
            ready.append(caller.url)
            told.set()
            await over.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            told.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    told.wait(60)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
def test_every_answer_is_documented(operation: Operation, mode: GenerationMode, url: str) -> None:
    """Valid or not, a request gets an answer that the document knows."""
    described = SCHEMA[operation.path][operation.method.upper()]
    if mode is GenerationMode.NEGATIVE and operation.body is None and not operation.parameters:
        pytest.skip("nothing of it can be wrong")

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        case: Case[Any] = data.draw(described.as_strategy(generation_mode=mode))
        if isinstance(case.body, dict) and "model" in case.body and data.draw(st.booleans()):
            case.body["model"] = operation.example["model"]  # one that is there, so that the rest counts
        if case.headers and str(case.headers.get("X-Request-Timeout-Ms")).isdecimal():
            case.headers["X-Request-Timeout-Ms"] = "60000"  # a 504 would be what was asked for
        response = case.call(base_url=url, timeout=60)
        case.validate_response(response, checks=CHECKS)

    ask()
