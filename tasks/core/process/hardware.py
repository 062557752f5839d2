"""What this machine can do, and the device and number format that follow from it.

Trainer, evaluation and `assay doctor` ask here. The choice depends on the hardware alone, never on a timing, so that
the same machine always makes the same bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
COLLECT_AFTER = 100_000  # new objects; most garbage is in no cycle and goes at once
CGROUP = Path("/sys/fs/cgroup")  # version 2: what a container may use, which can be far less than what the host has


@dataclass(frozen=True)
class Machine:
    """device: cuda, mps or cpu. dtype: a torch dtype's name. reason: why these, for a person. cores: usable ones."""

    device: str
    dtype: str
    reason: str
    cores: int

    def torch_dtype(self) -> Any:
        """The dtype as torch's own object."""
        import torch

        return getattr(torch, self.dtype)


@cache
def choose_device_and_dtype() -> Machine:
    """The device and dtype for training and generation, and the cores this process may use.

    bfloat16 only where the hardware multiplies it. Measured on two cores (torch 2.13, matmul): without AVX-512 bfloat16
    reached 0.9 GFLOP/s where float32 reached 88; with AVX512_BF16 it reached 977 where float32 reached 217.
    """
    device, dtype, reason = _choose()
    return Machine(device, dtype, reason, usable_cores())


def _choose() -> tuple[str, str, str]:
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "cuda", "bfloat16", f"{name} multiplies bfloat16 in hardware"
        return "cuda", "float32", f"{name} has no bfloat16, and float16 would need loss scaling"
    if torch.backends.mps.is_available():
        return "mps", "float32", "no CUDA GPU, an Apple GPU is there; float32 is the format all its operations have"
    able = torch.cpu.get_capabilities()
    fast = next((flag for flag in ("amx_bf16", "avx512_bf16") if able.get(flag)), "")
    if fast:
        return "cpu", "bfloat16", f"no GPU; this processor has {fast.upper()}, several times faster than float32"
    return "cpu", "float32", "no GPU; this processor has neither AMX nor AVX512_BF16, so bfloat16 would be far slower"


def computing_environment() -> dict[str, str]:
    """What torch's libraries read when they are loaded; for the environment of a process before it starts.

    Threads that wait for one another spin, and beside other work one that has a core spins for one that has none.
    Measured on two cores under a load of six to nine, each setting in turn (a small Llama, two threads, tokens/s of one
    process, and of each of two at once; medians of two to three rounds, 2026-12-01): libgomp's own 300,000 turns 342
    and 41, 10,000 turns 498 and 202, 3,000 turns 713 and 971, 1,000 turns 1,222 and 1,374, 100 turns 1,962 and 2,082.
    No spin at all is as good there (1,633 and 2,316), but on idle cores it cost a third more time (2026-11-24); 1,000
    turns cost nothing there (3,140 and 3,805, where 10,000 gave 2,981 and 3,956).

    oneDNN keeps prepared operations, 1,024 by default, and rows of many lengths fill that: the example's trainer held
    2.4 GB after 20 steps and 2.8 after 45; with 32 of them it held 2.0 GB after 20, in the same time.
    """
    return {"GOMP_SPINCOUNT": "1000", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}


def reuse_memory() -> None:
    """Let this process keep what it frees for its next allocation. Does nothing where the C library is not glibc.

    glibc gives every large block (a batch's logits, a cache of keys) back to the system at once and asks for it anew,
    and each of its pages then faults again: filling a block of 64 MB took 27 ms and 16,000 faults so, and 3.5 ms and
    none with memory kept (two virtual cores, 2026-11-24; fifty blocks in turn, twice).
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1)):  # no block of its own, and the heap never shrinks
        mallopt(option, value)


def release_memory() -> None:
    """Give back to the system what this process has freed: one that runs many steps must not hold what the largest
    needed.

    glibc by itself returns only what lies at the end of its heap. Converting the example's base model left a process
    that held 380 MB more than it used (2026-11-24). Does nothing where the C library is not glibc.

    On a GPU torch keeps all that it ever needed, and the process that loads a registered version would find no room.
    """
    import ctypes

    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def collect_rarely() -> None:
    """Let this process look for cycles of garbage a hundred times less often. Call it before heavy libraries are
    imported.

    Python looks after every 700 new objects, and the libraries of a run are 735,000 that stay. Curating the tests'
    sixty rows took 10.1 s of a core, and 8.7 s so; loading the trainer's libraries 4.7 s, and 4.0 s. The price: in a
    short run of the example the flow held 0.6 % and the trainer 0.7 % more at the peak (two busy virtual cores,
    2026-11-29).
    """
    gc.set_threshold(COLLECT_AFTER)


def exit_quickly() -> None:
    """Let this process end without a last search for cycles of garbage, which the system frees anyway.

    The libraries of a run are 735,000 objects that Python goes through several times at its end: 2.2 s of a core, and
    0.2 s without (2026-11-24). A worker says that a run was cancelled only when its process has ended.
    """
    atexit.register(gc.freeze)


def usable_cores() -> int:
    """Cores this process may use: its affinity, and below that a container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _cgroup("cpu.max").partition(" ")
    return min(affinity, max(1, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else affinity


def usable_memory() -> int:
    """Bytes of memory this process may use: the machine's, or a container's limit below it."""
    import psutil

    total: int = psutil.virtual_memory().total
    limit = _cgroup("memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def _cgroup(name: str) -> str:
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:  # not Linux, or version 1: the machine's own figures stand
        return ""
