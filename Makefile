# make quickstart | test | check | bench   (Python >= 3.10; everything lands in .venv)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: quickstart test check bench install install-dev clean

quickstart: install
	$(BIN)/python -m tss_lab +experiment=quickstart
	@echo "further commands: source $(BIN)/activate, then python -m tss_lab --help"

test: install-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/lint-imports

bench: install-dev
	$(BIN)/python scripts/bench_scoring.py
	$(BIN)/python scripts/bench_sft.py

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
