from __future__ import annotations

from pathlib import Path

import pytest

from annotate.corpora import AnnotatedDocument, Corpus
from annotate.held_out import HeldOut

LONG = "Amiodarone caused thyrotoxicosis in {} of the patients who took it."


class Lines:
    """Takes every line for a sentence."""

    name = "lines"

    def split(self, text: str) -> list[tuple[int, int]]:
        spans, at = [], 0
        for line in text.split("\n"):
            spans.append((at, at + len(line)))
            at += len(line) + 1
        return [(start, end) for start, end in spans if start < end]


def corpus(*documents: tuple[int, str]) -> Corpus:
    return Corpus(
        name="seen",
        labels=("Drug",),
        documents=tuple(
            AnnotatedDocument(pmid=pmid, text=text, spans=(), parts=((0, len(text)),)) for pmid, text in documents
        ),
    )


@pytest.fixture
def held_out(tmp_path: Path) -> HeldOut:
    path = tmp_path / "scored.PubTator"
    path.write_text(f"7|t|{LONG.format('five')}\n7|a|Results.\n7\t0\t10\tAmiodarone\tChemical\tX\n")
    return HeldOut([str(path)], Lines())


def kept(held_out: HeldOut, *documents: tuple[int, str]) -> list[str]:
    return [sentence.text for sentence in held_out.sentences(corpus(*documents))]


def test_a_document_with_a_pmid_that_is_held_out_is_left_out_whole(held_out: HeldOut):
    assert kept(held_out, (7, "Another text of the same article."), (8, "Of another article.")) == [
        "Of another article."
    ]
    assert held_out.left_out == 1


def test_a_sentence_is_known_again_without_its_pmid_in_other_spacing_and_case(held_out: HeldOut):
    tokens = LONG.format("five").upper().replace(".", " .")
    assert kept(held_out, (0, f"{tokens}\nA sentence of its own.")) == ["A sentence of its own."]
    assert held_out.has_sentence(tokens)


def test_a_text_that_shares_much_is_the_same_text(held_out: HeldOut, tmp_path: Path):
    two = f"9|t|{LONG.format('six')}\n9|a|{LONG.format('seven')}\n"
    (tmp_path / "two.PubTator").write_text(two)
    both = HeldOut([str(tmp_path / "two.PubTator")], Lines())
    assert kept(both, (0, f"{LONG.format('six')}\n{LONG.format('seven')}\nMore of it.")) == []
    assert both.left_out == 3


def test_short_sentences_stand_in_any_text(held_out: HeldOut):
    assert kept(held_out, (0, "Results.")) == ["Results."]


def test_under_a_protocol_that_splits_sentences_only_sentences_are_held_out(tmp_path: Path):
    sentences = [LONG.format(number) for number in ("one", "two", "three", "four")]
    rows = "".join(f"7|{text}|thyrotoxicosis|18|32|Amiodarone|0|10\n" for text in sentences)
    (tmp_path / "DRUG-AE.rel").write_text(rows)
    reference = f"{tmp_path / 'DRUG-AE.rel'}?protocol=ade-card&part="
    held = HeldOut([reference + "test"], Lines())
    scored = {document.text for document in held.corpora[0].documents}
    assert set(kept(held, *((7, text) for text in sentences))) == set(sentences) - scored
