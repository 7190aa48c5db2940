"""PubMed over the E-utilities: a query becomes PMIDs, PMIDs become records."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Literal

from comention.errors import FetchError, SourceError
from comention.settings import NcbiSettings
from comention.types import MAX_PMID, Citation, DeletedCitation, Record, RefusedRecord
from ingest.entrez import EntrezClient, NothingFoundError, TransientError
from ingest.pubmed_search import LISTED_AT_MOST, Slice, parse_search, search_slice
from ingest.rate_limit import Limiter, limiter_for

_logger = logging.getLogger(__name__)


class PubMed:
    """Searches PubMed and fetches its records. One instance may serve several threads.

    Example:
        >>> pubmed = PubMed(load_settings().ncbi)                    # doctest: +SKIP
        >>> records = pubmed.fetch(pubmed.search("carbamazepine"))   # doctest: +SKIP
    """

    def __init__(
        self,
        settings: NcbiSettings,
        limiter: Limiter | None = None,
        *,
        backoff: float = 1.0,
        on_warning: Callable[[str], None] = _logger.warning,
    ) -> None:
        """Prepare; nothing is sent.

        Without a ``limiter`` all instances of this process share one. ``backoff`` is the longest wait before the second
        attempt, in seconds. ``on_warning`` receives what PubMed remarks about a query, one sentence at a time.

        Raises:
            SettingsError: there is no email address, or the address of the E-utilities cannot be used.
        """
        self._batch_size = min(settings.batch_size, LISTED_AT_MOST)
        self._on_warning = on_warning
        self._client = EntrezClient(settings, limiter or limiter_for(settings), backoff=backoff)

    def search(
        self,
        query: str,
        *,
        since: dt.date | None = None,
        until: dt.date | None = None,
        by: Literal["entrez", "modified"] = "entrez",
    ) -> list[int]:
        """The PMIDs of all citations that match ``query``, ascending, however many there are.

        ``since`` and ``until``, both included, limit the day on which a citation came to PubMed (its Entrez date), or with
        ``by="modified"`` the day on which its record was last changed.

        Raises:
            FetchError: the query is empty, the days are in the wrong order, or NCBI refuses the query.
            RetryableFetchError: NCBI gave no usable answer, or its numbers do not add up.
        """
        if not query.strip():
            raise FetchError("the query is empty: say what to search PubMed for")
        if since is not None and until is not None and since > until:
            raise FetchError(f"the search would begin on {since} and end before, on {until}: exchange the two days")
        date_type = "edat" if by == "entrez" else "mdat"
        whole = Slice(query=query, date_type=date_type, first_day=since, last_day=until)
        pmids, warnings = search_slice(self._client, whole)
        for warning in warnings:
            self._on_warning(warning)
        return pmids

    def count(self, query: str) -> int:
        """How many citations match ``query``, by one request.

        Raises:
            FetchError: as for ``search``.
            RetryableFetchError: as for ``search``.
        """
        if not query.strip():
            raise FetchError("the query is empty: say what to search PubMed for")
        answer = self._client.call("esearch", parse_search, **Slice(query=query).parameters())
        for warning in answer.warnings:
            self._on_warning(warning)
        return answer.count

    def watch(self, query: str, *, since: dt.date, until: dt.date | None = None) -> list[int]:
        """The PMIDs of what is new since a day: citations of ``query`` that came to PubMed, or were changed, from then on.

        NCBI dates by its own day, in the east of the United States: begin a day early rather than late.

        Raises:
            FetchError: as for ``search``.
            RetryableFetchError: as for ``search``.
        """
        came = self.search(query, since=since, until=until)
        return sorted({*came, *self.search(query, since=since, until=until, by="modified")})

    def fetch(self, pmids: Iterable[int]) -> Iterator[Record]:
        """The record of every PMID, in the order asked for, each once.

        A PMID without a usable record yields a ``RefusedRecord`` that says why: requested = returned + explained. Its
        ``position`` counts the PMIDs asked for. A batch is yielded when the whole of it has arrived, so an interrupted
        fetch goes on with the PMIDs not yet seen.

        Raises:
            FetchError: NCBI refuses the request.
            RetryableFetchError: NCBI gave no whole answer.
        """
        wanted = enumerate(dict.fromkeys(pmids), start=1)
        while batch := list(itertools.islice(wanted, self._batch_size)):
            known = [pmid for _, pmid in batch if 0 < pmid <= MAX_PMID]
            found = self._fetch_batch(known) if known else {}
            for position, pmid in batch:
                record = found.get(pmid)
                if record is None:
                    missing = 0 < pmid <= MAX_PMID
                    record = RefusedRecord(position=position, pmid=pmid, reason=_why_missing(pmid), missing=missing)
                elif isinstance(record, RefusedRecord):
                    record = replace(record, position=position)
                yield record

    def _fetch_batch(self, pmids: list[int]) -> dict[int, Record]:
        """The records that NCBI has of ``pmids``, by PMID."""
        listed = ",".join(map(str, pmids))
        try:
            records = self._client.call(
                "efetch", _read_records, id=listed, retmode="xml", retstart=0, retmax=len(pmids)
            )
        except NothingFoundError:
            return {}
        wanted = set(pmids)
        found: dict[int, Record] = {}
        for record in records:
            if record.pmid in wanted:
                found[record.pmid] = _better(found.get(record.pmid), record)
            else:
                why = record.reason if isinstance(record, RefusedRecord) else "it was not asked for"
                _logger.warning("a record that NCBI sent (PMID %s) is left out: %s", record.pmid or "unknown", why)
        return found


def _read_records(body: bytes) -> list[Record]:
    """All records of an EFetch answer; one that ends early is asked for again rather than used in part."""
    # lxml is loaded when the first record arrives, not when a command is looked up.
    from ingest.medline import parse_records

    try:
        return list(parse_records(io.BytesIO(body), source="the answer of NCBI's EFetch"))
    except SourceError as error:
        raise TransientError(str(error)) from error


def _better(one: Record | None, other: Record) -> Record:
    """Which of two records of a PMID to use: a usable one, then the higher version."""
    return max((record for record in (one, other) if record is not None), key=_rank)


def _rank(record: Record) -> tuple[bool, int]:
    match record:
        case Citation(version=version) | DeletedCitation(version=version):
            return True, version
        case RefusedRecord():
            return False, 0


def _why_missing(pmid: int) -> str:
    if 0 < pmid <= MAX_PMID:
        return "NCBI returned no record for this PMID"
    return "this is no PMID: a PMID is a whole number above zero"
