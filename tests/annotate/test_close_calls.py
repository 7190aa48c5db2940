"""Two encoders of the same weights as one: whose logits a window gets, and that its company has no say in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotate.close_calls import CloseCalls
from annotate.encoder import PackedEncoder
from annotate.folder import open_folder
from annotate.weights import load_weights
from tests.annotate.models import SPECIAL, packed_rows

CLS, SEP = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
CHOOSER = np.random.default_rng(5)
WINDOWS = [np.array([CLS, *CHOOSER.integers(5, 60, length), SEP]) for length in [*range(1, 20), *[5] * 10, 40]]
COUNTS = (2, 3)
"""Of the five tags of the model two heads are made, so that their borders matter."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def coarse(random_folder: Path) -> PackedEncoder:
    """bf16 is coarse enough, and there is no processor that has not got it, slow as it may be."""
    folder = open_folder(random_folder)
    return PackedEncoder(folder, load_weights(folder.path), folder.deciding_heads, torch.bfloat16, threads=3)


@pytest.fixture(scope="module")
def fine(random_folder: Path) -> PackedEncoder:
    folder = open_folder(random_folder)
    return PackedEncoder(folder, load_weights(folder.path), folder.deciding_heads, torch.float32, tile=8)


def least_margin(logits: NDArray[np.float32]) -> float:
    first, second = np.sort(logits[:, :2], axis=1), np.sort(logits[:, 2:], axis=1)
    return min(np.min(first[:, 1] - first[:, 0]), np.min(second[:, 2] - second[:, 1]))


@pytest.fixture(scope="module")
def median(coarse: PackedEncoder) -> float:
    """A margin under which half of the windows are close."""
    return float(np.median([least_margin(coarse.logits(packed_rows([window]))) for window in WINDOWS]))


def test_a_window_is_the_finer_encoders_where_any_word_is_close(
    coarse: PackedEncoder, fine: PackedEncoder, median: float
):
    both = CloseCalls(coarse, fine, COUNTS, margin=median)
    close = 0
    for window in WINDOWS:
        alone = packed_rows([window])
        is_close = least_margin(coarse.logits(alone)) < median
        assert np.array_equal(both.logits(alone), (fine if is_close else coarse).logits(alone))
        assert not np.array_equal(coarse.logits(alone), fine.logits(alone))
        close += is_close
    assert close == len(WINDOWS) // 2


def test_without_a_margin_all_is_the_coarse_encoders_and_with_a_wide_one_the_finer_ones(
    coarse: PackedEncoder, fine: PackedEncoder
):
    batch = packed_rows(WINDOWS)
    assert np.array_equal(CloseCalls(coarse, fine, COUNTS, margin=0).logits(batch), coarse.logits(batch))
    assert np.array_equal(CloseCalls(coarse, fine, COUNTS, margin=1e9).logits(batch), fine.logits(batch))


@settings(max_examples=60, deadline=None)
@given(chosen=st.lists(st.integers(0, len(WINDOWS) - 1), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_a_window_gets_the_same_bits_in_any_company(
    coarse: PackedEncoder, fine: PackedEncoder, median: float, chosen: list[int], seed: int
):
    both = CloseCalls(coarse, fine, COUNTS, margin=median)
    windows = [WINDOWS[index] for index in chosen]
    wanted = np.random.default_rng(seed).random(sum(map(len, windows))) < 0.4  # of some windows no row at all
    ends = np.cumsum([0, *map(len, windows)])
    masks = [wanted[start:end] for start, end in pairwise(ends)]
    alone = [both.logits(packed_rows([window], mask)) for window, mask in zip(windows, masks, strict=True)]
    assert np.array_equal(both.logits(packed_rows(windows, wanted)), np.concatenate(alone))


def test_it_is_called_as_its_coarse_encoder_is(coarse: PackedEncoder, fine: PackedEncoder):
    both = CloseCalls(coarse, fine, COUNTS)
    assert (both.lanes, both.tile, both.batch_rows) == (3, coarse.tile, 4 * coarse.batch_rows)
