# From a clone to a verdict: `make demo`. Everything is installed, built and written inside the clone.
#
# Needs Python 3.11 to 3.14, make, and nothing else. PYTHON=… chooses an interpreter.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(SUPPORTED)' 2>/dev/null && echo "$$p" && break; done),python3)
RUN := .venv/bin/python

# What pytest is told besides the defaults, for example: make test TESTS=tests/core ARGS='-k meter'
TESTS ?= tests
ARGS ?=
# Which measurement `make bench` runs: a file name without its ending, or all.
BENCH ?= *

.PHONY: help demo up down status test check format docs bench soak sbom clean preflight install

help: ## this list
	@echo 'Phoenix changes a running system safely, and proves it.'
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target says; do printf '%-18s %s\n' "$$target" "$$says"; done
	@echo
	@echo '  make demo CANDIDATE=process-topk-v1   a bounded number of processes by name'
	@echo '  make demo CANDIDATE=broken     a candidate that loses a critical process: abort'
	@echo '  make demo CANDIDATE=same       the same pipeline twice: nothing to adopt'
	@echo '  make demo LOAD=none SEED=7     no extra processes; another seed'

# `make preflight FOR=test` counts what the tests need as well.
FOR ?= demo
preflight:
	@command -v '$(PYTHON)' >/dev/null || \
		{ echo 'There is no $(PYTHON) here. Install Python 3.11 to 3.14, or: make demo PYTHON=/path/to/python3'; exit 6; }
	@$(PYTHON) scripts/preflight.py --for $(FOR)

install: preflight
	@$(PYTHON) scripts/bootstrap.py

demo: install ## measure this host with a cheaper pipeline beside the present one, and judge it
	@exec $(RUN) -m phoenix demo \
		$(if $(CANDIDATE),--candidate '$(CANDIDATE)') \
		$(if $(LOAD),--load '$(LOAD)') \
		$(if $(SEED),--seed '$(SEED)')

up: install ## start Phoenix in the background
	@exec $(RUN) -m phoenix up

down: ## stop everything that was started here
	@if [ -x $(RUN) ]; then exec $(RUN) -m phoenix down; fi

status: ## what is running
	@if [ -x $(RUN) ]; then exec $(RUN) -m phoenix status; else echo 'nothing is installed here'; fi

test: ## everything: style, types, layers, real PostgreSQL, real collector, a part of the soak runs
	@$(MAKE) preflight FOR=test
	@$(PYTHON) scripts/bootstrap.py --group dev
	@$(RUN) scripts/build.py
	@exec $(RUN) -m pytest $(TESTS) $(ARGS)

check: ## the fast half: style, types, layers, pure tests and promises
	@$(PYTHON) scripts/bootstrap.py --group dev
	@$(MAKE) lint
	@exec $(RUN) -m pytest tests/core tests/promises $(ARGS)

.PHONY: lint
lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

format: ## put the code into its usual form
	@$(PYTHON) scripts/bootstrap.py --group dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: ## write the reference pages that come from the code
	@$(PYTHON) scripts/bootstrap.py
	@$(RUN) scripts/reference.py

bench: ## the measurements behind the figures in the docs (BENCH=name for one)
	@$(PYTHON) scripts/bootstrap.py --group dev
	@$(RUN) scripts/build.py
	@found=; for file in bench/$(BENCH).py; do case "$$file" in */_*|*'*'*) continue;; esac; \
		found=1; echo "== $$file"; $(RUN) "$$file" $(ARGS) || exit $$?; done; \
		[ -n "$$found" ] || { echo 'no such measurement; there are:'; ls bench; exit 2; }

soak: ## the long runs in full (hours)
	@$(MAKE) preflight FOR=test
	@$(PYTHON) scripts/bootstrap.py --group dev
	@$(RUN) scripts/build.py
	@PHOENIX_SOAK=full exec $(RUN) -m pytest -m soak --timeout=0 $(ARGS)

sbom: ## what is inside: the locked Python packages and the Go modules, as CycloneDX
	@$(PYTHON) scripts/bootstrap.py --group sbom
	@$(RUN) scripts/sbom.py

clean: ## stop what runs here and remove everything that make made
	@$(PYTHON) scripts/clean.py
