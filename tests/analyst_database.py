"""A small database with something of everything that analysts ask for: years, sections, types, a retraction, a subscription."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import text

from comention.types import AnnotatorInfo, Correction, Mention, SentenceAnnotation, Term
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.runs import open_run
from storage.search import index_sentences
from storage.subscriptions import add_subscription, open_tick
from tests.builders import citation
from tests.plugins.lexicon_annotator import LexiconAnnotator

LITHIUM = "lithium[tiab]"
RETRACTED, NEW, UNSTORED = 115, 140, 199


class CautiousAnnotator(LexiconAnnotator):
    """The lexicon without nausea: an annotator that differs."""

    def __init__(self) -> None:
        super().__init__()
        self._info = AnnotatorInfo(
            name="cautious", version="1", model="lexicon", revision="1", labels=("Drug", "Condition"), config_hash="1"
        )

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        def is_kept(sentence: str, mention: Mention) -> bool:
            return sentence[mention.start_char : mention.end_char].lower() != "nausea"

        return [
            SentenceAnnotation(mentions=tuple(one for one in result.mentions if is_kept(sentence, one)))
            for sentence, result in zip(sentences, super().annotate(sentences), strict=True)
        ]


def _cite(
    pmid: int, year: int, *sentences: str, section: str = "", kind: str = "Journal Article", **fields: object
) -> ReadCitation:
    """A citation of a publication type, whose abstract is one section."""
    read = citation(pmid, sentences, title=f"Report {pmid}.", year=year)
    title, body = read.citation.sections
    labelled = replace(body, label=section, category=section or None)
    return replace(
        read,
        citation=replace(
            read.citation,
            sections=(title, labelled),
            publication_types=(Term(name=kind),),
            **fields,
        ),
        sentences=tuple(replace(one, section=one.section or section) for one in read.sentences),
    )


def list_citations() -> list[ReadCitation]:
    """The citations as they are stored first."""
    return [
        _cite(101, 2001, "Clozapine caused agranulocytosis.", section="RESULTS", kind="Case Reports"),
        _cite(102, 2003, "Agranulocytosis under clozapine was fatal.", "Clozapine was stopped.", section="RESULTS"),
        _cite(103, 2003, "We asked about clozapine and agranulocytosis.", section="METHODS"),
        _cite(104, 2010, "After clozapine, agranulocytosis and later syncope.", kind="Case Reports"),
        _cite(105, 2012, "Clozapine and nausea.", "No drug was given to the others."),
        _cite(110, 2004, "Lithium caused tremor.", "Tremor went when lithium was stopped."),
        _cite(111, 2006, "Tremor with lithium.", section="RESULTS", kind="Case Reports"),
        _cite(112, 2006, "Lithium, tremor and nausea.", "Nausea passed."),
        _cite(113, 2015, "Syncope under lithium.", kind="Case Reports"),
        _cite(RETRACTED, 2016, "Lithium caused tremor.", "Lithium prevented hepatitis."),
        _cite(120, 2008, "Valproate: tremor and nausea.", "Valproate and hepatitis."),
        _cite(121, 2009, "Valproate caused hepatitis.", kind="Review"),
        _cite(122, 2011, "Carbamazepine caused a rash.", "The rash was mild."),
        _cite(123, 2011, "Rash with carbamazepine, not with valproate."),
        _cite(124, 2013, "Carbamazepine and nausea."),
        _cite(130, 2002, "Warfarin and haemorrhage.", "Haemorrhage stopped."),
        _cite(131, 2005, "Haemorrhage with warfarin and ibuprofen."),
        _cite(132, 2007, "Methotrexate pneumonitis."),
        _cite(133, 2014, "Methotrexate caused pneumonitis.", "Methotrexate caused hepatitis."),
        _cite(134, 2018, "Amiodarone pneumonitis is rare.", "Nothing else was found."),
    ]


def fill(database: Database) -> None:
    """Store, annotate twice, let 30 days pass, retract one, add one, and subscribe."""
    annotator = LexiconAnnotator()
    first, second = register_annotator(database, annotator.info), register_annotator(database, CautiousAnnotator().info)
    _store(database, list_citations())
    _annotate(database, first, annotator)
    _annotate(database, second, CautiousAnnotator())
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.annotation SET counted_since = counted_since - interval '30 days'"))
        connection.execute(text("UPDATE comention.promotion SET promoted_at = promoted_at - interval '30 days'"))
    [known] = [one for one in list_citations() if one.citation.pmid == RETRACTED]
    _store(
        database,
        [
            replace(
                known,
                citation=replace(
                    known.citation,
                    retracted=True,
                    corrections=(Correction(kind="RetractionIn", pmid=150),),
                    revised_on=dt.date(2021, 1, 1),
                    record_hash=b"retracted".ljust(16),
                ),
            ),
            _cite(NEW, 2020, "Ibuprofen caused syncope."),
        ],
    )
    _annotate(database, first, annotator)
    subscription = add_subscription(database, name="lithium", query=LITHIUM, every="6h", annotator=None)
    with open_tick(database, subscription, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as tick:
        assert tick is not None
        tick.record([110, 111, 112, 113, RETRACTED, UNSTORED], None, since=None, remarks=[])
    fold_counts(database)
    index_sentences(database)


def _store(database: Database, items: Sequence[ReadCitation]) -> None:
    key = f"analyst:{len(items)}"
    with open_run(database, kind="file", source=key, source_key=key) as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def _annotate(database: Database, annotator_id: int, annotator: LexiconAnnotator) -> None:
    names = NameTable(database)
    while pending := list_pending(database, annotator_id):
        done = [AnnotatedCitation(pending=one, results=tuple(annotator.annotate(one.sentences))) for one in pending]
        save_annotations(database, annotator_id, names, done)


@contextmanager
def analyst_database(postgres: EmbeddedPostgres, template: str, name: str) -> Iterator[tuple[str, Database]]:
    """The address of a filled database of this name, and the database; it goes at the end of the block."""
    address = postgres.create_database(name, template=template)
    database = Database(parse_url(address, connect_timeout=10))
    try:
        fill(database)
        yield address, database
    finally:
        database.close()
        postgres.drop_database(name)
