/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parts of the proof of a layout: prove.c calls them one after the other.  Each makes checks
 * (vm_check) and returns nothing: a failed check refuses the layout.
 */
#ifndef EBEAM_PROVE_H
#define EBEAM_PROVE_H

#include "snap_proc.h"
#include "vm.h"

#define TRIES 5 /* for what moves while it is read */

#define OK(name, ...) vm_check(vm, CHECK_OK, name, __VA_ARGS__)
#define BAD(name, ...) vm_check(vm, CHECK_FAIL, name, __VA_ARGS__)
#define SKIP(name, ...) vm_check(vm, CHECK_SKIP, name, __VA_ARGS__)
#define ALL UINT32_MAX
/*
 * All but one in `slack` of them, and one more of many: what is copied while it changes may be
 * torn, and some may just be in the making.
 */
#define JUDGE(name, good, of, slack, what)                                                         \
	vm_check(vm, prove_enough(good, of, slack) ? CHECK_OK : CHECK_FAIL, name,                  \
		 "%u of %u " what, (unsigned int)(good), (unsigned int)(of))
/* More than half of them: what is no rule, but the habit of processes. */
#define MOSTLY(name, good, of, what)                                                               \
	vm_check(vm, 2 * (good) >= (of) ? CHECK_OK : CHECK_FAIL, name, "%u of %u " what,            \
		 (unsigned int)(good), (unsigned int)(of))

bool prove_enough(unsigned int good, unsigned int of, unsigned int slack);

/*
 * Before another look at what moved each time: waits a moment.  False when that has been enough
 * (@n, 0 at first), or where nothing will ever move: in a recording.
 */
bool prove_again(const struct vm *vm, unsigned int *n);

/* A word of a copied structure; 0 outside of the copy. */
uint64_t prove_word(const unsigned char *raw, size_t len, size_t off);

/* False where malloc() serves instead, which rounds blocks up to two words. */
bool prove_has_instances(const struct vm *vm, const char *allocator);

/* What was there cannot tell about this field: it is taken out of use unless the row is exact. */
void prove_cannot(struct vm *vm, enum layout_field field);

/*
 * Do members stand as far apart as they are declared?  What the landmarks prove rests on it.  False
 * with the names of two that do not.
 */
bool prove_order(const struct layout *lay, const char **from, const char **to);
/*
 * For tests, which cannot move members in a recording, and move them in the row instead: true
 * where the row's own order of members must not give that away.
 */
extern bool prove_skips_order;

/*
 * The process table, and processes: prove_proc.c.  The table is large and read only once: @ids, a
 * sample where there are many, is filled by the first (and to be freed), put in another order by
 * the second, and used by all.
 */
void prove_process_table(struct vm *vm, struct proc_ids *ids);
/* Copies of a Process are read by its fields: false where one leads out of it. */
bool prove_process_fields(struct vm *vm);
void prove_processes(struct vm *vm, struct proc_ids *ids);
/* Binaries and heap fragments: prove_heap.c */
void prove_binaries(struct vm *vm, const struct proc_ids *ids);
void prove_fragments(struct vm *vm, const struct proc_ids *ids);
/* Schedulers, their threads and counters: prove_sched.c */
void prove_schedulers(struct vm *vm);
void prove_gc_counters(struct vm *vm);
/* For a recording's companion: the VM's threads. */
void prove_record_tasks(const struct vm *vm, FILE *f);
/* Allocators, carriers, callbacks, the pool: prove_alloc.c; their counters: prove_books.c */
void prove_allocators(struct vm *vm);
void prove_books(struct vm *vm);

#endif
