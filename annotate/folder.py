"""Model folders: ``config.json``, ``tokenizer.json``, ``model.safetensors``, ours or Hugging Face's.

A folder of Hugging Face's may have ``vocab.txt`` or other vocabularies instead of ``tokenizer.json``, weights in several
files, and any architecture that transformers has for token classification.

A folder of ours has heads, one for each annotation guideline, and says for every label which of them decides. Its weights
may be stored as int8 with one scale a row (``NAME`` and ``NAME.scale``); they are made whole again when they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate.labels import LabelMap, Scheme, TagSet, name_labels, read_tags
from annotate.weights import PICKLED_WEIGHTS, WEIGHTS, quantise, weight_files
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
VOCABULARY, TOKENIZER_CONFIG = "vocab.txt", "tokenizer_config.json"
OTHER_VOCABULARIES = ("vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model", "bpe.codes")
SMALL_FILES = (
    CONFIG, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, *OTHER_VOCABULARIES, "merges.txt", "special_tokens_map.json",
    "added_tokens.json",
)  # fmt: skip
"""The files of a model folder that are not weights; no folder has all."""
"""What transformers makes a tokenizer of where there is no ``tokenizer.json``."""
SPECIAL_PIECES = 2
"""[CLS] and [SEP], which stand around every window."""
UNSTATED_POSITIONS = 512
"""The window of a model that states no limit of its own."""


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
    """One tagging head: ``tags[i]`` is ``"O"``, ``"B-LABEL"`` or ``"I-LABEL"``; ``prefix`` names its two tensors.

    Heads of ours are BIO; those of other models may have another scheme, and L and U.
    """

    name: str
    tags: tuple[str, ...]
    prefix: str
    scheme: Scheme = Scheme.BIO

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the tags, in their order."""
        return tuple(dict.fromkeys(tag[2:] for tag in self.tags if tag != "O"))

    @property
    def tag_set(self) -> TagSet:
        """The tags with what they mean."""
        return TagSet(tags=self.tags, scheme=self.scheme)


