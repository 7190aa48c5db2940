"""Models of other architectures: the same logits as transformers gives one text, and spans exact to the character."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from annotate.any_encoder import AnyEncoder
from annotate.engine import BertAnnotator
from annotate.folder import TransformersFolder, open_folder
from annotate.words import open_words
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from comention.testing import check_annotator
from comention.types import Annotator
from tests.annotate.models import packed_rows
from tests.annotate.other_models import KINDS, pieces_of, write_model

TAGS = {"aspirin": "B-Drug", "valproic": "B-Drug", "acid": "I-Drug", "rash": "B-Condition", "fluorouracil": "I-Drug"}
SENTENCES = ["Aspirin caused rash.", "the valproic acid, then fluorouracil-induced rash", "rash", "of the " * 20]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def random_model(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / kind, kind)


@pytest.fixture(scope="module")
def lexicon(kind: str, tmp_path_factory: pytest.TempPathFactory) -> BertAnnotator:
    path = write_model(tmp_path_factory.mktemp("models") / f"{kind}-lexicon", kind, pieces_of(kind, TAGS))
    return load(path)


def load(path: Path) -> BertAnnotator:
    settings = AnnotateSettings(threads=1, precision="fp32")
    return BertAnnotator(open_folder(path), settings, name="test", model="test")


def test_logits_are_those_of_transformers_for_each_text_alone(random_model: Path):
    import transformers

    folder = open_folder(random_model)
    assert isinstance(folder, TransformersFolder)
    encoder, words = AnyEncoder(folder, torch.float32, torch.device("cpu")), open_words(random_model)
    windows = [np.array(words.tokenizer.encode(text.strip()).ids) for text in SENTENCES]
    windows.sort(key=len)
    assert all((window[0], window[-1]) == (*words.before, *words.behind) for window in windows)
    together = encoder.logits(packed_rows(windows))
    model = transformers.AutoModelForTokenClassification.from_pretrained(random_model).float().eval()
    with torch.no_grad():
        alone = [model(torch.from_numpy(window)[None]).logits[0].numpy() for window in windows]
    assert np.abs(together - np.concatenate(alone)).max() < 1e-4


def found(annotator: Annotator, sentence: str) -> list[tuple[str, str]]:
    (annotation,) = annotator.annotate([sentence])
    assert annotation.detail is None
    return [(sentence[one.start_char : one.end_char], one.label) for one in annotation.mentions]


@pytest.mark.parametrize(
    ("sentence", "mentions"),
    [
        ("aspirin caused rash, then rash.", [("aspirin", "Drug"), ("rash", "Condition"), ("rash", "Condition")]),
        ("the  valproic  acid", [("valproic  acid", "Drug")]),
        ("rash (aspirin)", [("rash", "Condition"), ("aspirin", "Drug")]),
        ("\u00a0rash aspirin\n", [("rash", "Condition"), ("aspirin", "Drug")]),
        ("aspirin rash\u0301 of", [("aspirin", "Drug"), ("rash\u0301", "Condition")]),
        ("\U0001f600 rash \U0001f600", [("rash", "Condition")]),
        ("acid of the", []),
        ("", []),
        (" \u200b ", []),
    ],
)
def test_mentions_are_exact_slices(lexicon: BertAnnotator, sentence: str, mentions: list[tuple[str, str]]):
    assert found(lexicon, sentence) == mentions


def test_a_long_sentence_is_read_to_its_end_within_the_models_positions(lexicon: BertAnnotator):
    words = random.Random(0).choices(["aspirin", "rash", "of", "valproic acid"], k=400)
    sentence = " ".join(words)
    assert [text for text, _ in found(lexicon, sentence)] == [word for word in words if word != "of"]
    assert lexicon._window + 2 == 64


@pytest.mark.parametrize("name", ["roberta", "deberta-v2"])
def test_such_a_model_keeps_the_contract(tmp_path: Path, name: str):
    check_annotator(load(write_model(tmp_path / name, name)))


def test_a_model_without_a_head_of_its_own_is_refused(kind: str, random_model: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    path = shutil.copytree(random_model, tmp_path / "copy")
    weights = {
        name: tensor for name, tensor in load_file(path / "model.safetensors").items() if "classifier" not in name
    }
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AnnotatorError, match=r"no tensor 'classifier\.\w+' \(2 are missing\)"):
        load(path)


def test_an_unknown_architecture_and_too_many_pieces_are_one_sentence_each(
    tmp_path: Path, edit_config: Callable[[Path, dict[str, object]], None]
):
    path = write_model(tmp_path / "roberta", "roberta")
    edit_config(path, {"model_type": "hal-9000"})
    with pytest.raises(AnnotatorError, match=r"transformers cannot load .*hal-9000"):
        load(path)
    path = write_model(tmp_path / "distilbert", "distilbert")
    from tests.annotate.other_models import byte_level

    byte_level().save(str(path / "tokenizer.json"))
    with pytest.raises(AnnotatorError, match=r"the tokenizer in .* has \d+ pieces, but the weights only \d+"):
        load(path)
