"""Models from the Hugging Face hub: which are known by name, and fetching the files that one needs.

What has been fetched once is taken from the hub library's cache when the hub cannot be reached; the variables of that library
(``HF_HOME``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``) are its own and hold here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from annotate.folder import (
    CONFIG,
    OTHER_VOCABULARIES,
    PICKLED_WEIGHTS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCABULARY,
    WEIGHTS,
    WEIGHTS_INDEX,
)
from annotate.labels import LabelMap
from comention.errors import AnnotatorError

HUB = "hf:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")

_SMALL_FILES = (
    CONFIG, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, *OTHER_VOCABULARIES, "merges.txt", "special_tokens_map.json",
    "added_tokens.json",
)  # fmt: skip
_WEIGHTS = (WEIGHTS, WEIGHTS_INDEX, "model-*-of-*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAnnotator:
    """A model of the hub that is known by a name of ours; ``labels`` is what its mentions may be."""

    repository: str
    revision: str | None = None
    labels: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    allow_pickle: bool = False

    @property
    def label_map(self) -> LabelMap:
        """What we know of its labels."""
        return LabelMap(tags=self.tags, labels=self.names, where="comention's own table", lenient=True)


HUB_ANNOTATORS: Mapping[str, HubAnnotator] = {
    # Its main revision has pickled weights only; this commit, a conversion by the hub's own bot, adds safetensors to it. Its
    # card says no more than LABEL_1 and 2: drug, 3 and 4: condition. Trained on ADE, that condition is an adverse effect.
    "ade": HubAnnotator(
        repository="HMHMlee/BioLinkBERT-base-finetuned-ner",
        revision="90d3acd42c601d0465be0b54e8456c0ffb631e98",
        labels=("Drug", "Condition"),
        tags={"LABEL_0": "O", "LABEL_1": "B-DRUG", "LABEL_2": "I-DRUG", "LABEL_3": "B-EFFECT", "LABEL_4": "I-EFFECT"},
        names={"DRUG": "Drug", "EFFECT": "Condition"},
    ),
    # Which commit of it has safetensors, if one has, is not known to us: its pickle is read by torch's restricted reader.
    "craft": HubAnnotator(
        repository="StivenLancheros/biobert-base-cased-v1.2-finetuned-ner-CRAFT_Augmented_EN",
        labels=("Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical"),
        names={name: name for name in ("Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical")},
        allow_pickle=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model's files in the cache, and the commit that they are of."""

    path: Path
    commit: str


def fetch_model(repository: str, revision: str | None = None, *, allow_pickle: bool = False) -> HubModel:
    """Fetch the files of a model that are needed, or find them in the cache.

    Raises:
        AnnotatorError: the name is none, there is no such model or revision, it may not be read, the hub cannot be reached and
            the cache does not have it, or its only weights are pickled and may not be read.
    """
    if not _NAME.fullmatch(repository):
        raise AnnotatorError(
            f"{HUB}{repository} is no name of a model: write {HUB}ORGANISATION/NAME, with @REVISION behind it or not"
        )
    named = f"{HUB}{repository}" + (f"@{revision}" if revision else "")
    path = _download(repository, revision, named, [*_SMALL_FILES, *_WEIGHTS])
    if allow_pickle and not _has_weights(path):
        path = _download(repository, path.name, named, [PICKLED_WEIGHTS])
    if not _has_weights(path) and not (path / PICKLED_WEIGHTS).is_file():
        raise AnnotatorError(
            f"{named} has no {WEIGHTS} (or the cache lacks it); pickled weights can run code when they are read: if you trust "
            f"their author, set COMENTION_ANNOTATE__ALLOW_PICKLE=true, else look for a revision with {WEIGHTS}"
        )
    return HubModel(path=path, commit=path.name)


def _has_weights(path: Path) -> bool:
    return (path / WEIGHTS).is_file() or (path / WEIGHTS_INDEX).is_file()


def _download(repository: str, revision: str | None, named: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise AnnotatorError(f"{named} is gated: accept its terms on the hub, and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise AnnotatorError(f"the hub has no model {named}, or shows it only to whoever sets HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise AnnotatorError(f"{HUB}{repository} has no revision {revision!r} on the hub") from error
    except HFValidationError as error:
        raise AnnotatorError(f"{named} is no name of a model: {error}") from error
    except LocalEntryNotFoundError as error:
        raise AnnotatorError(
            f"{named} is not in the cache, and the hub cannot be reached: connect once, or give the path of a model folder"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise AnnotatorError(f"{named} cannot be fetched from the hub: {reason}") from error
