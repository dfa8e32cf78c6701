# The commands that people type. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)

BUF_VERSION := 1.75.0
BUF_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/segue/buf-$(BUF_VERSION)
BUF := $(BUF_HOME)/node_modules/.bin/buf

.PHONY: help demo up down test lint contract fmt bench chaos python services kubectl browser faketime

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

demo: ## Build, then export a sample segment to a Klaviyo that runs here
	@echo "Building segue (a few minutes on a fresh machine) …"
	cargo build --locked --profile demo --package segue
	@deploy/demo/run.sh $(TARGET)/demo/segue

up: ## Build, then start the services on this machine, with RabbitMQ and PostgreSQL
	@echo "Building segue (a few minutes on a fresh machine) …"
	cargo build --locked --profile demo --package segue
	@deploy/local/up.sh $(TARGET)/demo/segue

down: ## End what `make up` has started
	@deploy/local/down.sh

test: python services kubectl browser ## All tests
	cargo build --locked --workspace --bins --quiet
	cargo test --locked --workspace --quiet

# One test drives the simulator with Klaviyo's own Python SDK. A fresh Debian machine may lack the modules.
python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Installing python3 and python3-venv (Debian packages) …"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && $$as_root apt-get install -qy python3 python3-venv; }

# RabbitMQ and PostgreSQL: found, or installed and started. AMQP_URL and DATABASE_URL point elsewhere.
services:
	@deploy/local/services.sh start
	@deploy/local/services.sh install

# One test renders deploy/kubernetes.
kubectl:
	@command -v kubectl >/dev/null || { \
	  echo "Installing kubernetes-client (Debian package) …"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && $$as_root apt-get install -qy kubernetes-client; }

# One test goes through the console as somebody does who has nothing but a browser. What is there stays as it is: a nodejs
# from elsewhere brings its own npm, and Debian's will not go beside it.
browser:
	@missing=; \
	command -v chromium >/dev/null || missing="chromium fonts-dejavu-core"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	[ -z "$$missing" ] || { \
	  echo "Installing $$missing (Debian packages) …"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && $$as_root apt-get install -qy --no-install-recommends $$missing; }

lint: contract ## Format, clippy, the contract of proto/, and whether the breakages of make chaos still fit the code
	cargo fmt --all --check
	git apply --check tests/mutations/*.patch
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

# The rules of buf, and whether clients and services of released versions still understand proto/.
contract: $(BUF)
	$(BUF) lint proto
	for image in proto/*.binpb; do $(BUF) breaking proto --against "$$image"; done

$(BUF):
	@command -v npm >/dev/null || { \
	  echo "Installing npm (Debian package) …"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && $$as_root apt-get install -qy --no-install-recommends npm; }
	npm install --silent --no-fund --no-audit --prefix $(BUF_HOME) @bufbuild/buf@$(BUF_VERSION)

fmt: ## Format everything
	cargo fmt --all

# Seeds of each fault, and profiles that the soak delivers. `make chaos SEED=9` goes on where another has ended.
SEED := 1
SEEDS := 3
SOAK := 5000000

chaos: services faketime ## Every fault that one machine can make, and what became of every row (an hour)
	@echo "Building segue with its kill points (some minutes on a fresh machine) …"
	cargo build --locked --workspace --bins --profile chaos --quiet
	$(TARGET)/chaos/chaos --seed $(SEED) --seeds $(SEEDS) --soak $(SOAK) --page docs/reliability.md
	python3 tests/mutate.py

# One case moves the clocks of the services.
faketime:
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { \
	  echo "Installing libfaketime (Debian package) …"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; \
	  $$as_root apt-get update -q && $$as_root apt-get install -qy --no-install-recommends libfaketime; }

bench: ## Speed and memory, things compared side by side in one run
	cargo build --locked --release --package segue
	python3 tests/bench/bench.py --segue $(TARGET)/release/segue

# The fuzzer, what it is shown, and for how long. What it finds anew stays in the target folder.
FUZZ_VERSION := 0.13.2
FUZZ_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/segue/cargo-fuzz-$(FUZZ_VERSION)
FUZZ_TARGETS := csv ndjson mapping messages answers archives
FUZZ_SECONDS := 60

.PHONY: fuzz
fuzz: $(FUZZ_HOME)/bin/cargo-fuzz ## Each way in for a minute with whatever a fuzzer finds (FUZZ_SECONDS=600)
	@cp Cargo.lock tests/fuzz/Cargo.lock # what is fuzzed is what is built
	@for target in $(FUZZ_TARGETS); do \
	  echo "Fuzzing $$target for $(FUZZ_SECONDS) s …"; \
	  mkdir -p $(TARGET)/fuzz-corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 PATH="$(FUZZ_HOME)/bin:$$PATH" cargo fuzz run --fuzz-dir tests/fuzz \
	    --target-dir $(TARGET)/fuzz $$target \
	    $(TARGET)/fuzz-corpus/$$target tests/fuzz/corpus/$$target tests/golden tests/corpus -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 \
	    -verbosity=0 -print_final_stats=1; \
	done

$(FUZZ_HOME)/bin/cargo-fuzz:
	@echo "Building cargo-fuzz (a few minutes, once) …"
	cargo install --locked --quiet --root $(FUZZ_HOME) cargo-fuzz@$(FUZZ_VERSION)
