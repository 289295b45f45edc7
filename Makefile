# Two commands: `make up` runs everything on this machine, `make test` tests everything. Needs Python 3.11+, make and git.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment is updated whenever the lock or the project's metadata changes.
STAMP := $(VENV)/.installed
# Not our code, so not in the repository. Where it cannot be fetched, the dashboard has no charts.
CHARTS := web/dashboard/static/vendor/uPlot.iife.min.js
# The linter of JavaScript and CSS. Where it cannot be fetched, `make lint` says so and goes on, but fails if CI is set.
BIOME := $(BIN)/biome
UP_FLAGS ?=
# Where posts come from, and whom Reddit may write to about requests for its feeds.
SOURCE ?=
CONTACT ?=
PYTEST_FLAGS ?=
# The snapshots that `make evaluate` reads: a file given, or the recorded one beside the checkout.
FILE ?=
SNAPSHOTS = $(or $(FILE),$(or $(SIGNALFLOW_TEST_DATA),../shared/data)/hourly_top100.csv.gz)
# Three processes, each with servers of its own, since tests mostly wait. The tests of a module share fixtures, so they
# stay in one process.
TEST_PROCESSES ?= 3
SPREAD := -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder
# The stack and the tests start many processes. Where the environment forbids bytecode, each would compile all modules.
export PYTHONDONTWRITEBYTECODE :=
UNIT_MARKERS := not integration and not chaos and not slow

.PHONY: help up down status env test test-unit lint format lock wheel bench evaluate chaos verify-runs mutants clean-data

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# pip installs only uv, pinned by the lock; uv installs the rest in seconds. All packages are checked against hashes.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements.lock > $(VENV)/uv.lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $(STAMP)

$(CHARTS): scripts/fetch_npm.py scripts/node.lock | $(STAMP)
	$(BIN)/python scripts/fetch_npm.py charts

$(BIOME): scripts/fetch_npm.py scripts/node.lock | $(STAMP)
	$(BIN)/python scripts/fetch_npm.py linter

up: $(STAMP) $(CHARTS) ## Run everything on this machine; Ctrl-C stops it (SOURCE=feeds CONTACT=you@example.org UP_FLAGS="--workers 3")
	@exec $(BIN)/signalflow up $(if $(SOURCE),--source "$$SOURCE") $(if $(CONTACT),--contact "$$CONTACT") $(UP_FLAGS)

down: $(STAMP) ## Stop what `signalflow up --detach` started
	@$(BIN)/signalflow down

status: $(STAMP) ## Show what runs, and where
	@$(BIN)/signalflow status

env: ## Write docker/.env with random passwords, for Docker; what it has stays
	@$(PYTHON) scripts/make_env.py docker/.env

test: $(STAMP) $(CHARTS) ## All tests, on a Kafka and a PostgreSQL of their own (half an hour on two cores)
	$(BIN)/pytest $(SPREAD) $(PYTEST_FLAGS)

test-unit: $(STAMP) ## The quick tests, without any server (less than a minute)
	$(BIN)/pytest -n auto --dist worksteal tests/unit -m "$(UNIT_MARKERS)" $(PYTEST_FLAGS)

lint: $(STAMP) $(BIOME) ## ruff, ruff format, mypy --strict, import-linter; biome for JavaScript and CSS
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/lint-imports
	! test -x $(BIOME) || $(BIOME) check --error-on-warnings

format: $(STAMP) $(BIOME) ## Format the code, and fix what ruff and biome can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	! test -x $(BIOME) || $(BIOME) check --write

lock: $(STAMP) ## Resolve pyproject.toml to requirements.lock, without any index address
	$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url --no-header --universal \
		--python-version 3.11 --quiet --upgrade --output-file requirements.lock

chaos: $(STAMP) ## Inject every fault of a seed and compare every row, 25 minutes (SEED=1 MINUTES=12 ONLY=broker JSON=file)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(ONLY),--only "$(ONLY)") $(if $(JSON),--json $(JSON))

verify-runs: $(STAMP) ## Run every form of verify while everything is killed: no false alarm (SEED=1 RUNS=100 MINUTES=12 JSON=file)
	@$(BIN)/python -m tests.chaos.verify_runs $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json $(JSON))

# The tests run in a copy of the checkout, so they are told where the data beside the checkout is.
mutants: $(STAMP) ## Change one value or operator at a time; the fast tests must fail, an hour (ONLY=signalflow.domain.refresh)
	@export SIGNALFLOW_TEST_DATA=$${SIGNALFLOW_TEST_DATA:-$(abspath ../shared/data)}; $(BIN)/python scripts/mutants.py $(ONLY)

wheel: $(STAMP) $(CHARTS) ## Build dist/signalflow-*.whl, for pipx or `uv tool install` with the extra [local]
	rm -rf build
	$(BIN)/uv build --wheel --no-build-isolation --quiet --out-dir dist .

bench: $(STAMP) ## Measure; prints JSON
	@$(BIN)/python -m tests.bench

evaluate: $(STAMP) ## Measure on hourly snapshots how early the model knows which posts take off (FILE=file.csv.gz PAGE=out.html)
	@test -f "$(SNAPSHOTS)" || { echo "give FILE=snapshots.csv.gz; signalflow evaluate --help names the columns"; exit 2; }
	@$(BIN)/signalflow evaluate "$(SNAPSHOTS)" $(if $(PAGE),--page "$(PAGE)")

clean-data: $(STAMP) ## Stop the local stack and remove its data (.signalflow)
	@$(BIN)/signalflow down
	rm -rf .signalflow
