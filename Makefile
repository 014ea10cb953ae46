# Two commands matter: `make run` and `make test`. Both install what the machine lacks (see .ci/prepare), then call cargo.

SHOW ?= config/examples/demo.cfg
# More flags for cargo, e.g. CARGO_FLAGS=--locked.
CARGO_FLAGS ?=
# The build with JACK in place of ALSA, and the peer that tests it.
JACK := --features mm-supervisor/jack,mm-tests/jack
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Tests that need what this machine lacks, with their reasons.
skipped := $(abspath $(TARGET))/skipped-tests

# Where `make install` puts what `make build` made; DESTDIR goes in front of all of it, for packages.
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR

.PHONY: help run build test test-alsa test-bare bench bench-faults lint prepare install uninstall
.PHONY: announce-tests prepare-tests prepare-alsa prepare-bare
.DEFAULT_GOAL := help

help:
	@echo 'make run     build the release and run the demo show (SHOW=path/to/show.cfg for another one)'
	@echo 'make build   build the release only: target/release/mm-supervisor and mm-worker'
	@echo 'make test    formatting, lints and all tests'
	@echo 'make test-alsa tests MIDI through ALSA in a small virtual machine (on Debian, amd64)'
	@echo 'make test-bare the two commands on bare systems in folders (as root, on Debian); BARE=debian12 picks one'
	@echo 'make bench   what a show costs; with MM_REFERENCE=path/to/midimonster beside that, in turns'
	@echo 'make bench-faults  what the faults of one instance cost the others'
	@echo 'make lint    formatting and lints only'
	@echo 'make install put what make build made into PREFIX=/usr/local, with a systemd unit; DESTDIR=... goes in front'
	@echo 'make uninstall removes what make install put there'
	@echo 'run, build and test first install what is missing from Debian or Ubuntu packages, and say so.'

run: build
	@$(TARGET)/release/mm-supervisor --config $(SHOW)

build: prepare
	cargo build --release $(CARGO_FLAGS) -p mm-supervisor -p mm-worker

# The end-to-end tests start the two programs, which `cargo test` alone does not build. Loom replaces the atomics of
# the ring: a build of its own, beside the usual one.
test: announce-tests lint
	@rm -f $(skipped)
	cargo build $(CARGO_FLAGS) --workspace
	cargo build $(CARGO_FLAGS) --target-dir $(TARGET)/jack -p mm-supervisor -p mm-tests --bins $(JACK)
	MM_SKIPPED_TESTS=$(skipped) cargo test $(CARGO_FLAGS) --workspace --no-fail-fast
	RUSTFLAGS='--cfg loom' cargo test $(CARGO_FLAGS) --target-dir $(TARGET)/loom --release -p mm-shared --test loom
	@if [ -s $(skipped) ]; then cat $(skipped); echo "$$(wc -l < $(skipped)) tests were skipped on this machine"; fi

announce-tests:
	@echo 'make test takes 10 to 15 minutes on two idle cores the first time; packages that it installs are named first'

# Makes systems below target/ and removes them. Takes half an hour per system and 8 GB.
test-bare: prepare-bare
	@tests/bare/run $(TARGET)/bare $(BARE)

# Against the real sequencer of a kernel of its own, which most machines that build have not loaded.
test-alsa: build prepare-alsa
	@tests/alsa/run $(TARGET)/release $(TARGET)/alsa

# The release programs from outside; takes a few minutes. `cargo bench -p mm-shared` and so on are for the parts. Words
# in BENCH pick works; BENCH=wakeup compares with and without the latency heuristics.
bench: build
	cargo bench $(CARGO_FLAGS) -p mm-tests --bench end_to_end -- $(BENCH)

# Takes about ten minutes; words in BENCH pick faults.
bench-faults: build
	cargo bench $(CARGO_FLAGS) -p mm-tests --bench isolation -- $(BENCH)

lint: prepare-tests
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	cargo clippy $(CARGO_FLAGS) -p mm-supervisor -p mm-tests --all-targets $(JACK) -- -D warnings

prepare:
	@.ci/prepare

prepare-tests:
	@.ci/prepare jack dmx

prepare-alsa:
	@.ci/prepare alsa

prepare-bare:
	@.ci/prepare bare

# What they do is in the script. Its variables go through the environment, since they may have blanks in them.
install:
	@.ci/install install '$(TARGET)/release'

# Leaves the shows in /etc/mm-supervisor and what they keep in /var/lib/mm-supervisor.
uninstall:
	@.ci/install uninstall '$(TARGET)/release'
