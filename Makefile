# Soldesk's commands. The first one makes .venv and installs the locked packages; see docs/running.md.
SHELL := /bin/sh
PYTHON := .venv/bin/python

.PHONY: help install up test test-stack fuzz rob lint checks check-style check-format check-types check-layers check-migrations \
  check-schema schema down-clean lock shell audit backup restore bench kill-matrix

help:
	@echo "make up          start everything, with logs; Ctrl-C stops it"
	@echo "make test        run all tests (PYTEST_ARGS=..., WORKERS=2)"
	@echo "make test-stack  the tests that kill and cut off processes, many times over (REPEATS=10, SEED=...)"
	@echo "make fuzz        the API judged by its own document, over thousands of requests (FUZZ_ARGS=...)"
	@echo "make kill-matrix  live orders: every point x every fault x kill -9 (CELLS=300, SEED=...)"
	@echo "make rob         thousands of attempts to rob a wallet through the signer (ROBBERIES=...)"
	@echo "make lint        style, types, import layers, migrations, API schema"
	@echo "make audit       recompute every balance and position of the running desk"
	@echo "make backup      keep the running desk (TO=folder); make restore brings it back into an empty one (FROM=folder)"
	@echo "make bench       measure signals on the running desk (BENCH_ARGS=...)"
	@echo "make shell       a Python shell on the running desk"
	@echo "make down-clean  forget all data, after a question (YES=1 skips it)"
	@echo "make schema      write docs/openapi.yaml, the Postman collection and docs/api.md's tables anew"
	@echo "make lock        resolve pyproject.toml into requirements.lock (needs uv)"

# Any Python 3 will do to look for the right one.
install:
	@command -v python3 >/dev/null || { echo "Soldesk needs Python 3.12 or 3.11; there is no python3 here." >&2; exit 1; }
	@python3 -I config/runtime/bootstrap.py

up: install
	@exec $(PYTHON) -m config.runtime up --tied

# Two processes of tests, each on services of its own; WORKERS=0 runs them in one.
test: install
	@$(PYTHON) -m pytest -n $(or $(WORKERS),2) --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

# Other chances each time; a failure prints its seed.
test-stack: install
	@STACK_REPEATS=$(or $(REPEATS),10) STACK_SEED=$(or $(SEED),$$(date +%s)) $(PYTHON) -m pytest -s tests/stack $(PYTEST_ARGS)

# Combinations on a database, a signer and a chain of their own; a failure prints its own and the seed is on top.
kill-matrix: install
	@$(PYTHON) -m tests.kill_matrix --cells $(or $(CELLS),300) $(if $(SEED),--seed $(SEED))

# Tries to get more out of a wallet than the signer's caps allow; ROBBERIES=… says how often.
rob: install
	@ROBBERIES=$(or $(ROBBERIES),2000) $(PYTHON) -m pytest -q tests/wallets/signer/test_robbery.py

# Requests by the thousand against a desk of its own; FUZZ_ARGS="--seed 7 --examples 80". See tests/fuzz/README.md.
fuzz: install
	@$(PYTHON) -m tests.fuzz $(FUZZ_ARGS)

lint: install
	@$(PYTHON) -m config.runtime scratch -- $(MAKE) --keep-going --no-print-directory checks

# What `lint` runs, with DATABASE_URL and REDIS_URL set: the settings need them, whoever reads them.
checks: check-style check-format check-types check-layers check-migrations check-schema
check-%: export PATH := $(CURDIR)/.venv/bin:$(PATH)
check-style:
	ruff check .
check-format:
	ruff format --check .
check-types:
	mypy apps config tests manage.py conftest.py
check-layers:
	lint-imports
check-migrations:
	python manage.py makemigrations --check --dry-run
check-schema:
	python manage.py spectacular --validate --fail-on-warn | diff -u docs/openapi.yaml - \
	  || { echo "docs/openapi.yaml is not what the code says: make schema" >&2; exit 1; }
	python manage.py postman | diff -u docs/postman_collection.json - \
	  || { echo "docs/postman_collection.json is not what the code says: make schema" >&2; exit 1; }
	python manage.py api_tables docs/api.md --check

schema: install
	@$(PYTHON) -m config.runtime scratch -- sh -ec '$(PYTHON) manage.py spectacular --validate --file docs/openapi.yaml; \
	  $(PYTHON) manage.py postman --file docs/postman_collection.json; $(PYTHON) manage.py api_tables docs/api.md'

down-clean: install
	@$(PYTHON) -m config.runtime down-clean $(if $(YES),--yes)

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url pyproject.toml -o requirements.lock

shell: install
	@$(PYTHON) manage.py shell

# Of the desk that runs from here; TO is a new folder.
backup: install
	@$(PYTHON) manage.py backup "$(or $(TO),backups/$(shell date -u +%Y%m%d-%H%M%S))" $(BACKUP_ARGS)

# Into an empty desk that is stopped: its database runs for this command alone.
restore: install
	@test -n "$(FROM)" || { echo "make restore FROM=folder" >&2; exit 1; }
	@$(PYTHON) -m config.runtime stopped -- $(PYTHON) manage.py restore "$(FROM)" $(RESTORE_ARGS)

audit: install
	@$(PYTHON) manage.py audit

bench: install
	@$(PYTHON) manage.py bench signals --agents 1,10,100,1000 $(BENCH_ARGS)
