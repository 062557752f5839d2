"""`assay doctor`: what this machine has, what follows from it, and what would stop a run."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata

from flows.recipes import installed_recipes
from flows.servers import environment
from tasks.core.errors import AssayError
from tasks.core.home import home, home_folder
from tasks.core.process import terminal
from tasks.core.urls import public

GIB = 1024**3
# The example needs about 0.6 GB for its base model in float32, as much again while writing it, and checkpoints.
DISK_BYTES = 3 * GIB
MEMORY_BYTES = 4 * GIB  # the example's aim for the peak of a whole run (make bench measures it)
OPEN_FILES = 1024  # the usual limit; the Prefect server and its database hold hundreds
SHOWN = ("torch", "transformers", "peft", "trl", "polars", "great-expectations", "prefect", "mlflow")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. state: ok, warn (a run works, slower or nearer to a limit), stop (a run would fail)."""

    topic: str
    found: str
    state: str = "ok"


def examine() -> list[Finding]:
    """Look at everything a run depends on, in the order a person would ask."""
    return [_python(), *_machine(), _memory(), _disk(), _open_files(), *_libraries(), *_recipes(), *_servers()]


def examine_stack() -> list[Finding]:
    """How each service of the stack on this machine is (infra/README.md). Raises AssayError where none runs."""
    from infra import status

    told = {
        found: f"{found.told}; to do: {found.todo}" if found.todo else found.told for found in status.examine_stack()
    }
    return [Finding(found.name, f"{text}\n{found.log}", "ok" if found.well else "stop") for found, text in told.items()]


def print_findings(findings: list[Finding], stopped: str = "would stop a run", well: str = "A run can start.") -> int:
    """Print them as a table; returns 1 when something would stop a run, else 0. stopped, well: how
    the verdict says it.
    """
    from rich.markup import escape
    from rich.table import Table

    marks = {"ok": "[green]ok[/]", "warn": "[yellow]note[/]", "stop": "[bold red]stop[/]"}
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=6)
    table.add_column(min_width=15, style="bold")
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(marks[finding.state], finding.topic, escape(finding.found))
    terminal.console().print(table)
    stops = sum(finding.state == "stop" for finding in findings)
    verdict = f"[bold red]{stops} of these {stopped}.[/]" if stops else f"[green]{well}[/]"
    terminal.console().print(f"\n{verdict}")
    return 1 if stops else 0


def _python() -> Finding:
    found = f"{platform.python_version()} in {sys.prefix}"
    return Finding("python", found, "ok" if sys.version_info >= (3, 11) else "stop")


def _machine() -> list[Finding]:
    from tasks.core.process.hardware import choose_device_and_dtype, usable_cores

    cores = Finding("processor", f"{usable_cores()} usable cores, {platform.machine()}")
    try:
        machine = choose_device_and_dtype()
    except ImportError as error:
        return [cores, Finding("trains on", f"torch does not load: {error}", "stop")]
    return [cores, Finding("trains on", f"{machine.device} in {machine.dtype}: {machine.reason}")]


def _memory() -> Finding:
    from tasks.core.process.hardware import usable_memory

    found = usable_memory()
    enough = found >= MEMORY_BYTES
    note = "" if enough else f"; the example is made to stay below {MEMORY_BYTES / GIB:.0f} GiB"
    return Finding("memory", f"{found / GIB:.1f} GiB{note}", "ok" if enough else "warn")


def _disk() -> Finding:
    try:
        with tempfile.TemporaryFile(dir=home_folder("")):
            free = shutil.disk_usage(home()).free
    except (AssayError, OSError) as error:
        return Finding("home", f"{home()} cannot be written: {str(error).splitlines()[0]}", "stop")
    enough = free >= DISK_BYTES
    note = "" if enough else f"; the example needs {DISK_BYTES / GIB:.0f} GiB"
    return Finding("home", f"{home()}, writable, {free / GIB:.1f} GiB free{note}", "ok" if enough else "stop")


def _open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft:,} open files"
    if soft >= OPEN_FILES:
        return Finding("limits", found)
    return Finding("limits", f"{found}; `ulimit -n {min(OPEN_FILES, hard)}` before a run raises it", "warn")


def _libraries() -> list[Finding]:
    """The versions that matter, and every requirement of ours that is missing or outside its range."""
    from packaging.requirements import Requirement

    wrong = []
    for requirement in (Requirement(text) for text in metadata.requires("assay") or []):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if not version or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(Finding("library", f"{requirement} is needed, found {version or 'none'}", "stop"))
    versions = ", ".join(f"{name} {_version(name) or 'missing'}" for name in SHOWN)
    return [Finding("libraries", versions), *wrong]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _recipes() -> list[Finding]:
    """Whether each ready recipe can be read, and where its base model comes from."""
    from flows.recipe import load_recipe
    from tasks.model.base_model import find_model

    findings = []
    for name in installed_recipes():
        try:
            recipe = load_recipe(name)
            here = find_model(recipe.trained_model, recipe.folder).location
        except AssayError as error:
            findings.append(Finding("recipe", f"{name}: {error}", "stop"))
            continue
        told = "is on this machine" if here else "will be fetched from the model hub"
        findings.append(Finding("recipe", f"{name}: its base model {told}", "ok" if here else "warn"))
    return findings


def _servers() -> list[Finding]:
    prefect = "our own, started when needed" if environment.own_prefect() else public(os.environ["PREFECT_API_URL"])
    mlflow = "our own database" if environment.own_mlflow() else public(os.environ["MLFLOW_TRACKING_URI"])
    return [Finding("prefect server", prefect), Finding("mlflow", mlflow)]
