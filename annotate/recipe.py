"""Training recipes: what a training run learns from, and how. A recipe is a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from comention.errors import AnnotatorError

RECIPES = Path(__file__).parent / "recipes"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadRecipe(_Table):
    """One annotation guideline: its labels and the corpora that follow it.

    A corpus that does not annotate one of the labels may still be used: what it leaves blank is then no evidence
    against that label.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    labels: tuple[str, ...] = Field(min_length=1)
    corpora: tuple[str, ...] = Field(
        min_length=1, description="references, as in annotate.corpora.reference, from the corpora's folder"
    )
    passes: float = Field(
        default=1.0,
        gt=0,
        description="how often an epoch takes each sentence; 2.5: each twice, and half of them a third time",
    )


class VocabularyRecipe(_Table):
    """Which word pieces of the base are kept: those that occur in these texts or in the corpora, and all characters."""

    texts: tuple[str, ...] = Field(min_length=1, description="text files below the corpora's folder; * is a wildcard")
    least_count: int = Field(default=1, ge=1, description="how often a piece must occur")


class ReplacementRecipe(_Table):
    """A second copy of the sentences in which a share of the entities has other names of the same label.

    ``names`` gives the lists of each label, as ``annotate.name_lists`` reads them; labels without one are left alone.
    """

    share: float = Field(default=0.2, ge=0, le=1, description="share of the entities of each label")
    names: Mapping[str, tuple[str, ...]] = Field(min_length=1)


class FitRecipe(_Table):
    """How weights are fitted to examples: AdamW (Adam where nothing decays), a rate that rises, then falls to zero."""

    epochs: int = Field(default=6, ge=1)
    batch_sentences: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    head_rate: float = Field(default=1.0, gt=0, description="how many times the learning rate the heads learn at")
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    weight_decay: float = Field(default=0.01, ge=0)


class LexiconRecipe(FitRecipe):
    """A first stage that teaches the encoder names and their types: a terminology, found in plain text.

    ``names`` is a table (name, identifier, source) and ``trees`` one (identifier, name, tree number), both with tabs. An
    identifier has the first type of ``types`` that one of its tree numbers starts with; without tree numbers, the
    first of ``sources`` that brings one of its names.
    """

    names: str
    trees: str
    types: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, str] = {}
    texts: tuple[str, ...] = Field(min_length=1, description="text files below the corpora's folder; * is a wildcard")
    replaced: float = Field(default=0.5, ge=0, le=1, description="share of the names found that another one replaces")
    copies: int = Field(default=1, ge=1, description="how often each text is taken, each time with other names")


class DistillationRecipe(FitRecipe):
    """A last stage that fits a fresh model to the mean of several teachers, on the corpora and on plain texts."""

    teachers: int = Field(default=4, ge=1)
    texts: tuple[str, ...] = Field(default=(), description="text files below the corpora's folder; * is a wildcard")
    gold: float = Field(default=1.0, ge=0, description="weight of the corpora's own tags beside the teachers'")


class RefinementRecipe(FitRecipe):
    """The only stage of a recipe that starts from a finished model: it is fitted further to what larger models say of
    words, on the corpora and on plain texts.
    """

    share: float = Field(
        default=0.5, ge=0, le=1, description="weight of the teacher beside the model itself, under heads with a teacher"
    )
    shares: Mapping[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="the same by head, for heads where it is another"
    )
    gold: float = Field(default=0.5, ge=0, description="weight of the corpora's own tags beside these")
    texts: tuple[str, ...] = Field(default=(), description="text files below the corpora's folder; * is a wildcard")
    sentences: int = Field(ge=0, description="how many sentences of the plain texts are taken, chosen by the seed")
    kept: float = Field(
        default=0.0, ge=0, le=1, description="weight of the base's own weights in what is written: the two are averaged"
    )

    def share_of(self, head: str) -> float:
        """Return the weight of the teacher under a head."""
        return self.shares.get(head, self.share)


