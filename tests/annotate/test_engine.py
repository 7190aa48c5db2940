from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from safetensors.torch import save

from annotate import engine, loading
from annotate.engine import BertAnnotator
from annotate.folder import open_folder
from annotate.weights import load_weights
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from comention.types import AnnotationStatus, Annotator, SentenceAnnotation

Make = Callable[[Mapping[str, str]], Path]

LEXICON = {
    "pr": "B-Drug",
    "##uc": "I-Drug",
    "##alo": "I-Drug",
    "##pri": "I-Drug",
    "##de": "I-Drug",
    "aspirin": "B-Drug",
    "valproic": "B-Drug",
    "acid": "I-Drug",
    "5": "B-Drug",
    "-": "I-Drug",
    "fluorouracil": "I-Drug",
    "α": "B-Drug",
    "tocopherol": "I-Drug",
    "sjogren": "B-Condition",
    "naive": "B-Condition",
    "rash": "B-Condition",
    "vitamin": "B-Drug",
    "[UNK]": "B-Condition",
    "[MASK]": "B-Drug",
}


def load(path: Path, **fields: object) -> BertAnnotator:
    settings = AnnotateSettings.model_validate({"threads": 1, "device": "cpu", "precision": "fp32", **fields})
    return BertAnnotator(open_folder(path), settings, name="test", model="test")


@pytest.fixture(scope="module")
def lexicon(lexicon_folder: Make) -> BertAnnotator:
    return load(lexicon_folder(LEXICON))


@pytest.fixture(scope="module")
def unlimited(lexicon_folder: Make) -> BertAnnotator:
    """The same model with positions enough for any sentence of the tests."""
    path = lexicon_folder(LEXICON)
    weights = load_weights(path)
    config = json.loads((path / "config.json").read_text())
    positions = "bert.embeddings.position_embeddings.weight"
    config["max_position_embeddings"] = config["comention"]["max_pieces"] = 1200
    (path / "config.json").write_text(json.dumps(config))
    weights[positions] = torch.zeros(1200, weights[positions].shape[1])
    (path / "model.safetensors").write_bytes(save({name: one.contiguous() for name, one in weights.items()}))
    return load(path)


def found(annotator: Annotator, sentence: str) -> list[tuple[str, str]]:
    (annotation,) = annotator.annotate([sentence])
    assert annotation.status is AnnotationStatus.DONE
    starts = [mention.start_char for mention in annotation.mentions]
    assert starts == sorted(starts)
    return [(sentence[mention.start_char : mention.end_char], mention.label) for mention in annotation.mentions]


@pytest.mark.parametrize(
    ("sentence", "mentions"),
    [
        ("prucalopride", [("prucalopride", "Drug")]),
        ("Prucalopride, then aspirin.", [("Prucalopride", "Drug"), ("aspirin", "Drug")]),
        ("of valproic  acid.", [("valproic  acid", "Drug")]),
        ("5-fluorouracil/aspirin", [("5-fluorouracil", "Drug"), ("aspirin", "Drug")]),
        ("(α-tocopherol)", [("α-tocopherol", "Drug")]),
        ("aspirin rash", [("aspirin", "Drug"), ("rash", "Condition")]),
        ("aspirin aspirin", [("aspirin", "Drug"), ("aspirin", "Drug")]),
        ("Sjo\u0308gren, Sjögren", [("Sjo\u0308gren", "Condition"), ("Sjögren", "Condition")]),
        ("naive\u0301 rash\u0301", [("naive\u0301", "Condition"), ("rash\u0301", "Condition")]),
        ("a \U0001f600 \U00010330 rash \U0001f600", [("\U0001f600", "Condition"), ("\U00010330", "Condition"),
                                                      ("rash", "Condition"), ("\U0001f600", "Condition")]),
        ("\u00a0rash\u2009aspirin\u200b", [("rash", "Condition"), ("aspirin", "Drug")]),
        ("the [SEP] aspirin [CLS] [MASK] rash", [("aspirin", "Drug"), ("rash", "Condition")]),
        ("ra\x00sh ra\ufffdsh", [("ra\x00sh", "Condition"), ("ra\ufffdsh", "Condition")]),
        ("acid of the", []),
        ("aspirin/prucalopride (rash)", [("aspirin", "Drug"), ("prucalopride", "Drug"), ("rash", "Condition")]),
        ("rash, rash,rash", [("rash", "Condition"), ("rash", "Condition"), ("rash", "Condition")]),
        ("aspirin, vitamin and valproic acid", [("aspirin", "Drug"), ("vitamin", "Drug"), ("valproic acid", "Drug")]),
        ("valproic\r\nacid", [("valproic\r\nacid", "Drug")]),
        ("\u202erash\u202c aspirin", [("rash", "Condition"), ("aspirin", "Drug")]),
        ("\U0001d6fc aspirin", [("\U0001d6fc", "Condition"), ("aspirin", "Drug")]),
    ],
)  # fmt: skip
def test_a_mention_is_exactly_its_slice_of_the_sentence(
    lexicon: BertAnnotator, sentence: str, mentions: list[tuple[str, str]]
):
    assert found(lexicon, sentence) == mentions


