# `make run` and `make test` work on a fresh clone that has Python 3.11, pip, make and git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FIND_SETTING := $(BIN)/python -c 'import sys, config; print(getattr(config.load_settings(), sys.argv[1]))'
REQUIRE_FREE_PORT := $(BIN)/python -c 'import socket, sys, config; \
	port = config.load_settings_or_exit().port; \
	is_taken = socket.socket().connect_ex(("127.0.0.1", port)) == 0; \
	sys.exit(f"Another program listens on port {port}. Name another port: make run PORT={port + 1}" if is_taken else 0)'
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes

# uv installs what pip would, in a tenth of the time. It reads none of pip's settings: where it finds
# no package, pip installs them.
UV := UV_HTTP_RETRIES=0 $(BIN)/uv pip install --quiet --native-tls --require-hashes
define install
	$(UV) --python $(BIN)/python -r $(1) 2>/dev/null || $(PIP) -r $(1)
endef

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# Images of containers often set it. Each process of a run would compile what it loads anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test checks test-quick lint types contracts pytest test-browser test-clients pictures test-container faults fuzz bench bench-scale bench-faults lock sbom format messages clean

run: $(VENV)/run.stamp  ## migrate, then serve on 127.0.0.1, port 8000
	@$(REQUIRE_FREE_PORT)
	$(BIN)/flask db upgrade
	$(BIN)/flask ready --timeout 60 &
	@# honcho gives each process a PORT of its own; links must name the web server's all the same.
	exec env PATH="$(CURDIR)/$(BIN):$$PATH" PUBLIC_URL="$$($(FIND_SETTING) public_url)" \
		$(BIN)/honcho start -e /dev/null -p "$$($(FIND_SETTING) port)" web worker

test: $(VENV)/test.stamp  ## everything that has to be green
	$(MAKE) --jobs=2 pytest checks

checks: lint types contracts

lint: $(VENV)/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/test.stamp
	$(BIN)/mypy

contracts: $(VENV)/test.stamp
	$(BIN)/lint-imports --config setup.cfg

# Each process has a PostgreSQL of its own, and takes 300 MB; the tests of one file share a process.
# There are more than twice as many as cores, since tests of real servers mostly wait. The checks
# take no longer than the collection, which is one process's work.
TEST_PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1) + 2)')

pytest: $(VENV)/test.stamp
	$(BIN)/pytest --forks $(TEST_PROCESSES)

test-quick: checks  ## the checks, and the first test of each fast file: under a minute
	$(BIN)/pytest --forks 2 --quick -q

# The Chromium is the system's; without one there is nothing to do, and that is no failure.
test-browser: $(if $(CHROMIUM),$(VENV)/browser.stamp)  ## the pages in a real browser
ifneq ($(CHROMIUM),)
	CHROMIUM=$(CHROMIUM) $(BIN)/pytest --forks 2 tests/browser
else
	@echo "Browser tests skipped: there is no chromium on the PATH (set CHROMIUM to where it is)."
endif

# What is not installed here (Apache with mod_auth_openidc, nginx, Caddy, node with npm) is
# skipped, and pytest reports it.
test-clients: test-browser $(VENV)/test.stamp  ## real programs that sign people in, and test-browser
	$(BIN)/pytest tests/real_clients

pictures: $(VENV)/browser.stamp  ## pictures of pages and mails, for the documentation and to look at
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m docs.pictures.make

# What is not installed here (mmdebstrap, buildah, bubblewrap) is skipped, and pytest reports it.
test-container: $(VENV)/container.stamp  ## the image, built and run, and the files that start it
	$(BIN)/pytest --timeout 1800 tests/container

faults: $(VENV)/test.stamp  ## every fault as often as promised; takes an hour or two
	FAULT_ROUNDS=200 $(BIN)/pytest -m fault

bench-scale: $(VENV)/test.stamp  ## every call at a thousand, a hundred thousand and a million users
	$(BIN)/python -m bench.scale

bench-faults: $(VENV)/test.stamp  ## faults, and how long their effects last; takes a quarter of an hour
	$(BIN)/python -m bench.faults

FUZZ_MINUTES ?= 10
FUZZ_SEED ?= 0

fuzz: $(VENV)/test.stamp  ## FUZZ_MINUTES of scenarios; FUZZ_SEED, which it prints, repeats a round
	FUZZ_MINUTES=$(FUZZ_MINUTES) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest --timeout 0 --no-header -q --show-capture=no tests/fuzz

bench: $(VENV)/test.stamp  ## ratios against floors, on SQLite and PostgreSQL; takes a few minutes
	$(BIN)/python -m bench.run

format: $(VENV)/test.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Other names of functions than these take no text for people.
KEYWORDS := _ gettext ngettext:1,2 mark translate translate_plural:1,2
LANGUAGES := $(notdir $(wildcard authserve/locale/*))

messages: $(VENV)/test.stamp  ## collect the texts for the catalogs, and compile what translators wrote
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --no-default-keywords $(KEYWORDS:%=-k %) \
		--omit-header --sort-output --add-location=file --no-wrap --output-file messages.pot .
	for language in $(LANGUAGES); do \
		$(BIN)/pybabel --quiet update --locale $$language --output-dir authserve/locale --domain authserve \
			--input-file messages.pot --ignore-obsolete --no-fuzzy-matching --no-wrap \
			--ignore-pot-creation-date || exit 1; \
	done
	rm messages.pot
	$(BIN)/pybabel --quiet compile --directory authserve/locale --domain authserve

PINNED := requirements $(addprefix requirements-,dev browser container sbom uv)

lock: $(VENV)/test.stamp  ## pin requirements*.in anew, with hashes
	for name in $(PINNED); do \
		$(BIN)/uv pip compile --upgrade --generate-hashes --no-strip-extras --no-header \
			--python-version 3.11 $$name.in -o $$name.txt || exit 1; \
	done

sbom: $(VENV)/sbom.stamp  ## what runs in production, as CycloneDX, in sbom.cdx.json
	$(BIN)/cyclonedx-py requirements --output-reproducible --output-file sbom.cdx.json requirements.txt

$(VENV)/run.stamp: requirements.txt requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "authserve needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another, for example: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	-$(PIP) -r requirements-uv.txt
	$(call install,requirements.txt)
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(call install,requirements-dev.txt)
	touch $@

$(VENV)/browser.stamp: $(VENV)/test.stamp requirements-browser.txt
	$(call install,requirements-browser.txt)
	touch $@

$(VENV)/container.stamp: $(VENV)/test.stamp requirements-container.txt
	$(call install,requirements-container.txt)
	touch $@

$(VENV)/sbom.stamp: $(VENV)/test.stamp requirements-sbom.txt
	$(call install,requirements-sbom.txt)
	touch $@

clean:
	rm -rf $(VENV) instance .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
