"""The forward pass for GPUs. What needs no GPU runs on the CPU, where it computes the same without streams and graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from annotate import cuda_encoder
from annotate.cuda_attention import choose_attention, efficient_attention, flash_attention, grouped_attention
from annotate.cuda_encoder import CudaEncoder
from annotate.encoder import PackedEncoder
from annotate.engine import BertAnnotator
from annotate.folder import open_folder
from annotate.weights import load_weights
from annotate.windows import PackedWindows
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from tests.annotate.models import packed_rows

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use")


def random_batch(seed: int, lengths: list[int]) -> PackedWindows:
    chooser = np.random.default_rng(seed)
    windows = [chooser.integers(5, 100, length) for length in sorted(lengths, reverse=True)]
    return packed_rows(windows, chooser.random(sum(lengths)) < 0.7)


def make(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32, **options: bool) -> CudaEncoder:
    opened = open_folder(folder)
    return CudaEncoder(opened, load_weights(folder), opened.deciding_heads, dtype, device, **options)


@pytest.fixture(scope="module")
def packed(random_folder: Path) -> PackedEncoder:
    opened = open_folder(random_folder)
    return PackedEncoder(opened, load_weights(random_folder), opened.deciding_heads, torch.float32)


@pytest.fixture(scope="module")
def flat(random_folder: Path) -> CudaEncoder:
    return make(random_folder, CPU)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(3, 64), min_size=1, max_size=60), seed=st.integers(0, 999))
def test_it_gives_the_logits_that_the_encoder_for_the_cpu_gives(
    packed: PackedEncoder, flat: CudaEncoder, lengths: list[int], seed: int
):
    batch = random_batch(seed, lengths)
    np.testing.assert_allclose(flat.logits(batch), packed.logits(batch), atol=1e-4)


@given(lengths=st.lists(st.integers(3, 500), min_size=1, max_size=400))
def test_the_static_shape_holds_the_batch_and_wastes_little(lengths: list[int]):
    batch = random_batch(0, lengths)
    shape = cuda_encoder._static_shape(batch)
    used = len(batch.pieces)
    assert used <= shape.rows <= max(used * 1.25, used + 256)
    assert len(batch) <= shape.windows <= max(16, 2 * len(batch))
    assert len(batch.wanted) <= shape.wanted <= shape.rows
    assert max(lengths) <= shape.longest <= max(lengths) + 128
    described = np.full(shape.size, -1, dtype=np.int32)
    cuda_encoder._describe(batch, shape, described)
    pieces, positions, bounds, wanted = np.split(
        described, np.cumsum([shape.rows, shape.rows, shape.windows + 1]).tolist()
    )
    assert pieces[:used].tolist() == batch.pieces.tolist()
    assert not pieces[used:].any()
    assert positions[:used].tolist() == [position for length in batch.lengths for position in range(length)]
    assert np.diff(bounds).tolist() == [*batch.lengths.tolist(), *[0] * (shape.windows - len(batch))]
    assert wanted[: len(batch.wanted)].tolist() == batch.wanted.tolist()
    assert described.min() >= 0


def test_the_shapes_of_all_batches_are_few():
    rows = {cuda_encoder._round_up(used) for used in range(1, 32_769)}
    assert len(rows) < 40
    assert max(rows) == 32_768


def test_a_way_of_attending_that_refuses_or_answers_wrongly_is_passed_over():
    def refuses(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
        raise RuntimeError("no kernel image is available")

    def is_wrong(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
        return rows[:, 2]

    def is_nan(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
        return torch.full_like(rows[:, 0], float("nan"))

    def is_right(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
        return grouped_attention(rows, bounds, longest)

    for dtype in (torch.float32, torch.bfloat16):
        assert choose_attention(4, 8, dtype, CPU, [refuses, is_wrong, is_nan, is_right]) is is_right
        assert choose_attention(4, 8, dtype, CPU, [refuses, is_wrong, is_nan]) is grouped_attention
        # Neither operator is there for the CPU: they are tried, and passed over.
        assert choose_attention(4, 8, dtype, CPU, [flash_attention, efficient_attention]) is grouped_attention


def test_an_annotator_that_was_taken_across_a_fork_says_so(random_folder: Path, flat: CudaEncoder):
    fields = AnnotateSettings(device="cpu", threads=1, precision="fp32")
    annotator = BertAnnotator(open_folder(random_folder), fields, name="forked", model="test")
    annotator._encoder = flat
    annotator.annotate(["aspirin"])
    annotator._process -= 1
    with pytest.raises(AnnotatorError, match=r"forked was loaded onto a GPU before a fork: load it in the child"):
        annotator.annotate(["aspirin"])


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@needs_gpu
def test_on_a_gpu_windows_of_unequal_length_are_attended_to_in_one_call(dtype: torch.dtype):
    chosen = choose_attention(12, 64, dtype, torch.device("cuda"))
    if dtype is torch.float32 or torch.cuda.get_device_capability()[0] < 8:
        assert chosen is efficient_attention
    else:
        assert chosen is flash_attention


@needs_gpu
def test_on_a_gpu_graphs_give_what_the_eager_pass_and_the_cpu_give(
    random_folder: Path, packed: PackedEncoder, dtype: torch.dtype
):
    eager = make(random_folder, torch.device("cuda"), dtype, graphs=False)
    graphs = make(random_folder, torch.device("cuda"), dtype)
    tolerance = 1e-3 if dtype is torch.float32 else 0.5
    for seed in range(4):  # the third time a shape comes, its graph is replayed with other pieces
        batch = random_batch(seed, [40, 17, 17, 5, 3])
        expected = eager.logits(batch)
        np.testing.assert_array_equal(graphs.logits(batch), expected)
        np.testing.assert_allclose(expected, packed.logits(batch), atol=tolerance)
    assert [graph is not None for graph in graphs._graphs.values()] == [True]


@needs_gpu
def test_on_a_gpu_a_call_gives_what_the_cpu_gives(random_folder: Path, many_sentences: list[str]):
    def spans(device: str) -> list[list[tuple[int, int, str]]]:
        fields = AnnotateSettings(device=device, precision="fp32", threads=1, batch_tokens=512)
        annotator = BertAnnotator(open_folder(random_folder), fields, name="test", model="test")
        return [
            [(mention.start_char, mention.end_char, mention.label) for mention in annotation.mentions]
            for annotation in annotator.annotate(many_sentences * 40)
        ]

    assert spans("cuda") == spans("cpu")


@needs_gpu
def test_on_a_gpu_what_lies_between_the_products_can_be_compiled(random_folder: Path):
    device = torch.device("cuda")
    eager, fused = (make(random_folder, device, graphs=False, fused=fused) for fused in (False, True))
    for lengths in ([5], [30] * 20, [64] * 90):
        batch = random_batch(1, lengths)
        np.testing.assert_allclose(fused.logits(batch), eager.logits(batch), atol=1e-3)
