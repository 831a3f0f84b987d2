// SPDX-License-Identifier: GPL-2.0-only
#include "snap_stack_private.h"
#include "term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 4
#define MAX_WORDS (64u << 20) /* of a stack: half a gigabyte */
#define MAX_FRAMES 4000000
#define SAMPLE 128
#define SLOTS 1024
#define MAX_STRANGERS 8 /* stubs of the VM where a process may be that has not run yet */
#define NDEF_ARG_REG 6

/* Fields of this process, and its stack, hold still while none of these is set. */
#define PSFLG_UNSTILL                                                                              \
	(PSFLG_RUNNING | PSFLG_GC | PSFLG_RUNNING_SYS | PSFLG_DIRTY_RUNNING_SYS)

static uint64_t arity_of(const struct layout_fields *f, const void *raw)
{
	if (f->proc_arity_size == 1)
		return ((const unsigned char *)raw)[f->proc_arity];
	return raw_u64(raw, f->proc_arity) & 0xffffffff;
}

/* --- proof ------------------------------------------------------------------------------------ */

/*
 * What is known of the fields around: u.initial and reg are proven at attach, and the order of the
 * members has never changed.
 */
static bool offsets_fit(const struct layout_fields *f)
{
	const unsigned int words[] = { f->proc_i, f->proc_current, f->proc_parent, f->proc_arg_reg,
				       f->proc_monitors };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i] > f->proc_size - 8 || words[i] & 7)
			return false;
	/* args_fit() reads what follows them */
	return f->proc_size <= STACK_PROC_MAX && f->proc_arity <= f->proc_size - 16 &&
	       f->proc_arg_reg <= f->proc_size - 16 &&
	       (f->proc_arity_size == 1 || f->proc_arity_size == 8) &&
	       f->proc_def_arg_reg <= f->proc_size - 8 * NDEF_ARG_REG &&
	       f->proc_current == f->proc_initial + 24 && f->proc_parent == f->proc_current + 8 &&
	       f->proc_monitors == f->proc_reg + 24;
}

/*
 * Saved x registers: arg_reg is the Process's own array of six, until a function with more of them
 * was scheduled out; how many there is room for stands behind it, or, from 27 on, behind the arity.
 */
static bool args_fit(const struct layout_fields *f, vmaddr_t addr, const void *raw, bool *own)
{
	uint64_t arg_reg = raw_u64(raw, f->proc_arg_reg), arity = arity_of(f, raw), max;

	*own = arg_reg == addr + f->proc_def_arg_reg;
	if (f->proc_arity_size == 1) {
		max = ((const unsigned char *)raw)[f->proc_arity + 1];
	} else {
		if (f->proc_arg_reg != f->proc_arity + 8)
			return false;
		max = raw_u32(raw, f->proc_arg_reg + 8);
	}
	return !(arg_reg & 7) && arity <= max && max <= 256 && (max == NDEF_ARG_REG) == *own &&
	       max >= NDEF_ARG_REG;
}

struct proof {
	size_t seen, at_home, own_args;
	vmaddr_t strangers[MAX_STRANGERS];
	size_t nstrangers;
};

/* Where it is: in a function's code; a few stubs of the VM itself are outside of all modules. */
static bool place_fits(struct snap_stacks *s, vmaddr_t i, struct proof *p)
{
	const struct code_at *at = code_at(s->code, i);
	size_t k;

	if (at->known) {
		p->at_home++;
		return i >= at->start + s->vm->lay->f.codeinfo_size;
	}
	for (k = 0; k < p->nstrangers; k++)
		if (p->strangers[k] == i)
			return true;
	if (k == MAX_STRANGERS)
		return false;
	p->strangers[p->nstrangers++] = i;
	return true;
}

static bool process_fits(struct snap_stacks *s, vmaddr_t addr, const void *raw, struct proof *p,
			 const char **what)
{
	const struct layout_fields *f = &s->vm->lay->f;
	uint64_t current = raw_u64(raw, f->proc_current);
	bool own;

	p->seen++;
	*what = "arg_reg";
	if (!args_fit(f, addr, raw, &own))
		return false;
	p->own_args += own;
	if (!s->code)
		return true;
	*what = "i";
	if (!place_fits(s, raw_u64(raw, f->proc_i), p))
		return false;
	*what = "current";
	return !current || code_mfa_at(s->code, current)->known;
}

/* Some processes, from the table's beginning: the node's own are there. */
static size_t some_processes(struct vm *vm, vmaddr_t *out, size_t max)
{
	uint64_t slots[SLOTS];
	size_t at, i, n = 0, len;

	for (at = 0; at < vm->proc_max && n < max; at += len) {
		len = vm->proc_max - at < SLOTS ? vm->proc_max - at : SLOTS;
		if (!reader_copy(&vm->rd, vm->tab + 8 * at, slots, 8 * len))
			break;
		for (i = 0; i < len && n < max; i++)
			if (slots[i] && slots[i] != vm->invalid_element)
				out[n++] = slots[i];
	}
	return n;
}

