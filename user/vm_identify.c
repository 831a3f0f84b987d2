// SPDX-License-Identifier: GPL-2.0-only
/* What a VM says of itself: release, flavour, architecture, and how it was built. */
#include "bootstrap.h"
#include "vm_private.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

static const char *machine_name(int machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86_64";
	case EM_AARCH64:
		return "aarch64";
	}
	return "unknown";
}

static bool etp_string(struct vm *vm, const char *name, char *buf, size_t size)
{
	char raw[64];
	vmaddr_t addr = symbols_addr(&vm->sym, name);

	if (!addr || !reader_string(&vm->rd, addr, raw, sizeof(raw)))
		return false;
	text_escape(raw, strlen(raw), buf, size);
	return true;
}

uint32_t vm_exported_u32(struct vm *vm, const char *name, uint32_t absent)
{
	vmaddr_t addr = symbols_addr(&vm->sym, name);
	uint32_t v;

	return addr && reader_u32(&vm->rd, addr, &v) ? v : absent;
}

/* What a VM prints as its version, with what it was built with: see bootstrap_text(). */
static bool version_text(struct vm *vm, char *text, size_t size)
{
	uint64_t link = vm->sym.exe.fd >= 0 ? bootstrap_text(&vm->sym) : 0;
	vmaddr_t addr = link ? link + vm->sym.bias : symbols_addr(&vm->sym, "erts_system_version");
	unsigned int otp;

	/* it is longer than the buffer in no build: what does not end there is no such text */
	if (!addr || !reader_string(&vm->rd, addr, text, size) ||
	    sscanf(text, "Erlang/OTP %u%%s [erts-%31[0-9.]]", &otp, vm->erts) != 2)
		return false;
	vm->otp = otp;
	vm->jit = strstr(text, " [jit");
	return true;
}

/* Builds whose structures differ from those of an ordinary one. */
static int refuse_build(struct vm *vm, const char *text)
{
	static const struct { const char *symbol, *tag, *how; } builds[] = {
		{ "etp_lock_count", "[lock-counting]", "with lock counting" },
		{ "etp_lock_check", "[lock-checking]", "with lock checking" },
		{ "etp_debug_compiled", "[debug-compiled]", "as debug build" },
		{ NULL, "[dtrace]", "with dynamic tracing" },
		{ NULL, "[systemtap]", "with dynamic tracing" },
		{ NULL, "[lttng]", "with dynamic tracing" },
		{ NULL, "[hipe]", "with HiPE" },
		{ NULL, "[valgrind-compiled]", "for valgrind" },
		{ NULL, "[address-sanitizer]", "with the address sanitizer" },
		{ NULL, "[32-bit]", "for 32 bits" },
	};
	const char *how = vm->sym.has_probes ? "with dynamic tracing" : NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builds) && !how; i++)
		if (strstr(text, builds[i].tag) ||
		    (builds[i].symbol && vm_exported_u32(vm, builds[i].symbol, 0)))
			how = builds[i].how;
	if (!how)
		return 0;
	return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
		    "pid %d runs an emulator built %s: its structures differ", vm->target.pid, how);
}

int vm_identify(struct vm *vm)
{
	char release[64], text[512] = "";
	bool told;

	vm->arch = machine_name(vm->sym.machine);
	told = version_text(vm, text, sizeof(text));
	if (etp_string(vm, "etp_otp_release", release, sizeof(release)) &&
	    etp_string(vm, "etp_erts_version", vm->erts, sizeof(vm->erts))) {
		if (told && vm->otp != atoi(release))
			return fail(EXIT_UNSUPPORTED, "run an ordinary build of the emulator",
				    "pid %d says that it is OTP %s, and that it is OTP %d",
				    vm->target.pid, release, vm->otp);
		vm->otp = atoi(release);
		vm->jit = vm_exported_u32(vm, "etp_beamasm", 0);
	} else if (vm->rd.lost) {
		return vm_lost(vm);
	} else if (!told) {
		return fail(EXIT_UNSUPPORTED, "is it a beam.smp? `ebeam doctor` shows more",
			    "cannot tell the OTP release of pid %d from %s", vm->target.pid,
			    vm->target.exe);
	}
	if (vm->otp < OTP_MIN)
		return fail(EXIT_UNSUPPORTED, "OTP 23 is the oldest that is supported",
			    "pid %d runs OTP %d (erts %s)", vm->target.pid, vm->otp, vm->erts);
	return refuse_build(vm, text);
}
