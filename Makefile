PYTHON ?= python3
BIN := .venv/bin

help:
	@echo "make demo    test a trained network, train store-recall with and without adaptive neurons, draw it all (minutes)"
	@echo "make test    the test suite (minutes)"
	@echo "make lint    style, types, import order"
	@echo "make bench   what training costs on this machine (minutes)"

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lsnn needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# An interrupted demo goes on where it was.
runs/demo/%/results.json: | .venv/ready
	@if [ -e runs/demo/$*/config.json ]; then $(BIN)/lsnn resume runs/demo/$*; \
		else $(BIN)/lsnn train $* --run runs/demo/$*; fi

demo: .venv/ready
	@echo "A trained network from the box names the 10,000 test images of MNIST:"
	@$(BIN)/lsnn evaluate smnist
	@$(BIN)/lsnn report smnist --out runs/demo/smnist
	@$(MAKE) --no-print-directory demo-store-recall

demo-store-recall: runs/demo/store-recall/results.json runs/demo/store-recall-lif/results.json
	@$(BIN)/lsnn report runs/demo/store-recall
	@$(BIN)/lsnn report runs/demo/store-recall runs/demo/store-recall-lif --out runs/demo/report
	@echo "Figures and results: runs/demo/smnist, runs/demo/store-recall/report and, side by side, runs/demo/report"

test: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: .venv/ready
	$(BIN)/lsnn bench

.PHONY: help demo test lint bench demo-store-recall
