from __future__ import annotations

import gzip
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.corpora import AnnotatedDocument, Corpus, Span, disjoint_spans, load_corpus, split_document
from comention.errors import AnnotatorError

CORPORA = Path(os.environ.get("COMENTION_CORPORA", Path(__file__).parents[3] / "shared" / "data"))

PUBTATOR = """1|t|Zolast rash in a child.
1|a|Zolast (5 mg) caused a β-rash. The Zolast was stopped.
1\t0\t6\tZolast\tChemical\tD1
1\t7\t11\trash\tDisease\tD2
1\t24\t30\tZolast\tChemicalEntity\tD1
1\t47\t53\tβ-rash\tDiseaseOrPhenotypicFeature\tD2
1\t17\t22\tchild\tSomething\t9606
1\tCID\tD1\tD2

2|t|Nothing here.
2|a|

"""


class FullStops:
    """Cuts after every full stop."""

    name = "full stops"

    def split(self, text: str) -> list[tuple[int, int]]:
        bounds, start = [], 0
        for end, character in enumerate(text, start=1):
            if character == "." or end == len(text):
                start += len(text[start:end]) - len(text[start:end].lstrip())
                if start < end:
                    bounds.append((start, end))
                start = end
        return bounds


def slices(document: AnnotatedDocument) -> list[tuple[str, str]]:
    return [(document.text[span.start_char : span.end_char], span.label) for span in document.spans]


@pytest.fixture
def pubtator(tmp_path: Path) -> Path:
    path = tmp_path / "made_up.PubTator.txt"
    path.write_text(PUBTATOR, encoding="utf-8")
    return path


def test_pubtator_spans_are_slices_of_title_newline_abstract(pubtator: Path):
    corpus = load_corpus(pubtator)
    first, second = corpus.documents
    assert corpus.name == "made_up"
    assert corpus.labels == ("Drug", "Condition")
    assert slices(first) == [("Zolast", "Drug"), ("rash", "Condition"), ("Zolast", "Drug"), ("β-rash", "Condition")]
    assert first.text[first.parts[0][1]] == "\n"
    assert (second.text, second.spans, second.parts) == ("Nothing here.", (), ((0, 13),))


def test_a_gzipped_file_reads_the_same(pubtator: Path, tmp_path: Path):
    packed = tmp_path / "made_up.PubTator.gz"
    packed.write_bytes(gzip.compress(pubtator.read_bytes()))
    assert load_corpus(packed) == load_corpus(pubtator)


def test_only_the_types_that_occur_count_as_annotated(tmp_path: Path):
    path = tmp_path / "diseases.txt"
    path.write_text("1|t|A rash.\n1|a|\n1\t2\t6\trash\tSpecificDisease\tD2\n", encoding="utf-8")
    assert load_corpus(path).labels == ("Condition",)


def test_quotation_marks_that_ncbi_disease_drops_are_tolerated(tmp_path: Path):
    path = tmp_path / "quoted.txt"
    path.write_text('1|t|A rash "plus".\n1|a|\n1\t2\t12\trash  plus\tModifier\tD2\n', encoding="utf-8")
    assert slices(load_corpus(path).documents[0]) == [('rash "plus', "Condition")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1|t|A rash.\n1\t3\t7\trash\tDisease\tD2\n", r"line 2: the offsets 3-7 do not give 'rash' in PMID 1"),
        ("1|t|A rash.\n1\t2\t60\trash\tDisease\tD2\n", r"line 2"),
        ("hello\n", r"line 1: this is not PubTator"),
        ("\n", r"no document"),
    ],
)
def test_a_broken_pubtator_line_is_named(tmp_path: Path, content: str, message: str):
    path = tmp_path / "broken.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AnnotatorError, match=rf"broken\.txt.*{message}"):
        load_corpus(path)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path):
    with pytest.raises(AnnotatorError, match=r"nowhere\.txt does not exist"):
        load_corpus(tmp_path / "nowhere.txt")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(PUBTATOR.encode())[:40])
    with pytest.raises(AnnotatorError, match=r"cut\.txt\.gz cannot be read"):
        load_corpus(tmp_path / "cut.txt.gz")


ADE = """7|Zolast and Zolast acid caused rash and a Zolast rash.|rash|130|134|Zolast|100|106
7|Zolast and Zolast acid caused rash and a Zolast rash.|rash|130|134|Zolast acid|111|122
7|Zolast and Zolast acid caused rash and a Zolast rash.|Zolast rash|141|152|Zolast|141|147
8|Rash after Zolast.|Rash|9|13|Zolast|20|26
"""


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    (tmp_path / "DRUG-AE.rel").write_text(ADE, encoding="utf-8")
    return tmp_path


