"""Questions made up from the OpenAPI document: every answer is one that the document describes, and none is a defect.

A few hundred questions in the suite; COMENTION_TEST_API_CASES says how many are the least, for `make test-api`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from dashboard.api.paging import CURSOR_LENGTH, CURSOR_PATTERN, encode_place, encode_sentence
from storage.database import Database
from storage.partners import SORTS, RankKey
from tests.dashboard.serving import serve_dashboard

LEAST = int(os.environ.get("COMENTION_TEST_API_CASES", "0"))
EXAMPLES = max(12, LEAST // 8)
"""Made-up questions for each resource, four of which take no parameters and so hardly any."""

DRUGS = ("clozapine", "lithium", "valproate", "warfarin", "mesh:D003024", "CLOZAPINES")
CONDITIONS = ("agranulocytosis", "tremor", "nausea", "hepatitis", "rash")
TEXTS = {
    "drug": DRUGS,
    "condition": CONDITIONS,
    "name": DRUGS + CONDITIONS,
    "q": ("clozapine -nausea", '"caused tremor" or rash', "lith", "the"),
    "section": ("RESULTS", "TITLE", "METHODS"),
    "type": ("Case Reports", "Review"),
}


@pytest.fixture(scope="module")
def operations(filled_address: tuple[str, Database]) -> Iterator[list[Any]]:
    """What the document of a dashboard that is served describes."""
    with serve_dashboard(filled_address[0], api_per_minute=0) as address:
        schema = schemathesis.openapi.from_url(f"{address}api/v1/openapi.json", timeout=60)
        yield [found.ok() for found in schema.get_all_operations()]


def fit(case: Case) -> None:
    """Ask for what there is, most of the time, and for what fits together, which the document cannot say.

    Values that the document does not allow stay what they are.
    """
    query: dict[str, Any] = dict(case.query or {})
    for name, known in TEXTS.items():
        value = query.get(name)
        if isinstance(value, str) and 0 < len(value) <= 300 and "\x00" not in value:
            query[name] = [*known, value][crc32(value.encode("utf-8", "replace")) % (len(known) + 1)]
    number = query.get("annotator")
    if type(number) is int and 1 <= number <= 32_767:
        query["annotator"] = number % 3 + 1
    first, last = query.get("from"), query.get("to")
    if type(first) is int and type(last) is int and 1500 <= last < first <= 3000:
        query["from"], query["to"] = last, first
    cursor = query.get("cursor")
    if isinstance(cursor, str) and re.fullmatch(CURSOR_PATTERN, cursor) and len(cursor) <= CURSOR_LENGTH:
        query["cursor"] = made_cursor(case.operation.path, query.get("sort", "citations"), crc32(cursor.encode()))
    if query:
        case.query = query
    pmid = (case.path_parameters or {}).get("pmid")
    if type(pmid) is int and 1 <= pmid < 2**31 and pmid % 4:
        case.path_parameters = {**case.path_parameters, "pmid": 101 + pmid % 40}


def made_cursor(path: str, sort: Any, seed: int) -> str:
    """A cursor as the list of a path gives them out."""
    kind = path.rpartition("/")[2]
    if kind in ("evidence", "sentences"):
        return encode_sentence(kind, seed * 1_000)
    if kind == "pairs":
        return encode_place("pairs", RankKey(numbers=(-2.0, -2.0), names=("lithium", "t"), position=seed % 30))
    numbers = tuple(float(-(seed % 4)) for _ in SORTS[sort]) if isinstance(sort, str) and sort in SORTS else ()
    return encode_place(f"{kind} {sort}", RankKey(numbers=numbers, names=("n",), position=seed % 30))


def ask(operation: Any, mode: GenerationMode, asked: Counter[str]) -> None:
    """Ask an operation made-up questions, right ones or wrong ones, and check every answer."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        fit(case)
        asked[operation.label] += 1
        case.call_and_validate()

    check()


def test_every_answer_is_one_that_the_document_describes(
    operations: list[Any], record_testsuite_property: Callable[[str, object], None]
) -> None:
    asked: Counter[str] = Counter()
    for operation in operations:
        ask(operation, GenerationMode.POSITIVE, asked)
        if list(operation.query) or list(operation.path_parameters):  # else there is nothing that could be wrong
            ask(operation, GenerationMode.NEGATIVE, asked)
    record_testsuite_property("questions", asked.total())
    assert len(asked) == len(operations) > 10
    assert asked.total() >= LEAST
