/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where in a function to put the breakpoint.
 *
 * The trap is what a probe costs, and an instruction that the kernel has to single-step out of
 * line costs some fifteen times one that it emulates (push, nop, jmp, jcc, call: see
 * arch/x86/kernel/uprobes.c).  So the function is disassembled, from the file (in memory others'
 * breakpoints may stand), and the first emulated instruction is taken that every call passes
 * exactly once with its arguments still in their registers: no branch before it, none back to it.
 */
#ifndef EBEAM_SITE_H
#define EBEAM_SITE_H

#include "symbols.h"

enum site_class {
	SITE_EMULATED, /* cheap */
	SITE_STEPPED,  /* single-stepped out of line: an order of magnitude dearer */
	SITE_UNKNOWN,  /* not judged on this architecture */
};

/* Arguments that a program reads: bit n is argument n (0-based, at most 6 of them). */
#define SITE_ARG(n) (1u << (n))

struct site {
	char name[64];	   /* function */
	uint64_t link_addr; /* of the function */
	uint32_t skip;	   /* bytes from there to the breakpoint */
	uint64_t offset;   /* of the breakpoint in the file */
	uint64_t cookie;
	enum site_class class;
	char insn[48];	   /* the instruction under the breakpoint */
};

/**
 * site_choose() - pick the instruction of a function to probe
 * @addr:      of the function, in the target
 * @args:      SITE_ARG() mask of arguments that must still be in place
 * @is_return: for a return probe, which reads the return address off the stack: the stack pointer
 *             must not have moved
 *
 * Returns 0; -1 when the function cannot be probed (no code there, or only instructions that the
 * kernel refuses, such as lock-prefixed ones), with the reason in @why.
 */
int site_choose(const struct symbols *sym, vmaddr_t addr, unsigned int args, bool is_return,
		struct site *out, char *why, size_t why_size);

/* The same on bare code, for tests: @code holds @len bytes of a function at link address @at. */
int site_choose_code(const unsigned char *code, size_t len, uint64_t at, unsigned int args,
		     bool is_return, struct site *out, char *why, size_t why_size);

const char *site_class_name(enum site_class c);

#endif
