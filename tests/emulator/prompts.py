"""Native bodies of the families that take a prompt, and what a caller puts together from their streams.

Like `asking`, this knows nothing of the emulator's code.
"""

from __future__ import annotations

import json
from typing import Any

LLAMA_2 = "meta.llama2-13b-chat-v1"
LLAMA_3 = "us.meta.llama3-3-70b-instruct-v1:0"
LLAMA_3_SEEING = "us.meta.llama3-2-11b-instruct-v1:0"
LLAMA_4 = "us.meta.llama4-scout-17b-instruct-v1:0"
MISTRAL = "mistral.mistral-7b-instruct-v0:2"
MISTRAL_LARGE = "mistral.mistral-large-2402-v1:0"
R1 = "us.deepseek.r1-v1:0"
CLAUDE_2 = "anthropic.claude-v2:1"
COMMAND = "cohere.command-text-v14"
COMMAND_R = "cohere.command-r-plus-v1:0"
J2 = "ai21.j2-mid-v1"
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123"


def llama_2(text: str = "Hello") -> str:
    """Return a prompt of Llama 2."""
    return f"<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hi. </s><s>[INST] {text} [/INST]"


def llama_3(text: str = "Hello") -> str:
    """Return a prompt of Llama 3."""
    turns = (("system", "Be kind."), ("user", "Hi"), ("assistant", "Hi."), ("user", text))
    said = "".join(f"<|start_header_id|>{r}<|end_header_id|>\n\n{t}<|eot_id|>" for r, t in turns)
    return f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"


def llama_4(text: str = "Hello") -> str:
    """Return a prompt of Llama 4."""
    said = f"<|header_start|>user<|header_end|>\n\n{text}<|eot|>"
    return f"<|begin_of_text|>{said}<|header_start|>assistant<|header_end|>\n\n"


def mistral(text: str = "Hello") -> str:
    """Return a prompt of Mistral."""
    return f"<s>[INST] Hi [/INST] Hi.</s> [INST] {text} [/INST]"


def r1(text: str = "Hello", opening: str = "<think>\n") -> str:
    """Return a prompt of DeepSeek R1."""
    return f"<｜begin▁of▁sentence｜>Be kind.<｜User｜>{text}<｜Assistant｜>{opening}"


def claude_2(text: str = "Hello") -> str:
    """Return a prompt of Claude's text completions."""
    return f"Be kind.\n\nHuman: Hi\n\nAssistant: Hi.\n\nHuman: {text}\n\nAssistant:"


TEMPLATES = {
    LLAMA_2: llama_2,
    LLAMA_3: llama_3,
    LLAMA_4: llama_4,
    MISTRAL: mistral,
    MISTRAL_LARGE: mistral,
    R1: r1,
    CLAUDE_2: claude_2,
    IMPORTED: llama_3,
}


def prompted(model: str, text: str = "Hello", *, streamed: bool = False, **fields: Any) -> dict[str, Any]:
    """Return a body for `model`, one of `PROMPTED`, in which the user says `text` last."""
    if model == COMMAND:
        return {"prompt": text, "max_tokens": 100, **({"stream": True} if streamed else {}), **fields}
    if model == COMMAND_R:
        return {"message": text, **fields}
    usual = {"max_tokens_to_sample": 200} if model == CLAUDE_2 else {}
    return {"prompt": TEMPLATES[model](text), **usual, **fields}


PROMPTED = (*TEMPLATES, COMMAND, COMMAND_R)


def text_of(model: str, answer: dict[str, Any]) -> str:
    """Return what an answer, or a chunk of one, says."""
    if model in {MISTRAL, MISTRAL_LARGE}:
        said: str = answer["outputs"][0]["text"]
    elif model == R1:
        said = answer["choices"][0]["text"]
    elif model == CLAUDE_2:
        said = answer["completion"]
    elif model == COMMAND and "generations" in answer:
        said = answer["generations"][0]["text"]
    elif model in {COMMAND, COMMAND_R}:
        said = answer.get("text", "")
    else:
        said = answer["generation"]
    return said


def folded(model: str, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer in one piece that the chunks tell of, without what only that has."""
    said = "".join(text_of(model, chunk) for chunk in chunks)
    last = {key: value for key, value in chunks[-1].items() if not key.startswith("amazon-bedrock-")}
    whole: dict[str, Any] = json.loads(json.dumps(last))
    if model in {MISTRAL, MISTRAL_LARGE}:
        whole["outputs"][0]["text"] = said
    elif model == R1:
        whole["choices"][0]["text"] = said
    elif model == CLAUDE_2:
        whole["completion"] = said
    elif model == COMMAND:
        whole = {"text": said, "finish_reason": whole["finish_reason"]}
    elif model == COMMAND_R:
        whole = whole["response"]
    else:
        whole |= {"generation": said, "prompt_token_count": chunks[0]["prompt_token_count"]}
    return whole
