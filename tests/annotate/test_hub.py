"""Models of the hub: fetched from a stand-in, found again in the cache, and refused in one sentence each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from annotate.folder import open_folder
from annotate.hub import HUB_ANNOTATORS, fetch_model
from annotate.registry import list_annotators
from annotate.weights import load_weights
from comention.errors import AnnotatorError
from tests.annotate.models import lexicon_weights, make_shape, make_tokenizer, write_hub_folder
from tests.conftest import Outcome, run_command
from tests.hub import Hub, serve_hub

TAGS = {"aspirin": "B-Drug", "valproic": "B-Drug", "acid": "I-Drug", "rash": "B-Condition"}
LABEL_N = {str(number): f"LABEL_{number}" for number in range(5)}
CRAFT = ["B-Cell", "B-Chemical", "B-GENE", "B-Protein", "B-Sequence", "B-Taxon", "I-Cell", "I-Chemical", "I-GENE",
         "I-Protein", "I-Sequence", "I-Taxon", "O"]  # fmt: skip

Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with the architecture and label layout of the drug and effect seed, and files nobody needs."""
    tokenizer = make_tokenizer(list(TAGS))
    shape = make_shape(tokenizer, hidden=8, layers=1)
    weights = {
        name.replace("heads.test", "classifier"): tensor
        for name, tensor in lexicon_weights(shape, tokenizer, TAGS).items()
    }
    path = tmp_path_factory.mktemp("seed") / "ade"
    write_hub_folder(path, tokenizer, {**shape.to_config(), "id2label": LABEL_N}, weights)
    torch.save(weights, path / "pytorch_model.bin")
    (path / "training_args.bin").write_bytes(b"0" * 100)
    (path / "README.md").write_text("card")
    return path


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as serving:
        yield serving


@pytest.fixture
def command(hub: Hub, tmp_path: Path) -> Command:
    def run(*arguments: str, **settings: str) -> Outcome:
        return run_command(*arguments, **{**hub.environment(tmp_path / "hf"), **settings})

    return run


SENTENCE = "Valproic acid, aspirin and rash."


def test_a_model_with_a_name_is_fetched_once_and_then_found_without_the_hub(hub: Hub, seed: Path, command: Command):
    ade = HUB_ANNOTATORS["ade"]
    hub.models[ade.repository] = {str(ade.revision): seed}
    done = command("annotators", "try", "ade", SENTENCE, "--json")
    assert done.status == 0, done.stderr
    found = [(SENTENCE[one["start_char"] : one["end_char"]], one["label"]) for one in done.document["mentions"]]
    assert found == [("Valproic acid", "Drug"), ("aspirin", "Drug"), ("rash", "Condition")]
    assert set(hub.fetched) == {"config.json", "tokenizer.json", "model.safetensors"}
    hub.models.clear()
    info = command("annotators", "info", "ade", "--json", HF_HUB_OFFLINE="1").document
    assert (info["name"], info["model"], info["revision"]) == ("ade", ade.repository, ade.revision)
    assert info["labels"] == ["Drug", "Condition"]


def test_the_other_model_with_a_name_has_its_six_labels(hub: Hub, seed: Path, command: Command, tmp_path: Path):
    craft = HUB_ANNOTATORS["craft"]
    path = shutil.copytree(seed, tmp_path / "craft")
    config = json.loads((path / "config.json").read_text())
    config["id2label"] = {str(number): tag for number, tag in enumerate(CRAFT)}
    (path / "config.json").write_text(json.dumps(config))
    weights = load_weights(path)
    weights["classifier.weight"], weights["classifier.bias"] = torch.zeros(13, 8), torch.arange(13.0)
    (path / "model.safetensors").unlink()
    torch.save(weights, path / "pytorch_model.bin")
    commit = hub.add(craft.repository, path)
    done = command("annotators", "info", "craft", "--json")
    assert done.status == 0, done.stderr
    assert set(done.document["labels"]) == set(craft.labels)
    assert done.document["revision"] == commit


