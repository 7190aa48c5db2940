from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from annotate.vocabulary import prune_vocabulary, text_lines
from comention.errors import AnnotatorError
from tests.annotate.models import CHARACTERS, SPECIAL, make_tokenizer

BASE = make_tokenizer(["rash", "zol", "##ast", "never", "##seen", "[unused1]"])


def test_pieces_in_use_single_characters_and_special_tokens_stay():
    pruned, kept = prune_vocabulary(BASE, ["Zolast rash"], 1)
    vocabulary = pruned.get_vocab()
    assert {"rash", "zol", "##ast", *SPECIAL, *CHARACTERS} <= vocabulary.keys()
    assert not {"never", "##seen", "[unused1]"} & vocabulary.keys()
    assert [BASE.id_to_token(index) for index in kept] == [pruned.id_to_token(index) for index in range(len(kept))]


def test_text_in_the_field_is_cut_as_before_and_other_text_has_no_unknown_words():
    pruned, _ = prune_vocabulary(BASE, ["Zolast rash"], 1)
    assert pruned.encode("zolast, rash").tokens == BASE.encode("zolast, rash").tokens
    assert pruned.encode("never").tokens == ["[CLS]", "n", "##e", "##v", "##e", "##r", "[SEP]"]


def test_a_piece_must_occur_often_enough():
    pruned, _ = prune_vocabulary(BASE, ["rash zolast", "rash"], 2)
    assert pruned.token_to_id("rash") is not None
    assert pruned.token_to_id("zol") is None


def test_another_kind_of_vocabulary_is_refused():
    with pytest.raises(AnnotatorError, match=r"only a WordPiece vocabulary .* has BPE"):
        prune_vocabulary(Tokenizer(BPE()), [], 1)


def test_of_pubmed_xml_the_titles_and_abstracts_are_read(tmp_path: Path):
    path = tmp_path / "part.xml.gz"
    path.write_bytes(
        gzip.compress(
            b"<Author>Nobody</Author><ArticleTitle>A <i>rash</i></ArticleTitle>\n"
            b'<AbstractText Label="X">p &lt; 1</AbstractText><AbstractText>Two</AbstractText>\n'
        )
    )
    assert [" ".join(line.split()) for line in text_lines(path)] == ["A rash", "p < 1", "Two"]
    plain = tmp_path / "part.txt"
    plain.write_text("one\ntwo\n")
    assert list(text_lines(plain)) == ["one", "two"]
    negative = tmp_path / "ADE-NEG.txt"
    negative.write_text("123 NEG A rash of 12 NEG cells.\n45 days later\n")
    assert list(text_lines(negative)) == ["A rash of 12 NEG cells.", "45 days later"]
