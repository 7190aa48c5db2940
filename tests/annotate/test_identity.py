"""What ``compact`` finds against a plain padded fp32 forward pass of transformers under the same decoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotate.engine import BertAnnotator
from annotate.folder import open_folder
from benchmarks.annotate import span_identity
from benchmarks.annotate_models import COMPACT, export_bert_base, export_compact, sample_sentences
from benchmarks.annotate_runners import Compute, Reference, Spans
from tests.annotate.models import needs_int8

SENTENCES = sample_sentences()[::6]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Spans:
    compute = Compute(device="cpu")
    found = Reference(COMPACT, export_compact(tmp_path_factory.mktemp("export") / "compact"), compute).spans(SENTENCES)
    assert sum(map(len, found)) > 200
    return found


@pytest.mark.parametrize(
    ("precision", "least"), [("fp32", 1.0), ("bf16", 0.995), pytest.param("int8", 0.995, marks=needs_int8)]
)
def test_packed_spans_are_those_of_a_padded_forward_pass(expected: Spans, precision: str, least: float):
    compute = Compute(device="cpu", precision=precision)
    step = 2 if precision == "bf16" else 1  # bf16 is slow where the processor has to emulate it
    assert span_identity(spans(COMPACT, compute, SENTENCES[::step]), expected[::step]) >= least


def spans(path: Path, compute: Compute, sentences: list[str], head: str | None = None) -> Spans:
    annotator = BertAnnotator(open_folder(path, head=head), compute, name="compact", model="bundled")
    return [
        [(mention.start_char, mention.end_char, mention.label) for mention in annotation.mentions]
        for annotation in annotator.annotate(sentences)
    ]


def test_the_model_of_berts_shape_that_is_measured_finds_what_compact_does(tmp_path: Path):
    """In whatever format this processor takes for it; that its calls are as clear is what the measurement needs."""
    path = export_bert_base(tmp_path / "wide", SENTENCES[:20])
    folder = open_folder(path)
    assert (folder.shape.hidden, folder.shape.layers, folder.shape.intermediate) == (768, 12, 3072)
    some = SENTENCES[:40]
    narrow = spans(COMPACT, Compute(device="cpu", precision="fp32"), some, "cdr")
    assert sum(map(len, narrow)) > 40
    assert span_identity(spans(path, Compute(device="cpu"), some), narrow) > 0.98


def test_a_span_that_only_one_side_has_counts_against_identity():
    one, two = (0, 3, "Drug"), (4, 9, "Condition")
    assert span_identity([[one, two]], [[one, two]]) == 1.0
    assert span_identity([[one]], [[one, two]]) == 0.5
    assert span_identity([[one], [two]], [[two], [two]]) == pytest.approx(1 / 3)
    assert span_identity([[]], [[]]) == 1.0
