/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Eterms to text: atoms, local pids and ports, M:F/A.  Atoms come from the VM's atom table and
 * are cached; text from the VM is always escaped.  Term layout: erl_term.h.
 */
#ifndef EBEAM_TERM_H
#define EBEAM_TERM_H

#include "vm.h"

#define TERM_TEXT 1100 /* an atom has up to 255 characters of 4 bytes; escapes take their part */

static inline bool term_is_pid(eterm_t t)
{
	return (t & 0xf) == 0x3;
}

static inline bool term_is_port(eterm_t t)
{
	return (t & 0xf) == 0x7;
}

static inline bool term_is_atom(eterm_t t)
{
	return (t & 0x3f) == 0x0b;
}

static inline bool term_is_small(eterm_t t)
{
	return (t & 0xf) == 0xf;
}

/* The text of an atom, escaped, unquoted; NULL when it cannot be read.  Borrowed from the cache. */
const char *term_atom(struct vm *vm, eterm_t atom);
/* Atom by index in the table. */
const char *term_atom_index(struct vm *vm, uint64_t index);
/* Its bytes as they lie in the VM: UTF-8, or hostile.  NULL when unreadable; from the cache. */
const char *term_atom_name(struct vm *vm, eterm_t atom, size_t *len);
void term_atoms_free(struct vm *vm);

/* Slot of the process table that a pid term names. */
uint64_t term_pid_slot(const struct vm *vm, eterm_t pid);
/* "<0.N.S>" and "#Port<0.N>", as the node prints them. */
void term_pid_text(const struct vm *vm, eterm_t pid, char *buf, size_t size);
void term_port_text(const struct vm *vm, eterm_t port, char *buf, size_t size);
/* "mod:fun/arity"; false when module or function is no readable atom. */
bool term_mfa_text(struct vm *vm, eterm_t module, eterm_t function, uint64_t arity, char *buf,
		   size_t size);

#endif
