"""Adapters that change places on a loaded base model, beside loading the whole model again.

    python -m tests.benchmarks.adapters BASE ADAPTER OTHER      # folders: a base model, two PEFT adapters of it

Prints the seconds of a full load (as `mlflow models serve` does it), of reading an adapter into the loaded base (PEFT's
load_adapter), and of changing between adapters that are read (set_adapter). Both ways must give the same answers.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUESTIONS = ("Where is my parcel?", "I want my money back.", "Cancel my order, please!")
ROUNDS = 5


def main(base: Path, *adapters: Path) -> None:
    from tasks.model.chat_template import PromptSettings
    from tasks.model.generation import Generator, load_generator

    prompt = PromptSettings(max_new_tokens=24)
    asked = [[{"role": "user", "content": text}] for text in QUESTIONS]

    def answers(speaker: Generator) -> list[str]:
        return [answer.text for answer in speaker.answer(asked)]

    loads, expected = [], []
    for adapter in adapters:
        for _ in range(ROUNDS):
            speaker, seconds = timed(lambda adapter=adapter: load_generator(base, adapter, prompt))
            loads.append(seconds)
        expected.append(answers(speaker))
    assert expected[0] != expected[1], "adapters that answer alike cannot show that they changed places"
    kept, reads = on_one_base(base, adapters, prompt)
    speaker = Generator(kept, speaker.tokenizer, prompt)
    switches = []
    for _ in range(ROUNDS):
        for place, right in enumerate(expected):
            _, seconds = timed(lambda place=place: kept.set_adapter(str(place)))
            switches.append(seconds)
            assert answers(speaker) == right, (
                "an adapter that changed places answers otherwise than one that was loaded whole"
            )
    for name, seconds in (("full load", loads), ("read an adapter", reads), ("change adapters", switches)):
        print(f"{name:<16} {statistics.median(seconds) * 1000:10,.1f} ms, median of {len(seconds)}")


def on_one_base(base: Path, adapters: tuple[Path, ...], prompt: Any) -> tuple[Any, list[float]]:
    """The base model with every adapter read into it, by number, and the seconds that each took."""
    from peft import PeftModel

    from tasks.model.generation import load_generator

    bare = load_generator(base, None, prompt).model
    model = PeftModel.from_pretrained(bare, adapters[0], adapter_name="0")
    reads = []
    for round_ in range(ROUNDS):
        for place, adapter in enumerate(adapters[1:], 1):
            if round_:
                model.delete_adapter(str(place))
            _, seconds = timed(
                lambda adapter=adapter, place=place: model.load_adapter(str(adapter), adapter_name=str(place))
            )
            reads.append(seconds)
    return model, reads


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
