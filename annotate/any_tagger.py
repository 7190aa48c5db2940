"""An encoder of any architecture with its heads, for training: transformers computes it, we add one linear head a guideline.

Larger than our own encoder, it is computed one model at a time, and on a GPU step by step: what it spends its time in are
products, not the launching of kernels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from annotate.any_encoder import most_positions
from annotate.folder import CONFIG, TOKENIZER, Head, hub_config
from annotate.quiet import quiet_transformers
from annotate.weights import WEIGHTS
from comention.errors import AnnotatorError

_CLASSIFIER = "classifier"
_NOT_OF_A_FOLDER = (
    "_name_or_path",
    "attn_implementation",
    "_attn_implementation",
    "id2label",
    "label2id",
    "num_labels",
)


class AnyTagger(nn.Module):
    """An encoder of transformers with one linear head for each annotation guideline, fitted like ``TrainableTagger``.

    The word embeddings are frozen: a corpus shows few of them, and they are a third of the weights. Parameters are named
    ``model.…`` and ``heads.NUMBER.weight``; none has a dimension of members.
    """

    members = 1
    may_be_recorded = False
    """A step cannot be recorded on a GPU: what transformers computes on the way is its own affair."""

    def __init__(self, base: Path, heads: Mapping[str, int], dropout: float, seed: int) -> None:
        """Load the encoder of a folder; ``heads`` gives the number of tags of each head, which begin at random.

        Raises:
            AnnotatorError: it is no encoder that transformers can give a token-classification head, or its weights are
                missing, or not safetensors.
        """
        super().__init__()
        self.model = _load(base)
        self.tag_counts = list(heads.values())
        self._names = tuple(heads)
        width = self.model.classifier.in_features
        generator = torch.Generator().manual_seed(seed)
        fresh = [nn.Linear(width, tags) for tags in heads.values()]
        for head in fresh:
            nn.init.normal_(head.weight, std=0.02, generator=generator)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleList(fresh)
        # With nothing in its place, the model gives what the classifier would get, its dropout included.
        self.model.classifier = nn.Identity()
        words = self.model.get_input_embeddings()
        words.weight.requires_grad_(False)
        self.vocabulary: int = words.num_embeddings
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout

    @property
    def most_positions(self) -> int | None:
        """How many pieces a window may have, special ones included; None where positions have no table."""
        return most_positions(self.model)

    def logits(self, pieces: Tensor, present: Tensor) -> Tensor:
        """Tag a padded batch.

        ``pieces`` are ids and ``present`` says where they are real, [1, sentences, length]; the result is
        [1, sentences, length, tags of all heads].
        """
        hidden = self.model(input_ids=pieces[0], attention_mask=present[0].long()).logits
        return torch.cat([head(hidden) for head in self.heads], -1)[None]

    def save(self, path: Path, head: Head, *, tokenizer_json: str, card: str) -> None:
        """Write the encoder with one head as a folder that transformers loads for token classification, in fp32.

        Raises:
            AnnotatorError: the folder cannot be made.
        """
        from safetensors.torch import save

        heads = self.heads.state_dict()
        number = self._names.index(head.name)
        tensors: dict[str, Tensor] = dict(self.model.state_dict())
        tensors |= {f"{_CLASSIFIER}.{name}": heads[f"{number}.{name}"] for name in ("weight", "bias")}
        stated = {
            name: value for name, value in self.model.config.to_diff_dict().items() if name not in _NOT_OF_A_FOLDER
        }
        stated |= {name: "float32" for name in ("dtype", "torch_dtype") if name in stated}
        config = {**stated, **hub_config(head, type(self.model).__name__)}
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AnnotatorError(f"the folder {path} cannot be made: {error}") from error
        (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (path / TOKENIZER).write_text(tokenizer_json, encoding="utf-8")
        (path / "README.md").write_text(card, encoding="utf-8")
        whole = {name: tensor.cpu().float().clone() for name, tensor in tensors.items()}
        (path / WEIGHTS).write_bytes(save(whole, metadata={"format": "pt"}))


def _load(base: Path) -> Any:
    """Load a base as transformers' model for token classification, whose classifier is not the base's yet."""
    with quiet_transformers():
        from transformers import AutoModelForTokenClassification

        try:
            model, report = AutoModelForTokenClassification.from_pretrained(
                base,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                attn_implementation="eager",
                output_loading_info=True,
            )
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (
            Exception
        ) as error:  # an unknown architecture, a field that is missing, pickled weights, tensors of another shape
            reason = str(error).strip().split("\n")[0]
            raise AnnotatorError(f"the base {base} is no encoder that can be trained: {reason}") from error
    if not isinstance(getattr(model, _CLASSIFIER, None), nn.Linear):
        raise AnnotatorError(
            f"the base {base} is a {model.config.model_type}, whose tags are not computed by one linear layer named "
            f"{_CLASSIFIER}: take a relative of BERT"
        )
    absent = sorted(name for name in report["missing_keys"] if not name.startswith(f"{_CLASSIFIER}."))
    if absent:  # transformers fills them with random numbers
        raise AnnotatorError(f"the base {base} has no weights named {absent[0]} ({len(absent)} are missing)")
    return model.float()
