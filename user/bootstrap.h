/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Symbols of a VM that hides them: the last rung of the ladder.
 *
 * From OTP 29 on a stripped beam.smp names the NIF and driver API only.  That is enough:
 * - the code of a few API functions mentions the tables that they use;
 * - some functions mention their own name, or a text that no other has, and call one another in
 *   a way that is known;
 * - the rest is found in the VM's writable data: arrays and structures that prove themselves.
 * A candidate is taken only when the live memory there is what it should be, and only when it is
 * the only one; user/prove.c then judges all of it again.
 */
#ifndef EBEAM_BOOTSTRAP_H
#define EBEAM_BOOTSTRAP_H

#include "functions.h"
#include "vm.h"

/**
 * bootstrap_text() - find what the VM prints as its version, erts_system_version
 *
 * "Erlang/OTP 29%s [erts-17.1] [64-bit] ... [jit:ns%s]\n" (erl_bif_info.c), in the file's writable
 * data.  It stands in every build, stripped or not.  Its link address, or 0.
 */
uint64_t bootstrap_text(const struct symbols *sym);

/**
 * bootstrap_code() - find functions, in the file alone
 *
 * garbage_collect, garbage_collect_hibernate, erts_garbage_collect_hibernate,
 * erts_garbage_collect_literals, erts_do_exit_process.  What is not found is not added: the probe
 * sites that need it are then missing.  @f is the table of the executable's functions.
 */
void bootstrap_code(struct symbols *sym, struct functions *f);

/**
 * bootstrap_code_agrees() - is the code at these functions what their names say?
 *
 * For names that another rung gave, which a file may fake: erts_do_exit_process and the ways into
 * the collector mention the texts, and call the functions, that bootstrap_code() goes by.  False
 * with @why where they contradict; what a build does not have is no contradiction.
 */
bool bootstrap_code_agrees(const struct symbols *sym, struct functions *f, char *why,
			   size_t why_size);

/**
 * bootstrap_data() - find the tables: by the API's code, then in live memory
 *
 * erts_allctrs, erts_proc, erts_port, erts_atom_table, erts_alc_a2ad, erts_alc_n2td, erts_alc_n2t,
 * erts_aligned_scheduler_data and its dirty ones (a variable that points to the array, not always
 * the one of that name), erts_this_node.  Needs vm->lay for the offsets inside of structures.
 * Fails, naming the first that is missing or has two candidates.
 */
int bootstrap_data(struct vm *vm, struct functions *f);

/* Whether the file's constants have a text, anywhere. */
bool bootstrap_has_text(const struct symbols *sym, const char *text);

/*
 * The one function that mentions a text of @len bytes (its final NUL among them, where it is to end
 * there); NULL when none or several do.
 */
const struct function *bootstrap_user_of(const struct symbols *sym, struct functions *f,
					 const char *text, size_t len);

/*
 * Link addresses of a text of @len bytes (its final NUL among them, where it is to end there) with
 * a NUL before it, in the file's constants; also in .dynstr, which no code mentions.
 */
size_t bootstrap_find_text(const struct symbols *sym, const char *text, size_t len, uint64_t *out,
			   size_t max);

#endif
