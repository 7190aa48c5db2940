"""Each page over the made-up citations: what it says, where it leads, and what its address does."""

from __future__ import annotations

import csv
import io
import re
from html import unescape

import polars
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from storage.database import Database
from tests.analyst_database import RETRACTED
from tests.dashboard.conftest import rows_of, text_of

PAIR = "/pair?drug=Clozapine&condition=agranulocytosis"


def get(client: TestClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, text_of(answer.text)
    return answer.text


def links_of(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'href="([^"]+)"', html)]


def test_the_first_page_shows_what_is_most_reported_and_leads_there(filled: TestClient) -> None:
    html = get(filled, "/")
    assert rows_of(html)[0][:4] == ["clozapine", "agranulocytosis", "4", "4"]
    assert "/pair?drug=clozapine&condition=agranulocytosis" in links_of(html)


def test_the_search_finds_in_spite_of_a_slip_of_the_finger(filled: TestClient) -> None:
    found = filled.get("/suggest", params={"q": "clozapnie"}).json()["suggestions"]
    assert [(one["label"], one["title"], one["address"]) for one in found] == [
        ("Drug", "clozapine", "/drug?name=clozapine")
    ]
    assert "/drug?name=clozapine" in links_of(get(filled, "/search?q=CLOZ"))
    assert filled.get("/suggest").json() == {"suggestions": []}


def test_a_drug_is_found_in_any_spelling_and_its_conditions_are_ranked(filled: TestClient) -> None:
    rows = rows_of(get(filled, "/drug?name=Lithium"))
    assert [row[:3] for row in rows] == [["tremor", "3", "4"], ["nausea", "1", "1"], ["syncope", "1", "1"]]
    assert rows[0][-1] == "2004–2006"


def test_a_condition_has_its_drugs(filled: TestClient) -> None:
    rows = rows_of(get(filled, "/condition?name=hepatitis"))
    assert [row[:2] for row in rows] == [["valproate", "2"], ["methotrexate", "1"]]


@pytest.mark.parametrize("sort", ["citations", "sentences", "ic", "npmi", "g2", "prr", "ror", "first", "last", "name"])
def test_every_order_has_all_rows(filled: TestClient, sort: str) -> None:
    rows = rows_of(get(filled, f"/drug?name=clozapine&sort={sort}"))
    names = [row[0] for row in rows]
    assert sorted(names) == ["agranulocytosis", "nausea", "syncope"]
    if sort == "name":
        assert names == sorted(names)
    elif sort in ("first", "last"):
        assert names[0] == "nausea"
    else:
        assert names[0] == "agranulocytosis"


def test_filters_narrow_the_counts_and_say_that_there_are_no_measures(filled: TestClient) -> None:
    html = get(filled, "/drug?name=clozapine&section=RESULTS")
    assert [row[:3] for row in rows_of(html)] == [["agranulocytosis", "2", "2"]]
    assert "there are no measures" in text_of(html)
    assert "NPMI" not in text_of(html)
    assert [row[:2] for row in rows_of(get(filled, "/drug?name=clozapine&type=Case+Reports"))] == [
        ["agranulocytosis", "2"],
        ["syncope", "1"],
    ]
    assert [row[:2] for row in rows_of(get(filled, "/drug?name=clozapine&from=2002&to=2005"))] == [
        ["agranulocytosis", "2"]
    ]
    assert [row[0] for row in rows_of(get(filled, "/drug?name=lithium&min=2"))] == ["tremor"]
    assert "No condition passes these filters" in text_of(get(filled, "/drug?name=clozapine&score=0.95"))


def test_another_annotator_has_its_own_counts(filled: TestClient) -> None:
    html = get(filled, "/drug?name=clozapine")
    [other] = set(re.findall(r'<option value="(\d+)">cautious', html))
    assert [row[0] for row in rows_of(get(filled, f"/drug?name=clozapine&annotator={other}"))] == [
        "agranulocytosis",
        "syncope",
    ]
    assert "nausea" in [row[0] for row in rows_of(html)]
    assert f"annotator={other}" in next(
        one for one in links_of(get(filled, f"/drug?name=clozapine&annotator={other}")) if "/pair" in one
    )


