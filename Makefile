# Every check and every way to run the network. `make` alone lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-ai setup-dev up down status logs fmt lint types test test-python rust e2e \
	contracts oracle bench upstream profile lock docs image hooks schedules conformance

PY := .venv/bin/python
NETWORK ?= networks/default.toml
ARGS ?=
# A developer's run is short. CI=true or ALL=1 makes it whole.
ALL ?= $(filter true 1,$(CI))
RUST_INPUTS := Cargo.toml Cargo.lock .cargo crates tests/vectors tests/contracts/artifacts
SHORT := $(if $(ALL),,QANAT_SHORT_TESTS=1)
E2E_PROCESSES ?= 2
# Images of containers often set it, and then every process of every network compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Make the virtual environment with what a node needs (native module included)
	@scripts/setup.sh run

setup-ai: ## The same, with what the data market needs
	@scripts/setup.sh ai

setup-dev: ## The same, with what tests and checks need
	@scripts/setup.sh dev

up: setup ## Start the network by processes; returns when it is ready
	@.venv/bin/qanat up --network $(NETWORK) $(ARGS)

down: ## Stop the network; its chain stays on disk
	@test -x .venv/bin/qanat && .venv/bin/qanat down --network $(NETWORK) $(ARGS) || echo "nothing is set up"

status: ## Say whether the network is ready
	@.venv/bin/qanat status --network $(NETWORK) $(ARGS)

logs: ## Follow the logs of all nodes
	@.venv/bin/qanat logs --follow --network $(NETWORK) $(ARGS)

fmt: setup-dev ## Format Python and Rust
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix . && cargo fmt --all

lint: setup-dev ## Style, layers, Rust lints
	@scripts/stage.sh lint .venv/bin/ruff check .
	@scripts/stage.sh format .venv/bin/ruff format --check .
	@scripts/stage.sh layers .venv/bin/lint-imports --no-cache
	@scripts/stage.sh rustfmt cargo fmt --all --check
	@scripts/stage.sh clippy scripts/cargo.sh clippy --locked --all-targets -- -D warnings

types: setup-dev ## mypy strict, and the native module's stubs
	@scripts/stage.sh types .venv/bin/mypy
	@scripts/stage.sh stubs .venv/bin/python -m mypy.stubtest evm_native

rust: ## Tests of the native crates; a short run skips them where nothing changed since they passed
	@$(SHORT) scripts/stage.sh rust scripts/unchanged.sh rust $(RUST_INPUTS) -- \
		scripts/cargo.sh test --locked --workspace --exclude evm-py

test-python: setup-dev ## Unit, property, vectors, api, integration, hostile hosts, fuzz
	@$(SHORT) scripts/stage.sh python $(PY) -m pytest -n auto --dist loadfile tests/unit tests/property tests/vectors tests/api \
		tests/integration tests/hostile_host tests/fuzz --durations=20 --durations-min=5 $(ARGS)

schedules: setup-dev ## Thirty random schedules of transactions, time travel, reverts and kills, others each time
	@QANAT_SCHEDULES=30 scripts/stage.sh schedules $(PY) -m pytest tests/integration/world/test_schedules.py --timeout 1800 $(ARGS)

e2e: setup-dev ## Whole networks as a user sees them: processes, and containers where an engine answers
	@$(SHORT) scripts/stage.sh e2e $(PY) -m pytest -n $(E2E_PROCESSES) tests/e2e --durations=20 --durations-min=5 $(ARGS)

test: lint types rust test-python e2e ## All checks without the long tests; ALL=1 (or CI=true): with them. A missing tool skips with a reason
	@echo "make test: all stages passed$(if $(ALL),, of the short run; ALL=1 runs the long tests as well)"

contracts: ## Compile the Solidity and Vyper sources of the tests and of the apps again, byte for byte
	@scripts/contracts.sh

oracle: setup-dev ## Compare the data market's values with pyDVL's, in an environment of its own
	@scripts/oracle.sh

conformance: setup-dev ## All 54,000 state tests of Ethereum and a chain, in the clear and encrypted; writes docs/conformance.md
	@scripts/stage.sh conformance scripts/cargo.sh test --release --locked -p evm-core --test state_tests -- \
		--all --score $(CURDIR)/tests/vectors/state-tests-score.json $(ARGS)
	@$(PY) -m tests.support.conformance_page

bench: setup-dev ## Measure this network, and Hardhat and Anvil beside it where Node >= 22 is; ARGS="--help"
	@$(PY) -m tests.bench $(ARGS)

upstream: setup-dev ## Run the `contracts` suite of a checkout of sapphire-paratime, all of it; DIR=…, Node >= 22
	@$(PY) -m tests.upstream $(DIR) $(ARGS)

profile: setup-dev ## Say where one transaction's time and CPU go, and draw a flame graph a service; ARGS="--help"
	@$(PY) -m tests.bench.profile $(ARGS)

image: ## Build the container image
	@docker compose build

lock: ## Make the lock files again from pyproject.toml
	@scripts/lock.sh

hooks: setup-dev ## Run the checks before each commit
	@.venv/bin/pre-commit install

docs: setup-dev ## Check that docs name what exists
	@scripts/stage.sh docs $(PY) -m pytest tests/unit/docs
