"""What a prompt holds that values can be made of: quotations, names, numbers, and what it says of a field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST: Final = 4000
"""Characters of a prompt that are looked at; what a prompt asks for stands at its start or its end."""

_NUMBER: Final = r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w])"
_QUOTED: Final = r"[\"“«„](?P<a>[^\"”»“\n]{1,200})[\"”»“]|(?<!\w)['‘`](?P<b>[^'’`\n]{1,200})['’`](?!\w)"
_WORD: Final = r"[A-ZÀ-ÖØ-Þ][\w'’&-]*"
_NAME: Final = rf"(?<![\w'’]){_WORD}(?:\s+(?:of\s+|de\s+|the\s+)?{_WORD})*(?:,\s*[A-Z]{{2}}\b)?"
_EMAIL: Final = r"[\w.+-]+@[\w-]+\.[\w.-]*\w"
_URL: Final = r"https?://[^\s\"'<>)]+"
_DATE: Final = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?"
_STREET: Final = rf"\d+[a-z]?\s+{_WORD}(?:\s+{_WORD})*"
_SUM: Final = r"-?\d[\d.]*(?:\s*[-+*/^%×]\s*\(?-?\d[\d.]*\)?)+"
_TOPIC: Final = re.compile(
    r"\b(?:about|regarding|concerning|on the topic of)\s+([^.,;:!?\n]{2,60})", re.IGNORECASE
)
_SENTENCE: Final = re.compile(r"(?:^|[.!?:\n])[\s\"'“(]*$")
_BEGINNINGS: Final = """
reply respond output produce format
a add after also an and answer any are as at be book but by calculate call can check compute convert could
create delete describe do does explain extract fetch find first for from generate get give hello hey hi how
i if in is it let list look make me multiply my no now of on open or order please plot print put read remind
return run say search send set show solve some summarize tell thanks that the then there these they this to
today tomorrow translate update use using was we were what whats what's when where which who why will with
write yes you your
"""
_OPENERS: Final = frozenset(_BEGINNINGS.split())
"""Words that are capital only because a sentence begins with them."""

_NO_NAMES: Final = frozenset({"json", "api", "pdf", "html", "xml", "sql", "i", "ok"})

_KINDS: Final = {
    "number": re.compile(_NUMBER),
    "quoted": re.compile(_QUOTED),
    "name": re.compile(_NAME),
    "email": re.compile(_EMAIL),
    "url": re.compile(_URL),
    "date": re.compile(_DATE),
    "street": re.compile(_STREET),
    "sum": re.compile(_SUM),
}


class Material:
    """A prompt to take values from; what was taken is not given again."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= _LONGEST else text[:_LONGEST]
        self._taken: list[tuple[int, int]] = []

    @property
    def used(self) -> int:
        """How many pieces were taken."""
        return len(self._taken)

    def take(self, kind: str) -> str | None:
        """Return the first piece of a kind that was not taken, and take it."""
        for start, end, text in self._find(kind):
            self._taken.append((start, end))
            return text
        return None

    def all(self, kind: str) -> list[str]:
        """Return what is there of a kind, untaken, and leave it there."""
        return [text for _, _, text in self._find(kind)]

    def listed(self, kind: str) -> list[str]:
        """Return the first pieces of a kind that stand in one enumeration: `A, B and C`."""
        found = list(self._find(kind))
        row = found[:1]
        for piece in found[1:]:
            if not _JOINT.fullmatch(self.text[row[-1][1] : piece[0]]):
                break
            row.append(piece)
        return [text for _, _, text in row]

    def take_one_of(self, values: Iterable[Any]) -> Any:
        """Return the value that the prompt names first, None for none of them."""
        lowered = self.text.lower()
        places = ((_place(str(value).lower(), lowered), number, value) for number, value in enumerate(values))
        found = sorted(((place, number) for place, number, _ in places if place >= 0))
        return None if not found else list(values)[found[0][1]]

    def take_said_of(self, field: str) -> str | None:
        """Return what the prompt plainly says of a field: `city: Paris`, `a = 3`, `named "Ann"`."""
        words = field_words(field)
        subjects = [re.escape(field), r"[\s_-]".join(map(re.escape, words))]
        if words[-1:] == ["name"]:
            subjects += ["named", "called"]
        bare = "" if len(field) == 1 else r"|\s+"  # a lone letter is an article more often than a field
        subject = rf"(?<!\w)(?i:{'|'.join(subjects)})[\"'`]?(?:(\s*[:=]\s*)|\s+(?:is|of|to|as)\s+{bare})"
        for match in re.finditer(subject, self.text):
            found = self._value_at(match.end(), free=match[1] is not None)
            if found is not None and self._is_free(match.end(), match.end() + len(found)):
                self._taken.append((match.end(), match.end() + len(found)))
                return found
        return None

    def topic(self) -> str | None:
        """Return what the prompt is about, by its own word."""
        match = _TOPIC.search(self.text)
        return None if match is None else match[1].strip()

    def denies(self, field: str) -> bool:
        """Whether the prompt wants a field not to be: `no punchline`."""
        words = r"\s".join(map(re.escape, field_words(field)))
        return (
            re.search(
                rf"\b(?:no|not|without|don't|never)\s+(?:an?\s+|the\s+)?{words}\b", self.text, re.IGNORECASE
            )
            is not None
        )

    def _value_at(self, place: int, *, free: bool) -> str | None:
        for pattern in (*(_KINDS[kind] for kind in _SAID), *((_FREE,) if free else ())):
            match = pattern.match(self.text, place)
            if match is not None:
                return _text_of(match)
        return None

    def _find(self, kind: str) -> Iterator[tuple[int, int, str]]:
        for match in _KINDS[kind].finditer(self.text):
            start, end = match.span()
            text = _text_of(match)
            if kind == "name":
                start, text = self._without_opener(start, text)
            if text and self._is_free(start, end):
                yield start, end, text

    def _is_free(self, start: int, end: int) -> bool:
        return not any(start < taken_end and taken < end for taken, taken_end in self._taken)

    def _without_opener(self, start: int, text: str) -> tuple[int, str]:
        """Return a name without the word that is capital because it begins the sentence."""
        first, _, rest = text.partition(" ")
        if first.lower() in _OPENERS and _SENTENCE.search(self.text[max(0, start - 8) : start]):
            start, text = start + len(first) + 1, rest.strip()
        return start, "" if text.lower() in _NO_NAMES else text


_SAID: Final = ("quoted", "email", "url", "date", "number", "name")
_FREE: Final = re.compile(r"[^\s,;.!?\"'(){}\[\]]+")
_JOINT: Final = re.compile(r"[\"'”’`]?\s*(?:,|;|and|or|&|,\s*and)\s*(?:in\s+|for\s+|of\s+)?[\"'“‘`]?")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_.-]+")


def field_words(name: str) -> list[str]:
    """Return the words of an identifier in lower case: `customerName` and `customer_name` are both two."""
    return [word.lower() for word in _CAMEL.split(name) if word]


def _place(value: str, text: str) -> int:
    match = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) if value else None
    return -1 if match is None else match.start()


def _text_of(match: re.Match[str]) -> str:
    """Return what a pattern found, without the quotation marks around it."""
    return next((group for group in match.groups() if group), match[0])
