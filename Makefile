# SPDX-License-Identifier: MIT
# `make help` lists the targets. Sources are found by folder: a new .c file needs no line here.
#
#   src/<layer>/*.c      -> $(B)/lib<layer>.a          (order of the layers: src/LAYERS)
#   src/lib and what is below it -> $(B)/libcordwood.a, libcordwood.so
#   src/server/main.c    -> $(B)/cordwood-server       src/tool/main.c -> $(B)/cordwood
#   tests/unit/<layer>/test_*.c -> $(B)/tests/unit/<layer>/test_*   linked with its layer and those below
#   tests/server/test_*.c, tests/fault/test_*.c, tests/sim/test_*.c -> one program each
#   tests/fuzz/fuzz_*.c  -> one program each with tests/fuzz/driver.c
#
# A variant is another build folder with other flags: make VARIANT=asan ..., VARIANT=tsan, VARIANT=debug.

VARIANT ?=
# make V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $@")
B := build$(if $(VARIANT),/$(VARIANT))
CC := gcc
CPPFLAGS := -Isrc -Itests -Iutils -D_GNU_SOURCE
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wvla -Wno-missing-field-initializers
CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -pthread $(WARNINGS)
LDFLAGS := -pthread
# The engine and the types check their own structure as they go (CORDWOOD_DEBUG), in asan too.
ifeq ($(VARIANT),debug)
CFLAGS := $(CFLAGS) -Og -DCORDWOOD_DEBUG
endif
# What is built to be run a few times must be built quickly: a report needs the lines, not the variables, and
# the tests' own code need not be fast.
QUICK := -O1 -g1
QUICK_LD := $(if $(shell command -v ld.gold),-fuse-ld=gold)
TEST_CFLAGS := $(if $(filter asan tsan,$(VARIANT)),-O0)
ifeq ($(VARIANT),asan)
CFLAGS := $(CFLAGS) $(QUICK) -DCORDWOOD_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined $(QUICK_LD)
endif
ifeq ($(VARIANT),tsan)
CFLAGS := $(CFLAGS) $(QUICK) -fsanitize=thread
LDFLAGS += -fsanitize=thread $(QUICK_LD)
endif

# The server is optimised as a whole, from objects of its own: most of what a command runs through are short
# functions of other files. LTO=no links it from the layers' archives, as tests and benches of layers are.
LTO ?= $(if $(VARIANT),no,yes)

# Counters at every line, see `make coverage`; nothing is inlined or moved, so that lines are lines. What
# gcc warns of depends on how much it optimises.
ifeq ($(VARIANT),coverage)
CFLAGS := $(CFLAGS) -O0 -Wno-error --coverage -fprofile-update=atomic
LDFLAGS += --coverage
endif

# Fuzzing by libFuzzer, see `make fuzz`; other compilers' warnings are not errors there, and NULL + 0
# (an empty slice) is fine.
ifeq ($(VARIANT),fuzz)
CC := $(firstword $(shell command -v clang clang-19 clang-16 clang-15 clang-14) clang)
CFLAGS := $(CFLAGS) -O1 -Wno-error -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize=pointer-overflow -fno-sanitize-recover=all
LDFLAGS += -fsanitize=fuzzer,address,undefined
endif

