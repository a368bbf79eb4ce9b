# The commands of this project: `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
DOCS_STAMP := $(VENV)/.installed-docs
# the tests on two cores, a file's tests one after the other
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run format check test lint docs clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.* ## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## measure the default experiments, print the table, draw the plots, write the report
	$(BIN)/python bench.py run
	$(BIN)/python bench.py plot pareto -o results/pareto.png --force
	$(BIN)/python bench.py plot distance -o results/distance.png --force
	$(BIN)/python bench.py report --pictures 2 -o results/report.html --force
	@echo "The report lies in file://$(CURDIR)/results/report.html"

format: $(DEV_STAMP) ## put the code into the house's form, mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint ## lint and the fast tests: under a minute on two cores
	$(PYTEST) --dist worksteal -m "not slow and not codec and not training"

test: $(DEV_STAMP) ## all tests
	$(PYTEST)

lint: $(DEV_STAMP) ## style, types and which package imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_types.py
	$(BIN)/lint-imports --no-cache

docs: $(DOCS_STAMP) ## build the site of docs/ into build/site, every link checked
	$(BIN)/mkdocs build --strict

clean: ## remove what was installed and built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than what they were installed from, so that an unchanged checkout installs nothing.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -c constraints.txt -e '.[hevc,flow]'
	touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@ $(RUN_STAMP)

$(DOCS_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -c constraints.txt -e '.[docs]'
	touch $@
