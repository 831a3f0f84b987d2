// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a gen_server, gen_statem or gen_event that waits for a message, from its stack.
 *
 * What the loop was called with is kept while it waits: its arguments are the last y registers of
 * its frame, the first argument lowest on the stack.  Releases differ in what they are:
 *
 *	gen_server:loop/7		Parent, Name, State, Module (26/27 on: #callback_cache{})
 *	gen_server:loop/5, loop_hibernate/4	(from 28 or 29) #server_data{}, State, ...
 *	gen_statem:loop_receive/3, loop/3, loop_hibernate/3
 *					#params{}, Debug, #state{{State, Data}, ...}
 *	gen_event:fetch_msg/6		Parent, Name, Handlers, ...
 *
 * One that hibernates by erlang:hibernate/3 has them in its x registers instead: proc_lib, wake_up,
 * [gen_server, wake_hib, [Parent, Name, State, Module, ...]].
 *
 * All that is known of the arguments is checked: pids, names, a module that is loaded, names of
 * records.  Where anything is otherwise there is no state.
 */
#include "snap_stack_private.h"
#include "snap_wait.h"
#include "term.h"

#include <string.h>

#define MAX_ARGS 8
#define MAX_TUPLE 32

static bool is_atom(struct snap_stacks *s, eterm_t t, const char *text)
{
	const char *atom = term_atom(s->vm, t);

	return atom && !strcmp(atom, text);
}

/* The elements of a tuple of at most MAX_TUPLE; how many, 0 where it is none. */
static size_t tuple(struct snap_stacks *s, eterm_t t, eterm_t *out)
{
	uint64_t header;
	size_t n;

	if ((t & 3) != 2 || !reader_u64(&s->vm->rd, t & ~7ULL, &header) || header & 0x3f)
		return 0;
	n = header >> 6;
	if (!n || n > MAX_TUPLE || !reader_copy(&s->vm->rd, (t & ~7ULL) + 8, out, 8 * n))
		return 0;
	return n;
}

/* A record: a tuple with this name, of at least @min elements, the name among them. */
static bool record(struct snap_stacks *s, eterm_t t, const char *name, size_t min, eterm_t *out)
{
	return tuple(s, t, out) >= min && is_atom(s, out[0], name);
}

/* The first elements of a list, at most @max; how many. */
static size_t list(struct snap_stacks *s, eterm_t t, eterm_t *out, size_t max)
{
	uint64_t cons[2];
	size_t n;

	for (n = 0; n < max && (t & 3) == 1; n++, t = cons[1]) {
		if (!reader_copy(&s->vm->rd, t & ~7ULL, cons, sizeof(cons)))
			break;
		out[n] = cons[0];
	}
	return n;
}

/* The process's own pid, an atom, or the name of {global, Name} or {via, Module, Name}. */
static bool is_name(const struct stack *st, eterm_t t)
{
	return !term_is_pid(t) || t == st->id;
}

static bool is_module(struct snap_stacks *s, eterm_t t)
{
	return term_is_atom(t) && s->code && code_is_module(s->code, t);
}

/* Each takes the arguments of the loop, and fills the answer where they are what they should be. */
static bool take_server(struct snap_stacks *s, const struct stack *st, const eterm_t *arg, size_t n,
			struct gen_state *g)
{
	eterm_t t[MAX_TUPLE];

	if (n >= 2 && record(s, arg[0], "server_data", 6, t) && term_is_pid(t[1])) {
		g->name = t[3];
		g->module = t[4];
		g->state = arg[1];
	} else if (n >= 4 && term_is_pid(arg[0])) {
		g->name = arg[1];
		g->state = arg[2];
		g->module = record(s, arg[3], "callback_cache", 2, t) ? t[1] : arg[3];
	} else {
		return false;
	}
	g->kind = GEN_SERVER;
	return is_name(st, g->name) && is_module(s, g->module);
}

static bool take_statem(struct snap_stacks *s, const struct stack *st, const eterm_t *arg, size_t n,
			struct gen_state *g)
{
	eterm_t params[MAX_TUPLE], state[MAX_TUPLE], pair[MAX_TUPLE], module;

	/* #params{callback_mode, state_enter, parent, modules, name, hibernate_after} */
	if (n < 3 || !record(s, arg[0], "params", 6, params) || !term_is_pid(params[3]) ||
	    !list(s, params[4], &module, 1) || !is_module(s, module) || !is_name(st, params[5]) ||
	    !record(s, arg[2], "state", 4, state) || tuple(s, state[1], pair) != 2)
		return false;
	g->kind = GEN_STATEM;
	g->name = params[5];
	g->module = module;
	g->state = pair[0];
	g->data = pair[1];
	return true;
}

static bool take_event(struct snap_stacks *s, const struct stack *st, const eterm_t *arg, size_t n,
		       struct gen_state *g)
{
	struct gen_handler h;
	eterm_t first;

	if (n < 3 || !term_is_pid(arg[0]) || !is_name(st, arg[1]))
		return false;
	if (list(s, arg[2], &first, 1)) {
		if (!gen_handler(s, first, &h))
			return false;
	} else if (arg[2] != s->vm->lay->facts->nil) {
		return false;
	}
	g->kind = GEN_EVENT;
	g->name = arg[1];
	g->handlers = arg[2];
	return true;
}

struct loop {
	const char *module, *function;
	unsigned int arity;
	size_t nargs; /* of the arguments that are looked at */
	bool (*take)(struct snap_stacks *s, const struct stack *st, const eterm_t *arg, size_t n,
		     struct gen_state *g);
	bool hibernates;
};

static const struct loop loops[] = {
	{ "gen_server", "loop", 7, 4, take_server, false },
	{ "gen_server", "loop", 5, 2, take_server, false },
	{ "gen_server", "loop_hibernate", 4, 2, take_server, true },
	{ "gen_server", "wake_hib", 6, 4, take_server, true },
	{ "gen_statem", "loop_receive", 3, 3, take_statem, false },
	{ "gen_statem", "loop", 3, 3, take_statem, false },
	{ "gen_statem", "loop_hibernate", 3, 3, take_statem, true },
	{ "gen_statem", "wakeup_from_hibernate", 3, 3, take_statem, true },
	{ "gen_event", "fetch_msg", 6, 3, take_event, false },
	{ "gen_event", "wake_hib", 5, 3, take_event, true },
};

static const struct loop *find_loop(struct snap_stacks *s, eterm_t module, eterm_t function,
				    size_t arity)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(loops); i++)
		if (loops[i].arity == arity && is_atom(s, module, loops[i].module) &&
		    is_atom(s, function, loops[i].function))
			return &loops[i];
	return NULL;
}

