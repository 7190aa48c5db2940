"""What the command line asks of the analyst schema: pairs, evidence, and how the database stands."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import text

from comention.types import FIRST_SAMPLE_PMID
from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A drug and a condition in the same sentences, with the counts and the association over sentences."""

    drug: str
    condition: str
    sentence_count: int
    citation_count: int
    first_year: int | None
    last_year: int | None
    expected_sentence_count: float | None
    npmi: float | None
    log_likelihood_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A sentence that mentions both of a pair; spans are (start, end) in the sentence."""

    pmid: int
    sentence_id: int
    section: str
    year: int | None
    title: str
    text: str
    drug_spans: tuple[tuple[int, int], ...]
    condition_spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which sentences count: of citations between two years, of a section, of a publication type, with mentions that score.

    ``section`` is a section's label or what NLM takes it for; ``min_score`` holds for the drug and for the condition.
    """

    from_year: int | None = None
    to_year: int | None = None
    section: str | None = None
    publication_type: str | None = None
    min_score: float | None = None

    def __bool__(self) -> bool:
        return self != NO_FILTERS


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSentence:
    """A sentence that a full-text query finds; ``spans`` are the words that it finds it by, (start, end) in the sentence."""

    pmid: int
    sentence_id: int
    section: str
    year: int | None
    title: str
    journal: str | None
    retracted: bool
    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorStatus:
    """How far an annotator has come with this database."""

    name: str
    version: str
    revision: str
    promoted: bool
    done: int
    truncated: int
    failed: int
    owed: int
    mentions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """What the database holds."""

    citations: int
    retracted: int
    deleted: int
    sentences: int
    pairs: int
    sample: int
    """Citations of the demo's sample among them."""
    runs: dict[str, int]
    """Sources by the status of their last run."""
    last_run_at: dt.datetime | None
    read: int
    exceptions: dict[str, int]
    annotators: tuple[AnnotatorStatus, ...]
    size_bytes: int
    unindexed: int
    """Citations that full-text search does not find yet."""


_PAIR = (
    "drug, condition, sentence_count, citation_count, first_year, last_year, "
    "expected_sentence_count, npmi, log_likelihood_ratio"
)

_FILTERS = (
    "CAST(:from_year AS integer), CAST(:to_year AS integer), CAST(:section AS text), CAST(:publication_type AS text), "
    "CAST(:min_score AS real)"
)


def list_pairs(
    database: Database,
    *,
    drug: str | None = None,
    condition: str | None = None,
    limit: int = 20,
    min_sentences: int = 1,
    filters: Filters = NO_FILTERS,
) -> list[Pair]:
    """Return the pairs with the most citations, of all, of a drug, of a condition, or the one pair.

    Names match as `comention.names.normalise_name` folds them; a CURIE matches as it stands. Filters need a drug or a
    condition; between years the association is of those years, under any other filter it is None.

    Raises:
        ValueError: there are filters, and neither a drug nor a condition.
    """
    if filters and drug is None and condition is None:
        raise ValueError("pairs are filtered of a drug or a condition, not all at once")
    source, values = {
        (False, False): ("analysis.top_pairs(:limit, :min_sentences)", {}),
        (True, False): (f"analysis.top_conditions(:drug, :limit, :min_sentences, {_FILTERS})", {"drug": drug}),
        (False, True): (
            f"analysis.top_drugs(:condition, :limit, :min_sentences, {_FILTERS})",
            {"condition": condition},
        ),
        (True, True): (f"analysis.pair(:drug, :condition, {_FILTERS})", {"drug": drug, "condition": condition}),
    }[drug is not None, condition is not None]
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                f"SELECT {_PAIR} FROM {source} WHERE sentence_count >= :min_sentences "  # noqa: S608 - our own names
                "ORDER BY citation_count DESC, sentence_count DESC, drug, condition LIMIT :limit"
            ),
            {**values, "limit": limit, "min_sentences": min_sentences, **(asdict(filters) if values else {})},
        ).mappings()
        return [Pair(**row) for row in rows]


