"""The API gives programs what the pages show, and takes the same filters."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import bioc.biocjson
import bioc.biocxml
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from storage.database import Database
from tests.analyst_database import LITHIUM, RETRACTED, UNSTORED
from tests.dashboard.conftest import browse, rows_of

PAIR = {"drug": "clozapine", "condition": "agranulocytosis"}


@pytest.fixture(scope="module")
def api(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    with browse(filled_address[0], api_per_minute=0) as client:
        yield client


def get(client: TestClient, path: str, status: int = 200, **parameters: object) -> Any:
    answer = client.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_drug_has_its_conditions_with_every_measure_of_the_database(
    api: TestClient, filled_address: tuple[str, Database]
) -> None:
    found = get(api, "drug", name="Clozapine")
    with filled_address[1].transaction() as connection:
        rows = connection.execute(text("SELECT * FROM analysis.top_conditions('clozapine')")).mappings().all()
    assert [one["pair"] for one in found["partners"]] == [dict(row) for row in rows]
    assert found["concept"]["concept"] == "clozapine"
    assert found["concept"]["citation_count"] == 5
    assert found["partners"][0]["years"] == [
        {"year": 2001, "citation_count": 1},
        {"year": 2003, "citation_count": 2},
        {"year": 2010, "citation_count": 1},
    ]
    assert (found["ranked_among"], found["next_cursor"]) == (None, None)


def test_a_condition_has_its_drugs(api: TestClient) -> None:
    found = get(api, "condition", name="tremor", sort="name")
    assert [(one["title"], one["pair"]["citation_count"]) for one in found["partners"]] == [
        ("lithium", 3),
        ("valproate", 1),
    ]


@pytest.mark.parametrize(
    "filters",
    [
        {"section": "RESULTS"},
        {"type": "Case Reports"},
        {"from": 2002, "to": 2005},
        {"score": 0.5},
        {"min": 2},
        {"annotator": 2},
        {"sort": "last"},
        {"sort": "name", "to": 2010, "type": "Case Reports"},
    ],
)
def test_filters_mean_what_they_mean_on_the_pages(api: TestClient, filters: dict[str, object]) -> None:
    page = rows_of(api.get("/drug", params={"name": "clozapine", **filters}).text)
    found = get(api, "drug", name="clozapine", **filters)["partners"]
    assert [[one["title"], str(one["pair"]["citation_count"])] for one in found] == [row[:2] for row in page]
    by_mention = {"section", "type", "score"} & filters.keys()
    assert all((one["years"] is None) == bool(by_mention) for one in found)
    assert all((one["pair"]["npmi"] is None) == bool(by_mention) for one in found)


def test_a_pair_has_its_measures_years_and_sentences(api: TestClient) -> None:
    pair = get(api, "pair", **PAIR)
    assert pair["pair"] == get(api, "drug", name="clozapine")["partners"][0]["pair"]
    assert get(api, "years", **PAIR, **{"from": 2002})["years"] == [
        {"year": 2003, "citation_count": 2},
        {"year": 2010, "citation_count": 1},
    ]
    sentences = get(api, "evidence", **PAIR)["sentences"]
    assert [one["pmid"] for one in sentences] == [104, 103, 102, 101]
    for one in sentences:
        for spans, word in ((one["drug_spans"], "clozapine"), (one["condition_spans"], "agranulocytosis")):
            assert {one["text"][span["start_char"] : span["end_char"]].lower() for span in spans} == {word}
    assert [one["pmid"] for one in get(api, "evidence", **PAIR, section="RESULTS")["sentences"]] == [102, 101]
    assert get(api, "pair", drug="warfarin", condition="rash")["pair"] is None


def test_all_pairs_begin_with_the_most_cited(api: TestClient) -> None:
    found = get(api, "pairs", limit=3)["pairs"]
    assert (found[0]["drug"], found[0]["condition"], found[0]["citation_count"]) == ("clozapine", "agranulocytosis", 4)
    assert all(one["sentence_count"] >= 2 for one in get(api, "pairs", min=2)["pairs"])


def test_a_name_that_no_concept_has_gets_suggestions(api: TestClient) -> None:
    said = get(api, "drug", 404, name="lithum")
    assert said["type"] == "/api/v1/problems#unknown-name"
    assert said["suggestions"][0]["concept"] == "lithium"
    for path in ("pair", "years", "evidence"):
        assert "tremmor" in get(api, path, 404, drug="lithium", condition="tremmor")["detail"]
    assert get(api, "suggest", q="lith")["suggestions"][0]["concept"] == "lithium"
    assert get(api, "suggest", q="lith", label="Condition")["suggestions"] == []


def test_sentences_are_found_by_their_words(api: TestClient) -> None:
    found = get(api, "sentences", q="clozapine agranulocytosis")
    assert [one["pmid"] for one in found["sentences"]] == [104, 103, 102, 101]
    first = found["sentences"][0]
    assert [first["text"][span["start_char"] : span["end_char"]] for span in first["spans"]] == [
        "clozapine",
        "agranulocytosis",
    ]
    assert (found["searchable"], found["unsearched_citations"]) == (True, 0)
    assert not get(api, "sentences", q="the")["searchable"]


def test_a_citation_has_its_text_sentences_and_mentions(api: TestClient) -> None:
    found = get(api, "citation/110")
    assert found["text"] == f"{found['title']}\n{found['abstract']}"
    for part in (*found["sentences"], *found["mentions"]):
        assert part["text"] == found["text"][part["start_char"] : part["end_char"]]
    assert {(one["annotator_id"], one["concept"]) for one in found["mentions"]} == {
        (annotator, concept) for annotator in (1, 2) for concept in ("lithium", "tremor")
    }
    assert get(api, f"citation/{RETRACTED}")["retracted"] is True
    assert "comention run --pmids 199" in get(api, f"citation/{UNSTORED}", 404)["detail"]


def test_a_citation_comes_in_the_formats_that_other_programs_read(api: TestClient) -> None:
    mentions = {
        (one["start_char"], one["end_char"], one["label"])
        for one in get(api, "citation/112")["mentions"]
        if one["annotator_id"] == 1
    }
    answer = api.get("/api/v1/citation/112/document", params={"format": "pubtator"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = [line.split("\t") for line in answer.text.splitlines()[2:] if line]
    assert {(int(one[1]), int(one[2]), one[4]) for one in lines} == mentions
    answer = api.get("/api/v1/citation/112/document", params={"format": "bioc-json"})
    assert answer.headers["content-type"] == "application/json"
    collections = [bioc.biocjson.loads(answer.text)]
    answer = api.get("/api/v1/citation/112/document", params={"format": "bioc-xml"})
    assert answer.headers["content-type"] == "application/xml"
    collections.append(bioc.biocxml.load(io.BytesIO(answer.content)))
    for collection in collections:
        assert {
            (one.total_span.offset, one.total_span.end, one.infons["type"])
            for passage in collection.documents[0].passages
            for one in passage.annotations
        } == mentions
    cautious = api.get("/api/v1/citation/112/document", params={"format": "pubtator", "annotator": 2}).text
    assert "ausea\tCondition" not in cautious
    assert "Lithium\tDrug" in cautious
    get(api, f"citation/{UNSTORED}/document", 404, format="pubtator")
    get(api, "citation/112/document", 404, format="pubtator", annotator=9)


def test_what_became_of_a_pmid_is_told(api: TestClient) -> None:
    found = {one["pmid"]: one for one in get(api, "coverage", pmid=[UNSTORED, 101, 7, RETRACTED, 101])["pmids"]}
    assert list(found) == [7, 101, RETRACTED, UNSTORED]
    assert [one["state"] for one in found.values()] == ["unknown", "annotated", "annotated", "expected"]
    assert found[RETRACTED]["retracted"] is True
    assert found[UNSTORED]["subscriptions"] == ["lithium"]
    assert all(one["reason"] for one in found.values() if not one["stored"])


def test_the_state_of_the_database_is_told(api: TestClient) -> None:
    found = get(api, "status")
    assert (found["is_empty"], found["unsearched_citations"]) == (False, 0)
    assert [one["query"] for one in found["subscriptions"]] == [LITHIUM]
    assert found["runs"][0]["run_id"] > found["runs"][-1]["run_id"]
    assert found["annotators"] == get(api, "annotators")["annotators"]
    assert [(one["name"], one["promoted"]) for one in found["annotators"]] == [("lexicon", True), ("cautious", False)]


def test_a_database_without_data_answers(empty: TestClient) -> None:
    assert get(empty, "status")["is_empty"] is True
    assert get(empty, "pairs")["pairs"] == []
    assert "nothing is stored" in get(empty, "drug", 404, name="lithium")["detail"]
    assert get(empty, "sentences", q="lithium")["sentences"] == []
    assert get(empty, "annotators")["annotators"] == []


def test_the_document_describes_every_answer(api: TestClient) -> None:
    document = get(api, "openapi.json")
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api"}]
    assert len(document["paths"]) == 14
    for operations in document["paths"].values():
        [operation] = operations.values()
        assert operation["description"]
        assert all(one.get("description") for one in operation.get("parameters", ()))
        problems = {status: one for status, one in operation["responses"].items() if status not in ("200", "304")}
        assert {"401", "422", "429", "503"} <= problems.keys()
        assert all(list(one["content"]) == ["application/problem+json"] for one in problems.values())
    assert "HTTPValidationError" not in json.dumps(document)
    assert "security" not in document


def test_a_score_too_small_to_be_stored_is_the_smallest_that_is(api: TestClient) -> None:
    tiny, smallest = (get(api, "drug", name="clozapine", score=score)["partners"] for score in ("1e-132", "1.2e-38"))
    assert tiny == smallest
