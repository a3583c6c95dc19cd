"""An embedded Bedrock runtime on loopback for the demo, the tests and the benchmarks.

It is the far end, read from Bedrock's side: it shares the frame layout and SigV4 with the gateway, and
nothing else, so that a mistake of one side does not hide in the other.
"""

from gateway.emulator.activity import Call
from gateway.emulator.guardrails import Guardrail
from gateway.emulator.keyring import KeyRing
from gateway.emulator.ledger import Entry, Ledger, Tokens
from gateway.emulator.metadata import EmulatedMetadata
from gateway.emulator.quotas import Quota, Quotas
from gateway.emulator.replay import Recording, Replay
from gateway.emulator.server import Emulator
from gateway.emulator.settings import EmulatorSettings
from gateway.emulator.sts import EmulatedSts, Role

__all__ = [
    "Call",
    "EmulatedMetadata",
    "EmulatedSts",
    "Emulator",
    "EmulatorSettings",
    "Entry",
    "Guardrail",
    "KeyRing",
    "Ledger",
    "Quota",
    "Quotas",
    "Recording",
    "Replay",
    "Role",
    "Tokens",
]
