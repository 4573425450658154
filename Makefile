# make quickstart | test | lint | coverage | check | bench   (Python >= 3.10; everything lands in .venv)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: quickstart test lint coverage check bench install install-dev clean

quickstart: install
	$(BIN)/python -m tss_lab +experiment=quickstart
	@echo "further commands: source $(BIN)/activate, then python -m tss_lab --help"

PYTEST := -m pytest --numprocesses 2 --dist loadfile

test: install-dev
	$(BIN)/python $(PYTEST)

check: lint coverage

# The tests again, counted; Python's own counting (3.12 and newer) costs next to nothing, coverage's tracer some time.
coverage: install-dev
	COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	$(BIN)/python $(PYTEST) --cov --cov-report=
	@echo "coverage of tss_lab: $$($(BIN)/coverage report --format=total) % of its statements ($(BIN)/coverage report)"

lint: install-dev
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
	rm -rf $(VENV) .coverage* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
