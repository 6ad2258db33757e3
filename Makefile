# The two commands that matter: `make run` and `make test`. `make help` lists all.
# Each target may be repeated, says what it does, and needs no root beyond the
# installation of packages.
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
BENCH_GB ?= 4
FUZZ_SECONDS ?= 5
CTEST = scripts/ctest

.PHONY: help deps build test fuzz lint sanitize bench run stop clean

help:
	@echo "make run       see it work: protect a private PostgreSQL, Redis and files, destroy them, recover"
	@echo "make stop      end what 'make run' left running"
	@echo "make test      build, then every test (JOBS=$(JOBS), FUZZ_SECONDS=$(FUZZ_SECONDS) for each fuzzer)"
	@echo "make build     build/holdfast"
	@echo "make lint      clang-format, clang-tidy, headers that stand alone (FILES=... for some only)"
	@echo "make sanitize  unit tests under the address, undefined-behaviour and thread sanitizers"
	@echo "make bench     side by side with pgBackRest, restic, borg, pg_receivewal (BENCH_GB=$(BENCH_GB))"
	@echo "make deps      install the packages of packages.txt (root, or sudo)"
	@echo "make clean     remove what was built and what was run"

deps:
	@scripts/deps ensure build run test lint
	@echo "packages: all of packages.txt but the group bench are installed"

build:
	@scripts/deps ensure build
	@scripts/build release holdfast ledger_writer
	@echo "built: build/holdfast"

test:
	@scripts/deps ensure build run test
	@scripts/servers
	@scripts/schemas
	@scripts/build dev
	@scripts/build fuzz fuzzers
	@HOLDFAST_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CTEST) --test-dir build-dev -j $(JOBS)

fuzz:
	@scripts/deps ensure build test
	@scripts/build fuzz fuzzers
	@HOLDFAST_FUZZ_SEED=0 HOLDFAST_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CTEST) --test-dir build-fuzz -j $(JOBS)

lint:
	@scripts/deps ensure build test lint
	@scripts/lint $(FILES)

sanitize:
	@scripts/deps ensure build run test
	@scripts/build asan unit_tests
	@$(CTEST) --test-dir build-asan -j $(JOBS) -R '^unit\.'
	@scripts/build tsan base_test store_test repo_test source_files_test source_postgres_test
	@$(CTEST) --test-dir build-tsan -j $(JOBS) -L '^threads$$'

bench:
	@scripts/deps ensure build run bench
	@scripts/build release holdfast
	@BENCH_GB=$(BENCH_GB) bench/run

run: build
	@scripts/deps ensure run
	@scripts/run-demo

stop:
	@scripts/stop

clean: stop
	@echo "removing build, build-*, run, bench/work (what was fetched stays in .cache)"
	@rm -rf build build-* run bench/work
