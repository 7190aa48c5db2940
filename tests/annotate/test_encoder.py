"""Our forward pass against that of ``transformers``, and its independence of the company a window is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotate import encoder
from annotate.decode import TagDecoder
from annotate.encoder import PackedEncoder
from annotate.folder import open_folder
from annotate.labels import Scheme, TagSet
from annotate.weights import load_weights
from tests.annotate.models import SPECIAL, TAGS, make_tokenizer, packed_rows, write_hub_folder

CLS, SEP = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def packed(request: pytest.FixtureRequest, random_folder: Path) -> PackedEncoder:
    folder = open_folder(random_folder)
    return PackedEncoder(folder, load_weights(random_folder), folder.deciding_heads, request.param)


def random_windows(seed: int, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    chooser = np.random.default_rng(seed)
    return [np.array([CLS, *chooser.integers(5, 100, length), SEP]) for length in lengths]


WINDOWS = random_windows(0, [*range(1, 62), *[12] * 20, *[30] * 20])


@pytest.fixture(scope="module")
def alone(packed: PackedEncoder) -> list[NDArray[np.float32]]:
    return [packed.logits(packed_rows([window])) for window in WINDOWS]


@settings(max_examples=25, deadline=None)
@given(chosen=st.lists(st.integers(0, len(WINDOWS) - 1), min_size=1, max_size=60))
def test_a_window_yields_the_same_bits_in_any_company(
    packed: PackedEncoder, alone: list[NDArray[np.float32]], chosen: list[int]
):
    together = packed.logits(packed_rows([WINDOWS[index] for index in chosen]))
    assert np.array_equal(together, np.concatenate([alone[index] for index in chosen]))


@settings(max_examples=15, deadline=None)
@given(chosen=st.lists(st.integers(0, len(WINDOWS) - 1), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_a_row_yields_the_same_bits_whichever_others_are_wanted(
    packed: PackedEncoder, alone: list[NDArray[np.float32]], chosen: list[int], seed: int
):
    windows = [WINDOWS[index] for index in chosen]
    wanted = np.random.default_rng(seed).random(sum(map(len, windows))) < 0.4
    expected = np.concatenate([alone[index] for index in chosen])[wanted]
    assert np.array_equal(packed.logits(packed_rows(windows, wanted)), expected)


@pytest.mark.parametrize("lengths", [[1], [3, 3, 50], [60] * 9])
@pytest.mark.parametrize("tile", [64, encoder.TILE])
def test_every_matrix_product_has_the_same_number_of_rows(
    random_folder: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int], tile: int
):
    """Bits that depend on the number of rows show on some processors only, so the cause is tested besides the effect."""
    folder = open_folder(random_folder)
    packed = PackedEncoder(folder, load_weights(folder.path), folder.deciding_heads, torch.float32, tile=tile)
    rows = []
    for method in ("__call__", "gelu", "add"):
        whole = getattr(encoder._Linear, method)

        def watch(self, hidden, *others, whole=whole):
            rows.append(len(hidden))
            return whole(self, hidden, *others)

        monkeypatch.setattr(encoder._Linear, method, watch)
    packed.logits(packed_rows(random_windows(2, lengths)))
    assert len(rows) >= 9
    assert set(rows) == {tile}


def test_without_the_private_operators_of_torch_the_logits_are_the_same(random_folder: Path):
    folder = open_folder(random_folder)
    weights = load_weights(random_folder)
    packed = PackedEncoder(folder, weights, folder.deciding_heads, torch.float32)
    with mock.patch.object(torch.ops, "mkldnn", object()):
        plain = PackedEncoder(folder, weights, folder.deciding_heads, torch.float32)
        got = plain.logits(packed_rows(WINDOWS))
    assert plain._head.packed is None
    np.testing.assert_allclose(got, packed.logits(packed_rows(WINDOWS)), atol=1e-4)


def test_logits_and_tags_agree_with_the_padded_forward_of_transformers(tmp_path: Path):
    from transformers import BertConfig, BertForTokenClassification

    tokenizer = make_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=80,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: index for index, tag in enumerate(TAGS)},
    )
    torch.manual_seed(3)
    theirs = BertForTokenClassification(config).eval()
    with torch.no_grad():  # far from how a model begins, so that attention and all tags matter
        for parameter in theirs.parameters():
            spread = torch.randn_like(parameter)
            parameter.copy_(0.4 * spread if parameter.dim() == 2 else parameter + 0.1 * spread)
    path = write_hub_folder(tmp_path, tokenizer, config.to_dict(), theirs.state_dict())
    folder = open_folder(path)
    assert folder.heads[0].tags == TAGS
    windows = random_windows(1, [1, 2, 5, 5, 17, 40, 78])
    ours = PackedEncoder(folder, load_weights(path), folder.deciding_heads, torch.float32).logits(packed_rows(windows))
    padded = torch.zeros(len(windows), 80, dtype=torch.long)
    for row, window in enumerate(windows):
        padded[row, : len(window)] = torch.from_numpy(window)
    with torch.inference_mode():
        present = torch.arange(80) < torch.tensor([[len(window)] for window in windows])
        logits = theirs(padded, attention_mask=present.long()).logits
    expected = torch.cat([logits[row, : len(window)] for row, window in enumerate(windows)]).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    bounds = np.cumsum([0, *map(len, windows)])
    decoder = TagDecoder(TagSet(tags=TAGS, scheme=Scheme.BIO))
    found, wanted = decoder.decode(ours, bounds), decoder.decode(expected, bounds)
    assert len(found) > 10
    for column in ("sentences", "firsts", "ends", "labels"):
        assert np.array_equal(getattr(found, column), getattr(wanted, column))
