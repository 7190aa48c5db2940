"""What a training run did, and the model card that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotate.recipe import FitRecipe, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What a run did: examples by corpus, pieces kept, and the mean loss of every epoch.

    ``left_out`` sentences of the corpora are, or share a document with, those of the corpora ``held_out``.
    """

    recipe: str
    examples: Mapping[str, int]
    vocabulary: int
    epoch_losses: tuple[float, ...]
    held_out: tuple[str, ...] = ()
    left_out: int = 0


def write_card(recipe: Recipe, report: TrainingReport) -> str:
    """Return the model card, in Markdown: purpose, licence, corpora, what was measured, how it was trained."""
    heads = "\n".join(f"- `{head.name}`: {', '.join(head.labels)}" for head in recipe.heads)
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.examples.items())
    notes = f"\n{recipe.notes.strip()}\n" if recipe.notes else ""
    return f"""# {recipe.name}

{recipe.description}

Licence: {recipe.licence or "not stated"}.

{deciding(recipe)}

{heads}
{notes}
## Training

| head and corpus | sentences |
|---|---|
{rows}

{passes(recipe)}{stages(recipe)}
{seeds(recipe)}, {report.vocabulary:,} word pieces, windows of {recipe.max_pieces} pieces. Mean loss of each epoch of
the last stage: {", ".join(f"{loss:.4f}" for loss in report.epoch_losses)}.
{held_out(report)}"""


def deciding(recipe: Recipe) -> str:
    """Say which head decides for which labels."""
    labels: dict[str, list[str]] = {}
    for label, head in recipe.deciding.items():
        labels.setdefault(head, []).append(label)
    said = "; ".join(f"`{head}` decides for {', '.join(decided)}" for head, decided in labels.items())
    return f"One encoder with a head for each annotation guideline. {said}; any head can be asked for (`NAME:HEAD`)."


def stages(recipe: Recipe) -> str:
    """Say how the weights were fitted, stage by stage."""
    said = []
    if recipe.refinement is not None:
        refined = recipe.refinement
        weights = ", ".join(
            [f"{refined.share:g}", *(f"{share:g} under `{head}`" for head, share in refined.shares.items())]
        )
        return (
            f"A finished model, fitted further to its own probabilities and, with a weight of {weights}, to those of "
            f"larger models, on the corpora and on plain text: {fitted(refined)}.\n"
        )
    if recipe.lexicon is not None:
        said.append(
            f"1. Names of a terminology ({', '.join(recipe.lexicon.types)}) in plain text: {fitted(recipe.lexicon)}."
        )
    if recipe.distillation is None:
        runs = f", the mean of the weights of {recipe.runs} runs" if recipe.runs > 1 else ""
        said.append(f"{len(said) + 1}. The corpora{runs}: {fitted(recipe)}.")
    else:
        teachers = recipe.distillation.teachers
        said.append(f"{len(said) + 1}. The corpora, {teachers} teachers from seeds of their own: {fitted(recipe)}.")
        said.append(
            f"{len(said) + 1}. A fresh model from the mean of the teachers, on the corpora and on plain text: "
            f"{fitted(recipe.distillation)}."
        )
    return "\n".join(said) + "\n"


def passes(recipe: Recipe) -> str:
    """Say how often the sentences of each head are taken, where that is not once."""
    taken = ", ".join(f"`{head.name}` {head.passes:g}" for head in recipe.heads if head.passes != 1)
    return f"Sentences are counted as often as an epoch takes them: {taken} times.\n\n" if taken else ""


def fitted(recipe: FitRecipe) -> str:
    """Say how one stage was fitted."""
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    heads = f" (of the heads {recipe.head_rate:g} times that)" if recipe.head_rate != 1 else ""
    return (
        f"{epochs}, batches of {recipe.batch_sentences} sentences, learning rate {recipe.learning_rate:g}{heads}, "
        f"warm-up {recipe.warmup:g}, weight decay {recipe.weight_decay:g}"
    )


def seeds(recipe: Recipe) -> str:
    """Name the seed, or those of all runs."""
    return f"Seed {recipe.seed}" if recipe.runs == 1 else f"Seeds {recipe.seed} to {recipe.seed + recipe.runs - 1}"


def held_out(report: TrainingReport) -> str:
    """Say what was kept out of training, if anything was."""
    if not report.held_out:
        return ""
    return f"\nHeld out of every stage: {', '.join(report.held_out)} ({report.left_out:,} sentences of the corpora above).\n"
