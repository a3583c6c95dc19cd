"""Prompt templates: the special tokens of a model's prompt, taken apart strictly (bedrock-wire.md §4).

A real model takes any text and answers badly where its template is broken, which no test would see. Here a
prompt with special tokens must be what the model was trained on, to the token; white space between is free.
A prompt without any is one to be continued: Bedrock takes it (recorded for Llama 3 and Mistral).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.emulator.errors import invalid, malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.emulator.errors import BedrockError


class Turn(NamedTuple):
    """One turn of a prompt; the last one is open, and its text, if any, is what the model goes on from."""

    role: str
    text: str


class Template:
    """One template. `tokens` gives each special token a letter, `grammar` is the order of the letters.

    After the letters in `bare` only white space may follow. `others` are tokens of other templates: a prompt
    that has those instead was meant for another model.
    """

    def __init__(
        self, name: str, tokens: Mapping[str, str], grammar: str, *, bare: str, others: Iterable[str] = ()
    ) -> None:
        self.name = name
        self._letters = dict(tokens)
        self._tokens = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
        self._grammar = re.compile(grammar)
        self._bare = frozenset(bare)
        self._others = tuple(others)

    def cut(self, prompt: str) -> list[tuple[str, str]]:
        """Return each token's letter with the text that follows it; nothing for a prompt without any.

        Raises:
            BedrockError: the tokens are not in the template's order, or there is text where none may be.
        """
        found = list(self._tokens.finditer(prompt))
        if not found:
            foreign = next((token for token in self._others if token in prompt), None)
            if foreign is not None:
                raise self.violation(f"[{foreign}] belongs to the template of another model")
            return []
        ends = [*(match.start() for match in found[1:]), len(prompt)]
        parts = [
            (self._letters[match[0]], prompt[match.end() : end])
            for match, end in zip(found, ends, strict=True)
        ]
        if prompt[: found[0].start()].strip() or not self._grammar.fullmatch(
            "".join(letter for letter, _ in parts)
        ):
            raise self.violation("its special tokens are missing, surplus or out of order")
        if any(text.strip() for letter, text in parts if letter in self._bare):
            raise self.violation("there is text outside of the turns")
        return parts

    def violation(self, detail: str) -> BedrockError:
        """Return the error for a prompt that breaks the template."""
        return malformed(f"#/prompt: not the prompt template of {self.name}: {detail}")


_LLAMA_3: Final = {
    "<|begin_of_text|>": "B",
    "<|start_header_id|>": "H",
    "<|end_header_id|>": "E",
    "<|eot_id|>": "T",
    "<|eom_id|>": "T",
    "<|end_of_text|>": "X",
    "<|finetune_right_pad_id|>": "X",
}
_LLAMA_4: Final = {
    "<|begin_of_text|>": "B",
    "<|header_start|>": "H",
    "<|header_end|>": "E",
    "<|eot|>": "T",
    "<|eom|>": "T",
    "<|end_of_text|>": "X",
    "<|finetune_right_pad|>": "X",
}
_INSTRUCTION: Final = {"<s>": "S", "</s>": "Z", "[INST]": "I", "[/INST]": "J"}
_LLAMA_2: Final = {**_INSTRUCTION, "<<SYS>>": "Y", "<</SYS>>": "W"}
_DEEPSEEK: Final = {
    "<｜begin▁of▁sentence｜>": "B",
    "<｜end▁of▁sentence｜>": "Z",
    "<｜User｜>": "U",
    "<｜Assistant｜>": "A",
}
_SIGNS: Final = {
    "2": ("<s>[INST]",),
    "3": ("<|start_header_id|>",),
    "4": ("<|header_start|>",),
    "r1": ("<｜User｜>",),
}


def _foreign(own: str) -> tuple[str, ...]:
    return tuple(sign for name, signs in _SIGNS.items() if name != own for sign in signs)


_HEADED: Final = {
    "3": Template("Llama 3", _LLAMA_3, r"B(?:HET)*HE", bare="BT", others=_foreign("3")),
    "4": Template("Llama 4", _LLAMA_4, r"B(?:HET)*HE", bare="BT", others=_foreign("4")),
}
_LLAMA_2_TEMPLATE: Final = Template(
    "Llama 2", _LLAMA_2, r"SI(?:YW)?J(?:ZSIJ)*", bare="SZ", others=_foreign("2")
)
_MISTRAL_TEMPLATE: Final = Template("Mistral", _INSTRUCTION, r"SIJ(?:ZIJ)*", bare="SZ", others=_foreign("2"))
_R1_TEMPLATE: Final = Template("DeepSeek R1", _DEEPSEEK, r"B(?:UAZ)*UA", bare="Z")
_LLAMA_2_SYSTEM: Final = "SIYW"
_ROLES: Final = re.compile(r"(?:system )?(?:user |assistant |ipython )*(?:user |ipython )assistant ")
_THINK: Final = "<think>"
# Of templates that are not checked: those above and ChatML, which imported models are often trained on.
_ANY_USER_TURN: Final = re.compile(
    r"(?:<\|(?:start_header_id|header_start)\|>user<\|(?:end_header_id|header_end)\|>|<\|im_start\|>user"
    r"|\[INST\]|<｜User｜>)(.*?)(?:<\|(?:eot_id|eot|im_end)\|>|\[/INST\]|<｜Assistant｜>)",
    re.DOTALL,
)
_CLAUDE_TURN: Final = re.compile(r"\n\n(Human|Assistant):")


def read_headed(prompt: str, generation: str) -> list[Turn]:
    """Return the turns of a prompt of Llama 3 or 4, the system's among them.

    Raises:
        BedrockError: the prompt breaks the template.
    """
    template = _HEADED[generation]
    parts = template.cut(prompt)
    turns: list[Turn] = []
    for letter, text in parts:
        if letter == "H":
            turns.append(Turn(text, ""))
        elif letter == "E":
            turns[-1] = Turn(turns[-1].role, text)
    if parts and not _ROLES.fullmatch("".join(f"{turn.role} " for turn in turns)):
        raise template.violation(
            "the roles are not system, user, assistant and ipython in an order of theirs"
        )
    if any(not turn.text.startswith("\n") for turn in turns[:-1]):
        raise template.violation("a header does not end with a new line")
    return turns


def read_llama_2(prompt: str) -> list[Turn]:
    """Return the turns of a prompt of Llama 2.

    Raises:
        BedrockError: the prompt breaks the template.
    """
    parts = _LLAMA_2_TEMPLATE.cut(prompt)
    letters = "".join(letter for letter, _ in parts)
    if letters.startswith(_LLAMA_2_SYSTEM):
        if parts[1][1].strip():
            raise _LLAMA_2_TEMPLATE.violation("there is text outside of the turns")
        parts = [parts[2], ("I", parts[3][1]), *parts[4:]]
    return _instructed(parts)


def read_mistral(prompt: str) -> list[Turn]:
    """Return the turns of a prompt of Mistral.

    Raises:
        BedrockError: the prompt breaks the template.
    """
    return _instructed(_MISTRAL_TEMPLATE.cut(prompt))


def read_r1(prompt: str) -> list[Turn]:
    """Return the turns of a prompt of DeepSeek R1, which has no other form; the last may open the thoughts.

    Raises:
        BedrockError: the prompt breaks the template.
    """
    parts = _R1_TEMPLATE.cut(prompt)
    if not parts:
        raise _R1_TEMPLATE.violation("there are no special tokens in it")
    roles = {"B": "system", "U": "user", "A": "assistant"}
    turns = [Turn(roles[letter], text) for letter, text in parts if letter in roles]
    ending = turns[-1].text.strip()
    if ending not in {"", _THINK}:
        raise _R1_TEMPLATE.violation("it does not end where the assistant begins")
    return turns


def read_claude(prompt: str) -> list[Turn]:
    """Return the turns of a prompt of Claude's text completions; what stands before them is the system's.

    Raises:
        BedrockError: they do not alternate, from the human to the assistant.
    """
    system, *rest = _CLAUDE_TURN.split(prompt)
    turns = [Turn(role, text) for role, text in zip(rest[::2], rest[1::2], strict=True)]
    if not turns or turns[0].role != "Human" or turns[-1].role != "Assistant":
        raise invalid(
            'Invalid prompt: prompt must start with "\n\nHuman:" turn, end with "\n\nAssistant:" turn'
        )
    if any(turn.role != ("Human", "Assistant")[number % 2] for number, turn in enumerate(turns)):
        raise invalid('Invalid prompt: prompt must alternate between "\n\nHuman:" and "\n\nAssistant:" turns')
    names = {"Human": "user", "Assistant": "assistant"}
    return [Turn("system", system), *(Turn(names[turn.role], turn.text) for turn in turns)]


def last_words(turns: list[Turn], prompt: str) -> tuple[str, str]:
    """Return what the user said last and what tools returned after it; a prompt without turns says itself."""
    said, returned = prompt if not turns else "", ""
    for turn in turns:
        if turn.role == "user":
            said, returned = turn.text.strip(), ""
        elif turn.role == "ipython":
            returned += turn.text.strip()
    return said, returned


def find_last_user_text(prompt: str) -> str:
    """Return what the user said last in a prompt of any template, all of it where there is none."""
    texts = _ANY_USER_TURN.findall(prompt)
    return texts[-1].strip() if texts else prompt


def _instructed(parts: list[tuple[str, str]]) -> list[Turn]:
    roles = {"Y": "system", "I": "user", "J": "assistant"}
    return [Turn(roles[letter], text) for letter, text in parts if letter in roles]
