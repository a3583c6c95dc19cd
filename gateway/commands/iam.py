"""`bedrock-gateway iam`: the policy of IAM that the settings in force need, and nothing beyond.

The policy is printed as JSON, fit for a role; what an operator should know about it goes to stderr.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import orjson

from gateway import composition
from gateway.diagnosis.policy import policy_of, roles
from gateway.settings import SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK, EXIT_UNKNOWN_ROLE, EXIT_CONFIG = 0, 1, 78
MANAGED_BYTES: Final = 6_144
"""What a managed policy may have, without white space; a role's own policies together may have 10,240."""


def run(*, role: str | None, account: str, guardrails: Sequence[str]) -> int:
    """Print the policy of the gateway's own identity, or of one of the roles that it assumes."""
    try:
        settings = load()
        router = composition.build_router(settings)
    except (SettingsError, composition.StartError) as error:
        sys.stderr.writelines(f"{problem}\n" for problem in error.problems)
        return EXIT_CONFIG
    assumed = roles(settings)
    if role is not None and role not in assumed:
        known = ", ".join(assumed) or "none"
        sys.stderr.write(f"{role}: the settings assume no such role; they assume {known}\n")
        return EXIT_UNKNOWN_ROLE
    policy = policy_of(role, settings, router, account=account, guardrails=guardrails)
    sys.stderr.writelines(f"{note}\n" for note in policy.notes)
    size = len(orjson.dumps(policy.document))
    if size > MANAGED_BYTES:
        sys.stderr.write(
            f"WARNING: {size} bytes; a managed policy may have {MANAGED_BYTES}: allow fewer models.\n"
        )
    sys.stderr.flush()
    sys.stdout.write(orjson.dumps(policy.document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return EXIT_OK
