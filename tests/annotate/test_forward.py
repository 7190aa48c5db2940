from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotate.forward import ForwardPass
from annotate.windows import PackedWindows, pack_windows
from comention.errors import AnnotatorError

POISON = 99


class Device:
    """An encoder with little memory: the logits of a row are its piece and its negative."""

    def __init__(
        self, *, room: int = 10**9, lanes: int = 1, tile: int = 1, error: type[Exception] = MemoryError
    ) -> None:
        self.lanes, self.tile, self.batch_rows = lanes, tile, 64
        self.room, self.error = room, error
        self.rows: list[int] = []
        self.threads: set[str] = set()

    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        self.rows.append(len(batch.pieces))
        self.threads.add(threading.current_thread().name)
        if len(batch.pieces) > self.room:
            raise self.error(f"cannot allocate memory for {len(batch.pieces)} rows")
        if POISON in batch.pieces:
            raise ValueError("poison") if self.error is ValueError else RuntimeError("poison")
        pieces = batch.pieces[batch.wanted].astype(np.float32)
        return np.stack([pieces, -pieces], axis=1)


def pack(sentences: list[list[int]]) -> PackedWindows:
    ids = np.array([piece for sentence in sentences for piece in sentence], dtype=np.int64)
    bounds = np.cumsum([0, *map(len, sentences)])
    return pack_windows(ids, bounds, np.ones(len(ids), dtype=bool), size=20, special=([1], [2]))


def encode(device: Device, sentences: list[list[int]], most: int | None = None) -> tuple[list[float], dict[int, str]]:
    logits = np.zeros((sum(map(len, sentences)), 2), dtype=np.float32)
    with ForwardPass(device, most).started() as run:
        failures = run(pack(sentences), logits)
    return logits[:, 0].tolist(), failures


SENTENCES = st.lists(st.lists(st.integers(3, 90), max_size=40), max_size=30)


@settings(deadline=None)
@given(SENTENCES, st.integers(22, 200), st.integers(1, 300), st.sampled_from([1, 3]))
def test_every_word_gets_its_logits_however_little_memory_there_is(
    sentences: list[list[int]], room: int, most: int, lanes: int
):
    found, failures = encode(Device(room=room, lanes=lanes), sentences, most)
    assert found == [piece for sentence in sentences for piece in sentence]
    assert not failures


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, RuntimeError])
def test_after_the_memory_did_not_suffice_batches_are_smaller(error: type[Exception]):
    device = Device(room=20, error=error)
    found, failures = encode(device, [[7] * 3] * 80)
    assert found == [7.0] * 240
    assert not failures
    refused = [rows for rows in device.rows if rows > 20]
    assert len(refused) <= 2 * len(device.rows) / 3
    forward = ForwardPass(device, None)
    with forward.started() as run:
        run(pack([[7] * 3] * 80), np.zeros((240, 2), dtype=np.float32))
        device.rows.clear()
        run(pack([[7] * 3] * 80), np.zeros((240, 2), dtype=np.float32))
    assert max(device.rows) <= 20


def test_a_sentence_that_is_to_blame_fails_alone():
    sentences = [[3, 4], [5, POISON], [6], [7, 8, 9]]
    found, failures = encode(Device(), sentences)
    assert found == [3, 4, 0, 0, 6, 7, 8, 9]
    assert failures == {1: "the model cannot encode it: poison"}


def test_what_is_not_about_the_batch_is_raised():
    with pytest.raises(ValueError, match="poison"):
        encode(Device(error=ValueError), [[POISON]])


def test_a_device_that_has_failed_ends_the_call():
    class Dead(Device):
        def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
            raise AnnotatorError("the device cuda:0 has failed")

    with pytest.raises(AnnotatorError, match="has failed"):
        encode(Dead(), [[3], [4]])


def test_few_rows_are_spread_over_all_threads_in_whole_tiles():
    device = Device(lanes=3, tile=8)
    device.batch_rows = 1000
    encode(device, [[5] * 4] * 16)  # 96 rows
    assert device.rows == [30, 30, 30, 6]
    device = Device(lanes=3, tile=1000)
    device.batch_rows = 1000
    encode(device, [[5] * 4] * 16)
    assert device.rows == [96]


def test_the_threads_end_with_the_call():
    before = threading.active_count()
    device = Device(lanes=4)
    encode(device, [[5] * 4] * 100)
    assert threading.active_count() == before
    assert all(name.startswith("annotate-forward") for name in device.threads)
