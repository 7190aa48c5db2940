"""The forward pass in int8 against what it says it computes, and its independence of the company a window is in."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotate import int8_encoder
from annotate.bert import Affine, bert_tensors
from annotate.close_calls import CloseCalls
from annotate.encoder import PackedEncoder
from annotate.engine import BertAnnotator
from annotate.folder import BertShape, ModelFolder, open_folder
from annotate.int8_encoder import LIBRARY, Int8Encoder, large_columns
from annotate.loading import load_encoder
from annotate.weights import load_weights
from benchmarks.annotate_models import COMPACT
from benchmarks.annotate_runners import Compute
from comention.errors import AnnotatorError
from tests.annotate.models import (
    NARROW,
    SPECIAL,
    make_tokenizer,
    needs_int8,
    packed_rows,
    random_weights,
    write_folder,
)

CLS, SEP = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
TOKENIZER = make_tokenizer()
WIDE = replace(NARROW, hidden=128, attention_heads=2, intermediate=192)
"""Heads of 64, and a number of outputs that is no power of two."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def outlying_weights(shape: BertShape) -> dict[str, Tensor]:
    """Random weights under which, as in trained models, some values of each row are many times the others.

    The matrices are small enough for a difference in a row to stay small.
    """
    weights = random_weights(shape)
    for name, tensor in weights.items():
        if name.endswith("LayerNorm.weight"):
            tensor[[3, 17, 40]] *= 6
        elif tensor.dim() == 2 and "embeddings" not in name:
            tensor *= 0.25
    return weights


