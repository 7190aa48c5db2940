from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from comention.settings import AnnotateSettings
from tests.annotate.models import lexicon_weights, make_shape, make_tokenizer, random_weights, write_folder


@pytest.fixture(scope="session")
def settings() -> AnnotateSettings:
    return AnnotateSettings(device="cpu", threads=1, precision="fp32")


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights: its mentions mean nothing, but depend on everything."""
    tokenizer = make_tokenizer(["as", "##pi", "##rin", "head", "##ache", "the", "of", "##ine"])
    shape = make_shape(tokenizer)
    return write_folder(tmp_path_factory.mktemp("models") / "random", tokenizer, shape, random_weights(shape))


@pytest.fixture(scope="session")
def lexicon_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, str]], Path]:
    """A maker of models that give each piece the tag it is listed with, and O to every other piece."""

    def make(piece_tags: Mapping[str, str]) -> Path:
        tokenizer = make_tokenizer(list(piece_tags))
        shape = make_shape(tokenizer, hidden=8, layers=1)
        path = tmp_path_factory.mktemp("models") / "lexicon"
        return write_folder(path, tokenizer, shape, lexicon_weights(shape, tokenizer, piece_tags))

    return make


@pytest.fixture(scope="session")
def many_sentences() -> list[str]:
    """Sentences of one to a hundred words, in an order that is not that of their lengths."""
    words = ["aspirin", "headache", "the", "of", "quinine", "5-fluorouracil", "α-tocopherol", "(mg/kg)", "x,", "Zoë"]
    chooser = random.Random(7)
    return [" ".join(chooser.choices(words, k=chooser.choice([1, 2, 3, 5, 8, 8, 8, 13, 21, 100]))) for _ in range(60)]


@pytest.fixture
def edit_config() -> Callable[[Path, dict[str, object]], None]:
    """Change fields of a model folder's configuration; ``None`` takes one out."""

    def edit(path: Path, changes: dict[str, object]) -> None:
        config = {**json.loads((path / "config.json").read_text()), **changes}
        kept = {name: value for name, value in config.items() if value is not None}
        (path / "config.json").write_text(json.dumps(kept))

    return edit
