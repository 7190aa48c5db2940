"""CRAFT's two forms: IOB tables and standoff JSON lines."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.corpora import AnnotatedDocument, load_corpus, split_document
from annotate.corpora.craft_iob import read_iob
from comention.errors import AnnotatorError
from tests.annotate.test_corpora import FullStops, slices

IOB = """\
Mice\tB-Taxon
and\tO
Pax\tB-GGP
6\tI-GGP
.\tO

Abstract\tO

The\tO
gene\tB-SO
of\tO
Pax\tB-GGP
6\tI-GGP
Eya1\tB-GGP

Rats\tB-Taxon

Abstract\tO
"""


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_iob_words_are_joined_by_blanks_and_articles_begin_before_their_abstract(tmp_path: Path):
    corpus = load_corpus(write(tmp_path / "craft.tsv", IOB))
    assert (corpus.guideline, corpus.labels) == ("craft", ("Sequence", "Protein", "Taxon"))
    first, second = corpus.documents
    assert first.text == "Mice and Pax 6 .\nAbstract\nThe gene of Pax 6 Eya1"
    assert slices(first) == [
        ("Mice", "Taxon"),
        ("Pax 6", "Protein"),
        ("gene", "Sequence"),
        ("Pax 6", "Protein"),
        ("Eya1", "Protein"),
    ]
    assert slices(second) == [("Rats", "Taxon")]
    assert first.group != second.group


def test_iob_sentences_and_words_are_the_corpus_s_own(tmp_path: Path):
    [document] = load_corpus(write(tmp_path / "one.tsv", IOB.split("\nRats")[0])).documents
    sentences = split_document(document, FullStops())
    assert [sentence.text for sentence in sentences] == ["Mice and Pax 6 .", "Abstract", "The gene of Pax 6 Eya1"]
    assert [sentences[2].text[start:end] for start, end in sentences[2].words] == "The gene of Pax 6 Eya1".split()
    assert [(s.start_char, s.end_char) for s in sentences[2].spans] == [(4, 8), (12, 17), (18, 22)]


def test_iob_without_articles_has_a_document_a_sentence_and_docstart_marks_documents(tmp_path: Path):
    plain = "A\tO\n\n\nrash\tB-Disease\n"
    assert [document.text for document in load_corpus(write(tmp_path / "a.tsv", plain)).documents] == ["A", "rash"]
    marked = "-DOCSTART-\tO\n\nA\tO\n\nrash\tB-Disease\n\n-DOCSTART-\tO\n\nfever\tB-Disease\n"
    corpus = load_corpus(write(tmp_path / "b.tsv", marked))
    assert [document.text for document in corpus.documents] == ["A\nrash", "fever"]
    assert (corpus.guideline, corpus.labels) == ("", ("Condition",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A\tO\nrash\tI-SO\n", "line 2: I-SO follows O"),
        ("A\tB-GGP\nrash\tI-SO\n", "line 2: I-SO follows B-GGP"),
        ("A\tB-SO\n\nrash\tI-SO\n", "line 3: I-SO follows O"),
        ("A\tO\nrash\n", "line 2: 1 fields"),
        ("A\tO\nrash\tX\tO\n", "line 2: 3 fields"),
        ("A\tO\n\tO\n", "line 2: 2 fields"),
        ("A\tO\nrash\tE-SO\n", "line 2: 'E-SO' is no tag"),
        ("\n\n", "it has no words"),
        ("A\tB-Odd\n", r"types Odd, and none has a label.*labels=TYPE:LABEL"),
    ],
)
def test_a_broken_iob_line_is_named(tmp_path: Path, content: str, message: str):
    with pytest.raises(AnnotatorError, match=rf"broken\.tsv.*{message}"):
        load_corpus(write(tmp_path / "broken.tsv", content))


WORDS = st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1, max_size=4)


@given(
    st.lists(
        st.lists(st.tuples(WORDS, st.sampled_from(("O", "B-SO", "B-CL", "I"))), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_the_tags_of_a_table_can_be_read_back_from_its_spans(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[str, str]]]
):
    tagged: list[list[tuple[str, str]]] = []
    for row in rows:
        before = "O"
        tagged.append([])
        for word, tag in row:
            # An I goes on with whatever stands before it.
            before = tag if tag != "I" else ("O" if before == "O" else f"I-{before[2:]}")
            tagged[-1].append((word, before))
    path = tmp_path_factory.mktemp("iob") / "made.tsv"
    write(path, "\n".join("".join(f"{word}\t{tag}\n" for word, tag in row) for row in tagged))
    again = []
    for sentence in (sentence for document in read_iob(path) for sentence in split_document(document, FullStops())):
        starts = {span.start_char: span for span in sentence.spans}
        inside = {at: span for span in sentence.spans for at in range(span.start_char + 1, span.end_char)}
        again.append(
            [
                (
                    sentence.text[start:end],
                    f"B-{starts[start].label}"
                    if start in starts
                    else f"I-{inside[start].label}"
                    if start in inside
                    else "O",
                )
                for start, end in sentence.words
            ]
        )
    assert again == tagged


def article(**changes: Any) -> dict[str, Any]:
    text = "T and B cells express Pax6 genetically."
    row: dict[str, Any] = {
        "doc_id": "11532192",
        "text": text,
        "sentences": [{"start": 0, "end": 39, "label": "S", "tokens": [[0, 1], [2, 5], [6, 7], [8, 13], [14, 21]]}],
        "entities": [
            entity("Cell", [[6, 13]], "B cells"),
            entity("Cell", [[0, 1], [8, 13]], "T ... cells"),
            entity("Protein", [[22, 26]], "Pax6"),
            entity("Protein", [[22, 26]], "Pax6"),
            entity("Sequence", [[27, 38]], "genetically", base=False),
        ],
    }
    return {**row, **changes}


def entity(kind: str, spans: list[list[int]], text: str, base: bool = True) -> dict[str, Any]:
    return {"type": kind, "spans": spans, "text": text, "span_in_base_ontology": base}


def standoff(path: Path, *rows: dict[str, Any]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def test_standoff_gold_is_the_ontologies_own_and_mentions_with_gaps_are_counted(tmp_path: Path):
    corpus = load_corpus(standoff(tmp_path / "craft.jsonl", article()))
    [document] = corpus.documents
    assert (corpus.guideline, corpus.labels, corpus.discontinuous) == ("craft5", ("Cell", "Protein"), 1)
    assert slices(document) == [("B cells", "Cell"), ("Pax6", "Protein")]
    assert (document.pmid, document.group) == (11532192, "11532192")
    [sentence] = split_document(document, FullStops())
    assert [sentence.text[start:end] for start, end in sentence.words] == "T and B cells express".split()


def test_standoff_extension_spans_come_when_asked_for(tmp_path: Path):
    path = standoff(tmp_path / "craft.jsonl", article())
    assert ("genetically", "Sequence") in slices(load_corpus(f"{path}?spans=all").documents[0])
    with pytest.raises(AnnotatorError, match="spans=all is for CRAFT's standoff"):
        load_corpus(f"{write(tmp_path / 'craft.tsv', IOB)}?spans=all")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entities": [entity("Cell", [[6, 12]], "B cells")]}, "offsets 6-12 do not give 'B cells' in 11532192"),
        ({"entities": [entity("Cell", [[38, 60]], ".")]}, "offsets 38-60"),
        ({"entities": [{"type": "Cell"}]}, "field 'span_in_base_ontology' is missing"),
        ({"sentences": [{"start": 0, "end": 400, "tokens": []}]}, "do not fit its text"),
        ({"sentences": [{"start": 0, "end": 9, "tokens": [[4, 6], [0, 3]]}]}, "do not fit its text"),
        ({"sentences": None}, "another shape"),
    ],
)
def test_a_broken_standoff_line_is_named(tmp_path: Path, changes: dict[str, Any], message: str):
    path = standoff(tmp_path / "broken.jsonl", article(), article(**changes))
    with pytest.raises(AnnotatorError, match=rf"broken\.jsonl, line 2: .*{message}"):
        load_corpus(path)


def test_a_line_that_is_no_json_and_a_cut_file_are_named(tmp_path: Path):
    with pytest.raises(AnnotatorError, match=r"bad\.jsonl, line 1: this is not JSON"):
        load_corpus(write(tmp_path / "bad.jsonl", '{"doc_id": \n'))
    packed = gzip.compress("".join(json.dumps(article(doc_id=str(n))) + "\n" for n in range(999)).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(AnnotatorError, match=r"cut\.jsonl\.gz cannot be read after line \d+"):
        load_corpus(tmp_path / "cut.jsonl.gz")
    (tmp_path / "damaged.jsonl.gz").write_bytes(packed[:200] + b"\xff" * 200 + packed[400:])
    with pytest.raises(AnnotatorError, match=r"damaged\.jsonl\.gz cannot be read"):
        load_corpus(tmp_path / "damaged.jsonl.gz")


def test_the_real_articles_of_both_releases_are_67(corpora: Path):
    """The 67 articles come back from IOB files that mark none."""
    names = ("craft_iob_train.tsv.gz", "craft_iob_devel.tsv.gz", "craft_iob_test.tsv.gz")
    iob: list[AnnotatedDocument] = [
        document for name in names for document in load_corpus(corpora / "craft" / name).documents
    ]
    standoff = load_corpus(corpora / "craft" / "craft_v5.0.2_dev67.jsonl.gz")
    assert len(iob) == len(standoff.documents) == 67
    # The conversion lost accents and Greek letters, so the titles are compared by what both have.
    titles, original = (
        {re.sub(r"[^A-Za-z]", "", document.text.split("\n")[0])[:40] for document in documents}
        for documents in (iob, standoff.documents)
    )
    assert len(titles & original) >= 60
    assert standoff.discontinuous == 456
