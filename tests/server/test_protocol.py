"""The private parts of aiohttp that `server/protocol.py` uses are as it believes them to be."""

from __future__ import annotations

import inspect

from aiohttp import web, web_protocol

from gateway.server import protocol


def test_server_call_makes_the_request_handler() -> None:
    """`Server.__call__` builds a RequestHandler from `_loop` and `_kwargs`, which is what ours repeats."""
    source = inspect.getsource(web.Server.__call__)

    assert "RequestHandler(self, loop=self._loop, **self._kwargs)" in source


def test_handle_error_is_what_answers_a_parser_error() -> None:
    """The parser's errors and whatever a handler lets escape come to `handle_error` with these arguments."""
    parameters = list(inspect.signature(web.RequestHandler.handle_error).parameters)

    assert parameters == ["self", "request", "status", "exc", "message"]
    assert "self.handle_error(" in inspect.getsource(web.RequestHandler._make_error_handler)


def test_connection_error_closes_without_an_answer() -> None:
    """A ConnectionError out of `handle_error` ends the connection: how a transfer is broken on purpose."""
    source = inspect.getsource(web.RequestHandler.start)

    assert "except ConnectionError:" in source


def test_what_is_waiting_and_what_is_running() -> None:
    """The queue, the waiter and the current request are where the bounds look for them (S9, S21)."""
    source = inspect.getsource(web.RequestHandler)

    for line in (
        "self._messages: deque[_MsgType] = deque()",
        "self._messages.append((msg, payload))",
        "message, payload = self._messages.popleft()",
        "self._waiter = loop.create_future()",
        "self._current_request = request",
        "if isinstance(message, _ErrInfo):",
    ):
        assert line in source
    assert "self._reading_paused = True" in inspect.getsource(web.RequestHandler.pause_reading)


def test_a_cancelled_waiter_is_kept() -> None:
    """Who waits for the caller to take more waits for one future, and a cancelled one stays: ours goes on."""
    source = inspect.getsource(web.RequestHandler._drain_helper)

    for line in ("waiter = self._drain_waiter", "if waiter is None:", "await waiter"):
        assert line in source


def test_our_own_queue_is_shorter_than_the_one_that_stops_the_reading() -> None:
    """Aiohttp stops reading at its own bound; ours comes first."""
    assert protocol.MAX_PIPELINED < web_protocol.MAX_MSG_QUEUE_SIZE


def test_the_server_keeps_the_transport_of_each_connection() -> None:
    """Where the drain looks for bytes that are still to be sent."""
    assert "self._connections[handler] = transport" in inspect.getsource(web.Server.connection_made)
