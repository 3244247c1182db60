# The libvirt migration compatibility lab. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# More options for ansible-playbook: make matrix ARGS='-e pair=debian-lts'
ARGS ?=
# What make watch follows.
RUN ?=
RESULTS ?= results
export PATH := $(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

# axe-core checks the page for accessibility.
AXE := axe-core@4.14.1

.PHONY: help setup matrix recovery watch test lint unit integration bench screenshot settings destroy clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.controller ## Set up the controller: a virtual environment with pinned dependencies

matrix: setup ## Run the full matrix: 8 combinations, 96 cases each
	ansible-playbook playbooks/full_matrix.yml $(ARGS)

recovery: setup ## Run migrations that meet faults: 8 combinations, about 500 cases each
	ansible-playbook playbooks/recovery.yml $(ARGS)

watch: setup ## Follow a run from another terminal: the newest, or RUN=name; RESULTS=folder where it is not in results
	@# After Ctrl-C, which make gets as well, it has nothing more to say.
	@PYTHONPATH=module_utils python -m migration_lab.progress.watch --results '$(RESULTS)' --run '$(RUN)' || \
		{ status=$$?; [ $$status = 130 ] || exit $$status; }

test: lint $(VENV)/.browser ## Check the code, then run all tests, on real daemons; root
	pytest

lint: $(VENV)/.test ## Check the code: ruff, mypy, yamllint, ansible-lint, validate-modules
	ruff check .
	mypy
	yamllint --strict .
	ansible-lint --offline
	python tests/validate_modules.py

unit: $(VENV)/.test ## Run the unit tests; no root, half a minute
	@# Compiled tests are kept in any case: to compile them takes each process 2 s.
	PYTHONDONTWRITEBYTECODE= pytest --numprocesses 2 --dist worksteal tests/unit

integration: $(VENV)/.test $(VENV)/.browser ## Run the tests of playbooks, and the integration tests on real daemons; root
	pytest tests/playbooks tests/integration

bench: setup ## Measure speed and memory; prints JSON
	$(BIN)/python bench/bench.py

screenshot: $(VENV)/.test $(VENV)/.browser ## Make docs/images/matrix.png from the newest run; ARGS=results/<run> names another
	PYTHONPATH=tests/integration $(BIN)/python docs/screenshot.py $(ARGS)

settings: setup ## Make docs/settings.md from the roles' argument specs
	$(BIN)/python docs/settings.py >docs/settings.md

destroy: setup ## Remove the cell; with ARGS='-e images=true' the images as well
	ansible-playbook playbooks/destroy.yml $(ARGS)

clean: ## Remove the virtual environment
	rm -rf $(VENV)

# A virtual environment needs ensurepip, which Debian keeps in a package of its own.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); install Python 3.11 or later." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: the lab needs Python 3.11 or later; name one with PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -q && apt-get install -y -q python3-venv; } || \
		{ echo "$(PYTHON) has no ensurepip; install the package python3-venv." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.controller: requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement requirements.txt
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.controller
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement requirements-test.txt
	@touch $@

# The browser that the page is tested in. Ubuntu has Chromium as a snap only, which apt does not install.
$(VENV)/.browser: Makefile | $(VENV)/bin/python
	@{ command -v chromium && command -v chromedriver; } >/dev/null || \
		{ apt-get update -q && apt-get install -y -q --no-install-recommends chromium chromium-driver fonts-dejavu-core; } || \
		{ echo "Chromium and its driver cannot be installed; put 'chromium' and 'chromedriver' into the PATH." >&2; exit 2; }
	@command -v npm >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends npm; } || \
		{ echo "There is no npm, which fetches axe-core; install the package npm." >&2; exit 2; }
	rm -rf $(VENV)/axe-core && mkdir $(VENV)/axe-core
	npm pack --silent --pack-destination $(VENV)/axe-core $(AXE)
	tar --extract --gzip --file $(VENV)/axe-core/*.tgz --directory $(VENV)/axe-core --strip-components 1 package/axe.min.js
	@touch $@
