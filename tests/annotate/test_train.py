"""Training end to end on a tiny base and a tiny corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annotate.corpora import load_corpus
from annotate.evaluate import evaluate
from annotate.folder import open_folder
from annotate.recipe import Recipe
from annotate.registry import load_annotator
from annotate.train import TrainingStep, train
from annotate.trainable import TrainableTagger
from annotate.weights import WEIGHTS
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from tests.annotate.models import make_shape, make_tokenizer, write_hub_folder

DRUGS = ("zolast", "quinine", "carbol", "tavorin")
CONDITIONS = ("rash", "fever", "cough", "tremor")
FRAMES = ("The {d} caused a {c}.", "A {c} came after {d}.", "No {c} was seen with {d} or later.")


class Whole:
    """Takes a text for one sentence."""

    name = "whole"

    def split(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def pubtator(
    labels: tuple[str, ...] = ("Chemical", "Disease"),
    drugs: tuple[str, ...] = DRUGS,
    conditions: tuple[str, ...] = CONDITIONS,
    frames: tuple[str, ...] = FRAMES,
) -> str:
    documents = []
    triples = [(frame, drug, condition) for frame in frames for drug in drugs for condition in conditions]
    for pmid, (frame, drug, condition) in enumerate(triples, start=1):
        title = frame.format(d=drug, c=condition)
        rows = [
            f"{pmid}\t{title.index(word)}\t{title.index(word) + len(word)}\t{word}\t{label}\tX"
            for word, label in ((drug, "Chemical"), (condition, "Disease"))
            if label in labels
        ]
        documents.append("\n".join([f"{pmid}|t|{title}", f"{pmid}|a|", *rows]))
    return "\n\n".join(documents) + "\n"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpora")
    (path / "both.txt").write_text(pubtator())
    (path / "conditions.txt").write_text(pubtator(("Disease",)))
    (path / "field.txt").write_text("zolast rash\n")
    return path


def write_base(path: Path) -> Path:
    """Write an untrained encoder in the layout of a Hugging Face BertModel: its names have no prefix."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer([*DRUGS, *CONDITIONS, "the", "caused", "after", "never"])
    shape = make_shape(tokenizer, hidden=32)
    state = TrainableTagger(shape, {}, 0.0).weights()
    weights = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    return write_hub_folder(path, tokenizer, shape.to_config(), weights)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


def recipe(**changes: object) -> Recipe:
    table: dict[str, object] = {
        "name": "tiny",
        "epochs": 8,
        "batch_sentences": 8,
        "learning_rate": 5e-3,
        "max_pieces": 64,
        "decides": "both",
        "heads": [
            {"name": "both", "labels": ["Drug", "Condition"], "corpora": ["both.txt"]},
            {"name": "partial", "labels": ["Drug", "Condition"], "corpora": ["conditions.txt"]},
        ],
        "vocabulary": {"texts": ["field.txt"]},
    }
    return Recipe.model_validate({**table, **changes})


def run(recipe: Recipe, base: Path, corpora: Path, out: Path) -> list[TrainingStep]:
    steps: list[TrainingStep] = []
    train(recipe, base=base, corpora=corpora, out=out, splitter=Whole(), on_step=steps.append)
    return steps


def test_a_trained_folder_loads_and_finds_what_it_was_taught(
    base: Path, corpora: Path, tmp_path: Path, settings: AnnotateSettings
):
    report = train(recipe(), base=base, corpora=corpora, out=tmp_path, splitter=Whole(), version="7")
    assert report.epoch_losses[-1] < 0.2 * report.epoch_losses[0]
    assert report.examples == {"both: both.txt": 48, "partial: conditions.txt": 48}
    annotator = load_annotator(str(tmp_path), settings)
    assert annotator.info.version == "7"
    assert evaluate(annotator, load_corpus(corpora / "both.txt"), Whole()).micro.f1 > 0.95
    partial = load_annotator(f"{tmp_path}:partial", settings)
    assert evaluate(partial, load_corpus(corpora / "conditions.txt"), Whole()).micro.f1 > 0.95
    assert open_folder(tmp_path).shape.vocabulary == report.vocabulary
    card = (tmp_path / "README.md").read_text()
    assert "conditions.txt" in card
    assert "Seed 13" in card


