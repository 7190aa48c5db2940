"""The model that is trained: as transformers computes it, member by member."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from annotate.examples import PackedExamples
from annotate.fitting import fit, tag_probabilities
from annotate.recipe import FitRecipe
from annotate.trainable import TrainableTagger
from tests.annotate.models import make_shape, make_tokenizer

SHAPE = make_shape(make_tokenizer(), hidden=16, layers=2)
HEADS = {"one": 3, "other": 5}
PIECES = torch.tensor([[2, 7, 9, 12, 3], [2, 8, 3, 0, 0]])
PRESENT = torch.tensor([[True] * 5, [True, True, True, False, False]])


def varied(seeds: tuple[int, ...]) -> TrainableTagger:
    """A model in evaluation whose every weight differs, between members too."""
    model = TrainableTagger(SHAPE, HEADS, 0.1, seeds).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def logits(model: TrainableTagger) -> torch.Tensor:
    each = (model.members, *PIECES.shape)
    return model.logits(PIECES.expand(each), PRESENT.expand(each)).detach()


def test_each_member_computes_what_transformers_computes():
    model = varied((1, 2))
    found = logits(model)
    for member in range(2):
        weights = model.weights(member)
        reference = BertModel(BertConfig(**SHAPE.to_config()), add_pooling_layer=False).eval()
        encoder = {name.removeprefix("bert."): tensor for name, tensor in weights.items() if name.startswith("bert.")}
        reference.load_state_dict(encoder)
        hidden = reference(PIECES, attention_mask=PRESENT.long()).last_hidden_state
        heads = [hidden @ weights[f"heads.{head}.weight"].T + weights[f"heads.{head}.bias"] for head in HEADS]
        expected = torch.cat(heads, -1).detach()
        torch.testing.assert_close(found[member][PRESENT], expected[PRESENT], rtol=1e-4, atol=1e-4)


def test_members_begin_with_other_heads_and_take_one_encoder():
    model = TrainableTagger(SHAPE, HEADS, 0.1, (1, 2))
    model.load({name: tensor for name, tensor in varied((3,)).weights().items() if name.startswith("bert.")})
    first, second = model.weights(0), model.weights(1)
    same = {name for name in first if torch.equal(first[name], second[name])}
    assert {name for name in first if name.startswith("bert.")} <= same
    assert not {"heads.one.weight", "heads.other.weight"} & same


@pytest.fixture(scope="module")
def examples() -> PackedExamples:
    """Sentences whose pieces 7, 8 and 9 have tags 0, 1 and 2 of the first head."""
    chooser = np.random.default_rng(3)
    lengths = chooser.integers(3, 9, 40)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    pieces = chooser.integers(7, 10, starts[-1]).astype(np.int32)
    pieces[starts[:-1]], pieces[starts[1:] - 1] = 2, 3
    permitted = np.where(pieces > 3, 1 << (pieces - 7), 0).astype(np.int64)
    return PackedExamples(pieces=pieces, permitted=permitted, starts=starts)


def test_members_are_fitted_as_if_each_were_alone(examples: PackedExamples):
    """Gradients, their clipping and the optimiser keep the members apart."""
    recipe = FitRecipe(epochs=1, batch_sentences=8, learning_rate=1e-2, clip=0.01)

    def fitted(seeds: tuple[int, ...]) -> TrainableTagger:
        model = TrainableTagger(SHAPE, HEADS, 0.0, seeds)
        fit(model, examples, recipe, seeds=seeds, device=torch.device("cpu"), stage="", on_step=lambda _: None)
        return model

    # The steps of a stack follow the first member's order of batches: a stack of one seed twice is that seed alone.
    alone, together = fitted((4,)), fitted((4, 4))
    for name, tensor in alone.weights().items():
        torch.testing.assert_close(together.weights(0)[name], tensor, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.weights(1)[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_probabilities_of_teachers_are_their_mean(examples: PackedExamples):
    model = varied((1, 2))
    found = tag_probabilities(model, examples, torch.device("cpu")).float()
    first = slice(int(examples.starts[0]), int(examples.starts[1]))
    pieces = torch.from_numpy(examples.pieces[first]).long()[None]
    present = torch.ones_like(pieces, dtype=torch.bool)
    raw = model.logits(pieces.expand(2, *pieces.shape), present.expand(2, *pieces.shape)).detach()
    expected = torch.cat([part.softmax(-1) for part in raw.split([3, 5], -1)], -1).mean(0)[0]
    torch.testing.assert_close(found[first][1:-1], expected[1:-1], rtol=1e-2, atol=1e-3)
    assert found[first][0].sum() == found[first][-1].sum() == 0
