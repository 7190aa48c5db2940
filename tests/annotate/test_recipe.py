from __future__ import annotations

from pathlib import Path

import pytest

from annotate.recipe import RECIPES, load_recipe
from comention.errors import AnnotatorError

GOOD = """
name = "small"
decides = "a"
[[heads]]
name = "a"
labels = ["Drug"]
corpora = ["x.txt"]
"""


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_that_comes_with_comention_loads(path: Path):
    # The last stage of compact has a file of its own.
    assert load_recipe(path.stem).name == {"refined": "compact"}.get(path.stem, path.stem)


def test_a_recipe_may_be_a_file(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(GOOD)
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert (recipe.name, recipe.heads[0].labels, recipe.vocabulary) == ("small", ("Drug",), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + "epochs = 3", r"heads\.0\.epochs"),
        ("epochs = 0\n" + GOOD, "epochs"),
        ("nonsense = 1\n" + GOOD, "nonsense"),
        (GOOD.replace('decides = "a"', 'decides = "b"'), "'b', but the heads are a"),
        (GOOD + GOOD[GOOD.index("[[") :], "two heads have one name"),
        ("name = ", "is not TOML"),
        (GOOD + "passes = 0", r"heads\.0\.passes"),
        ("head_rate = 0\n" + GOOD, "head_rate"),
        (GOOD + "[refinement]\n", r"refinement\.sentences"),
        (GOOD + "[refinement]\nsentences = 1\n[distillation]\n", "goes without 'distillation'"),
        ('stored = "fp32"\n' + GOOD + "[refinement]\nsentences = 1\n", "store it as int8"),
        ("runs = 0\n" + GOOD, "runs"),
        ("runs = 2\n" + GOOD + "[refinement]\nsentences = 1\n", "goes without 'refinement'"),
        ("runs = 2\n" + GOOD + "[distillation]\n", "'runs' is for the corpora alone and goes without 'distillation'"),
    ],
)
def test_an_unusable_recipe_is_refused_with_the_field(tmp_path: Path, content: str, message: str):
    (tmp_path / "bad.toml").write_text(content)
    with pytest.raises(AnnotatorError, match=message):
        load_recipe(str(tmp_path / "bad.toml"))


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(AnnotatorError, match=r"no recipe 'gigantic'.*compact"):
        load_recipe("gigantic")
