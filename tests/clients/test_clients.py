"""Real clients over sockets: each feature with each client that has it (`matrix.py` says which)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.clients.drivers.javascript import PROCESS, JavaScript
from tests.clients.exchange import TOOL, UNKNOWN, Ask
from tests.clients.matrix import CELLS, FEATURES
from tests.harness import CLAUDE

if TYPE_CHECKING:
    import pytest

    from tests.clients.client import Client
    from tests.clients.exchange import Answer, Failure
    from tests.clients.world import World

FINISHED = {"stop", "end_turn", "completed"}
WEATHER = "What is the weather in Paris? Use the tool."
PERSON = "Ada is 36 years old. Who is that? Answer in JSON."


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test the clients that have its feature."""
    feature = metafunc.function.__name__.removeprefix("test_")
    if "client" in metafunc.fixturenames:
        clients = [client for client, one in CELLS if one == feature]
        metafunc.parametrize("client", clients, ids=[client.name for client in clients])


def answered(client: Client, world: World, ask: Ask) -> Answer:
    """Ask, and return an answer that came without an error and ended as one does."""
    answer = client.ask(world.url, ask)
    assert answer.error is None
    return answer


def refused(client: Client, world: World, ask: Ask, case: str) -> Failure:
    """Ask, and return the error, which must be of the class that the client has for the case."""
    answer = client.ask(world.url, ask)
    assert answer.error is not None, f"no error, but {answer}"
    assert answer.error.kind == client.errors[case], answer.error
    return answer.error


def test_every_feature_has_its_test() -> None:
    """The table's columns and the tests here are the same."""
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}

    assert tests - {"every_feature_has_its_test"} == set(FEATURES)


def test_unary(client: Client, world: World) -> None:
    """A whole answer: its text, and the finish reason that says it is whole."""
    answer = answered(client, world, Ask(text="[[emulator deltas=5]] Hello"))

    assert len(answer.text.split()) == 5
    assert answer.finish in FINISHED


def test_stream(client: Client, world: World) -> None:
    """The same text, in more pieces than one, with the same finish reason."""
    whole = answered(client, world, Ask(text="[[emulator deltas=5 frames_per_write=1]] Hello"))
    answer = answered(client, world, Ask(text="[[emulator deltas=5 frames_per_write=1]] Hello", stream=True))

    assert answer.text == whole.text
    assert answer.pieces > 1
    assert answer.finish == whole.finish


def test_usage(client: Client, world: World) -> None:
    """The tokens that Bedrock counted, and a stream's are those of the whole answer."""
    whole = answered(client, world, Ask(text="[[emulator deltas=7]] Hello"))
    streamed = answered(client, world, Ask(text="[[emulator deltas=7]] Hello", stream=True))

    assert whole.input_tokens > 0
    assert whole.output_tokens >= 7
    assert (streamed.input_tokens, streamed.output_tokens) == (whole.input_tokens, whole.output_tokens)


def test_tools(client: Client, world: World) -> None:
    """A tool is called with arguments that its schema allows, and its result reaches the model."""
    call_a_tool(client, world, stream=False)


def test_tools_streamed(client: Client, world: World) -> None:
    """The same with arguments that come in pieces."""
    call_a_tool(client, world, stream=True)


def call_a_tool(client: Client, world: World, *, stream: bool) -> None:
    """Let the model call a tool and answer with its result."""
    world.calls()
    answer = answered(client, world, Ask(text=WEATHER, tool=True, stream=stream))

    assert answer.calls == [{"name": TOOL["name"], "arguments": {"city": "Paris"}}]
    assert answer.text
    assert answer.finish in FINISHED
    first, second = world.bodies()
    assert "22 degrees" not in str(first)
    assert "22 degrees" in str(second)


def test_image(client: Client, world: World) -> None:
    """An image reaches the model as it was given."""
    world.calls()
    answered(client, world, Ask(text="What is this?", image=True))

    (body,) = world.bodies()
    assert "iVBORw0KGgo" in str(body)


