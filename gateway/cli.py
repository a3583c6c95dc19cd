"""The command line: which command, with which arguments. No logic."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from gateway import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORT = 8080
DEFAULT_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    # each command is imported when it is asked for: `--help` must not load the AWS SDK
    if options.command == "serve":
        from gateway import footprint  # noqa: PLC0415

        footprint.leave_out()
        from gateway.commands import serve  # noqa: PLC0415

        return serve.run(workers=options.workers, place=options.worker_place)
    if options.command == "demo":
        from gateway.commands import demo  # noqa: PLC0415

        return demo.run(port=options.port, once=options.once)
    if options.command == "chat":
        from gateway.commands import chat  # noqa: PLC0415

        return chat.run(options.url, _body(options), raw=options.raw)
    return _administer(options)


def _administer(options: argparse.Namespace) -> int:
    """Run one of the commands that look at settings and data, and serve nobody."""
    if options.command == "models":
        from gateway.commands import models  # noqa: PLC0415

        return models.check(options.facts) if options.task == "check" else models.convert(options.old)
    if options.command == "keys":
        from gateway.commands import keys  # noqa: PLC0415

        return keys.run(options)
    if options.command == "iam":
        from gateway.commands import iam  # noqa: PLC0415

        return iam.run(role=options.role, account=options.account, guardrails=options.guardrail)
    from gateway.commands import check  # noqa: PLC0415

    return check.run(models=options.model, calls=options.calls, json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bedrock-gateway", description="An asynchronous gateway to Amazon Bedrock."
    )
    parser.add_argument("--version", action="version", version=f"bedrock-gateway {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve, with the settings of the environment and gateway.toml")
    serve.add_argument(
        "--workers", type=_count, metavar="N", help="processes (default GATEWAY_WORKERS, or 1)"
    )
    serve.add_argument("--worker-place", help=argparse.SUPPRESS)  # from the supervisor to its workers
    demo = commands.add_parser("demo", help="serve with an embedded Bedrock emulator; needs no AWS account")
    demo.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on (default %(default)s)"
    )
    demo.add_argument("--once", action="store_true", help="stop after the first answer")
    chat = commands.add_parser("chat", help="ask a running gateway and watch the answer stream")
    chat.add_argument("prompt")
    chat.add_argument(
        "--url", default=f"http://127.0.0.1:{DEFAULT_PORT}", help="the gateway (default %(default)s)"
    )
    chat.add_argument("--model", default=DEFAULT_MODEL, help="model id (default %(default)s)")
    chat.add_argument("--system", help="system text")
    chat.add_argument("--max-tokens", type=int)
    chat.add_argument("--temperature", type=float)
    chat.add_argument("--raw", action="store_true", help="print the NDJSON records themselves")
    _add_check(commands)
    _add_models(commands)
    _add_keys(commands)
    _add_iam(commands)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _add_check(commands: Any) -> None:
    check = commands.add_parser("check", help="check credentials, endpoint, clock and models, and explain")
    check.add_argument("--json", action="store_true", help="one JSON object, for machines")
    check.add_argument(
        "--model", action="append", default=[], metavar="ID", help="check this instead of those configured"
    )
    check.add_argument(
        "--no-calls", dest="calls", action="store_false", help="call no model: it may cost a few tokens"
    )


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="the catalogue: check its data, convert a configuration")
    tasks = models.add_subparsers(dest="task", required=True, metavar="TASK")
    check = tasks.add_parser(
        "check", help="look for holes in the catalogue's data; exit code 1 if there are any"
    )
    check.add_argument("--facts", metavar="PATH", help="a file of facts to compare with")
    convert = tasks.add_parser("convert", help="turn the earlier system's JSON into a gateway.toml on stdout")
    convert.add_argument("old", metavar="OLD.json")


def _add_keys(commands: Any) -> None:
    keys = commands.add_parser("keys", help="API keys of callers: make, list and revoke them")
    tasks = keys.add_subparsers(dest="task", required=True, metavar="TASK")
    create = tasks.add_parser("create", help="make a key, and print it: this once")
    create.add_argument("caller", metavar="CALLER", help="whose it is: a name in [callers]")
    create.add_argument("--expires-days", type=_count, metavar="N", help="it opens nothing after N days")
    list_ = tasks.add_parser("list", help="every key's id, caller and state")
    revoke = tasks.add_parser("revoke", help="let a key open nothing any more")
    revoke.add_argument("id", metavar="ID", help="what stands between `bgw_` and the dot")
    for task in (create, list_, revoke):
        task.add_argument("--file", metavar="PATH", help="the keys file, where it is not GATEWAY_KEYS_FILE")


def _add_iam(commands: Any) -> None:
    iam = commands.add_parser("iam", help="print the IAM policy that the settings need, and nothing beyond")
    iam.add_argument(
        "--role", metavar="ARN", help="of this role, which the settings assume, instead of the gateway's own"
    )
    iam.add_argument(
        "--account", type=_account, default="*", metavar="ID", help="AWS account of profiles (default any)"
    )
    iam.add_argument(
        "--guardrail",
        type=_guardrail,
        action="append",
        default=[],
        metavar="ID",
        help="id or ARN that callers may name",
    )


def _account(text: str) -> str:
    if text != "*" and re.fullmatch(r"[0-9]{12}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no AWS account: give its 12 digits")
    return text


def _guardrail(text: str) -> str:
    if (
        re.fullmatch(r"[a-z0-9]+|arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]{12}:guardrail/[a-z0-9]+", text)
        is None
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a guardrail's id (a-z, 0-9) nor its ARN")
    return text


def _body(options: argparse.Namespace) -> dict[str, Any]:
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": options.prompt}],
        "system": options.system,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
    }
    return {name: value for name, value in body.items() if value is not None}
