# Two commands for a fresh machine with Python 3.11 or newer, git and make:
#     make demo    see it work, against a small API on this machine
#     make test    lint, types and tests
# Both work in a .venv of their own here, filled from the lock files once. Another Python: make PYTHON=python3.12 test

ifndef PYTHON
# The first that is new enough; none: python3, so that the message below has something to name.
PYTHON := $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
endif
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
BIN := .venv/bin
# Named after the Python, so that another Python makes the environment anew.
RUN := .venv/run-$(VERSION)
DEV := .venv/dev-$(VERSION)
BENCH := .venv-bench/bench-$(VERSION)
LOCK := build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test lint check bench docs lock clean python

help:
	@sed -n '1,4s/^# //p' Makefile
	@echo "Also: make check (scrapyd and what takes minutes), bench (the peers side by side), lint, docs, lock, clean"

demo: $(RUN)
	$(BIN)/scrapy demo

test: lint
	$(BIN)/pytest -n auto --dist loadgroup

check: $(DEV)
	$(BIN)/pytest -m check

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/scrapy-lint $(CURDIR)/crawler

# Half an hour with all cases and clients. A minute: make bench ARGS="--cases cpu --rounds 1 --calls 2000"
bench: $(RUN) $(BENCH)
	$(BIN)/python -m benchmarks --markdown build/bench/report.md --json build/bench/report.json \
		--svg build/bench/report.svg $(ARGS)

docs: $(RUN)
	$(BIN)/python -m crawler.arguments > docs/arguments.md

# uv resolves for every platform and Python at once. It stays out of .venv, which the locks describe.
lock: python
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements-dev.txt --constraints requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv .venv-bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find crawler tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "apifetch needs Python 3.11 or newer, but $(if $(VERSION),$(PYTHON) is Python $(VERSION),there is no $(PYTHON)); name another: make PYTHON=python3.12 $(or $(MAKECMDGOALS),test)" >&2; exit 1; }

$(RUN): requirements.lock | python
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --require-hashes -r requirements.lock
	@touch $(RUN)

# What the tests need holds all that a run needs.
$(DEV): requirements-dev.lock | python
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $(RUN) $(DEV)

# The peers have an environment of their own: what they need is nothing that this project's locks should know.
$(BENCH): requirements-bench.txt | python
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $(BENCH)
