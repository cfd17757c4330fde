# The short names of what one does with a checkout. CMake and the scripts do the work.
# `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
# SETUP=true leaves the system's packages alone.
SETUP ?= scripts/setup
JOBS ?= $(shell nproc)
# A status line on a terminal, silence in a log.
NINJA = ninja $(shell test -t 2 || echo --quiet)
CTEST = ctest --output-on-failure --no-tests=error -j $(JOBS)
# Programs and tests share one build folder, so that nothing is compiled twice. A machine without the
# test packages (scripts/setup --test) builds without the tests. Configured once; after that ninja
# sees by itself what has changed.
TESTS = $(shell test -e /usr/include/gtest/gtest.h -a -e /usr/include/rapidcheck.h && echo ON || echo OFF)
CONFIGURE = grep -qs SLUICE_TESTS:BOOL=$(TESTS) build/release/CMakeCache.txt && test -e build/release/build.ninja || \
  cmake --preset release --log-level=WARNING -DSLUICE_TESTS=$(TESTS) -DSLUICE_BENCH=$(TESTS) >/dev/null

.DEFAULT_GOAL := build
.PHONY: help build run test lint bench soak docs install asan tsan fuzz clean setup setup-test

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@$(SETUP)

setup-test:
	@$(SETUP) --test

build: setup ## build/release/bin/sluice and build/release/libexec/sluice/sluice-engine
	@$(CONFIGURE)
	@test -e build/release/bin/sluice || echo "Building; the first time takes some minutes."
	@$(NINJA) -C build/release bin/sluice libexec/sluice/sluice-engine

run: build ## build, then show the main job on a million generated entries
	@build/release/bin/sluice demo --yes

test: setup-test ## build everything and run every test
	@$(CONFIGURE)
	@$(NINJA) -C build/release
	@cd build/release && $(CTEST)

lint: setup-test ## formatting, layers, shell scripts, clang-tidy
	@$(CONFIGURE)
	@scripts/lint

bench: setup-test ## measure, check the bounds, write the table into bench/README.md
	@$(CONFIGURE)
	@$(NINJA) -C build/release
	@bench/run --write

soak: setup-test ## delete and import for SECONDS (600) while requests fail; the cache under kill -9, and with 2 GiB
	@$(CONFIGURE)
	@$(NINJA) -C build/release bin/sluice libexec/sluice/sluice-engine cloudflare-fake localcache_test
	@scripts/soak $(or $(SECONDS),600)
	@scripts/soak-cache

docs: setup-test ## the API reference: build/docs/html/index.html
	@mkdir -p build/docs
	@doxygen docs/Doxyfile
	@echo "build/docs/html/index.html"

install: build ## install under PREFIX (and DESTDIR), with headers and CMake package
	@$(NINJA) -C build/release installables
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)" >/dev/null
	@echo "installed under $(DESTDIR)$(PREFIX)"

asan: setup-test ## unit tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan >/dev/null
	@$(NINJA) -C build/asan
	@cd build/asan && $(CTEST) --label-exclude slow

tsan: setup-test ## unit tests with ThreadSanitizer
	@cmake --preset tsan >/dev/null
	@$(NINJA) -C build/tsan
	@cd build/tsan && $(CTEST) --label-exclude slow

fuzz: setup-test ## every fuzzer for SECONDS (60) each
	@cmake --preset fuzz >/dev/null
	@$(NINJA) -C build/fuzz fuzz/all
	@scripts/fuzz $(or $(SECONDS),60)

clean: ## remove everything that was built
	@rm -rf build