def test_any_model_runs_with_a_label_map_and_a_revision(hub: Hub, seed: Path, command: Command, tmp_path: Path):
    hub.add("acme/ner", seed.parent)
    commit = hub.add("acme/ner", seed, revision="v2")
    (tmp_path / "map.toml").write_text(
        '[tags]\nLABEL_0 = "O"\nLABEL_1 = "B-D"\nLABEL_2 = "I-D"\nLABEL_3 = "B-E"\nLABEL_4 = "I-E"\n'
        '[labels]\nD = "Drug"\nE = false\n'
    )
    given = ("--labels", str(tmp_path / "map.toml"), "--json")
    done = command("annotators", "try", "hf:acme/ner@v2", SENTENCE, *given)
    assert [one["label"] for one in done.document["mentions"]] == ["Drug", "Drug"]
    info = command("annotators", "info", f"hf:acme/ner@{commit}", *given).document
    assert (info["model"], info["revision"], info["labels"]) == ("acme/ner", commit, ["Drug"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:acme/none", "the hub has no model hf:acme/none"),
        ("hf:acme/ner@v9", "hf:acme/ner has no revision 'v9'"),
        ("hf:acme", "hf:acme is no name of a model: write hf:ORGANISATION/NAME"),
        ("hf:acme/ner", "LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4"),
        ("hf:acme/pickled", "has pickled weights only"),
        ("hf:acme/wordless", "has no tokenizer.json"),
        ("hf:acme/ner:cdr", "has no head 'cdr'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    hub: Hub, seed: Path, command: Command, tmp_path: Path, name: str, message: str
):
    hub.add("acme/ner", seed)
    for broken, file in (("pickled", "model.safetensors"), ("wordless", "tokenizer.json")):
        path = shutil.copytree(seed, tmp_path / broken)
        (path / file).unlink()
        hub.add(f"acme/{broken}", path)
    done = command("annotators", "info", name)
    assert (done.status, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_hub_that_cannot_be_reached_is_one_sentence(command: Command):
    for settings in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        done = command("annotators", "info", "ade", **settings)
        assert done.status == 1
        assert "is not in the cache, and the hub cannot be reached" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_pickled_weights_are_read_only_where_that_is_allowed(seed: Path, tmp_path: Path):
    path = shutil.copytree(seed, tmp_path / "pickled")
    (path / "model.safetensors").unlink()
    config = json.loads((path / "config.json").read_text())
    config["id2label"] = {"0": "O", "1": "B-D", "2": "I-D", "3": "B-E", "4": "I-E"}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(AnnotatorError, match=r"pickled .*COMENTION_ANNOTATE__ALLOW_PICKLE=true"):
        open_folder(path)
    folder = open_folder(path, allow_pickle=True)
    assert folder.pickled
    pickled, whole = load_weights(path, allow_pickle=True), load_weights(seed)
    assert pickled.keys() == whole.keys()
    assert all(torch.equal(pickled[name], whole[name]) for name in whole)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_a_pickle_that_would_run_code_is_refused_even_so(
    seed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = shutil.copytree(seed, tmp_path / "evil")
    (path / "model.safetensors").unlink()
    torch.save({"bert.x": Evil()}, path / "pytorch_model.bin")
    with pytest.raises(AnnotatorError, match=r"the weights .*pytorch_model\.bin cannot be read"):
        load_weights(path, allow_pickle=True)
    assert capsys.readouterr().out == ""


def test_weights_in_several_files_are_one(seed: Path, tmp_path: Path):
    from safetensors.torch import save_file

    path = shutil.copytree(seed, tmp_path / "parts")
    whole = load_weights(path)
    (path / "model.safetensors").unlink()
    names = sorted(whole)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: whole[name].contiguous() for name in part}, path / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert {name: tensor.tolist() for name, tensor in load_weights(path).items()} == {
        name: tensor.tolist() for name, tensor in whole.items()
    }
    (path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(AnnotatorError, match=r"has no model-00002-of-00002\.safetensors, which .*index"):
        load_weights(path)


def test_tensors_with_names_of_tensorflow_are_read(seed: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    path = shutil.copytree(seed, tmp_path / "old")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(seed / "model.safetensors").items()
    }
    save_file(old, path / "model.safetensors")
    assert load_weights(path).keys() == load_weights(seed).keys()


def test_models_with_a_name_are_listed_without_the_hub():
    listed = {one.name: one for one in list_annotators()}
    assert listed["ade"].source == "hf:HMHMlee/BioLinkBERT-base-finetuned-ner"
    assert listed["ade"].labels == ("Drug", "Condition")
    assert set(listed["craft"].labels) == {"Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical"}


@pytest.mark.parametrize("name", ["", "a", "a/b/c", "a b/c", "/"])
def test_a_name_that_is_none_asks_nobody(name: str):
    with pytest.raises(AnnotatorError, match="is no name of a model"):
        fetch_model(name)
