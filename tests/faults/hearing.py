"""What a caller hears of one answer in one format, and whether it is what the table says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.faults.matrix import TEXT
from tests.harness import ask, text_of

if TYPE_CHECKING:
    from tests.faults.matrix import Expected

FORMATS: Final = {
    "ndjson": "application/x-ndjson",
    "sse": "text/event-stream",
    "text": "text/plain",
    "unary": "application/json",
}
"""Format to what is accepted. `unary` is the other route."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. `broken`: the transfer had no proper end, which every HTTP client notices."""

    status: int
    body: bytes
    broken: bool


async def hear(
    session: aiohttp.ClientSession, url: str, format_: str, directives: str, headers: dict[str, str]
) -> Heard:
    """Ask, and hear the answer out."""
    route = "/chat/completions" + ("" if format_ == "unary" else "/stream")
    model, _, words = directives.partition(" ")
    body = ask(f"[[emulator deltas=4 frames_per_write=1 pace_ms=2 {words}]]", model=model)
    heard = b""
    headers = {"Accept": FORMATS[format_], **headers}
    async with session.post(url + route, json=body, headers=headers) as response:
        try:
            async for piece in response.content.iter_any():
                heard += piece
        except aiohttp.ClientPayloadError:
            return Heard(response.status, heard, broken=True)
    return Heard(response.status, heard, broken=False)


def complaints(heard: Heard, format_: str, due: Expected, words: int) -> list[str]:
    """Return what is wrong with the answer; `words` is how many deltas came before the fault."""
    if due.error is not None and (format_ == "unary" or not due.begun):
        return _of_a_refusal(heard, due)
    check = {"ndjson": _of_records, "sse": _of_records, "text": _of_text, "unary": _of_object}[format_]
    return check(heard, due, words)


def _of_a_refusal(heard: Heard, due: Expected) -> list[str]:
    assert due.error is not None
    wrong = []
    if heard.status != due.error.status:
        wrong.append(f"status {heard.status}, not {due.error.status}")
    if heard.broken:
        wrong.append("the transfer broke")
    code = json.loads(heard.body).get("error", {}).get("code")
    if code != due.error.code:
        wrong.append(f"code {code}, not {due.error.code}")
    return wrong


def _of_records(heard: Heard, due: Expected, words: int) -> list[str]:
    wrong = ["the transfer broke"] if heard.broken else []
    if heard.status != 200:
        return [*wrong, f"status {heard.status}, not 200: {heard.body!r}"]
    records = _records(heard.body)
    kinds = [record["type"] for record in records]
    terminals = [kind for kind in kinds if kind in {"done", "error"}]
    last = "done" if due.error is None else "error"
    if kinds[0] != "start" or kinds[-1] != last or terminals != [last]:
        wrong.append(f"records {kinds}, not one start first and one {last} last")
    if due.error is not None and records[-1].get("error", {}).get("code") != due.error.code:
        wrong.append(f"record {records[-1]}, not {due.error.code}")
    return wrong + _of_words(text_of(records), words if due.error is not None else 4)


def _records(body: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n")]
    return [json.loads(line) for line in lines if line]


def _of_text(heard: Heard, due: Expected, words: int) -> list[str]:
    wrong = []
    if heard.status != 200:
        wrong.append(f"status {heard.status}, not 200")
    if heard.broken != (due.error is not None):
        wrong.append("the transfer broke" if heard.broken else "the transfer looks whole")
    return wrong + _of_words(heard.body.decode(), words if due.error is not None else 4)


def _of_object(heard: Heard, due: Expected, words: int) -> list[str]:
    del due, words  # only a whole answer comes here
    if heard.status != 200 or heard.broken:
        return [f"status {heard.status}, broken: {heard.broken}"]
    return _of_words(json.loads(heard.body)["message"]["content"], 4)


def _of_words(said: str, words: int) -> list[str]:
    due = " ".join(TEXT.split()[:words])
    return [] if said == due else [f"the text {said!r}, not {due!r}"]
