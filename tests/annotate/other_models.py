"""Tiny models of architectures that transformers runs, with the tokenizers they come with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer

from tests.annotate.models import TAGS, make_tokenizer

WORDS = ("aspirin", "valproic", "acid", "rash", "the", "of", "caused", "then", "induced", "fluorouracil", "tocopherol")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def byte_level() -> Tokenizer:
    """RoBERTa's kind: bytes, a space in front of the first word."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([" ".join(f"{word} ({word})" for word in WORDS)] * 20, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """XLM-R's kind: words are what stands between spaces."""
    pieces = [*SPECIAL, "▁", *(f"▁{word}" for word in WORDS), *WORDS, *"abcdefghijklmnopqrstuvwxyz0123456789,.-()/αβ;:"]
    tokenizer = Tokenizer(Unigram([(piece, -float(index)) for index, piece in enumerate(pieces)], unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return tokenizer


def word_pieces() -> Tokenizer:
    return make_tokenizer(WORDS)


def _config(kind: str, vocabulary: int, padding: int) -> transformers.PretrainedConfig:
    common = {
        "vocab_size": vocabulary,
        "pad_token_id": padding,
        "id2label": dict(enumerate(TAGS)),
        "label2id": {tag: index for index, tag in enumerate(TAGS)},
        "max_position_embeddings": 64,
    }
    if kind == "distilbert":
        return transformers.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, **common)
    if kind == "electra":
        return transformers.ElectraConfig(embedding_size=16, **SIZES, **common)
    if kind == "deberta-v2":
        return transformers.DebertaV2Config(
            relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, **SIZES, **common
        )
    if kind == "mpnet":
        return transformers.MPNetConfig(**SIZES, **{**common, "max_position_embeddings": 66})
    if kind == "relative-bert":
        return transformers.BertConfig(hidden_act="relu", **SIZES, **common)
    classes = {"roberta": transformers.RobertaConfig, "xlm-roberta": transformers.XLMRobertaConfig}
    return classes[kind](**SIZES, **{**common, "max_position_embeddings": 66})


TOKENIZERS = {
    "roberta": byte_level,
    "xlm-roberta": sentence_pieces,
    "distilbert": word_pieces,
    "electra": word_pieces,
    "deberta-v2": sentence_pieces,
    "mpnet": word_pieces,
    "relative-bert": word_pieces,
}


def write_model(path: Path, kind: str, lexicon: Mapping[str, str] | None = None) -> Path:
    """Write a model folder of a kind; with ``lexicon``, one that gives each piece its tag there and O to every other."""
    tokenizer = TOKENIZERS[kind]()
    padding = tokenizer.token_to_id("[PAD]" if kind not in ("roberta", "xlm-roberta", "deberta-v2") else "<pad>")
    torch.manual_seed(0)
    config = _config(kind, tokenizer.get_vocab_size(), padding)
    model = transformers.AutoModelForTokenClassification.from_config(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            is_norm = "norm" in name.lower() and name.endswith("weight")
            if lexicon is not None:
                tensor.fill_(1.0 if is_norm else 0.0)
            elif not is_norm:
                tensor.copy_(torch.randn_like(tensor) * (0.5 if tensor.dim() == 2 else 0.1))
        if lexicon is not None:
            embeddings = model.get_input_embeddings().weight
            for piece, index in tokenizer.get_vocab().items():
                embeddings[index, TAGS.index(lexicon.get(piece, "O"))] = 1.0
            model.classifier.weight[:, : len(TAGS)] = 4 * torch.eye(len(TAGS))
    model.save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def pieces_of(kind: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Write words as the pieces of a kind's tokenizer: the sign of a space in front."""
    sign = {byte_level: "Ġ", sentence_pieces: "▁", word_pieces: ""}[TOKENIZERS[kind]]
    return {form: tag for word, tag in tags.items() for form in (f"{sign}{word}", word)}


KINDS: Sequence[str] = tuple(TOKENIZERS)
