# SPDX-License-Identifier: GPL-2.0-only
#
# ebeam: see README.md.  Targets:
#   all (default)  the ebeam binary            check      set-up, build, every test
#   unit           tests without privileges    check-all  the same, longer
#   demo           set-up, build, a first look bench      what tracing costs here
#   install        PREFIX, DESTDIR             clean
# Knobs: V=1 shows commands, SANITIZE=1 builds with ASan and UBSan, O=DIR builds elsewhere,
#        REAL_CC / CLANG / BPFTOOL / LLVM_STRIP name the tools.

src := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VERSION := 0.1.0

SANITIZE ?= 0
ifeq ($(SANITIZE),1)
O ?= .output-sanitize
else
O ?= .output
endif
out := $(abspath $(O))

CC ?= gcc
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
BTF ?= /sys/kernel/btf/vmlinux

ifeq ($(V),1)
Q :=
msg = @:
else
Q := @
msg = @printf '  %-8s %s\n' "$(1)" "$(patsubst $(out)/%,%,$(2))"
endif

arch := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
libs := libbpf libelf libdw json-c capstone zlib

CFLAGS ?= -O2 -g
warn := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wno-unused-parameter
cflags = -std=gnu11 $(warn) -D_GNU_SOURCE -DEBEAM_VERSION='"$(VERSION)"' \
	 -I$(src)/include -I$(src)/user -I$(out) -pthread
ldlibs = -lbpf -ldw -lelf -ljson-c -lcapstone -lz -ldl -pthread
ifeq ($(SANITIZE),1)
cflags += -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif

user_src := $(filter-out $(src)/user/main.c,$(wildcard $(src)/user/*.c))
user_obj := $(user_src:$(src)/user/%.c=$(out)/user/%.o)
# core first: the linker resolves the others' extern maps against it
bpf_src := $(src)/bpf/core.bpf.c $(filter-out %/core.bpf.c,$(wildcard $(src)/bpf/*.bpf.c))
bpf_obj := $(bpf_src:$(src)/bpf/%.bpf.c=$(out)/bpf/%.bpf.o)
unit_src := $(wildcard $(src)/tests/unit/t_*.c)
unit_bin := $(unit_src:$(src)/tests/unit/%.c=$(out)/tests/%)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all unit check check-all demo bench install clean setup-build setup-test setup-bench
all: $(out)/ebeam

$(out) $(out)/user $(out)/bpf $(out)/tests:
	$(Q)mkdir -p $@

# --- BPF: CO-RE objects of each probe set, linked into one skeleton -------------------------
$(out)/vmlinux.h: $(BTF) | $(out)
	$(call msg,DUMP,$@)
	$(Q)$(BPFTOOL) btf dump file $(BTF) format c > $@

# clang leaves out gcc's system directories for -target bpf: name them after its own.
bpf_sys = $(shell $(CLANG) -v -E - </dev/null 2>&1 \
	| sed -n '/<...> search starts here:/,/End of search list./{ s| \(/.*\)|-idirafter \1|p }')

$(out)/bpf/%.bpf.o: $(src)/bpf/%.bpf.c $(out)/vmlinux.h | $(out)/bpf
	$(call msg,BPF,$@)
	$(Q)$(CLANG) -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(arch) -Wall -Werror \
		-Wno-missing-declarations -I$(out) -I$(src)/include -I$(src)/bpf $(bpf_sys) \
		-MMD -MP -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(out)/ebeam.bpf.o: $(bpf_obj)
	$(call msg,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(out)/ebeam.skel.h: $(out)/ebeam.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name ebeam_bpf > $@

# --- the program ------------------------------------------------------------------------------
$(out)/user/%.o: $(src)/user/%.c | $(out)/user
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(cflags) -MMD -MP -c $< -o $@

$(out)/user/probe.o: $(out)/ebeam.skel.h

$(out)/libebeam.a: $(user_obj)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(out)/ebeam: $(out)/user/main.o $(out)/libebeam.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(cflags) $^ $(LDFLAGS) $(ldlibs) -o $@

# --- tests -------------------------------------------------------------------------------------
$(out)/tests/%: $(src)/tests/unit/%.c $(out)/libebeam.a | $(out)/tests
	$(call msg,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(cflags) -I$(src)/tests/unit -DFIXTURES='"$(src)/tests/fixtures"' \
		-MMD -MP $< $(out)/libebeam.a $(LDFLAGS) $(ldlibs) -o $@

setup-build:
	$(Q)$(src)/scripts/setup build
setup-test:
	$(Q)$(src)/scripts/setup test
setup-bench:
	$(Q)$(src)/scripts/setup bench

unit: $(unit_bin)
	$(Q)prove -e '' $(sort $(unit_bin))

# A recursive make, so that the tools that set-up installs are looked for after it ran.
check: setup-test
	$(Q)$(MAKE) --no-print-directory -C $(src) O=$(O) check-built
check-all: setup-test
	$(Q)EBEAM_LONG=1 $(MAKE) --no-print-directory -C $(src) O=$(O) check-built
.PHONY: check-built
check-built: $(out)/ebeam $(unit_bin)
	$(Q)EBEAM_BIN=$(out)/ebeam EBEAM_OUT=$(out) prove --timer -e '' \
		$(sort $(unit_bin)) $(sort $(wildcard $(src)/tests/live/*.t))

demo: setup-build
	$(Q)$(MAKE) --no-print-directory -C $(src) O=$(O) all
	$(Q)EBEAM_BIN=$(out)/ebeam $(src)/scripts/demo

bench: setup-bench
	$(Q)$(MAKE) --no-print-directory -C $(src) O=$(O) all
	$(Q)EBEAM_BIN=$(out)/ebeam $(src)/scripts/bench

install: all
	$(call msg,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -D -m 755 $(out)/ebeam $(DESTDIR)$(PREFIX)/bin/ebeam
	$(Q)install -D -m 644 $(src)/user/ebeam.8 $(DESTDIR)$(PREFIX)/share/man/man8/ebeam.8

clean:
	$(Q)rm -rf $(out)

-include $(user_obj:.o=.d) $(bpf_obj:.o=.d) $(out)/user/main.d $(unit_bin:=.d)