static bool prove(struct snap_stacks *s, const char **what)
{
	const struct layout_fields *f = &s->vm->lay->f;
	unsigned char raw[STACK_PROC_MAX];
	vmaddr_t addr[SAMPLE];
	struct proof p = { 0 };
	size_t i, n;

	*what = "offsets";
	if (!offsets_fit(f))
		return false;
	n = some_processes(s->vm, addr, SAMPLE);
	for (i = 0; i < n; i++)
		if (reader_copy(&s->vm->rd, addr[i], raw, f->proc_size) &&
		    term_is_pid(raw_u64(raw, f->proc_id)) &&
		    !(raw_u32(raw, f->proc_state) & STACK_NOT_STILL) &&
		    !process_fits(s, addr[i], raw, &p, what))
			return false;
	*what = "no process that waits";
	return p.own_args && (!s->code || p.at_home);
}

struct snap_stacks *snap_stacks_open(struct vm *vm, struct code *code, char *why, size_t why_size)
{
	struct snap_stacks *s = xcalloc(1, sizeof(*s));
	const char *what;
	vmaddr_t depth;

	s->vm = vm;
	s->code = code;
	if (!prove(s, &what)) {
		snprintf(why, why_size, "where processes are is not known: %s", what);
		free(s);
		return NULL;
	}
	depth = symbols_addr(&vm->sym, "erts_backtrace_depth");
	if (!depth || !reader_u32(&vm->rd, depth, &s->depth) || s->depth > 4096)
		s->depth = 8;
	snap_waits_open(s);
	return s;
}

void snap_stacks_close(struct snap_stacks *s)
{
	if (s)
		snap_waits_close(s);
	free(s);
}

struct code *snap_stacks_code(struct snap_stacks *s)
{
	return s->code;
}

unsigned int snap_stacks_depth(const struct snap_stacks *s)
{
	return s->depth;
}

void snap_stacks_refresh(struct snap_stacks *s)
{
	if (s->code && code_refresh(s->code))
		memset(s->roles, 0, sizeof(s->roles));
}

/* --- current function ------------------------------------------------------------------------- */

const struct code_at *snap_current_function(struct snap_stacks *s, const void *raw)
{
	const struct layout_fields *f = &s->vm->lay->f;
	const struct code_at *at;
	uint64_t current = raw_u64(raw, f->proc_current);

	if (!s->code || raw_u32(raw, f->proc_state) & STACK_NOT_STILL)
		return NULL;
	if (!current)
		return code_at(s->code, raw_u64(raw, f->proc_i));
	at = code_mfa_at(s->code, current);
	return at->known ? at : NULL;
}

/* --- stacks ----------------------------------------------------------------------------------- */

static bool is_cp(uint64_t w)
{
	return !(w & 3);
}

/*
 * A return address.  With frame pointers, the word beside it points up the stack, or is 0 in the
 * last frame.  Tracing puts frames of its own there, with a pointer to a function's name and arity:
 * there is no code to return to.
 */
static bool is_return(struct snap_stacks *s, const struct stack *st, uint64_t w)
{
	const struct code_at *at;

	if (!is_cp(w) || !w || w - st->stop <= st->hend - st->stop)
		return false;
	if (!s->code)
		return true;
	at = code_at(s->code, w);
	return !at->known || w >= at->start + s->vm->lay->f.codeinfo_size;
}

static struct stack_frame *add_frame(struct stack *st, size_t *cap)
{
	if (st->nframes == *cap) {
		*cap = *cap ? 2 * *cap : 32;
		st->frames = xrealloc(st->frames, *cap * sizeof(*st->frames));
	}
	return &st->frames[st->nframes++];
}

static const struct code_at nowhere;

static void make_frames(struct snap_stacks *s, struct stack *st)
{
	struct stack_frame *fr;
	size_t i, cap = st->capacity;
	uint64_t w;

	st->nframes = 0;
	fr = add_frame(st, &cap);
	*fr = (struct stack_frame){ .pc = st->i,
				    .at = s->code ? code_at(s->code, st->i) : &nowhere };
	for (i = 0; i < st->nwords && st->nframes < MAX_FRAMES; i++) {
		w = st->words[i];
		if (is_return(s, st, w)) {
			fr = add_frame(st, &cap);
			*fr = (struct stack_frame){
				.sp = st->stop + 8 * i, .pc = w, .y = i + 1,
				.at = s->code ? code_at(s->code, code_return(s->code, w)) :
						&nowhere };
		} else if (is_cp(w) && i + 1 < st->nwords && is_return(s, st, st->words[i + 1])) {
			continue; /* a frame pointer */
		} else {
			fr->ny = i + 1 - fr->y;
		}
	}
	/* what is left over belongs to frames that are not there: of the heap's roots, too */
	st->cut |= i < st->nwords;
	st->capacity = cap;
}

