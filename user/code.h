/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which function is at a code address, and which line of which file: M:F/A and file:line.
 *
 * The VM keeps three sorted arrays of module ranges (struct ranges r[], beam_ranges.c), one of them
 * in use at a time: the active code index.  No build exports them, and OTP 29 hides the rest as
 * well, so they are found in the VM's writable data by what they are: three records in a row whose
 * arrays lead to module headers.  A range's start is the header: the function table, and the line
 * table.  Old code that was replaced and not yet purged has a range of its own.
 *
 * All is proven before it is used, module by module: functions ascend, lie in the range, name the
 * same module, and names are atoms.  What is not so has no name: never a wrong one.
 *
 * Ranges are copied when code_open() is called; a module's tables when something in it is first
 * asked for; each address that was asked for is remembered, so that a million processes that wait
 * at a few places cost a few look-ups.
 */
#ifndef EBEAM_CODE_H
#define EBEAM_CODE_H

#include "vm.h"

/* What is at a code address.  Texts are escaped. */
struct code_at {
	bool known;		 /* a function covers it; else all that follows is 0 */
	eterm_t module, function; /* atoms */
	unsigned int arity;
	const char *mfa;	/* "m:f/a" */
	const char *file;	/* "src/m.erl" as stacktraces say it; NULL: no location */
	unsigned int line;	/* 0: no location */
	vmaddr_t start, end;	/* of the function: its ErtsCodeInfo, and the next one's */
	vmaddr_t info;		/* of its ErtsCodeMFA: what Process.current points to */
};

struct code;

/**
 * code_open() - find the module ranges, and copy those in use
 * @why: where it fails, the reason in a line
 *
 * NULL where they cannot be found or proven: there are no names then, which is no reason for a
 * command to fail.  Never fail()s.
 */
struct code *code_open(struct vm *vm, char *why, size_t why_size);
void code_close(struct code *c);

/**
 * code_refresh() - copy the ranges again where code was loaded or purged since
 *
 * Before each round of a command that repeats.  Pointers to struct code_at got before are void
 * where it returns true; false: nothing has changed.
 */
bool code_refresh(struct code *c);

/**
 * code_at() - the function at an address
 *
 * For a return address ask for code_return(): the call before it may be the last instruction of its
 * function.  Never NULL: see ->known.  Valid until code_refresh() or code_close().
 */
const struct code_at *code_at(struct code *c, vmaddr_t pc);

/* What the VM would look up for a return address: a byte, or with the interpreter a word, less. */
vmaddr_t code_return(const struct code *c, vmaddr_t pc);

/*
 * The function whose ErtsCodeMFA is at an address, as Process.current has it: of a module or of an
 * Export.  As code_at(), without file and line.
 */
const struct code_at *code_mfa_at(struct code *c, vmaddr_t mfa);

/* Whether an atom names a module that is loaded, new or old. */
bool code_is_module(struct code *c, eterm_t module);

/* "m:f/a (src/m.erl:17)", or "m:f/a" without location; "" where unknown. */
void code_text(const struct code_at *at, char *buf, size_t size);

/* For tests and -v: ranges in use, and those of them that were not what they should be. */
size_t code_modules(const struct code *c);
size_t code_refused(const struct code *c);
/* Calls @visit for each range in use, with its first function. */
struct code_module {
	vmaddr_t start, end; /* the header, and the end of its code */
	eterm_t name;	     /* 0: refused */
	size_t functions;
};
void code_each(struct code *c, void (*visit)(void *arg, const struct code_module *m), void *arg);

#endif