class Recipe(FitRecipe):
    """Everything that decides what a training run yields, besides the base and the corpora themselves."""

    name: str
    description: str = ""
    licence: str = ""
    notes: str = Field(default="", description="what was measured with it, in Markdown, for the model card")
    seed: int = 13
    runs: int = Field(
        default=1,
        ge=1,
        description="how often the base is fitted to the corpora, with the seeds from seed on; what is written is the mean "
        "of the weights (Wortsman et al. 2022, Model soups)",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_pieces: int = Field(default=256, ge=8, description="the model's window, its two special tokens included")
    decides: str | dict[str, str] = Field(
        description="the head whose mentions the annotator returns, or the head for each label"
    )
    stored: Literal["int8", "fp32"] = Field(
        default="int8",
        description="int8: a folder of comention's; fp32: in the layout of Hugging Face, several heads in a folder each",
    )
    heads: tuple[HeadRecipe, ...] = Field(min_length=1)
    vocabulary: VocabularyRecipe | None = None
    replacement: ReplacementRecipe | None = None
    lexicon: LexiconRecipe | None = None
    distillation: DistillationRecipe | None = None
    refinement: RefinementRecipe | None = None

    @model_validator(mode="after")
    def _decides_names_heads(self) -> Recipe:
        heads = {head.name: head for head in self.heads}
        if len(heads) < len(self.heads):
            raise ValueError("two heads have one name")
        for label, name in self.deciding.items():
            if name not in heads:
                raise ValueError(f"'decides' names {name!r}, but the heads are {', '.join(heads)}")
            if label not in heads[name].labels:
                raise ValueError(f"'decides' gives {label} to the head {name}, which has {heads[name].labels}")
        if self.runs > 1:
            for stage in ("distillation", "refinement"):
                if getattr(self, stage) is not None:
                    raise ValueError(f"'runs' is for the corpora alone and goes without {stage!r}")
        if self.replacement is not None:
            known = {label for head in self.heads for label in head.labels}
            for label in self.replacement.names:
                if label not in known:
                    raise ValueError(f"'replacement' has names for {label}, which is a label of no head")
        if self.refinement is not None:
            if self.of_bert_alone:
                raise ValueError(
                    f"'refinement' starts from a finished model and goes without {self.of_bert_alone[0]!r}"
                )
            for name in self.refinement.shares:
                if name not in heads:
                    raise ValueError(f"'refinement.shares' names {name!r}, but the heads are {', '.join(heads)}")
            if self.stored != "int8":
                raise ValueError("'refinement' writes a folder of comention's: store it as int8")
        return self

    @property
    def of_bert_alone(self) -> tuple[str, ...]:
        """Those of its stages that only a BERT base can have and a finished model has had."""
        return tuple(name for name in ("vocabulary", "lexicon", "distillation") if getattr(self, name) is not None)

    @property
    def has_folder_for_each_head(self) -> bool:
        """Whether a run writes one folder for each head, ``OUT/HEAD``: the layout of Hugging Face has room for one."""
        return self.stored == "fp32" and len(self.heads) > 1

    @property
    def deciding(self) -> dict[str, str]:
        """The head that decides, by label."""
        if isinstance(self.decides, dict):
            return self.decides
        labels = next((head.labels for head in self.heads if head.name == self.decides), ("every label",))
        return dict.fromkeys(labels, self.decides)


def load_recipe(name: str) -> Recipe:
    """Load a recipe by the name of one that comes with comention, or by the path of a TOML file.

    Raises:
        AnnotatorError: there is no such recipe, or it cannot be used; the message names the field.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise AnnotatorError(f"there is no recipe {name!r}; give the path of a .toml file or one of: {known}")
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe.model_validate(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"the recipe {path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise AnnotatorError(f"the recipe {path} cannot be used: {where}: {first['msg']}") from error
