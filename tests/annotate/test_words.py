"""Tokenizers made of what a folder has, and the words that they see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annotate.folder import open_folder
from annotate.words import FoundWords, MarkedWords, open_words, word_bounds
from comention.errors import AnnotatorError
from tests.annotate.models import make_shape, make_tokenizer, write_hub_folder
from tests.annotate.other_models import byte_level, sentence_pieces, word_pieces


@pytest.fixture
def old_folder(tmp_path: Path) -> Callable[..., Path]:
    """A Hugging Face folder as old ones are: a list of word pieces and what is said of it."""

    def write(pieces: list[str], stated: dict[str, object] | None = None, **config: object) -> Path:
        tokenizer = make_tokenizer(pieces)
        path = write_hub_folder(tmp_path / "old", tokenizer, {**make_shape(tokenizer).to_config(), **config}, {})
        (path / "tokenizer.json").unlink()
        vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
        (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        if stated is not None:
            (path / "tokenizer_config.json").write_text(json.dumps(stated))
        return path

    return write


def tokens(path: Path, text: str) -> list[str]:
    return list(open_words(path).tokenizer.encode(text, add_special_tokens=False).tokens)


def test_a_list_of_word_pieces_gives_the_tokenizer_that_transformers_makes(old_folder: Callable[..., Path]):
    from transformers import BertTokenizerFast

    path = old_folder(["aspirin", "##e", "zoë", "sjo"], {"do_lower_case": True})
    theirs = BertTokenizerFast(str(path / "vocab.txt"), do_lower_case=True)
    for text in ("Aspirine, Zoë Sjögren 阿司", "a\x00b\u200b c\u0301 [SEP]x", "5-fluorouracil/α-tocopherol"):
        expected = theirs(text.replace("[SEP]", ""), add_special_tokens=False).tokens()
        assert tokens(path, text.replace("[SEP]", "")) == expected
    assert "[SEP]" not in tokens(path, "[SEP]")


@pytest.mark.parametrize(
    ("stated", "config", "expected"),
    [
        ({"do_lower_case": False}, {}, "Zoë"),
        ({"do_lower_case": True}, {}, "zoe"),
        ({"do_lower_case": True, "strip_accents": False}, {}, "zoë"),
        ({}, {"do_lower_case": True}, "zoe"),
        (None, {"do_lower_case": True}, "zoe"),
        (None, {}, "Zoë"),  # nobody says, but the vocabulary has capitals
    ],
)
def test_what_a_folder_says_of_capitals_and_accents_holds(
    old_folder: Callable[..., Path], stated: dict[str, object] | None, config: dict[str, object], expected: str
):
    assert tokens(old_folder(["Zoë", "zoë", "zoe"], stated, **config), "Zoë") == [expected]


def test_tokenizer_config_has_the_last_word_over_tokenizer_json(random_folder: Path, tmp_path: Path):
    path = shutil.copytree(random_folder, tmp_path / "copy")
    assert tokens(path, "ASPIRIN") == ["as", "##pi", "##rin"]
    (path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert tokens(path, "ASPIRIN") == ["[UNK]"]


def test_a_vocabulary_that_is_none_is_refused(old_folder: Callable[..., Path]):
    path = old_folder([])
    (path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(AnnotatorError, match=r"has no \[UNK\] and no \[CLS\] and no \[SEP\]"):
        open_words(path)
    (path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(AnnotatorError, match="not UTF-8"):
        open_words(path)
    (path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(AnnotatorError, match=r"tokenizer_config\.json is not a JSON object"):
        open_words(path)


def test_transformers_makes_a_tokenizer_of_other_vocabularies(tmp_path: Path):
    """RoBERTa's two files: a vocabulary and its merges."""
    tokenizer = make_tokenizer()
    path = write_hub_folder(
        tmp_path / "roberta", tokenizer, {"model_type": "roberta", "id2label": {"0": "O", "1": "Drug"}}, {}
    )
    (path / "tokenizer.json").unlink()
    byte_level().model.save(str(path))
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}')
    open_folder(path)
    words = open_words(path)
    assert isinstance(words, FoundWords)
    text = "aspirin, (rash)"
    encoding = words.tokenizer.encode(text, add_special_tokens=False)
    at, until = word_bounds(text, encoding, words.starts([text], [encoding], np.array(encoding.ids, dtype=np.int64)))
    assert [text[a:b] for a, b in zip(at, until, strict=True)] == ["aspirin", ",", "(", "rash", ")"]


def test_a_folder_without_a_tokenizer_is_refused(random_folder: Path, tmp_path: Path):
    path = shutil.copytree(random_folder, tmp_path / "copy")
    (path / "tokenizer.json").unlink()
    with pytest.raises(AnnotatorError, match=r"the model folder .*copy has no tokenizer\.json"):
        open_folder(path)


TEXTS = {
    "Aspirin-induced rash (5 mg/kg).": ["Aspirin", "-", "induced", "rash", "(", "5", "mg", "/", "kg", ")", "."],
    "α-tocopherol  β2": ["α", "-", "tocopherol", "β2"],
    "B12, IL-2": ["B12", ",", "IL", "-", "2"],
    "\u00a0a\u2009b\n": ["a", "b"],
    "Sjo\u0308gren e\u0301, x\u0301": ["Sjo\u0308gren", "e\u0301", ",", "x\u0301"],
    "\U0001f600 \U00010330rash": ["\U0001f600", "\U00010330rash"],
    "": [],
    " \t": [],
    "\u200b": [],
    "\u200brash\u200b \x00": ["rash"],
}


@pytest.mark.parametrize("make", [byte_level, sentence_pieces, word_pieces])
@pytest.mark.parametrize("text", TEXTS)
def test_every_kind_of_tokenizer_sees_the_words_of_bert(make: Callable[[], object], text: str):
    tokenizer = make()
    words = MarkedWords(tokenizer) if make is word_pieces else FoundWords(tokenizer)
    encoding = tokenizer.encode(text, add_special_tokens=False)
    at, until = word_bounds(text, encoding, words.starts([text], [encoding], np.array(encoding.ids, dtype=np.int64)))
    assert [text[a:b] for a, b in zip(at, until, strict=True)] == TEXTS[text]


def test_special_pieces_are_those_of_the_tokenizers_own_form():
    assert (FoundWords(byte_level()).before, FoundWords(byte_level()).behind) == ((0,), (2,))
    marked = MarkedWords(word_pieces())
    assert (marked.before, marked.behind) == ((2,), (3,))
