# Two commands are all a shop needs: `make run` and `make test`. Each does its own set-up on a machine that has
# Python 3.11+ and make: .venv/ with the pinned requirements, embedded PostgreSQL and Valkey under .local/.
#
#   make run            the whole of Freshet in the foreground, Ctrl-C stops it   (PORT=8001 make run)
#   make stop           ends a Freshet that runs elsewhere, or what a crash left behind
#   make test           the tests, on servers of their own                        (make test ARGS="-k weights")
#   make lint           ruff, mypy --strict, import contracts
#   make bench          how to run each measurement of bench/

.PHONY: run stop test lint bench
.DEFAULT_GOAL := run

PY := .venv/bin/python
INSTALLED := .venv/requirements.installed
# the machine's own python3 first; names that exist but do not start (version managers' shims) are passed over
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$p" && break; done)

run: $(INSTALLED)
	@exec $(PY) manage.py up

stop: $(INSTALLED)
	@$(PY) manage.py down

test: $(INSTALLED)
	@$(PY) -m pytest $(ARGS)

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

bench: $(INSTALLED)
	@$(PY) -m bench

# The stamp is a copy of the file it was installed from: a touched but equal requirements.txt installs nothing.
$(INSTALLED): requirements.txt
	@test -n "$(PYTHON)" || { echo "Freshet needs Python 3.11 or newer with venv and ensurepip (on Debian: python3-venv). \
	Found: $$(python3 --version 2>&1). Name one with: make run PYTHON=/path/to/python3" >&2; exit 1; }
	@if cmp -s requirements.txt $(INSTALLED); then touch $(INSTALLED); else \
	  echo "Setting up .venv with $(PYTHON): about 2 GB, once, a minute or more."; \
	  "$(PYTHON)" -m venv .venv && $(PY) -m pip install --disable-pip-version-check --requirement requirements.txt \
	  && cp requirements.txt $(INSTALLED); fi