def list_evidence(
    database: Database, drug: str, condition: str, *, limit: int = 20, filters: Filters = NO_FILTERS
) -> list[Evidence]:
    """Return the sentences that mention both, highest PMID first, with all spans of the two in each."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                "SELECT pmid, sentence_id, section_label AS section, year, title, text, drug_starts, drug_ends, "  # noqa: S608
                f"condition_starts, condition_ends FROM analysis.evidence(:drug, :condition, :limit, {_FILTERS})"
            ),
            {"drug": drug, "condition": condition, "limit": limit, **asdict(filters)},
        )
        return [
            Evidence(
                pmid=row.pmid,
                sentence_id=row.sentence_id,
                section=row.section,
                year=row.year,
                title=row.title,
                text=row.text,
                drug_spans=tuple(zip(row.drug_starts, row.drug_ends, strict=True)),
                condition_spans=tuple(zip(row.condition_starts, row.condition_ends, strict=True)),
            )
            for row in rows
        ]


FOUND_STARTS, FOUND_ENDS = "\x01", "\x02"
"""Marks around the words that a query finds: characters that XML, and so a text of PubMed, cannot have."""

FOUND_MARKS = {"starts": FOUND_STARTS, "ends": FOUND_ENDS}
"""What fills the marks of `FOUND_SENTENCES`."""

FOUND_SENTENCES = """
    SELECT f.pmid, f.sentence_id, f.section_label AS section, f.year, f.title, f.journal, f.retracted, f.text,
           ts_headline('pg_catalog.english', translate(f.text, '<>&', '   '),
                       websearch_to_tsquery('pg_catalog.english', :query),
                       format('HighlightAll=true, StartSel="%s", StopSel="%s"',
                              CAST(:starts AS text), CAST(:ends AS text))) AS marked
    FROM analysis.search_sentences(:query, :limit, CAST(:from_year AS integer), CAST(:to_year AS integer),
                                   CAST(:section AS text), CAST(:publication_type AS text), CAST(:before AS bigint)) f
    ORDER BY f.sentence_id DESC
"""
"""The sentences that a full-text query finds, with the words that it finds them by between marks."""


def search_sentences(
    database: Database, query: str, *, limit: int = 20, filters: Filters = NO_FILTERS
) -> list[FoundSentence]:
    """Return the sentences that a full-text query finds, highest PMID first, with the words that it finds them by.

    Words, "a phrase", or, -not, as web search engines take them. A score is no filter here: sentences have none.

    Raises:
        ValueError: no word of the query can be searched for.
    """
    with database.transaction() as connection:
        words = connection.execute(
            text("SELECT numnode(websearch_to_tsquery('pg_catalog.english', :query))"), {"query": query}
        ).scalar_one()
        if not words:
            raise ValueError(f"no word of {query!r} can be searched for: it is empty, or all too common words")
        rows = connection.execute(
            text(FOUND_SENTENCES),
            {**FOUND_MARKS, "query": query, "limit": limit, "before": None, **asdict(filters)},
        ).mappings()
        return [found_sentence(dict(row)) for row in rows]


def found_sentence(row: dict[str, Any]) -> FoundSentence:
    """Return a row of `FOUND_SENTENCES` with the spans of what is marked in it."""
    return FoundSentence(spans=_marked_spans(row.pop("marked"), len(row["text"])), **row)


def _marked_spans(marked: str, length: int) -> tuple[tuple[int, int], ...]:
    """Return the spans between marks, in the text without them; none where that text is not of the length it should be."""
    spans, start, place = [], 0, 0
    for character in marked:
        if character == FOUND_STARTS:
            start = place
        elif character == FOUND_ENDS:
            spans.append((start, place))
        else:
            place += 1
    return tuple(spans) if place == length else ()


def suggest_names(database: Database, label: str, wanted: str, *, limit: int = 5) -> list[str]:
    """Return concepts whose names begin like the wanted one or resemble it, for a user who gets no hit."""
    with database.transaction() as connection:
        return list(
            connection.execute(
                text("SELECT concept FROM analysis.suggest(:wanted, :limit, :label)"),
                {"wanted": wanted, "limit": limit, "label": label},
            ).scalars()
        )


def count_sample(database: Database) -> tuple[int, int]:
    """Return how many citations of the demo's sample, and whether any (1) or none (0) of others, are stored."""
    with database.transaction() as connection:
        row = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM comention.citation WHERE pmid >= :first) AS sample, "
                "(SELECT count(*) FROM (SELECT FROM comention.citation WHERE pmid < :first LIMIT 1) one) AS others"
            ),
            {"first": FIRST_SAMPLE_PMID},
        ).one()
        return row.sample, row.others