def test_the_same_seed_gives_the_same_weights_and_another_does_not(base: Path, corpora: Path, tmp_path: Path):
    first = run(recipe(epochs=1), base, corpora, tmp_path / "first")
    again = run(recipe(epochs=1), base, corpora, tmp_path / "again")
    other = run(recipe(epochs=1, seed=2), base, corpora, tmp_path / "other")
    assert [(step.stage, step.step, step.steps) for step in first] == [("corpora", 12, 12)]
    assert first == again != other
    assert (tmp_path / "first" / WEIGHTS).read_bytes() == (tmp_path / "again" / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"heads": [{"name": "both", "labels": ["Drug"], "corpora": ["both.txt"]}]},
            "Condition, which head both lacks",
        ),
        ({"heads": [{"name": "both", "labels": ["Drug"], "corpora": ["no.txt"]}]}, r"no\.txt does not exist"),
        ({"vocabulary": {"texts": ["no*.txt"]}}, "no text matches"),
    ],
)
def test_what_is_missing_is_named(base: Path, corpora: Path, tmp_path: Path, changes: dict[str, object], message: str):
    with pytest.raises(AnnotatorError, match=message):
        run(recipe(**changes), base, corpora, tmp_path)


def test_a_base_that_is_no_encoder_is_refused(corpora: Path, tmp_path: Path):
    with pytest.raises(AnnotatorError, match="is no model folder"):
        run(recipe(), tmp_path, corpora, tmp_path / "out")
    tokenizer = make_tokenizer()
    write_hub_folder(tmp_path, tokenizer, make_shape(tokenizer).to_config(), {"x": torch.zeros(1)})
    with pytest.raises(AnnotatorError, match=r"no weights named bert\.embeddings"):
        run(recipe(vocabulary=None), tmp_path, corpora, tmp_path / "out")


@pytest.fixture(scope="module")
def terminology(corpora: Path) -> dict[str, object]:
    """A stage that learns names, with its tables and a plain text beside the corpora."""
    (corpora / "names.tsv").write_text(
        "name\tid\tsource\nzolast\tD1\tmesh\nquinine\tC9\tdrugs\nfever\tD2\tmesh\nhives\tD2\tmesh\n"
    )
    (corpora / "trees.tsv").write_text("id\tname\ttree\nD1\tzolast\tD01.5\nD2\tfever\tC23.8\n")
    (corpora / "plain.txt").write_text("Zolast after fever.\nQuinine and hives.\nNothing here.\nZolast after fever.\n")
    return {
        "names": "names.tsv",
        "trees": "trees.tsv",
        "types": {"Condition": ["C"], "Chemical": ["D"]},
        "sources": {"drugs": "Chemical"},
        "texts": ["plain.txt"],
        "copies": 2,
        "epochs": 2,
    }


def test_names_teachers_and_a_student_are_stages_of_one_run(
    base: Path, corpora: Path, tmp_path: Path, settings: AnnotateSettings, terminology: dict[str, object]
):
    distillation = {"teachers": 2, "texts": ["plain.txt"], "epochs": 8, "batch_sentences": 8, "learning_rate": 5e-3}
    steps: list[TrainingStep] = []
    report = train(
        recipe(lexicon=terminology, distillation=distillation),
        base=base,
        corpora=corpora,
        out=tmp_path,
        splitter=Whole(),
        on_step=steps.append,
    )
    assert list(dict.fromkeys(step.stage for step in steps)) == ["names", "teachers", "student"]
    assert report.examples["plain text"] == 3
    annotator = load_annotator(str(tmp_path), settings)
    assert evaluate(annotator, load_corpus(corpora / "both.txt"), Whole()).micro.f1 > 0.95
    card = (tmp_path / "README.md").read_text()
    assert "2 teachers" in card
    assert "Names of a terminology (Condition, Chemical)" in card


def test_what_is_held_out_is_seen_by_no_stage(
    base: Path, corpora: Path, tmp_path: Path, terminology: dict[str, object]
):
    (corpora / "scored.txt").write_text(pubtator().split("\n\n")[0] + "\n")
    report = train(
        recipe(epochs=1, lexicon=terminology, distillation={"teachers": 1, "texts": ["plain.txt"], "epochs": 1}),
        base=base,
        corpora=corpora,
        out=tmp_path,
        splitter=Whole(),
        held_out=[str(corpora / "scored.txt")],
    )
    assert report.examples["both: both.txt"] == 47
    assert report.left_out == 2
    assert "Held out of every stage: scored (2 sentences" in (tmp_path / "README.md").read_text()
