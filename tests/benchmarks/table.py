"""The table of results: one row a figure, with its aim beside it, and the facts of the machine it was measured on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "polars", "great-expectations", "prefect", "mlflow")
# What decides which matmul kernels run. Names as torch.cpu.get_capabilities() gives them.
FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "neon", "sve", "bf16")


@dataclass(frozen=True)
class Figure:
    """One measured value. aim: what was hoped for, in words; met: whether it was reached, None
    where there is no aim.
    """

    what: str
    value: str
    aim: str = ""
    met: bool | None = None

    def row(self) -> str:
        verdict = "" if self.met is None else ("met" if self.met else "**missed**")
        return f"| {self.what} | {self.value} | {self.aim} | {verdict} |"


@dataclass(frozen=True)
class Section:
    """One benchmark: what was done, in a sentence or two, its figures, and what must be known to read them."""

    title: str
    how: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        head = ["| figure | measured | aim | |", "|---|---|---|---|"]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(
            [f"## {self.title}", "", self.how, "", *head, *(figure.row() for figure in self.figures), *notes]
        )


def document(sections: Sequence[Section]) -> str:
    """RESULTS.md."""
    facts = [
        "# Benchmarks",
        "",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `make bench`, which makes this file again (about an hour; let "
        f"the "
        "machine do nothing else meanwhile).",
        "",
        *(f"- {fact}" for fact in machine_facts()),
    ]
    return "\n\n".join(["\n".join(facts), *(section.markdown() for section in sections)]) + "\n"


def machine_facts() -> list[str]:
    """The machine in general words: what decides the figures, and nothing that names it."""
    import torch

    from tasks.core.process.hardware import choose_device_and_dtype, usable_memory

    machine = choose_device_and_dtype()
    able = torch.cpu.get_capabilities()
    features = ", ".join(name.upper() for name in FEATURES if able.get(name)) or "none of those that matter here"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return [
        f"machine: {machine.cores} cores ({platform.machine()}: {features}), "
        f"{usable_memory() / 1000**3:.0f} GB of memory, {platform.system()}",
        f"trains on {machine.device} in {machine.dtype}: {machine.reason}",
        f"Python {platform.python_version()}, {versions}",
    ]


def spread(values: Sequence[float], unit: str = "", digits: int = 0) -> str:
    """Median with smallest and largest: `154 tokens/s (150 to 161)`."""
    from statistics import median

    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{middle}{unit} ({low} to {high})"
