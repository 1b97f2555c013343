# Thin lines over CMake; see CONTRIBUTING.md.  `make run` and `make test` do everything from nothing.
BUILD ?= build
JOBS ?= $(shell nproc)
WERROR ?= OFF
PREFIX ?= /usr/local
comma := ,
CTEST = ctest --test-dir $(1) --output-on-failure -j $(JOBS) $(if $(T),-R "$(T)",)

all: $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS) --target troupe troupe_backend_onnxruntime

setup-%:
	@tools/setup $*

$(BUILD)/build.ninja: | setup-build
	@cmake -G Ninja -S . -B $(BUILD) -DTRP_TESTS=$(or $(TESTS),OFF) --log-level=WARNING

# Every tree of its own kind: make the build folder, build all of it, run all tests.
define tested
	@cmake -G Ninja -S . -B $(1) -DTRP_TESTS=ON -DTRP_WERROR=$(WERROR) $(2) --log-level=WARNING
	@cmake --build $(1) -j $(JOBS)
endef

run: setup-run all
	@examples/run $(if $(ONCE),--once,) --troupe $(BUILD)/troupe $(if $(LISTEN),--listen $(LISTEN),)

shop: setup-test all
	@.deps/venv/bin/python examples/shop/run $(if $(ONCE),--once,) --troupe $(BUILD)/troupe $(if $(LISTEN),--listen $(LISTEN),) $(if $(STORE),--store $(STORE),)

test: setup-test
	$(call tested,$(BUILD),)
	@$(call CTEST,$(BUILD))

# Addresses, leaks and undefined behaviour in one go: a report of either fails the test.  Under both sanitizers few end-to-end tests that
# failed without a report are run once more, alone (tools/again).
asan: setup-dev setup-test
	$(call tested,build-asan,-DTRP_SANITIZE=address$(comma)undefined -DTRP_ARENA_MALLOC=ON -DCMAKE_BUILD_TYPE=Debug)
	@tools/sanitized address tools/again build-asan $(call CTEST,build-asan)

tsan: setup-dev setup-test
	$(call tested,build-tsan,-DTRP_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug)
	@tools/sanitized thread tools/again build-tsan $(call CTEST,build-tsan)

torture: setup-dev setup-test
	$(call tested,build-torture,-DTRP_TORTURE=ON -DTRP_SANITIZE=address -DCMAKE_BUILD_TYPE=Debug)
	@tools/torture build-torture $(T)

check: setup-dev
	@cmake -G Ninja -S . -B build-check -DTRP_TESTS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON --log-level=WARNING
	@tools/check build-check

fuzz: setup-dev
	@test -e fuzz/$(T).c || { echo "make fuzz T=... with one of: $(basename $(notdir $(filter-out %_main.c,$(wildcard fuzz/*.c))))"; exit 2; }
	@cmake -G Ninja -S . -B build-fuzz -DTRP_FUZZ=ON -DTRP_SANITIZE=address -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ --log-level=WARNING
	@cmake --build build-fuzz -j $(JOBS) --target fuzz_$(T)
	@tools/fuzz build-fuzz $(T) $(or $(SECONDS_MAX),1200)

bench: setup-dev setup-test
	@cmake -G Ninja -S . -B build-bench -DTRP_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo --log-level=WARNING
	@cmake --build build-bench -j $(JOBS)
	@bench/run $(B)

cov: setup-dev setup-test
	$(call tested,build-cov,-DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=--coverage -DCMAKE_CXX_FLAGS=--coverage)
	@$(call CTEST,build-cov)
	@tools/coverage build-cov $(R)

docs:
	@tools/generate

install: all
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build build-asan build-tsan build-torture build-check build-fuzz build-bench build-cov

.PHONY: all run shop test asan tsan torture check fuzz bench cov docs install clean
