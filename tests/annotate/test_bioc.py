"""BioC collections, as XML and as JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from annotate.corpora import load_corpus, split_document
from comention.errors import AnnotatorError
from tests.annotate.test_corpora import FullStops, slices

TITLE, ABSTRACT = "Zolast & β-rash.", "Zolast <5 mg. T and B cells."


def mention(kind: str, text: str, *places: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": "1",
        "infons": {"type": kind, "identifier": "D1"},
        "text": text,
        "locations": [{"offset": offset, "length": length} for offset, length in places],
    }


def passage(offset: int, text: str, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"infons": {"section": "x"}, "offset": offset, "text": text, "annotations": list(annotations), **more}


def document(*passages: dict[str, Any], name: str = "12") -> dict[str, Any]:
    return {"id": name, "passages": list(passages)}


WHOLE = document(
    passage(0, TITLE, mention("Chemical", "Zolast", (0, 6)), mention("Disease", "β-rash", (9, 6))),
    passage(
        17,
        ABSTRACT,
        mention("Chemical", "Zolast", (17, 6)),
        mention("Cell", "T ... cells", (31, 1), (39, 5)),
        mention("MeSH_Indexing_Chemical", "Zolast"),
    ),
)


def to_json(*documents: dict[str, Any]) -> str:
    return json.dumps({"source": "x", "date": "", "key": "", "documents": documents})


def to_xml(*documents: dict[str, Any]) -> str:
    def annotation(row: dict[str, Any]) -> str:
        places = "".join(
            f'<location offset="{place["offset"]}" length="{place["length"]}"/>' for place in row["locations"]
        )
        infons = "".join(f'<infon key="{key}">{value}</infon>' for key, value in row["infons"].items())
        return f'<annotation id="1">{infons}{places}<text>{escape(row["text"])}</text></annotation>'

    def stretch(row: dict[str, Any], tag: str) -> str:
        inner = "".join(stretch(sentence, "sentence") for sentence in row.get("sentences", ()))
        text = f"<text>{escape(row['text'])}</text>" if row["text"] else ""
        return (
            f"<{tag}><offset>{row['offset']}</offset>{text}{inner}"
            f"{''.join(map(annotation, row.get('annotations', ())))}</{tag}>"
        )

    rows = "\n".join(
        f"<document><id>{row['id']}</id>{''.join(stretch(one, 'passage') for one in row['passages'])}</document>"
        for row in documents
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
        f"<collection><source>x</source>{rows}</collection>"
    )


def write(folder: Path, form: str, *documents: dict[str, Any]) -> Path:
    path = folder / f"made.{form}"
    path.write_text(to_json(*documents) if form == "json" else to_xml(*documents), encoding="utf-8")
    return path


@pytest.fixture(params=["json", "xml"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_passages_become_one_text_and_mentions_with_gaps_are_counted(tmp_path: Path, form: str):
    corpus = load_corpus(write(tmp_path, form, WHOLE))
    [found] = corpus.documents
    assert found.text == f"{TITLE}\n{ABSTRACT}"
    assert slices(found) == [("Zolast", "Drug"), ("β-rash", "Condition"), ("Zolast", "Drug")]
    assert (corpus.guideline, corpus.labels, found.pmid, found.discontinuous) == ("cdr", ("Drug", "Condition"), 12, 1)
    texts = [sentence.text for sentence in split_document(found, FullStops())]
    assert texts == [TITLE, "Zolast <5 mg.", "T and B cells."]


def test_offsets_count_from_the_passage_however_the_collection_counts(tmp_path: Path, form: str):
    moved = document(passage(1000, TITLE, mention("Disease", "β-rash", (1009, 6))), name="PMC77")
    [found] = load_corpus(write(tmp_path, form, moved)).documents
    assert slices(found) == [("β-rash", "Condition")]
    assert (found.pmid, found.group) == (0, "PMC77")


def test_sentences_of_a_collection_are_kept(tmp_path: Path, form: str):
    sentences = [passage(0, "A rash."), passage(8, "No. 5 cures it.", mention("Chemical", "No. 5", (8, 5)))]
    held = document(passage(0, "", mention("Disease", "rash", (2, 4)), sentences=sentences))
    [found] = load_corpus(write(tmp_path, form, held)).documents
    assert slices(found) == [("rash", "Condition"), ("No. 5", "Drug")]
    assert [sentence.text for sentence in split_document(found, FullStops())] == ["A rash.", "No. 5 cures it."]


def test_xml_and_json_of_one_collection_read_the_same_also_gzipped(tmp_path: Path):
    from_json, from_xml = (load_corpus(write(tmp_path, form, WHOLE)) for form in ("json", "xml"))
    assert from_json == from_xml
    packed = tmp_path / "made.xml.gz"
    packed.write_bytes(gzip.compress((tmp_path / "made.xml").read_bytes()))
    assert load_corpus(packed) == from_xml


def test_an_answer_of_pubtator_3_reads_too(tmp_path: Path):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"PubTator3": [WHOLE]}), encoding="utf-8")
    assert len(load_corpus(path).documents[0].spans) == 3


@pytest.mark.parametrize("place", [(10, 6), (9, 60), (900, 6), (0, 0)])
def test_broken_offsets_are_named(tmp_path: Path, form: str, place: tuple[int, int]):
    path = write(tmp_path, form, document(passage(0, TITLE, mention("Disease", "β-rash", place))))
    with pytest.raises(AnnotatorError, match=rf"made\.{form}.* document 12: the offset {place[0]} .*'β-rash'"):
        load_corpus(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[]", "no list 'documents'"),
        ("a.json", '{"documents": []}', "has no documents"),
        ("a.json", '{"documents": [{"id": "5", "passages": [{"text": "x"}]}]}', r"document 5: .*offset"),
        ("a.xml", "<collection>", "is not XML"),
        ("a.xml", "<PubmedArticleSet/>", "its root is PubmedArticleSet"),
        ("a.xml", "<collection/>", "has no documents"),
        (
            "a.xml",
            "<collection>\n<document><id>5</id><passage><text>x</text></passage></document></collection>",
            "line 2, document 5: an offset",
        ),
        (
            "a.xml",
            '<!DOCTYPE collection [<!ENTITY x "y">]>\n<collection><document><id>5</id></document></collection>',
            "declares entities",
        ),
    ],
)
def test_what_is_no_bioc_is_refused(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(AnnotatorError, match=rf"{name}.*{message}"):
        load_corpus(tmp_path / name)


def test_an_external_file_is_never_read(tmp_path: Path):
    (tmp_path / "secret").write_text("secret words")
    (tmp_path / "a.xml").write_text(
        f'<!DOCTYPE collection [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>\n<collection><document><id>5</id>'
        "<passage><offset>0</offset><text>&x;</text></passage></document></collection>"
    )
    with pytest.raises(AnnotatorError, match="declares entities"):
        load_corpus(tmp_path / "a.xml")
