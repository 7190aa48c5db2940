"""Training from bases that transformers computes: what is fitted, how fast, and the folders that come of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from annotate.any_tagger import AnyTagger
from annotate.corpora import AnnotatedSentence, load_corpus
from annotate.evaluate import evaluate
from annotate.examples import build_examples, pack_examples
from annotate.fitting import fit
from annotate.folder import Head, TransformersFolder, head_tags, open_folder
from annotate.recipe import FitRecipe, Recipe
from annotate.registry import load_annotator
from annotate.train import train
from annotate.training_texts import GoldSentences
from annotate.words import open_words
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from tests.annotate.models import TAGS, make_shape, make_tokenizer
from tests.annotate.other_models import write_model
from tests.annotate.test_train import Whole, pubtator, write_base

WORDS = {
    "drugs": ("aspirin", "fluorouracil", "tocopherol"),
    "conditions": ("rash", "acid"),
    "frames": ("The {d} caused {c}.", "The {c}, then {d}", "of the {d} of {c} induced"),
}
"""Words that the tiny tokenizers have."""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpora")
    (path / "both.txt").write_text(pubtator(**WORDS))
    (path / "conditions.txt").write_text(pubtator(("Disease",), **WORDS))
    return path


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A maker of untrained encoders without a head; MPNet's tokenizer has [CLS] and [SEP], but puts others around."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind in made:
            return made[kind]
        path = write_model(tmp_path_factory.mktemp("bases") / kind, kind)
        torch.manual_seed(3)
        config = transformers.AutoConfig.from_pretrained(path)
        transformers.AutoModel.from_config(config).save_pretrained(path)
        if kind == "mpnet":
            tokenizer = json.loads((path / "tokenizer.json").read_text())
            for token in tokenizer["post_processor"]["special_tokens"].values():
                token["ids"] = [token["ids"][0] - 1]
            tokenizer["post_processor"] = json.loads(
                json.dumps(tokenizer["post_processor"]).replace("[CLS]", "[UNK]").replace("[SEP]", "[CLS]")
            )
            (path / "tokenizer.json").write_text(json.dumps(tokenizer))
        made[kind] = path
        return path

    return make


def recipe(**changes: object) -> Recipe:
    table: dict[str, object] = {
        "name": "tiny",
        "epochs": 40,
        "batch_sentences": 8,
        "learning_rate": 5e-3,
        "dropout": 0.0,
        "max_pieces": 64,
        "stored": "fp32",
        "decides": "both",
        "heads": [
            {"name": "both", "labels": ["Drug", "Condition"], "corpora": ["both.txt"]},
            {"name": "conditions", "labels": ["Condition"], "corpora": ["conditions.txt"]},
        ],
    }
    return Recipe.model_validate({**table, **changes})


@pytest.mark.parametrize("kind", ["mpnet", "roberta"])
def test_two_heads_become_two_folders_that_load_and_annotate(
    bases: Callable[[str], Path], corpora: Path, tmp_path: Path, settings: AnnotateSettings, kind: str
):
    report = train(recipe(), base=bases(kind), corpora=corpora, out=tmp_path, splitter=Whole())
    assert report.epoch_losses[-1] < 0.5 * report.epoch_losses[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "conditions"]
    for name in ("both", "conditions"):
        folder = open_folder(tmp_path / name)
        assert isinstance(folder, TransformersFolder)
        loaded, said = transformers.AutoModelForTokenClassification.from_pretrained(
            tmp_path / name, output_loading_info=True
        )
        assert not said["missing_keys"]
        assert type(loaded).__name__.endswith("ForTokenClassification")
        annotator = load_annotator(str(tmp_path / name), settings)
        assert evaluate(annotator, load_corpus(corpora / f"{name}.txt"), Whole()).micro.f1 > 0.9
    assert "path" not in json.loads((tmp_path / "both" / "config.json").read_text())
    assert str(bases(kind)) not in (tmp_path / "both" / "config.json").read_text()
    embeddings = [
        transformers.AutoModel.from_pretrained(path).get_input_embeddings().weight
        for path in (bases(kind), tmp_path / "both")
    ]
    assert torch.equal(*embeddings)


def test_one_head_of_a_bert_base_in_the_layout_of_hugging_face_and_two(corpora: Path, tmp_path: Path):
    base = write_base(tmp_path / "base")
    heads = [recipe().heads[0].model_dump()]
    train(recipe(epochs=1, heads=heads), base=base, corpora=corpora, out=tmp_path / "one", splitter=Whole())
    assert open_folder(tmp_path / "one").labels == ("Drug", "Condition")
    train(recipe(epochs=1), base=base, corpora=corpora, out=tmp_path / "two", splitter=Whole())
    assert open_folder(tmp_path / "two" / "conditions").labels == ("Condition",)
    assert not (tmp_path / "two" / "config.json").exists()


@pytest.mark.parametrize("kind", ["mpnet", "bert"])
def test_several_runs_from_one_start_become_the_mean_of_their_weights(
    bases: Callable[[str], Path], corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    runs: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []

    def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def watched(model: Any, *arguments: Any, **named: Any) -> list[float]:
        before = weights(model)
        losses = fit(model, *arguments, **named)
        runs.append((before, weights(model)))
        return losses

    monkeypatch.setattr("annotate.train.fit", watched)
    base = write_base(tmp_path / "base") if kind == "bert" else bases(kind)
    plan = recipe(epochs=2, runs=3, heads=[recipe().heads[0].model_dump()])
    report = train(plan, base=base, corpora=corpora, out=tmp_path / "out", splitter=Whole())
    assert len(runs) == 3
    assert len(report.epoch_losses) == 2
    start, ends = runs[0][0], [after for _, after in runs]
    assert all(torch.equal(before[name], start[name]) for before, _ in runs for name in start)
    inner = next(name for name in start if name.replace("/", ".").endswith("layer.1.output.dense.weight"))
    assert not torch.equal(ends[0][inner], ends[1][inner])
    written = load_file(tmp_path / "out" / "model.safetensors")[inner.replace("/", ".").removeprefix("model.")]
    mean = sum(after[inner] for after in ends) / 3
    torch.testing.assert_close(written, mean.view(written.shape))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "the mean of the weights of 3 runs" in card
    assert "Seeds 13 to 15" in card


def test_a_window_begins_and_ends_with_the_pieces_that_the_base_was_trained_with(bases: Callable[[str], Path]):
    words = open_words(bases("mpnet"))
    around = words.tokenizer.encode("rash")
    assert [*words.before, *words.behind] == [around.ids[0], around.ids[-1]]
    assert words.before != (words.tokenizer.token_to_id("[CLS]"),)
    words = open_words(bases("roberta"))
    sentence = AnnotatedSentence(pmid=1, start_char=0, text="the rash, then", spans=())
    [example] = build_examples(words, [sentence], Head(name="both", tags=TAGS, prefix=""), ("Drug",), 64)
    assert example.pieces.tolist() == words.tokenizer.encode("the rash, then").ids
    assert example.text == sentence.text


def test_a_base_that_cannot_be_trained_is_one_sentence(
    bases: Callable[[str], Path],
    corpora: Path,
    tmp_path: Path,
    edit_config: Callable[[Path, dict[str, object]], None],
):
    def refused(base: Path, message: str, **changes: object) -> None:
        with pytest.raises(AnnotatorError, match=message) as error:
            train(recipe(**changes), base=base, corpora=corpora, out=tmp_path / "out", splitter=Whole())
        assert "\n" not in str(error.value)

    unknown = shutil.copytree(bases("mpnet"), tmp_path / "unknown")
    edit_config(unknown, {"model_type": "hal-9000"})
    refused(unknown, "is no encoder that can be trained: .*hal-9000")
    picture = shutil.copytree(bases("mpnet"), tmp_path / "picture")
    edit_config(picture, {"model_type": "clip"})
    refused(picture, "is no encoder that can be trained")
    bare = shutil.copytree(bases("mpnet"), tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    refused(bare, "is no encoder that can be trained")
    more = shutil.copytree(bases("mpnet"), tmp_path / "more")
    edit_config(more, {"num_hidden_layers": 3})
    refused(more, r"has no weights named mpnet\.encoder\.layer\.2")
    refused(bases("mpnet"), "is no BERT, so what comes of it cannot be int8", stored="int8")
    refused(bases("mpnet"), "only bert, gelu, absolute is known", vocabulary={"texts": ["both.txt"]})


def fitted(base: Path, sentences: list[AnnotatedSentence], **changes: float) -> tuple[AnyTagger, AnyTagger]:
    """A model before a step and after it."""
    head = Head(name="both", tags=TAGS, prefix="heads.both")
    words = open_words(base)
    packed = pack_examples(build_examples(words, sentences, head, ("Drug", "Condition"), 64), [head])
    before, after = (AnyTagger(base, {"both": len(TAGS)}, 0.0, 5) for _ in range(2))
    table = {"epochs": 1, "batch_sentences": 64, "warmup": 0.0, "learning_rate": 1e-3}
    plan = FitRecipe.model_validate({**table, **changes})
    fit(after, packed, plan, seeds=[5], device=torch.device("cpu"), stage="", on_step=lambda _: None)
    return before, after


def moved(models: tuple[AnyTagger, AnyTagger]) -> dict[str, float]:
    before, after = (dict(model.named_parameters()) for model in models)
    return {name: float((after[name] - before[name]).detach().abs().max()) for name in before}


def test_heads_learn_at_a_rate_of_their_own_and_what_is_frozen_stays(bases: Callable[[str], Path], corpora: Path):
    sentences = [
        AnnotatedSentence(pmid=1, start_char=0, text=document.text, spans=document.spans)
        for document in load_corpus(corpora / "both.txt").documents
    ]
    same, ten = (moved(fitted(bases("mpnet"), sentences, head_rate=times, weight_decay=0.0)) for times in (1.0, 10.0))
    assert same["heads.0.weight"] == pytest.approx(1e-3, rel=0.01)  # Adam's first step is the rate itself
    assert ten["heads.0.weight"] == pytest.approx(1e-2, rel=0.01)
    layer = "model.mpnet.encoder.layer.0.intermediate.dense.weight"
    assert ten[layer] == pytest.approx(same[layer], rel=0.01)
    assert ten["model.mpnet.embeddings.word_embeddings.weight"] == 0.0
    heavy = fitted(bases("mpnet"), sentences, weight_decay=50.0)
    decayed = {name for name, far in moved(heavy).items() if far > 2.5e-3 * 1}
    assert layer in decayed
    assert "model.mpnet.embeddings.LayerNorm.weight" not in decayed
    assert not [name for name in decayed if name.endswith("bias")]


def test_sentences_are_taken_as_often_as_their_head_says(bases: Callable[[str], Path], corpora: Path, tmp_path: Path):
    sentences = [AnnotatedSentence(pmid=n, start_char=0, text=str(n), spans=()) for n in range(10)]

    def taken(passes: float, seed: int = 1) -> list[int]:
        gold = GoldSentences(head="a", corpus="b", labels=(), sentences=sentences, passes=passes)
        return [one.pmid for one in gold.taken(seed)]

    assert taken(1.0) == list(range(10))
    assert sorted(taken(2.5).count(number) for number in range(10)) == [2] * 5 + [3] * 5
    assert taken(0.3) == taken(0.3) != taken(0.3, seed=2)
    assert len(taken(0.3)) == 3
    heads = [{**recipe().heads[0].model_dump(), "passes": 1.5}, {**recipe().heads[1].model_dump(), "passes": 0.25}]
    report = train(recipe(epochs=1, heads=heads), base=bases("mpnet"), corpora=corpora, out=tmp_path, splitter=Whole())
    assert report.examples == {"both: both.txt": 27, "conditions: conditions.txt": 4}
    assert "`both` 1.5, `conditions` 0.25 times" in (tmp_path / "both" / "README.md").read_text()


def test_bert_s_heads_learn_at_a_rate_of_their_own(corpora: Path):
    from annotate.trainable import TrainableTagger
    from annotate.words import MarkedWords

    tokenizer = make_tokenizer()
    head = Head(name="both", tags=head_tags(("Drug", "Condition")), prefix="heads.both")
    sentences = [
        AnnotatedSentence(pmid=1, start_char=0, text=document.text, spans=document.spans)
        for document in load_corpus(corpora / "both.txt").documents
    ]
    packed = pack_examples(build_examples(MarkedWords(tokenizer), sentences, head, ("Drug", "Condition"), 64), [head])
    far = []
    for times in (1.0, 10.0):
        model = TrainableTagger(make_shape(tokenizer), {"both": 5}, 0.0, (1, 2))
        before = {name: tensor.clone() for name, tensor in model.weights(1).items()}
        plan = FitRecipe(
            epochs=1, batch_sentences=64, warmup=0.0, learning_rate=1e-3, head_rate=times, weight_decay=0.0
        )
        fit(model, packed, plan, seeds=[1, 2], device=torch.device("cpu"), stage="", on_step=lambda _: None)
        after = model.weights(1)
        far.append({name: float((after[name] - before[name]).detach().abs().max()) for name in before})
    assert far[1]["heads.both.weight"] == pytest.approx(10 * far[0]["heads.both.weight"], rel=0.01)
    layer = "bert.encoder.layer.0.output.dense.weight"
    assert far[1][layer] == pytest.approx(far[0][layer], rel=0.01)
