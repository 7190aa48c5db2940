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
    second, third = changed("second", shift=0.3, dtype="bfloat16"), changed("third", shift=0.6)
    (second / "tokenizer_config.json").write_text('{"model_max_length": 64}')
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
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
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
    refused(first, other, message="other has files already", out=other)
    refused(first, tmp_path / "nowhere", message="nowhere is no model folder: it has no config.json")
    tags = {"0": "O", "1": "B-Gene", "2": "I-Gene", "3": "B-Taxon", "4": "I-Taxon"}
    refused(first, changed("labels", id2label=tags), message="labels/config.json has another id2label than that of")
    words = changed("words")
    (words / "tokenizer.json").write_text("{}")
    refused(first, words, message="words has another tokenizer than")
    cased = changed("cased")
    (cased / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    refused(first, cased, message="cased has another tokenizer than")
    merges = changed("merges")
    (merges / "merges.txt").write_text("a b")
    refused(first, merges, message="merges has another tokenizer than")
    mute = changed("mute")
    for file in mute.glob("*tok*"):
        file.unlink()
    refused(mute, mute, message=f"the model folder {mute} has no tokenizer.json")
    broken = changed("broken")
    (broken / "config.json").write_text("{")
    refused(first, broken, message="config.json is not JSON")
    fewer = changed("fewer")
    weights = load_file(fewer / "model.safetensors")
    weights.pop(gone := min(weights))
    save_file(weights, fewer / "model.safetensors")
    refused(first, fewer, message=f"differ in {gone}: a mean takes models of one base")
    packed = changed("packed")
    weights = load_file(packed / "model.safetensors")
    matrix = next(name for name, tensor in weights.items() if tensor.dim() == 2)
    save_file({**weights, matrix: weights[matrix].to(torch.int8)}, packed / "model.safetensors")
    refused(first, packed, message=f"packed have {matrix} as int8 without {matrix}.scale: unpack them first")
    unsafe = changed("unsafe")
    (unsafe / "model.safetensors").unlink()
    refused(first, unsafe, message="unsafe has no model.safetensors")
    (unsafe / "pytorch_model.bin").write_bytes(b"")
    refused(first, unsafe, message="unsafe are pickled (pytorch_model.bin): save them as model.safetensors first")
    (tmp_path / "file").write_text("")
    refused(first, other, message="cannot be made", out=tmp_path / "file" / "out")


def test_a_folder_that_cannot_be_written_is_one_sentence(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    assert status("annotators", "average", first, first, "--out", tmp_path / "out") == 1
    assert "out cannot be written: [Errno 28] No space left" in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_shards_are_read_as_one(first: Path, tmp_path: Path):
    shards = shutil.copytree(first, tmp_path / "shards")
    weights = load_file(shards / "model.safetensors")
    (shards / "model.safetensors").unlink()
    half = len(weights) // 2
    files = {"model-1-of-2.safetensors": sorted(weights)[:half], "model-2-of-2.safetensors": sorted(weights)[half:]}
    for file, names in files.items():
        save_file({name: weights[name] for name in names}, shards / file)
    index = {"weight_map": {name: file for file, names in files.items() for name in names}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    assert status("annotators", "average", first, shards, "--out", tmp_path / "out") == 0
    written = load_weights(tmp_path / "out")
    assert all(torch.equal(written[name], tensor) for name, tensor in load_weights(first).items())


def test_matrices_that_are_stored_as_int8_have_no_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tokenizer = make_tokenizer()
    shape = make_shape(tokenizer)
    stored = write_folder(tmp_path / "stored", tokenizer, shape, random_weights(shape))
    assert status("annotators", "average", stored, stored, "--out", tmp_path / "out") == 1
    assert "stored are stored as int8, too coarse for a mean" in capsys.readouterr().err
