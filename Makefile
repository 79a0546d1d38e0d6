# Every target does its own set-up; the second time that costs a fraction of a second.
# What set-up does is in deploy/setup/ (packages, Docker daemon, .venv) and deploy/images/ (sandboxes).

PYTHON := .venv/bin/python
# Where somebody keeps Python from keeping what it has compiled, each of the thousand processes that tests start would
# read all of ccdr anew: 0.85 s of a processor for 0.3.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup system images venv demo demo-recover test test-long test-quick soak mutants check size bench docs picture lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## */\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r t d; do printf '  make %-12s %s\n' "$$t" "$$d"; done

setup: ## everything the other targets need: packages, Docker, sandbox images, .venv
	@deploy/setup/setup all

system: ## only what apt installs, and a Docker daemon that answers (root, unless all is there)
	@deploy/setup/setup system

images: ## only the sandbox images (root, unless all are there); FRESH=1 rebuilds with today's packages
	@deploy/setup/setup images $(if $(FRESH),--fresh)

venv: ## only .venv, from requirements.lock
	@deploy/setup/setup venv

demo: setup ## the main job on a sample contact centre, nothing to configure
	@.venv/bin/ccdr demo

demo-recover: setup ## the sample contact centre is lost with its host, and comes back from its repository
	@.venv/bin/ccdr demo --recover

# In a fresh clone each of the workers would rewrite the assertions of all tests, at the same time: 26 s of a processor
# each. Two processes do that once.
REWRITTEN = test -d tests/unit/__pycache__ || { for part in tests/unit "tests/contract tests/e2e tests/faults"; do \
	$(PYTHON) -m pytest -q --collect-only $$part > /dev/null & done; wait; }

test: ## the tests, real servers included; ARGS="-k name" selects
	@deploy/setup/setup test
	@$(REWRITTEN)
	@$(PYTHON) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) # four files at a time, quick ones first: tests wait more than they work

test-long: ## the tests that are long by their nature: installing, the first hour, recoveries, kills, chains of increments, pages in a browser, shipped logs; ARGS as above
	@deploy/setup/setup test
	@$(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m long tests/e2e tests/faults $(ARGS)

test-quick: check ## what to run before each commit: `make check`, and the tests that need no server; ARGS as above
	@$(PYTHON) -m pytest -n 4 --dist loadfile --no-loadscope-reorder tests/unit $(ARGS)

soak: setup ## 500 random SIGKILLs over `ccdr run`, 50 over `ccdr runbook`, one at each step of `recover`, 1000 tamperings with the record, each damage of a negative control, and 20 times the drawn examples, anew; KILLS=n, SEED=n
	@CCDR_SOAK=$(or $(KILLS),500) $(if $(SEED),CCDR_SEED=$(SEED)) $(PYTHON) -m pytest tests/faults/test_soak.py tests/faults/runbook/test_runbook_killed.py tests/faults/recover/test_kills.py $(ARGS)
	@CCDR_SOAK=1000 $(if $(SEED),CCDR_SEED=$(SEED)) $(PYTHON) -m pytest tests/faults/tampering $(ARGS)
	@CCDR_SWEEP=3 $(if $(SEED),CCDR_SEED=$(SEED)) $(PYTHON) -m pytest tests/faults/test_negative_sweep.py $(ARGS)
	@CCDR_DRAWS=20 $(PYTHON) -m pytest -n 2 -m hypothesis tests/unit tests/faults/test_plan_mistakes.py $(ARGS)
	@CCDR_DRAWS=2 $(PYTHON) -m pytest -n 2 tests/unit/runbook/test_stopped_anywhere.py $(ARGS)

mutants: ## would the unit tests notice a careless change? MODULE="retention ledger", SAMPLE=n, SEED=n, ARGS=--anew
	@deploy/setup/setup venv
	@$(PYTHON) -m tests.mutants $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: venv ## formatting, lint, types, layers, how pages wrap
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy --strict src
	@.venv/bin/lint-imports
	@$(PYTHON) docs/wrap.py --check

size: ## how large the program is, by room: modules, statements, names, nodes, lines of SQL, Jinja, YAML
	@python3 bench/size.py

bench: setup ## what ccdr costs, against the same work by hand; BENCH=peers, physical, maria, recordings: against other tools
	@$(PYTHON) bench/$(or $(BENCH),run).py $(ARGS)

docs: ## the documentation as a site, in build/site
	@deploy/setup/docs

picture: setup ## the picture of the report in README, from the demo's state
	@docs/picture

lock: ## requirements.lock anew from pyproject.toml
	@deploy/setup/lock

clean: ## remove .venv, .demo and caches; packages, images and the Docker daemon stay
	@if [ -x .venv/bin/ccdr ] && [ -d .demo ]; then .venv/bin/ccdr demo --clean; fi
	rm -rf .venv .venv-docs .setup.lock .demo .mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
