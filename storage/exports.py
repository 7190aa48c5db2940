"""What leaves the database whole: citations with their mentions, and the rows of the views, in batches of one snapshot.

Only the analyst schema is read. A batch is the next few hundred citations by PMID with all that belongs to them, so that an
export of any size holds one batch in memory and never sorts a table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from storage.database import Database

BATCH_CITATIONS = 500
PAIRS_AT_A_TIME = 5_000

Row = dict[str, Any]
"""A row of a view by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedMention:
    """A mention; offsets are code points of the citation's text, from 0 and half-open. ``linked``: the concept is a CURIE."""

    label: str
    start_char: int
    end_char: int
    concept: str
    linked: bool
    score: float
    annotator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedCitation:
    """A citation with its mentions in order of their offsets; title and abstract as `analysis.citation` has them."""

    pmid: int
    title: str
    abstract: str
    journal: str | None
    year: int | None
    doi: str | None
    retracted: bool
    mentions: tuple[ExportedMention, ...]

    @property
    def text(self) -> str:
        """The text that offsets count in: title, newline, abstract, or the title alone."""
        return f"{self.title}\n{self.abstract}" if self.abstract else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is exported: the given PMIDs, or every citation where ``pmids`` is None; mentions of the labels, or of any.

    ``annotator_id`` names an annotator; None stands for the promoted one.
    """

    pmids: Sequence[int] | None
    labels: Sequence[str] = ()
    annotator_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAnnotator:
    """An annotator that has run on this database."""

    annotator_id: int
    name: str
    revision: str
    labels: tuple[str, ...]
    promoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """The rows of a few citations, of three views, each with every column that its view has."""

    citations: list[Row] = field(default_factory=list)
    sentences: list[Row] = field(default_factory=list)
    mentions: list[Row] = field(default_factory=list)


class Snapshot:
    """The analyst views as they stood at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_annotators(self) -> list[ExportAnnotator]:
        """Return the annotators that have run: the promoted one first, then the last to be registered."""
        rows = self._connection.execute(
            text(
                "SELECT annotator_id, name, revision, labels, promoted FROM analysis.annotator "
                "ORDER BY promoted DESC, annotator_id DESC"
            )
        ).mappings()
        return [ExportAnnotator(**{**row, "labels": tuple(row["labels"])}) for row in rows]

    def list_unknown(self, pmids: Sequence[int]) -> list[int]:
        """Return which of the PMIDs are not stored, in order."""
        stored: set[int] = set()
        for some in _chunks(sorted(set(pmids))):
            stored.update(
                self._connection.execute(
                    text("SELECT pmid FROM analysis.citation WHERE pmid = ANY (CAST(:pmids AS integer[]))"),
                    {"pmids": some},
                ).scalars()
            )
        return sorted(set(pmids) - stored)

    def iter_citations(self, selection: Selection) -> Iterator[ExportedCitation]:
        """Yield the citations of a selection by PMID, each with its mentions."""
        for citations in self._citations("pmid, title, abstract, journal, year, doi, retracted", selection.pmids):
            pmids = [row["pmid"] for row in citations]
            starts = {
                row["sentence_id"]: row["start_char"] for row in self._of("sentence", "sentence_id, start_char", pmids)
            }
            mentions: dict[int, list[ExportedMention]] = defaultdict(list)
            columns = "sentence_id, pmid, label, start_char, end_char, name, concept, score, annotator"
            for row in self._mentions(columns, pmids, selection):
                start = starts[row["sentence_id"]]
                mentions[row["pmid"]].append(
                    ExportedMention(
                        label=row["label"],
                        start_char=start + row["start_char"],
                        end_char=start + row["end_char"],
                        concept=row["concept"],
                        linked=row["concept"] != row["name"],
                        score=row["score"],
                        annotator=row["annotator"],
                    )
                )
            for row in citations:
                found = sorted(mentions[row["pmid"]], key=lambda one: (one.start_char, one.end_char, one.label))
                yield ExportedCitation(**row, mentions=tuple(found))

    def iter_rows(self, selection: Selection) -> Iterator[RowBatch]:
        """Yield the rows of a selection by PMID: `analysis.citation`, `analysis.sentence` and `analysis.mention`."""
        for citations in self._citations("*", selection.pmids):
            pmids = [row["pmid"] for row in citations]
            sentences = self._of("sentence", "*", pmids)
            columns = "sentence_id, pmid, label, start_char, end_char, text, name, concept, score, annotator"
            mentions = self._mentions(columns, pmids, selection)
            sentences.sort(key=lambda row: row["sentence_id"])
            mentions.sort(key=lambda row: (row["sentence_id"], row["start_char"], row["end_char"], row["label"]))
            yield RowBatch(citations=citations, sentences=sentences, mentions=mentions)

    def iter_cooccurrences(self) -> Iterator[list[Row]]:
        """Yield all of `analysis.cooccurrence`, in batches, through a cursor of the server."""
        result = self._connection.execution_options(yield_per=PAIRS_AT_A_TIME).execute(
            text("SELECT * FROM analysis.cooccurrence")
        )
        for some in result.mappings().partitions():
            yield [dict(row) for row in some]

    def _citations(self, columns: str, pmids: Sequence[int] | None) -> Iterator[list[Row]]:
        """Yield batches of rows of `analysis.citation` by PMID."""
        if pmids is not None:
            for some in _chunks(sorted(set(pmids))):
                if rows := sorted(self._of("citation", columns, some), key=lambda row: int(row["pmid"])):
                    yield rows
            return
        after = 0
        while True:
            result = self._connection.execute(
                text(
                    f"SELECT {columns} FROM analysis.citation WHERE pmid > :after ORDER BY pmid LIMIT :count"  # noqa: S608
                ),
                {"after": after, "count": BATCH_CITATIONS},
            )
            rows = [dict(row) for row in result.mappings()]
            if not rows:
                return
            yield rows
            after = rows[-1]["pmid"]

    def _mentions(self, columns: str, pmids: Sequence[int], selection: Selection) -> list[Row]:
        """Return the mentions of a selection in some of its citations."""
        values: Row = {"pmids": list(pmids)}
        view, only = "mention", ""
        if selection.annotator_id is not None:
            view, only = "annotator_mention", " AND annotator_id = :annotator"
            values["annotator"] = selection.annotator_id
        if selection.labels:
            only += " AND label = ANY (CAST(:labels AS text[]))"
            values["labels"] = list(selection.labels)
        return self._rows(f"SELECT {columns} FROM analysis.{view} WHERE pmid = ANY (:pmids){only}", values)  # noqa: S608

    def _of(self, view: str, columns: str, pmids: Sequence[int]) -> list[Row]:
        """Return the rows of a view that belong to the PMIDs."""
        return self._rows(
            f"SELECT {columns} FROM analysis.{view} WHERE pmid = ANY (:pmids)",  # noqa: S608 - our own names
            {"pmids": list(pmids)},
        )

    def _rows(self, query: str, values: Row) -> list[Row]:
        return [dict(row) for row in self._connection.execute(text(query), values).mappings()]


@contextmanager
def open_snapshot(database: Database) -> Iterator[Snapshot]:
    """Read all that the block asks for from one moment, whatever others write meanwhile.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield Snapshot(connection)


def _chunks(pmids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(pmids), BATCH_CITATIONS):
        yield pmids[first : first + BATCH_CITATIONS]
