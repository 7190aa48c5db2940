"""The mean of several models: one folder whose weights are the mean of theirs (Wortsman et al. 2022, Model soups).

Models that were fitted from one start, with other orders, rates or texts, err elsewhere each; the mean of their weights errs
less, as an ensemble does, and costs no more than one of them. Models of different starts have nothing in common that a mean
could keep.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate.folder import CONFIG, TOKENIZER_CONFIG, read_config, tokenizer_files
from annotate.weights import WEIGHTS, are_stored_as_int8, load_weights
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from torch import Tensor

_OF_NO_CONSEQUENCE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


def average_folders(paths: Sequence[Path], out: Path) -> None:
    """Write a model folder to ``out``: configuration and tokenizer of the first, the mean of the weights of all, in fp32.

    Raises:
        AnnotatorError: there are fewer than two, one of them cannot be read, is stored as int8, or differs from the first in
            its configuration, tokenizer or weights' sizes; or ``out`` is one of them or cannot be made.
    """
    if len(paths) < 2:
        raise AnnotatorError(f"a mean takes two model folders at least, and there is {len(paths)}")
    if out.resolve() in [path.resolve() for path in paths]:
        raise AnnotatorError(f"{out} is one of the folders whose mean is taken: write it elsewhere")
    first = paths[0]
    config, tokenizer = _config(first), _tokenizer(first)
    for path in paths:
        if are_stored_as_int8(path):
            raise AnnotatorError(
                f'the matrices in {path} are stored as int8, too coarse for a mean: train with stored = "fp32"'
            )
        _check_same(first, config, path, _config(path))
        if _tokenizer(path) != tokenizer:
            raise AnnotatorError(f"{path} has another tokenizer than {first}: a mean takes models of one base")
    total = load_weights(first)
    for path in paths[1:]:
        _add(total, load_weights(path), first, path)
    mean = {name: tensor / len(paths) for name, tensor in total.items()}
    _write(out, first, mean, _card(paths))


def _config(path: Path) -> dict[str, Any]:
    if not (path / CONFIG).is_file():
        raise AnnotatorError(f"{path} is no model folder: it has no {CONFIG}")
    return {name: value for name, value in read_config(path).items() if name not in _OF_NO_CONSEQUENCE}


def _tokenizer(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in tokenizer_files(path)}


def _check_same(first: Path, expected: dict[str, Any], path: Path, config: dict[str, Any]) -> None:
    for name in sorted({*expected, *config}):
        if expected.get(name) != config.get(name):
            raise AnnotatorError(
                f"{path / CONFIG} has another {name} than that of {first}: a mean takes models of one base with the same labels"
            )


def _add(total: dict[str, Tensor], weights: dict[str, Tensor], first: Path, path: Path) -> None:
    for name in sorted({*total, *weights}):
        if name not in total or name not in weights or total[name].shape != weights[name].shape:
            raise AnnotatorError(f"the weights in {path} and {first} differ in {name}: a mean takes models of one base")
        total[name] += weights[name]


def _card(paths: Sequence[Path]) -> str:
    names = "\n".join(f"- `{path.resolve().name}`" for path in paths)
    return f"""# The mean of {len(paths)} models

The weights are the mean of those of the models below (Wortsman et al. 2022, Model soups); what they were trained on, their own
cards say. A text that one of them has seen, this one has seen.

{names}
"""


def _write(out: Path, first: Path, weights: dict[str, Tensor], card: str) -> None:
    from safetensors.torch import save_file

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnnotatorError(f"the folder {out} cannot be made: {error}") from error
    for file in (first / CONFIG, first / TOKENIZER_CONFIG, *tokenizer_files(first)):
        if file.is_file():
            shutil.copyfile(file, out / file.name)
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    (out / "README.md").write_text(card, encoding="utf-8")
