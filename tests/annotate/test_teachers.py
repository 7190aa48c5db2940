"""A finished model learns from larger ones with other tokenizers: words are matched by where they start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers

from annotate.examples import Example, pack_examples, plain_examples
from annotate.folder import Head, head_tags, open_folder
from annotate.recipe import Recipe
from annotate.registry import load_annotator
from annotate.teachers import Teacher, mix_teachers
from annotate.train import TrainingStep, train
from annotate.trainable import TrainableTagger
from annotate.weights import load_weights
from annotate.words import MarkedWords
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from pipeline.cli import main
from tests.annotate.models import TAGS, make_shape, make_tokenizer, write_folder, write_hub_folder
from tests.annotate.other_models import WORDS, pieces_of, write_model
from tests.annotate.test_any_tagger import WORDS as SAID
from tests.annotate.test_train import Whole, pubtator

TAUGHT = {"aspirin": "B-Condition", "fluorouracil": "B-Condition", "tocopherol": "B-Condition", "rash": "B-Drug"}
"""What the teacher says: the contrary of what the corpus says."""
HEADS = (
    Head(name="both", tags=head_tags(("Condition", "Drug")), prefix="heads.both"),
    Head(name="rest", tags=head_tags(("Condition",)), prefix="heads.rest"),
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("teachers") / "roberta", "roberta", pieces_of("roberta", TAUGHT))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpora")
    (path / "both.txt").write_text(pubtator(**SAID))
    (path / "rest.txt").write_text(pubtator(("Disease",), **SAID))
    plain = [frame.format(d=drug, c="rash") for frame in ("{d} of {c}", "the {c} ({d})") for drug in SAID["drugs"]]
    (path / "plain.txt").write_text("\n".join(plain) + "\n")
    return path


def plan(**changes: object) -> Recipe:
    heads = [
        {"name": "both", "labels": ["Condition", "Drug"], "corpora": ["both.txt"]},
        {"name": "rest", "labels": ["Condition"], "corpora": ["rest.txt"]},
    ]
    fit = {"epochs": 12, "batch_sentences": 8, "learning_rate": 5e-3}
    table = {"name": "tiny", "dropout": 0.0, "decides": "both", "max_pieces": 64, "heads": heads, **fit}
    return Recipe.model_validate({**table, **changes})


def refinement(**changes: object) -> Recipe:
    table = {"texts": ["plain.txt"], "sentences": 4, "epochs": 12, "batch_sentences": 8, "learning_rate": 5e-3}
    # The sentences of "rest", of which the teacher is not asked, are the same: they must not outweigh what it says.
    heads = [{**plan().heads[0].model_dump(), "passes": 4}, plan().heads[1].model_dump()]
    return plan(heads=heads, refinement={**table, **changes})


@pytest.fixture(scope="module")
def student(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished model of ours that has learnt the corpora."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer(WORDS)
    shape = make_shape(tokenizer)
    weights = {name.removeprefix("bert."): one for name, one in TrainableTagger(shape, {}, 0.0).weights().items()}
    base = write_hub_folder(tmp_path_factory.mktemp("base"), tokenizer, shape.to_config(), weights)
    out = tmp_path_factory.mktemp("student")
    train(plan(), base=base, corpora=corpora, out=out, splitter=Whole())
    return out


def labels(folder: Path, settings: AnnotateSettings, sentence: str, head: str = "both") -> dict[str, str]:
    [found] = load_annotator(f"{folder}:{head}", settings).annotate([sentence])
    return {sentence[one.start_char : one.end_char]: one.label for one in found.mentions}


SENTENCE = "The aspirin caused rash."


def test_a_refinement_moves_a_model_to_what_its_teacher_says(
    student: Path, teacher: Path, corpora: Path, tmp_path: Path, settings: AnnotateSettings
):
    assert labels(student, settings, SENTENCE) == {"aspirin": "Drug", "rash": "Condition"}
    steps: list[TrainingStep] = []
    report = train(
        refinement(share=0.0, shares={"both": 1.0}, gold=0.0),
        base=student,
        corpora=corpora,
        out=tmp_path,
        splitter=Whole(),
        teachers={"both": teacher},
        on_step=steps.append,
    )
    assert labels(tmp_path, settings, SENTENCE) == {"aspirin": "Condition", "rash": "Drug"}
    assert labels(tmp_path, settings, SENTENCE, "rest") == {"rash": "Condition"}  # a head without a teacher stays
    assert report.examples == {"both: both.txt": 72, "rest: rest.txt": 18, "plain text": 4}
    assert list(dict.fromkeys(step.stage for step in steps)) == ["teachers", "refinement"]
    assert (steps[0].step, steps[0].steps, steps[0].loss) == (1, 1, None)
    assert "larger models" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["comention"]["heads"] == {
        "both": ["Condition", "Drug"],
        "rest": ["Condition"],
    }


def test_without_a_share_a_refinement_keeps_what_the_model_says(
    student: Path, teacher: Path, corpora: Path, tmp_path: Path, settings: AnnotateSettings
):
    train(
        refinement(share=0.0, gold=0.0, epochs=2),
        base=student,
        corpora=corpora,
        out=tmp_path,
        splitter=Whole(),
        teachers={"both": teacher},
    )
    assert labels(tmp_path, settings, SENTENCE) == {"aspirin": "Drug", "rash": "Condition"}


def test_what_is_written_is_the_mean_of_the_weights_before_and_after(
    student: Path, teacher: Path, corpora: Path, tmp_path: Path
):
    weights = {}
    for kept in (0.0, 0.25, 1.0):
        out = tmp_path / str(kept)
        recipe = refinement(epochs=1, kept=kept)
        train(recipe, base=student, corpora=corpora, out=out, splitter=Whole(), teachers={"both": teacher})
        weights[kept] = load_weights(out)
    name = "bert.encoder.layer.0.output.LayerNorm.weight"  # stored in fp32
    before = load_weights(student)[name]
    torch.testing.assert_close(weights[1.0][name], before)
    assert not torch.allclose(weights[0.0][name], before)
    torch.testing.assert_close(weights[0.25][name], 0.25 * before + 0.75 * weights[0.0][name])


def mixed(folder: Path, texts: list[str], share: float = 0.5, head: str = "") -> torch.Tensor:
    """What becomes of even probabilities, [pieces without special ones, tags], for one sentence or more."""
    words = MarkedWords(make_tokenizer(WORDS))
    examples = [
        Example(head=head, pieces=one.pieces, permitted=one.permitted, text=one.text)
        for one in plain_examples(words, texts, 16)
    ]
    packed = pack_examples([*plain_examples(words, texts, 16)], HEADS)
    probabilities = torch.full((len(packed.pieces), 8), 0.25, dtype=torch.float16)
    asked: list[tuple[int, int]] = []
    mix_teachers(
        probabilities,
        packed,
        examples,
        words=words,
        heads=HEADS,
        teachers=[Teacher(folder, HEADS[0], share)],
        device="cpu",
        threads=1,
        on_portion=lambda done, of: asked.append((done, of)),
    )
    return torch.cat([probabilities[a + 1 : b - 1] for a, b in zip(packed.starts, packed.starts[1:], strict=False)])


def test_words_are_matched_by_where_they_start_and_tags_by_their_names(teacher: Path):
    found = mixed(teacher, ["  rash of  aspirin, xy"])
    # Our head has O, B-Condition, I-Condition, B-Drug, I-Drug; the teacher's tags have another order.
    assert open_folder(teacher).heads[0].tags == TAGS != HEADS[0].tags
    tags = [3, 0, 1, 0, 0]
    for piece, tag in enumerate(tags):
        expected = torch.full((5,), 0.125)
        expected[tag] = 0.625
        torch.testing.assert_close(found[piece, :5].float(), expected, atol=0.02, rtol=0)
    assert (found[:, 5:] == 0.25).all()  # the other head
    assert (found[5] == 0.25).all()  # a piece within a word


def test_words_that_the_tokenizers_see_differently_keep_the_model_s_own(tmp_path: Path):
    folder = write_model(tmp_path / "other", "distilbert", TAUGHT)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    found = mixed(folder, ["rash (aspirin)"], share=1.0)
    assert found[0, 3] > 0.9
    assert found[1, 0] > 0.9  # "(aspirin)" is one word for the teacher
    assert (found[2:] == 0.25).all()


def test_a_cut_sentence_and_one_of_another_head_keep_the_model_s_own(teacher: Path):
    assert (mixed(teacher, ["rash " * 20]) == 0.25).all()
    assert (mixed(teacher, ["the rash"], head="rest") == 0.25).all()
    assert not (mixed(teacher, ["the rash"], head="both") == 0.25).all()


def test_what_cannot_teach_or_be_refined_is_one_sentence(
    student: Path,
    teacher: Path,
    corpora: Path,
    tmp_path: Path,
    edit_config: Callable[[Path, dict[str, object]], None],
):
    def refused(recipe: Recipe, message: str, base: Path = student, **teachers: Path) -> None:
        with pytest.raises(AnnotatorError, match=message) as error:
            train(recipe, base=base, corpora=corpora, out=tmp_path / "out", splitter=Whole(), teachers=teachers)
        assert "\n" not in str(error.value)

    refused(refinement(), r"name one or more \(HEAD=FOLDER\)")
    refused(plan(), r"has no \[refinement\]", both=teacher)
    refused(refinement(), "for head cdr, but the heads of the recipe tiny are both, rest", cdr=teacher)
    refused(refinement(), "has the tags O, B-Drug, .* and head rest has O, B-Condition, I-Condition:", rest=teacher)
    refused(refinement(), "has no config.json", both=tmp_path)
    other = shutil.copytree(teacher, tmp_path / "other")
    edit_config(other, {"id2label": {"0": "O", "1": "B-Drug", "2": "I-Drug", "3": "B-Disease", "4": "I-Disease"}})
    refused(refinement(), "I-Disease, and head both has O", both=other)
    refused(refinement(), "is no finished model of comention's", base=teacher, both=teacher)
    renamed = plan(refinement={"sentences": 0}, heads=[plan().heads[0].model_dump()])
    refused(renamed, r"has the heads both \(Condition, Drug\); rest \(Condition\), and the recipe both", both=teacher)


def test_a_folder_of_ours_teaches_with_its_head(student: Path, tmp_path: Path):
    assert Teacher(student, HEADS[0], 1.0)._order == [0, 1, 2, 3, 4]
    tokenizer = make_tokenizer()
    shape = make_shape(tokenizer)
    weights = TrainableTagger(shape, {"test": 5}, 0.0).weights()
    assert Teacher(write_folder(tmp_path / "ours", tokenizer, shape, weights), HEADS[0], 1.0)._order == [0, 3, 4, 1, 2]


def test_both_run_from_the_command_line(
    student: Path, teacher: Path, corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments), "--threads", "1", "--json"])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    def write_recipe(recipe: Recipe) -> Path:
        path = tmp_path / f"{recipe.name}.toml"
        table = recipe.model_dump(mode="json", exclude_none=True)
        tables = {name: table.pop(name) for name in ("heads", "refinement") if name in table}
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        for head in tables["heads"]:
            lines += ["[[heads]]", *(f"{name} = {json.dumps(value)}" for name, value in head.items())]
        if "refinement" in tables:
            lines += [
                "[refinement]",
                *(f"{name} = {json.dumps(value)}" for name, value in tables["refinement"].items()),
            ]
        path.write_text("\n".join(lines) + "\n")
        return path

    held = f"{corpora}/both.txt?fold=0/6&part=test&guideline=rest&labels=Condition"
    large = write_recipe(plan(name="large", stored="fp32", epochs=2))
    common = ("train", "--corpora", corpora, "--hold-out", held)
    code, said, error = run(*common, "--recipe", large, "--base", teacher, "--out", tmp_path / "large")
    assert not code, error
    [evaluation] = json.loads(said)["evaluations"]
    assert (evaluation["annotator"], list(evaluation["labels"])) == ("rest", ["Condition"])
    assert json.loads(said)["left_out"] > 0

    refined = write_recipe(refinement(epochs=1).model_copy(update={"name": "refined-tiny"}))
    start = (*common, "--recipe", refined, "--out", tmp_path / "refined")
    both = f"both={tmp_path}/large/both"
    code, said, error = run(*start, "--base", student, "--teacher", both, "--teacher", f"rest={tmp_path}/large/rest")
    assert not code, error
    assert json.loads(said)["evaluations"][0]["head"] == "rest"
    assert open_folder(tmp_path / "refined").name == "refined-tiny"

    for arguments, message in (
        ((*start, "--teacher", both), "name its folder with --base"),
        ((*start, "--base", student, "--teacher", "both"), "'both' is not HEAD=FOLDER"),
        ((*start, "--base", student, "--teacher", both, "--teacher", both), "head both is given two teachers"),
        ((*start, "--base", student), "name one or more"),
    ):
        code, _, error = run(*arguments)
        assert code
        assert message in " ".join(error.split())
