# Every daily verb; `make` alone lists them.

PYTHON ?= python3
RECIPE ?= fast
RUN    ?= sketchpad
SOURCE ?= auto
DATA   ?= data
SPACE  ?= space
export MESSAGE ?=

VENV     := .venv
PIPELINE := $(VENV)/bin/python -m pipeline
WHERE    := --source $(SOURCE) --data $(DATA)

.DEFAULT_GOAL := help
.PHONY: help setup data train submit kaggle-data kaggle-submit demo share space test check bench clean

help:  ## list these verbs
	@echo "make VERB [RECIPE=$(RECIPE)] [SOURCE=$(SOURCE)] [DATA=$(DATA)] [RUN=$(RUN)]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/runs  ## install what runs the project, into .venv

data: $(VENV)/runs  ## find the data, or fetch or make them, and check every row
	$(PIPELINE) data $(WHERE)

train: $(VENV)/runs  ## train RECIPE and keep the run in checkpoints/
	$(PIPELINE) train $(RECIPE) $(WHERE)

submit: $(VENV)/runs  ## from data to submissions/solution.csv: train, predict, write, check
	$(PIPELINE) submit --recipe $(RECIPE) $(WHERE)

kaggle-data: $(VENV)/runs  ## download the competition's files into DATA, once, and check every row
	$(PIPELINE) kaggle data --data $(DATA)

kaggle-submit: $(VENV)/runs  ## send submissions/solution.csv, wait for its score, note both; MESSAGE="what to say of it"
	$(PIPELINE) kaggle submit --message "$$MESSAGE"

demo: $(VENV)/runs  ## draw a number on a page at 127.0.0.1:7860, read by RUN
	$(VENV)/bin/python -m demo --run $(RUN)

share: $(VENV)/runs  ## the same with a public link, for about a week
	$(VENV)/bin/python -m demo --run $(RUN) --share

space:  ## assemble SPACE, a folder that Hugging Face Spaces runs as it is
	rm -rf $(SPACE) && mkdir -p $(SPACE)
	tar -c --exclude=__pycache__ --exclude=demo/space pipeline demo requirements.txt checkpoints/sketchpad LICENSE | tar -x -C $(SPACE)
	cp demo/space/* $(SPACE)
	@echo "$(SPACE): push it to a Space; docs/deploy.md says how"

test: $(VENV)/tests  ## run the tests
	$(VENV)/bin/python -m pytest

check: $(VENV)/tests  ## check style, types and who imports whom
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/runs  ## measure speed and accuracy into benchmarks/results.md; QUICK=1 for three minutes
	PYTHONPATH=. $(VENV)/bin/python benchmarks/bench.py $(if $(QUICK),--quick)

clean:  ## remove .venv and caches; data, runs and submissions stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each file says that what is listed in its requirements is installed, so that nothing is installed twice.
$(VENV)/runs: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.13" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --requirement requirements.txt
	@touch $@

$(VENV)/tests: requirements-dev.txt requirements-cluster.txt $(VENV)/runs
	$(VENV)/bin/python -m pip install --requirement requirements-dev.txt
	@touch $@
