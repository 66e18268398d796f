# Every target does its own set-up: the first one run makes .venv, needing nothing but Python >= 3.11.

# What Python compiles lies in .venv: packages of this size take seconds of every command otherwise.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
STATE ?=
STACK ?=
SANDBOX := $(PYTHON) -m sandbox
SANDBOX_STATE := $(if $(STATE),--state "$(STATE)")
PYTEST ?=
LOSSES ?= 20
RUN_TESTS := $(PYTHON) -m pytest -p no:cacheprovider
WHOLE_FILES := --dist loadfile --no-loadscope-reorder
# What is edited most, and tested without the engine and without a server.
FAST_TESTS := tests/postgres tests/settings tests/components tests/policy tests/pgpasswordless \
	$(addprefix tests/gateway/test_,verdict.py kept_verdicts.py revocation.py)

.PHONY: help environment up preview verify down clean bench policy-pack lint test test-fast test-long test-debian \
	test-debian-power

help:
	@echo 'make up         deploy the sandbox: PostgreSQL with client certificates on loopback'
	@echo 'make preview    what STACK=prod would deploy, and what policies say of it; needs no AWS'
	@echo 'make verify     log in as every role and show what the server saw'
	@echo 'make down       stop the sandbox, keep its data'
	@echo 'make clean      stop it and remove everything that was made'
	@echo 'make bench      cost of the policies and of 1,000 roles; throughput and connections per second of the running sandbox'
	@echo 'make policy-pack  the policies as a folder that needs nothing else, in dist/policy-pack'
	@echo 'make lint       ruff, pyright, import-linter'
	@echo 'make test       the test suite (PYTEST="-k hba" passes options on)'
	@echo 'make test-fast  what of it needs neither the engine nor a server, in less than a minute'
	@echo 'make test-long  the tests that take minutes, alone'
	@echo 'make test-debian  packages and whole machines of a real Debian 13; needs root'
	@echo 'make test-debian-power  power losses of such a machine; LOSSES=20'

environment:
	@sh tools/environment.sh

up: environment
	@$(SANDBOX) up $(SANDBOX_STATE)

preview:
	@if [ -z "$(STACK)" ]; then \
		echo 'make preview: name the stack, as in make preview STACK=prod' >&2; exit 2; \
	fi
	@sh tools/environment.sh
	@$(PYTHON) -m preview --stack "$(STACK)"

verify: environment
	@$(PYTHON) -m pgpasswordless verify --stack sandbox

down: environment
	@$(SANDBOX) down $(SANDBOX_STATE)

# What runs is stopped first, which takes our own Python; a checkout without state has nothing to stop.
clean:
	@set -eu; \
	if [ -e .sandbox ] || [ -L .sandbox ] || [ -n "$(STATE)" ]; then \
		sh tools/environment.sh; \
		$(SANDBOX) clean $(SANDBOX_STATE); \
	else \
		echo "kept: the engine's cache, $${XDG_CACHE_HOME:-$$HOME/.cache}/passwordless-postgres/engine"; \
	fi
	@rm -rf .venv .sandbox .pgpasswordless .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

bench: environment
	@$(PYTHON) -m policy.bench
	@$(PYTHON) -m tools.roles_bench "$$($(SANDBOX) postgresql --major 17)/17/bin"
	@$(SANDBOX) bench $(SANDBOX_STATE)

policy-pack: environment
	@$(PYTHON) -m policy.self_contained

lint: environment
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@.venv/bin/lint-imports --no-cache
	@$(PYTHON) -m pyright

# Workers wait for the processes that they start: three of them keep two cores at work.
test: environment
	@set -eu; \
	engine=$$($(PYTHON) -m engine); \
	binaries=$$($(SANDBOX) postgresql --major 15 --major 16 --major 17 --major 18); \
	PASSWORDLESS_POSTGRES_ENGINE="$$engine" PASSWORDLESS_POSTGRES_TEST_BINARIES="$$binaries" \
		$(RUN_TESTS) -n 3 $(WHOLE_FILES) -m 'not (long or debian)' $(PYTEST)

test-fast: environment
	@$(RUN_TESTS) -n 2 $(WHOLE_FILES) -m 'not (long or engine or server)' $(FAST_TESTS) $(PYTEST)

test-long: environment
	@set -eu; \
	engine=$$($(PYTHON) -m engine); \
	binaries=$$($(SANDBOX) postgresql --major 15 --major 16 --major 17 --major 18); \
	PASSWORDLESS_POSTGRES_ENGINE="$$engine" PASSWORDLESS_POSTGRES_TEST_BINARIES="$$binaries" \
		$(RUN_TESTS) -m long $(PYTEST)

test-debian: environment
	@set -eu; \
	engine=$$($(PYTHON) -m engine); \
	binaries=$$($(SANDBOX) postgresql --major 17); \
	PASSWORDLESS_POSTGRES_ENGINE="$$engine" PASSWORDLESS_POSTGRES_TEST_BINARIES="$$binaries" \
		$(RUN_TESTS) -m 'debian and not power' tests/debian $(PYTEST)

test-debian-power: environment
	@set -eu; \
	engine=$$($(PYTHON) -m engine); \
	binaries=$$($(SANDBOX) postgresql --major 17); \
	PASSWORDLESS_POSTGRES_ENGINE="$$engine" PASSWORDLESS_POSTGRES_TEST_BINARIES="$$binaries" \
	PASSWORDLESS_POSTGRES_POWER_LOSSES="$(LOSSES)" \
		$(RUN_TESTS) -s -m power tests/debian $(PYTEST)
