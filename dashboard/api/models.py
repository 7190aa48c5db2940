"""What is answered. Offsets count Unicode code points, from 0, half-open."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_FROM = ConfigDict(from_attributes=True)


class Suggestion(BaseModel):
    """A drug or a condition whose name begins with what was typed or resembles it."""

    model_config = _FROM

    label: str = Field(description="Drug or Condition.", examples=["Drug"])
    concept: str = Field(description="A CURIE, or the name where no terminology knows it.", examples=["lithium"])
    preferred_name: str | None = Field(description="What the terminology calls it.", examples=["Lithium"])
    name: str = Field(description="The spelling that fits best.", examples=["lithium"])
    sentence_count: int = Field(description="Sentences that mention it.", examples=[7])
    citation_count: int = Field(description="Citations that mention it.", examples=[4])


class Suggestions(BaseModel):
    """The best first."""

    suggestions: list[Suggestion]


class Concept(BaseModel):
    """A drug or a condition. Counts leave retracted citations out."""

    model_config = _FROM

    label: str = Field(description="Drug or Condition.", examples=["Drug"])
    concept: str = Field(description="A CURIE, or the name where no terminology knows it.", examples=["mesh:D003024"])
    preferred_name: str | None = Field(description="What the terminology calls it.", examples=["Clozapine"])
    names: list[str] = Field(description="Up to 100 spellings that stand for it.", examples=[["clozapine", "clozaril"]])
    sentence_count: int = Field(description="Sentences that mention it.", examples=[6])
    citation_count: int = Field(description="Citations that mention it.", examples=[5])


class Pair(BaseModel):
    """A drug and a condition in the same sentences: counts and measures of association.

    Measures are null where they are not defined, and under a section, a publication type or a score, for which the margins are
    not counted. The page on statistics says what they mean.
    """

    model_config = _FROM

    drug: str = Field(examples=["clozapine"])
    condition: str = Field(examples=["agranulocytosis"])
    sentence_count: int = Field(description="Sentences that mention both.", examples=[4])
    citation_count: int = Field(description="Citations with such a sentence.", examples=[4])
    first_year: int | None = Field(description="Year of the earliest.", examples=[2001])
    last_year: int | None = Field(description="Year of the latest.", examples=[2010])
    drug_sentence_count: int | None = Field(description="Sentences that mention the drug.", examples=[6])
    condition_sentence_count: int | None = Field(description="Sentences that mention the condition.", examples=[4])
    annotated_sentence_count: int | None = Field(description="All sentences that were annotated.", examples=[48])
    drug_citation_count: int | None = Field(description="Citations that mention the drug.")
    condition_citation_count: int | None = Field(description="Citations that mention the condition.")
    annotated_citation_count: int | None = Field(description="All citations that were annotated.")
    expected_sentence_count: float | None = Field(
        description="Sentences that would mention both if the two were independent.", examples=[0.5]
    )
    pmi: float | None = Field(description="Pointwise mutual information, in bits.", examples=[3.0])
    npmi: float | None = Field(description="The same, normalised: from -1 to 1.", examples=[0.84])
    log_likelihood_ratio: float | None = Field(description="G², never negative.", examples=[20.1])
    signed_log_likelihood_ratio: float | None = Field(
        description="G², negative where the two meet less often than expected.", examples=[20.1]
    )
    chi_square_yates: float | None = Field(description="Chi square with Yates' correction.")
    odds_ratio: float | None = Field(description="With 0.5 added to each cell.")
    odds_ratio_low: float | None = Field(description="Lower 95 % limit.")
    odds_ratio_high: float | None = Field(description="Upper 95 % limit.")
    proportional_reporting_ratio: float | None
    proportional_reporting_ratio_low: float | None = Field(description="Lower 95 % limit.")
    proportional_reporting_ratio_high: float | None = Field(description="Upper 95 % limit.")
    reporting_odds_ratio: float | None
    reporting_odds_ratio_low: float | None = Field(description="Lower 95 % limit.")
    reporting_odds_ratio_high: float | None = Field(description="Upper 95 % limit.")
    information_component: float | None = Field(description="In bits, shrunk towards 0 where there is little.")
    information_component_low: float | None = Field(description="Lower 95 % limit, called IC025.")
    information_component_high: float | None = Field(description="Upper 95 % limit.")
    cooccurrence_score: float | None = Field(description="A score to rank by; null between years.")


class YearCount(BaseModel):
    """Citations of a year."""

    year: int = Field(examples=[2003])
    citation_count: int = Field(examples=[2])


class Partner(BaseModel):
    """A pair of the concept that was asked for with another."""

    title: str = Field(description="What a reader calls the other.", examples=["agranulocytosis"])
    years: list[YearCount] | None = Field(
        description="Citations by year, years without any left out; null under a section, a publication type or a score."
    )
    pair: Pair


class Partners(BaseModel):
    """A drug or a condition with a page of those that stand with it."""

    concept: Concept
    partners: list[Partner]
    ranked_among: int | None = Field(
        description="By anything but citations, so many partners with the most citations are ranked; null where these are all."
    )
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")


class Pairs(BaseModel):
    """A page of pairs, the most cited first."""

    pairs: list[Pair]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")


class PairAnswer(BaseModel):
    """A pair with its counts and measures."""

    drug: Concept
    condition: Concept
    pair: Pair | None = Field(description="null where no sentence mentions both, under the filters.")


class Years(BaseModel):
    """Citations of a pair by year."""

    drug: Concept
    condition: Concept
    years: list[YearCount] = Field(description="The earliest first; years without any are left out.")


class Span(BaseModel):
    """A stretch of a text."""

    start_char: int = Field(description="Its first character, counted from 0 in Unicode code points.", examples=[6])
    end_char: int = Field(description="One past its last.", examples=[15])


class EvidenceSentence(BaseModel):
    """A sentence that mentions both; spans are of the sentence."""

    pmid: int = Field(examples=[104])
    sentence_id: int = Field(examples=[223338299393])
    section: str = Field(description="Label of its section, empty where there is none.", examples=["RESULTS"])
    year: int | None = Field(examples=[2010])
    title: str = Field(description="Title of the citation.", examples=["Report 104."])
    journal: str | None = Field(examples=["Journal"])
    publication_types: list[str] = Field(examples=[["Case Reports"]])
    score: float = Field(description="The lower of the best scores of the two.", examples=[0.9])
    text: str = Field(examples=["After clozapine, agranulocytosis and later syncope."])
    drug_spans: list[Span]
    condition_spans: list[Span]


class Evidence(BaseModel):
    """A page of the sentences of a pair, highest PMID first. Retracted citations are left out."""

    drug: Concept
    condition: Concept
    sentences: list[EvidenceSentence]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")


class FoundSentence(BaseModel):
    """A sentence that a query finds; spans are of the words that it is found by."""

    pmid: int = Field(examples=[104])
    sentence_id: int = Field(examples=[223338299393])
    section: str = Field(description="Label of its section, empty where there is none.", examples=["RESULTS"])
    year: int | None = Field(examples=[2010])
    title: str = Field(description="Title of the citation.", examples=["Report 104."])
    journal: str | None = Field(examples=["Journal"])
    retracted: bool = Field(description="Whether the citation was retracted.", examples=[False])
    text: str = Field(examples=["After clozapine, agranulocytosis and later syncope."])
    spans: list[Span]


class FoundSentences(BaseModel):
    """A page of the sentences that a query finds, highest PMID first."""

    searchable: bool = Field(description="Whether any word of the query can be searched for.", examples=[True])
    unsearched_citations: int = Field(description="Citations that the search does not know yet.", examples=[0])
    sentences: list[FoundSentence]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")


class CitationSentence(Span):
    """A sentence; offsets count in the citation's text."""

    sentence_id: int = Field(examples=[223338299393])
    section: str = Field(description="Label of its section, empty where there is none.", examples=["RESULTS"])
    text: str = Field(examples=["Tremor went when lithium was stopped."])


