"""Documents and their names."""

from __future__ import annotations

import pytest

from gateway.codecs.documents import claude_document, converse_document, document_name, make_names_unique
from gateway.domain import DocumentPart
from gateway.errors import InvalidRequest


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("report", "report"),
        ("report_v2.pdf", "report-v2-pdf"),
        ("a  b\tc", "a b c"),
        ("[draft] (2)-x", "[draft] (2)-x"),
        ("Übersicht", "-bersicht"),
        ("  ", "document"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_in_the_characters_that_converse_takes(given: str, taken: str) -> None:
    """What it does not take becomes a hyphen; there is always a name."""
    assert document_name(given) == taken


def test_names_that_come_again_are_numbered() -> None:
    """In their order, and never to a name that is taken."""
    documents = [{"name": name} for name in ("a", "a", "a (2)", "a", "b")]
    make_names_unique(documents)
    assert [document["name"] for document in documents] == ["a", "a (2)", "a (2) (2)", "a (3)", "b"]


def test_the_blocks() -> None:
    """Converse takes any format; Claude reads PDF by its bytes and text as text."""
    pdf = DocumentPart("pdf", b"%PDF", "a.pdf", citations=True, context="c")
    assert converse_document(pdf)["document"] == {
        "format": "pdf",
        "name": "a-pdf",
        "source": {"bytes": "JVBERg=="},
        "citations": {"enabled": True},
        "context": "c",
    }
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    told = {"title": "a.pdf", "citations": {"enabled": True}, "context": "c"}
    assert claude_document("", pdf) == {"type": "document", "source": source, **told}
    text = claude_document("", DocumentPart("csv", "ä,b".encode(), "t"))
    assert text["source"] == {"type": "text", "media_type": "text/plain", "data": "ä,b"}


@pytest.mark.parametrize("part", [DocumentPart("docx", b"PK", "a"), DocumentPart("txt", b"\xff", "a")])
def test_what_claude_cannot_read(part: DocumentPart) -> None:
    """The refusal points at the part."""
    with pytest.raises(InvalidRequest) as caught:
        claude_document("messages[0].content[1]", part)
    assert caught.value.param == "messages[0].content[1]"
