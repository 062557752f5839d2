"""What `python -m infra.stack` takes; tests/stack plays it on real servers."""

from __future__ import annotations

import pytest

from infra.stack import main
from tasks.core.errors import AssayError


@pytest.mark.parametrize("words", [[], ["run"], ["tool"], ["start"]])
def test_nothing_is_started_for_words_that_are_no_command(words: list[str]) -> None:
    with pytest.raises(AssayError, match="There is no such command") as caught:
        main(words)
    assert caught.value.allowed == "up, down, run COMMAND, tool NAME"
