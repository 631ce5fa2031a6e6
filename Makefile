PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Where it is set, every process compiles all that it imports; the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check lint types imports docs site package clean

run: $(VENV)/.installed  ## compare the report's baseline with the Siamese variant on the built-in images
	$(BIN)/siamese-mnist compare

test: $(VENV)/.installed-dev  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

check: lint types imports package test  ## all that CI runs; a test builds the site

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict --quiet

site: $(VENV)/.installed-dev  ## build the site into site/ and print its size
	$(BIN)/mkdocs build --strict --quiet
	@find site -type f | wc -l | xargs printf '%s files, '; du -sh site | cut -f1

package: $(VENV)/.installed-dev  ## build the source archive and the wheel, and check what a package index asks of them
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	$(BIN)/python -m twine check --strict dist/*

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
