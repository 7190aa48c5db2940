"""Pruning a WordPiece vocabulary to the pieces that a field's text uses, and the rows of the embeddings with it."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from annotate.text_files import read_lines
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MARKUP = re.compile(r"<[^>]*>")
_XML_TEXT = re.compile(r"<(ArticleTitle|AbstractText)\b[^>]*>(.*?)</\1>")


_ADE_NEGATIVE = re.compile(r"\d+ NEG ")


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, gzipped or not; of PubMed XML the titles and abstracts, without markup and
    entities, and of the lines of ADE's ``ADE-NEG.txt`` what stands behind the PMID.

    It only matters which words occur, so an element that spans lines may be missed.
    """
    is_xml = ".xml" in path.suffixes
    for line in read_lines(path):
        if is_xml:
            yield from (html.unescape(_MARKUP.sub(" ", found[2])) for found in _XML_TEXT.finditer(line))
        else:
            numbered = _ADE_NEGATIVE.match(line)
            yield line[numbered.end() :] if numbered else line


def prune_vocabulary(tokenizer: Tokenizer, texts: Iterable[str], least_count: int) -> tuple[Tokenizer, list[int]]:
    """Return a tokenizer with the pieces that ``texts`` use, and the old id of each of its pieces, in order.

    Every single character and its ``##`` form is kept, so that no text gets an unknown word that it did not have
    before; so are the special tokens. ``[unusedN]`` goes.

    Raises:
        AnnotatorError: the tokenizer is not WordPiece.
    """
    from tokenizers import Tokenizer

    document = json.loads(tokenizer.to_str())
    if document["model"]["type"] != "WordPiece":
        raise AnnotatorError(f"only a WordPiece vocabulary can be pruned, and the base has {document['model']['type']}")
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == 1000:
            _count(tokenizer, batch, counts)
            batch = []
    _count(tokenizer, batch, counts)
    special = {token["content"] for token in document["added_tokens"]} | {document["model"]["unk_token"]}
    old: dict[str, int] = document["model"]["vocab"]
    kept = [
        piece
        for piece, index in sorted(old.items(), key=lambda item: item[1])
        if piece in special or counts[index] >= least_count or len(piece.removeprefix("##")) == 1
    ]
    new = {piece: index for index, piece in enumerate(kept)}
    document["model"]["vocab"] = new
    for token in document["added_tokens"]:
        token["id"] = new[token["content"]]
    for token in (document.get("post_processor") or {}).get("special_tokens", {}).values():
        token["ids"] = [new[piece] for piece in token["tokens"]]
    for side in ("sep", "cls"):  # the older BertProcessing names its two tokens with their ids
        if side in (document.get("post_processor") or {}):
            piece = document["post_processor"][side][0]
            document["post_processor"][side] = [piece, new[piece]]
    pruned = Tokenizer.from_str(json.dumps(document))
    pruned.encode_special_tokens = tokenizer.encode_special_tokens  # which the text form leaves out
    return pruned, [old[piece] for piece in kept]


def _count(tokenizer: Tokenizer, texts: list[str], counts: Counter[int]) -> None:
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        counts.update(encoding.ids)