def test_reasoning(client: Client, world: World) -> None:
    """The model's thoughts come beside the text, and do not get into it."""
    think(client, world, stream=False)


def test_reasoning_streamed(client: Client, world: World) -> None:
    """The same in pieces."""
    think(client, world, stream=True)


def think(client: Client, world: World, *, stream: bool) -> None:
    """Let the model think and answer."""
    answer = answered(client, world, Ask(text="Think about it.", reasoning=True, stream=stream))

    assert answer.reasoning
    assert answer.text
    assert answer.reasoning not in answer.text
    assert answer.signed is client.signs


def test_structured(client: Client, world: World) -> None:
    """An object of the schema, as the client parsed it."""
    answer = answered(client, world, Ask(text=PERSON, schema=True))

    assert answer.value == {"name": "Ada", "age": 36}


def test_invalid(client: Client, world: World) -> None:
    """What Bedrock finds wrong with a request is the client's error for that, with Bedrock's words."""
    error = refused(client, world, Ask(text="[[emulator error=ValidationException]]"), "400")

    assert error.status == 400
    assert "not valid" in error.message


def test_unknown(client: Client, world: World) -> None:
    """A model that there is not is the client's error for that, and is named."""
    error = refused(client, world, Ask(text="Hello", model=UNKNOWN), "404")

    assert error.status == 404


def test_throttled(client: Client, world: World) -> None:
    """A throttle is the client's error for that."""
    error = refused(client, world, Ask(text="[[emulator error=ThrottlingException]]"), "429")

    assert error.status == 429


def test_failed(client: Client, world: World) -> None:
    """A failure of Bedrock is the client's error for a server's failure."""
    error = refused(client, world, Ask(text="[[emulator error=InternalServerException]]"), "500")

    assert error.status in {500, 502}


def test_unavailable(client: Client, world: World) -> None:
    """A Bedrock without capacity is the client's error for that."""
    error = refused(client, world, Ask(text="[[emulator error=ServiceUnavailableException]]"), "503")

    assert error.status in {503, 529}


def test_fault(client: Client, world: World) -> None:
    """A stream that fails raises, after the text that had come."""
    break_off(client, world, "exception=throttlingException after=6")


def test_cut(client: Client, world: World) -> None:
    """A stream that merely ends before the model has finished raises too: it never looks like a whole one."""
    break_off(client, world, "cut=8")


def break_off(client: Client, world: World, directive: str) -> None:
    """Ask for a stream that breaks off in the middle."""
    text = f"[[emulator deltas=20 frames_per_write=1 {directive}]] Hello"
    answer = client.ask(world.url, Ask(text=text, stream=True))

    assert answer.error is not None, f"no error, but {answer}"
    assert answer.error.kind == client.errors["stream"], answer.error
    assert 0 < len(answer.text.split()) < 20


def test_retry(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled request is sent again by the client, after the time that it was told."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    world.calls()
    world.emulator.script("error=ThrottlingException", "")
    answer = answered(client, world, Ask(text="[[emulator deltas=5]] Hello", retries=1))

    assert len(answer.text.split()) == 5
    assert [call.status for call in world.calls()] == [429, 200]
    if client.obeys_retry_after:
        assert 1 in (PROCESS.waits if isinstance(client, JavaScript) else waits)


def test_embeddings(client: Client, world: World) -> None:
    """A text becomes a vector, the same one each time."""
    vector = client.embed(world.url, "Hello")

    assert len(vector) > 100
    assert vector == client.embed(world.url, "Hello")


def test_count(client: Client, world: World) -> None:
    """A prompt's tokens are counted without an answer."""
    assert client.count(world.url, "Hello") < client.count(world.url, "Hello, how do you do today?")


def test_models(client: Client, world: World) -> None:
    """The models that may be asked are listed."""
    assert CLAUDE in client.models(world.url)