def head_tags(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of a head: O, then B and I of every label."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerFolder:
    """What a model folder says of itself, before its weights are read.

    ``decides`` names the head that decides for each label, in the order of the annotator's labels; mentions of other labels
    and heads are not given. ``names`` has the labels that are called otherwise than the head calls them. ``max_pieces`` is
    the window, special tokens included. ``commit`` is where the hub had it, if it is from there.
    """

    path: Path
    heads: tuple[Head, ...]
    decides: Mapping[str, str]
    max_pieces: int
    version: str
    name: str
    names: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    pickled: bool = False

    @property
    def deciding_heads(self) -> tuple[Head, ...]:
        """The heads that decide for some label."""
        return tuple(head for head in self.heads if head.name in self.decides.values())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that mentions may have."""
        return tuple(dict.fromkeys(self.names.get(label, label) for label in self.decides))

    def labels_of(self, head: Head) -> dict[str, str]:
        """Return the labels that a head decides, each with what it is called."""
        return {label: self.names.get(label, label) for label, name in self.decides.items() if name == head.name}

    def revision(self) -> str:
        """Return the commit, or else the digest of the weights and the vocabulary: sha256, its first 16 hexadecimal digits."""
        if self.commit is not None:
            return self.commit
        digest = hashlib.sha256()
        for path in (*weight_files(self.path, allow_pickle=self.pickled), *_tokenizer_files(self.path)):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()[:16]

    def config_fields(self) -> dict[str, object]:
        """Return what of the configuration changes the mentions."""
        return {
            "tags": {head.name: [head.scheme, *head.tags] for head in self.deciding_heads},
            "decides": [(label, self.names.get(label, label), head) for label, head in self.decides.items()],
            "max_pieces": self.max_pieces,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder(TaggerFolder):
    """A BERT encoder with its heads, ours or Hugging Face's."""

    shape: BertShape

    def config_fields(self) -> dict[str, object]:
        """Return what of the configuration changes the mentions."""
        return {**self.shape.to_config(), **TaggerFolder.config_fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersFolder(TaggerFolder):
    """A Hugging Face folder of any other architecture, which transformers runs."""

    architecture: str

    def config_fields(self) -> dict[str, object]:
        """Return what of the configuration changes the mentions."""
        return {"architecture": self.architecture, **TaggerFolder.config_fields(self)}


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


def open_folder(
    path: Path, label_map: LabelMap | None = None, *, head: str = "", allow_pickle: bool = False
) -> TaggerFolder:
    """Read the configuration of a model folder and check that its files are there.

    ``head`` is one that decides all of its labels, instead of what the folder says.

    Raises:
        AnnotatorError: a file is missing or cannot be used, or the label map does not fit. A Hugging Face folder whose labels
            say nothing (``LABEL_n``) is refused with the labels it has, unless the map says what they mean.
    """
    label_map = label_map or LabelMap()
    tokenizer = [] if _tokenizer_files(path) else [TOKENIZER]
    weights = [] if weight_files(path, allow_pickle=True) else [WEIGHTS]
    missing = [*([] if (path / CONFIG).is_file() else [CONFIG]), *tokenizer, *weights]
    if missing:
        raise AnnotatorError(f"the model folder {path} has no {' and no '.join(missing)}")
    if not weight_files(path, allow_pickle=allow_pickle):
        raise AnnotatorError(
            f"the weights in {path} are pickled ({PICKLED_WEIGHTS}), which can run code when they are read; if you trust "
            "their author, set COMENTION_ANNOTATE__ALLOW_PICKLE=true, else look for a revision with model.safetensors"
        )
    config = read_config(path)
    if "comention" in config:
        return _our_folder(path, config, label_map, head)
    if head:
        raise AnnotatorError(f"the model folder {path} has no head {head!r}; it has one, without a name")
    only, names = _hub_head(config, label_map, path)
    common: dict[str, Any] = {
        "path": path,
        "heads": (only,),
        "decides": dict.fromkeys(names, only.name),
        "names": names,
        "version": "0",
        "name": path.name,
        "pickled": not weight_files(path, allow_pickle=False),
    }
    if is_plain_bert(config):
        shape = BertShape.from_config(config, path / CONFIG)
        return ModelFolder(shape=shape, max_pieces=shape.positions, **common)
    positions = config.get("max_position_embeddings")
    return TransformersFolder(
        architecture=str(config.get("model_type")),
        max_pieces=positions if isinstance(positions, int) and positions > 0 else UNSTATED_POSITIONS,
        **common,
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a model folder.

    Raises:
        AnnotatorError: it is not a JSON object.
    """
    return read_json_object(path / CONFIG)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        AnnotatorError: it holds something else.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"{path} is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise AnnotatorError(f"{path} is not a JSON object")
    return read


def _our_folder(path: Path, config: Mapping[str, Any], label_map: LabelMap, head: str) -> ModelFolder:
    config_path = path / CONFIG
    shape = BertShape.from_config(config, config_path)
    if label_map.tags or label_map.scheme is not None:
        raise AnnotatorError(f"{label_map.where} has [tags] or a scheme, but {path} says itself what its tags mean")
    ours: dict[str, Any] = config["comention"]
    try:
        heads = tuple(
            Head(name=name, tags=head_tags(tuple(labels)), prefix=f"heads.{name}")
            for name, labels in ours["heads"].items()
        )
        if head and head not in ours["heads"]:
            raise AnnotatorError(f"the model folder {path} has no head {head!r}; it has {', '.join(ours['heads'])}")
        decides = read_decides(heads, head or ours["decides"], config_path)
        names = name_labels(tuple(decides), label_map, str(path))
        return ModelFolder(
            path=path,
            shape=shape,
            heads=heads,
            decides={label: decides[label] for label in names},
            names=names,
            max_pieces=min(ours["max_pieces"], shape.positions),
            version=ours["version"],
            name=ours["name"],
        )
    except KeyError as error:
        raise AnnotatorError(f"{config_path} has no {error} in its part 'comention'") from None


def _hub_head(config: Mapping[str, Any], label_map: LabelMap, path: Path) -> tuple[Head, dict[str, str]]:
    """Read the one head of a Hugging Face token-classification model, and what the labels it decides are called."""
    stated: dict[str, str] = config.get("id2label") or {}
    try:
        outputs = tuple(str(stated[index]) for index in sorted(stated, key=int))
    except (ValueError, TypeError):
        raise AnnotatorError(f"{path / CONFIG} has an id2label whose keys are not numbers") from None
    if not outputs:
        raise AnnotatorError(f"{path / CONFIG} has no id2label: it is no token-classification model")
    tag_set = read_tags(outputs, label_map, str(path))
    head = Head(name="hub", tags=tag_set.tags, prefix="classifier", scheme=tag_set.scheme)
    return head, name_labels(head.labels, label_map, str(path))


def is_plain_bert(config: Mapping[str, Any]) -> bool:
    """Tell whether our own forward pass computes this model."""
    form = (config.get("model_type"), config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
    return form == ("bert", "gelu", "absolute") and not config.get("is_decoder")


def _tokenizer_files(path: Path) -> list[Path]:
    """Return the file or files that the tokenizer is made of; none where there is no tokenizer."""
    for name in (TOKENIZER, VOCABULARY):
        if (path / name).is_file():
            return [path / name]
    return [path / name for name in OTHER_VOCABULARIES if (path / name).is_file()]


def save_folder(
    path: Path,
    *,
    folder: ModelFolder,
    weights: Mapping[str, Tensor],
    tokenizer_json: str,
    card: str,
    stored: str = "int8",
) -> None:
    """Write a model folder: weights, tokenizer, configuration and model card.

    ``stored`` is ``"int8"`` for a folder of ours, or ``"fp32"`` for one head in the layout of Hugging Face, which
    ``transformers`` loads too.
    """
    from safetensors.torch import save

    path.mkdir(parents=True, exist_ok=True)
    ours = stored == "int8"
    tensors = quantise(weights) if ours else _hub_weights(weights, folder.heads[0])
    config = {**folder.shape.to_config(), **(_our_config(folder) if ours else hub_config(folder.heads[0]))}
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (path / TOKENIZER).write_text(tokenizer_json, encoding="utf-8")
    (path / "README.md").write_text(card, encoding="utf-8")
    (path / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def _our_config(folder: ModelFolder) -> dict[str, Any]:
    return {
        "comention": {
            "name": folder.name,
            "version": folder.version,
            "heads": {head.name: list(head.labels) for head in folder.heads},
            "decides": dict(folder.decides),
            "max_pieces": folder.max_pieces,
        }
    }


def hub_config(head: Head, architecture: str = "BertForTokenClassification") -> dict[str, Any]:
    """Return what a Hugging Face configuration says of a head: the class that loads it, and its tags."""
    return {
        "architectures": [architecture],
        "id2label": {str(index): tag for index, tag in enumerate(head.tags)},
        "label2id": {tag: index for index, tag in enumerate(head.tags)},
    }


def _hub_weights(weights: Mapping[str, Tensor], head: Head) -> dict[str, Tensor]:
    """Return the encoder's weights and those of one head, under the names of Hugging Face."""
    return {
        name.replace(f"{head.prefix}.", "classifier."): tensor.contiguous()
        for name, tensor in weights.items()
        if not name.startswith("heads.") or name.startswith(f"{head.prefix}.")
    }