BELOW_server := commands replication types runner lsm json resp vfs base
LAYERS := $(shell cat src/LAYERS)
libs_of = $(foreach layer,$(1),$(B)/lib$(layer).a)
# The libraries that a layer's tests link with, highest first.
LIBS_base := base
LIBS_vfs := vfs base
LIBS_resp := resp base
LIBS_json := json base
LIBS_lsm := lsm vfs base
LIBS_runner := runner lsm vfs base
LIBS_types := types lsm vfs base
LIBS_commands := commands types runner lsm json resp vfs base
LIBS_lib := lib types runner lsm vfs base
LIBS_server := server $(LIBS_commands)
LIBS_tool := tool $(LIBS_commands)
LIBS_tests := $(LIBS_server)
LIBS_bench := bench base
comma := ,
# Zstandard is built in where pkg-config or the compiler finds it, and left out with ZSTD=no.
ZSTD_LIBS := $(shell pkg-config --libs libzstd 2>/dev/null)
ifndef ZSTD
ZSTD := $(if $(ZSTD_LIBS),yes,$(shell printf '\#include <zstd.h>\n' | $(CC) -E - >/dev/null 2>&1 && echo yes || echo no))
endif
ifeq ($(ZSTD),yes)
ZSTD_FLAGS := -DCORDWOOD_ZSTD $(shell pkg-config --cflags libzstd 2>/dev/null)
ZSTD_REQUIRED := $(if $(ZSTD_LIBS),$(comma) libzstd)
ZSTD_PRIVATE := $(if $(ZSTD_LIBS),,-lzstd )
ZSTD_LIBS := $(or $(ZSTD_LIBS),-lzstd)
else ifeq ($(ZSTD),no)
ZSTD_LIBS :=
else
$(error ZSTD=$(ZSTD): yes or no)
endif
# TLS the same: OpenSSL 1.1.1 or newer, or TLS=no. Only programs that call it ask for its libraries.
ifndef TLS
TLS := $(shell printf '\#include <openssl/ssl.h>\n\#if OPENSSL_VERSION_NUMBER < 0x10101000L\n\#error old\n\#endif\n' | \
	$(CC) $(shell pkg-config --cflags openssl 2>/dev/null) -E - >/dev/null 2>&1 && echo yes || echo no)
endif
ifeq ($(TLS),yes)
TLS_FLAGS := -DCORDWOOD_TLS $(shell pkg-config --cflags openssl 2>/dev/null)
TLS_LIBS := -Wl,--push-state,--as-needed $(or $(shell pkg-config --libs openssl 2>/dev/null),-lssl -lcrypto) -Wl,--pop-state
else ifneq ($(TLS),no)
$(error TLS=$(TLS): yes or no)
endif
SYSTEM_LIBS := -llz4 $(ZSTD_LIBS) -lxxhash -luv $(TLS_LIBS) -lm
LIBRARY_LIBS := -llz4 $(ZSTD_LIBS) -lm
TEST_LIBS := -lcmocka -lhiredis -ljson-c

