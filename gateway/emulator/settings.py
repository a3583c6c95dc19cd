"""What an emulator is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.emulator.guardrails import Guardrail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.emulator.quotas import Quota

Billed: TypeAlias = Literal["whole", "generated"]
"""What is billed of an answer that its client left: all of it, or what had been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """Where the emulator listens, whom it trusts, and how it answers unless a directive says otherwise.

    Port 0 takes any free port. The access key is the only one that is accepted; with `session_token`,
    requests must carry that token too. `bearer_token` is the only API key that is accepted, None for none.

    `deltas` is the number of text deltas of an answer; `delta_chars` is the length of each in characters,
    0 for one word each. `reasoning` is the number of reasoning deltas where a request turns thinking on.
    `first_byte_ms` passes before the headers are sent, `pace_ms` before each delta. `frames_per_write` is
    the number of frames in one write, 0 for all of them; None means 1 for a paced answer and 0 for others.

    `cache_minimum_tokens` is the length from which the beginning of a prompt is cached.

    `guardrails` are those that exist: id → guardrail.

    `refusals` are the models that this account may not use: model id → error code and message, answered to
    every operation of that model. `date_offset_s` is how far the emulator's clock is ahead of this host's, in
    the `Date` of its answers and in its judgement of signatures.

    `quotas` are those of the account at the start: pattern of model or profile ids → quota. `abandoned` is
    what is billed of an answer whose client left; Bedrock is reported to bill the whole (reliability.md S36).
    `team_key` is the key of a request's metadata that says whose it is.

    With `recordings`, a folder of recorded exchanges, the emulator only replays (see `Replay`).
    """

    host: str = "127.0.0.1"
    port: int = 0
    region: str = "us-east-1"
    access_key_id: str = "AKIAEMULATOR00000000"
    secret_access_key: str = "emulator-secret-access-key"  # noqa: S105 - trusted by this emulator, by nobody else
    session_token: str | None = None
    bearer_token: str | None = None
    verify_signatures: bool = True
    deltas: int = 24
    delta_chars: int = 0
    reasoning: int = 8
    pace_ms: float = 0.0
    first_byte_ms: float = 0.0
    frames_per_write: int | None = None
    guardrails: Mapping[str, Guardrail] = field(default_factory=lambda: {"emulated": Guardrail()})
    cache_minimum_tokens: int = 1024
    refusals: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    date_offset_s: float = 0.0
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    abandoned: Billed = "whole"
    team_key: str = "team"
    recordings: Path | None = None
