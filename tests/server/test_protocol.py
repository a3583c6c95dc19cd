"""The private parts of aiohttp that `server/protocol.py` uses are as it believes them to be."""

from __future__ import annotations

import hashlib
import inspect

from aiohttp import web, web_protocol
from aiohttp.helpers import parse_content_type

from gateway.server import protocol


def test_server_call_makes_the_request_handler() -> None:
    """`Server.__call__` builds a RequestHandler from `_loop` and `_kwargs`, which is what ours repeats."""
    source = inspect.getsource(web.Server.__call__)

    assert "RequestHandler(self, loop=self._loop, **self._kwargs)" in source


def test_the_loop_that_ours_stands_in_for() -> None:
    """Each line is a duty that `RequestLoop` has taken over; a new one would have to be taken over, too."""
    source = inspect.getsource(web.RequestHandler.start)

    for line in (
        "while not self._force_close:",
        "self._waiter = loop.create_future()",
        "message, payload = self._messages.popleft()",
        "self._parser.message_consumed()",
        "self._resume_reading_if_drained()",
        "if isinstance(message, _ErrInfo):",
        "except ConnectionError:",
        "lingering_time = self._lingering_time",
        "self._next_keepalive_close_time = close_time",
        "self._keepalive_handle = loop.call_at(",
        "self._task_handler = None",
        "self.transport.close()",
    ):
        assert line in source
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == "2e565fd40c8e04fb", "read what has changed"
    assert "self._task_handler = task" in inspect.getsource(web.RequestHandler.connection_made)
    assert "loop.create_task(self.start())" in inspect.getsource(web.RequestHandler.connection_made)


def test_what_ends_the_loop() -> None:
    """The end of the process and that of a connection find what runs where `RequestLoop` leaves it."""
    shutdown = inspect.getsource(web.RequestHandler.shutdown)
    lost = inspect.getsource(web.RequestHandler.connection_lost)

    assert "if self._request_in_progress:" in shutdown
    assert "self._handler_waiter = self._loop.create_future()" in shutdown
    assert "self._current_request._cancel(" in shutdown
    assert "self._current_request._cancel(exc)" in lost
    assert "self._task_handler.cancel()" in lost
    assert "self._waiter.cancel()" in inspect.getsource(web.RequestHandler.force_close)
    keepalive = inspect.getsource(web.RequestHandler._process_keepalive)
    assert "close_time = self._next_keepalive_close_time" in keepalive


def test_reading_goes_on_only_where_it_was_paused() -> None:
    """Aiohttp calls this behind each piece of a body; where nothing was paused it changes nothing."""
    source = inspect.getsource(web.RequestHandler.resume_reading)

    for line in (
        "self._reading_paused = False",
        'self.data_received(b"")',
        "self._resume_transport_reading()",
    ):
        assert line in source


def test_content_types_are_parsed_as_aiohttp_does() -> None:
    """Its parser of one header's value is not among what it promises to keep."""
    media_type, parameters = parse_content_type('application/json; charset="UTF-8"')

    assert (media_type, dict(parameters)) == ("application/json", {"charset": "UTF-8"})
    assert parse_content_type("")[0] == "application/octet-stream"


def test_what_is_waiting_and_what_is_running() -> None:
    """The queue, the waiter and the current request are where the bounds look for them (S9, S21)."""
    source = inspect.getsource(web.RequestHandler)

    for line in (
        "self._messages: deque[_MsgType] = deque()",
        "self._messages.append((msg, payload))",
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
