# `make` alone lists what there is. Nothing is rebuilt that is up to date.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BINARY := target/release/tidings
WEB_SOURCES := $(shell find web -name node_modules -prune -o -name dist -prune -o -type f -print 2>/dev/null)
WEB_BUILT := web/dist/manifest.json
WEB_INSTALLED := web/node_modules/.package-lock.json
TESTS_INSTALLED := tests/node_modules/.package-lock.json

.PHONY: help build run test check counts conformance bench web clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(WEB_BUILT) ## the web UI and the release binary, target/release/tidings
	@tests/tools rust
	cargo build --release --locked -p tidings

run: build ## build what is missing, then run the server (options: make run ARGS='--listen 0.0.0.0:8000')
	@exec $(BINARY) $(ARGS)

test: ## install what the tests need, then run all of them (some: make test SUITES='rust browser')
	@tests/run $(SUITES)

check: $(WEB_INSTALLED) ## format, lints, types, dependencies, licences; changes nothing
	@tests/tools rust
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features tidings-hub/shuttle -- -D warnings
	cd web && npm run --silent typecheck
	cd web && npm run --silent lint
	tests/unused-dependencies
	tests/licences
	tests/statements

counts: ## instructions, allocations and system calls of the hot paths beside their ceilings (options: make counts ARGS='--record')
	@tests/counts/run $(ARGS)

conformance: build $(TESTS_INSTALLED) ## the WebSocket engine against Autobahn and other implementations, the server against h2spec, the long attacks, and the fuzz targets
	crates/websocket/tests/autobahn/run full --release
	crates/websocket/tests/peers/run
	crates/serve/tests/h2spec/run
	cd tests/attacks/long && TIDINGS_BIN=$(CURDIR)/$(BINARY) node --test ./*.test.mjs
	TIDINGS_BIN=$(CURDIR)/$(BINARY) ROUNDS=40 node --test tests/faults/durable.test.mjs
	FUZZ_SECONDS=60 cargo test --locked --release --manifest-path fuzz/Cargo.toml

bench: build ## every command of `tidings bench`, then server and WebSocket engine beside their peers (all on loopback)
	$(BINARY) bench fanout $(ARGS)
	$(BINARY) bench idle $(ARGS)
	$(BINARY) bench connect $(ARGS)
	$(BINARY) bench publish $(ARGS)
	$(BINARY) bench channels $(ARGS)
	$(BINARY) bench chat $(ARGS)
	bench/serve/run
	bench/websocket/run

web: $(WEB_BUILT) ## the web UI alone, into web/dist

clean: ## remove everything built and installed here; the data directory stays
	rm -rf target web/dist web/node_modules tests/node_modules tests/.cache tests/out

$(WEB_INSTALLED): web/package.json web/package-lock.json
	@tests/tools node
	cd web && npm ci --no-fund --no-audit
	@touch $@

$(WEB_BUILT): $(WEB_INSTALLED) $(WEB_SOURCES)
	cd web && npm run --silent build
	@touch $@

$(TESTS_INSTALLED): tests/package.json tests/package-lock.json
	@tests/tools node
	cd tests && npm ci --no-fund --no-audit
	@touch $@
