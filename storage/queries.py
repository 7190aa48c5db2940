"""What the command line asks of the analyst schema: pairs, evidence, and how the database stands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from comention.names import normalise_name
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


_PAIR = (
    "drug, condition, sentence_count, citation_count, first_year, last_year, "
    "expected_sentence_count, npmi, log_likelihood_ratio"
)


def list_pairs(
    database: Database,
    *,
    drug: str | None = None,
    condition: str | None = None,
    limit: int = 20,
    min_sentences: int = 1,
) -> list[Pair]:
    """Return the pairs with the most citations, of all, of a drug, of a condition, or the one pair.

    Names match as `comention.names.normalise_name` folds them; a CURIE matches as it stands. Statistics are computed for the
    pairs that are returned only.
    """
    where = ["annotator_id = (SELECT analysis.promoted_annotator())", "drug_id <> 0", "condition_id <> 0"]
    values: dict[str, object] = {"limit": limit, "min_sentences": min_sentences}
    with database.transaction() as connection:
        for column, label, wanted in (("drug_id", "Drug", drug), ("condition_id", "Condition", condition)):
            if wanted is not None:
                where.append(f"{column} = :{column}")
                values[column] = _concept_id(connection, label, wanted)
        rows = connection.execute(
            text(
                f"""
                WITH best AS MATERIALIZED (
                    SELECT d.key AS drug, c.key AS condition
                    FROM (
                        SELECT drug_id, condition_id, sum(sentence_count) AS sentences, sum(citation_count) AS citations
                        FROM comention.cooccurrence_part
                        WHERE {" AND ".join(where)}
                        GROUP BY drug_id, condition_id
                        HAVING sum(sentence_count) >= :min_sentences
                    ) p
                    JOIN comention.concept d ON d.id = p.drug_id
                    JOIN comention.concept c ON c.id = p.condition_id
                    ORDER BY p.citations DESC, p.sentences DESC, d.key, c.key
                    LIMIT :limit
                )
                SELECT {_PAIR}
                FROM best
                CROSS JOIN LATERAL (
                    SELECT {_PAIR} FROM analysis.cooccurrence o WHERE o.drug = best.drug AND o.condition = best.condition
                ) AS pair ({_PAIR.replace("drug, condition", "d, c")})
                ORDER BY citation_count DESC, sentence_count DESC, drug, condition
                """  # noqa: S608 - our own names
            ),
            values,
        ).mappings()
        return [Pair(**row) for row in rows]


def list_evidence(database: Database, drug: str, condition: str, *, limit: int = 20) -> list[Evidence]:
    """Return the sentences that mention both, newest citation first, with all spans of the two in each."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT pmid, sentence_id, section, year, title, text,
                       array_agg(DISTINCT ARRAY[drug_start_char, drug_end_char]) AS drug_spans,
                       array_agg(DISTINCT ARRAY[condition_start_char, condition_end_char]) AS condition_spans
                FROM analysis.evidence
                WHERE drug = :drug AND condition = :condition
                GROUP BY pmid, sentence_id, section, year, title, text
                ORDER BY year DESC NULLS LAST, sentence_id DESC
                LIMIT :limit
                """
            ),
            {
                "drug": _concept_key(connection, "Drug", drug),
                "condition": _concept_key(connection, "Condition", condition),
                "limit": limit,
            },
        ).mappings()
        return [
            Evidence(
                **{
                    **row,
                    "drug_spans": tuple((start, end) for start, end in row["drug_spans"]),
                    "condition_spans": tuple((start, end) for start, end in row["condition_spans"]),
                }
            )
            for row in rows
        ]


def suggest_names(database: Database, label: str, wanted: str, *, limit: int = 5) -> list[str]:
    """Return names that look like the wanted one, for a user who gets no hit: those that contain one of its words."""
    words = sorted(normalise_name(wanted).split(), key=len, reverse=True)[:1]
    patterns = [f"%{word[: max(4, len(word) - 3)]}%" for word in words]
    with database.transaction() as connection:
        return list(
            connection.execute(
                text(
                    "SELECT k.key FROM comention.name n JOIN comention.label l ON l.id = n.label_id AND l.name = :label "
                    "JOIN comention.concept k ON k.id = n.concept_id "
                    "CROSS JOIN LATERAL (SELECT sum(sentence_count) AS sentences FROM comention.cooccurrence_part p "
                    "WHERE p.annotator_id = (SELECT analysis.promoted_annotator()) "
                    "AND p.drug_id = CASE l.name WHEN 'Drug' THEN k.id ELSE 0 END "
                    "AND p.condition_id = CASE l.name WHEN 'Condition' THEN k.id ELSE 0 END) margin "
                    "WHERE n.text LIKE ANY (:patterns) AND margin.sentences > 0 "
                    "GROUP BY k.key, margin.sentences ORDER BY margin.sentences DESC, k.key LIMIT :limit"
                ),
                {"label": label, "patterns": patterns, "limit": limit},
            ).scalars()
        )


def _find_concept(connection: Connection, label: str, wanted: str) -> tuple[int, str] | None:
    """Return the number and the key of the concept that a user means by a name or CURIE."""
    found = connection.execute(
        text(
            "SELECT k.id, k.key FROM comention.concept k JOIN comention.label l ON l.id = k.label_id "
            "WHERE l.name = :label AND k.key = :exact AND k.curie "
            "UNION ALL "
            "SELECT k.id, k.key FROM comention.name n JOIN comention.label l ON l.id = n.label_id "
            "JOIN comention.concept k ON k.id = n.concept_id WHERE l.name = :label AND n.text = :name LIMIT 1"
        ),
        {"label": label, "exact": wanted, "name": normalise_name(wanted)},
    ).one_or_none()
    return None if found is None else (int(found.id), str(found.key))


def _concept_id(connection: Connection, label: str, wanted: str) -> int:
    """Return the number of a concept, or one that no concept has."""
    found = _find_concept(connection, label, wanted)
    return -1 if found is None else found[0]


def _concept_key(connection: Connection, label: str, wanted: str) -> str | None:
    found = _find_concept(connection, label, wanted)
    return None if found is None else found[1]


def find_concept(database: Database, label: str, wanted: str) -> str | None:
    """Return the key of the concept that a user means by a name or CURIE, or None where the label has no such name."""
    with database.transaction() as connection:
        return _concept_key(connection, label, wanted)


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
                            SELECT FROM comention.cooccurrence_part
                            WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND drug_id <> 0 AND condition_id <> 0
                            GROUP BY drug_id, condition_id HAVING sum(sentence_count) > 0) pair) AS pairs,
                       (SELECT coalesce(sum(read), 0) FROM comention.ingest_run) AS read,
                       (SELECT max(coalesce(finished_at, started_at)) FROM comention.ingest_run) AS last_run_at,
                       pg_database_size(current_database()) AS size_bytes
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
