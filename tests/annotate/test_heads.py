"""Several heads that decide in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from annotate.engine import BertAnnotator
from annotate.folder import Head, ModelFolder, head_tags, open_folder, save_folder
from annotate.registry import load_annotator
from annotate.weights import load_weights
from comention.settings import AnnotateSettings
from comention.types import Annotator
from tests.annotate.models import lexicon_weights, make_shape, make_tokenizer, packed_rows

HEADS = {"cdr": ("Drug", "Condition"), "craft": ("Gene", "Drug", "Taxon")}
LEXICONS: dict[str, Mapping[str, str]] = {
    "cdr": {"aspirin": "B-Drug", "rash": "B-Condition", "mouse": "B-Condition", "brca": "I-Drug"},
    "craft": {"aspirin": "B-Taxon", "brca": "B-Gene", "mouse": "B-Taxon", "rash": "B-Drug", "kinase": "I-Gene"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose heads read different tags off the same pieces."""
    tokenizer = make_tokenizer(sorted({piece for lexicon in LEXICONS.values() for piece in lexicon}))
    shape = make_shape(tokenizer, hidden=16, layers=1)
    heads = tuple(Head(name=name, tags=head_tags(labels), prefix=f"heads.{name}") for name, labels in HEADS.items())
    # A piece of its own direction in the embedding, which each head reads its tag from.
    pieces = sorted({piece for lexicon in LEXICONS.values() for piece in lexicon})
    weights = {
        name: tensor for name, tensor in lexicon_weights(shape, tokenizer, {}).items() if not name.startswith("heads")
    }
    embeddings = torch.zeros_like(weights["bert.embeddings.word_embeddings.weight"])
    embeddings[:, 15] = 1.0
    for number, piece in enumerate(pieces):
        embeddings[tokenizer.token_to_id(piece)] = torch.eye(16)[number]
    weights["bert.embeddings.word_embeddings.weight"] = embeddings
    for head in heads:
        matrix = torch.zeros(len(head.tags), 16)
        matrix[0, 15] = 4.0
        for number, piece in enumerate(pieces):
            matrix[head.tags.index(LEXICONS[head.name].get(piece, "O")), number] = 4.0
        weights |= {f"{head.prefix}.weight": matrix, f"{head.prefix}.bias": torch.zeros(len(head.tags))}
    path = tmp_path_factory.mktemp("models") / "two"
    model = ModelFolder(
        path=path,
        shape=shape,
        heads=heads,
        decides={"Drug": "cdr", "Gene": "craft", "Condition": "cdr", "Taxon": "craft"},
        max_pieces=64,
        version="1",
        name="two",
    )
    save_folder(path, folder=model, weights=weights, tokenizer_json=tokenizer.to_str(), card="")
    return path


def found(annotator: Annotator, sentence: str) -> list[tuple[str, str]]:
    (annotation,) = annotator.annotate([sentence])
    keys = [(mention.start_char, mention.end_char, mention.label) for mention in annotation.mentions]
    assert keys == sorted(keys)
    return [(sentence[start:end], label) for start, end, label in keys]


SENTENCE = "rash of aspirin brca kinase, mouse"


def test_each_label_comes_from_the_head_that_decides_it(folder: Path, settings: AnnotateSettings):
    annotator = load_annotator(str(folder), settings)
    assert annotator.info.labels == ("Drug", "Gene", "Condition", "Taxon")
    assert found(annotator, SENTENCE) == [
        ("rash", "Condition"),  # craft calls it a Drug, and does not decide that
        ("aspirin", "Taxon"),
        ("aspirin brca", "Drug"),
        ("brca kinase", "Gene"),
        ("mouse", "Condition"),
        ("mouse", "Taxon"),
    ]


def test_a_head_asked_for_by_name_decides_all_of_its_labels(folder: Path, settings: AnnotateSettings):
    annotator = load_annotator(f"{folder}:craft", settings)
    assert annotator.info.labels == HEADS["craft"]
    assert found(annotator, SENTENCE) == [
        ("rash", "Drug"),
        ("aspirin", "Taxon"),
        ("brca kinase", "Gene"),
        ("mouse", "Taxon"),
    ]
    assert annotator.info.config_hash != load_annotator(str(folder), settings).info.config_hash


def test_several_heads_cost_one_product(folder: Path, settings: AnnotateSettings):
    opened = open_folder(folder)
    both = BertAnnotator(opened, settings, name="two", model="two")
    logits = both._encoder.logits(packed_rows([np.array([2, 7, 9, 3])]))
    assert logits.shape == (4, sum(len(head.tags) for head in opened.heads))
    weights = load_weights(folder)
    assert both._encoder._head.weight.shape[0] == sum(len(weights[f"heads.{name}.bias"]) for name in HEADS)
