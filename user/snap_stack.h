/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stack of a process: where it is, who called, and what they keep in their y registers.
 *
 * Words from stop up to hend: return addresses (low bits 00) and terms.  A frame is a return
 * address and the y registers of the function that it returns to, which follow it.  With +JPperf fp
 * there is a saved frame pointer beside each return address (until 28; see erts_frame_layout).
 *
 * While a process runs, its stack pointer is in a CPU register and its stack is not known:
 * STACK_RUNNING, and nothing is shown.  Terms are words here: term_print.h shows them.
 */
#ifndef EBEAM_SNAP_STACK_H
#define EBEAM_SNAP_STACK_H

#include "code.h"
#include "snap_proc.h"

#define STACK_X_MAX 256

enum stack_status {
	STACK_OK,
	STACK_RUNNING, /* runs, or is being collected: not known from outside */
	STACK_MOVED,   /* changed in each of several attempts to copy it */
	STACK_GONE,    /* exits, or another process is there by now */
	STACK_BAD,     /* unreadable, or no stack: longer than its heap, ... */
};

struct stack_frame {
	vmaddr_t sp;		  /* where its return address is; 0: the current function */
	vmaddr_t pc;		  /* Process.i, or the return address as it is on the stack */
	const struct code_at *at; /* never NULL; of code_return(pc) where pc is a return address */
	size_t y, ny;		  /* y(0), y(1)..: words[y] .. words[y + ny - 1] */
};

struct stack {
	enum stack_status status;
	eterm_t id;
	vmaddr_t addr; /* Process* */
	uint32_t state, flags;
	uint64_t i, current;	 /* as in Process */
	eterm_t parent;
	vmaddr_t monitors;	 /* root of the tree */
	vmaddr_t stop, hend;
	uint64_t *words;	 /* the copy of [stop, hend), or of its top: see cut */
	size_t nwords;
	size_t total_words;	 /* of the whole; process_info(P, stack_size) is not this alone */
	bool cut;		 /* longer than was asked for: the lowest frames are left out */
	eterm_t x[STACK_X_MAX];	 /* live x registers; 0 in a plain receive */
	size_t nx;
	/*
	 * frames[0] is the current function; its y registers are those above the first return
	 * address. frames[1] is the function that the first return address leads to, and so on.
	 */
	struct stack_frame *frames;
	size_t nframes;
	size_t room, capacity; /* of words and frames */
};

struct snap_stacks; /* the proven offsets, and scratch memory */

/**
 * snap_stacks_open() - prove the fields of Process that stacks need
 * @code: borrowed; may be NULL, and then no function has a name
 *
 * NULL with @why where they do not hold.
 */
struct snap_stacks *snap_stacks_open(struct vm *vm, struct code *code, char *why, size_t why_size);
void snap_stacks_close(struct snap_stacks *s);
/* erlang:system_info(backtrace_depth); where it is not known, its default, 8. */
unsigned int snap_stacks_depth(const struct snap_stacks *s);
struct code *snap_stacks_code(struct snap_stacks *s);
/* Before each round: takes in new code. */
void snap_stacks_refresh(struct snap_stacks *s);

/**
 * snap_stack_read() - copy and decode the stack of one process
 * @max_words: at most so many from the top; 0 is all (bounded by 64 Mi words)
 *
 * @st must be zeroed, or one read before, whose memory is used again.  Returns st->status.
 */
enum stack_status snap_stack_read(struct snap_stacks *s, const struct proc_id *who,
				  size_t max_words, struct stack *st);
void snap_stack_free(struct stack *st);

/**
 * snap_current_function() - process_info(P, current_function), from a copy of its Process
 * @raw: proc_size bytes
 *
 * NULL where it runs; ->known is false where the node says `undefined`.  Nearly free: no read but
 * for what was never asked before.
 */
const struct code_at *snap_current_function(struct snap_stacks *s, const void *raw);

/**
 * snap_stacktrace() - process_info(P, current_stacktrace)
 * @out: at most @max entries; the node has at most snap_stacks_depth()
 *
 * Entries with neither file nor line have none in the node's answer.  Returns how many.
 */
size_t snap_stacktrace(struct snap_stacks *s, const struct stack *st, const struct code_at **out,
		       size_t max);

/* Whether a word of the stack is a catch tag (shown as `Catch`, no term). */
static inline bool stack_is_catch(eterm_t w)
{
	return (w & 0x3f) == 0x1b;
}

#endif
