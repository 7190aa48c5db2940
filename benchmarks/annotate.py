"""Measure annotation against ``transformers.pipeline`` on the same weights and the same sentences.

    python -m benchmarks.annotate [--quick] [--json] [--device cuda] [--bert-base FOLDER] [--sentences FILE | --corpus FOLDER]

Models: ``compact`` as it is bundled (the pipeline gets its encoder and the first deciding head as a Hugging Face folder), and
one of BERT-base's shape: that of ``--bert-base``, a folder of Hugging Face, or ``compact`` widened to that shape. Both
sides run in processes of their own, in turns, and a ratio comes from the medians of one such series. The pipeline's batch
size is the best of four. Spans are compared with those of a plain fp32 padded forward pass of transformers under the same
decoding: mentions that both find, as a share of those that either finds.

The sentences are those of the bundled sample, or of PubMed XML in ``--corpus``, or the lines of ``--sentences``; the last
needs neither lxml nor a database. The exit status is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from benchmarks.annotate_runners import Compute, Ours, Pipeline, Reference, Side, Spans

RATIO_TARGETS = {"compact": 8.0, "bert-base": 6.0}
IDENTITY_TARGET = 0.995
FIRST_SENTENCE_TARGET = 4.0
PEAK_TARGET = 0.40
BATCH_SIZES = (1, 8, 32, 64)

FIRST_SENTENCE = (
    "from comention.settings import AnnotateSettings; from annotate.registry import load_annotator; "
    "found = load_annotator('compact', AnnotateSettings(device={device!r})).annotate("
    "['Amiodarone induced hypothyroidism.']); assert found[0].mentions; print(flush=True)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; ``met`` is None where nothing is asked for."""

    name: str
    figure: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured: repetitions, and the sentences that each side of each model gets."""

    runs: int
    pipeline: dict[str, int]
    ours: dict[str, int]
    compared: dict[str, int]
    batch_sizes: tuple[int, ...] = BATCH_SIZES


CPU = Plan(
    runs=5,
    pipeline={"compact": 1024, "bert-base": 256},
    ours={"compact": 1024, "bert-base": 256},
    compared={"compact": 1000, "bert-base": 500},
)
GPU = Plan(
    runs=5,
    pipeline={"compact": 1024, "bert-base": 1024},
    ours={"compact": 49_152, "bert-base": 32_768},
    compared={"compact": 2000, "bert-base": 1000},
    batch_sizes=(8, 32, 64),
)
QUICK = Plan(
    runs=1,
    pipeline={"compact": 32, "bert-base": 4},
    ours={"compact": 32, "bert-base": 4},
    compared={"compact": 64, "bert-base": 4},
    batch_sizes=(8,),
)


def main() -> int:
    """Print the table; 0 where the targets are met."""
    arguments = _arguments()
    compute = Compute(device=arguments.device, precision=arguments.precision, threads=arguments.threads)
    sentences = _load_sentences(arguments)
    on_gpu = _uses_gpu(arguments.device)
    plan = QUICK if arguments.quick else GPU if on_gpu else CPU
    measured: dict[str, object] = {"sentences": len(sentences), "words": sum(len(s.split()) for s in sentences)}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="comention-bench-") as scratch:
        folders = _export(Path(scratch), sentences, arguments)
        for model in arguments.models:
            print(f"measuring {model} …", file=sys.stderr, flush=True)
            found = measure_model(model, folders[model], sentences, compute, plan, variants=arguments.variants)
            measured[model] = found
            some = _rows(model, found, on_gpu=on_gpu)
            print_table(some, sys.stderr)
            rows += some
    if "compact" in arguments.models and not arguments.skip_first:
        seconds = [first_sentence_seconds(arguments.device) for _ in range(max(3, plan.runs))]
        measured["first_sentence_seconds"] = seconds
        median = statistics.median(seconds)
        rows.append(
            Row(
                name="compact: first annotated sentence after process start",
                figure=f"{median:.2f} s",
                target=f"<= {FIRST_SENTENCE_TARGET} s",
                met=median <= FIRST_SENTENCE_TARGET,
            )
        )
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "measured": measured}, indent=1, default=str))
    else:
        print(_machine(measured))
        print_table(rows)
    judged = [row for row in rows if row.met is not None]
    return 0 if arguments.quick or all(row.met for row in judged) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure annotation against transformers.pipeline.")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="auto", choices=["auto", "int8", "bf16", "fp32"])
    parser.add_argument("--threads", type=int, help="threads on the CPU, of both sides; unset: one a core")
    parser.add_argument("--sentences", type=Path, metavar="FILE", help="a text file, one sentence a line")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="a folder of PubMed XML")
    parser.add_argument("--bert-base", type=Path, metavar="FOLDER", help="a trained model of BERT-base's shape")
    parser.add_argument("--models", nargs="+", default=list(RATIO_TARGETS), choices=list(RATIO_TARGETS))
    parser.add_argument("--variants", action="store_true", help="also compare the ways to run on a GPU")
    parser.add_argument("--skip-first", action="store_true", help="leave out the start of a process")
    parser.add_argument("--quick", action="store_true", help="one short run of everything; no target is judged")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def _load_sentences(arguments: argparse.Namespace) -> list[str]:
    if arguments.sentences is not None:
        lines = arguments.sentences.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.strip()]
    from benchmarks.annotate_models import corpus_sentences, sample_sentences

    return sample_sentences() if arguments.corpus is None else corpus_sentences(arguments.corpus, 20_000)


def _uses_gpu(device: str) -> bool:
    """Look for a GPU without touching it: the processes that measure come later."""
    from annotate.precision import resolve_device

    return resolve_device(device).type == "cuda"


def _export(scratch: Path, sentences: Sequence[str], arguments: argparse.Namespace) -> dict[str, tuple[Path, Path]]:
    """Write the models and return, for each, the folder of our side and that of the pipeline."""
    from benchmarks.annotate_models import COMPACT, export_bert_base, export_compact

    folders = {"compact": (COMPACT, export_compact(scratch / "compact"))}
    if "bert-base" in arguments.models:
        spread = sentences[:: max(1, len(sentences) // 60)][:60]
        base = arguments.bert_base or export_bert_base(scratch / "bert-base", spread)
        folders["bert-base"] = (base, base)
    return folders


def measure_model(
    model: str, folders: tuple[Path, Path], sentences: Sequence[str], compute: Compute, plan: Plan, *, variants: bool
) -> dict[str, object]:
    """Measure one model on both sides."""
    ours, theirs = Side(Ours, folders[0], compute), Side(Pipeline, folders[1], compute, "simple")
    try:
        for_ours, for_theirs = _repeat(sentences, plan.ours[model]), _repeat(sentences, plan.pipeline[model])
        found: dict[str, object] = {"how": ours.call("describe"), "peak_flops": ours.call("peak")}
        ours.call("seconds", for_ours)
        best = _best_batch_size(theirs, for_theirs, plan.batch_sizes, found)
        seconds: dict[str, list[float]] = {"ours": [], "pipeline": []}
        worked: dict[str, list[float]] = {"ours": [], "pipeline": []}
        for _ in range(plan.runs):
            for name, (wall, processor) in (
                ("ours", ours.call("seconds", for_ours)),
                ("pipeline", theirs.call("seconds", for_theirs, best)),
            ):
                seconds[name].append(wall)
                worked[name].append(processor)
        rates = {
            "ours": len(for_ours) / statistics.median(seconds["ours"]),
            "pipeline": len(for_theirs) / statistics.median(seconds["pipeline"]),
        }
        found["processor_ms_per_sentence"] = {
            "ours": 1e3 * statistics.median(worked["ours"]) / len(for_ours),
            "pipeline": 1e3 * statistics.median(worked["pipeline"]) / len(for_theirs),
        }
        found |= {"seconds": seconds, "sentences_per_second": rates, "ratio": rates["ours"] / rates["pipeline"]}
        flops = ours.call("flops", for_ours)
        found["forward_seconds"] = ours.call("forward_seconds", for_ours, 3)
        found["flops"] = flops
        found["stages"] = ours.call("stages", for_ours)
        found["host_seconds"] = ours.call("host_seconds", for_ours, plan.runs)
        found["host_sentences"] = len(for_ours)
        if variants:
            found["variants"] = ours.call("variants", for_ours)
        compared = _repeat(sentences, min(len(sentences), plan.compared[model]))
        spans = ours.call("spans", compared)
    finally:
        ours.close()
        theirs.close()
    reference = Side(Reference, *folders, compute)
    try:
        expected = reference.call("spans", compared)
    finally:
        reference.close()
    found["spans"] = sum(map(len, expected))
    found["identity"] = span_identity(spans, expected)
    return found


def _best_batch_size(theirs: Side, sentences: Sequence[str], sizes: Sequence[int], found: dict[str, object]) -> int:
    theirs.call("seconds", sentences[: len(sentences) // 4 + 1], sizes[0])
    tried = {size: theirs.call("seconds", sentences, size)[0] for size in sizes}
    best = min(tried, key=lambda size: tried[size])
    found["pipeline_batch_sizes"] = {size: len(sentences) / seconds for size, seconds in tried.items()}
    found["pipeline_batch_size"] = best
    return best


def _repeat(sentences: Sequence[str], count: int) -> list[str]:
    """Return ``count`` sentences: spread over all where they are fewer, over and over where they are more."""
    if count <= len(sentences):
        return [sentences[index * len(sentences) // count] for index in range(count)]
    return list(itertools.islice(itertools.cycle(sentences), count))


def span_identity(found: Spans, expected: Spans) -> float:
    """Return the mentions that both have as a share of those that either has."""
    both = either = 0
    for one, other in zip(found, expected, strict=True):
        both += len(set(one) & set(other))
        either += len(set(one) | set(other))
    return both / either if either else 1.0


def first_sentence_seconds(device: str) -> float:
    """Return the seconds from the start of a Python process to its first annotated sentence."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    began = time.perf_counter()
    command = [sys.executable, "-c", FIRST_SENTENCE.format(device=device)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def _rows(model: str, found: dict, *, on_gpu: bool) -> list[Row]:
    rates, stages, flops, host = (found[name] for name in ("sentences_per_second", "stages", "flops", "host_seconds"))
    whole = flops / statistics.median(found["seconds"]["ours"]) / found["peak_flops"]
    forward = flops / found["forward_seconds"] / found["peak_flops"]
    worked = found["processor_ms_per_sentence"]
    rows = [
        Row(
            name=f"{model}: comention, sentences/s (CPU-ms a sentence)",
            figure=f"{rates['ours']:,.1f} ({worked['ours']:.3g})",
        ),
        Row(
            name=f"{model}: transformers.pipeline, batch size {found['pipeline_batch_size']}",
            figure=f"{rates['pipeline']:,.1f} ({worked['pipeline']:.3g})",
        ),
        Row(
            name=f"{model}: ratio",
            figure=f"{found['ratio']:.2f}x",
            target=f">= {RATIO_TARGETS[model]:.0f}x",
            met=found["ratio"] >= RATIO_TARGETS[model],
        ),
        Row(
            name=f"{model}: spans as a padded fp32 forward pass gives them ({found['spans']:,})",
            figure=f"{found['identity']:.2%}",
            target=f">= {IDENTITY_TARGET:.1%}",
            met=found["identity"] >= IDENTITY_TARGET,
        ),
        Row(
            name=f"{model}: tokenise / forward / decode",
            figure=" / ".join(f"{stages[stage]:.0%}" for stage in ("tokenise", "forward", "decode")),
        ),
        Row(
            name=f"{model}: host path, us a sentence: tokenizer + Python and arrays",
            figure=" + ".join(f"{1e6 * host[part] / found['host_sentences']:.1f}" for part in ("tokenizer", "rest")),
        ),
        Row(name=f"{model}: share of the matrix peak, forward pass alone", figure=f"{forward:.0%}"),
    ]
    everything = Row(name=f"{model}: share of the matrix peak, text to mentions", figure=f"{whole:.0%}")
    if on_gpu and model == "bert-base":
        everything = Row(
            name=everything.name, figure=everything.figure, target=f">= {PEAK_TARGET:.0%}", met=whole >= PEAK_TARGET
        )
    return [*rows, everything]


def _machine(measured: dict) -> str:
    import torch

    how = next(found["how"] for found in measured.values() if isinstance(found, dict))
    peak = next(found["peak_flops"] for found in measured.values() if isinstance(found, dict))
    from annotate.precision import has_fast_bf16

    where = torch.backends.cpu.get_cpu_capability() + (" with bf16" if has_fast_bf16() else " without bf16")
    return (
        f"torch {torch.__version__}, CPU {where}, {len(os.sched_getaffinity(0))} cores; {how['encoder']}, {how['dtype']}, "
        f"{how['lanes']} threads, {how['batch_rows']:,} pieces a batch, attention: {how['attention']}; measured matrix peak "
        f"{peak / 1e12:,.3g} TFLOP/s; {measured['sentences']:,} sentences, {measured['words']:,} words"
    )


def print_table(rows: Sequence[Row], stream: TextIO = sys.stdout) -> None:
    """Print the rows, each with its target and what became of it."""
    width = max(len(row.name) for row in rows)
    print(f"{'':<{width}}  {'measured':>20}  {'target':>9}", file=stream)
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        print(f"{row.name:<{width}}  {row.figure:>20}  {row.target:>9}  {verdict}".rstrip(), file=stream, flush=True)


if __name__ == "__main__":
    sys.exit(main())
