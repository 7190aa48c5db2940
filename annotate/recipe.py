"""Training recipes: what a training run learns from, and how. A recipe is a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

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
    corpora: tuple[str, ...] = Field(min_length=1, description="files or folders below the corpora's folder")


class VocabularyRecipe(_Table):
    """Which word pieces of the base are kept: those that occur in these texts or in the corpora, and all characters."""

    texts: tuple[str, ...] = Field(min_length=1, description="text files below the corpora's folder; * is a wildcard")
    least_count: int = Field(default=1, ge=1, description="how often a piece must occur")


class Recipe(_Table):
    """Everything that decides what a training run yields, besides the base and the corpora themselves."""

    name: str
    description: str = ""
    licence: str = ""
    notes: str = Field(default="", description="what was measured with it, in Markdown, for the model card")
    seed: int = 13
    epochs: int = Field(default=6, ge=1)
    batch_sentences: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    weight_decay: float = Field(default=0.01, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_pieces: int = Field(default=256, ge=8, description="the model's window, its two special tokens included")
    decides: str = Field(description="the head whose mentions the annotator returns")
    heads: tuple[HeadRecipe, ...] = Field(min_length=1)
    vocabulary: VocabularyRecipe | None = None

    @model_validator(mode="after")
    def _decides_names_a_head(self) -> Recipe:
        names = [head.name for head in self.heads]
        if self.decides not in names:
            raise ValueError(f"'decides' is {self.decides!r}, but the heads are {', '.join(names)}")
        if len(set(names)) < len(names):
            raise ValueError("two heads have one name")
        return self


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