/* The arguments of a loop that hibernates by erlang:hibernate/3. */
static const struct loop *hibernating(struct snap_stacks *s, const struct stack *st, eterm_t *arg,
				      size_t *n)
{
	eterm_t mfa[4];

	if (st->nx != 3 || !is_atom(s, st->x[0], "proc_lib") || !is_atom(s, st->x[1], "wake_up") ||
	    list(s, st->x[2], mfa, 4) != 3)
		return NULL;
	*n = list(s, mfa[2], arg, MAX_ARGS);
	return find_loop(s, mfa[0], mfa[1], *n);
}

/* Those of one that waits: the last y registers of its frame. */
static const struct loop *waiting(struct snap_stacks *s, const struct stack *st, eterm_t *arg,
				  size_t *n)
{
	const struct stack_frame *fr = &st->frames[0];
	const struct loop *loop;
	size_t i;

	if (!fr->at->known || (st->cut && st->nframes < 2))
		return NULL;
	loop = find_loop(s, fr->at->module, fr->at->function, fr->at->arity);
	if (!loop || fr->ny < loop->nargs)
		return NULL;
	*n = loop->nargs;
	for (i = 0; i < *n; i++)
		arg[i] = st->words[fr->y + fr->ny - 1 - i];
	return loop;
}

void snap_gen_state(struct snap_stacks *s, const struct stack *st, struct gen_state *g)
{
	const struct loop *loop;
	eterm_t arg[MAX_ARGS];
	size_t n;

	memset(g, 0, sizeof(*g));
	if (st->status != STACK_OK || !st->nframes || !s->code) {
		g->why = st->status == STACK_RUNNING ? "it runs" : "its stack is not known";
		return;
	}
	loop = hibernating(s, st, arg, &n);
	if (!loop)
		loop = waiting(s, st, arg, &n);
	if (!loop) {
		g->why = "it is not in the loop of a gen_server, gen_statem or gen_event";
		return;
	}
	if (!loop->take(s, st, arg, n, g)) {
		memset(g, 0, sizeof(*g));
		g->in_loop = true;
		g->why = "what its loop keeps is not as expected";
		return;
	}
	g->in_loop = true;
	g->hibernates = loop->hibernates;
}

bool gen_handler(struct snap_stacks *s, eterm_t element, struct gen_handler *h)
{
	eterm_t t[MAX_TUPLE];

	/* #handler{module, id = false, state, supervised} */
	if (!record(s, element, "handler", 5, t) || !is_module(s, t[1]))
		return false;
	*h = (struct gen_handler){ t[1], t[2], t[3] };
	return true;
}
