"""Read and write at once for a long time: no error, no deadlock, no drift.

Two processes store, revise, retract, withdraw, annotate with two annotators, try failures again, re-link names,
promote, fold and index, over PMIDs that they share; eight connections ask what analysts ask. All of it goes through the
functions of the product.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import multiprocessing.synchronize
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.store_corpus import BATCH, Corpus
from benchmarks.store_load import INFO
from comention.errors import DatabaseError
from comention.types import (
    AnnotationStatus,
    AnnotatorInfo,
    Citation,
    DeletedCitation,
    Journal,
    Mention,
    Section,
    Sentence,
    SentenceAnnotation,
)
from pipeline.stages.annotate_stage import annotate_citations
from storage.annotations import list_pending, save_annotations
from storage.annotators import promote_annotator, register_annotator
from storage.citations import delete_citations, save_citations
from storage.cooccurrence import find_drift, fold_counts
from storage.database import Database, driver, parse_url
from storage.embedded import EmbeddedPostgres
from storage.linking import Link, link_names
from storage.migrate import upgrade
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.runs import open_run
from storage.search import index_sentences

WRITERS = 2
READERS = 8
FIRST_PMIDS = 600
"""Citations that are there before it begins; writers take theirs from twice as many PMIDs."""

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(slots=True)
class Soaked:
    """What was done, by kind; errors with their kind; and what was wrong in the end."""

    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    deadlocks: int = 0
    drift: int = 0
    wrong_mentions: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong, and something was done."""
        return bool(self.done) and not (self.errors or self.deadlocks or self.drift or self.wrong_mentions)