def test_no_sentences_give_no_results(lexicon: BertAnnotator):
    assert lexicon.annotate([]) == []


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u200b", "\u0301"])
def test_a_sentence_without_words_is_done_and_has_no_mentions(lexicon: BertAnnotator, blank: str):
    assert lexicon.annotate([blank]) == [SentenceAnnotation()]
    assert lexicon.annotate([blank, "rash"])[0] == SentenceAnnotation()


def test_results_stand_in_the_order_of_the_sentences(lexicon: BertAnnotator):
    sentences = ["rash of " * 30, "", "aspirin", "of the", "valproic acid and rash"]
    results = lexicon.annotate(sentences)
    assert [len(result.mentions) for result in results] == [30, 0, 1, 0, 2]


def test_a_sentence_of_two_thousand_words_is_annotated_to_its_end(lexicon: BertAnnotator):
    words = random.Random(0).choices(["aspirin", "rash", "of", "prucalopride", "valproic acid"], k=2000)
    sentence = " ".join(words)
    assert [text for text, _ in found(lexicon, sentence)] == [word for word in words if word != "of"]


def test_a_mention_may_lie_across_the_border_of_two_windows(lexicon: BertAnnotator):
    for before in range(30, 70):
        sentence = "of " * before + "valproic acid acid acid acid"
        assert found(lexicon, sentence) == [("valproic acid acid acid acid", "Drug")]


@effort(max_examples=40, deadline=None)
@given(
    words=st.lists(st.sampled_from(["aspirin", "rash", "of", "prucalopride", "valproic", "acid", ","]), max_size=200)
)
def test_windows_change_nothing_for_a_model_that_looks_at_words_alone(
    lexicon: BertAnnotator, unlimited: BertAnnotator, words: list[str]
):
    """A mention that continues for longer than a window comes out whole, as from a model without limit."""
    sentence = " ".join(words)
    assert lexicon.annotate([sentence]) == unlimited.annotate([sentence])


def test_a_mention_across_a_comma_is_one_where_the_model_says_so(lexicon_folder: Make):
    annotator = load(lexicon_folder({"necrosis": "B-Condition", ",": "I-Condition", "toxic": "I-Condition"}))
    assert found(annotator, "of necrosis, toxic.") == [("necrosis, toxic", "Condition")]


