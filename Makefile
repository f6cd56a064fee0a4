# Every target sets up what it needs first; with nothing changed that costs a tenth of a second.
# PYTHON=/path/to/python3.12 chooses the interpreter, ARGS="..." is handed on to demo and test.

BIN := .venv/bin
# One more than there are processors: many tests wait for a server or a process.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help setup setup-demo demo test crash mutants lint types docs bench lock clean
.DEFAULT_GOAL := help

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv with everything that developing needs
	@./scripts/bootstrap.sh --group dev

setup-demo:
	@./scripts/bootstrap.sh --group demo

demo: setup-demo ## Watch a real platform break and recover (ARGS="--help" for more)
	@$(BIN)/holdfast demo $(ARGS)

test: setup ## Run all tests (WORKERS=2, ARGS="tests/kernel -x")
	@$(BIN)/pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal $(ARGS)

crash: setup ## Run the whole crash matrix; hours, goes on after a stop (ARGS="--only kill --scale 0.1")
	@$(BIN)/python -m tests.crash.run $(ARGS)

mutants: setup ## Put known faults into the source and see the crash matrix catch each (ARGS="NAME")
	@$(BIN)/python scripts/mutants.py $(ARGS)

lint: setup ## Check style, format, the rooms' imports and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

types: setup ## Check types only
	@$(BIN)/mypy

docs: setup ## Remake the generated parts of docs/ (ARGS="--check" only compares)
	@$(BIN)/python scripts/docs.py $(ARGS)

bench: setup ## Run every benchmark; each prints one JSON document
	@set -e; for program in bench/[a-z]*.py; do $(BIN)/python "$$program" --json; done

lock: setup ## Remake requirements/*.lock (UPGRADE=1 takes newer versions)
	@UPGRADE=$(UPGRADE) ./scripts/lock.sh

clean: ## Remove everything that make made
	@rm -rf .venv .boot .crash build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
