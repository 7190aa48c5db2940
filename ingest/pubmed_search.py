"""Searching PubMed for any number of citations: ESearch lists the first 9,999, so a large search is cut into slices."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from comention.errors import FetchError, RetryableFetchError
from ingest.entrez import EntrezClient, TransientError

LISTED_AT_MOST = 9_999
"""How many PMIDs ESearch lists for one search of PubMed: NBK25499 says 10,000, its answers and errors say 9,999."""

FIRST_DAY = dt.date(1700, 1, 1)
"""Before every Entrez date: old citations carry their publication date, the oldest being of the 1780s."""

LAST_PMID = 99_999_999
"""PMIDs have one to eight digits. Should that end, a search cut by PMID fails rather than lose citations."""

_WARNINGS = (
    ("errorlist", "phrasesnotfound", "PubMed does not find the phrase {!r}"),
    (
        "warninglist",
        "quotedphrasesnotfound",
        "PubMed does not know the phrase {!r} as a whole and may ignore its quotes",
    ),
    ("warninglist", "phrasesignored", "PubMed ignores {!r}"),
    ("warninglist", "outputmessages", "PubMed says: {}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """What one ESearch answers: how many citations match, those it lists, and what NCBI remarks about the query."""

    count: int
    pmids: tuple[int, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of a search's citations within a range of days and a range of PMIDs, both ends included."""

    query: str
    date_type: str = "edat"
    """Which days count: ``edat``, on which a citation came to PubMed, or ``mdat``, on which it was last changed."""
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    first_pmid: int = 1
    last_pmid: int = LAST_PMID

    def parameters(self) -> dict[str, str | int]:
        """The parameters of ESearch that ask for it."""
        term = self.query
        if (self.first_pmid, self.last_pmid) != (1, LAST_PMID):
            term = f"({term}) AND {self.first_pmid}:{self.last_pmid}[uid]"
        parameters: dict[str, str | int] = {"term": term, "retmax": LISTED_AT_MOST, "retmode": "json"}
        if self.first_day is not None or self.last_day is not None:
            # ESearch ignores one without the other.
            first, last = self.days()
            parameters |= {
                "datetype": self.date_type,
                "mindate": f"{first:%Y/%m/%d}",
                "maxdate": f"{last:%Y/%m/%d}",
            }
        return parameters

    def days(self) -> tuple[dt.date, dt.date]:
        """The first and the last Entrez date; where it is open, one beyond all citations."""
        # A year ahead: no clock is that wrong, and halving an empty year costs one request.
        return self.first_day or FIRST_DAY, self.last_day or dt.date.today() + dt.timedelta(days=366)

    def cuts(self) -> Iterator[tuple[Slice, Slice]]:
        """Ways to cut this slice in two, the better first: by Entrez date, then by PMID."""
        first, last = self.days()
        if first < last:
            middle = first + (last - first) // 2
            yield (
                replace(self, first_day=first, last_day=middle),
                replace(self, first_day=middle + dt.timedelta(days=1), last_day=last),
            )
        if self.first_pmid < self.last_pmid:
            split = (self.first_pmid + self.last_pmid) // 2
            yield replace(self, last_pmid=split), replace(self, first_pmid=split + 1)


def parse_search(body: bytes) -> SearchAnswer:
    """Read an ESearch answer in JSON.

    Raises:
        FetchError: the query names a field that PubMed does not know.
        TransientError: it is no answer, or lists other than it counts.
    """
    try:
        result: Any = json.loads(body, strict=False)["esearchresult"]
        count = int(result["count"])
        pmids = tuple(int(pmid) for pmid in result["idlist"])
    except (ValueError, KeyError, TypeError):
        raise TransientError("an answer that is not ESearch's JSON") from None
    if len(set(pmids)) != min(count, LISTED_AT_MOST):
        raise TransientError(f"a list of {len(set(pmids))} PMIDs where {count} were counted")
    if unknown := (result.get("errorlist") or {}).get("fieldsnotfound"):
        # PubMed would search all fields instead, and find something else than what was meant.
        raise FetchError(
            f"PubMed does not know the search field {', '.join(map(repr, unknown))} (fieldsnotfound): correct the query; "
            "fields are written like [tiab], [mh] or [au]"
        )
    warnings = tuple(
        wording.format(phrase.strip('"'))
        for group, kind, wording in _WARNINGS
        for phrase in (result.get(group) or {}).get(kind) or ()
        if "Restrictions achieved" not in phrase  # how PubMed says that it lists 9,999: the slices see to that
    )
    return SearchAnswer(count=count, pmids=pmids, warnings=warnings)


def search_slice(client: EntrezClient, part: Slice) -> tuple[list[int], tuple[str, ...]]:
    """All PMIDs of ``part``, ascending, and PubMed's warnings about its query.

    Raises:
        FetchError: NCBI refuses the query.
        RetryableFetchError: NCBI gave no usable answer, or its numbers do not add up.
    """
    answer = _ask(client, part)
    return sorted(_collect(client, part, answer)), answer.warnings


def _ask(client: EntrezClient, part: Slice) -> SearchAnswer:
    return client.call("esearch", parse_search, **part.parameters())


def _collect(client: EntrezClient, part: Slice, answer: SearchAnswer) -> set[int]:
    """The PMIDs of ``part``, as many as PubMed counts.

    PubMed changes while it is being searched: where the halves hold other than the whole did, the whole is counted
    again, and what was found must lie between the two counts. Citations that a cut by date cannot reach are found by
    the cut by PMID, which all of them have.
    """
    if answer.count <= LISTED_AT_MOST:
        return set(answer.pmids)
    if part.first_pmid == part.last_pmid:
        raise FetchError(
            f"PubMed counts {answer.count} citations of a single PMID: it does not combine the query with anything; "
            "check its brackets and quotes"
        )
    for halves in part.cuts():
        found: set[int] = set()
        for half in halves:
            found |= _collect(client, half, _ask(client, half))
        if len(found) == answer.count:
            return found
        before, answer = answer, _ask(client, part)
        if min(before.count, answer.count) <= len(found) <= max(before.count, answer.count):
            return found
    raise RetryableFetchError(
        f"PubMed counts {answer.count} citations but lists {len(found)} of them; run the same search again, "
        "and if that does not help, check the brackets and quotes of the query"
    )