/* What must be as it was, for the copy of the stack to be the one that belongs to this Process. */
bool snap_stack_same(const struct snap_stacks *s, const void *a, const void *b)
{
	const struct layout_fields *f = &s->vm->lay->f;
	const unsigned int words[] = { f->proc_id, f->proc_i, f->proc_stop, f->proc_hend,
				       f->proc_heap, f->proc_htop, f->proc_reds, f->proc_arg_reg };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (raw_u64(a, words[i]) != raw_u64(b, words[i]))
			return false;
	return raw_u32(a, f->proc_state) == raw_u32(b, f->proc_state) &&
	       raw_u32(a, f->proc_flags) == raw_u32(b, f->proc_flags) &&
	       arity_of(f, a) == arity_of(f, b);
}

int snap_stack_prepare(struct snap_stacks *s, const struct proc_id *who, const void *raw,
		       size_t max_words, struct stack *st, struct read_req *req)
{
	const struct layout_fields *f = &s->vm->lay->f;
	size_t words;
	int n = 0;

	st->id = who->id;
	st->addr = who->addr;
	st->status = STACK_BAD;
	st->nframes = st->nwords = 0;
	st->state = raw_u32(raw, f->proc_state);
	st->flags = raw_u32(raw, f->proc_flags);
	st->i = raw_u64(raw, f->proc_i);
	st->current = raw_u64(raw, f->proc_current);
	st->parent = raw_u64(raw, f->proc_parent);
	st->monitors = raw_u64(raw, f->proc_monitors);
	st->stop = raw_u64(raw, f->proc_stop);
	st->hend = raw_u64(raw, f->proc_hend);
	st->nx = arity_of(f, raw);
	if (st->stop & 7 || st->hend & 7 || st->hend < st->stop ||
	    st->stop < raw_u64(raw, f->proc_heap) || (st->hend - st->stop) / 8 > MAX_WORDS ||
	    st->nx > STACK_X_MAX) {
		st->nx = 0;
		return -1;
	}
	st->total_words = (st->hend - st->stop) / 8;
	words = max_words && max_words < st->total_words ? max_words : st->total_words;
	st->cut = words < st->total_words;
	st->nwords = words;
	if (words > st->room) {
		free(st->words);
		st->words = xcalloc(words, 8);
		st->room = words;
	}
	if (words)
		req[n++] = (struct read_req){ st->stop, st->words, 8 * words, false };
	if (st->nx)
		req[n++] = (struct read_req){ raw_u64(raw, f->proc_arg_reg), st->x, 8 * st->nx,
					      false };
	return n;
}

void snap_stack_take(struct snap_stacks *s, struct stack *st)
{
	make_frames(s, st);
	st->status = STACK_OK;
}

/* 0; -EAGAIN: it moved. */
static int copy_stack(struct snap_stacks *s, const struct proc_id *who, const void *raw,
		      size_t max_words, struct stack *st)
{
	unsigned char again[STACK_PROC_MAX];
	struct read_req req[3];
	int n;

	n = snap_stack_prepare(s, who, raw, max_words, st, req);
	if (n < 0)
		return -EINVAL;
	req[n++] = (struct read_req){ who->addr, again, s->vm->lay->f.proc_size, false };
	reader_batch(&s->vm->rd, req, n);
	while (n)
		if (!req[--n].ok)
			return -EAGAIN;
	return snap_stack_same(s, raw, again) ? 0 : -EAGAIN;
}

enum stack_status snap_stack_read(struct snap_stacks *s, const struct proc_id *who,
				  size_t max_words, struct stack *st)
{
	const struct layout_fields *f = &s->vm->lay->f;
	unsigned char raw[STACK_PROC_MAX];
	int try, err;

	st->nwords = st->nframes = st->nx = 0;
	st->id = who->id;
	st->addr = who->addr;
	for (try = 0; try < TRIES; try++) {
		if (!reader_copy(&s->vm->rd, who->addr, raw, f->proc_size) ||
		    raw_u64(raw, f->proc_id) != who->id ||
		    raw_u32(raw, f->proc_state) & (PSFLG_FREE | PSFLG_EXITING))
			return st->status = STACK_GONE;
		st->state = raw_u32(raw, f->proc_state);
		if (st->state & PSFLG_UNSTILL)
			return st->status = STACK_RUNNING;
		err = copy_stack(s, who, raw, max_words, st);
		if (!err) {
			snap_stack_take(s, st);
			return st->status;
		}
		st->nwords = st->nx = 0;
		if (err != -EAGAIN)
			return st->status = STACK_BAD;
	}
	return st->status = STACK_MOVED;
}

void snap_stack_free(struct stack *st)
{
	free(st->words);
	free(st->frames);
	memset(st, 0, sizeof(*st));
}

size_t snap_stacktrace(struct snap_stacks *s, const struct stack *st, const struct code_at **out,
		       size_t max)
{
	size_t i, n = 0, depth = 0;
	vmaddr_t prev = st->i;

	if (!s->code || st->status != STACK_OK)
		return 0;
	for (i = 0; i < st->nframes && depth < max; i++) {
		/* of the same address again and again the node shows one */
		if (i && st->frames[i].pc == prev)
			continue;
		prev = st->frames[i].pc;
		/* what is outside of all modules is a stub of the VM, or of tracing */
		if (!st->frames[i].at->known)
			continue;
		out[n++] = st->frames[i].at;
		depth++;
	}
	return n;
}
