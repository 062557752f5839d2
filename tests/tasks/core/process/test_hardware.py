"""Device and dtype follow from the hardware, and limits of a container count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from tasks.core.process import hardware
from tasks.core.process.child import child_environment


def test_the_choice_runs_a_matrix_product_on_this_machine() -> None:
    chosen = hardware.choose_device_and_dtype()
    ones = torch.ones(4, 4, dtype=chosen.torch_dtype(), device=chosen.device)
    assert float((ones @ ones).sum()) == 64.0
    assert chosen.reason


def test_a_processor_gets_bfloat16_only_if_it_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False, "amx_bf16": False})
    assert hardware._choose()[:2] == ("cpu", "float32")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert hardware._choose()[:2] == ("cpu", "bfloat16")


def test_a_containers_limits_count_and_the_word_max_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    everything = hardware.usable_cores(), hardware.usable_memory()
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert (hardware.usable_cores(), hardware.usable_memory()) == (1, 1024**3)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (hardware.usable_cores(), hardware.usable_memory()) == everything
    assert everything == (len(os.sched_getaffinity(0)), psutil.virtual_memory().total)


@pytest.mark.skipif(sys.platform != "linux", reason="page faults and mallopt as Linux and glibc have them")
def test_a_large_block_that_was_freed_is_not_asked_of_the_system_again() -> None:
    code = (
        "import os, resource, torch; from tasks.core.process.hardware import reuse_memory\n"
        "for reuses in (False, True):\n"  # a process each, forked from one that has loaded torch, which takes seconds
        "    if os.fork(): os.wait(); continue\n"
        "    if reuses: reuse_memory()\n"
        "    for n in range(40):\n"
        "        if n == 8: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "        torch.ones(2**24)\n"  # 64 MB
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True); os._exit(0)"
    )
    faults = [int(told) for told in subprocess.check_output([sys.executable, "-c", code]).split()]
    assert 4 * faults[1] < faults[0]  # a heap that has found its size; one block more now and then


@pytest.mark.skipif(sys.platform != "linux", reason="the heap as Linux and glibc have it")
def test_memory_that_was_freed_below_the_end_of_the_heap_goes_back_to_the_system() -> None:
    code = (
        "import psutil; from tasks.core.process.hardware import release_memory\n"
        "blocks = [b'x' * 10_000 for _ in range(20_000)]; last = b'y' * 10_000; del blocks\n"  # 200 MB below a block in use
        "size = psutil.Process().memory_info; held = size().rss; release_memory(); print(held - size().rss)"
    )
    assert int(subprocess.check_output([sys.executable, "-c", code])) > 150_000_000


def test_a_process_that_collects_rarely_loads_a_library_without_a_look_for_cycles_and_still_finds_them() -> None:
    code = (
        "import gc, sys; from tasks.core.process.hardware import collect_rarely\n"
        "if sys.argv[1] == 'rarely': collect_rarely()\n"
        "looks = []; gc.callbacks.append(lambda phase, _: looks.append(phase))\n"
        "kept = [[] for _ in range(20_000)]; print(len(looks) > 0)\n"
        "for _ in range(200_000): cycle = []; cycle.append(cycle)\n"
        "print(len(looks) > 0)"
    )
    told = [
        subprocess.check_output([sys.executable, "-c", code, word], text=True).split()
        for word in ("as it is", "rarely")
    ]
    assert told == [["True", "True"], ["False", "True"]]


def test_a_process_that_ends_quickly_looks_for_no_cycles_and_still_does_what_was_registered() -> None:
    code = (
        "import atexit, sys; from tasks.core.process.hardware import exit_quickly\n"
        "if sys.argv[1] == 'quickly': exit_quickly()\n"
        "atexit.register(print, 'registered')\n"
        "class Cycle:\n"
        "    def __init__(self): self.me = self\n"
        "    def __del__(self): print('found')\n"
        "Cycle()"
    )
    told = [
        subprocess.check_output([sys.executable, "-c", code, word], text=True).split()
        for word in ("as it is", "quickly")
    ]
    assert told == [["registered", "found"], ["registered"]]


def test_a_child_computes_with_what_was_measured_unless_its_parent_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = hardware.computing_environment()
    for name in measured:
        monkeypatch.delenv(name, raising=False)
    assert measured.items() <= child_environment().items()
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert child_environment()["GOMP_SPINCOUNT"] == "7"
