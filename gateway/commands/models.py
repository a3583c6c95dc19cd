"""`bedrock-gateway models`: check the catalogue's data, and convert the earlier system's configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gateway.catalog.cards import load_cards
from gateway.catalog.check import differences, holes
from gateway.catalog.prices import load_prices
from gateway.commands.conversion import ConversionError, converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.catalog.check import Hole

EXIT_OK, EXIT_HOLES, EXIT_USAGE = 0, 1, 2


def check(facts: str | None) -> int:
    """Look for holes in the packaged data, and for differences from a file of facts where one is given.

    Return 1 where a hole has no explanation.
    """
    cards, prices = load_cards(), load_prices()
    found = holes(cards, prices)
    if facts is not None:
        try:
            rows = _read(facts)["models"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            sys.stderr.write(f"{facts}: not a file of facts ({type(error).__name__})\n")
            return EXIT_USAGE
        found += differences(cards, prices, rows)
    chats = sum(card.family is not None for card in cards.values())
    sys.stdout.write(_table(found))
    open_holes = sum(hole.reason is None for hole in found)
    sys.stdout.write(
        f"{len(cards)} models, {chats} of them for chats, {len(prices)} prices: "
        f"{open_holes} holes, {len(found) - open_holes} explained\n"
    )
    return EXIT_HOLES if open_holes else EXIT_OK


def convert(old: str) -> int:
    """Write the gateway.toml that means what the earlier system's configuration file meant."""
    try:
        text = converted(_read(old))
    except OSError as error:
        sys.stderr.write(f"{old}: cannot be read ({error.strerror})\n")
        return EXIT_USAGE
    except orjson.JSONDecodeError as error:
        sys.stderr.write(f"{old}: not valid JSON: {error}\n")
        return EXIT_USAGE
    except ConversionError as error:
        sys.stderr.write("".join(f"{old}: {problem}\n" for problem in error.problems))
        return EXIT_USAGE
    sys.stdout.write(text)
    return EXIT_OK


def _read(path: str) -> Any:
    return orjson.loads(Path(path).read_bytes())


def _table(found: Sequence[Hole]) -> str:
    """Return a line for each hole, in columns."""
    if not found:
        return ""
    wide, what = max(len(hole.id) for hole in found), max(len(hole.what) for hole in found)
    return "".join(
        f"{hole.id:{wide}}  {hole.what:{what}}  {hole.reason or 'HOLE'}".rstrip() + "\n" for hole in found
    )
