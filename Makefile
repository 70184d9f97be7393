# Sets up, runs, tests and measures tfkor. `make help` lists what it can do.

VENV ?= .venv
EXTRAS ?= test
PYTEST_ARGS ?= -n 2 --dist loadfile
MARKS ?= not slow

PY := $(VENV)/bin/python
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

.NOTPARALLEL:
.PHONY: help quickstart test lint bench setup venv

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18
	@echo 'Variables: PYTHON=python3.12 VENV=.venv EXTRAS=test MARKS="not slow" PYTEST_ARGS="-n 2"'

quickstart: $(VENV)/.installed  ## train, measure, export and try a Korean intent classifier
	$(PY) -m tfkor.scripts.quickstart

test: $(VENV)/.installed-$(EXTRAS)  ## run the tests but the slow ones; MARKS= runs all
	$(PY) -m pytest -m '$(MARKS)' $(PYTEST_ARGS)

lint: $(VENV)/.installed-$(EXTRAS)  ## check the style
	$(PY) -m ruff check .

bench: $(VENV)/.installed-bench  ## fine-tuning speed beside other libraries (installs PyTorch)
	$(PY) benchmarks/fine_tuning.py

setup: $(VENV)/.installed-$(EXTRAS)  ## only install, into VENV, with EXTRAS

# Stamps: installed again only when the packaging changes.
$(VENV)/.installed: setup.py pyproject.toml | venv
	@echo 'Installing tfkor and TensorFlow into $(VENV): a minute or two, 2.5 GB'
	$(PY) -m pip install --quiet --editable .
	@touch '$@'

$(VENV)/.installed-%: setup.py pyproject.toml | venv
	@echo 'Installing tfkor[$*] and TensorFlow into $(VENV): a minute or two'
	$(PY) -m pip install --quiet --editable '.[$*]'
	@touch '$@'

# Takes the environment that is there, or makes one with the first Python that runs, is supported and has venv.
venv:
	@set -e; \
	if [ ! -e '$(PY)' ] && [ ! -L '$(PY)' ]; then \
	  chosen=; bare=; \
	  for python in $(CANDIDATES); do \
	    "$$python" -c '$(SUPPORTED)' >/dev/null 2>&1 || continue; \
	    if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then chosen=$$python; break; fi; \
	    bare=$${bare:-$$python}; \
	  done; \
	  if [ -z "$$chosen" ] && [ -n "$$bare" ]; then \
	    version=$$("$$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    echo "tfkor: $$bare (Python $$version) cannot make an environment: its module ensurepip is missing." >&2; \
	    echo "  Debian, Ubuntu: sudo apt-get install python$$version-venv" >&2; \
	    echo "  Or name another Python: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	    exit 1; \
	  elif [ -z "$$chosen" ]; then \
	    echo 'tfkor: needs Python 3.11, 3.12 or 3.13. None of these runs and is one: $(CANDIDATES)' >&2; \
	    echo '  Debian, Ubuntu: sudo apt-get install python3 python3-venv' >&2; \
	    echo '  Or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)' >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$chosen" --version)"; \
	  "$$chosen" -m venv '$(VENV)'; \
	fi; \
	if ! '$(PY)' -c '$(SUPPORTED)' >/dev/null 2>&1; then \
	  echo 'tfkor: $(PY) does not run, or is not Python 3.11, 3.12 or 3.13.' >&2; \
	  echo '  Delete $(VENV), or name another folder: make VENV=.venv-tfkor $(MAKECMDGOALS)' >&2; \
	  exit 1; \
	fi; \
	'$(PY)' -m pip --version >/dev/null 2>&1 || '$(PY)' -m ensurepip >/dev/null