def test_not_enough_memory_at_load_is_one_sentence(random_folder: Path, monkeypatch: pytest.MonkeyPatch):
    message = (
        "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    for error in (MemoryError(), RuntimeError(message)):
        monkeypatch.setattr(loading, "load_weights", mock.Mock(side_effect=error))
        with pytest.raises(AnnotatorError, match=r"not enough memory on cpu to load .*random: free some"):
            load(random_folder)
    monkeypatch.setattr(loading, "load_weights", mock.Mock(side_effect=RuntimeError("shape mismatch")))
    with pytest.raises(AnnotatorError, match=r"do not fit its config\.json: shape mismatch"):
        load(random_folder)


@pytest.mark.parametrize("outputs", [4, 6])
def test_weights_with_another_number_of_outputs_are_refused(
    random_folder: Path, tmp_path: Path, outputs: int, edit_config: Callable[[Path, dict[str, object]], None]
):
    path = shutil.copytree(random_folder, tmp_path / "copy")
    tags = {str(number): f"B-L{number}" for number in range(outputs - 1)} | {str(outputs - 1): "O"}
    edit_config(path, {"comention": None, "id2label": tags})
    weights = {name.replace("heads.test", "classifier"): one for name, one in load_weights(path).items()}
    (path / "model.safetensors").write_bytes(save(weights))
    with pytest.raises(AnnotatorError, match=f"give 5 outputs for {outputs} labels"):
        load(path)


def test_a_text_that_is_not_unicode_fails_alone(lexicon: BertAnnotator):
    good, bad, other = lexicon.annotate(["aspirin", "aspirin \ud800", "rash"])
    assert (good, other) == tuple(lexicon.annotate(["aspirin", "rash"]))
    assert bad.status is AnnotationStatus.FAILED
    assert bad.mentions == ()
    assert "Unicode" in str(bad.detail)


def test_a_sentence_that_torch_refuses_fails_alone(lexicon: BertAnnotator, monkeypatch: pytest.MonkeyPatch):
    expected = lexicon.annotate(["aspirin", "rash", "valproic acid"])
    whole = lexicon._encoder.logits
    poison = lexicon._tokenizer.token_to_id("vitamin")

    def refuse(batch):
        if poison in batch.pieces:
            raise RuntimeError("not enough memory")
        return whole(batch)

    monkeypatch.setattr(lexicon._encoder, "logits", refuse)
    first, bad, second, third = lexicon.annotate(["aspirin", "vitamin", "rash", "valproic acid"])
    assert [first, second, third] == expected
    assert (bad.status, bad.mentions) == (AnnotationStatus.FAILED, ())
    assert "not enough memory" in str(bad.detail)


def test_a_long_call_is_worked_off_in_portions(lexicon: BertAnnotator, monkeypatch: pytest.MonkeyPatch):
    sentences = ["aspirin", "of", "", "rash", "valproic acid", "rash rash"] * 3
    expected = lexicon.annotate(sentences)
    sizes: list[int] = []
    encode = BertAnnotator._encode

    def watch(self, portion, run):
        sizes.append(len(portion))
        return encode(self, portion, run)

    monkeypatch.setattr(BertAnnotator, "_encode", watch)
    monkeypatch.setattr(engine, "LEAST_AT_ONCE", 4)
    assert lexicon.annotate(sentences) == expected
    assert sizes == [6, 6, 6]  # a third each, so that one is tokenised while another is in its forward pass
    monkeypatch.setattr(engine, "SENTENCES_AT_ONCE", 4)
    assert lexicon.annotate(sentences) == expected
    assert max(sizes[3:]) == 4


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def alone(
    request: pytest.FixtureRequest, random_folder: Path, many_sentences: list[str]
) -> tuple[dict[int, BertAnnotator], list[SentenceAnnotation]]:
    """Annotators with one to three threads, and what each sentence gets by itself."""
    annotators = {threads: load(random_folder, threads=threads, precision=request.param) for threads in (1, 2, 3)}
    results = [annotators[1].annotate([sentence])[0] for sentence in many_sentences]
    assert sum(len(result.mentions) for result in results) > 100
    return annotators, results


@effort(max_examples=15, deadline=None)
@given(chosen=st.lists(st.integers(0, 59), min_size=1, max_size=90), threads=st.sampled_from([1, 2, 3]))
def test_mentions_and_scores_of_a_sentence_do_not_depend_on_its_company(
    alone: tuple[dict[int, BertAnnotator], list[SentenceAnnotation]],
    many_sentences: list[str],
    chosen: list[int],
    threads: int,
):
    annotators, results = alone
    together = annotators[threads].annotate([many_sentences[index] for index in chosen])
    assert together == [results[index] for index in chosen]


def test_annotators_work_in_parallel_threads(lexicon: BertAnnotator, many_sentences: list[str]):
    from concurrent.futures import ThreadPoolExecutor

    expected = lexicon.annotate(many_sentences)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lexicon.annotate, [many_sentences] * 8)) == [expected] * 8


def test_the_threads_of_the_caller_are_left_alone(lexicon: BertAnnotator):
    import threading

    before = threading.active_count()
    lexicon.annotate(["aspirin"] * 50)
    assert threading.active_count() == before
    assert not torch.is_grad_enabled() or torch.zeros(1, requires_grad=True).requires_grad


def test_the_config_hash_changes_with_what_changes_mentions(random_folder: Path):
    one, same, bf16 = load(random_folder), load(random_folder, threads=2), load(random_folder, precision="bf16")
    assert one.info == same.info
    assert one.info.config_hash != bf16.info.config_hash
    assert one.info.revision == bf16.info.revision
