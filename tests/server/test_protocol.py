"""The private parts of aiohttp that `server/protocol.py` uses are as it believes them to be."""

from __future__ import annotations

import inspect

from aiohttp import web


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