@pytest.fixture(scope="module", params=[NARROW, WIDE], ids=["narrow", "wide"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    shape = request.param
    path = write_folder(tmp_path_factory.mktemp("models") / "int8", TOKENIZER, shape, outlying_weights(shape))
    opened = open_folder(path)
    assert isinstance(opened, ModelFolder)
    return opened


@pytest.fixture(scope="module")
def encoder(folder: ModelFolder) -> Int8Encoder:
    return Int8Encoder(folder, load_weights(folder.path), folder.deciding_heads)


def random_windows(seed: int, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    chooser = np.random.default_rng(seed)
    return [np.array([CLS, *chooser.integers(5, 100, length), SEP]) for length in lengths]


def test_the_kernels_are_compiled_where_there_is_a_compiler():
    if platform.machine() == "x86_64" and shutil.which("cc"):
        assert LIBRARY.is_file(), "make install compiles annotate/int8_kernels.c"


# What is computed, in terms of torch.


def quantised(rows: Tensor, large: Tensor | None = None) -> Tensor:
    """Round a row to 256 steps between its least and its largest value, but for some columns.

    They are those that are named, or those of the largest sizes: four as a rule.
    """
    if large is None:
        sizes = rows.abs()
        every_64th = sizes.view(len(rows), -1, 64).amax(1)
        kept = sizes >= every_64th.topk(4, dim=1).values[:, 3:]
        kept &= kept.cumsum(1) <= 6
    else:
        kept = torch.zeros_like(rows, dtype=torch.bool)
        kept[:, large] = True
    rest = rows.masked_fill(kept, 0.0)
    low, high = rest.amin(1, keepdim=True).clamp_max(0), rest.amax(1, keepdim=True).clamp_min(0)
    scale = ((high - low) / 255).clamp_min(1e-9)
    zero = (-low / scale).round()
    rounded = (((rest / scale).round() + zero).clamp(0, 255) - zero) * scale
    return torch.where(kept, rows, rounded)


def rounded(weight: Tensor, large: Tensor | None = None) -> Tensor:
    """Round a weight to 127 steps on either side for each output, but for the columns that are named."""
    steps = weight.abs().amax(1, keepdim=True) / 127
    result = (weight / steps).round() * steps
    if large is not None:
        result[:, large] = weight[:, large]
    return result


def linear(rows: Tensor, affine: Affine, large: Tensor | None = None, *, exact: bool) -> Tensor:
    if exact:
        return functional.linear(rows, *affine)
    return functional.linear(quantised(rows, large), rounded(affine.weight, large), affine.bias)


def expected_logits(
    weights: Mapping[str, Tensor], folder: ModelFolder, windows: Sequence[NDArray[np.int64]], *, exact: bool
) -> NDArray[np.float32]:
    """Encode windows one by one, in int8 or in fp32."""
    shape, tensors = folder.shape, bert_tensors(weights, folder.shape, folder.deciding_heads)
    heads, found = shape.attention_heads, []
    columns = large_columns(tensors, shape)
    for window in windows:
        rows = tensors.words[torch.from_numpy(window)] + tensors.positions[: len(window)]
        rows = functional.layer_norm(rows, (shape.hidden,), *tensors.embedding_norm, shape.norm_eps)
        for layer, large in zip(tensors.layers, columns, strict=True):
            parts = linear(rows, layer.query_key_value, large.hidden, exact=exact).view(len(window), 3, heads, -1)
            parts = parts.permute(1, 2, 0, 3)
            mixed = functional.scaled_dot_product_attention(*parts.unbind(0)).transpose(0, 1).reshape(rows.shape)
            rows = rows + linear(mixed, layer.attention_output, exact=exact)
            rows = functional.layer_norm(rows, (shape.hidden,), *layer.attention_norm, shape.norm_eps)
            raised = functional.gelu(linear(rows, layer.intermediate, large.attended, exact=exact))
            rows = rows + linear(raised, layer.output, exact=exact)
            rows = functional.layer_norm(rows, (shape.hidden,), *layer.output_norm, shape.norm_eps)
        found.append(functional.linear(rows, *tensors.head).numpy())
    return np.concatenate(found)


@needs_int8
@pytest.mark.parametrize("stored", [True, False], ids=["stored as int8", "fp32"])
def test_logits_are_those_of_quantised_rows(folder: ModelFolder, stored: bool):
    weights = load_weights(folder.path) if stored else outlying_weights(folder.shape)
    windows = random_windows(1, [1, 2, 5, 14, 15, 29, 30, 31, 46, 94, 95, 200, 510])
    got = Int8Encoder(folder, weights, folder.deciding_heads).logits(packed_rows(windows))
    in_int8 = expected_logits(weights, folder, windows, exact=False)
    in_fp32 = expected_logits(weights, folder, windows, exact=True)
    # A value that lies between two steps may be rounded either way: such a row is as far off as int8 is from fp32.
    far, near = (np.median(np.abs(got - other)) for other in (in_fp32, in_int8))
    assert near < far / 30
    assert np.abs(got - in_fp32).max() < 0.02 * np.abs(in_fp32).max()


def test_the_columns_that_are_large_in_every_row_are_kept_apart(folder: ModelFolder):
    tensors = bert_tensors(load_weights(folder.path), folder.shape, folder.deciding_heads)
    for found in large_columns(tensors, folder.shape):
        for columns in found:
            assert len(set(columns.tolist())) == 4
            assert {3, 17, 40} <= set(columns.tolist())


@needs_int8
@pytest.mark.parametrize("count", range(1, 14))
def test_every_number_of_rows_is_computed(folder: ModelFolder, encoder: Int8Encoder, count: int):
    """Rows are multiplied in sixes, and attended to in fours."""
    windows = random_windows(2, [count])
    expected = expected_logits(load_weights(folder.path), folder, windows, exact=True)
    np.testing.assert_allclose(encoder.logits(packed_rows(windows)), expected, atol=0.1 * np.abs(expected).max())


WINDOWS = random_windows(0, [*range(1, 62), *[12] * 20, *[30] * 20, 300])


@pytest.fixture(scope="module")
def alone(encoder: Int8Encoder) -> list[NDArray[np.float32]]:
    return [encoder.logits(packed_rows([window])) for window in WINDOWS]


@needs_int8
@settings(max_examples=40, deadline=None)
@given(chosen=st.lists(st.integers(0, len(WINDOWS) - 1), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_a_row_yields_the_same_bits_in_any_company(
    encoder: Int8Encoder, alone: list[NDArray[np.float32]], chosen: list[int], seed: int
):
    windows = [WINDOWS[index] for index in chosen]
    wanted = np.random.default_rng(seed).random(sum(map(len, windows))) < 0.4
    expected = np.concatenate([alone[index] for index in chosen])
    assert np.array_equal(encoder.logits(packed_rows(windows)), expected)
    assert np.array_equal(encoder.logits(packed_rows(windows, wanted)), expected[wanted])


@needs_int8
def test_threads_share_an_encoder(encoder: Int8Encoder, alone: list[NDArray[np.float32]]):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda window: encoder.logits(packed_rows([window])), WINDOWS * 3)
    for got, expected in zip(found, alone * 3, strict=True):
        assert np.array_equal(got, expected)


@needs_int8
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf, 3e38])
def test_no_value_leads_out_of_a_row(folder: ModelFolder, value: float):
    """Rows of zeros, and weights that are no numbers: nothing sensible can come out, but nothing breaks either."""
    weights = {**load_weights(folder.path)}
    for name in ("word_embeddings.weight", "position_embeddings.weight", "LayerNorm.bias"):
        full = torch.full_like(weights[f"bert.embeddings.{name}"], value)
        weights[f"bert.embeddings.{name}"] = full
    broken = Int8Encoder(folder, weights, folder.deciding_heads)
    assert broken.logits(packed_rows(WINDOWS[:30])).shape == (sum(map(len, WINDOWS[:30])), 5)


# Which models run so.


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """comention as it is installed where there is no compiler."""
    monkeypatch.setattr(int8_encoder, "LIBRARY", tmp_path / "int8_kernels.so")
    int8_encoder._library.cache_clear()
    yield
    int8_encoder._library.cache_clear()


def load(path: Path, precision: str) -> object:
    compute = Compute(device="cpu", threads=1, precision=precision)
    return BertAnnotator(open_folder(path), compute, name="test", model="test")._encoder


@needs_int8
def test_what_is_stored_in_int8_runs_in_int8(folder: ModelFolder):
    assert isinstance(load(folder.path, "auto"), Int8Encoder)
    assert isinstance(load(COMPACT, "auto"), Int8Encoder)
    assert isinstance(load(folder.path, "fp32"), PackedEncoder)


@needs_int8
def test_weights_that_are_stored_otherwise_run_in_int8_but_for_close_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from transformers import BertConfig, BertForTokenClassification

    config = BertConfig(
        vocab_size=TOKENIZER.get_vocab_size(), hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, id2label={0: "O", 1: "B-Drug", 2: "I-Drug"},
    )  # fmt: skip
    BertForTokenClassification(config).save_pretrained(tmp_path)
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    for amx in (False, True):
        monkeypatch.setattr("annotate.loading.has_amx", lambda amx=amx: amx)
        both = load(tmp_path, "int8")
        assert isinstance(both, CloseCalls)
        assert isinstance(both.coarse, Int8Encoder)
        assert isinstance(both.fine, PackedEncoder)
        assert both.fine._dtype is torch.float32
        assert isinstance(load(tmp_path, "auto"), PackedEncoder if amx else CloseCalls)
        assert isinstance(load(tmp_path, "bf16"), PackedEncoder)


def test_without_the_kernels_it_runs_otherwise_and_int8_is_refused(folder: ModelFolder, without_library: None):
    assert isinstance(load(folder.path, "auto"), PackedEncoder)
    with pytest.raises(
        AnnotatorError, match="cannot run in int8: comention was installed without a C compiler: install"
    ):
        load(folder.path, "int8")


def test_it_says_how_it_computes_and_why_not_in_int8(
    folder: ModelFolder, without_library: None, monkeypatch: pytest.MonkeyPatch
):
    def computes(precision: str) -> str:
        return BertAnnotator(folder, Compute(precision=precision, threads=2), name="int8", model="test").computes

    assert computes("fp32") == "fp32 on cpu, 2 threads"
    why = "; not in int8: comention was installed without a C compiler"
    assert f" on cpu, 2 threads{why}" in computes("auto")
    monkeypatch.setattr("annotate.loading.are_stored_as_int8", lambda _: False)
    for amx in (False, True):
        monkeypatch.setattr("annotate.loading.has_amx", lambda amx=amx: amx)
        assert (why in computes("auto")) is not amx


@needs_int8
def test_sizes_that_the_kernels_do_not_take_are_refused(random_folder: Path):
    assert isinstance(load(random_folder, "auto"), PackedEncoder)
    with pytest.raises(
        AnnotatorError, match=r"hidden 32, intermediate 64, heads of 8\) are no multiples of 64, 64 and 16"
    ):
        load(random_folder, "int8")


def test_int8_is_for_the_cpu_and_for_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder):
    monkeypatch.setattr("annotate.loading.resolve_device", lambda _: torch.device("cuda", 0))
    with pytest.raises(
        AnnotatorError, match="int8 is for the CPU, and the device is cuda:0; else set COMENTION_ANNOTATE"
    ):
        load_encoder(folder, Compute(precision="int8"), 10)