def test_the_rows_of_an_ade_sentence_are_merged(ade: Path):
    corpus = load_corpus(ade)
    first, second = corpus.documents
    assert slices(first) == [
        ("Zolast", "Drug"),
        ("Zolast acid", "Drug"),
        ("rash", "Condition"),
        ("Zolast", "Drug"),
        ("Zolast rash", "Condition"),
    ]
    assert slices(second) == [("Rash", "Condition"), ("Zolast", "Drug")]


def test_drugs_with_doses_are_added_to_ade_sentences_only(ade: Path):
    rows = "8|Rash after Zolast.|Rash|9|13|after|14|19\n9|5 mg Zolast.|5 mg|0|4|Zolast|5|11\n"
    (ade / "DRUG-DOSE.rel").write_text(rows, encoding="utf-8")
    corpus = load_corpus(ade / "DRUG-AE.rel")
    assert [document.pmid for document in corpus.documents] == [7, 8]
    assert slices(corpus.documents[1]) == [("Rash", "Condition"), ("after", "Drug"), ("Zolast", "Drug")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("8|Rash after Zolast.|Rash|9|13|Zolast|21|27", "do not fit the sentence of PMID 8"),
        ("8|Rash after Zolast.|Rash|90|94|Zolast|20|26", "do not fit"),
        ("8|Rash after Zolast.|Rash|x|13|Zolast|20|26", "not a number"),
        ("8|Rash after Zolast.|Rash|9|13", "5 fields instead of 8"),
    ],
)
def test_a_broken_ade_row_is_named(ade: Path, row: str, message: str):
    (ade / "DRUG-AE.rel").write_text(ADE + row + "\n", encoding="utf-8")
    with pytest.raises(AnnotatorError, match=rf"DRUG-AE\.rel, line 5: .*{message}"):
        load_corpus(ade)


def test_sentences_have_the_spans_that_lie_inside_them(pubtator: Path):
    document = load_corpus(pubtator).documents[0]
    sentences = split_document(document, FullStops())
    assert [sentence.text for sentence in sentences] == [
        "Zolast rash in a child.",
        "Zolast (5 mg) caused a β-rash.",
        "The Zolast was stopped.",
    ]
    for sentence in sentences:
        assert document.text[sentence.start_char :].startswith(sentence.text)
    assert [sentence.text[s.start_char : s.end_char] for sentence in sentences for s in sentence.spans] == [
        "Zolast",
        "rash",
        "Zolast",
        "β-rash",
    ]


def test_a_span_that_crosses_sentences_is_in_none():
    spans = (Span(start_char=0, end_char=4, label="Drug"),)
    document = AnnotatedDocument(pmid=1, text="A. B", spans=spans, parts=((0, 4),))
    assert [sentence.spans for sentence in split_document(document, FullStops())] == [(), ()]


def test_of_overlapping_spans_the_longer_is_kept():
    drug, effect = Span(start_char=3, end_char=9, label="Drug"), Span(start_char=3, end_char=14, label="Condition")
    apart = Span(start_char=14, end_char=16, label="Drug")
    assert disjoint_spans([apart, drug, effect]) == [effect, apart]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=12))
def test_disjoint_spans_are_disjoint_sorted_and_cover_every_dropped_one(pairs: list[tuple[int, int]]):
    spans = [Span(start_char=start, end_char=start + length, label="Drug") for start, length in pairs]
    kept = disjoint_spans(spans)
    assert all(before.end_char <= after.start_char for before, after in pairwise(kept))
    assert all(any(k.start_char < s.end_char and s.start_char < k.end_char for k in kept) for s in spans)


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"the corpora are not at {CORPORA}; set COMENTION_CORPORA")
@pytest.mark.parametrize(
    ("path", "documents", "spans"),
    [
        ("ade", 2991, 7569),
        ("bc5cdr/CDR_TrainingSet.PubTator.txt.gz", 500, 9385),
        ("bc5cdr/CDR_DevelopmentSet.PubTator.txt.gz", 500, 9591),
        ("ncbi_disease/NCBIdisease_TrainDev.PubTator.gz", 693, 5932),
        ("biored/BioRED_Train.filtered.PubTator.gz", 346, 10438),
        ("biored/BioRED_Train.filtered.PubTator.gz?labels=Drug,Condition", 346, 5016),
        ("craft/craft_iob_train.tsv.gz", 34, 29026),
        ("craft/craft_iob_devel.tsv.gz", 11, 9727),
        ("craft/craft_iob_test.tsv.gz", 22, 18881),
        ("craft/craft_v5.0.2_dev67.jsonl.gz", 67, 41107),
        ("craft/craft_v5.0.2_dev67.jsonl.gz?spans=all", 67, 70018),
    ],
)
def test_the_real_corpora_load_whole(path: str, documents: int, spans: int):
    corpus: Corpus = load_corpus(CORPORA / path)
    assert len(corpus.documents) == documents
    assert sum(len(document.spans) for document in corpus.documents) == spans
