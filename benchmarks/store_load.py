"""The made corpus, brought into a database in bulk: COPY from several processes, indexes and counts made afterwards.

Triggers and foreign keys rest while the rows come in, for no product writes so many at once; what stands there in the end is
proved by `check_load`. Batches "owed" are stored without mentions, for writers to annotate.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.store_corpus import BATCH, Batch, Corpus
from comention.types import AnnotatorInfo
from storage.annotators import register_annotator
from storage.cooccurrence import find_drift
from storage.database import Database

INFO = AnnotatorInfo(
    name="made", version="1", model="made", revision="1", labels=("Condition", "Drug", "Gene", "Taxon"), config_hash="1"
)
CHUNK = 10
"""Batches whose counts one statement makes."""

_BIG = ("citation", "section", "sentence", "sentence_text", "annotation", "citation_mentions",
        "cooccurrence_total")  # fmt: skip
_CITATION = (
    "pmid, version, text, title_length, journal, published_on, published_precision, publication_types, languages, keywords, "
    "mesh, substances, corrections, other_abstracts, retracted, content_hash, record_hash, splitter, run_id"
)
_STARTED: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """A batch to load; ``owed`` ones get no mentions."""

    number: int
    owed: bool = False


def load_corpus(database: Database, corpus: Corpus, *, owed: int, processes: int = 2) -> None:
    """Fill an empty, migrated database with a corpus and as many more batches that are owed."""
    annotator_id = register_annotator(database, INFO)
    batches = corpus.citations // BATCH
    with _connect(database) as connection:
        _load_names(connection, corpus)
        connection.execute(
            "INSERT INTO comention.ingest_run (kind, source, source_key, program_version, status, finished_at) "
            "VALUES ('file', 'made', 'made', '0', 'done', now())"
        )
        later = _drop_indexes(connection)
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
    _say("names are there")
    parts = [Part(number) for number in range(batches)] + [Part(batches + more, owed=True) for more in range(owed)]
    arguments = (database.url.render_as_string(hide_password=False), corpus.citations, annotator_id)
    with multiprocessing.get_context("spawn").Pool(processes, _start, arguments) as pool:
        for done, _ in enumerate(pool.imap_unordered(_load_part, parts), start=1):
            if done % max(1, len(parts) // 10) == 0:
                _say(f"{done * BATCH:,} citations are there")
        _make_counts(database, pool, corpus)
    for statement in later:
        with _connect(database) as connection:
            connection.execute("SET maintenance_work_mem = '1GB'")
            connection.execute(statement)
        _say(statement.split(" ON ")[0].lower())
    with _connect(database) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("ALTER SYSTEM RESET max_wal_size")
        connection.execute("SELECT pg_reload_conf()")
    _say("analysed")


def load_owed(database: Database, corpus: Corpus, numbers: Sequence[int]) -> None:
    """Store more batches that are owed, indexes and all, in this process."""
    with database.transaction() as connection:
        annotator_id = connection.exec_driver_sql("SELECT id FROM comention.annotator WHERE promoted").scalar_one()
    _start(database.url.render_as_string(hide_password=False), corpus.citations, annotator_id, corpus)
    for number in numbers:
        _load_part(Part(number, owed=True))


def check_load(database: Database, corpus: Corpus) -> None:
    """Prove what was loaded with constraints asleep: keys, offsets, counts.

    Raises:
        SystemExit: something is wrong, with the first that is.
    """
    with _connect(database) as connection:
        questions = {
            "a sentence does not lie in its citation": (
                "SELECT s.pmid FROM comention.sentence s LEFT JOIN comention.citation c USING (pmid) "
                "LEFT JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal "
                "WHERE (s.start_char >= x.start_char AND s.end_char <= x.end_char AND x.end_char <= length(c.text)) "
                "IS NOT TRUE LIMIT 1"
            ),
            "the words that search reads are not its sentence's": (
                "SELECT t.pmid FROM comention.sentence_text t LEFT JOIN comention.sentence s USING (pmid, ordinal) "
                "LEFT JOIN comention.citation c USING (pmid) WHERE t.pmid % 50 = 0 AND t.document IS DISTINCT FROM "
                "to_tsvector('english', substr(c.text, s.start_char + 1, s.end_char - s.start_char)) LIMIT 1"
            ),
            "a mention is not the slice of its sentence": (
                "SELECT m.pmid FROM comention.citation_mentions m "
                "LEFT JOIN comention.annotation a USING (pmid, annotator_id) LEFT JOIN comention.citation c USING (pmid) "
                "CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids) u (o, b, e, n) "
                "LEFT JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = u.o "
                "LEFT JOIN comention.name n ON n.id = u.n "
                "WHERE m.pmid % 50 = 0 AND (a.content_hash = c.content_hash AND u.e <= s.end_char - s.start_char "
                "AND n.text = substr(c.text, s.start_char + u.b + 1, u.e - u.b)) IS NOT TRUE LIMIT 1"
            ),
        }
        for wrong, question in questions.items():
            if row := connection.execute(question.encode()).fetchone():
                raise SystemExit(f"the corpus was loaded wrongly: {wrong} (PMID {row[0]})")
    if drift := find_drift(database, sample=20):
        raise SystemExit(f"the corpus was loaded wrongly: counts have drifted, {drift[0]}")
    _say("mentions, texts and counts are right")


_BEGAN = time.monotonic()


def _say(what: str) -> None:
    print(f"  {time.monotonic() - _BEGAN:6.0f} s  {what}", file=sys.stderr, flush=True)


def _connect(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def _copy(connection: psycopg.Connection[tuple[object, ...]], table: str, columns: str, lines: Iterable[str]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("comention", table), sql.SQL(", ").join(map(sql.Identifier, columns.split(", ")))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write("".join(lines))


def _load_names(connection: psycopg.Connection[tuple[object, ...]], corpus: Corpus) -> None:
    _copy(connection, "label", "id, name", (f"{n}\t{label}\n" for n, label in enumerate(corpus.labels, start=1)))
    _copy(
        connection,
        "concept",
        "id, label_id, key, curie",
        (f"{number}\t{label + 1}\t{key}\t{curie}\n" for number, label, key, curie in corpus.concepts),
    )
    _copy(
        connection,
        "name",
        "id, label_id, text, concept_id",
        (f"{name.name_id}\t{name.label + 1}\t{name.text}\t{name.concept_id}\n" for name in corpus.names),
    )
    for table in ("label", "concept", "name"):
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('comention.{table}', 'id'), max(id)) FROM comention.{table}".encode()
        )


def _drop_indexes(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Drop the indexes of big tables that no constraint is made of; return what makes them again."""
    rows = connection.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i "
        "JOIN pg_class t ON t.oid = i.indrelid "
        "WHERE t.relnamespace = 'comention'::regnamespace AND t.relname = ANY (%s) "
        "AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))",
        [list(_BIG)],
    ).fetchall()
    for name, _ in rows:
        connection.execute(f"DROP INDEX {name}".encode())
    return [str(definition) for _, definition in rows]


