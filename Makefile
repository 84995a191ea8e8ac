# Short forms of the common commands; `make` alone lists them.

PYTHON ?= python3
RECIPE ?= fast
RUN    ?= sketchpad
SOURCE ?= auto
DATA   ?= data
SPACE  ?= space
MINUTES ?= 10
MESSAGE ?=
TORCH  ?=

define newline


endef
# The value of a variable as one word for the shell; a recipe cannot contain line ends.
quote     = '$(subst ','\'',$(subst $(newline), ,$(value $(1))))'

VENV     := .venv
# PyTorch's index of builds for CPUs, without CUDA's libraries.
CPU_INDEX := https://download.pytorch.org/whl/cpu
# Shell functions. `try` runs a command and shows its errors only if it fails; a full disk ends the recipe. `add` installs
# packages in the versions that the tests passed with, or else in the newest ones.
define functions
fail() { echo "error: $$*" >&2; exit 2; }; \
try() { \
	{ errors=$$("$$@" 2>&1 >&3); } 3>&1 && return; \
	case $$errors in *"No space left on device"* | *"Disk quota exceeded"*) \
		fail "the disk is full: free 7 GB, or 3 GB with TORCH=cpu, or set TMPDIR to a folder on another disk; then run make again";; esac; \
	printf '%s\n' "$$errors" >&2; return 1; \
}; \
pip() { $(VENV)/bin/python -m pip "$$@"; }; \
add() { try pip install "$$@" --constraint constraints.txt || try pip install "$$@" || exit; }
endef
# These tests limit response times, and therefore run alone.
TIMED    := tests/demo/test_load.py
PIPELINE := $(VENV)/bin/python -m pipeline
WHERE    := --source $(call quote,SOURCE) --data $(call quote,DATA)
# Rooms of the pipeline that a page does not enter; a Space omits them.
UNUSED   := cli estimator export kaggle reports search sources training
# SPACE=USER/NAME is a Space on the Hub, and assembled in .venv; anything else is a folder, ./USER/NAME too.
ON_HUB   := $(shell printf '%s\n' $(call quote,SPACE) | grep -xE '[[:alnum:]][[:alnum:]_.-]*/[[:alnum:]_.-]+')
ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH=$(TORCH): the only choice is TORCH=cpu)
endif
FOLDER   := $(if $(ON_HUB),$(VENV)/space,$(call quote,SPACE))

.DEFAULT_GOAL := help
.PHONY: help setup data train submit kaggle-data kaggle-submit demo share space test fuzz check lock bench clean

help:  ## list these targets
	@echo "make TARGET [RECIPE="$(call quote,RECIPE)"] [SOURCE="$(call quote,SOURCE)"] [DATA="$(call quote,DATA)"] [RUN="$(call quote,RUN)"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/runs  ## install the requirements into .venv; TORCH=cpu takes PyTorch's build for CPUs, which is smaller
	@$(functions); $(if $(TORCH),grep -qx cpu $< || fail "$(VENV) has another build of PyTorch; to replace it: make clean setup TORCH=cpu")

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
		$(UNUSED:%=--exclude=pipeline/%) pipeline demo checkpoints/sketchpad LICENSE | tar -x -C $(FOLDER)
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

# Each marker file records that its requirements are installed, which avoids a second installation. Without a program at
# .venv/bin/python they are installed again: copies lose execute bits, and an upgrade of Python removes the old one.
LOST := $(if $(wildcard $(VENV)/runs),$(shell [ -x $(VENV)/bin/python ] || echo lost))
.PHONY: lost

$(VENV)/runs: requirements.txt $(wildcard requirements/*.txt) $(LOST)
	@$(functions); \
	$(call quote,PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		fail "Python 3.11 or newer is required; choose one, for example: make PYTHON=python3.13"; \
	if [ ! -x $(VENV)/bin/python ]; then \
		try $(call quote,PYTHON) -m venv --without-pip $(VENV) && chmod +x $(VENV)/bin/* || exit; \
		[ -x $(VENV)/bin/python ] || fail "$(VENV)/bin/python cannot be run: move the project from a mounted drive to a" \
			"disk that runs programs (in Colab, to /content), or run make clean"; \
	fi; \
	if ! pip --version >/dev/null 2>&1; then \
		$(VENV)/bin/python -c 'import ensurepip' 2>/dev/null || fail "Python lacks ensurepip, which installs pip: sudo" \
			"apt install python3-venv, or" $(call quote,PYTHON) "-m pip --python $(VENV) install pip; then run make again"; \
		try $(VENV)/bin/python -m ensurepip --default-pip || exit; \
	fi; \
	$(if $(TORCH),add torch torchvision --no-deps --index-url $(CPU_INDEX) --constraint requirements/core.txt;) \
	add --requirement requirements.txt; \
	echo $(TORCH) > $@

$(VENV)/tests: requirements-dev.txt requirements-cluster.txt $(VENV)/runs
	@$(functions); add --requirement requirements-dev.txt
	@touch $@
