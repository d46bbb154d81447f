# Every target starts from nothing and does nothing when it is already done; `make -B TARGET` does it again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DONE := .make

# tests with real data and tests without are two different things to have done
WITH := $(if $(RESDYN_DATA),with-data,without-data)

PACKAGE := $(shell find resdyn theory -name '*.py' -o -name '*.npz')
SCRIPTS := $(shell find experiments benchmarks -name '*.py')
TESTS := $(shell find tests -name '*.py')
DOCS := $(shell find docs -path docs/_build -prune -o -type f -print) README.md CHANGELOG.md

# busy cores: BLAS pools that fight with numba's threads cost more than they give
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test thorough lint types contracts docs bench install clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: results/demo/digits.png ## run the main job: trained networks on digits and circles, report and figure
results/demo/digits.png: experiments/demo.py $(PACKAGE) $(DONE)/demo-installed
	$(BIN)/python -m experiments.demo --out $(@D)

test: $(DONE)/tested-$(WITH) ## lint, types, import contracts, tests
$(DONE)/tested-$(WITH): $(DONE)/linted $(DONE)/typed $(DONE)/contracted $(PACKAGE) $(SCRIPTS) $(TESTS) $(DOCS)
	$(BIN)/python -m pytest
	@touch $@

thorough: $(DONE)/test-installed ## certificates of Lyapunov functions on ten thousand random systems of each class
	RESDYN_RANDOM_SYSTEMS=10000 $(BIN)/python -m pytest tests/analysis/test_certificates.py -k "never_increases or in_their_region"

lint: $(DONE)/linted ## ruff: lint and format
$(DONE)/linted: $(PACKAGE) $(SCRIPTS) $(TESTS) $(DOCS) $(DONE)/test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@touch $@

types: $(DONE)/typed ## mypy
$(DONE)/typed: $(PACKAGE) $(SCRIPTS) $(DONE)/test-installed
	$(BIN)/mypy
	@touch $@

contracts: $(DONE)/contracted ## import-linter: who may import whom
$(DONE)/contracted: $(PACKAGE) $(DONE)/test-installed
	$(BIN)/lint-imports
	@touch $@

docs: docs/_build/html/index.html ## build the documentation; warnings are errors
docs/_build/html/index.html: $(PACKAGE) $(DOCS) $(DONE)/test-installed
	$(BIN)/sphinx-build -W -n -E -q -b html docs $(@D)
	@touch $@

BENCHMARKS := simulate equilibria spectra basins cycles continuation diagrams networks linearization

bench: $(BENCHMARKS:%=results/bench/%-native-1.json) ## measure against peers, each job in one run
results/bench/%-native-1.json: $(PACKAGE) $(SCRIPTS) $(DONE)/bench-installed
	$(BIN)/python -m benchmarks.$* --out $(@D)

install: $(DONE)/test-installed ## make .venv with everything but the benchmark peers

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "resdyn needs Python 3.11 or later, but $(PYTHON) is $$($(PYTHON) -V); run: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# $(call install,extras)
define install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
	@mkdir -p $(DONE) && touch $@
endef

$(DONE)/demo-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,experiments)
$(DONE)/test-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,test)
$(DONE)/bench-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,bench)

clean: ## remove all that the other targets made
	rm -rf $(VENV) $(DONE) results docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
