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
 * a monitor with that reference: the monitor's target is whom it waits for.
 */
struct waits_for {
	bool known;	/* it is known whether it waits for somebody; false while it runs */
	eterm_t pid;	/* a local process or port; 0: none, or the name below says it */
	eterm_t name;	/* monitored by name: the atom */
	eterm_t node;	/* ... at this node; 0: here */
	eterm_t ref;	/* word of the reference on its stack, for proc */
	const struct code_at *in; /* the function that waits */
};

/**
 * snap_waits_for() - of a stack that was read (its top of 64 words is enough)
 *
 * Costs nothing for what is not in a receive or has no monitor.
 */
void snap_waits_for(struct snap_stacks *s, const struct stack *st, struct waits_for *w);
/* "<0.17.0>", "#Port<0.5>", "name" or "name@node"; false and "" where it waits for nobody. */
bool waits_for_text(struct vm *vm, const struct waits_for *w, char *buf, size_t size);

/* What sys:get_state/1 would have said. */
enum behaviour { BEHAVIOUR_NONE, GEN_SERVER, GEN_STATEM, GEN_EVENT };

struct gen_state {
	enum behaviour kind; /* BEHAVIOUR_NONE: it is none of them, or not in its loop: see why */
	eterm_t name;	     /* as the loop has it: a pid or an atom, else any term */
	eterm_t module;	     /* callback module; 0 for gen_event */
	/*
	 * gen_server: `state`; gen_statem: {state, data}; gen_event: `handlers`, a list of #handler{}
	 * records that sys:get_state shows as {Module, Id, State}: see gen_handler().
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
