"""What may be asked: the filters of the pages, and what only programs need. Anything else is refused.

A filter that is misspelt would otherwise be left out without a word, and the counts be of something else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from comention.offset_units import OffsetUnit
from comention.types import MAX_PMID
from dashboard.api.paging import CURSOR_LENGTH, CURSOR_PATTERN
from dashboard.filters import (
    EVIDENCE_SIZE,
    NAME_LENGTH,
    NO_NUL,
    PAGE_SIZE,
    QUERY_LENGTH,
    AnnotatorId,
    MentionFilters,
    Missing,
    RankFilters,
    TextFilters,
    View,
    YearFilters,
)

LARGEST_PAGE = 200
MOST_PMIDS = 100

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_LENGTH,
        pattern=NO_NUL,
        description="In any spelling, or as a CURIE.",
    ),
]
AnnotatorNumber = Annotated[
    AnnotatorId | Missing,
    Field(alias="annotator", description="Number of an annotator; without it, the promoted one."),
]
Cursor = Annotated[str, Field(min_length=1, max_length=CURSOR_LENGTH, pattern=CURSOR_PATTERN)]
Pmid = Annotated[int, Field(ge=1, le=MAX_PMID)]

_ONLY = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


def _size(default: int) -> int:
    size: int = Field(default=default, ge=1, le=LARGEST_PAGE, description="Rows of a page at most.")
    return size


class Paged(BaseModel):
    """The place to go on from."""

    cursor: Cursor | Missing = Field(
        default=None, description="`next_cursor` of the page before; without it, the first page."
    )


class SuggestParameters(BaseModel):
    """What was typed."""

    model_config = _ONLY

    q: str = Field(
        min_length=1, max_length=NAME_LENGTH, pattern=NO_NUL, description="What was typed.", examples=["lith"]
    )
    label: Literal["Drug", "Condition"] | Missing = Field(default=None, description="Only these.")
    limit: int = Field(default=8, ge=1, le=50, description="Suggestions at most.")


class ConceptParameters(RankFilters, Paged):
    """A drug or a condition, and which of its partners."""

    model_config = _ONLY

    name: Name = Field(examples=["clozapine"])
    limit: int = _size(PAGE_SIZE)

    @property
    def view(self) -> View:
        """The same as the state of a page."""
        return View.model_validate({name: getattr(self, name) for name in RankFilters.model_fields})


class PairsParameters(Paged):
    """Which pairs of all."""

    model_config = _ONLY

    min_sentences: int = Field(
        default=1, alias="min", ge=1, le=2**31 - 1, description="Least number of sentences of a pair."
    )
    annotator_id: AnnotatorNumber = None
    limit: int = _size(PAGE_SIZE)


class PairParameters(MentionFilters):
    """A pair, and which sentences count."""

    model_config = _ONLY

    drug: Name = Field(examples=["clozapine"])
    condition: Name = Field(examples=["agranulocytosis"])


class YearsParameters(YearFilters):
    """A pair, and between which years."""

    model_config = _ONLY

    drug: Name = Field(examples=["clozapine"])
    condition: Name = Field(examples=["agranulocytosis"])
    annotator_id: AnnotatorNumber = None


class EvidenceParameters(PairParameters, Paged):
    """A pair, which sentences, and which page of them."""

    limit: int = _size(EVIDENCE_SIZE)


class SentencesParameters(TextFilters, Paged):
    """Words, where they are looked for, and which page of what is found."""

    model_config = _ONLY

    q: str = Field(
        min_length=1,
        max_length=QUERY_LENGTH,
        pattern=NO_NUL,
        description='Words, `"a phrase"`, `or`, `-not`, as web search engines take them.',
        examples=['"liver failure" -rats'],
    )
    limit: int = _size(EVIDENCE_SIZE)


class DocumentParameters(BaseModel):
    """How a citation is written."""

    model_config = _ONLY

    format: Literal["pubtator", "bioc-json", "bioc-xml"] = Field(description="What to write.")
    offsets: OffsetUnit = Field(
        default="codepoint", description="What offsets count: code points, UTF-16 code units, or bytes of UTF-8."
    )
    annotator_id: AnnotatorNumber = None


class CoverageParameters(BaseModel):
    """Which PMIDs."""

    model_config = _ONLY

    pmid: list[Pmid] = Field(
        min_length=1, max_length=MOST_PMIDS, description="A PMID; repeat it for more.", examples=[[101, 199]]
    )


LISTS = ("pmid",)
"""Parameters that may be given more than once."""


class NoParameters(BaseModel):
    """Nothing."""

    model_config = _ONLY
