"""The mean of several models as one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from annotate.registry import load_annotator
from annotate.weights import load_weights
from comention.settings import AnnotateSettings
from tests.annotate.models import make_shape, make_tokenizer, random_weights, write_folder
from tests.annotate.other_models import write_model
from tests.annotate.test_commands import status


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "first", "mpnet")


@pytest.fixture
def changed(first: Path, tmp_path: Path) -> Callable[..., Path]:
    """A maker of copies of the model: other weights, or other fields of its configuration."""

    def make(name: str, shift: float = 0.0, **fields: object) -> Path:
        path = shutil.copytree(first, tmp_path / name)
        weights = {name: tensor + shift for name, tensor in load_file(path / "model.safetensors").items()}
        save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, **fields}))
        return path

    return make


def test_the_mean_is_a_model_that_annotates(
    first: Path, changed: Callable[..., Path], tmp_path: Path, settings: AnnotateSettings
):
    second, third = changed("second", shift=0.3, transformers_version="0.1"), changed("third", shift=0.6)
    (second / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    out = tmp_path / "build" / "mean"
    assert status("annotators", "average", second, first, third, "--out", out) == 0
    written, start = load_weights(out), load_weights(first)
    assert written.keys() == start.keys()
    for name, tensor in written.items():
        torch.testing.assert_close(tensor, start[name] + 0.3)
    (annotation,) = load_annotator(str(out), settings).annotate(["aspirin caused rash"])
    assert annotation.detail is None
    assert (out / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
    assert (out / "tokenizer_config.json").is_file()
    assert "- `second`" in (out / "README.md").read_text()


def test_what_has_no_mean_is_one_sentence(
    first: Path, changed: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refused(*folders: Path, message: str, out: Path = tmp_path / "out") -> None:
        assert status("annotators", "average", *folders, "--out", out) == 1
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert not (tmp_path / "out" / "model.safetensors").exists()

    other = changed("other")
    refused(first, message="takes two model folders at least, and there is 1")
    refused(first, other, message="other is one of the folders whose mean is taken", out=other)
    refused(first, tmp_path / "nowhere", message="nowhere is no model folder: it has no config.json")
    tags = {"0": "O", "1": "B-Gene", "2": "I-Gene", "3": "B-Taxon", "4": "I-Taxon"}
    refused(first, changed("labels", id2label=tags), message="labels/config.json has another id2label than that of")
    words = changed("words")
    (words / "tokenizer.json").write_text("{}")
    refused(first, words, message="words has another tokenizer than")
    fewer = changed("fewer")
    weights = load_file(fewer / "model.safetensors")
    weights.pop(gone := min(weights))
    save_file(weights, fewer / "model.safetensors")
    refused(first, fewer, message=f"differ in {gone}: a mean takes models of one base")
    unsafe = changed("unsafe")
    (unsafe / "model.safetensors").unlink()
    refused(first, unsafe, message="unsafe has no model.safetensors")
    (tmp_path / "file").write_text("")
    refused(first, other, message="cannot be made", out=tmp_path / "file" / "out")


def test_matrices_that_are_stored_as_int8_have_no_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tokenizer = make_tokenizer()
    shape = make_shape(tokenizer)
    stored = write_folder(tmp_path / "stored", tokenizer, shape, random_weights(shape))
    assert status("annotators", "average", stored, stored, "--out", tmp_path / "out") == 1
    assert "stored are stored as int8, too coarse for a mean" in capsys.readouterr().err
