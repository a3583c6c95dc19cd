"""How AWS is told which caller a call is made for: its logs, its trail and its bill then know the team."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from gateway.settings.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterable

METADATA_KEY: Final = r"^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$"
"""What Bedrock takes as a key of requestMetadata."""
NAME: Final = re.compile(r"[A-Za-z0-9_=+,.@-]{2,64}")
"""What STS takes as the name of a session; Bedrock takes all of it as a value of requestMetadata."""


class AttributionSettings(Section):
    """Where the caller's name is put; nowhere by default."""

    request_metadata: Annotated[str, Field(pattern=METADATA_KEY)] | None = None
    """The key of requestMetadata that holds it, in Bedrock's invocation logs."""


def name_problems(callers: Iterable[str]) -> Iterable[str]:
    """Name the callers whose names AWS would refuse, as a session's or as metadata."""
    for name in callers:
        if NAME.fullmatch(name) is None:
            yield (
                f"callers.{name}: a name that AWS is told has 2 to 64 letters, digits and =+,.@_- only "
                "(attribution.request_metadata, credentials.caller_sessions)"
            )
