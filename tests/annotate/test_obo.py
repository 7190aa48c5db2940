"""Ontologies in OBO format, and lists of names from files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from annotate.corpora import AnnotatedSentence, Span
from annotate.name_lists import load_names, mentioned_names
from annotate.obo import read_obo
from comention.errors import AnnotatorError

OBO = r"""format-version: 1.2
synonymtypedef: PLURAL "plural term"

[Term]
id: CL:1
name: mast_cell ! a comment
synonym: "mastocyte" EXACT [FMA:1]
synonym: "histaminocyte \"h\"" RELATED PLURAL [X:1 "x"]
synonym: "cell" BROAD []
synonym: "labrocyte" []
related_synonym: "tissue basophil" []

[Term]
id: CL:2
name: gone cell
is_obsolete: true

[Typedef]
id: part_of
name: part of

[Term]
id: CL:3
name: B cell
xref: X:3
is_obsolete: false

[Term]
id: CL:4
"""


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_terms_have_their_names_and_synonyms_and_obsolete_ones_are_left_out(tmp_path: Path):
    first, second = read_obo(write(tmp_path / "a.obo", OBO))
    assert first.names() == ["mast_cell", "mastocyte", 'histaminocyte "h"', "labrocyte", "tissue basophil"]
    assert ("cell", "BROAD") in first.synonyms
    assert (second.identifier, second.names()) == ("CL:3", ["B cell"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no OBO file"),
        ("hello: there\n", "is no OBO file"),
        ("[Term]\nid: X:1\nnonsense\n", r"line 3: 'nonsense' is no 'tag: value'"),
        ('[Term]\nname: x\nsynonym: "open\n', r"line 3: the synonym has no text"),
    ],
)
def test_a_broken_obo_file_is_named(tmp_path: Path, content: str, message: str):
    with pytest.raises(AnnotatorError, match=rf"a\.obo.*{message}"):
        list(read_obo(write(tmp_path / "a.obo", content)))


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "a.obo.gz").write_bytes(gzip.compress(OBO.encode()))
    write(tmp_path / "empty.obo", "[Term]\nname: 5-1\n")
    write(
        tmp_path / "mesh.tsv",
        'name\ttree\tother\nReceptors, Prolactin\tD12.776.1\tx|y z\nRice\tB01\ta|b\n"Mice, Inbred, NZB"\tB02\tx|c\n',
    )
    write(tmp_path / "short.tsv", "name\ttree\nx\n")
    return tmp_path


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("a.obo.gz", ["mast cell", "mastocyte", 'histaminocyte "h"', "labrocyte", "tissue basophil", "B cell"]),
        ("mesh.tsv", ["Receptors, Prolactin", "Rice", "Mice, Inbred, NZB"]),
        ("mesh.tsv?column=name&where=tree:B", ["Rice", "Mice, Inbred, NZB"]),
        ("mesh.tsv?inverted=yes", ["Prolactin Receptors", "Rice"]),
        ("mesh.tsv?column=other&split=|", ["x", "y z", "a", "b", "c"]),
    ],
)
def test_a_list_is_named_by_file_and_column(lists: Path, reference: str, names: list[str]):
    assert load_names(lists, reference) == names


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no.obo", r"no\.obo does not exist"),
        ("empty.obo", "holds no usable name"),
        ("a.obo.gz?column=x", "an OBO file has no columns"),
        ("mesh.tsv?column=x", "no column 'x'; it has name, tree, other"),
        ("mesh.tsv?where=x:B", "no column 'x'"),
        ("mesh.tsv?where=tree:Z", "no usable name"),
        ("mesh.tsv?colum=x", "'colum=x' is none of column="),
        ("mesh.tsv?inverted=no", "'inverted=no' is none of"),
        ("short.tsv?where=tree:B", "row 2: 1 columns instead of 2"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_reason(lists: Path, reference: str, message: str):
    with pytest.raises(AnnotatorError, match=message):
        load_names(lists, reference)


def test_mentions_of_a_corpus_are_a_list_too():
    spans = (Span(start_char=0, end_char=4, label="Taxon"), Span(start_char=5, end_char=9, label="Gene"))
    sentence = AnnotatedSentence(pmid=1, start_char=0, text="mice Pax6", spans=spans)
    assert mentioned_names([sentence, sentence], "Taxon") == ["mice"]


def test_the_real_ontologies_load(corpora: Path):
    names = load_names(corpora, "terminology/cl_2014.obo.gz")
    assert "T cell" in names
    assert len(names) > 3000
    assert not any("_" in name for name in load_names(corpora, "terminology/so.obo.gz"))
