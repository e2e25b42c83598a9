# The front door. `make help` says what it can do.

JOBS ?= $(shell nproc)
KERNELS ?= 6.1
FUZZ_SECONDS ?= 60
ARGS ?=
DEPS ?= all

BUILD := build
# An object compiled once is not compiled again, in this tree or a fresh one.
LAUNCHER := $(if $(shell command -v ccache),-DCMAKE_C_COMPILER_LAUNCHER=ccache \
	-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
FUZZERS := $(patsubst tests/fuzz/%_fuzz.cc,%,$(wildcard tests/fuzz/*_fuzz.cc))

.PHONY: build deps run test bench agreement lint format fuzz vmtest clean help
.DEFAULT_GOAL := build

deps: ## Install what building and testing need (root, Debian 12)
	deploy/install_dependencies.sh $(DEPS)

build: $(BUILD)/build.ninja ## Build everything; the daemon is build/pprofd
	cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	cmake --preset release $(LAUNCHER)

run: ## Install, build and run pprofd in the foreground (root; ARGS="--key=value")
	deploy/install_dependencies.sh build
	$(MAKE) $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target pprofd
	$(BUILD)/pprofd run $(ARGS)

test: ## Install, build and run every test (root); JOBS=2
	deploy/install_dependencies.sh all
	$(MAKE) build
	tests/run_all.py --build $(BUILD) --jobs $(JOBS) --kernels "$(KERNELS)"

lint: build ## Check form, include direction and clang-tidy's findings
	cmake/lint.sh $(BUILD) $(JOBS)

format: ## Rewrite all sources in the project's style
	git ls-files -z -co --exclude-standard '*.cc' '*.h' '*.c' | \
		xargs -0 clang-format-19 -i

bench: build ## Measure cost, coverage and memory (root, a quiet machine)
	/usr/bin/python3 tests/bench/run.py --pprofd $(BUILD)/pprofd \
		--out docs/benchmarks.md $(ARGS)

agreement: build ## Compare names and lines with llvm-symbolizer's
	/usr/bin/python3 tests/symbols/agreement.py --pprofd $(BUILD)/pprofd \
		--build $(BUILD)/symbols --jobs $(JOBS) \
		--out docs/symbol-agreement.md $(ARGS)

fuzz: ## Run fuzz targets for FUZZ_SECONDS=60 each; FUZZERS="dwarf elf_file"
	cmake -S . -B build-fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DPPROFD_FUZZ=ON -DCMAKE_C_COMPILER=clang-19 \
		-DCMAKE_CXX_COMPILER=clang++-19 $(LAUNCHER) \
		-DCMAKE_CXX_FLAGS=-fsanitize=fuzzer-no-link,address,undefined
	cmake --build build-fuzz -j $(JOBS) --target fuzzers
	set -e; for name in $(FUZZERS); do \
		mkdir -p build-fuzz/corpus/$$name build-fuzz/findings/$$name; \
		build-fuzz/tests/fuzz/$${name}_fuzz -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=build-fuzz/findings/$$name/ \
			build-fuzz/corpus/$$name tests/fuzz/corpus/$$name; done

vmtest: build ## Test on Debian kernels under qemu: KERNELS="5.10 6.1 6.12 newest"
	tests/vm/vmtest.py --build $(BUILD) $(KERNELS)

clean: ## Remove everything that was built
	rm -rf build build-asan build-debug build-fuzz build-tsan

help: ## Show this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
