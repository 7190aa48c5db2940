"""Model folders: ``config.json``, ``tokenizer.json``, ``model.safetensors``, ours or Hugging Face's.

A folder of ours has heads, one for each annotation guideline, and says for every label which of them decides. Its weights
may be stored as int8 with one scale a row (``NAME`` and ``NAME.scale``); they are made whole again when they are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
SCALE = ".scale"
SPECIAL_PIECES = 2
"""[CLS] and [SEP], which stand around every window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """The sizes of a BERT encoder."""

    vocabulary: int
    hidden: int
    layers: int
    attention_heads: int
    intermediate: int
    positions: int
    token_types: int
    norm_eps: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any], path: Path) -> BertShape:
        """Read the sizes from a Hugging Face configuration.

        Raises:
            AnnotatorError: it is no BERT with exact GELU and absolute positions, the only encoder that is implemented.
        """
        found = (config.get("model_type"), config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
        if found != ("bert", "gelu", "absolute"):
            raise AnnotatorError(
                f"{path} describes {found[0]} ({found[1]}, {found[2]}); only bert, gelu, absolute is known"
            )
        try:
            return cls(
                vocabulary=config["vocab_size"],
                hidden=config["hidden_size"],
                layers=config["num_hidden_layers"],
                attention_heads=config["num_attention_heads"],
                intermediate=config["intermediate_size"],
                positions=config["max_position_embeddings"],
                token_types=config["type_vocab_size"],
                norm_eps=config["layer_norm_eps"],
            )
        except KeyError as error:
            raise AnnotatorError(f"{path} has no field {error}") from None

    def to_config(self) -> dict[str, Any]:
        """Return the fields of a Hugging Face configuration."""
        return {
            "model_type": "bert",
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.attention_heads,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.positions,
            "type_vocab_size": self.token_types,
            "layer_norm_eps": self.norm_eps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One tagging head: ``tags[i]`` is ``"O"``, ``"B-LABEL"`` or ``"I-LABEL"``; ``prefix`` names its two tensors."""

    name: str
    tags: tuple[str, ...]
    prefix: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the tags, in their order."""
        return tuple(dict.fromkeys(tag[2:] for tag in self.tags if tag != "O"))


def head_tags(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of a head: O, then B and I of every label."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What a model folder says of itself, before its weights are read.

    ``decides`` names the head that decides for each label, in the order of the annotator's labels; mentions of other labels
    and heads are not given. ``max_pieces`` is the window, the two special tokens included.
    """

    path: Path
    shape: BertShape
    heads: tuple[Head, ...]
    decides: Mapping[str, str]
    max_pieces: int
    version: str
    name: str

    @property
    def deciding_heads(self) -> tuple[Head, ...]:
        """The heads that decide for some label."""
        return tuple(head for head in self.heads if head.name in self.decides.values())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that mentions may have."""
        return tuple(self.decides)

    def labels_of(self, head: Head) -> tuple[str, ...]:
        """Return the labels that a head decides."""
        return tuple(label for label, name in self.decides.items() if name == head.name)

    def revision(self) -> str:
        """Return the digest of the weights and the vocabulary: sha256, the first 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for name in (WEIGHTS, TOKENIZER):
            with (self.path / name).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()[:16]

    def config_fields(self) -> dict[str, object]:
        """Return what of the configuration changes the mentions."""
        return {
            **self.shape.to_config(),
            "tags": {head.name: head.tags for head in self.deciding_heads},
            "decides": list(self.decides.items()),
            "max_pieces": self.max_pieces,
        }


def read_decides(heads: Sequence[Head], decides: object, path: Path) -> dict[str, str]:
    """Read which head decides for which label: a mapping, or the name of one head, which then decides all its labels.

    Raises:
        AnnotatorError: it names a head that is not there, or a label for a head that has no such label.
    """
    known = {head.name: head for head in heads}
    pairs: dict[object, object] = dict(decides) if isinstance(decides, Mapping) else {None: decides}
    read: dict[str, str] = {}
    for label, name in pairs.items():
        head = known.get(str(name))
        if head is None:
            raise AnnotatorError(f"{path} lets {name!r} decide, but its heads are {', '.join(known)}")
        if label is not None and label not in head.labels:
            raise AnnotatorError(
                f"{path} lets {name!r} decide {label!r}, but that head has {', '.join(head.labels)} only"
            )
        read |= dict.fromkeys(head.labels if label is None else (str(label),), head.name)
    if not read:
        raise AnnotatorError(f"{path} lets no head decide any label")
    return read


def open_folder(path: Path) -> ModelFolder:
    """Read the configuration of a model folder and check that its files are there.

    Raises:
        AnnotatorError: a file is missing or cannot be used. A Hugging Face folder that says only ``LABEL_n`` is refused
            with the labels it has, since nobody can know what they mean.
    """
    missing = [name for name in (CONFIG, TOKENIZER, WEIGHTS) if not (path / name).is_file()]
    if missing:
        raise AnnotatorError(f"the model folder {path} has no {' and no '.join(missing)}")
    config_path = path / CONFIG
    try:
        config: dict[str, Any] = json.loads(config_path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"{config_path} is not JSON: {error}") from error
    shape = BertShape.from_config(config, config_path)
    ours: dict[str, Any] | None = config.get("comention")
    if ours is None:
        hub = Head(name="hub", tags=_hub_tags(config, config_path), prefix="classifier")
        return ModelFolder(
            path=path,
            shape=shape,
            heads=(hub,),
            decides=dict.fromkeys(hub.labels, hub.name),
            max_pieces=shape.positions,
            version="0",
            name=path.name,
        )
    try:
        heads = {
            name: Head(name=name, tags=head_tags(tuple(labels)), prefix=f"heads.{name}")
            for name, labels in ours["heads"].items()
        }
        return ModelFolder(
            path=path,
            shape=shape,
            heads=tuple(heads.values()),
            decides=read_decides(tuple(heads.values()), ours["decides"], config_path),
            max_pieces=min(ours["max_pieces"], shape.positions),
            version=ours["version"],
            name=ours["name"],
        )
    except KeyError as error:
        raise AnnotatorError(f"{config_path} has no {error} in its part 'comention'") from None


def _hub_tags(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Read the tags of a Hugging Face token-classification model."""
    names: dict[str, str] = config.get("id2label") or {}
    tags = tuple(names[index] for index in sorted(names, key=int))
    if not tags:
        raise AnnotatorError(f"{path} has no id2label: it is no token-classification model")
    if any(re.fullmatch(r"LABEL_\d+", tag) for tag in tags):
        raise AnnotatorError(
            f"{path} names its labels {', '.join(tags)}, which says nothing; "
            'write what they mean into id2label ("O", "B-Drug", "I-Drug", …)'
        )
    odd = [tag for tag in tags if tag != "O" and not re.fullmatch(r"[BI]-.+", tag)]
    if odd or "O" not in tags:
        raise AnnotatorError(
            f"{path} has labels that are not BIO tags ({', '.join(odd or tags)}); rename them in id2label"
        )
    return tags


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Load the weights of a model folder as fp32 tensors by name, int8 rows multiplied by their scale.

    Raises:
        AnnotatorError: the file cannot be read.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AnnotatorError(f"the weights {path} cannot be read: {error}") from error
    return {
        name: tensor.float() * stored[name + SCALE][:, None] if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(SCALE) and tensor.dtype != torch.int64
    }


def quantise(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with every matrix as int8 and one fp32 scale a row, symmetric around zero."""
    import torch

    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() != 2:
            stored[name] = tensor.float().contiguous()
            continue
        scale = tensor.abs().amax(dim=1).clamp_min(1e-12) / 127
        stored[name] = torch.round(tensor / scale[:, None]).clamp(-127, 127).to(torch.int8)
        stored[name + SCALE] = scale.float()
    return stored


def save_folder(
    path: Path, *, folder: ModelFolder, weights: Mapping[str, Tensor], tokenizer_json: str, card: str
) -> None:
    """Write a model folder of ours: quantised weights, tokenizer, configuration and model card."""
    from safetensors.torch import save

    path.mkdir(parents=True, exist_ok=True)
    config = {
        **folder.shape.to_config(),
        "comention": {
            "name": folder.name,
            "version": folder.version,
            "heads": {head.name: list(head.labels) for head in folder.heads},
            "decides": dict(folder.decides),
            "max_pieces": folder.max_pieces,
        },
    }
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (path / TOKENIZER).write_text(tokenizer_json, encoding="utf-8")
    (path / "README.md").write_text(card, encoding="utf-8")
    (path / WEIGHTS).write_bytes(save(quantise(weights), metadata={"format": "pt"}))