class LookupAnnotator:
    """Finds the names of a corpus, of one word or two, and fails now and then so that citations are tried again."""

    def __init__(self, corpus: Corpus, *, name: str, seed: int) -> None:
        self._labels = {one.text: corpus.labels[one.label] for one in corpus.names}
        self._chance = random.Random(seed)
        self._info = replace(INFO, name=name)

    @property
    def info(self) -> AnnotatorInfo:
        """What identifies it."""
        return self._info

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate a batch."""
        return [self._annotate(sentence) for sentence in sentences]

    def _annotate(self, sentence: str) -> SentenceAnnotation:
        if self._chance.random() < 0.004:
            return SentenceAnnotation(status=AnnotationStatus.FAILED, detail="it was to fail")
        words = list(_WORD.finditer(sentence))
        found: list[Mention] = []
        for first, last in [*zip(words, words, strict=True), *pairwise(words)]:
            start, end = first.start(), last.end()
            label = self._labels.get(sentence[start:end])
            if label is not None:
                found.append(
                    Mention(start_char=start, end_char=end, label=label, score=round(0.5 + len(found) / 100, 2))
                )
        found.sort(key=lambda one: (one.start_char, one.end_char))
        return SentenceAnnotation(mentions=tuple(found))


class Texts:
    """Citations made of a corpus: any content under any PMID."""

    def __init__(self, corpus: Corpus) -> None:
        self._batch = corpus.batch(0)
        citation = self._batch.sentence_of
        self._first = np.searchsorted(citation, np.arange(BATCH + 1)).tolist()
        self._rows = list(
            zip(
                citation.tolist(), self._batch.ordinals.tolist(), self._batch.section_ordinals.tolist(),
                self._batch.starts.tolist(), self._batch.ends.tolist(), strict=True,
            )
        )  # fmt: skip

    def record(self, pmid: int, content: int, *, day: int, retracted: bool, position: int) -> ReadCitation:
        """A record of ``pmid`` with the text number ``content``, revised ``day`` days after 2020 began."""
        content %= BATCH
        batch = self._batch
        text = batch.texts[content]
        sections = tuple(
            Section(label=label, category=category, start_char=start, end_char=end)
            for label, category, start, end in batch.sections[content]
        )
        revised_on = dt.date(2020, 1, 1) + dt.timedelta(days=day)
        lines = self._rows[self._first[content] : self._first[content + 1]]
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        record = f"{pmid} {content} {day} {retracted}".encode()
        return ReadCitation(
            position=position,
            splitter="made",
            citation=Citation(
                pmid=pmid,
                text=text,
                sections=sections,
                journal=Journal(title="Made words"),
                published_on=dt.date(1990 + content % 30, 1, 1),
                revised_on=revised_on,
                retracted=retracted,
                content_hash=digest,
                record_hash=hashlib.blake2b(record, digest_size=16).digest(),
            ),
            sentences=tuple(
                Sentence(
                    pmid=pmid, ordinal=ordinal, section=sections[section].label, start_char=start, end_char=end,
                    text=text[start:end],
                )
                for _, ordinal, section, start, end in lines
            ),
        )  # fmt: skip


def soak(address: str, seconds: float) -> Soaked:
    """Soak a migrated, empty database for so long, and check it."""
    corpus = Corpus(BATCH)
    database = Database(parse_url(address, connect_timeout=10))
    try:
        texts = Texts(corpus)
        with open_run(database, kind="file", source="first", source_key="first") as run:
            for first in range(1, FIRST_PMIDS + 1, 200):
                with database.transaction() as connection:
                    save_citations(
                        connection,
                        run.run_id,
                        [texts.record(p, p, day=0, retracted=False, position=p) for p in range(first, first + 200)],
                    )
        annotator = LookupAnnotator(corpus, name="first", seed=0)
        annotator_id = register_annotator(database, annotator.info)
        names = NameTable(database)
        while pending := list_pending(database, annotator_id, limit=256):
            save_annotations(database, annotator_id, names, annotate_citations(annotator, pending))
        fold_counts(database)
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        results: multiprocessing.Queue[tuple[Counter[str], list[str]]] = context.Queue()
        ready = context.Barrier(WRITERS + 2)
        workers = [context.Process(target=_run_writer, args=(address, n, ready, stop, results)) for n in range(WRITERS)]
        workers.append(context.Process(target=_run_readers, args=(address, ready, stop, results)))
        for worker in workers:
            worker.start()
        ready.wait()
        stop.wait(seconds)
        stop.set()
        soaked = Soaked()
        for _ in workers:
            done, errors = results.get()
            soaked.done += done
            soaked.errors += errors
        for worker in workers:
            worker.join()
        _check(database, soaked)
        return soaked
    finally:
        database.close()


def _check(database: Database, soaked: Soaked) -> None:
    soaked.drift = len(find_drift(database))
    fold_counts(database)
    soaked.drift += len(find_drift(database))
    with database.transaction() as connection:
        soaked.deadlocks = connection.exec_driver_sql(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).scalar_one()
        soaked.wrong_mentions = connection.exec_driver_sql(
            "SELECT count(*) FROM comention.citation_mentions m "
            "LEFT JOIN comention.annotation a USING (pmid, annotator_id) LEFT JOIN comention.citation c USING (pmid) "
            "CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids) u (o, b, e, n) "
            "LEFT JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = u.o LEFT JOIN comention.name n ON n.id = u.n "
            "WHERE (a.content_hash = c.content_hash AND u.e <= s.end_char - s.start_char "
            "AND n.text = substr(c.text, s.start_char + u.b + 1, u.e - u.b)) IS NOT TRUE"
        ).scalar_one()


class _Writer:
    def __init__(self, database: Database, number: int) -> None:
        self.database = database
        self.chance = random.Random(number)
        self.corpus = Corpus(BATCH)
        self.texts = Texts(self.corpus)
        self.annotators = [LookupAnnotator(self.corpus, name=name, seed=number) for name in ("first", "second")]
        self.ids = [register_annotator(database, one.info) for one in self.annotators]
        self.names = NameTable(database)
        self.key = f"writer {number}"
        self.day = 1

    def step(self, run_id: int) -> str:
        """Do something, and return what."""
        kinds: list[tuple[Callable[[int], None], int]] = [
            (self.store, 20), (self.revise, 10), (self.retract, 8), (self.withdraw, 4), (self.annotate, 40),
            (self.fold, 8), (self.index, 8), (self.link, 2), (self.promote, 1),
        ]  # fmt: skip
        (chosen,) = self.chance.choices([kind for kind, _ in kinds], weights=[weight for _, weight in kinds])
        chosen(run_id)
        return chosen.__name__

    def pmids(self, count: int) -> list[int]:
        return self.chance.sample(range(1, 2 * FIRST_PMIDS), count)

    def save(self, run_id: int, records: list[ReadCitation]) -> None:
        with self.database.transaction() as connection:
            save_citations(connection, run_id, records)

    def records(self, count: int, *, shift: int, retracted: bool) -> list[ReadCitation]:
        self.day += 1
        return [
            self.texts.record(pmid, pmid + shift, day=self.day, retracted=retracted, position=place)
            for place, pmid in enumerate(self.pmids(count), start=1)
        ]

    def store(self, run_id: int) -> None:
        self.save(run_id, self.records(20, shift=0, retracted=False))

    def revise(self, run_id: int) -> None:
        self.save(run_id, self.records(20, shift=self.day, retracted=False))

    def retract(self, run_id: int) -> None:
        self.save(run_id, self.records(10, shift=0, retracted=self.chance.random() < 0.7))

    def withdraw(self, _: int) -> None:
        with self.database.transaction() as connection:
            delete_citations(
                connection, f"{self.key} {self.day}", [DeletedCitation(pmid=pmid) for pmid in self.pmids(6)]
            )

    def annotate(self, _: int) -> None:
        which = self.chance.randrange(2)
        after = self.chance.randrange(2 * FIRST_PMIDS)
        pending = list_pending(self.database, self.ids[which], after_pmid=after, limit=60)
        if pending:
            done = annotate_citations(self.annotators[which], pending)
            save_annotations(self.database, self.ids[which], self.names, done)

    def fold(self, _: int) -> None:
        fold_counts(self.database)

    def index(self, _: int) -> None:
        index_sentences(self.database, at_most=200)

    def link(self, _: int) -> None:
        names = [one for one in self.chance.sample(self.corpus.names, 20) if one.label == 0]
        link_names(self.database, "Drug", [Link(name=one.text, curie=f"made:{one.name_id % 50}") for one in names])

    def promote(self, _: int) -> None:
        promote_annotator(self.database, self.chance.choice(self.ids))


def _run_writer(
    address: str,
    number: int,
    ready: multiprocessing.synchronize.Barrier,
    stop: multiprocessing.synchronize.Event,
    results: multiprocessing.Queue[tuple[Counter[str], list[str]]],
) -> None:
    done: Counter[str] = Counter()
    errors: list[str] = []
    database = Database(parse_url(address, connect_timeout=10))
    try:
        writer = _Writer(database, number)
        with open_run(database, kind="file", source=writer.key, source_key=writer.key) as run:
            ready.wait()
            while not stop.is_set():
                try:
                    done[f"write: {writer.step(run.run_id)}"] += 1
                except DatabaseError as error:
                    errors.append(f"{type(error).__name__}: {error}")
    except Exception as error:
        errors.append(f"a writer ended: {type(error).__name__}: {error}")
        ready.abort()
    finally:
        database.close()
        results.put((done, errors))


_READS = {
    "top_conditions": "SELECT * FROM analysis.top_conditions(%(drug)s)",
    "top_drugs": "SELECT * FROM analysis.top_drugs(%(condition)s)",
    "top_pairs": "SELECT * FROM analysis.top_pairs(20)",
    "pair": "SELECT * FROM analysis.pair(%(drug)s, %(condition)s)",
    "evidence": "SELECT * FROM analysis.evidence(%(drug)s, %(condition)s)",
    "suggest": "SELECT * FROM analysis.suggest(%(prefix)s)",
    "search": "SELECT * FROM analysis.search_sentences(%(word)s)",
    "cooccurrence": "SELECT * FROM analysis.cooccurrence WHERE drug = %(drug)s ORDER BY citation_count DESC LIMIT 20",
    "changes": "SELECT * FROM analysis.cooccurrence_changes(%(drug)s, %(condition)s) LIMIT 20",
    "asof": "SELECT * FROM analysis.cooccurrence_asof(now() - interval '5 seconds', %(drug)s)",
}


def _run_readers(
    address: str,
    ready: multiprocessing.synchronize.Barrier,
    stop: multiprocessing.synchronize.Event,
    results: multiprocessing.Queue[tuple[Counter[str], list[str]]],
) -> None:
    corpus = Corpus(BATCH)
    drugs = [one.text for one in corpus.names if one.label == 0][:300]
    conditions = [one.text for one in corpus.names if one.label == 1][:300]
    database = Database(parse_url(address, connect_timeout=10))

    def read(number: int) -> tuple[Counter[str], list[str]]:
        chance = random.Random(100 + number)
        done: Counter[str] = Counter()
        errors: list[str] = []
        while not stop.is_set():
            kind = chance.choice(list(_READS))
            drug, condition = chance.choice(drugs), chance.choice(conditions)
            values = {
                "drug": drug,
                "condition": condition,
                "prefix": chance.choice((drug, condition))[: chance.randint(1, 8)],
                "word": chance.choice(corpus.words[:2_000]),
            }
            try:
                with database.transaction() as connection:
                    driver(connection).execute(_READS[kind].encode(), values).fetchall()
                done[f"read: {kind}"] += 1
            except DatabaseError as error:
                errors.append(f"{kind}: {type(error).__name__}: {error}")
        return done, errors

    total: Counter[str] = Counter()
    errors: list[str] = []
    try:
        ready.wait()
        with ThreadPoolExecutor(READERS) as pool:
            for done, wrong in pool.map(read, range(READERS)):
                total += done
                errors += wrong
    except Exception as error:
        errors.append(f"the readers ended: {type(error).__name__}: {error}")
    finally:
        database.close()
        results.put((total, errors))


def main(minutes: float, home: Path | None) -> int:
    """Soak a fresh database and print what came of it; 0 where nothing went wrong."""
    with tempfile.TemporaryDirectory(dir=home) as place, EmbeddedPostgres(Path(place)) as server:
        database = Database(parse_url(server.url, connect_timeout=10))
        upgrade(database)
        database.close()
        began = time.monotonic()
        soaked = soak(server.url, 60 * minutes)
        print(f"\n{time.monotonic() - began:,.0f} s, {WRITERS} writers, {READERS} readers")
    for kind, count in sorted(soaked.done.items()):
        print(f"  {kind:<24} {count:10,}")
    for error in soaked.errors[:20]:
        print(f"  {error}", file=sys.stderr)
    print(
        f"  {len(soaked.errors)} errors, {soaked.deadlocks} deadlocks, {soaked.drift} cells drifted, "
        f"{soaked.wrong_mentions} mentions wrong: {'met' if soaked.clean else 'MISSED'}"
    )
    return 0 if soaked.clean else 1
