/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An opened VM: target, symbols, proven layout and reader, and what hardly ever changes in it:
 * schedulers and their threads, allocators and their instances, names of allocation types.
 *
 * vm_open() is the only way in: it picks the layout and has it proven (prove.c) before it
 * returns.  Everything below reads memory through vm->rd and offsets through vm->lay->f.
 */
#ifndef EBEAM_VM_H
#define EBEAM_VM_H

#include "layout.h"
#include "reader.h"
#include "symbols.h"
#include "target.h"

#define VM_MAX_ALLOCATORS 16
#define VM_MAX_TYPES 256
#define VM_MAX_SCHEDULERS 4096
#define VM_MAX_INSTANCES 16384
#define VM_NAME 64
#define OTP_MIN 23 /* older ones have other structures, and no row */

/* erl_alloc.types: ERTS_ALC_T2A, ERTS_ALC_T2N */
#define VM_TYPE_ALLOCATOR(type) ((type)&15)
#define VM_TYPE_NUMBER(type) ((type) >> 7 & 255)

enum sched_kind { SCHED_NORMAL, SCHED_DIRTY_CPU, SCHED_DIRTY_IO };

struct scheduler {
	vmaddr_t addr; /* ErtsSchedulerData* */
	enum sched_kind kind;
	unsigned int no; /* 1-based within its kind */
	pid_t tid;	 /* Linux tid in the target's pid namespace; 0 when unknown */
};

struct instance {
	vmaddr_t allctr; /* Allctr_t* */
	unsigned int alloc_no, ix;
};

/* u64 counters of an instance, in the order of Allctr_t.calls */
enum alloc_call {
	CALL_ALLOC, CALL_FREE, CALL_REALLOC, CALL_MSEG_ALLOC, CALL_MSEG_DEALLOC,
	CALL_MSEG_REALLOC, CALL_SYS_ALLOC, CALL_SYS_FREE, CALL_SYS_REALLOC, CALL_N,
};

struct vm_check {
	char name[40];
	enum { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_SKIP } status;
	char detail[160];
};

struct atom_cache;

struct vm {
	struct target target;
	struct symbols sym;
	struct reader rd;
	bool from_cache; /* symbols that the build hides were found by an earlier run */
	const struct layout *row; /* the row that was taken, or NULL */
	struct layout layout;	  /* a copy of it */
	const struct layout *lay; /* &layout; NULL until one is chosen */
	enum layout_trust trust;
	bool unproven[LAYOUT_NFIELDS]; /* fields that no proof reached on this VM */
	int otp;
	bool jit;
	const char *arch;
	char erts[32];
	char node[512]; /* escaped; "" when it could not be read */
	bool unverified; /* a release on which no live test has run */

	vmaddr_t proc_tab, port_tab, atom_tab;
	uint64_t tab;	       /* ErtsPTab.r.o.tab of erts_proc */
	uint32_t proc_max;
	uint64_t pix_mask, pix_cl_mask, pix_cli_mask;
	uint32_t pix_cl_shift, pix_cli_shift;
	vmaddr_t invalid_element;

	struct scheduler *scheds;
	size_t nscheds;
	unsigned int nnormal;
	struct instance *insts;
	size_t ninsts;
	/* erts_allctrs: entry points per allocator, addresses in the target */
	struct { uint64_t alloc, realloc, free, extra; } allctrs[VM_MAX_ALLOCATORS];
	/* its instances are chosen by thread, and free each other's blocks by messages: _thr_pref */
	bool allctrs_preferred[VM_MAX_ALLOCATORS];
	bool allctrs_specific[VM_MAX_ALLOCATORS]; /* an instance a thread, without the messages */
	char allocator_name[VM_MAX_ALLOCATORS][VM_NAME]; /* "binary_alloc"; "" = no such number */
	char type_name[VM_MAX_TYPES][VM_NAME];		 /* by number N */
	uint32_t type_full[VM_MAX_TYPES];
	uint32_t type_binary, type_drv_binary, type_proc; /* full types; type_proc 0: not known */
	eterm_t atom_initial_call; /* '$initial_call', 0 when no process has it */

	struct vm_check checks[128];
	size_t nchecks, npassed;
	struct atom_cache *atoms;
};

enum vm_flags {
	VM_KEEP_GOING = 1, /* doctor: return with the failed checks instead of failing */
	VM_MANY = 2, /* one of many: no download, and given symbols of another build are no error */
};

/* @symbols: the file of --symbols, or NULL. */
int vm_open(struct vm *vm, pid_t pid, const char *symbols, unsigned int flags);
/* The same from a recording; symbols come from its companion file (see scripts/record-fixture). */
int vm_open_recording(struct vm *vm, const char *path);
void vm_close(struct vm *vm);

void vm_check(struct vm *vm, int status, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The Linux tid of a pthread_t; false when there is none that could be one. */
bool vm_pthread_tid(struct vm *vm, uint64_t pthread, uint32_t *tid);
/* Where in it its place is in glibc's list of threads: a link to the next one's place. */
unsigned int vm_pthread_list(const struct vm *vm);
/* True where there is code of the VM's executable; in a recording: where there was. */
bool vm_is_code(const struct vm *vm, vmaddr_t addr);

/* prove.c: proves the layout on live memory; -1 with a message when a check fails. */
int prove_layout(struct vm *vm);

/* The counters of an instance, or false when unreadable. */
bool vm_instance_calls(struct vm *vm, const struct instance *in, uint64_t calls[CALL_N]);
/* Sum over schedulers of gc_info: collections, and words reclaimed; dirty ones not included. */
bool vm_gc_info(struct vm *vm, uint64_t *cols, uint64_t *reclaimed);
/* The scheduler whose thread this is, or NULL. */
const struct scheduler *vm_scheduler_of(const struct vm *vm, pid_t tid);
/* "scheduler 1", "dirty_cpu 2", "dirty_io 3" */
void scheduler_name(const struct scheduler *s, char *buf, size_t size);

#endif
