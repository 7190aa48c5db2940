"""What a page shows, as its address says it: years, section, publication type, score, annotator, order, place.

One model for all pages, and for whoever else reads the same: an empty value is none, an unknown name is left alone, and what
cannot be is said in one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self, TypeAlias
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from storage.partners import SORTS
from storage.queries import Filters

PAGE_SIZE = 25
EVIDENCE_SIZE = 20
NAME_LENGTH = 300
QUERY_LENGTH = 500

SECTIONS = ("TITLE", "BACKGROUND", "OBJECTIVE", "METHODS", "RESULTS", "CONCLUSIONS")
"""The title, and what NLM takes the sections of an abstract for; a section's own label may be given too."""

PUBLICATION_TYPES = (
    "Case Reports", "Clinical Trial", "Comparative Study", "Journal Article", "Letter", "Meta-Analysis",
    "Observational Study", "Randomized Controlled Trial", "Review", "Systematic Review",
)  # fmt: skip
"""Those that analysts ask for most; any other of PubMed's may be given in the address."""


NO_NUL = "^[^\\x00]*$"
"""What a text has to be: Postgres knows no NUL."""

Year: TypeAlias = Annotated[int, Field(ge=1500, le=3000)]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=NO_NUL)]
SMALLEST_SCORE = 1.2e-38
"""Scores are stored in four bytes, in which less than this is 0."""

Score: TypeAlias = Annotated[
    float, Field(ge=0, le=1), AfterValidator(lambda score: score if score == 0 else max(score, SMALLEST_SCORE))
]
AnnotatorId: TypeAlias = Annotated[int, Field(ge=1, le=32_767)]
Missing: TypeAlias = SkipJsonSchema[None]
"""What is not in an address: there, nothing is null."""


class QueryError(Exception):
    """An address asks for what cannot be; the message says what, in one sentence."""


