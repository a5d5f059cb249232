# Every command of this project, for people and for CI alike. `make help` lists them.

.DEFAULT_GOAL := help
# The targets share one build directory and, in the tests, the machine: one after another, also with -j.
.NOTPARALLEL:

# Tools that `cargo install` puts there are found even where the login shell did not set the path up.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# The smallest machine that this is meant for has two cores and little memory.
export CARGO_BUILD_JOBS ?= 2

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
FLK := $(abspath $(TARGET_DIR)/debug/flk)

LISTEN ?= 127.0.0.1:8080
DATA_DIR ?= data
BENCH_ROWS := $(abspath $(TARGET_DIR))/bench-judge.tsv
FUZZ_SECONDS ?= 60
TORTURE_ROUNDS ?= 300
GITLEAKS_VERSION := v8.30.1

# What the end-to-end tests are told: the service to start, and where to leave its output.
E2E_SUITES := --lib --bins $(addprefix --test ,audit docs durability e2e embedded faults golden readme secrets vectors_http)
E2E := scripts/with-faults env FLK_BIN=$(FLK) FLK_TEST_LOGS=$(abspath $(TARGET_DIR)/test-logs)

.PHONY: help demo demo-kafka test run build build-kafka check fmt clippy doc no-skips deny unit servers e2e shapes bench fuzz torture promises \
	security advisories secrets setup setup-deny setup-fuzz setup-secrets setup-servers

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: build ## build, then show one of everything, a crash in the middle included
	$(FLK) demo

demo-kafka: build-kafka ## over Kafka and Redis: two of each role under load and under fire, every record accounted for
	FLK_BIN=$(FLK) cargo run --locked --quiet -p flk-tests --bin demo-kafka

test: check unit e2e ## everything that must hold: installs what is missing, checks, all tests

run: build ## serve on LISTEN (127.0.0.1:8080) with a development key kept in DATA_DIR (data)
	@FLK_BIN=$(FLK) scripts/run-dev $(LISTEN) $(DATA_DIR)

build: setup ## build the service, target/debug/flk
	cargo build --locked -p flk

# The client of Kafka and OpenSSL take their time to build: whoever only tries the service need not wait for them.
build-kafka: setup-servers
	@scripts/setup kafka
	cargo build --locked -p flk --features kafka

check: fmt clippy doc no-skips deny ## format, lints, documentation, dependency policy

fmt: setup
	cargo fmt --all --check

clippy: setup
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

# A skipped test is a failed one.
no-skips:
	@! grep -rn --include='*.rs' --exclude-dir=target '#\[ignore' . \
		|| { echo "make: the tests above are ignored: mend them or remove them." >&2; exit 1; }

deny: setup-deny
	cargo deny --locked check --hide-inclusion-graph licenses bans sources

unit: setup ## unit, property and documentation tests of every crate
	cargo test --locked --workspace --exclude flk-tests --exclude flk-servers

servers: setup-servers ## the servers that tests start (Kafka, Redis, Postgres), and the faults between
	cargo test --locked -p flk-servers

e2e: build-kafka ## end to end in every shape, durability, faults (ARGS="--test NAME" for some, embedded)
	$(E2E) cargo test --locked -p flk-tests $(or $(ARGS),$(E2E_SUITES))
	$(if $(ARGS),,$(MAKE) shapes)

# Servers that die, hang and forget, under load: a quarter of an hour.
promises: build-kafka setup-servers ## the promises of the shape over Kafka, each with a real fault
	$(E2E) cargo test --locked -p flk-tests --test kafka $(ARGS)

# What is promised is the same in each shape, and so are the tests of it.
shapes: build-kafka ## the end-to-end suite and the vectors over Kafka and Redis: one process, and one of each role
	for shape in kafka roles; do \
		echo "shape: $$shape"; \
		$(E2E) FLK_SHAPE=$$shape cargo test --locked -p flk-tests --test e2e --test vectors_http || exit 1; \
	done

torture: build ## the durability test with TORTURE_ROUNDS (300) rounds of SIGKILL, the model check far and wide
	$(E2E) FLK_ROUNDS=$(TORTURE_ROUNDS) cargo test --locked -p flk-tests --test durability -- --nocapture
# One at a time: each takes up to two gigabytes.
	FLK_MODEL_WIDE=1 cargo test --locked -p flk-model --test holds -- --nocapture --test-threads=1

bench: setup ## the targets of the design: ratio, target, met or not
	FLK_BENCH_ROWS=$(BENCH_ROWS) cargo bench --locked -p flk-contract --bench judge
	cargo build --locked --release -p flk -p flk-bench
	FLK_BENCH_ROWS=$(BENCH_ROWS) $(TARGET_DIR)/release/flk-bench

# RUSTC_BOOTSTRAP: sanitizers are a nightly feature; this way the pinned compiler does.
# What a run finds goes to fuzz/found; fuzz/corpus holds the seeds, and only them.
fuzz: setup-fuzz ## each fuzz target for FUZZ_SECONDS (60)
	@set -eu; export RUSTC_BOOTSTRAP=1; targets=$$(cargo fuzz list); \
	[ -n "$$targets" ] || { echo "make: there are no fuzz targets under fuzz/" >&2; exit 1; }; \
	for target in $$targets; do \
		echo "fuzz: $$target, $(FUZZ_SECONDS) s"; \
		mkdir -p "fuzz/found/$$target" "fuzz/corpus/$$target"; \
		cargo fuzz run "$$target" "fuzz/found/$$target" "fuzz/corpus/$$target" -- \
			-dict=fuzz/record.dict -max_total_time=$(FUZZ_SECONDS) -timeout=10; \
	done

security: advisories secrets ## known vulnerabilities of dependencies, secrets in the history (both ask the network)

advisories: setup-deny
	cargo deny --locked check advisories

secrets: setup-secrets
	go run github.com/zricethezav/gitleaks/v8@$(GITLEAKS_VERSION) git --no-banner --redact --verbose

setup:
	@scripts/setup build

setup-deny: setup
	@scripts/setup deny

setup-fuzz: setup
	@scripts/setup fuzz

setup-servers: setup
	@scripts/setup servers

setup-secrets:
	@scripts/setup secrets