def test_a_pair_has_the_measures_of_the_database_with_their_limits(
    filled: TestClient, filled_address: tuple[str, Database]
) -> None:
    with filled_address[1].transaction() as connection:
        pair = connection.execute(text("SELECT * FROM analysis.pair('clozapine', 'agranulocytosis')")).one()
    shown = dict(
        re.findall(r"<dt>(.*?)<button.*?</dt>\s*<dd>(.*?)</dd>", get(filled, PAIR).replace("\n", " "), re.DOTALL)
    )
    assert shown["Citations"] == f"{pair.citation_count}"
    assert shown["Expected"] == f"{pair.expected_sentence_count:.2f}"
    assert text_of(shown["IC"]) == (
        f"{pair.information_component:.2f} "
        f"({pair.information_component_low:.2f} to {pair.information_component_high:.2f})"
    )
    assert text_of(shown["PRR"]).startswith(f"{pair.proportional_reporting_ratio:.1f} (")
    table = get(filled, PAIR).partition("The sentences behind the measures")[2]
    assert rows_of(table)[2][1:] == [
        str(one)
        for one in (
            pair.condition_sentence_count,
            pair.annotated_sentence_count - pair.condition_sentence_count,
            pair.annotated_sentence_count,
        )
    ]


def test_a_pair_has_its_years_and_sentences_with_both_marked(filled: TestClient) -> None:
    html = get(filled, PAIR)
    sentences = re.findall(r'<p class="sentence"[^>]*>(.*?)</p>', html)
    assert len(sentences) == 4
    assert sentences[0] == (
        'After <mark class="label-drug">clozapine</mark>, '
        '<mark class="label-condition">agranulocytosis</mark> and later syncope.'
    )
    assert "https://pubmed.ncbi.nlm.nih.gov/104/" in links_of(html)
    assert 'data-years="[2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009, 2010]"' in html
    assert 'data-counts="[1, 0, 2, 0, 0, 0, 0, 0, 0, 1]"' in html
    assert 'data-copy="Report 104. Journal. 2010. PMID: 104."' in html


def test_a_pair_that_never_meets_says_where_to_look(filled: TestClient) -> None:
    html = get(filled, "/pair?drug=warfarin&condition=rash")
    assert "No sentence mentions both" in text_of(html)
    assert {"/drug?name=warfarin", "/condition?name=rash"} <= set(links_of(html))


def test_what_no_concept_is_called_gets_suggestions(filled: TestClient) -> None:
    html = get(filled, "/drug?name=lithum", 404)
    assert "No drug is called “lithum”" in text_of(html)
    assert "/drug?name=lithium" in links_of(html)
    assert "No condition is called" in text_of(get(filled, "/pair?drug=lithium&condition=tremmor", 404))


def test_a_citation_marks_what_is_ticked(filled: TestClient) -> None:
    html = get(filled, "/citation/112")
    assert re.findall(r'<mark class="([^"]+)" title="[^"]*" data-tag="([DC])">([^<]+)</mark>', html) == [
        ("label-drug", "D", "Lithium"),
        ("label-condition", "C", "tremor"),
        ("label-condition", "C", "nausea"),
        ("label-condition", "C", "Nausea"),
    ]
    only = get(filled, "/citation/112?label=Drug")
    assert re.findall(r'<mark [^>]*title="[^>]*>([^<]+)</mark>', only) == ["Lithium"]
    [other] = set(re.findall(r'name="annotator" value="(\d+)"> cautious', html))
    assert re.findall(r'<mark [^>]*title="[^>]*>([^<]+)</mark>', get(filled, f"/citation/112?annotator={other}")) == [
        "Lithium",
        "tremor",
    ]


def test_a_section_has_its_label(filled: TestClient) -> None:
    assert "<h2>RESULTS</h2>" in get(filled, "/citation/111")
    assert "<h3>RESULTS</h3>" in get(filled, "/citation/111/abstract")


def test_a_retracted_citation_says_so_wherever_it_is_shown(filled: TestClient) -> None:
    html = get(filled, f"/citation/{RETRACTED}")
    assert "Retracted It counts in no figure. Notice: PubMed 150" in text_of(html)
    assert "badge retracted" in get(filled, "/sentences?q=prevented")
    assert f"/citation/{RETRACTED}" not in links_of(get(filled, "/pair?drug=lithium&condition=tremor"))


def test_sentences_are_found_by_their_words_with_the_words_marked(filled: TestClient) -> None:
    html = get(filled, '/sentences?q="stopped" haemorrhage')
    assert '<mark class="found">Haemorrhage</mark> <mark class="found">stopped</mark>.' in html
    assert "No sentence has all of" in text_of(get(filled, "/sentences?q=zebra"))
    assert "too common" in text_of(get(filled, "/sentences?q=the"))
    assert "Type what a sentence should say" in text_of(get(filled, "/sentences"))
    years = re.findall(r"Journal</cite>, (\d{4})", get(filled, "/sentences?q=lithium&from=2006&to=2015"))
    assert years == ["2015", "2006", "2006"]


