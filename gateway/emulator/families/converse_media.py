"""Pictures, documents, films and sounds as Converse takes them, after AWS's own service model."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.emulator.shapes import Base64, CamelShape, UnionShape


class S3Location(CamelShape):
    """An object in S3."""

    uri: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][.a-z0-9-]{1,61}[a-z0-9](/.*)?$")]
    bucket_owner: Annotated[str, StringConstraints(pattern=r"^\d{12}$")] | None = None


class Source(UnionShape):
    """Where the data of a picture, a film or a sound is."""

    bytes_: Base64 | None = Field(None, alias="bytes")
    s3_location: S3Location | None = None


class DocumentText(UnionShape):
    """A piece of a document given as text."""

    text: str | None = None


class DocumentSource(UnionShape):
    """Where the data of a document is."""

    bytes_: Base64 | None = Field(None, alias="bytes")
    s3_location: S3Location | None = None
    text: str | None = None
    content: list[DocumentText] | None = None


class Citations(CamelShape):
    """Whether to cite."""

    enabled: bool


class Image(CamelShape):
    """A picture."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source


class Video(CamelShape):
    """A film."""

    format: Literal["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"]
    source: Source


class Audio(CamelShape):
    """A sound."""

    format: Literal[
        "mp3",
        "opus",
        "wav",
        "aac",
        "flac",
        "mp4",
        "ogg",
        "mkv",
        "mka",
        "x-aac",
        "m4a",
        "mpeg",
        "mpga",
        "pcm",
        "webm",
    ]
    source: Source


class Document(CamelShape):
    """A document."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    source: DocumentSource
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] | None = None
    context: str | None = None
    citations: Citations | None = None
