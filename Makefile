# Needs Python 3.11 or newer with venv, git and make. Another Python: make test PYTHON=python3.12
PYTHON ?=
VENV ?= .venv
export PYTHON VENV
BIN := $(VENV)/bin

.PHONY: help bench dev test test-all check docs format lock clean
.NOTPARALLEL:

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

dev: ## Run everything on this machine, with servers and a stand-in platform of its own
	@scripts/setup dev
	@$(BIN)/sebastian dev $(ARGS)

check: ## Style, types and architecture
	@scripts/setup test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## The same, then the tests, in three processes: make test ARGS="-k fifo"
	$(BIN)/pytest -n 3 $(ARGS)

test-all: ## The same on each supported Python of this machine, each in an environment of its own
	@scripts/pythons | while read -r version python; do \
		echo "--- Python $$version"; \
		$(MAKE) test PYTHON="$$python" VENV=".venv-$$version" </dev/null || exit 1; \
	done

docs: ## Build the documentation into build/docs, without a warning
	@scripts/docs

bench: ## Measure everything beside its limits, for an hour: make bench ARGS="--quick drain"
	@scripts/setup test
	@$(BIN)/python -m benchmarks $(ARGS)

format: ## Put the code into shape
	@scripts/setup test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: ## Write requirements/*.lock anew; newer versions with FLAGS=--upgrade (needs uv)
	@scripts/lock $(FLAGS)

clean: ## Remove what was made here
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
