"""What a training run did, and the model card that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotate.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What a run did: examples by corpus, pieces kept, and the mean loss of every epoch."""

    recipe: str
    examples: Mapping[str, int]
    vocabulary: int
    epoch_losses: tuple[float, ...]


def write_card(recipe: Recipe, report: TrainingReport) -> str:
    """Return the model card, in Markdown: purpose, licence, corpora, what was measured, how it was trained."""
    heads = "\n".join(f"- `{head.name}`: {', '.join(head.labels)}" for head in recipe.heads)
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.examples.items())
    notes = f"\n{recipe.notes.strip()}\n" if recipe.notes else ""
    return f"""# {recipe.name}

{recipe.description}

Licence: {recipe.licence or "not stated"}.

One encoder with a head for each annotation guideline; `{recipe.decides}` decides unless another is asked for.

{heads}
{notes}
## Training

| head and corpus | sentences |
|---|---|
{rows}

{recipe.epochs} epochs, batches of {recipe.batch_sentences} sentences, learning rate {recipe.learning_rate:g},
seed {recipe.seed}, {report.vocabulary:,} word pieces, windows of {recipe.max_pieces} pieces. Mean loss of each epoch:
{", ".join(f"{loss:.4f}" for loss in report.epoch_losses)}.
"""
