/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whom a process waits for, and the state of a gen_server, gen_statem or gen_event: both from its
 * stack.
 */
#ifndef EBEAM_SNAP_WAIT_H
#define EBEAM_SNAP_WAIT_H

#include "snap_stack.h"

/*
 * A process that waits in a receive for an answer keeps the reference of the request in a register
 * of the function that waits (gen:call, gen_statem:call, erpc:call, monitor and receive), and has
 * a monitor with that reference: the monitor's target is whom it waits for.  Or it keeps the pid of
 * a process that it monitors (supervisor:shutdown), or that it has just started (proc_lib).
 *
 * Only registers of the innermost function count, and none of a server's loop, which may have
 * anything in its state: gen_server, gen_statem, gen_event, and by custom what is named ...loop.
 * Two such references or pids say nothing.
 */
struct waits_for {
	bool known;	/* it is known whether it waits for somebody; false while it runs */
	bool waits;
	eterm_t pid;	/* a local process or port; 0: remote, or only the name is known */
	eterm_t name;	/* was monitored by this registered name: the atom; or 0 */
	eterm_t node;	/* ... or pid, at this node: the atom; 0: here */
	eterm_t remote;	/* boxed external pid */
	eterm_t ref;	/* word of the reference on its stack; 0 where only the pid is kept */
	const struct code_at *in; /* the function that waits */
};

/**
 * snap_waits_for() - of a stack that was read; its top of WAITS_FOR_WORDS is enough
 *
 * Costs no read for what is not in a receive or has no monitor.
 */
#define WAITS_FOR_WORDS 64
void snap_waits_for(struct snap_stacks *s, const struct stack *st, struct waits_for *w);

/**
 * snap_waits_for_many() - of many processes whose Process was copied
 * @raw: of each a copy of proc_size bytes, or more
 *
 * As snap_waits_for() of each, in few reads: those that have no monitor, or are in a server's loop,
 * cost none.
 */
void snap_waits_for_many(struct snap_stacks *s, const struct proc_id *who,
			 const unsigned char *const *raw, size_t n, struct waits_for *out);

/* Whether it may wait for somebody, from a copy of its Process; no read. */
bool snap_may_wait(struct snap_stacks *s, const void *raw);

/*
 * "<0.17.0>", "#Port<0.5>", "{name,node}" of one that was monitored by name at another node, or
 * "process at node" of another remote process; false and "" where it waits for nobody.
 */
bool waits_for_text(struct vm *vm, const struct waits_for *w, char *buf, size_t size);

/* What sys:get_state/1 would have said. */
enum behaviour { BEHAVIOUR_NONE, GEN_SERVER, GEN_STATEM, GEN_EVENT };

struct gen_state {
	enum behaviour kind; /* BEHAVIOUR_NONE: it is none of them, or not in its loop: see why */
	bool in_loop;	     /* of one of them, also where what it keeps is not as expected */
	bool hibernates;
	eterm_t name;	     /* as the loop has it: a pid or an atom, else any term */
	eterm_t module;	     /* callback module; 0 for gen_event */
	/*
	 * gen_server: `state`; gen_statem: {state, data}; gen_event: `handlers`, a list of
	 * #handler{} records that sys:get_state shows as {Module, Id, State}: see gen_handler().
	 */
	eterm_t state, data, handlers;
	const char *why; /* where there is none */
};

void snap_gen_state(struct snap_stacks *s, const struct stack *st, struct gen_state *g);

/* A handler of gen_event, from an element of the list; false when it is none. */
struct gen_handler {
	eterm_t module, id, state; /* id: `false` where it has none */
};
bool gen_handler(struct snap_stacks *s, eterm_t element, struct gen_handler *h);

#endif
