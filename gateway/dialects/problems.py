"""What a schema finds wrong with a body, in the caller's paths and words, and without the caller's values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

LISTED_PROBLEMS = 5
UNION_ITEM = ("messages", "content", "input")
"""Lists whose items are unions, told apart by their role or type."""
WORDS = {
    "extra_forbidden": "unknown field",
    "union_tag_not_found": "Field required",
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "dict_type": "Input should be an object",
    "list_type": "Input should be a list (a string where text is meant)",
}
"""In the caller's terms; pydantic's would name our classes."""


def invalid(error: ValidationError, value: Any) -> InvalidRequest:
    """Return the error that names what a schema found wrong, in the caller's paths and without values."""
    problems = error.errors(include_input=False, include_url=False)
    described = [_describe(problem, value) for problem in problems[:LISTED_PROBLEMS]]
    listed = "; ".join(f"{path or 'body'}: {words}" for path, words in described)
    more = len(problems) - LISTED_PROBLEMS
    return InvalidRequest(
        f"{listed}{f'; and {more} more' if more > 0 else ''}.", param=described[0][0] or "body"
    )


def _describe(problem: Any, value: Any) -> tuple[str, str]:
    """Return path and words; never pydantic's words for a wrong tag, which repeat it."""
    path = _path(problem["loc"], value, lacking=problem["type"] == "missing")
    if problem["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        name = problem["ctx"]["discriminator"].strip("'")
        path += ".type" if name.endswith("()") else f".{name}"  # a function that looks at the type
    if problem["type"] == "union_tag_invalid":
        return path, f"Input should be one of {problem['ctx']['expected_tags']}"
    return path, WORDS.get(problem["type"], problem["msg"])


def _path(location: Sequence[int | str], value: Any, *, lacking: bool) -> str:
    """Return the path as the caller wrote it, such as `messages[2].content`.

    Pydantic's locations also name the branch of a union that it took, for example the role of a message.
    Such a step is not in the caller's value, so it is left out, as is the index of an item that the caller
    gave without its list. The last step names a field that is missing where one is `lacking`.
    """
    path, node = "", value
    for position, step in enumerate(location):
        last = lacking and position == len(location) - 1
        if isinstance(step, int):
            if isinstance(node, list):
                path, node = f"{path}[{step}]", node[step]
        elif isinstance(node, dict) and (last or (step in node and not _is_tag(location, position, node))):
            name = step if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", step) else "?"
            path += f".{name}" if path else name
            node = node.get(step)
    return path


def _is_tag(location: Sequence[int | str], position: int, node: Any) -> bool:
    """Say whether this step is the role or type of an item, not a field that has the same name."""
    if position < 2 or location[position - 2] not in UNION_ITEM:  # noqa: PLR2004 - a list and an index before it
        return False
    return location[position] in (node.get("role"), node.get("type"))