sources = $(filter-out %/main.c,$(wildcard src/$(1)/*.c))
object = $(patsubst src/%.c,$(B)/obj/%.o,$(1))

PROGRAMS := $(if $(wildcard src/server/main.c),$(B)/cordwood-server) \
	$(if $(wildcard src/tool/main.c),$(B)/cordwood)

.PHONY: all
all: $(PROGRAMS)

.PHONY: run
run: ## install what is missing, build, start the server on 127.0.0.1:6379 (FLAGS=)
	@deps/install.sh build
	@$(MAKE) --no-print-directory -s -j$$(getconf _NPROCESSORS_ONLN) build/cordwood-server
	@exec build/cordwood-server $(FLAGS)

.PHONY: check
check: ## install what is missing and run every test (under 12 minutes on 2 cores)
	@deps/install.sh test
	@utils/check

define layer_rules
$(B)/lib$(1).a: $(call object,$(call sources,$(1)))
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(layer))))

# GIT-free and reproducible: every object notes the headers that it read.
$(B)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/obj/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/obj/utils/%.o: utils/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/obj/tests/unit/%.o $(B)/obj/tests/server/%.o: CFLAGS += $(TEST_CFLAGS)

# The one file that knows the library, made anew when it comes or goes.
ZSTD_OBJECTS := $(patsubst %,$(B)/obj/%/compression.o,lsm lto/lsm library/lsm)
$(ZSTD_OBJECTS): CPPFLAGS += $(ZSTD_FLAGS)
$(ZSTD_OBJECTS) $(B)/cordwood.pc: $(B)/obj/zstd-$(ZSTD)
$(B)/obj/zstd-$(ZSTD):
	@mkdir -p $(@D)
	@rm -f $(B)/obj/zstd-*
	@touch $@

# What knows OpenSSL, tests included.
TLS_OBJECTS := $(patsubst %,$(B)/obj/%.o,server/tls_context server/tls_session lto/server/tls_context lto/server/tls_session tests/lib/tls_peer tests/lib/tls_client \
	$(addprefix tests/,unit/server/test_tls_context unit/server/test_tls_session server/test_tls server/test_held_replies fuzz/fuzz_tls))
$(TLS_OBJECTS): CPPFLAGS += $(TLS_FLAGS)
$(TLS_OBJECTS): $(B)/obj/tls-$(TLS)
$(B)/obj/tls-$(TLS):
	@mkdir -p $(@D)
	@rm -f $(B)/obj/tls-*
	@touch $@

ifeq ($(LTO),yes)
LTO_OBJECTS := $(patsubst src/%.c,$(B)/obj/lto/%.o,src/server/main.c $(foreach layer,$(LIBS_server),$(call sources,$(layer))))
$(B)/obj/lto/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -flto -MMD -MP -c $< -o $@
$(B)/cordwood-server: $(LTO_OBJECTS) $(B)/obj/lto-yes
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -O2 -flto=auto $(LTO_OBJECTS) -o $@ $(SYSTEM_LIBS)
else
$(B)/cordwood-server: $(B)/obj/server/main.o $(call libs_of,$(LIBS_server)) $(B)/obj/lto-$(LTO)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o %.a,$^) -o $@ $(SYSTEM_LIBS)
endif
$(B)/obj/lto-$(LTO):
	@mkdir -p $(@D)
	@rm -f $(B)/obj/lto-*
	@touch $@
$(B)/cordwood: $(B)/obj/tool/main.o $(call libs_of,$(LIBS_tool))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(SYSTEM_LIBS)

# ---- The library ---------------------------------------------------------------------------------

# libcordwood: its layers compiled once more, position-independent and with nothing to be seen from outside
# but what src/lib/cordwood.map names. The static one is a single object, so that other names stay inside.
LIBRARY_VERSION := $(shell sed -n 's/^\#define CORDWOOD_VERSION "\(.*\)"/\1/p' src/base/release.h)
LIBRARY_SONAME := libcordwood.so.$(firstword $(subst ., ,$(LIBRARY_VERSION)))
LIBRARY_OBJECTS := $(foreach layer,$(LIBS_lib),$(patsubst src/%.c,$(B)/obj/library/%.o,$(call sources,$(layer))))
LIBRARY_HEADERS := cordwood.h cordwood_log.h
LIBRARY := $(B)/libcordwood.a $(B)/libcordwood.so.$(LIBRARY_VERSION) $(B)/$(LIBRARY_SONAME) $(B)/libcordwood.so \
	$(B)/cordwood.pc $(addprefix $(B)/include/,$(LIBRARY_HEADERS))
$(B)/obj/library/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@
$(B)/libcordwood.so.$(LIBRARY_VERSION): $(LIBRARY_OBJECTS) src/lib/cordwood.map
	$(call say,LD)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,$(LIBRARY_SONAME) -Wl,--version-script=src/lib/cordwood.map $(if $(VARIANT),,-Wl$(comma)-z$(comma)defs) \
		$(LIBRARY_OBJECTS) -o $@ $(LIBRARY_LIBS)
$(B)/$(LIBRARY_SONAME) $(B)/libcordwood.so: $(B)/libcordwood.so.$(LIBRARY_VERSION)
	@ln -sf $(<F) $@
$(B)/libcordwood.a: $(LIBRARY_OBJECTS)
	$(call say,AR)
	$(Q)ld -r $^ -o $(B)/obj/library/cordwood.o
	$(Q)objcopy --localize-hidden $(B)/obj/library/cordwood.o
	@rm -f $@
	@ar rcs $@ $(B)/obj/library/cordwood.o
$(B)/cordwood.pc: src/lib/cordwood.pc.in src/base/release.h Makefile
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(LIBRARY_VERSION)|; s|@ZSTD_REQUIRED@|$(ZSTD_REQUIRED)|; s|@ZSTD_PRIVATE@|$(ZSTD_PRIVATE)|' $< >$@
$(B)/include/%.h: src/lib/%.h
	@mkdir -p $(@D)
	@sed 's|#include "lib/|#include "|' $< >$@

.PHONY: library
library: $(LIBRARY) ## libcordwood, static and shared, beside its headers in build/include

PREFIX ?= /usr/local
INSTALL_LIB := $(DESTDIR)$(PREFIX)/lib
INSTALL_INCLUDE := $(DESTDIR)$(PREFIX)/include
INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
.PHONY: install uninstall
install: $(LIBRARY) $(PROGRAMS) ## programs, library and headers under PREFIX= (/usr/local), below DESTDIR=
	@rm -f $(B)/cordwood.pc
	@$(MAKE) --no-print-directory -s $(B)/cordwood.pc
	install -d $(INSTALL_BIN) $(INSTALL_LIB)/pkgconfig $(INSTALL_INCLUDE)
	install -m 755 $(PROGRAMS) $(INSTALL_BIN)
	install -m 644 $(addprefix $(B)/include/,$(LIBRARY_HEADERS)) $(INSTALL_INCLUDE)
	install -m 644 $(B)/libcordwood.a $(INSTALL_LIB)
	install -m 755 $(B)/libcordwood.so.$(LIBRARY_VERSION) $(INSTALL_LIB)
	ln -sf libcordwood.so.$(LIBRARY_VERSION) $(INSTALL_LIB)/$(LIBRARY_SONAME)
	ln -sf $(LIBRARY_SONAME) $(INSTALL_LIB)/libcordwood.so
	install -m 644 $(B)/cordwood.pc $(INSTALL_LIB)/pkgconfig
	$(if $(DESTDIR),,-ldconfig)
uninstall: ## removes what install has put there
	rm -f $(addprefix $(INSTALL_BIN)/,$(notdir $(PROGRAMS))) $(addprefix $(INSTALL_INCLUDE)/,$(LIBRARY_HEADERS)) \
		$(INSTALL_LIB)/libcordwood.a $(INSTALL_LIB)/libcordwood.so $(INSTALL_LIB)/$(LIBRARY_SONAME) \
		$(INSTALL_LIB)/libcordwood.so.$(LIBRARY_VERSION) $(INSTALL_LIB)/pkgconfig/cordwood.pc

# Its symbols, its headers in C and C++, the examples, an installed tree and what uninstall leaves of it.
.PHONY: check-library
check-library: $(LIBRARY) $(PROGRAMS) ## the library as its users have it: symbols, headers, examples, install
	+@utils/check-library $(B)

# What the benches share; tests/unit/bench tests it.
$(B)/libbench.a: $(patsubst %,$(B)/obj/utils/bench/%.o,latency results disk values ycsb)
	@rm -f $@
	@ar rcs $@ $^

# ---- Tests ---------------------------------------------------------------------------------------

TEST_LIB_OBJECTS := $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/lib/*.c))
$(B)/libtests.a: $(TEST_LIB_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c)
BIG_SOURCES := $(wildcard tests/server/test_*.c tests/fault/test_*.c tests/sim/test_*.c tests/stress/test_*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
test_program = $(patsubst tests/%.c,$(B)/tests/%,$(1))
UNIT_TESTS := $(call test_program,$(UNIT_SOURCES))
BIG_TESTS := $(call test_program,$(BIG_SOURCES))
FUZZ_TESTS := $(call test_program,$(FUZZ_SOURCES))

define unit_rules
$(B)/tests/unit/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $(B)/libtests.a $(call libs_of,$(LIBS_$(1)))
	@mkdir -p $$(@D)
	$$(call say,LD)
	$$(Q)$(CC) $$(LDFLAGS) $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -o $$@ $(TEST_LIBS) $(SYSTEM_LIBS)
endef
$(foreach layer,$(LAYERS) bench,$(eval $(call unit_rules,$(layer))))

# This test answers system calls itself.
WRAPPED_CALLS := pread pwrite preadv2 fdatasync fsync ftruncate flock fstat stat statvfs unlink rename link mkdir rmdir \
	open opendir readdir
$(B)/tests/unit/vfs/test_vfs_posix_calls: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(WRAPPED_CALLS))

# This one counts the contexts of Zstandard, and fails them.
$(B)/obj/tests/unit/lsm/test_compression_contexts.o: CPPFLAGS += $(ZSTD_FLAGS)
$(B)/obj/tests/unit/lsm/test_compression_contexts.o: $(B)/obj/zstd-$(ZSTD)
ifeq ($(ZSTD),yes)
$(B)/tests/unit/lsm/test_compression_contexts: LDFLAGS += $(addprefix -Wl$(comma)--wrap=ZSTD_,createCCtx createDCtx freeDCtx decompressDCtx compressStream2)
endif

# This one knows when a thread waits.
$(B)/tests/unit/lsm/test_wal_waiting: LDFLAGS += -Wl,--wrap=pthread_cond_wait

FUZZ_DRIVER := $(if $(filter fuzz,$(VARIANT)),,$(B)/obj/tests/fuzz/driver.o)
$(B)/tests/fuzz/%: $(B)/obj/tests/fuzz/%.o $(FUZZ_DRIVER) $(B)/libtests.a $(call libs_of,$(LIBS_tests))
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -o $@ $(TEST_LIBS) $(SYSTEM_LIBS)
$(BIG_TESTS): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtests.a $(call libs_of,$(LIBS_tests))
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -o $@ $(TEST_LIBS) $(SYSTEM_LIBS)
$(B)/tests/stress/test_stress: $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/stress/stress_*.c))
# The simulator: tests/sim/README.md.
SIM_OBJECTS := $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(filter-out %/main.c %/test_simulation.c,$(wildcard tests/sim/*.c)))
$(B)/libsim.a: $(SIM_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^
$(B)/tests/sim/test_simulation: $(B)/libsim.a
$(B)/sim/simulate: $(B)/obj/tests/sim/main.o $(B)/libsim.a $(B)/libtests.a $(call libs_of,$(LIBS_commands))
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -o $@ $(TEST_LIBS) $(SYSTEM_LIBS)
.PHONY: sim
sim: $(B)/sim/simulate ## the simulator, seed after seed: SEED= (the first, 1), TIME= (seconds, 60)
	@$(B)/sim/simulate --seed $(or $(SEED),1) --time $(or $(TIME),60)
# FIRST=1: every bug until a seed catches it.
.PHONY: sim-canaries
sim-canaries: $(B)/sim/simulate ## planted bugs: in how many seeds the simulator catches each (SEEDS=, 20)
	@CC="$(CC)" CFLAGS="$(CPPFLAGS) $(CFLAGS)" \
		LIBS="$(B)/obj/tests/sim/main.o $(B)/libsim.a $(B)/libtests.a $(call libs_of,$(LIBS_commands)) -Wl,--end-group $(LDFLAGS) $(TEST_LIBS) $(SYSTEM_LIBS)" \
		utils/sim-canaries $(if $(ONE),--one tests/sim/bugs/$(ONE).patch,$(if $(FIRST),--first))

# What tests start as a process.
$(BIG_TESTS): | $(PROGRAMS)

.PHONY: unit
unit: $(UNIT_TESTS) ## unit tests of this variant
	@utils/run-tests $(UNIT_TESTS)

.PHONY: fuzz-short
fuzz-short: $(FUZZ_TESTS) ## every fuzzer for a few seconds (FUZZ_SECONDS=, SEED=)
	@utils/run-tests $(FUZZ_TESTS)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_TESTS)

# New inputs are kept under build/corpus from run to run (tests/fuzz/README.md). FUZZ= names some fuzzers.
.PHONY: fuzz fuzz-corpus fuzz-libfuzzer
fuzz: fuzz-libfuzzer ## every fuzzer under libFuzzer, FUZZ_SECONDS= each (60); needs clang
	@utils/fuzz run $(FUZZ)
fuzz-corpus: fuzz-libfuzzer ## brings what `make fuzz` found into tests/fuzz/corpus
	@utils/fuzz merge $(FUZZ)
fuzz-libfuzzer:
	@deps/install.sh fuzz
	@$(MAKE) --no-print-directory fuzz-programs
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-programs

# The programs of big tests start a server or link all layers; they need the server of their variant.
.PHONY: big
big: $(BIG_TESTS) $(PROGRAMS) ## server, fault and simulation tests of this variant
	@utils/run-tests $(filter-out $(if $(VARIANT),$(SYNC_CANARY)),$(BIG_TESTS))

# It shows that the power-loss tests would notice a sync that is missing; those run in each variant themselves.
SYNC_CANARY := $(B)/tests/fault/test_sync_canary
.PHONY: sync-canary
sync-canary: $(SYNC_CANARY) ## power-loss tests with each sync left out
	@utils/run-tests $(SYNC_CANARY)

# A short run of it is among the fault tests.
.PHONY: crash
crash: $(B)/tests/fault/test_crash $(PROGRAMS) ## kill -9 under load, KILLS= times (240), SEED=
	KILLS=$${KILLS:-240} $(B)/tests/fault/test_crash

# A sample of it is among the fault tests.
FAULT_CAMPAIGNS := $(call test_program,$(wildcard tests/fault/test_every_*.c) tests/unit/types/test_read_errors.c)
.PHONY: faults
faults: $(FAULT_CAMPAIGNS) ## every vfs call and every allocation that can fail fails in turn, all of them (SEED=)
	@for program in $(FAULT_CAMPAIGNS); do FAULTS=all $$program || exit 1; done

# A short run of it is among the big tests.
.PHONY: stress
stress: $(B)/tests/stress/test_stress $(PROGRAMS) ## all commands by many clients, kill -9 again and again, TIME= seconds (120), CLIENTS=, SEED=
	TIME=$${TIME:-120} $(B)/tests/stress/test_stress

# Figures; a short one: HOSTILE_SECONDS=0.5 make hostile.
.PHONY: hostile
hostile: $(B)/tests/stress/hostile $(PROGRAMS) ## memory and latency with hostile clients (HOSTILE_SECONDS=, HOSTILE_ONLY=)
	$(B)/tests/stress/hostile
$(B)/tests/stress/hostile: $(B)/obj/tests/stress/hostile.o $(B)/libtests.a $(call libs_of,vfs base)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) $(B)/libbase.a -o $@ $(SYSTEM_LIBS)

# Tests in which several threads meet: all that need a look by ThreadSanitizer. Left out are those of one client after
# another, whose server's threads meet as they do in the rest.
ONE_CLIENT := $(patsubst %,tests/%.c,unit/commands/test_strings unit/commands/test_copy_commands $(addprefix server/test_, \
	client_memory config_flags dump_restore json logs protected_mode tool transcripts))
CONCURRENT_SOURCES := $(filter-out $(ONE_CLIENT),$(shell grep -lsE \
	'pthread_create|server_create|test_server_start|server_fixture.h' $(UNIT_SOURCES) $(BIG_SOURCES)))
CONCURRENT_TESTS := $(call test_program,$(CONCURRENT_SOURCES))
.PHONY: concurrent-programs
concurrent-programs: $(CONCURRENT_TESTS) $(PROGRAMS)
.PHONY: concurrent
concurrent: $(CONCURRENT_TESTS) $(PROGRAMS) ## the tests with several threads
	@utils/run-tests $(CONCURRENT_TESTS)

.PHONY: tests
tests: $(UNIT_TESTS) $(BIG_TESTS) $(PROGRAMS) # built, not run

# Documents that the tables in the source yield.
.PHONY: documents
documents: $(B)/cordwood-server ## write the generated documents anew
	@utils/documents write $(B)

.PHONY: tools clients
tools: $(PROGRAMS) ## redis-cli, redis-benchmark, client libraries, redis-commander, exporter, log shippers against the server (TOOLS=, utils/tools/README.md)
	@deps/install.sh tools $(B)
	@utils/tools/run $(B) $(TOOLS)
clients: ## of `make tools` the client libraries: redis-py, node-redis, ioredis
	@$(MAKE) --no-print-directory tools TOOLS="python3-redis node-redis ioredis"

.PHONY: bench
bench: ## every benchmark: speed, disk, start-up beside other programs (utils/bench/README.md)
	@$(MAKE) --no-print-directory bench-server
	@$(MAKE) --no-print-directory bench-engine
.PHONY: bench-server
bench-server: ## the server beside redis-server (settings: utils/bench/README.md)
	@deps/install.sh test
	@$(MAKE) --no-print-directory $(B)/bench_server $(PROGRAMS)
	BENCH_COMMIT=$${BENCH_COMMIT:-$$(git rev-parse --short HEAD 2>/dev/null)} $(B)/bench_server $(B)/bench-server.tsv
# So small that the figures say nothing: only that the benchmarks run.
.PHONY: bench-smoke
bench-smoke: $(B)/bench_server $(PROGRAMS) bench-engine-smoke
	BENCH_SECONDS=0.02 BENCH_ROUNDS=1 BENCH_ENTRIES=5000 BENCH_RECORDS=500 BENCH_FILTER=ysec/16 \
		BENCH_SUSTAINED_SECONDS=1 BENCH_GROWTH_MIB=40 BENCH_DELETED=10000 BENCH_WAL_MIB=2 \
		$(B)/bench_server $(B)/bench-smoke.tsv
BENCH_SERVER := $(patsubst %.c,$(B)/obj/%.o,$(wildcard utils/bench/server/*.c))
$(B)/bench_server: $(BENCH_SERVER) $(B)/libbench.a $(B)/libtests.a $(B)/libbase.a
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ -lhiredis -lxxhash -lm

.PHONY: plots
plots: ## draws the benchmarks' last results into utils/bench/plots
	@deps/install.sh plots
	utils/bench/plot.py utils/bench/plots $(B)/bench-server.tsv $(B)/bench-engine.tsv

BENCH_ENGINE := $(patsubst %.c,$(B)/obj/%.o,$(wildcard utils/bench/engine/*.c))
$(B)/bench_engine: $(BENCH_ENGINE) $(B)/libbench.a $(call libs_of,runner lsm vfs base)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ -lrocksdb -lleveldb $(SYSTEM_LIBS)
# Its headers must be there before anything is compiled.
.PHONY: bench-engine
bench-engine: ## the engine beside RocksDB and LevelDB, YCSB A-F (BENCH_ENTRIES= BENCH_ONLY= ...)
	@deps/install.sh bench
	@$(MAKE) --no-print-directory $(B)/bench_engine
	BENCH_COMMIT=$${BENCH_COMMIT:-$$(git rev-parse --short HEAD 2>/dev/null)} BENCH_DIR=$${BENCH_DIR:-$(B)} \
		$(B)/bench_engine $(B)/bench-engine.tsv
.PHONY: bench-engine-smoke
bench-engine-smoke:
	@deps/install.sh bench
	@$(MAKE) --no-print-directory $(B)/bench_engine
	BENCH_DIR=$(B) BENCH_SECONDS=0.01 BENCH_ROUNDS=1 BENCH_ENTRIES=5000 BENCH_RECORDS=500 BENCH_BUFFER_MIB=1 \
		$(B)/bench_engine $(B)/bench-engine-smoke.tsv

# The blocks of entries without the engine; CORPUS as for acceptance.
BENCH_CODEC := $(patsubst %.c,$(B)/obj/%.o,$(wildcard utils/bench/codec/*.c))
$(B)/bench_codec: $(BENCH_CODEC) $(call libs_of,types lsm vfs base)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(SYSTEM_LIBS)
.PHONY: bench-codec
bench-codec: $(B)/bench_codec ## bytes and time an entry in blocks of entries, LZ4 and Zstandard (CORPUS=folder with *.log and gendata.py, BENCH_ENTRIES= BENCH_ONLY=)
	@deps/install.sh profile
	@mkdir -p $(B)/codec
	@$(CORPUS)/gendata.py $(or $(BENCH_ENTRIES),500000) $(B)/codec $(CORPUS) >/dev/null
	@head -n 20000 $(B)/codec/logs.txt >$(B)/codec/some.txt
	$(B)/bench_codec $(B)/codec/logs.txt
	$(if $(ZSTD_LIBS),BENCH_ZSTD=3 BENCH_BLOCK=131072 $(B)/bench_codec $(B)/codec/logs.txt)
	utils/bench/codec/instructions $(B)/bench_codec $(B)/codec/some.txt

.PHONY: profile
profile: ## instructions a command by layer, by callgrind (DOCUMENT=src/README.md: writes its table)
	@deps/install.sh profile
	@$(MAKE) --no-print-directory $(PROGRAMS)
	utils/profile/profile.py $(B) $(DOCUMENT)

.PHONY: acceptance
acceptance: all $(B)/log_write ## real log lines in and out, over kill -9 (CORPUS=folder with *.log and gendata.py)
	utils/acceptance/acceptance.py $(B) $(CORPUS)
$(B)/log_write: utils/acceptance/log_write.c
	$(CC) $(CFLAGS) $< -o $@ -lhiredis

# The same seeds every time, and of the fuzzers only what they keep: a line is not covered by luck. Small samples:
# what counts is that a line was run, not in how many states. Tests that break the code on purpose or kill -9 their
# servers, which lose their counters, add only time.
COVERAGE_BIG := $(filter-out %/test_sync_canary.c %/test_crash.c %/test_stress.c,$(BIG_SOURCES))
.PHONY: coverage
coverage: ## which lines the tests reach, by file; what lsm, types and resp leave out must be explained
	@deps/install.sh coverage
	@find build/coverage \( -name '*.gcda' -o -name '*.a' \) -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory VARIANT=coverage BIG_SOURCES="$(COVERAGE_BIG)" tests fuzz-programs
	@SEED=$${SEED:-20261121} FAULTS=all FUZZ_RUNS=0 TEST_TIMEOUT=1200 $(MAKE) --no-print-directory VARIANT=coverage unit fuzz-short
	@SEED=$${SEED:-20261121} COMMANDS=4000 SEEDS=2 FLIPS=10 STEPS=40 TEST_TIMEOUT=1200 $(MAKE) --no-print-directory VARIANT=coverage \
		BIG_SOURCES="$(COVERAGE_BIG)" big
	@utils/coverage build/coverage

.PHONY: layers
layers: ## the layer check: includes point down only
	@utils/check-layers

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: clean
clean: ## remove everything built
	rm -rf build

# Objects that a rule makes on the way to a test are kept. (.SECONDARY: would do it too, and remake nothing for an
# object or a choice's note, obj/lto-yes, that is missing.)
.PRECIOUS: $(B)/obj/%.o $(B)/obj/tests/%.o $(B)/obj/utils/%.o $(B)/obj/lto/%.o $(B)/obj/library/%.o
-include $(shell test -d $(B)/obj && find $(B)/obj -name '*.d')
