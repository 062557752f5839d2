"""What all cores work out in parts is what one would, whatever their number."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.similarity import parallel
from tasks.similarity.parallel import chunks, in_parts, order, sort

CORES = pytest.mark.parametrize("cores", [1, 2, 5])


@CORES
@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=300))
def test_sort_and_order_are_those_of_numpy(cores: int, numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "usable_cores", lambda: cores)
        patch.setattr(parallel, "PART", 4)  # so that there are pieces to sort
        assert order(values).tolist() == np.argsort(values, kind="stable").tolist()
        sort(values)
    assert values.tolist() == sorted(numbers)


@CORES
def test_parts_come_back_in_their_order_and_only_a_few_are_done_ahead(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: cores)
    begun, lock = [], threading.Lock()

    def work(part: int) -> int:
        with lock:
            begun.append(part)
        return part * part

    for taken, made in enumerate(in_parts(work, range(50))):
        assert made == taken * taken
        assert len(begun) <= taken + cores + 2
    assert sorted(begun) == list(range(50))


@CORES
def test_an_error_in_a_part_reaches_the_caller(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: cores)
    with pytest.raises(ZeroDivisionError):
        list(in_parts(lambda part: 1 // (part - 3), range(9)))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_chunks_keep_to_the_budget_and_leave_nothing_out(weights: list[int], budget: int) -> None:
    parts = chunks(np.array(weights, np.int64), budget)
    assert [weight for part in parts for weight in weights[part]] == weights
    assert all(sum(weights[part]) <= budget or part.stop - part.start == 1 for part in parts)
