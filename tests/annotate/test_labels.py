"""Labels as models of the hub have them; the lists are those of published biomedical models or of their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from annotate.folder import open_folder
from annotate.hub import HUB_ANNOTATORS
from annotate.labels import LabelMap, Scheme, load_label_map, name_labels, read_tags
from annotate.registry import load_annotator
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from tests.annotate.models import lexicon_weights, make_shape, make_tokenizer, write_hub_folder

LABEL_N = [f"LABEL_{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("names", "scheme", "tags"),
    [
        ("O B-Chemical I-Chemical", Scheme.BIO, "O B-Chemical I-Chemical"),
        ("B-EPI B-LOC I-EPI I-LOC O", Scheme.BIO, "B-EPI B-LOC I-EPI I-LOC O"),
        ("O B_Drug I_Drug", Scheme.BIO, "O B-Drug I-Drug"),
        ("O PER-B PER-I", Scheme.BIO, "O B-PER I-PER"),
        ("O B-Date I-Dosage B-Dosage", Scheme.BIO, "O B-Date I-Dosage B-Dosage"),
        ("I-Problema B-Problema O <pad>", Scheme.BIO, "I-Problema B-Problema O O"),
        ("O B-DISEASE I-DISEASE PAD", Scheme.BIO, "O B-DISEASE I-DISEASE O"),
        ("[CLS] [SEP] X O B-A I-A", Scheme.BIO, "O O O O B-A I-A"),
        ("O Disease", Scheme.IO, "O I-Disease"),
        ("I-Gene O I-Disease", Scheme.IO, "I-Gene O I-Disease"),
        ("O B-d.x I-d.x L-d.x U-d.x", Scheme.BILOU, "O B-d.x I-d.x L-d.x U-d.x"),
        ("O S-Drug B-Drug I-Drug E-Drug", Scheme.BILOU, "O U-Drug B-Drug I-Drug L-Drug"),
        ("O B-Drug M-Drug E-Drug S-Drug", Scheme.BILOU, "O B-Drug I-Drug L-Drug U-Drug"),
        ("O B-Drug I-Drug E-Drug", Scheme.BILOU, "O B-Drug I-Drug L-Drug"),
        ("O B-cell-line I-cell-line", Scheme.BIO, "O B-cell-line I-cell-line"),
    ],
)
def test_schemes_are_recognised(names: str, scheme: Scheme, tags: str):
    tag_set = read_tags(names.split(), LabelMap(), "m")
    assert (tag_set.scheme, " ".join(tag_set.tags)) == (scheme, tags)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["No Disease", "Disease", "Disease Continuation"], "No Disease, Disease, Disease Continuation, and none is O"),
        (["O", "Begin", "I-Disease"], "Begin is not a tag like the others"),
        (["O", "B", "I"], "B, I does not say what it means"),
        (LABEL_N, "LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4 does not say"),
        (["O", "B-Drug", "I-Drug", "I-Gene"], "under BIO there can be no mention of Gene"),
        (["O", "B-Drug", "I-Drug", "L-Drug", "U-Drug", "B-Gene"], "under BILOU there can be no mention of Gene"),
        (["O", "B-Drug", "L-Drug", "S-Drug"], "B, L, S together are no scheme"),
        (["O", "B-Drug", "B-Drug"], "two mean B-Drug"),
        (["O"], "nothing to find"),
        (["B-Drug", "I-Drug"], "none is O"),
    ],
)
def test_labels_that_cannot_be_told_are_refused_with_what_was_found(names: list[str], message: str):
    with pytest.raises(AnnotatorError, match=message) as raised:
        read_tags(names, LabelMap(), "the model m")
    assert all(name in str(raised.value) for name in names)
    assert "the model m" in str(raised.value)


def test_a_map_gives_names_that_say_nothing_a_meaning():
    given = LabelMap(tags={"No Disease": "O", "Disease": "B-Disease", "Disease Continuation": "I-Disease"})
    tag_set = read_tags(["No Disease", "Disease", "Disease Continuation"], given, "m")
    assert tag_set.tags == ("O", "B-Disease", "I-Disease")
    assert read_tags(LABEL_N, HUB_ANNOTATORS["ade"].label_map, "m").tags == (
        "O", "B-DRUG", "I-DRUG", "B-EFFECT", "I-EFFECT",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"LABEL_0": "O", "LABEL_1": "B-A", "LABEL_2": "I-A", "LABEL_3": "B-C"}, "LABEL_4 does not say"),
        (
            dict(zip([*LABEL_N, "LABEL_5"], ["O", "B-A", "I-A", "B-C", "I-C", "O"], strict=True)),
            "meaning to LABEL_5, but",
        ),
        (dict(zip(LABEL_N, ["O", "B-A", "I-A", "B-A", "I-C"], strict=True)), "two mean B-A"),
        (dict(zip(LABEL_N, ["B-D", "B-A", "I-A", "B-C", "I-C"], strict=True)), "none is O"),
        (dict(zip(LABEL_N, ["O", "B-A", "I-A", "I-C", "O"], strict=True)), "no mention of C"),
        (dict(zip(LABEL_N, ["O", "B-A", "I-A", "Gene", "O"], strict=True)), "Gene is not a tag like the others"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(tags: Mapping[str, str], message: str):
    with pytest.raises(AnnotatorError, match=message) as raised:
        read_tags(LABEL_N, LabelMap(tags=tags), "m")
    assert "LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4" in str(raised.value)


def test_labels_are_renamed_joined_and_left_out():
    given = LabelMap(labels={"Disease": "Condition", "Symptom": "Condition", "Age": None})
    named = name_labels(("Disease", "Age", "Drug", "Symptom"), given, "m")
    assert named == {"Disease": "Condition", "Drug": "Drug", "Symptom": "Condition"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"Dug": "Drug"}, "names the label Dug, but the labels of m are Drug, Age"),
        ({"Drug": None, "Age": None}, "leaves out every"),
    ],
)
def test_a_map_of_labels_that_does_not_fit_is_refused(labels: Mapping[str, str | None], message: str):
    with pytest.raises(AnnotatorError, match=message):
        name_labels(("Drug", "Age"), LabelMap(labels=labels), "m")


def test_iob1_has_to_be_said_and_has_to_be_possible():
    names = ["O", "B-A", "I-A", "I-C"]
    assert read_tags(names, LabelMap(scheme=Scheme.IOB1), "m").scheme is Scheme.IOB1
    with pytest.raises(AnnotatorError, match="no mention of C"):
        read_tags(names, LabelMap(), "m")
    with pytest.raises(AnnotatorError, match=r"says BILOU, but .* which is BIO"):
        read_tags(["O", "B-A", "I-A"], LabelMap(scheme=Scheme.BILOU), "m")


def test_a_label_map_is_a_toml_file(tmp_path: Path):
    path = tmp_path / "map.toml"
    path.write_text('scheme = "BIO"\n[tags]\nLABEL_0 = "O"\n[labels]\nDisease = "Condition"\nAge = false\n')
    loaded = load_label_map(path)
    assert (loaded.scheme, loaded.tags, loaded.labels) == (
        Scheme.BIO, {"LABEL_0": "O"}, {"Disease": "Condition", "Age": None},
    )  # fmt: skip
    assert str(path) in loaded.where


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tags\n", "is not TOML"),
        ("[tag]\n", r"tag: .*not permitted"),
        ('[labels]\nAge = ""\n', "maps 'Age' to nothing"),
        ("[labels]\nAge = true\n", r"labels\.Age: "),
        ("[tags]\nLABEL_0 = 0\n", r"tags\.LABEL_0: "),
        ('scheme = "BMW"\n', "scheme: "),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_broken_label_map_is_refused_with_its_name(tmp_path: Path, content: str | None, message: str):
    path = tmp_path / "map.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AnnotatorError, match=message) as raised:
        load_label_map(path)
    assert str(path) in str(raised.value)


SEED_CONFIG = {
    "architectures": ["BertForTokenClassification"],
    "id2label": {str(number): name for number, name in enumerate(LABEL_N)},
    "label2id": {name: number for number, name in enumerate(LABEL_N)},
    "torch_dtype": "float32",
}


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with the architecture and the label layout of the drug and effect seed: LABEL_0 to LABEL_4."""
    tags = {"aspirin": "B-Drug", "valproic": "B-Drug", "acid": "I-Drug", "rash": "B-Condition", "skin": "B-Condition",
            "necrosis": "I-Condition"}  # fmt: skip
    tokenizer = make_tokenizer(list(tags))
    shape = make_shape(tokenizer, hidden=8, layers=1)
    weights = lexicon_weights(shape, tokenizer, tags)
    weights = {name.replace("heads.test", "classifier"): tensor for name, tensor in weights.items()}
    return write_hub_folder(
        tmp_path_factory.mktemp("seed") / "ade", tokenizer, {**shape.to_config(), **SEED_CONFIG}, weights
    )


