from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from annotate.engine import BertAnnotator
from annotate.folder import ModelFolder, TransformersFolder, open_folder
from annotate.weights import WEIGHTS, load_weights, quantise
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from tests.annotate.models import make_shape, make_tokenizer, write_hub_folder

Spoil = Callable[[dict[str, object]], None]


@pytest.fixture
def hub_folder(tmp_path: Path) -> Callable[..., Path]:
    """A Hugging Face folder without weights, its configuration changed as asked."""

    def write(**changes: object) -> Path:
        tokenizer = make_tokenizer()
        tags = {"0": "O", "1": "B-Drug", "2": "I-Drug"}
        config = {**make_shape(tokenizer).to_config(), "id2label": tags, **changes}
        return write_hub_folder(tmp_path / "hub", tokenizer, config, {})

    return write


def test_a_hub_folder_gives_its_tags_in_the_order_of_their_numbers(hub_folder: Callable[..., Path]):
    tags = {str(index): tag for index, tag in enumerate(["O", *(f"{p}-T{n}" for n in range(6) for p in "BI")])}
    folder = open_folder(hub_folder(id2label=dict(sorted(tags.items()))))
    assert folder.heads[0].tags == tuple(tags.values())
    assert folder.labels == ("T0", "T1", "T2", "T3", "T4", "T5")
    assert folder.max_pieces == folder.shape.positions


def test_meaningless_labels_are_refused_with_the_labels_found(hub_folder: Callable[..., Path]):
    with pytest.raises(AnnotatorError, match=r"LABEL_0, LABEL_1, LABEL_2.*--labels"):
        open_folder(hub_folder(id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": None}, "no token-classification model"),
        ({"id2label": {"a": "O"}}, "keys are not numbers"),
        ({"id2label": {"0": "B-Drug"}}, "none is O"),
        ({"comention": {"heads": {}}, "model_type": "roberta"}, "describes roberta"),
    ],
)
def test_a_folder_that_cannot_be_run_is_refused(
    hub_folder: Callable[..., Path], changes: dict[str, object], message: str
):
    with pytest.raises(AnnotatorError, match=message):
        open_folder(hub_folder(**changes))


@pytest.mark.parametrize(
    "changes", [{"model_type": "roberta"}, {"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}]
)
def test_what_our_forward_pass_does_not_compute_is_left_to_transformers(
    hub_folder: Callable[..., Path], changes: dict[str, object]
):
    assert isinstance(open_folder(hub_folder(**changes)), TransformersFolder)
    assert isinstance(open_folder(hub_folder()), ModelFolder)


def test_missing_files_and_fields_are_named(hub_folder: Callable[..., Path], tmp_path: Path):
    with pytest.raises(AnnotatorError, match=r"has no config\.json and no tokenizer\.json and no model\.safetensors"):
        open_folder(tmp_path)
    path = hub_folder()
    config = json.loads((path / "config.json").read_text())
    del config["layer_norm_eps"]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(AnnotatorError, match="layer_norm_eps"):
        open_folder(path)
    (path / "config.json").write_text("{")
    with pytest.raises(AnnotatorError, match="is not JSON"):
        open_folder(path)


def test_broken_weights_and_tokenizers_are_refused(
    random_folder: Path, hub_folder: Callable[..., Path], settings: AnnotateSettings
):
    path = hub_folder()

    def load() -> BertAnnotator:
        return BertAnnotator(open_folder(path), settings, name="broken", model="broken")

    with pytest.raises(AnnotatorError, match=r"no tensor 'classifier\.weight"):
        load()
    (path / WEIGHTS).write_bytes(b"not safetensors")
    with pytest.raises(AnnotatorError, match=r"weights .* cannot be read"):
        load()
    (path / "tokenizer.json").write_text("{}")
    with pytest.raises(AnnotatorError, match=r"tokenizer .* cannot be read"):
        load()


def test_a_tokenizer_with_more_pieces_than_the_weights_is_refused(
    hub_folder: Callable[..., Path], settings: AnnotateSettings
):
    path = hub_folder(vocab_size=20)
    with pytest.raises(AnnotatorError, match="weights only 20"):
        BertAnnotator(open_folder(path), settings, name="broken", model="broken")


def test_quantised_matrices_come_back_within_half_a_step(tmp_path: Path):
    from safetensors.torch import save

    torch.manual_seed(0)
    weights = {"matrix": torch.randn(7, 33) * torch.logspace(-6, 3, 7)[:, None], "vector": torch.randn(9)}
    weights["matrix"][3] = 0
    stored = quantise(weights)
    assert stored["matrix"].dtype == torch.int8
    (tmp_path / WEIGHTS).write_bytes(save(stored))
    loaded = load_weights(tmp_path)
    assert loaded.keys() == weights.keys()
    assert torch.equal(loaded["vector"], weights["vector"])
    step = weights["matrix"].abs().amax(dim=1, keepdim=True) / 127
    assert bool(((loaded["matrix"] - weights["matrix"]).abs() <= 0.5001 * step).all())


def test_the_revision_follows_the_weights(random_folder: Path, tmp_path: Path):
    copy = shutil.copytree(random_folder, tmp_path / "copy")
    assert open_folder(copy).revision() == open_folder(random_folder).revision()
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copy / WEIGHTS).write_bytes(content)
    assert open_folder(copy).revision() != open_folder(random_folder).revision()


def heads_of(path: Path, *, decides: object) -> Path:
    """Give a folder of ours two heads with the same weights and let ``decides`` say which decides."""
    config = json.loads((path / "config.json").read_text())
    config["comention"] |= {"heads": {"a": ["Drug", "Condition"], "b": ["Drug", "Condition"]}, "decides": decides}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("decides", "expected"),
    [
        ("b", {"Drug": "b", "Condition": "b"}),
        ({"Condition": "b", "Drug": "a"}, {"Condition": "b", "Drug": "a"}),
        ({"Condition": "a"}, {"Condition": "a"}),
    ],
)
def test_heads_decide_label_by_label(random_folder: Path, tmp_path: Path, decides: object, expected: dict[str, str]):
    folder = open_folder(heads_of(shutil.copytree(random_folder, tmp_path / "copy"), decides=decides))
    assert list(folder.decides.items()) == list(expected.items())
    assert folder.labels == tuple(expected)
    assert {head.name for head in folder.deciding_heads} == set(expected.values())


@pytest.mark.parametrize(
    ("decides", "message"),
    [
        ("c", "'c' decide, but its heads are a, b"),
        ({"Drug": "c"}, "'c' decide, but its heads are a, b"),
        ({"Gene": "a"}, "'a' decide 'Gene', but that head has Drug, Condition only"),
        ({}, "no head decide any label"),
    ],
)
def test_a_head_or_label_that_is_not_there_cannot_decide(
    random_folder: Path, tmp_path: Path, decides: object, message: str
):
    with pytest.raises(AnnotatorError, match=message):
        open_folder(heads_of(shutil.copytree(random_folder, tmp_path / "copy"), decides=decides))
