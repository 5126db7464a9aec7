# The commands of siskin; README.md and CONTRIBUTING.md explain them.
# Tests build in the release profile, so that llama.cpp is compiled once.

CARGO ?= cargo
# A toolchain that rustup has just installed is not on the caller's PATH yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: run setup build test embed check bench bench-full soak pull-live fuzz man cross cross-test dist spec-full clean

run: build
	./target/release/siskin run

setup:
	@./scripts/setup.sh

build: setup
	$(CARGO) build --release --locked

# Crates without llama.cpp are tested in the dev profile too: with overflow checks.
LIGHT = -p siskin-device -p siskin-grammar -p siskin-jinja -p siskin-kernels -p siskin-link -p siskin-model -p siskin-quant

test: setup
	$(CARGO) test --locked $(LIGHT)
	$(CARGO) test --release --locked --workspace

# A program outside the workspace that embeds the library. It uses the same target folder, so that llama.cpp is not
# compiled again.
embed: setup
	cp Cargo.lock tests/embed/Cargo.lock
	CARGO_TARGET_DIR=$(CURDIR)/target $(CARGO) run --release --manifest-path tests/embed/Cargo.toml

check: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check; \
	else echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"; fi

# Writes manual pages to target/man.
man: build
	./target/release/siskin man target/man

bench: setup
	@mkdir -p target
	bash -o pipefail -c "$(CARGO) bench --locked --workspace --bench '*' | tee target/bench.txt"
	bash -o pipefail -c "./scripts/callgrind.sh | tee target/callgrind.txt"
	@echo "stored: target/bench.txt, target/callgrind.txt and criterion's reports in target/criterion"

# Builds for another device: make cross TARGET=raspberry-pi-5. Without TARGET it lists the devices.
cross:
	@./scripts/cross.sh $(TARGET)

# Builds it too, then checks its contents and, under an emulator, that it gives the same results as this
# machine's program.
cross-test:
	@./scripts/test-cross.sh $(TARGET)

# Release archives and packages, in dist/: make dist TARGETS="raspberry-pi-5 x86-64-v3". Without TARGETS: all.
dist: build
	@./scripts/dist.sh $(TARGETS)

# Writes BENCHMARKS.md.
bench-full: build
	./scripts/bench-full.sh

# Ten thousand mixed requests to the service; its memory must not grow. SOAK is a model's file, or arguments.
soak: build
	./scripts/soak-serve.py $(SOAK)

# Compares texts with guesses to texts without: every prompt of Spec-Bench (a part of ARCHITECTURE.md if ../shared is not there),
# one to seven guesses, one to four threads, every type, depths to 4,096 tokens. Hours, with every fixture; SPEC is a model's
# file to take instead, PROMPTS the number of prompts.
spec-full: build
	SISKIN_SPEC_MODEL=$(if $(SPEC),$(abspath $(SPEC))) SISKIN_SPEC_PROMPTS=$(PROMPTS) \
		$(CARGO) test --release --locked --test speculation -- --ignored --nocapture

# A first pull from the real hub, with the head of every answer, to compare with what the tests' hub does. The smallest model of
# the catalogue's family by default.
PULL ?= EleutherAI/pythia-14m@step143000
pull-live: build
	mkdir -p target/pull-live
	SISKIN_HUB_HEADS=1 SISKIN_MODELS=target/pull-live ./target/release/siskin pull $(PULL) --type q8_0 2>&1 | tee target/pull-live/heads.txt

# Runs each target for FUZZ_SECONDS; needs a nightly toolchain and cargo-fuzz.
FUZZ_SECONDS ?= 60
fuzz: build
	./fuzz/seeds.sh
	for target in grammar gguf request safetensors template text tokenizer; do \
		words=fuzz/corpus/$$target.dict; \
		if [ -f $$words ]; then words=-dict=$$words; else words=; fi; \
		$(CARGO) +nightly fuzz run $$target -- $$words -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2000 -timeout=10 || exit 1; \
	done

clean:
	$(CARGO) clean
