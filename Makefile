# Every target sets the environment up by itself: Python >= 3.11, git and make are all it needs.

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
READY := $(VENV)/.installed
SEEDS ?= 2000

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint formatted types layers sizes documents bench bench-peers sim mistakes format docs docs-serve clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: $(READY) ## Make the environment (every other target does it by itself)

$(READY): pyproject.toml tools/setup.sh
	@tools/setup.sh $(VENV)
	@touch $@

demo: $(READY) ## The shop: 1,000 orders, faults, kills, an audit (ARGS="--faults 0.3")
	@$(BIN)/amends demo $(ARGS)

test: $(READY) ## All tests (ARGS="-k pivot")
	@$(BIN)/python -m pytest $(ARGS)

check: lint formatted types layers sizes documents ## Lint, format, types, layers, sizes, generated documents

lint: $(READY)
	@$(BIN)/ruff check .

formatted: $(READY)
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

layers: $(READY)
	@$(BIN)/lint-imports

sizes: $(READY)
	@$(BIN)/python tools/check_sizes.py

documents: $(READY)
	@$(BIN)/python tools/make_diagrams.py --check
	@$(BIN)/python tools/make_reference.py --check

bench: $(READY) ## Every figure and its target, in one table (ARGS="--quick"); a ratio that got worse fails
	@$(BIN)/python bench/all.py $(ARGS)

bench-peers: $(READY) $(PEERS)/.installed ## Beside DBOS, Restate, Temporal and the articles' orchestrator (ARGS="--only dbos")
	@$(BIN)/python bench/peers/run.py --peers $(PEERS)/bin/python $(ARGS)

$(PEERS)/.installed: bench/peers/requirements.txt bench/peers/setup.sh
	@bench/peers/setup.sh $(PEERS)
	@touch $@

sim: $(READY) ## The runtime on virtual time with faults, SEEDS=2000 of them
	@$(BIN)/python -m tests.sim.run --seeds $(SEEDS) $(ARGS)

mistakes: $(READY) ## The table of mistakes: what `amends check` and `amends verify` find of each
	@$(BIN)/python -m tools.reference.mistakes

format: $(READY) ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(READY) ## Generate the pages that are generated, and build the site into site/
	@$(BIN)/python tools/make_diagrams.py
	@$(BIN)/python tools/make_reference.py
	@$(BIN)/zensical build --strict --clean

docs-serve: $(READY) ## The site at localhost:8000, rebuilt at each change
	@$(BIN)/zensical serve

clean: ## Remove the environment and every cache
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist mutants