class YearFilters(BaseModel):
    """Which citations are looked at: those of certain years."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    from_year: Year | Missing = Field(
        default=None, alias="from", title="the first year", description="First year of publication."
    )
    to_year: Year | Missing = Field(
        default=None, alias="to", title="the last year", description="Last year of publication."
    )

    @model_validator(mode="after")
    def _years_in_order(self) -> Self:
        if self.from_year is not None and self.to_year is not None and self.from_year > self.to_year:
            raise ValueError("the first year is after the last")
        return self

    @property
    def filters(self) -> Filters:
        """Which sentences count."""
        return Filters(from_year=self.from_year, to_year=self.to_year)


class TextFilters(YearFilters):
    """Which sentences are looked at besides: those of a section, and of a publication type."""

    section: Text | Missing = Field(
        default=None,
        title="the section",
        description="`TITLE`, NLM's `BACKGROUND`, `OBJECTIVE`, `METHODS`, `RESULTS`, `CONCLUSIONS`, or a section's own label.",
    )
    publication_type: Text | Missing = Field(
        default=None,
        alias="type",
        title="the publication type",
        description="A publication type as PubMed writes it, such as `Case Reports`.",
    )

    @property
    def filters(self) -> Filters:
        """Which sentences count."""
        return replace(super().filters, section=self.section, publication_type=self.publication_type)


class MentionFilters(TextFilters):
    """Which mentions count besides: those of an annotator that score enough."""

    min_score: Score | Missing = Field(
        default=None,
        alias="score",
        title="the lowest score",
        description="Lowest score of the drug's and of the condition's mention.",
    )
    annotator_id: AnnotatorId | Missing = Field(
        default=None,
        alias="annotator",
        title="the annotator",
        description="Number of an annotator; without it, the promoted one.",
    )

    @property
    def filters(self) -> Filters:
        """Which sentences count."""
        return replace(super().filters, min_score=self.min_score)

    @property
    def by_mention(self) -> bool:
        """Whether a filter looks at single mentions: then there are no measures of association."""
        return self.section is not None or self.publication_type is not None or self.min_score is not None


class RankFilters(MentionFilters):
    """Which pairs are listed, and in which order."""

    min_sentences: int = Field(
        default=1,
        alias="min",
        ge=1,
        le=2**31 - 1,
        title="the least number of sentences",
        description="Least number of sentences of a pair.",
    )
    sort: str = Field(
        default="citations",
        title="the order",
        description="What the pairs are ranked by, highest first; `name` is alphabetical.",
        json_schema_extra={"enum": list(SORTS)},
    )

    @field_validator("sort")
    @classmethod
    def _known_order(cls, value: str) -> str:
        if value not in SORTS:
            raise ValueError(f"there are {', '.join(SORTS)}")
        return value


class View(RankFilters):
    """The state of a page. ``before`` is the last sentence of the page before, where sentences are paged."""

    page: int = Field(default=1, ge=1, le=400, title="the page")
    before: int | None = Field(default=None, ge=0, lt=2**63, title="the place to go on from")

    @property
    def is_filtered(self) -> bool:
        """Whether fewer sentences count than there are."""
        return bool(self.filters) or self.min_sentences > 1

    @property
    def offset(self) -> int:
        """The rows on the pages before."""
        return (self.page - 1) * PAGE_SIZE

    def parameters(self, **changes: object) -> dict[str, str]:
        """Return the state as parameters of an address, without what is as it is by default.

        ``changes`` go by the names of the address; None takes one out. What places a page within its rows does not outlive a
        change of what the rows are.
        """
        shown = {name: str(value) for name, value in self.model_dump(by_alias=True, exclude_defaults=True).items()}
        if changes and not {"page", "before"} & changes.keys():
            shown.pop("page", None)
            shown.pop("before", None)
        for name, value in changes.items():
            if value is None:
                shown.pop(name, None)
            else:
                shown[name] = str(value)
        return shown


def parse_view(parameters: Mapping[str, str]) -> View:
    """Return the state that an address gives.

    Raises:
        QueryError: a value cannot be.
    """
    values = {name: value.strip() for name, value in parameters.items()}
    _refuse_unprintable(values.items())
    try:
        return View.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise QueryError(_sentence(first)) from None


def parse_text(parameters: Mapping[str, str], name: str, *, at_most: int = NAME_LENGTH) -> str:
    """Return a parameter without space around it, empty where it is missing.

    Raises:
        QueryError: it is too long, or has a character that no text has.
    """
    value = parameters.get(name, "").strip()
    _refuse_unprintable([(name, value)])
    if len(value) > at_most:
        raise QueryError(f"“{name}” is {len(value):,} characters long, and {at_most} are the most")
    return value


def parse_choice(parameters: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """Return one of the choices, the first of them where none is made.

    Raises:
        QueryError: it is none of them.
    """
    value = parse_text(parameters, name) or choices[0]
    if value not in choices:
        raise QueryError(f"“{name}” cannot be “{value[:40]}”: there are {', '.join(choices)}")
    return value


def parse_number(parameters: Mapping[str, str], name: str, *, at_most: int) -> int | None:
    """Return a whole number from 0, or None where none is given.

    Raises:
        QueryError: it is no number, or a greater one.
    """
    value = parse_text(parameters, name)
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 20 and int(value) <= at_most):
        raise QueryError(f"“{name}” is no whole number from 0 to {at_most:,}")
    return int(value)


def address(path: str, parameters: Mapping[str, object]) -> str:
    """Return an address with its parameters, of which None and empty ones are left out."""
    query = urlencode({name: value for name, value in parameters.items() if value not in (None, "")})
    return f"{path}?{query}" if query else path


def _refuse_unprintable(items: Iterable[tuple[str, str]]) -> None:
    for name, value in items:
        if "\x00" in value or any("\ud800" <= one <= "\udfff" for one in value):
            raise QueryError(f"“{name[:40]}” has a character in it that no text has")


def _sentence(error: Any) -> str:
    """Put the first of pydantic's errors into a sentence."""
    said = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return said
    name = str(error["loc"][0])
    field = next((one for key, one in View.model_fields.items() if name in (key, one.alias)), None)
    what = field.title if field is not None and field.title else name
    return f"{what} (“{name}” in the address) cannot be used: {said[:1].lower()}{said[1:]}"
