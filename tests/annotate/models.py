"""Tiny models made on the fly: ones whose mentions are known in advance, and random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from annotate.folder import BertShape, Head, ModelFolder, head_tags, save_folder
from annotate.int8_encoder import int8_obstacle
from annotate.trainable import TrainableTagger
from annotate.windows import PackedWindows

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-/(),.;:'%αβγ#[]"
TAGS = head_tags(("Drug", "Condition"))


def make_tokenizer(pieces: Sequence[str] = ()) -> Tokenizer:
    """Make an uncased BERT tokenizer with all characters, their continuations, and ``pieces``."""
    characters = [form for character in CHARACTERS for form in (character, f"##{character}")]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*SPECIAL, *characters, *pieces]))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    ends = [(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def make_shape(tokenizer: Tokenizer, *, hidden: int = 32, layers: int = 2, positions: int = 64) -> BertShape:
    """Return the sizes of a tiny encoder."""
    return BertShape(
        vocabulary=tokenizer.get_vocab_size(),
        hidden=hidden,
        layers=layers,
        attention_heads=4,
        intermediate=2 * hidden,
        positions=positions,
        token_types=2,
        norm_eps=1e-12,
    )


NARROW = make_shape(make_tokenizer(), hidden=64, layers=1, positions=512)
"""Sizes that the int8 kernels take, with heads of 16: as wide as a register."""

needs_int8 = pytest.mark.skipif(int8_obstacle(NARROW) is not None, reason=str(int8_obstacle(NARROW)))


def write_folder(path: Path, tokenizer: Tokenizer, shape: BertShape, weights: Mapping[str, torch.Tensor]) -> Path:
    """Write a folder of ours with one head, quantised."""
    head = Head(name="test", tags=TAGS, prefix="heads.test")
    folder = ModelFolder(
        path=path,
        shape=shape,
        heads=(head,),
        decides=dict.fromkeys(head.labels, head.name),
        max_pieces=shape.positions,
        version="1",
        name=path.name,
    )
    save_folder(path, folder=folder, weights=weights, tokenizer_json=tokenizer.to_str(), card="")
    return path


def random_weights(shape: BertShape, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return weights under which words get all tags, depending on their neighbours."""
    torch.manual_seed(seed)
    model = TrainableTagger(shape, {"test": len(TAGS)}, dropout=0.0)
    return {
        name: torch.randn_like(tensor) * (0.4 if tensor.dim() == 2 else 0.1) + ("LayerNorm.weight" in name)
        for name, tensor in model.weights().items()
    }


def lexicon_weights(shape: BertShape, tokenizer: Tokenizer, piece_tags: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Return weights that give each piece the tag it is listed with, and O to every other piece.

    Attention and feed-forward add nothing in such a model, so a piece's tag depends on the piece alone.
    """
    model = TrainableTagger(shape, {"test": len(TAGS)}, dropout=0.0)
    weights = {
        name: torch.ones_like(tensor) if name.endswith("LayerNorm.weight") else torch.zeros_like(tensor)
        for name, tensor in model.weights().items()
    }
    for piece, index in tokenizer.get_vocab().items():
        weights["bert.embeddings.word_embeddings.weight"][index, TAGS.index(piece_tags.get(piece, "O"))] = 1.0
    weights["heads.test.weight"][:, : len(TAGS)] = 4 * torch.eye(len(TAGS))
    return weights


def write_hub_folder(
    path: Path, tokenizer: Tokenizer, config: Mapping[str, object], weights: Mapping[str, torch.Tensor]
) -> Path:
    """Write a Hugging Face token-classification folder."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
    (path / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (path / "model.safetensors").write_bytes(save({name: tensor.contiguous() for name, tensor in weights.items()}))
    return path


def packed_rows(windows: Sequence[NDArray[np.int64]], wanted: NDArray[np.bool_] | None = None) -> PackedWindows:
    """Pack windows in the order given; all rows are wanted where nothing else is said."""
    rows = sum(map(len, windows))
    chosen = np.arange(rows) if wanted is None else np.flatnonzero(wanted)
    return PackedWindows(
        pieces=np.concatenate(windows),
        lengths=np.array(list(map(len, windows))),
        sentences=np.arange(len(windows)),
        wanted=chosen,
        words=np.arange(len(chosen)),
    )