Annotate = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def annotate(seed: Path, settings: AnnotateSettings) -> Annotate:
    def run(text: str, labels: Path | None) -> list[tuple[str, str]]:
        annotator = load_annotator(str(seed), settings.model_copy(update={"labels": labels}))
        (annotation,) = annotator.annotate([text])
        return [(text[one.start_char : one.end_char], one.label) for one in annotation.mentions]

    return run


LABELS = """[tags]
LABEL_0 = "O"
LABEL_1 = "B-DRUG"
LABEL_2 = "I-DRUG"
LABEL_3 = "B-EFFECT"
LABEL_4 = "I-EFFECT"

[labels]
DRUG = "Drug"
EFFECT = "Condition"
"""
SENTENCE = "Valproic acid, then aspirin: skin necrosis and rash."


def test_a_folder_with_the_seeds_labels_gives_drugs_and_conditions(annotate: Annotate, tmp_path: Path):
    (tmp_path / "map.toml").write_text(LABELS)
    assert annotate(SENTENCE, tmp_path / "map.toml") == [
        ("Valproic acid", "Drug"),
        ("aspirin", "Drug"),
        ("skin necrosis", "Condition"),
        ("rash", "Condition"),
    ]
    assert annotate(SENTENCE, Path("ade")) == annotate(SENTENCE, tmp_path / "map.toml")
    (tmp_path / "drugs.toml").write_text(LABELS.replace('"Condition"', "false"))
    assert annotate(SENTENCE, tmp_path / "drugs.toml") == [("Valproic acid", "Drug"), ("aspirin", "Drug")]


