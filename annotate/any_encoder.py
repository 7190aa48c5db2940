"""Token-classification models of any architecture, run by transformers behind the interface of our own encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotate.folder import TransformersFolder
from annotate.quiet import quiet_transformers
from annotate.windows import PackedWindows
from comention.errors import AnnotatorError


class AnyEncoder:
    """A model with its one head, ready for inference. Its weights are only read: threads may share it.

    Unlike our own encoder it pads, so the last bits of a window's logits may depend on the windows beside it.
    """

    tile = 1
    batch_rows = 2048

    def __init__(
        self, folder: TransformersFolder, dtype: torch.dtype, device: torch.device, *, threads: int = 1
    ) -> None:
        """Load the model and bring it to ``dtype`` and to the device; ``threads`` call it together on a CPU, two on a GPU.

        Raises:
            AnnotatorError: transformers does not know the architecture, or the weights are not those of such a model.
        """
        with quiet_transformers():
            from transformers import AutoModelForTokenClassification

            try:
                model, report = AutoModelForTokenClassification.from_pretrained(
                    folder.path,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=not folder.pickled,
                    output_loading_info=True,
                )
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # an unknown architecture, a field that is missing, tensors of another shape
                reason = str(error).strip().split("\n")[0]
                raise AnnotatorError(
                    f"transformers cannot load {folder.path} ({folder.architecture}): {reason}"
                ) from error
        absent = sorted(report["missing_keys"])
        if absent:  # transformers fills them with random numbers
            raise AnnotatorError(
                f"the weights in {folder.path} have no tensor {absent[0]!r} ({len(absent)} are missing): "
                "they are not those of a token-classification model"
            )
        self._model = model.to(device, dtype).eval()
        self._device = device
        self.lanes = threads if device.type == "cpu" else 2
        self._tags = len(folder.heads[0].tags)
        if model.config.num_labels != self._tags:
            raise AnnotatorError(
                f"the weights in {folder.path} give {model.config.num_labels} outputs for {self._tags} labels"
            )
        padding = model.config.pad_token_id
        self._padding = padding if isinstance(padding, int) else 0
        self.vocabulary: int = model.get_input_embeddings().num_embeddings

    @property
    def most_positions(self) -> int | None:
        """How many pieces a window may have, special ones included; None where positions have no table."""
        return most_positions(self._model)

    @torch.inference_mode()
    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the logits of the wanted rows, [wanted rows, tags], fp32. Windows are padded to the longest."""
        longest = int(batch.lengths.max())
        present = np.arange(longest) < batch.lengths[:, None]
        pieces = np.full(present.shape, self._padding, dtype=np.int64)
        pieces[present] = batch.pieces
        output: Any = self._model(
            input_ids=torch.from_numpy(pieces).to(self._device),
            attention_mask=torch.from_numpy(present).long().to(self._device),
        )
        wanted = torch.from_numpy(np.flatnonzero(present)[batch.wanted]).to(self._device)
        logits: NDArray[np.float32] = output.logits.flatten(0, 1)[wanted].float().cpu().numpy()
        return logits


_POSITION_TABLES = ("position_embeddings", "wpe", "embed_positions", "pos_embeddings")


def most_positions(model: nn.Module) -> int | None:
    """Return how many pieces a window of a model may have, special ones included; None where positions have no table.

    RoBERTa's relatives count positions from behind their padding piece, so their table is longer than a window.
    """
    tables = [
        table for name, table in model.named_modules()
        if name.split(".")[-1] in _POSITION_TABLES and isinstance(table, nn.Embedding)
    ]  # fmt: skip
    rooms = [table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1) for table in tables]
    return min(rooms, default=None)
