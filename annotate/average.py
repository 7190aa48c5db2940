"""The mean of several models: one folder whose weights are the mean of theirs (Wortsman et al. 2022, Model soups).

Models that were fitted from one start, with other rates, texts or orders, err elsewhere each; the mean of their weights may err
less, as an ensemble does, and costs no more than one of them. Models of different starts have nothing in common that a mean
could keep.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate.folder import CONFIG, SMALL_FILES, TOKENIZER, TOKENIZER_CONFIG, read_config, read_json_object
from annotate.weights import PICKLED_WEIGHTS, WEIGHTS, are_stored_as_int8, load_weights, weight_files
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from torch import Tensor

_OF_NO_CONSEQUENCE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
_OF_CONSEQUENCE = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""What of ``tokenizer_config.json`` changes the pieces."""


def average_folders(paths: Sequence[Path], out: Path) -> None:
    """Write a model folder to ``out``: configuration and tokenizer of the first, the mean of the weights of all, in fp32.

    Raises:
        AnnotatorError: there are fewer than two, one of them cannot be read, is stored as int8, or differs from the first in
            its configuration, tokenizer or weights' sizes; or ``out`` has files already or cannot be written.
    """
    if len(paths) < 2:
        raise AnnotatorError(f"a mean takes two model folders at least, and there is {len(paths)}")
    first = paths[0]
    config, tokenizer = _config(first), _tokenizer(first)
    for path in paths:
        _check_weights(path)
        _check_same(first, config, path, _config(path))
        if _tokenizer(path) != tokenizer:
            raise AnnotatorError(f"{path} has another tokenizer than {first}: a mean takes models of one base")
    _make(out)
    mean = load_weights(first)
    for path in paths[1:]:
        _add(mean, load_weights(path), first, path)
    for tensor in mean.values():
        tensor /= len(paths)
    _write(out, first, mean, _card(paths))


def _config(path: Path) -> dict[str, Any]:
    if not (path / CONFIG).is_file():
        raise AnnotatorError(f"{path} is no model folder: it has no {CONFIG}")
    return {name: value for name, value in read_config(path).items() if name not in _OF_NO_CONSEQUENCE}


def _tokenizer(path: Path) -> dict[str, object]:
    """Return all that decides how a folder cuts a text."""
    files = [path / name for name in SMALL_FILES if name not in (CONFIG, TOKENIZER_CONFIG)]
    found: dict[str, object] = {file.name: file.read_bytes() for file in files if file.is_file()}
    if not found:
        raise AnnotatorError(f"the model folder {path} has no {TOKENIZER}")
    stated = read_json_object(path / TOKENIZER_CONFIG) if (path / TOKENIZER_CONFIG).is_file() else {}
    return found | {name: stated[name] for name in _OF_CONSEQUENCE if name in stated}


def _check_weights(path: Path) -> None:
    if are_stored_as_int8(path):
        raise AnnotatorError(
            f'the matrices in {path} are stored as int8, too coarse for a mean: train with stored = "fp32"'
        )
    if not weight_files(path, allow_pickle=False) and (path / PICKLED_WEIGHTS).is_file():
        raise AnnotatorError(f"the weights in {path} are pickled ({PICKLED_WEIGHTS}): save them as {WEIGHTS} first")


def _check_same(first: Path, expected: dict[str, Any], path: Path, config: dict[str, Any]) -> None:
    for name in sorted({*expected, *config}):
        if expected.get(name) != config.get(name):
            raise AnnotatorError(
                f"{path / CONFIG} has another {name} than that of {first}: a mean is of one base with the same labels"
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


def _make(out: Path) -> None:
    """Make the folder; what is in one already would be mixed with what is written, or be what the mean is taken of."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = next(out.iterdir(), None)
    except OSError as error:
        raise AnnotatorError(f"the folder {out} cannot be made: {error}") from error
    if taken is not None:
        raise AnnotatorError(f"the folder {out} has files already ({taken.name}): write to an empty one")


def _write(out: Path, first: Path, weights: dict[str, Tensor], card: str) -> None:
    """Write the weights last: a folder without them is no model."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    config = read_config(first)
    config |= {name: "float32" for name in ("dtype", "torch_dtype") if name in config}
    try:
        for name in SMALL_FILES:
            if (first / name).is_file():
                shutil.copyfile(first / name, out / name)
        (out / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (out / "README.md").write_text(card, encoding="utf-8")
        save_file(weights, out / f"{WEIGHTS}.part", metadata={"format": "pt"})
        (out / f"{WEIGHTS}.part").rename(out / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AnnotatorError(f"the folder {out} cannot be written: {error}") from error
