"""Parts of corpora, and the references that select them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.corpora import AnnotatedDocument, Corpus, load_corpus
from annotate.splits import Split, split_ade_card, split_fold, split_share
from comention.errors import AnnotatorError
from tests.conftest import ROOT


def corpus_of(pmids: list[int]) -> Corpus:
    documents = tuple(
        AnnotatedDocument(pmid=pmid, text=f"sentence {number}", spans=()) for number, pmid in enumerate(pmids)
    )
    return Corpus(name="made", labels=("Drug",), documents=documents)


def pmids(corpus: Corpus) -> set[int]:
    return {document.pmid for document in corpus.documents}


def assert_parts(split: Split, whole: Corpus) -> None:
    """The parts have no article in common, and together they are the whole, in its order."""
    assert not pmids(split.train) & pmids(split.test)
    tested = set(split.test.documents)
    assert [one for one in whole.documents if one in tested] == list(split.test.documents)
    assert [one for one in whole.documents if one not in tested] == list(split.train.documents)
    assert split.test.documents
    assert split.train.documents


MANY_PMIDS = st.lists(st.integers(1, 40), min_size=2, max_size=80).filter(lambda found: len(set(found)) > 1)


@given(MANY_PMIDS, st.integers(0, 5), st.data())
def test_no_article_is_on_both_sides_of_a_fold_and_every_article_is_tested_once(
    found: list[int], seed: int, data: st.DataObject
):
    corpus = corpus_of(found)
    folds = data.draw(st.integers(2, len(set(found))))
    splits = [split_fold(corpus, number, folds, seed) for number in range(folds)]
    for split in splits:
        assert_parts(split, corpus)
    assert sorted(pmid for split in splits for pmid in pmids(split.test)) == sorted(set(found))
    sizes = [len(pmids(split.test)) for split in splits]
    assert max(sizes) - min(sizes) <= 1


@given(MANY_PMIDS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_no_article_is_on_both_sides_of_a_share(found: list[int], share: float, seed: int):
    corpus = corpus_of(found)
    split = split_share(corpus, share, seed)
    assert_parts(split, corpus)
    assert abs(len(pmids(split.test)) - share * len(set(found))) <= 1


def test_the_seed_decides_and_the_order_of_documents_does_not():
    corpus = corpus_of(list(range(1, 101)))
    backwards = Corpus(name="made", labels=("Drug",), documents=corpus.documents[::-1])
    assert pmids(split_fold(corpus, 0, 10).test) == pmids(split_fold(backwards, 0, 10).test)
    assert pmids(split_fold(corpus, 0, 10).test) != pmids(split_fold(corpus, 0, 10, seed=1).test)
    assert pmids(split_share(corpus, 0.2).test) != pmids(split_share(corpus, 0.2, seed=1).test)


def test_the_parts_are_the_same_in_every_process_and_release():
    """The second line pins the parts, so that figures of one release can be compared with another's."""
    program = (
        "from tests.annotate.test_splits import *\n"
        "print(sorted(pmids(split_fold(corpus_of(list(range(1, 31))), 0, 5).test)))\n"
        "print([d.pmid for d in split_ade_card(corpus_of(list(range(1, 13)))).test.documents])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {"[4, 5, 12, 15, 17, 19]\n[1, 7, 8]\n"}


def test_the_card_s_protocol_takes_a_quarter_of_the_unique_sentences():
    documents = tuple(AnnotatedDocument(pmid=n, text=f"sentence {n // 2}", spans=()) for n in range(202))
    split = split_ade_card(Corpus(name="ade", labels=(), documents=documents))
    texts = [{document.text for document in part.documents} for part in (split.train, split.test)]
    assert [len(part) for part in texts] == [75, 26]
    assert not texts[0] & texts[1]
    assert len(split.train.documents) + len(split.test.documents) == 202


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda corpus: split_fold(corpus, 3, 3), "no fold 3 of 3"),
        (lambda corpus: split_fold(corpus, 0, 1), "no fold 0 of 1"),
        (lambda corpus: split_fold(corpus, 0, 9), "4 groups, too few for 9 folds"),
        (lambda corpus: split_share(corpus, 1.0), "share of 1.0"),
        (lambda corpus: split_share(corpus_of([1, 1]), 0.5), "1 groups, too few"),
        (lambda corpus: split_ade_card(corpus_of([1])), "1 sentences, too few"),
    ],
)
def test_a_split_that_cannot_be_is_refused(call: Callable[[Corpus], Split], message: str):
    with pytest.raises(ValueError, match=message):
        call(corpus_of([1, 2, 3, 4]))


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    rows = "".join(
        f"{pmid}|Rash after Zolast {n}.|Rash|9|13|Zolast|20|26\n" for n, pmid in enumerate([7, 7, 8, 9, 9, 10])
    )
    (tmp_path / "DRUG-AE.rel").write_text(rows, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("way", ["fold=1/3", "fold=0/2&seed=5", "share=0.25", "protocol=ade-card"])
def test_a_reference_selects_a_part_and_its_complement(ade: Path, way: str):
    train, test = load_corpus(f"{ade}?{way}&part=train"), load_corpus(f"{ade}?part=test&{way}")
    whole = load_corpus(ade).documents
    assert sorted([*train.documents, *test.documents], key=whole.index) == list(whole)
    assert test.name == f"ade?part=test&{way}"
    assert train.guideline == "ade"


def test_a_reference_selects_and_renames_labels(ade: Path):
    corpus = load_corpus(Path(f"{ade}?labels=Condition"))
    assert corpus.labels == ("Condition",)
    assert {span.label for document in corpus.documents for span in document.spans} == {"Condition"}
    assert load_corpus(f"{ade}?labels=Drug:Chemical,Condition&guideline=mine").labels == ("Condition", "Chemical")
    assert load_corpus(f"{ade}?guideline=mine").guideline == "mine"


def test_types_without_a_label_can_be_selected_by_name(tmp_path: Path):
    path = tmp_path / "b.txt"
    path.write_text("1|t|A V600E rash.\n1|a|\n1\t2\t7\tV600E\tSequenceVariant\tx\n1\t8\t12\trash\tDisease\ty\n")
    assert load_corpus(path).labels == ("Condition",)
    assert load_corpus(f"{path}?labels=SequenceVariant:Variant,Condition").labels == ("Condition", "Variant")
    assert load_corpus(f"{path}?labels=Disease").labels == ("Condition",)


def test_a_path_with_a_question_mark_of_its_own_is_a_path(ade: Path, tmp_path: Path):
    odd = tmp_path / "what?fold=x.rel"
    odd.write_bytes((ade / "DRUG-AE.rel").read_bytes())
    assert len(load_corpus(odd).documents) == 6
    assert len(load_corpus(f"{odd}?labels=Drug").documents) == 6


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("fold=3/3&part=test", "no fold 3 of 3"),
        ("fold=0/99&part=test", "4 groups, too few for 99 folds"),
        ("fold=a/3&part=test", "fold=a/3 is not K/N"),
        ("fold=0/3", "add part=train or part=test"),
        ("part=test", "say what part=test is part of"),
        ("fold=0/3&share=0.5&part=test", "fold and share exclude one another"),
        ("fold=0/3&part=dev", "part=dev is not train or test"),
        ("share=many&part=test", "share=many is no number"),
        ("share=nan&part=test", "between 0 and 1"),
        ("share=1.5&part=test", "between 0 and 1"),
        ("seed=3", "seed= goes with"),
        ("fold=0/3&part=test&seed=x", "seed=x is no whole number"),
        ("protocol=mine&part=test", "protocol=mine is not ade-card"),
        ("folds=0/3", "'folds=0/3' is none of labels="),
        ("part=test&part=test&fold=0/3", "part is given twice"),
        ("labels=Gene", "does not annotate 'Gene'; it has Drug, Condition"),
        ("labels=Drug,Drug", "names Drug twice"),
        ("labels=Drug,,", "no list of LABEL"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused_with_the_reason(ade: Path, query: str, message: str):
    with pytest.raises(AnnotatorError, match=message):
        load_corpus(f"{ade}?{query}")


@pytest.mark.parametrize("number", range(10))
def test_no_article_of_ade_is_on_both_sides_of_a_fold(corpora: Path, number: int):
    whole = load_corpus(corpora / "ade")
    assert_parts(split_fold(whole, number, 10), whole)
