"""Words of a text as a model's tokenizer has them: which pieces begin one, and where each stands in code points.

A word is what BERT's pre-tokenizer takes for one: what stands between white space, with each punctuation mark by itself.
WordPiece tokenizers cut so themselves. Byte-level BPE cuts "B12" in two and SentencePiece leaves "rash," one word, while the
corpora that models are trained on have the words of BERT; so there the words are found anew, as exact as the pieces allow.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotate.folder import OTHER_VOCABULARIES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, read_config, read_json_object
from annotate.pieces import is_word_piece, read_whole_texts, special_ids, word_starts
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_FIRST_MARK = "\u0300"
"""No combining mark stands before it in Unicode, and most texts have none behind it."""


class Words(Protocol):
    """A tokenizer, the special pieces that its model wants around a window, and the way to words."""

    tokenizer: Tokenizer
    before: tuple[int, ...]
    behind: tuple[int, ...]

    def starts(self, texts: Sequence[str], encodings: Sequence[Encoding], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask over the pieces of some texts, ``ids``: which begin a word."""
        ...

    def numbers(self, text: str, encoding: Encoding) -> list[int | None]:
        """Return the number of the word that each piece of a text belongs to, None for a piece of no word."""
        ...


class MarkedWords:
    """Words of a WordPiece tokenizer, whose pieces say themselves whether they continue a word."""

    def __init__(self, tokenizer: Tokenizer, *, own_ends: bool = False) -> None:
        """``own_ends``: what the tokenizer itself puts around a text, if it does, instead of [CLS] and [SEP]: MPNet has the
        pieces of BERT, these two among them, but was trained with others.
        """
        self.tokenizer = tokenizer
        cls, sep = special_ids(tokenizer)
        before, behind = _ends(tokenizer) if own_ends else ((), ())
        self.before: tuple[int, ...] = before or (cls,)
        self.behind: tuple[int, ...] = behind or (sep,)
        self._begins = word_starts(tokenizer)

    def starts(self, texts: Sequence[str], encodings: Sequence[Encoding], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask over the pieces of some texts, ``ids``: which begin a word."""
        return self._begins[ids]

    def numbers(self, text: str, encoding: Encoding) -> list[int | None]:
        """Return the number of the word that each piece of a text belongs to."""
        numbers: list[int | None] = encoding.word_ids
        return numbers


class FoundWords:
    """Words of any other tokenizer, found through its offsets."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.before, self.behind = _ends(tokenizer)

    def starts(self, texts: Sequence[str], encodings: Sequence[Encoding], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask over the pieces of some texts, ``ids``: which begin a word."""
        none = np.zeros(0, dtype=bool)
        return np.concatenate([none, *(self._starts(*one) for one in zip(texts, encodings, strict=True))])

    def numbers(self, text: str, encoding: Encoding) -> list[int | None]:
        """Return the number of the word that each piece of a text belongs to, None for those before the first."""
        return [number or None for number in np.cumsum(self._starts(text, encoding)).tolist()]

    def _starts(self, text: str, encoding: Encoding) -> NDArray[np.bool_]:
        begins = np.zeros(len(encoding.ids), dtype=bool)
        lone: tuple[int, int | None] | None = None
        last_end = -1
        for index, (offsets, word) in enumerate(zip(encoding.offsets, encoding.word_ids, strict=True)):
            start, end = _without_space(text, *offsets)
            if (
                start >= end
            ):  # the sign for a space, alone: it begins the word that the next piece shows, if they are one
                lone = lone if lone is not None and lone[1] == word else (index, word)
                continue
            # Pieces of one character, as bytes have them, share their offsets.
            if last_end < 0 or (start >= last_end and _cuts(text, start)):
                begins[lone[0] if lone is not None and lone[1] == word else index] = True
            lone, last_end = None, end
        return begins


def _ends(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the special pieces that a tokenizer puts before a text and behind it."""
    around = tokenizer.encode("a", add_special_tokens=True)
    own = [index for index, special in enumerate(around.special_tokens_mask) if not special]
    if not own:
        raise AnnotatorError("the tokenizer makes no piece of the letter a")
    return tuple(around.ids[: own[0]]), tuple(around.ids[own[-1] + 1 :])


def span_bounds(text: str, encoding: Encoding, first: int, behind: int, last: int, end: int) -> tuple[int, int]:
    """Return where a span of words of a tokenised text starts and ends, in code points, without the space around it.

    Its first word has the pieces from ``first`` to ``behind``, its last word those from ``last`` to ``end``. A word ends
    after the combining marks that follow it, which a normaliser drops.
    """
    at, until = encoding.token_to_chars(first) or (0, 0)
    if at >= until or _is_blank(text[at]):
        at, _ = _shown(text, encoding, first, behind)
    start, until = encoding.token_to_chars(end - 1) or (0, 0)
    if start >= until or _is_blank(text[until - 1]):
        _, until = _shown(text, encoding, last, end)
    if until < len(text) and text[until] >= _FIRST_MARK:
        until = _with_marks(text, until)
    return at, until


def word_places(text: str, encoding: Encoding, starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where the words of a tokenised text start, in code points; ``starts`` says which of its pieces begin one."""
    firsts = np.flatnonzero(starts).tolist()
    places = [
        span_bounds(text, encoding, first, behind, first, behind)[0]
        for first, behind in zip(firsts, [*firsts[1:], len(starts)], strict=True)
    ]
    return np.array(places, dtype=np.int64)


def _shown(text: str, encoding: Encoding, first: int, behind: int) -> tuple[int, int]:
    """Return where what the pieces of a word show starts and ends."""
    # One by one: `encoding.offsets` makes a list of all pieces, for each mention of a text anew.
    offsets = [encoding.token_to_chars(piece) or (0, 0) for piece in range(first, behind)]
    shown = [bounds for bounds in offsets if not all(map(_is_blank, text[slice(*bounds)]))]
    return _without_space(text, shown[0][0], shown[-1][1]) if shown else offsets[0]


def open_words(folder: Path) -> Words:
    """Load the tokenizer of a model folder.

    Raises:
        AnnotatorError: it cannot be read, or made of what is there.
    """
    tokenizer = read_whole_texts(_load(folder))
    if is_word_piece(tokenizer) and None not in map(tokenizer.token_to_id, ("[CLS]", "[SEP]")):
        return MarkedWords(tokenizer, own_ends=read_config(folder).get("model_type") != "bert")
    return FoundWords(tokenizer)


def _load(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    stated = _stated(folder)
    if (folder / TOKENIZER).is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # the library raises bare Exception
            raise AnnotatorError(f"the tokenizer {folder / TOKENIZER} cannot be read: {error}") from error
        if tokenizer.normalizer is not None and type(tokenizer.normalizer).__name__ == "BertNormalizer":
            _normalise_as_stated(tokenizer, stated)
        return tokenizer
    if (folder / VOCABULARY).is_file() and is_bert_like(folder):
        return _from_vocabulary(folder / VOCABULARY, stated)
    return _through_transformers(folder)


def is_bert_like(folder: Path) -> bool:
    """Tell whether a vocab.txt is a list of BERT's word pieces: other tokenizers keep other things under that name."""
    return not any((folder / name).is_file() for name in OTHER_VOCABULARIES)


def _stated(folder: Path) -> dict[str, Any]:
    """Return what the folder says of its tokenizer; old folders say ``do_lower_case`` in config.json."""
    path = folder / TOKENIZER_CONFIG
    stated = {name: value for name, value in read_config(folder).items() if name == "do_lower_case"}
    if path.is_file():
        stated |= read_json_object(path)
    return stated


def _normalise_as_stated(tokenizer: Tokenizer, stated: dict[str, Any]) -> None:
    """Let tokenizer_config.json have the last word, as it has in transformers, with which the model was trained."""
    from tokenizers.normalizers import BertNormalizer

    old = tokenizer.normalizer
    tokenizer.normalizer = BertNormalizer(
        clean_text=old.clean_text,
        handle_chinese_chars=stated.get("tokenize_chinese_chars", old.handle_chinese_chars),
        strip_accents=stated.get("strip_accents", old.strip_accents),
        lowercase=stated.get("do_lower_case", old.lowercase),
    )


def _from_vocabulary(path: Path, stated: dict[str, Any]) -> Tokenizer:
    """Make BERT's tokenizer of a list of word pieces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    try:
        pieces = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise AnnotatorError(f"the vocabulary {path} is not UTF-8: {error}") from error
    vocabulary = {piece.rstrip("\r"): index for index, piece in enumerate(pieces) if piece.rstrip("\r")}
    missing = [piece for piece in ("[UNK]", "[CLS]", "[SEP]") if piece not in vocabulary]
    if missing:
        raise AnnotatorError(f"the vocabulary {path} has no {' and no '.join(missing)}: it is none of BERT's")
    # Where nobody says, a vocabulary that tells capitals from small letters is meant to be used so.
    cased = any(piece.lower() != piece for piece in vocabulary if not (piece[0] == "[" and piece[-1] == "]"))
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(
        clean_text=True,
        handle_chinese_chars=stated.get("tokenize_chinese_chars", True),
        strip_accents=stated.get("strip_accents"),
        lowercase=stated.get("do_lower_case", not cased),
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(
        [piece for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if piece in vocabulary]
    )
    return tokenizer


def _through_transformers(folder: Path) -> Tokenizer:
    """Let transformers make a fast tokenizer of the vocabulary files that are there."""
    from annotate.quiet import quiet_transformers

    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            made = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever the conversion of an old vocabulary may raise
            reason = str(error).strip().split("\n")[0]
            raise AnnotatorError(f"no tokenizer can be made of the files in {folder}: {reason}") from error
    if not getattr(made, "is_fast", False):
        raise AnnotatorError(f"{folder} has no {TOKENIZER}, and no fast tokenizer can be made of its vocabulary")
    backend: Tokenizer = made.backend_tokenizer
    return backend


@lru_cache(maxsize=65536)
def _is_punctuation(character: str) -> bool:
    """Tell what BERT's pre-tokenizer cuts out: Unicode's punctuation, and the signs of ASCII."""
    return unicodedata.category(character)[0] == "P" or character in "$+<=>^`|~"


def _cuts(text: str, start: int) -> bool:
    """Tell whether a word begins at ``start`` by its characters alone."""
    before = text[start - 1] if start else " "
    return before.isspace() or _is_punctuation(before) or _is_punctuation(text[start])


@lru_cache(maxsize=65536)
def _is_blank(character: str) -> bool:
    """Tell what shows nothing: white space, and the control and format characters that BERT drops."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return start, end


def _with_marks(text: str, end: int) -> int:
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end
