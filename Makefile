# Short forms of the common commands; `make` alone lists them.

PYTHON ?= python3
RECIPE ?= fast
RUN    ?= sketchpad
SOURCE ?= auto
DATA   ?= data
SPACE  ?= space
MINUTES ?= 10
MESSAGE ?=

define newline


endef
# The value of a variable as one word for the shell; a recipe cannot contain line ends.
quote     = '$(subst ','\'',$(subst $(newline), ,$(value $(1))))'

VENV     := .venv
# Install a file of requirements: in the versions that the tests passed with, or else in the newest ones.
install   = $(VENV)/bin/python -m pip install --requirement $(1) --constraint constraints.txt || \
	$(VENV)/bin/python -m pip install --requirement $(1)
# These tests limit response times, and therefore run alone.
TIMED    := tests/demo/test_load.py
PIPELINE := $(VENV)/bin/python -m pipeline
WHERE    := --source $(call quote,SOURCE) --data $(call quote,DATA)
# SPACE=USER/NAME is a Space on the Hub, and assembled in .venv; anything else is a folder, ./USER/NAME too.
ON_HUB   := $(shell printf '%s\n' $(call quote,SPACE) | grep -xE '[[:alnum:]][[:alnum:]_.-]*/[[:alnum:]_.-]+')
FOLDER   := $(if $(ON_HUB),$(VENV)/space,$(call quote,SPACE))

.DEFAULT_GOAL := help
.PHONY: help setup data train submit kaggle-data kaggle-submit demo share space test fuzz check lock bench clean

help:  ## list these targets
	@echo "make TARGET [RECIPE="$(call quote,RECIPE)"] [SOURCE="$(call quote,SOURCE)"] [DATA="$(call quote,DATA)"] [RUN="$(call quote,RUN)"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/runs  ## install the requirements into .venv

data: $(VENV)/runs  ## find, download or create the data, and check every row
	$(PIPELINE) data $(WHERE)

train: $(VENV)/runs  ## train RECIPE and save the run in checkpoints/
	$(PIPELINE) train $(call quote,RECIPE) $(WHERE)

submit: $(VENV)/runs  ## train RECIPE, predict, write submissions/solution.csv; sends nothing
	$(PIPELINE) submit --recipe $(call quote,RECIPE) $(WHERE)

kaggle-data: $(VENV)/runs  ## download the competition's files into DATA if missing, and check every row
	$(PIPELINE) kaggle data --data $(call quote,DATA)

kaggle-submit: $(VENV)/runs  ## send submissions/solution.csv to Kaggle, wait for its score, add both to the ledger; MESSAGE="description"
	$(PIPELINE) kaggle submit --message $(call quote,MESSAGE)

demo: $(VENV)/runs  ## serve the drawing page at 127.0.0.1:7860 with RUN
	$(VENV)/bin/python -m demo --run $(call quote,RUN)

share: $(VENV)/runs  ## serve the page with a public link that lasts about a week
	$(VENV)/bin/python -m demo --run $(call quote,RUN) --share

space: $(if $(ON_HUB),$(VENV)/runs)  ## assemble SPACE, a folder ready for Hugging Face Spaces; SPACE=USER/NAME uploads it
	@if [ -n "$$(ls -A $(FOLDER) 2>/dev/null)" ] && ! { grep -qs '^sdk: gradio' $(FOLDER)/README.md && \
		{ [ -e $(FOLDER)/.git ] || [ -e $(FOLDER)/pipeline ]; }; }; then \
		echo $(FOLDER)": holds other files than those of a Space; choose another SPACE" >&2; exit 2; fi
	mkdir -p $(FOLDER)
	rm -rf $(FOLDER)/pipeline $(FOLDER)/demo $(FOLDER)/checkpoints/sketchpad
	tar -c --exclude=__pycache__ --exclude=demo/space --exclude=demo/publish.py --exclude=fingerprint.safetensors \
		pipeline demo checkpoints/sketchpad LICENSE | tar -x -C $(FOLDER)
	cp demo/space/* $(FOLDER)
	@$(if $(ON_HUB),$(VENV)/bin/python -m demo.publish $(FOLDER) $(ON_HUB),echo $(FOLDER)": ready for a Space; see docs/deploy.md")

test: $(VENV)/tests  ## run the tests
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --ignore $(TIMED)
	$(VENV)/bin/python -m pytest $(TIMED)

fuzz: $(VENV)/tests  ## give all readers damaged files for MINUTES, then interrupt all commands for MINUTES
	FUZZ_MINUTES=$(call quote,MINUTES) $(VENV)/bin/python -m pytest -s --numprocesses 0 tests/test_fuzz.py tests/test_interrupted_commands.py

check: $(VENV)/tests  ## check style, types and the import rules
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

lock: $(VENV)/tests  ## write the installed versions to constraints.txt, which setup tries first
	$(VENV)/bin/python -m pip freeze > constraints.txt

bench: $(VENV)/runs  ## measure speed and accuracy, write benchmarks/results.md; QUICK=1 takes three minutes
	PYTHONPATH=. $(VENV)/bin/python benchmarks/bench.py $(if $(QUICK),--quick)

clean:  ## remove .venv and caches, but keep data, runs and submissions
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each marker file records that its requirements are installed, which avoids a second installation.
$(VENV)/runs: requirements.txt $(wildcard requirements/*.txt)
	@$(call quote,PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is required; choose one, for example: make PYTHON=python3.13" >&2; exit 2; }
	$(call quote,PYTHON) -m venv $(VENV)
	$(call install,requirements.txt)
	@touch $@

$(VENV)/tests: requirements-dev.txt requirements-cluster.txt $(VENV)/runs
	$(call install,requirements-dev.txt)
	@touch $@
