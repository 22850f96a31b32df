# osh-enforce: build, test, install, demo, bench.  See README.md.
#
#   make            build/osh-enforce and build/osh-enforce-proxy
#   make unit       unit tests under ASan and UBSan
#   make test       everything (scripts/test.sh), make demo, make bench
#   make test-kernels  the same tests in guests with other kernels (scripts/kernels.sh)
#   make fuzz       fuzz targets (clang), make fuzz-run SECONDS=60
#   make install    DESTDIR, PREFIX

PREFIX  ?= /usr/local
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
VERSION := 0.1.0
B       ?= build
SAN     ?=

WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT    ?= -O2 -g
HARDEN := -fstack-protector-strong -fPIE
ifeq ($(SAN),)
HARDEN += -D_FORTIFY_SOURCE=2
endif
CFLAGS_ALL := -std=gnu17 $(OPT) $(WARN) $(HARDEN) $(SAN) -D_GNU_SOURCE -DOSH_VERSION='"$(VERSION)"' \
	      -DOSH_LIBEXECDIR='"$(PREFIX)/libexec/osh-enforce"' -I. -I$(B) -MMD -MP $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now,--as-needed $(SAN) $(LDFLAGS)

POLICY_SRC := $(wildcard policy/*.c)
PROXY_SRC  := $(wildcard proxy/*.c)
USER_SRC   := $(wildcard user/*.c)
POLICY_OBJ := $(POLICY_SRC:%.c=$(B)/%.o)
PROXY_OBJ  := $(PROXY_SRC:%.c=$(B)/%.o)
USER_OBJ   := $(USER_SRC:%.c=$(B)/%.o)

POLICY_LIBS := -lyaml
PROXY_LIBS  := $(POLICY_LIBS) -lssl -lcrypto -lcares -ljansson -lbpf -lseccomp
USER_LIBS   := $(POLICY_LIBS) -ljansson -lseccomp -lbpf -lelf -lz -lmd -lpthread

all: $(B)/osh-enforce $(B)/osh-enforce-proxy

# --- kernel side -----------------------------------------------------------------------------------
$(B)/vmlinux.h: vmlinux/make.sh
	@mkdir -p $(@D)
	BPFTOOL=$(BPFTOOL) vmlinux/make.sh $@

BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/') \
	      -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations -I. -I$(B)
$(B)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(B)/vmlinux.h
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp
	llvm-strip -g $@.tmp && mv $@.tmp $@
$(B)/%.bpf.o: tests/bpf/%.bpf.c $(wildcard tests/bpf/*.h) $(wildcard bpf/*.h) $(B)/vmlinux.h
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp
	llvm-strip -g $@.tmp && mv $@.tmp $@
$(B)/%.skel.h: $(B)/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

# Relocations against the kernel that builds need only these types, not its whole BTF: a faster start (user/kernel.c).
$(B)/enforce.min.btf: $(B)/enforce.bpf.o
	$(BPFTOOL) gen min_core_btf /sys/kernel/btf/vmlinux $@ $<
$(B)/kernel.notes: $(B)/vmlinux.h
	cat /sys/kernel/notes > $@

# --- user side -------------------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c $< -o $@
$(B)/libpolicy.a: $(POLICY_OBJ)
	rm -f $@ && ar rcs $@ $^
$(B)/libproxy.a: $(filter-out $(B)/proxy/main.o,$(PROXY_OBJ))
	rm -f $@ && ar rcs $@ $^
$(B)/libuser.a: $(filter-out $(B)/user/main.o,$(USER_OBJ))
	rm -f $@ && ar rcs $@ $^
$(USER_OBJ): | $(B)/enforce.skel.h
$(B)/user/kernel.o: $(B)/enforce.skel.h
$(B)/user/kernel_btf.o: $(B)/enforce.min.btf $(B)/kernel.notes
$(B)/user/kernel_btf.o: CFLAGS_ALL += -DOSH_BUILD_DIR='"$(B)"'
$(B)/user/default_policy.o: policy/default.yaml
# loop.o: the event loop is the proxy's, and the supervisor's too.
$(B)/osh-enforce: $(B)/user/main.o $(B)/libuser.a $(B)/proxy/loop.o $(B)/libpolicy.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(USER_LIBS)
$(B)/osh-enforce-proxy: $(B)/proxy/main.o $(B)/libproxy.a $(B)/libpolicy.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PROXY_LIBS)
policy: $(B)/libpolicy.a
proxy: $(B)/osh-enforce-proxy

# --- tests: tests/unit/test_{policy,proxy,user}_*.c, one program each --------------------------------
UNIT_B   := build/san
UNIT_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_ALL := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_ALL))
ONLY     ?=
unit-build: $(filter $(if $(ONLY),$(B)/unit/test_$(ONLY)%,%),$(UNIT_BIN))
unit:
	$(MAKE) B=$(UNIT_B) OPT="-O1 -g" SAN="$(UNIT_SAN)" unit-build
	scripts/unit.sh $(patsubst tests/unit/%.c,$(UNIT_B)/unit/%,$(if $(ONLY),$(wildcard tests/unit/test_$(ONLY)*.c),$(UNIT_ALL)))
$(B)/unit/test_policy_%: $(B)/tests/unit/test_policy_%.o $(B)/libpolicy.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(POLICY_LIBS) -lcmocka
$(B)/unit/test_proxy_%: $(B)/tests/unit/test_proxy_%.o $(B)/libproxy.a $(B)/libpolicy.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PROXY_LIBS) -lcmocka
$(B)/unit/test_user_%: $(B)/tests/unit/test_user_%.o $(B)/libuser.a $(B)/proxy/loop.o $(B)/libpolicy.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(USER_LIBS) -lcmocka

$(B)/tests/unit/test_user_image_walk.o: $(B)/image_walk.skel.h

# --- fuzz: tests/fuzz/fuzz_{policy,proxy,user}_NAME.c with corpus tests/fuzz/corpus/{policy,proxy,user}_NAME/ ---
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
SECONDS  ?= 60
fuzz: $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))
# Compiled once for all targets; libFuzzer itself comes with each.
FUZZ_CFLAGS := -std=gnu17 -O1 -g -D_GNU_SOURCE -I. -MMD -MP -fsanitize=fuzzer-no-link,address,undefined
FUZZ_LINK   := $(CLANG) -fsanitize=fuzzer,address,undefined
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -c $< -o $@
build/fuzz/libpolicy.a: $(POLICY_SRC:%.c=build/fuzz/obj/%.o)
	rm -f $@ && ar rcs $@ $^
build/fuzz/libproxy.a: $(patsubst %.c,build/fuzz/obj/%.o,$(filter-out proxy/main.c,$(PROXY_SRC)))
	rm -f $@ && ar rcs $@ $^
build/fuzz/fuzz_policy_%: build/fuzz/obj/tests/fuzz/fuzz_policy_%.o build/fuzz/libpolicy.a
	$(FUZZ_LINK) $^ -o $@ $(POLICY_LIBS)
build/fuzz/fuzz_proxy_%: build/fuzz/obj/tests/fuzz/fuzz_proxy_%.o build/fuzz/libproxy.a build/fuzz/libpolicy.a
	$(FUZZ_LINK) $^ -o $@ $(PROXY_LIBS)
build/fuzz/fuzz_user_%: build/fuzz/obj/tests/fuzz/fuzz_user_%.o build/fuzz/obj/user/%.o build/fuzz/obj/user/logview.o \
			build/fuzz/obj/user/safetext.o build/fuzz/libpolicy.a
	$(FUZZ_LINK) $^ -o $@ $(POLICY_LIBS) -ljansson
fuzz-run: fuzz
	scripts/fuzz.sh $(SECONDS) $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))

# --- bench/policy.c: what policies cost, and what the worst of them may ------------------------------
$(B)/bench/policy.o: tests/policy_texts.h
$(B)/bench-policy: $(B)/bench/policy.o $(B)/libpolicy.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(POLICY_LIBS)

test:
	scripts/test.sh
test-kernels:
	scripts/kernels.sh
demo:
	scripts/demo.sh
bench: all $(B)/bench-policy
	bench/bench.sh

install: all
	install -D -m 0755 $(B)/osh-enforce $(DESTDIR)$(PREFIX)/bin/osh-enforce
	install -D -m 0755 $(B)/osh-enforce-proxy $(DESTDIR)$(PREFIX)/libexec/osh-enforce/osh-enforce-proxy
	install -D -m 0644 docs/osh-enforce.8 $(DESTDIR)$(PREFIX)/share/man/man8/osh-enforce.8
	install -D -m 0644 docs/policy.schema.json $(DESTDIR)$(PREFIX)/share/osh-enforce/policy.schema.json
	install -D -m 0644 packaging/completions/osh-enforce \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/osh-enforce
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/osh-enforce $(DESTDIR)$(PREFIX)/share/man/man8/osh-enforce.8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/osh-enforce
	rm -rf $(DESTDIR)$(PREFIX)/libexec/osh-enforce $(DESTDIR)$(PREFIX)/share/osh-enforce
clean:
	rm -rf build

.PHONY: all policy proxy unit unit-build fuzz fuzz-run test test-kernels demo bench install uninstall clean
.SECONDARY:
-include $(shell find $(B) -path $(B)/kernels -prune -o -name '*.d' -type f -print 2>/dev/null)
