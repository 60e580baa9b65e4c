# `make demo` and `make test` set up what they need, once; they set up again when pyproject.toml or constraints.txt change.
# Another environment: `make test VENV=path`. A certain Python: `make test PYTHON=python3.12`. More for pytest: `make test ARGS="-k parser"`.

VENV ?= .venv
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python
ARGS ?=

bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
suitable := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))

.PHONY: help demo test explore gallery browser lint clean

help:
	@echo "make demo      set up, then evolve networks on scikit-learn's digits and compare them"
	@echo "make test      set up, then run the tests"
	@echo "make explore   the tests with fresh random examples instead of the fixed ones"
	@echo "make browser   the tests of the HTML page in Chromium"
	@echo "make gallery   the pictures of docs/gallery anew"
	@echo "make lint      ruff and mypy"
	@echo "make clean     remove the environment and all caches"

demo: $(VENV)/.ready-demo
	$(bin)/python -m ein.demo $(ARGS)

test: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(bin)/python -m pytest --numprocesses auto $(ARGS)

explore: $(VENV)/.ready-test
	$(bin)/python -m pytest --hypothesis-profile=explore $(ARGS)

browser: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(bin)/python -m pytest -m browser tests/browser $(ARGS)

gallery: $(VENV)/.ready-demo
	$(bin)/python docs/gallery/draw.py

lint: $(VENV)/.ready-test
	$(bin)/python -m ruff check
	$(bin)/python -m ruff format --check
	$(bin)/python -m mypy

clean:
	rm -rf "$(VENV)" build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-demo: extras := draw
$(VENV)/.ready-test: extras := draw,test

$(VENV)/.ready-demo $(VENV)/.ready-test: pyproject.toml constraints.txt | $(VENV)/.made
	@test -L src/ein/grammar || { \
	  echo "src/ein/grammar is not a symbolic link, so this checkout cannot be installed in place." >&2; \
	  echo "Turn links on and lay the files anew: git config core.symlinks true && git checkout -- src/ein" >&2; exit 1; }
	@echo "setting up $(VENV) with [$(extras)]: a few minutes the first time, most of it torch"
	$(pip) hatchling
	$(pip) --no-build-isolation --editable '.[$(extras)]'
	@touch $@

$(VENV)/.made:
	@for python in $(PYTHON); do \
	  if "$$python" -c '$(suitable)' >/dev/null 2>&1; then found="$$python"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "ein needs Python 3.11, 3.12, 3.13 or 3.14 with its venv module; looked at: $(PYTHON)" >&2; \
	  echo "Install one (on Debian and Ubuntu the package python3-venv belongs to it), or name one: make PYTHON=path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv "$(VENV)"
	@touch $@