def _start(url: str, citations: int, annotator_id: int, corpus: Corpus | None = None) -> None:
    _STARTED["corpus"] = corpus or Corpus(citations)
    _STARTED["annotator"] = annotator_id
    connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET work_mem = '256MB'")
    _STARTED["connection"] = connection


def _load_part(part: Part) -> None:
    corpus, connection = _STARTED["corpus"], _STARTED["connection"]
    assert isinstance(corpus, Corpus)
    assert isinstance(connection, psycopg.Connection)
    batch = corpus.batch(part.number)
    with connection.transaction():
        _copy(connection, "citation", _CITATION, _citation_lines(batch))
        _copy(connection, "section", "pmid, ordinal, label, category, start_char, end_char", _section_lines(batch))
        pmids = np.array(batch.pmids)[batch.sentence_of].tolist()
        sentences = list(
            zip(pmids, *(column.tolist() for column in (batch.ordinals, batch.section_ordinals, batch.starts, batch.ends)),
                strict=True)
        )  # fmt: skip
        _copy(
            connection,
            "sentence",
            "pmid, ordinal, section_ordinal, start_char, end_char",
            (f"{a}\t{b}\t{c}\t{d}\t{e}\n" for a, b, c, d, e in sentences),
        )
        if part.owed:
            _copy(connection, "unindexed_citation", "pmid", (f"{pmid}\n" for pmid in batch.pmids))
            return
        # Nothing is known of the tables yet, and each sentence is looked up by its key.
        connection.execute("SET LOCAL enable_hashjoin = off")
        connection.execute("SET LOCAL enable_mergejoin = off")
        connection.execute(
            "INSERT INTO comention.sentence_text (pmid, ordinal, document) SELECT s.pmid, s.ordinal, "
            "to_tsvector('english', substr(c.text, s.start_char + 1, s.end_char - s.start_char)) "
            "FROM comention.citation c JOIN comention.sentence s USING (pmid) WHERE c.pmid = ANY (%s) "
            "ORDER BY s.pmid, s.ordinal",
            [batch.pmids],
        )
        annotator = _STARTED["annotator"]
        ledger, lists = [], []
        sizes = np.bincount(batch.sentence_of, minlength=len(batch.texts)).tolist()
        for place, (size, found) in enumerate(zip(sizes, mentions_of(corpus, batch), strict=True)):
            pmid = batch.pmids[place]
            ledger.append(f"{pmid}\t{annotator}\t\\\\x{batch.hash_of(place).hex()}\tdone\t{size}\t{len(found[0])}\n")
            if found[0]:
                arrays = "\t".join(f"{{{','.join(map(str, column))}}}" for column in found)
                lists.append(f"{pmid}\t{annotator}\t{arrays}\n")
        _copy(
            connection, "annotation", "pmid, annotator_id, content_hash, status, sentence_count, mention_count", ledger
        )
        columns = "pmid, annotator_id, sentence_ordinals, starts, ends, name_ids, scores"
        _copy(connection, "citation_mentions", columns, lists)