class CitationMention(Span):
    """A mention; offsets count in the citation's text."""

    sentence_id: int = Field(examples=[223338299393])
    label: str = Field(examples=["Condition"])
    text: str = Field(examples=["Tremor"])
    name: str = Field(description="The same with case, hyphens and plural folded.", examples=["tremor"])
    concept: str = Field(description="A CURIE, or the name where no terminology knows it.", examples=["tremor"])
    score: float = Field(examples=[0.9])
    annotator: str = Field(examples=["compact"])
    annotator_id: int = Field(examples=[1])


class Citation(BaseModel):
    """A citation with its sentences and the mentions of all annotators."""

    pmid: int = Field(examples=[110])
    title: str = Field(examples=["Report 110."])
    abstract: str = Field(examples=["Lithium caused tremor. Tremor went when lithium was stopped."])
    text: str = Field(description="What offsets count in: title, newline, abstract, or the title alone.")
    journal: str | None = Field(examples=["Journal"])
    published_on: dt.date | None = Field(description="What PubMed leaves out of it is 1.", examples=["2004-01-01"])
    year: int | None = Field(examples=[2004])
    publication_types: list[str] = Field(examples=[["Journal Article"]])
    retracted: bool = Field(examples=[False])
    doi: str | None
    pmc: str | None
    corrections: list[dict[str, Any]] = Field(description="Retractions, errata and comments, as PubMed lists them.")
    sentences: list[CitationSentence]
    mentions: list[CitationMention]


