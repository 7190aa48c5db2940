"""The annotator that comes with comention."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annotate.registry import BUNDLED, load_annotator
from comention.settings import AnnotateSettings
from comention.types import Annotator
from tests.annotate.models import needs_int8

ROOT = Path(__file__).parents[2]

SENTENCES = [
    "Two patients developed agranulocytosis and fever while taking clozapine.",
    "5-Fluorouracil-induced cardiotoxicity resolved after the infusion was stopped.",
    "Valproic acid was given for epilepsy; hyperammonemia followed within a week.",
    "We describe the methods of the study and its limitations.",
    "",
]


@pytest.fixture(scope="module")
def compact(settings: AnnotateSettings) -> Annotator:
    return load_annotator("compact", settings)


def texts(
    annotator: Annotator, sentence: str, labels: tuple[str, ...] = ("Drug", "Condition")
) -> list[tuple[str, str]]:
    (annotation,) = annotator.annotate([sentence])
    found = [(sentence[mention.start_char : mention.end_char], mention.label) for mention in annotation.mentions]
    return [(text, label) for text, label in found if label in labels]


def test_it_finds_drugs_and_conditions(compact: Annotator):
    assert texts(compact, SENTENCES[0]) == [
        ("agranulocytosis", "Condition"),
        ("fever", "Condition"),
        ("clozapine", "Drug"),
    ]
    assert texts(compact, SENTENCES[1]) == [("5-Fluorouracil", "Drug"), ("cardiotoxicity", "Condition")]
    assert texts(compact, SENTENCES[2]) == [
        ("Valproic acid", "Drug"),
        ("epilepsy", "Condition"),
        ("hyperammonemia", "Condition"),
    ]
    assert texts(compact, SENTENCES[3]) == []


def test_it_finds_the_types_of_craft_in_the_same_pass(compact: Annotator):
    sentence = "Mice that lack p53 lost their neurons; calcium and the promoter of the gene were unchanged."
    found = texts(compact, sentence, ("Taxon", "Protein", "Cell", "Chemical", "Sequence"))
    assert {("Mice", "Taxon"), ("neurons", "Cell"), ("calcium", "Chemical"), ("promoter", "Sequence")} <= set(found)


def test_it_states_what_it_is(compact: Annotator):
    info = compact.info
    craft = ("Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical", "CellularComponent")
    assert (info.name, info.model, info.labels) == ("compact", "bundled", ("Drug", "Condition", *craft))
    assert len(info.revision) == len(info.config_hash) == 16


@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("int8", marks=needs_int8)])
def test_it_gives_a_sentence_the_same_result_in_any_company(precision: str):
    one = load_annotator("compact", AnnotateSettings(threads=1, precision=precision))
    two = load_annotator("compact", AnnotateSettings(threads=2, precision=precision))
    alone = [one.annotate([sentence])[0] for sentence in SENTENCES]
    assert two.annotate(SENTENCES * 40) == alone * 40
    assert one.annotate(SENTENCES[::-1]) == alone[::-1]


@pytest.mark.parametrize("precision", ["bf16", pytest.param("int8", marks=needs_int8)])
def test_fewer_bits_find_what_fp32_finds(compact: Annotator, precision: str):
    half = load_annotator("compact", AnnotateSettings(threads=1, precision=precision))
    for sentence in SENTENCES:
        assert texts(half, sentence) == texts(compact, sentence)


def test_it_needs_no_transformers():
    code = (
        "import sys; from annotate.registry import load_annotator; from comention.settings import AnnotateSettings;"
        "load_annotator('compact', AnnotateSettings()).annotate(['aspirin']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "transformers" not in done.stdout.split()


def test_it_is_small_and_its_card_names_its_corpora():
    assert sum(path.stat().st_size for path in (BUNDLED / "compact").iterdir()) < 20_000_000
    card = (BUNDLED / "compact" / "README.md").read_text(encoding="utf-8")
    for name in ("ade", "CDR_TrainingSet", "CDR_DevelopmentSet", "Licence"):
        assert name in card
