"""The recipes of the two model cards, end to end on a tiny base and corpora of their formats."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import torch

from annotate.corpora import load_corpus, split_document
from annotate.name_lists import load_name_lists
from annotate.recipe import Recipe, load_recipe
from annotate.replacement import replace_entities
from annotate.trainable import TrainableTagger
from comention.errors import AnnotatorError
from pipeline.cli import main
from tests.annotate.models import make_shape, make_tokenizer, write_hub_folder
from tests.annotate.test_corpora import FullStops
from tests.annotate.test_replacement import share_replaced

DRUGS = ("zolast", "quinine", "carbol", "tavorin")
EFFECTS = ("rash", "fever", "cough", "tremor")
MENTIONS = {"SO": "gene", "CL": "neurons", "GGP": "Pax6", "Taxon": "mice", "CHEBI": "calcium", "GO": "nucleus"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    tokenizer = make_tokenizer([*DRUGS, *EFFECTS, *MENTIONS.values(), "the", "caused", "after"])
    shape = make_shape(tokenizer, hidden=32)
    state = TrainableTagger(shape, {}, 0.0).weights()
    weights = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    return write_hub_folder(tmp_path_factory.mktemp("base"), tokenizer, shape.to_config(), weights)


@pytest.fixture(scope="module")
def made_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the two recipes name, tiny ones."""
    folder = tmp_path_factory.mktemp("corpora")
    for name in ("ade", "craft", "terminology"):
        (folder / name).mkdir()
    pairs = [(drug, effect) for drug in DRUGS for effect in EFFECTS]
    (folder / "ade" / "DRUG-AE.rel").write_text(
        "".join(
            f"{pmid}|The {drug} caused {effect}.|{effect}|{12 + len(drug)}|{12 + len(drug) + len(effect)}"
            f"|{drug}|4|{4 + len(drug)}\n"
            for pmid, (drug, effect) in enumerate(pairs, start=1)
        )
    )
    rows = [f"the\tO\n{word}\tB-{kind}\nafter\tO\n\n" for kind, word in MENTIONS.items()] * 5
    (folder / "craft" / "craft_iob_train.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))
    for name, terms in (("so", ("exon", "intron")), ("cl_2014", ("T cell",)), ("chebi_import", ("water", "sodium"))):
        stanzas = "".join(f"[Term]\nid: X:1\nname: {term}\n\n" for term in terms)
        (folder / "terminology" / f"{name}.obo.gz").write_bytes(gzip.compress(stanzas.encode()))
    trees = (("Actins", "D12.776.5"), ("Kinases", "D08.811.1"), ("Rats", "B01.050"), ("Cell Nucleus", "A11.284.430"))
    table = "mesh_id\tmesh_name\tmesh_tree_number\n" + "".join(f"D1\t{name}\t{tree}\n" for name, tree in trees)
    (folder / "terminology" / "mesh_2015_tree_numbers.tsv.gz").write_bytes(gzip.compress(table.encode()))
    return folder


@pytest.mark.parametrize(
    ("name", "test", "labels", "sentences"),
    [
        ("ade-card", "ade?protocol=ade-card&part=test", {"Drug", "Condition"}, 12),
        (
            "craft-card",
            "craft/craft_iob_train.tsv.gz",
            {"Sequence", "Cell", "Protein", "Taxon", "Chemical", "CellularComponent"},
            60,
        ),
    ],
)
def test_a_card_s_recipe_runs_from_the_command_line_and_its_folder_is_scored(
    base: Path,
    made_corpora: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    test: str,
    labels: set[str],
    sentences: int,
):
    def run(*arguments: object) -> dict[str, object]:
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments), "--threads", "1", "--json"])
        captured = capsys.readouterr()
        assert not stop.value.code, captured.err
        return dict(json.loads(captured.out))

    out = tmp_path / "out"
    report = run("train", "--recipe", name, "--base", base, "--corpora", made_corpora, "--out", out)
    assert sum(dict(report["examples"]).values()) == sentences  # type: ignore[call-overload]
    assert len(report["epoch_losses"]) == load_recipe(name).epochs  # type: ignore[arg-type]
    config = json.loads((out / "config.json").read_text())
    assert {tag[2:] for tag in config["id2label"].values() if tag != "O"} == labels
    scored = run("evaluate", "--annotator", out, "--corpus", f"{made_corpora}/{test}")
    assert set(dict(scored["labels"])) == labels  # type: ignore[call-overload]
    assert name in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "seed_card"), [("ade-card", "biolinkbert-ade-ner"), ("craft-card", "biobert-craft-ner")]
)
def test_the_recipes_have_the_numbers_of_the_cards(name: str, seed_card: str):
    expected = {
        "biolinkbert-ade-ner": (1e-5, 16, 42, 5),
        "biobert-craft-ner": (3e-5, 8, 42, 4),
    }[seed_card]
    recipe = load_recipe(name)
    assert (recipe.learning_rate, recipe.batch_sentences, recipe.seed, recipe.epochs) == expected
    assert (recipe.warmup, recipe.weight_decay, recipe.stored) == (0.0, 0.0, "fp32")


def test_a_fifth_of_the_entities_that_the_craft_card_trains_on_differs(corpora: Path):
    recipe = load_recipe("craft-card")
    assert recipe.replacement is not None
    corpus = load_corpus(corpora / recipe.heads[0].corpora[0])
    sentences = [one for document in corpus.documents for one in split_document(document, FullStops())]
    assert len(sentences) == 10_875
    names = load_name_lists(corpora, recipe.replacement.names, sentences)
    replaced = replace_entities(sentences, names, recipe.replacement.share, recipe.seed)
    assert 0.19 <= share_replaced(sentences, replaced) <= 0.21
    # Both copies in batches of the card's size: its steps an epoch.
    assert -(-2 * len(sentences) // recipe.batch_sentences) == 2719


def test_the_ade_card_s_parts_make_the_corpus(corpora: Path):
    recipe = load_recipe("ade-card")
    [reference] = recipe.heads[0].corpora
    train, test = (
        load_corpus(f"{corpora}/{re.sub('part=train', part, reference)}").documents
        for part in ("part=train", "part=test")
    )
    texts = [{document.text for document in part} for part in (train, test)]
    assert not texts[0] & texts[1]
    assert len(texts[1]) == -(-(len(texts[0]) + len(texts[1])) // 4)


def test_names_for_a_label_that_no_head_has_are_refused(made_corpora: Path):
    table = load_recipe("craft-card").model_dump()
    table["replacement"] = {"names": {"Planet": ("mentions",)}}
    with pytest.raises(ValueError, match="names for Planet, which is a label of no head"):
        Recipe.model_validate(table)
    with pytest.raises(AnnotatorError, match="no name for Taxon in its lists: mentions"):
        load_name_lists(made_corpora, {"Taxon": ("mentions",)}, [])
