# Each target is one command from a bare checkout: git, make, a C++ compiler, Python >= 3.11.
#
#   make demo       the default contrast: decay on against decay off
#   make test       ruff, basedpyright, pytest
#   make test-all   the same with the slow tests
#   make check      ruff and basedpyright only
#   make bench      the scripts behind the README's performance table
#   make docs       run the code blocks of the documentation
#
#   make demo PYTHON=python3.12        another interpreter for the environment

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
WORKERS ?= 2
# one thread a process: workers that each start as many threads as there are cores slow each other
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS)

.DELETE_ON_ERROR:
.PHONY: demo test test-all check bench docs
demo: $(INSTALLED)
	$(RUN) -m ablations.run decay=off

test: check
	$(PYTEST)

test-all: check
	$(PYTEST) -m "not gpu"

check: $(INSTALLED)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m basedpyright

bench: $(INSTALLED)
	set -e; for script in benchmarks/*.py; do echo "== $$script"; $(RUN) "$$script"; done

docs: $(INSTALLED)
	$(RUN) -m pytest tests/test_recipes.py

# Made once, and again when what is to be installed has changed.
$(INSTALLED): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "no '$(PYTHON)' found; seqzoo needs Python >= 3.11: make PYTHON=/path/to/python3" >&2; \
	  exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$("$(PYTHON)" --version 2>&1) is too old; seqzoo needs >= 3.11: make PYTHON=python3.12" >&2; \
	  exit 2; }
	"$(PYTHON)" -m venv "$(VENV)"
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
