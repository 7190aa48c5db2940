from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.lexicon import NameFinder, load_typed_names
from comention.errors import AnnotatorError

FINDER = NameFinder({"Chemical": ["aspirin", "acetyl salicylic acid"], "Condition": ["heart failure", "heart"]})


def found(text: str, finder: NameFinder = FINDER) -> list[tuple[str, str]]:
    return [(text[span.start_char : span.end_char], span.label) for span in finder.find(text)]


def test_the_longest_name_is_found_whatever_its_case():
    assert found("Aspirin in Heart  failure; the HEART.") == [
        ("Aspirin", "Chemical"),
        ("Heart  failure", "Condition"),
        ("HEART", "Condition"),
    ]


def test_a_name_is_whole_words_and_does_not_run_over_the_end():
    assert found("aspirins, heartburn") == []
    assert found("a failure of the heart") == [("heart", "Condition")]
    assert found("acetyl salicylic") == []


@given(st.text("ahe -rtfilu\n", max_size=60))
def test_what_is_found_is_a_name_and_nothing_overlaps(text: str):
    spans = FINDER.find(text)
    names = {"aspirin", "acetyl salicylic acid", "heart failure", "heart"}
    assert all(" ".join(text[span.start_char : span.end_char].split()) in names for span in spans)
    assert all(before.end_char <= after.start_char for before, after in pairwise(spans))


def test_only_texts_with_a_name_are_kept():
    sentences = FINDER.annotate(["Nothing.", "Aspirin."])
    assert [sentence.text for sentence in sentences] == ["Aspirin."]


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    names, trees = tmp_path / "names.tsv", tmp_path / "trees.tsv"
    trees.write_text("id\tname\ttree\nD1\tx\tD12.7\nD1\tx\tD02.1\nD2\ty\tC14\n")
    names.write_text(
        "name\tid\tsource\ninsulin\tD1\tmesh\nangina\tD2\tmesh\nrare disease\tC9\tmondo\nrare disease too\tC9\tmixed\n"
        "new drug\tC8\tmixed\nabc\tD2\tmesh\n12345\tD2\tmesh\na b c d e f g h i\tD2\tmesh\nstray\tC7\telsewhere\n"
    )
    return names, trees


def test_a_name_has_the_type_of_its_tree_numbers_or_of_its_source(tables: tuple[Path, Path]):
    types = {"Condition": ("C",), "Protein": ("D12",), "Chemical": ("D",)}
    assert load_typed_names(*tables, types, {"mondo": "Condition", "mixed": "Chemical"}) == {
        "Chemical": ["new drug"],
        "Condition": ["angina", "rare disease", "rare disease too"],
        "Protein": ["insulin"],
    }


def test_a_terminology_that_cannot_be_used_is_named(tables: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(AnnotatorError, match=r"no\.tsv does not exist"):
        load_typed_names(tables[0], tmp_path / "no.tsv", {}, {})
    tables[1].write_text("id\tname\n")
    with pytest.raises(AnnotatorError, match=r"trees\.tsv, line 1: 2 columns instead of 3"):
        load_typed_names(*tables, {}, {})