def mentions_of(
    corpus: Corpus, batch: Batch
) -> Iterator[tuple[list[int], list[int], list[int], list[int], list[float]]]:
    """Of each citation: ordinals of sentences, starts, ends, ids of names, scores."""
    citation = batch.sentence_of[batch.mention_of]
    bounds = np.searchsorted(citation, np.arange(len(batch.pmids) + 1)).tolist()
    ordinals, starts = batch.ordinals[batch.mention_of].tolist(), batch.mention_starts.tolist()
    ends, names = batch.mention_ends.tolist(), (batch.name_indexes + 1).tolist()
    scores = batch.scores.tolist()
    for first, last in pairwise(bounds):
        yield ordinals[first:last], starts[first:last], ends[first:last], names[first:last], scores[first:last]


def _citation_lines(batch: Batch) -> Iterator[str]:
    kinds = ("Journal Article", "Review", "Case Reports", "Clinical Trial")
    for place, (pmid, text, title) in enumerate(zip(batch.pmids, batch.texts, batch.title_lengths, strict=True)):
        journal = pmid * 2_654_435_761 % 3_000
        digest = f"\\\\x{batch.hash_of(place).hex()}"
        written = text.replace("\n", "\\n")
        yield (
            f'{pmid}\t1\t{written}\t{title}\t{{"title":"Journal of made words {journal}","issn":"{journal:04}-0001"}}\t'
            f'{batch.published_on(place)}\tmonth\t{{"{kinds[pmid % 4]}"}}\t{{eng}}\t{{}}\t[]\t[]\t[]\t{{}}\t'
            f"{'t' if batch.retracted[place] else 'f'}\t{digest}\t{digest}\tmade\t1\n"
        )


def _section_lines(batch: Batch) -> Iterator[str]:
    for pmid, sections in zip(batch.pmids, batch.sections, strict=True):
        for ordinal, (label, category, start, end) in enumerate(sections):
            yield f"{pmid}\t{ordinal}\t{label}\t{category or chr(92) + 'N'}\t{start}\t{end}\n"


def _make_counts(database: Database, pool: multiprocessing.pool.Pool, corpus: Corpus) -> None:
    """Count portions side by side, then add them up, as folding does."""
    with _connect(database) as connection:
        connection.execute(
            "ANALYZE comention.citation, comention.annotation, comention.citation_mentions, comention.name"
        )
        connection.execute(
            "CREATE UNLOGGED TABLE comention.made_part AS SELECT annotator_id, drug_id, condition_id, year, sentence_count, "
            "citation_count, pair_count FROM comention.cooccurrence_part WITH NO DATA"
        )
    batches = corpus.citations // BATCH
    chunks = [range(first, min(first + CHUNK, batches)) for first in range(0, batches, CHUNK)]
    for _ in pool.imap_unordered(_count_part, chunks):
        pass
    _say("portions are counted")
    with _connect(database) as connection:
        connection.execute("SET work_mem = '1GB'")
        connection.execute("SET synchronous_commit = off")
        connection.execute(
            "INSERT INTO comention.cooccurrence_total (annotator_id, drug_id, condition_id, first_year, last_year, "
            "sentence_count, citation_count, pair_count, by_year) "
            "SELECT annotator_id, drug_id, condition_id, min(nullif(year, 0)), max(nullif(year, 0)), sum(s), sum(c), sum(p), "
            "CASE WHEN count(*) > 1 THEN array_agg(ARRAY[year, s, c, coalesce(p, 0)]::integer[]) END "
            "FROM (SELECT annotator_id, drug_id, condition_id, year, sum(sentence_count) AS s, sum(citation_count) AS c, "
            "sum(pair_count) AS p FROM comention.made_part GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4) of_year "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        connection.execute("DROP TABLE comention.made_part")
    _say("counts are added up")


def _count_part(numbers: range) -> None:
    corpus, connection = _STARTED["corpus"], _STARTED["connection"]
    assert isinstance(corpus, Corpus)
    assert isinstance(connection, psycopg.Connection)
    pmids = np.concatenate([corpus.pmids_of(number) for number in numbers]).tolist()
    connection.execute(
        "INSERT INTO comention.made_part SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count, "
        "pair_count FROM comention.contribution(%s::integer[], %s::smallint)",
        [pmids, _STARTED["annotator"]],
    )