def test_downloads_have_every_row_and_measure(filled: TestClient) -> None:
    answer = filled.get("/drug.csv?name=lithium")
    assert answer.headers["content-disposition"].startswith('attachment; filename="conditions of lithium.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["drug"], row["condition"], row["citation_count"]) for row in rows] == [
        ("lithium", "tremor", "3"),
        ("lithium", "nausea", "1"),
        ("lithium", "syncope", "1"),
    ]
    assert float(rows[0]["information_component_low"]) > 0
    table = polars.read_parquet(io.BytesIO(filled.get("/condition.parquet?name=tremor").content))
    assert table["drug"].to_list() == ["lithium", "valproate"]
    table = polars.read_parquet(io.BytesIO(filled.get("/pair.parquet?drug=lithium&condition=tremor").content))
    assert table["drug_spans"].to_list() == [[[0, 7]], [[12, 19]], [[17, 24]], [[0, 7]]]
    rows = list(csv.DictReader(io.StringIO(filled.get("/pair.csv?drug=lithium&condition=tremor").text)))
    assert rows[1]["drug_spans"] == "12-19"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/drug?name=lithium&from=soon", "the first year (“from” in the address) cannot be used"),
        ("/drug?name=lithium&from=2010&to=2001", "the first year is after the last"),
        ("/drug?name=lithium&score=7", "the lowest score (“score” in the address) cannot be used"),
        ("/drug?name=lithium&sort=shoe", "the order (“sort” in the address) cannot be used"),
        ("/drug?name=lithium&page=0", "the page (“page” in the address) cannot be used"),
        ("/drug?name=a%00b", "has a character in it that no text has"),
        (f"/drug?name={'x' * 400}", "400 characters long"),
        ("/citation/none", "a PMID is a positive whole number"),
        ("/citation/9999999999999", "a PMID is a positive whole number"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(filled: TestClient, address: str, said: str) -> None:
    assert said in text_of(get(filled, address, 400))


def test_what_is_not_there_is_a_page_too(filled: TestClient) -> None:
    assert "There is no such page" in text_of(get(filled, "/nothing", 404))
    assert "comention run --pmids 7" in text_of(get(filled, "/citation/7", 404))
    assert filled.post("/drug").status_code == 405
    assert filled.get("/drug").headers["location"] == "/"


def test_pages_of_a_list_lead_on_and_back(empty: TestClient, database: Database) -> None:
    from storage.cooccurrence import fold_counts
    from tests.builders import citation
    from tests.dashboard.made import annotate_words, store

    words = [f"ailment{number:03}" for number in range(60)]
    store(database, [citation(number + 1, [f"Aspirin caused {word}."]) for number, word in enumerate(words)])
    annotate_words(database, {"Drug": ["aspirin"], "Condition": words})
    fold_counts(database)
    seen: list[str] = []
    address = "/drug?name=aspirin&sort=name"
    while address:
        html = get(empty, address)
        seen += [row[0] for row in rows_of(html)]
        address = next(iter(re.findall(r'rel="next" href="([^"]+)"', html)), "").replace("&amp;", "&")
    assert seen == words
    assert "The list ends before this page" in text_of(get(empty, "/drug?name=aspirin&page=9"))


def test_evidence_is_paged_by_its_place_and_goes_on_where_it_was(empty: TestClient, database: Database) -> None:
    from tests.builders import citation
    from tests.dashboard.made import annotate_words, store

    store(database, [citation(number, ["Aspirin caused rash."]) for number in range(1, 46)])
    annotate_words(database, {"Drug": ["aspirin"], "Condition": ["rash"]})
    seen: list[int] = []
    address = "/pair?drug=aspirin&condition=rash"
    while address:
        html = get(empty, address)
        seen += [int(one) for one in re.findall(r'<p class="actions"><a href="https://pubmed[^"]*/(\d+)/"', html)]
        address = next(iter(re.findall(r'rel="next" href="([^"#]+)', html)), "").replace("&amp;", "&")
    assert seen == list(range(45, 0, -1))


@pytest.mark.parametrize(
    "address",
    ["/", "/search?q=aspirin", "/sentences", "/sentences?q=aspirin", "/compare", "/annotators", "/operations"],
)
def test_an_empty_database_says_what_to_type(empty: TestClient, address: str) -> None:
    assert "comention demo" in text_of(get(empty, address))


def test_names_of_an_empty_database_are_unknown_and_say_what_to_type(empty: TestClient) -> None:
    for address in ("/drug?name=aspirin", "/condition?name=rash", "/pair?drug=aspirin&condition=rash"):
        assert "comention demo" in text_of(get(empty, address, 404))
    assert empty.get("/drug.csv?name=aspirin").text.startswith("drug,condition,")
    assert get(empty, "/citation/1", 404)


def test_stored_and_not_annotated_says_what_to_type(empty: TestClient, database: Database) -> None:
    from tests.builders import citation
    from tests.dashboard.made import store

    store(database, [citation(1)])
    assert "comention annotate" in text_of(get(empty, "/"))
    assert "comention annotate" in text_of(get(empty, "/citation/1"))
    assert "not searched yet" in text_of(get(empty, "/sentences?q=clozapine"))