class Annotator(BaseModel):
    """An annotator that has run."""

    model_config = _FROM

    annotator_id: int = Field(description="Its number, for the parameter `annotator`.", examples=[1])
    name: str = Field(examples=["compact"])
    version: str = Field(examples=["1"])
    model: str = Field(description="Hub name or folder of its weights, or bundled.", examples=["bundled"])
    revision: str = Field(description="Commit or digest of its weights.", examples=["1"])
    labels: list[str] = Field(examples=[["Drug", "Condition"]])
    promoted: bool = Field(description="Whether answers are its where none is named.", examples=[True])


class Annotators(BaseModel):
    """The promoted one first, then the last to be registered."""

    annotators: list[Annotator]


class CoveredPmid(BaseModel):
    """What became of a PMID, for the promoted annotator."""

    model_config = _FROM

    pmid: int = Field(examples=[101])
    state: str = Field(
        description="annotated, truncated, failed, stored, expected, refused, missing, superseded, withdrawn; or unknown: "
        "nobody ever asked for it.",
        examples=["annotated"],
    )
    reason: str | None = Field(description="Why it is not annotated.", examples=[None])
    stored: bool = Field(examples=[True])
    retracted: bool = Field(examples=[False])
    mention_count: int | None = Field(examples=[2])
    annotator: str | None = Field(examples=["compact"])
    subscriptions: list[str] = Field(description="The subscriptions that have found it.", examples=[["lithium"]])


class Coverage(BaseModel):
    """What became of each PMID, in order."""

    pmids: list[CoveredPmid]


class Run(BaseModel):
    """A source that was brought in. Where it is done: requested = stored + unchanged + deleted + left_out + missing."""

    model_config = _FROM

    run_id: int
    kind: str = Field(examples=["baseline"])
    source: str = Field(examples=["pubmed26n0001.xml.gz"])
    status: str = Field(description="running, done or failed.", examples=["done"])
    detail: str | None = Field(description="Why it failed.")
    started_at: dt.datetime
    finished_at: dt.datetime | None
    requested: int | None
    stored: int
    unchanged: int
    deleted: int
    left_out: int
    missing: int


class Subscription(BaseModel):
    """A query that is asked again and again."""

    model_config = _FROM

    name: str = Field(examples=["lithium"])
    query: str = Field(examples=["lithium[tiab]"])
    every: str = Field(examples=["6h"])
    paused: bool
    found: int | None = Field(description="PMIDs found when it was last asked.")
    lost: int | None = Field(description="PMIDs found before and no longer.")
    last_tick: dt.datetime | None = Field(description="The last moment of its schedule that was taken up.")
    last_status: str | None = Field(description="running, done or failed.")
    last_detail: str | None = Field(description="Why it failed.")
    last_done_tick: dt.datetime | None = Field(description="The last that was done to its end.")


class Status(BaseModel):
    """How the database stands."""

    version: str = Field(description="Version of comention.", examples=["0.1.0"])
    is_empty: bool = Field(description="Whether no citation is stored.")
    annotated_sentence_count: int | None = Field(description="Sentences that the promoted annotator has read.")
    annotated_citation_count: int | None = Field(description="Citations that it has read, without retracted ones.")
    unsearched_citations: int = Field(description="Citations that full-text search does not know yet.")
    annotators: list[Annotator]
    subscriptions: list[Subscription]
    runs: list[Run] = Field(description="The last 20, the newest first.")


class ProblemKind(BaseModel):
    """A kind of problem."""

    model_config = _FROM

    name: str = Field(description="What stands behind `#` in a problem's type.", examples=["unknown-name"])
    status: int = Field(examples=[404])
    title: str = Field(examples=["No concept has this name"])
    meaning: str = Field(description="What it means and what to do.")


class Problems(BaseModel):
    """The kinds of problems there are."""

    problems: list[ProblemKind]
