# Everything runs in .venv, which any target makes when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test tests lint format bench neo4j torture docs
.DEFAULT_GOAL := install

install: $(INSTALLED)  ## the environment, with pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "make: $(PYTHON) cannot make an environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## bundled networks, from weights to answers
	$(BIN)/circuitome demo

lint: $(INSTALLED)  ## format, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test: $(INSTALLED)  ## what has to be green: format, lint, types, tests
	@$(MAKE) --no-print-directory --jobs=2 lint tests

tests: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(if $(CI),--durations=15)

bench: $(INSTALLED)  ## every benchmark, alternatives in the same run
	@for file in benchmarks/bench_*.py; do echo "$$file"; $(BIN)/python $$file || exit 1; done

torture: $(INSTALLED)  ## large networks and long trials
	@rm -f $(VENV)/torture.jsonl
	CIRCUITOME_TORTURE=$(CURDIR)/$(VENV)/torture.jsonl OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m torture
	CIRCUITOME_TORTURE=$(CURDIR)/$(VENV)/torture.jsonl OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/faults/test_faults.py -k "not few and not all"
	$(BIN)/python benchmarks/torture_table.py $(VENV)/torture.jsonl

neo4j: $(INSTALLED)  ## a Neo4j on this machine without Docker (Java and Maven needed)
	$(BIN)/python -m circuitome.graphdb.stores.local_server

docs: $(INSTALLED)  ## the generated pages
	$(BIN)/python -m circuitome.queries.pages docs/queries.md
	$(BIN)/python -c "from circuitome.graphdb.ddl import schema_markdown as page; print(page(), end='')" > docs/schema.md
	$(BIN)/python benchmarks/result_pages.py
