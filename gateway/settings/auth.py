"""How callers prove who they are, beside the keys that the settings themselves name."""

from __future__ import annotations

from gateway.settings.sections import Section


class AuthSettings(Section):
    """Authentication as a whole."""

    trust_access_key_ids: bool = False
    """Let an AWS access key id name its caller where others than this machine can connect, too: whoever knows
    the id is that caller. For networks that nobody else is in."""
