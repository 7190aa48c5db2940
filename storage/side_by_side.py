"""Two drugs side by side, and two annotators, as the analyst schema has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.partners import PairRow, get_pair, rank_partners
from storage.passages import Spans
from storage.queries import Filters
from storage.reading import Snapshot

COMPARED = 500
"""Conditions of each drug, those with the most citations, that a comparison takes in."""

COMPARED_CITATIONS = 1_000
"""The newest citations that both annotators have read, which a comparison looks at."""

Shown = Literal["all", "both", "first", "second"]
Order = Literal["citations", "difference", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCondition:
    """A condition with its row of each drug, None where the drug never stands with it under the filters."""

    condition: str
    first: PairRow | None
    second: PairRow | None

    @property
    def citations(self) -> tuple[int, int]:
        """Citations with each drug."""
        return self.first.citation_count if self.first else 0, self.second.citation_count if self.second else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedConditions:
    """A page of the conditions of two drugs. ``counts`` are of all, by `Shown`; ``among``: of each, where there are more."""

    rows: tuple[SharedCondition, ...]
    counts: dict[str, int]
    more: bool
    among: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAgreement:
    """Mentions of one label that both annotators have with the same span, and those of one alone."""

    label: str
    agreeing: int
    only_first: int
    only_second: int

    @property
    def share(self) -> float:
        """Twice the agreeing over the mentions of the two: F1 of either, with the other as the truth."""
        both = 2 * self.agreeing
        return both / (both + self.only_first + self.only_second)


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingMention:
    """A mention in a sentence, in code points, and whose it is."""

    label: str
    start: int
    end: int
    in_first: bool
    in_second: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingSentence:
    """A sentence in which two annotators do not mark the same, with all that either does."""

    sentence_id: int
    pmid: int
    text: str
    section: str
    year: int | None
    title: str
    journal: str | None
    retracted: bool
    mentions: tuple[DifferingMention, ...]

    def spans(self, *, in_first: bool, in_second: bool) -> Spans:
        """Return the spans of the mentions that these have."""
        return tuple(
            (one.start, one.end) for one in self.mentions if (one.in_first, one.in_second) == (in_first, in_second)
        )


def list_shared_conditions(
    snapshot: Snapshot,
    drugs: tuple[str, str],
    citations: tuple[int, int],
    *,
    filters: Filters,
    min_sentences: int,
    shown: Shown,
    order: Order,
    offset: int,
    limit: int,
) -> SharedConditions:
    """Return a page of the conditions of two drugs, given by their concepts with the ``citations`` that mention each.

    The order ``difference`` goes by how much the shares of the drugs' citations differ.
    """
    rankings = [
        rank_partners(
            snapshot, "Drug", drug, filters=filters, min_sentences=min_sentences, sort="citations", offset=0, limit=COMPARED
        )
        for drug in drugs
    ]  # fmt: skip
    first, second = ({row.condition: row for row in ranking.rows} for ranking in rankings)
    cut = any(ranking.more for ranking in rankings)
    rows = [
        SharedCondition(condition=one, first=first.get(one), second=second.get(one))
        for one in dict.fromkeys([*first, *second])
    ]
    parts: dict[str, list[SharedCondition]] = {
        "all": rows,
        "both": [one for one in rows if one.first and one.second],
        "first": [one for one in rows if not one.second],
        "second": [one for one in rows if not one.first],
    }

    def difference(row: SharedCondition) -> float:
        shares = [count / total if total else 0.0 for count, total in zip(row.citations, citations, strict=True)]
        return abs(shares[0] - shares[1])

    chosen = sorted(parts[shown], key=lambda row: (-sum(row.citations), row.condition))
    if order == "name":
        chosen.sort(key=lambda row: row.condition)
    elif order == "difference":
        chosen.sort(key=difference, reverse=True)
    page = chosen[offset : offset + limit]
    if cut:
        # What is not among the most cited conditions of a drug may stand with it all the same.
        page = [
            SharedCondition(
                condition=row.condition,
                first=row.first or get_pair(snapshot, drugs[0], row.condition, filters),
                second=row.second or get_pair(snapshot, drugs[1], row.condition, filters),
            )
            for row in page
        ]
    return SharedConditions(
        rows=tuple(page),
        counts={name: len(part) for name, part in parts.items()},
        more=len(chosen) > offset + limit,
        among=COMPARED if cut else None,
    )


def list_agreement(snapshot: Snapshot, first: int, second: int) -> tuple[int, list[LabelAgreement]]:
    """Return how many citations were looked at, and how far two annotators agree on them, by label."""
    rows = snapshot.rows(
        "SELECT label, agreeing, only_first, only_second, citation_count "
        "FROM analysis.agreement(:first, :second, :citations) "
        "ORDER BY label NOT IN ('Drug', 'Condition'), label <> 'Drug', label",
        first=first,
        second=second,
        citations=COMPARED_CITATIONS,
    )
    citations = rows[0]["citation_count"] if rows else 0
    return citations, [
        LabelAgreement(**{name: value for name, value in row.items() if name != "citation_count"}) for row in rows
    ]


def list_differences(
    snapshot: Snapshot, first: int, second: int, *, label: str | None, before: int | None, limit: int
) -> tuple[list[DifferingSentence], int | None]:
    """Return the newest sentences in which two annotators differ, and where to go on, or None where there are no more."""
    asked = {"first": first, "second": second, "before": before, "citations": COMPARED_CITATIONS}
    rows = snapshot.rows(
        "SELECT * FROM analysis.differing_sentences(:first, :second, :limit, CAST(:label AS text), "
        "CAST(:before AS bigint), :citations)",
        limit=limit + 1,
        label=label,
        **asked,
    )
    sentences = []
    for row in rows[:limit]:
        names = ("labels", "starts", "ends", "in_first", "in_second")
        columns = [row.pop(name) for name in names]
        mentions = tuple(
            DifferingMention(label=one, start=start, end=end, in_first=in_first, in_second=in_second)
            for one, start, end, in_first, in_second in zip(*columns, strict=True)
        )
        sentences.append(DifferingSentence(mentions=mentions, **row))
    if len(rows) > limit:
        return sentences, sentences[-1].sentence_id
    lowest = snapshot.rows(
        "SELECT lowest_pmid FROM analysis.lowest_read_by_both(:first, :second, :citations, CAST(:before AS bigint))",
        **asked,
    )
    return sentences, int(lowest[0]["lowest_pmid"]) * 100_000 if lowest else None
