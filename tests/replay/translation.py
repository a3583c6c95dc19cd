"""A recorded Bedrock request, put the way a caller of the gateway would put it.

Only what the native API has is carried over; what it has not (documents, cache points, guardrails, a
provider's own fields) becomes a placeholder. That is enough: the recording is pinned in the emulator, so
the recorded bytes come back whatever the formatted body looks like.
"""

from __future__ import annotations

import json
from typing import Any

PLACEHOLDER = {"type": "text", "text": "(a block that the native API does not have)"}


def native_body(recording: dict[str, Any]) -> dict[str, Any]:
    """Return the body for the gateway."""
    request = recording["request"]
    body: dict[str, Any] = {"model": recording["model_id"], "max_tokens": 64}
    if request is None:  # recorded without a body
        return {**body, "prompt": "…"}
    if "prompt" in request or "message" in request:
        return {**body, "prompt": request.get("prompt") or request["message"]}
    if "inputText" in request:
        return {**body, "prompt": request["inputText"]}
    body["messages"] = [message for turn in request["messages"] for message in _messages(turn)]
    system = request.get("system")
    if isinstance(system, str) and system:
        body["system"] = system
    if isinstance(system, list):
        body["system"] = "\n".join(block["text"] for block in system if "text" in block) or None
    tools = [_tool(tool) for tool in _tools(request)]
    if tools:
        body["tools"] = tools
    return body


def _tools(request: dict[str, Any]) -> list[dict[str, Any]]:
    if "toolConfig" in request:
        return [tool["toolSpec"] for tool in request["toolConfig"]["tools"] if "toolSpec" in tool]
    return [tool for tool in request.get("tools", ()) if "input_schema" in tool]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    schema = tool.get("input_schema") or tool["inputSchema"]["json"]
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": schema}
    return {"type": "function", "function": function}


def _messages(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    if isinstance(content, str):
        return [{"role": turn["role"], "content": content}]
    if turn["role"] == "assistant":
        return [_assistant(content)]
    results = [_result(block) for block in content if _is_result(block)]
    parts = [_part(block) for block in content if not _is_result(block)]
    return results + ([{"role": "user", "content": parts}] if parts else [])


def _is_result(block: dict[str, Any]) -> bool:
    return "toolResult" in block or block.get("type") == "tool_result"


def _result(block: dict[str, Any]) -> dict[str, Any]:
    result = block.get("toolResult") or block
    content = result.get("content", "")
    text = content if isinstance(content, str) else json.dumps([item.get("text", "…") for item in content])
    return {
        "role": "tool",
        "tool_call_id": result.get("toolUseId") or result["tool_use_id"],
        "content": text or "…",
    }


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    source = block.get("image", {}).get("source", {})
    if "bytes" in source:
        url = f"data:image/{block['image']['format']};base64,{source['bytes']}"
        return {"type": "image_url", "image_url": {"url": url}}
    return PLACEHOLDER


def _assistant(content: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": [], "tool_calls": [], "reasoning": []}
    for block in content:
        use = block.get("toolUse") or (block if block.get("type") == "tool_use" else None)
        if use is not None:
            call = {"name": use["name"], "arguments": json.dumps(use["input"])}
            identifier = use.get("toolUseId") or use["id"]
            message["tool_calls"].append({"id": identifier, "type": "function", "function": call})
        elif "reasoningContent" in block:
            message["reasoning"].append(_reasoning(block["reasoningContent"]))
        else:
            message["content"].append(_part(block))
    return {name: value for name, value in message.items() if value}


def _reasoning(block: dict[str, Any]) -> dict[str, Any]:
    if "redactedContent" in block:
        return {"redacted": block["redactedContent"]}
    text = block["reasoningText"]
    return {name: text[name] for name in ("text", "signature") if name in text}