def test_the_seeds_labels_without_a_map_are_refused(annotate: Annotate):
    with pytest.raises(AnnotatorError, match=r"LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4.*--labels"):
        annotate(SENTENCE, None)


def test_two_label_maps_are_two_annotators(seed: Path, settings: AnnotateSettings, tmp_path: Path):
    (tmp_path / "one.toml").write_text(LABELS)
    (tmp_path / "two.toml").write_text(LABELS.replace('"Condition"', '"Effect"'))
    one, two = (
        load_annotator(str(seed), settings.model_copy(update={"labels": tmp_path / name})).info
        for name in ("one.toml", "two.toml")
    )
    assert (one.labels, two.labels) == (("Drug", "Condition"), ("Drug", "Effect"))
    assert one.config_hash != two.config_hash
    assert one.revision == two.revision


def test_a_folder_of_ours_says_itself_what_its_tags_mean(random_folder: Path):
    renamed = open_folder(random_folder, LabelMap(labels={"Condition": "Disease"}))
    assert renamed.labels == ("Drug", "Disease")
    with pytest.raises(AnnotatorError, match="says itself what its tags mean"):
        open_folder(random_folder, LabelMap(tags={"LABEL_0": "O"}))


def test_what_is_known_of_the_models_with_a_name_suits_either_spelling():
    craft = HUB_ANNOTATORS["craft"]
    found = ("Cell", "Chemical", "GENE", "Protein", "Sequence", "Taxon")
    assert set(name_labels(found, craft.label_map, "m").values()) == set(craft.labels)