def has_rows(database: Database, table: Literal["citation", "annotation"]) -> bool:
    """Say whether a table of the private schema has any row."""
    with database.transaction() as connection:
        return bool(
            connection.execute(
                text(f"SELECT EXISTS (SELECT FROM comention.{table})")  # noqa: S608 - one of two names
            ).scalar_one()
        )


def get_status(database: Database) -> StoreStatus:
    """Count what is stored, annotated, owed and refused."""
    with database.transaction() as connection:
        # One snapshot for all of it, so that the figures agree with one another while writers write.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        total = connection.execute(
            text(
                """
                SELECT (SELECT count(*) FROM comention.citation) AS citations,
                       (SELECT count(*) FROM comention.citation WHERE retracted) AS retracted,
                       (SELECT count(*) FROM comention.deleted_citation) AS deleted,
                       (SELECT count(*) FROM comention.sentence) AS sentences,
                       (SELECT count(*) FROM comention.citation WHERE pmid >= :first_sample_pmid) AS sample,
                       (SELECT count(*) FROM (
                            SELECT FROM comention.cooccurrence_total_part
                            WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND drug_id > 0 AND condition_id > 0
                            GROUP BY drug_id, condition_id HAVING sum(sentence_count) > 0) pair) AS pairs,
                       (SELECT coalesce(sum(read), 0) FROM comention.ingest_run) AS read,
                       (SELECT max(coalesce(finished_at, started_at)) FROM comention.ingest_run) AS last_run_at,
                       pg_database_size(current_database()) AS size_bytes,
                       (SELECT count(*) FROM comention.unindexed_citation) AS unindexed
                """
            ),
            {"first_sample_pmid": FIRST_SAMPLE_PMID},
        ).mappings()
        runs = connection.execute(
            text(
                "SELECT status, count(*) FROM (SELECT DISTINCT ON (kind, source) status FROM comention.ingest_run "
                "ORDER BY kind, source, id DESC) latest GROUP BY status"
            )
        ).all()
        exceptions = connection.execute(
            text("SELECT outcome, count(*) FROM analysis.ingest_exception WHERE NOT resolved GROUP BY outcome")
        ).all()
        annotators = connection.execute(
            text(
                """
                SELECT a.name, a.version, a.revision, a.promoted,
                       count(*) FILTER (WHERE l.status = 'done' AND l.content_hash = c.content_hash) AS done,
                       count(*) FILTER (WHERE l.status = 'truncated' AND l.content_hash = c.content_hash) AS truncated,
                       count(*) FILTER (WHERE l.status = 'failed' AND l.content_hash = c.content_hash) AS failed,
                       (SELECT count(*) FROM comention.owed o WHERE o.annotator_id = a.id) AS owed,
                       coalesce(sum(l.mention_count), 0)::bigint AS mentions
                FROM comention.annotator a
                LEFT JOIN comention.citation c ON true
                LEFT JOIN comention.annotation l ON l.pmid = c.pmid AND l.annotator_id = a.id
                GROUP BY a.id
                ORDER BY a.id
                """
            )
        ).mappings()
        return StoreStatus(
            **total.one(),
            runs={row[0]: row[1] for row in runs},
            exceptions={row[0]: row[1] for row in exceptions},
            annotators=tuple(AnnotatorStatus(**row) for row in annotators),
        )
