# make run    set everything up, reconcile the bundled invoices and payments, show the result
# make test   set everything up and run the tests
# `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
WORKERS ?= auto
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --retries 5 --timeout 120
SAMPLE := docs/sample/invoice-payment-match.json
OUT ?= out/sample

.PHONY: help setup run test servers lint format types check bench clean java cluster spark

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## make the virtual environment with everything in it

$(STAMP): setup.py requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
		|| { echo "Kalla needs Python 3.11 or 3.12; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@# Compiled once, also where PYTHONDONTWRITEBYTECODE has each run compile what it imports.
	$(BIN)/python -m compileall -q recipe udfs connectors pipelines webapp
	@touch $(STAMP)

run: $(STAMP) ## reconcile the bundled sample while the app starts on http://127.0.0.1:3000 (ONCE=1: without the app)
ifdef ONCE
	$(BIN)/kalla run $(SAMPLE) --output $(OUT) --overwrite
else
	KALLA_LOCAL_ROOTS="$${KALLA_LOCAL_ROOTS:-$(CURDIR)/docs/sample}" \
		$(BIN)/kalla serve --sample docs/sample --first $(SAMPLE) --output $(OUT)
endif

java: ## build the Java side (functions for Beam SQL, class paths of Flink and Spark) into ~/.cache/kalla
	udfs/java/build

cluster: $(STAMP) java ## reconcile the bundled sample on a real Flink cluster of this machine, then stop it
	$(BIN)/kalla cluster up flink --recipe docs/sample/invoice-payment-match.json --output out/flink

spark: $(STAMP) java ## the same on a real Spark cluster
	$(BIN)/kalla cluster up spark --recipe docs/sample/invoice-payment-match.json --output out/spark

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

servers: $(STAMP) ## build or fetch the servers that tests need, outside the tree
	$(BIN)/python -m tests.object_servers
	$(BIN)/python -m tests.search_servers
	$(BIN)/python -m tests.mysql_servers
	$(BIN)/python -m tests.other_versions

lint: $(STAMP) ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## write the formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## static types
	$(BIN)/mypy

check: lint types test ## what CI runs

bench: $(STAMP) ## benchmarks against peers, ratios in one table
	$(BIN)/python -m benchmarks.versus_duckdb

clean: ## remove the virtual environment and outputs
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
