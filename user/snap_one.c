// SPDX-License-Identifier: GPL-2.0-only
#include "snap_one_private.h"
#include "snap_held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES 40
#define TRY_NS 2000000
#define TRYING_NS 250000000 /* then no part is tried again */
#define DICT_MAX (1u << 24) /* slots, and keys */
#define TEXT_EXTRA 64 /* what keeping a text takes besides it: many are short */
#define LINKS_MAX 5000000
#define PEER_TERMS 100 /* a pid, an atom, a reference: what is more is none of them */
#define PEER_BYTES 4096
#define BINS_MAX 5000000
#define BIN_BATCH 512

/* --- between two looks ------------------------------------------------------------------------ */

/* Nothing was moved or freed between two looks: no collection. */
static bool same_heap(const struct proc_image *a, const struct proc_image *b)
{
	return a->id == b->id && !((a->state | b->state) & (PSFLG_FREE | PSFLG_EXITING)) &&
	       !((a->state | b->state) & PSFLG_GC) && a->heap == b->heap &&
	       a->old_heap == b->old_heap && a->old_htop == b->old_htop &&
	       a->gen_gcs == b->gen_gcs && a->dictionary == b->dictionary && a->mbuf == b->mbuf &&
	       a->msg_frag == b->msg_frag;
}

/* It did not run either. */
static bool same_rest(const struct proc_image *a, const struct proc_image *b)
{
	return same_heap(a, b) && a->still && b->still && a->reds == b->reds &&
	       a->htop == b->htop && a->stop == b->stop && a->flags == b->flags &&
	       a->high_water == b->high_water && a->off_heap_first == b->off_heap_first &&
	       a->off_heap_overhead == b->off_heap_overhead;
}

/* What is read between two looks; false: try again, *why says what was wrong. */
typedef bool part_fn(struct one_reader *r, struct one *one, const struct proc_image *p,
		     const char **why);

static const char ran[] = "it ran while it was read", runs[] = "it runs";

/* -ESRCH where it is gone. */
static int look(struct one_reader *r, const struct one *one, struct proc_image *p)
{
	if (snap_proc_image(r->vm, one->who.addr, p) || p->id != one->who.id ||
	    p->state & (PSFLG_FREE | PSFLG_EXITING))
		return -ESRCH;
	return 0;
}

static void free_part(struct one *one, enum one_part part);

static int read_part(struct one_reader *r, struct one *one, enum one_part part, part_fn *read,
		     bool at_rest)
{
	struct timespec pause = { 0, TRY_NS };
	struct proc_image before, after;
	uint64_t until = now_ns() + TRYING_NS, left = r->text_left;
	const char *why = runs;
	int i;

	for (i = 0; i < TRIES && (!i || now_ns() < until); i++) {
		if (i)
			nanosleep(&pause, NULL);
		pages_forget(r->ts->pages);
		if (look(r, one, &before))
			goto gone;
		if (at_rest && !before.still) {
			why = runs;
			continue;
		}
		why = NULL;
		if (read(r, one, &before, &why) && !why) {
			if (look(r, one, &after))
				goto gone;
			if (at_rest ? same_rest(&before, &after) : same_heap(&before, &after))
				return 0;
			why = ran;
		}
		free_part(one, part);
		r->text_left = left;
		if (!why)
			why = "it cannot be read";
	}
	one->missing[part] = why;
	return 0;
gone:
	free_part(one, part);
	one->missing[part] = "it is not alive any more";
	return -ESRCH;
}

/* --- texts ------------------------------------------------------------------------------------ */

/*
 * All terms together have a budget: a million frames may each have the same large term in a
 * register.
 */
static struct one_text limited(struct one_reader *r, eterm_t t, const struct term_limits *lim)
{
	struct one_text to = { 0 };
	size_t len;

	if (!r->text_left) {
		to.text = xstrdup("...");
		to.cut = true;
		return to;
	}
	to.text = term_text(r->ts, t, lim, &to.cut);
	len = strlen(to.text) + TEXT_EXTRA;
	r->text_left -= len < r->text_left ? len : r->text_left;
	return to;
}

static struct one_text text_of(struct one_reader *r, eterm_t t)
{
	return limited(r, t, &r->lim.text);
}

/* A key, a name: as short as they are. */
static struct one_text line_of(struct one_reader *r, eterm_t t)
{
	struct term_limits lim = r->lim.text;

	lim.pretty = false;
	return limited(r, t, &lim);
}

static void free_text(struct one_text *t)
{
	free(t->text);
	memset(t, 0, sizeof(*t));
}

/* --- settings --------------------------------------------------------------------------------- */

uint64_t one_raw(const unsigned char *raw, unsigned int off)
{
	uint64_t v;

	memcpy(&v, raw + off, sizeof(v));
	return v;
}

static bool read_settings(struct one_reader *r, struct one *one, const struct proc_image *p,
			  const char **why)
{
	const struct layout_fields *f = &r->vm->lay->f;
	unsigned int shift = r->vm->lay->otp >= 27 ? 3 : 2;
	unsigned char raw[PROC_BYTES_MAX];
	struct msgq_head head;
	uint64_t max, psd, handler = 0;
	const char *atom;

	(void)why;
	if (f->proc_size > sizeof(raw) || !reader_copy(&r->vm->rd, p->addr, raw, f->proc_size))
		return false;
	one->image = *p;
	one->group_leader = line_of(r, p->group_leader);
	one->minor_gcs = p->gen_gcs;
	one->fullsweep_after = p->max_gen_gcs;
	one->gc_known = r->gc_proven;
	if (r->gc_proven) {
		max = one_raw(raw, f->proc_max_heap_size);
		one->min_heap_size = one_raw(raw, f->proc_min_heap_size);
		one->min_bin_vheap_size = one_raw(raw, f->proc_min_vheap_size);
		one->max_heap_size = max >> shift;
		one->max_kill = max & 1;
		one->max_log = max & 2;
		one->max_shared = shift == 3 && max & 4;
	}
	if (r->roots_proven)
		one->parent = line_of(r, one_raw(raw, f->proc_parent));
	if (r->psd_proven) {
		psd = one_raw(raw, f->proc_psd);
		if (psd && !reader_u64(&r->vm->rd, psd + f->psd_data, &handler))
			return false;
		atom = handler ? term_atom(r->vm, handler) : "error_handler";
		if (atom)
			one->error_handler.text = xstrdup(atom);
	}
	if (r->queues_proven) {
		snap_msgq_head(r->vm, raw, &head);
		one->message_queue_data = snap_msgq_data(&head);
	}
	return true;
}

/* --- stack ------------------------------------------------------------------------------------ */

const char *one_stack_why(enum stack_status s)
{
	switch (s) {
	case STACK_RUNNING:
		return runs;
	case STACK_MOVED:
		return ran;
	case STACK_GONE:
		return "it is not alive any more";
	default:
		return "its stack cannot be read";
	}
}

static char *name_of(struct one_reader *r, eterm_t pid)
{
	struct proc_names names;
	struct proc_image image;
	char *name;

	if (!term_is_pid(pid) || snap_proc_find(r->vm, pid, &image))
		return NULL;
	snap_proc_names(r->vm, &image, &names);
	name = xstrdup(names.registered ? names.registered :
		       names.initial_call ? names.initial_call : "");
	proc_names_free(&names);
	return name;
}

static bool read_stack(struct one_reader *r, struct one *one, const struct proc_image *p,
		       const char **why)
{
	struct stack st = { 0 };
	enum stack_status got;
	struct waits_for w;
	char text[2 * TERM_TEXT];
	size_t i, k, depth;

	(void)p;
	got = snap_stack_read(r->stacks, &one->who, r->lim.stack_words, &st);
	if (got != STACK_OK) {
		*why = one_stack_why(got);
		snap_stack_free(&st);
		return false;
	}
	for (i = 0; i < st.nwords; i++)
		one->catchlevel += stack_is_catch(st.words[i]);
	one->stack_cut = st.cut;
	one->frames = xcalloc(st.nframes + 1, sizeof(*one->frames));
	one->nframes = st.nframes;
	for (i = 0; i < st.nframes; i++) {
		struct one_frame *to = &one->frames[i];
		const struct stack_frame *from = &st.frames[i];

		to->at = from->at;
		to->pc = from->pc;
		to->y = xcalloc(from->ny + 1, sizeof(*to->y));
		to->ny = from->ny;
		for (k = 0; k < from->ny && from->y + k < st.nwords; k++)
			if (!stack_is_catch(st.words[from->y + k]))
				to->y[k] = text_of(r, st.words[from->y + k]);
	}
	one->x = xcalloc(st.nx + 1, sizeof(*one->x));
	one->nx = st.nx;
	for (i = 0; i < st.nx; i++)
		one->x[i] = text_of(r, st.x[i]);
	depth = snap_stacks_depth(r->stacks);
	one->trace = xcalloc(depth + 1, sizeof(*one->trace));
	one->ntrace = snap_stacktrace(r->stacks, &st, one->trace, depth);
	snap_waits_for(r->stacks, &st, &w);
	one->waits_known = w.known;
	if (w.known && waits_for_text(r->vm, &w, text, sizeof(text)))
		one->waits_for = xstrdup(text);
	if (one->waits_for)
		one->waits_name = name_of(r, w.pid);
	if (one->waits_for && w.in && w.in->known)
		one->waits_in = xstrdup(w.in->mfa);
	snap_stack_free(&st);
	return true;
}

/* --- state ------------------------------------------------------------------------------------ */

#define OWN_WORDS 512
#define STATE_WORDS 4096 /* of the stack */

/* Terms that sys:get_state makes of others: words of our own, that the printer follows. */
struct own_terms {
	uint64_t w[OWN_WORDS];
	size_t n;
};

static eterm_t own_tuple(struct own_terms *own, size_t arity, const eterm_t *e)
{
	size_t at = own->n;

	own->w[own->n++] = arity << 6;
	memcpy(own->w + own->n, e, 8 * arity);
	own->n += arity;
	return (PAGES_OWN + 8 * at) | 2;
}

/* {Module, Id, State} for each handler of a gen_event; false: too many, or no handlers. */
static bool own_handlers(struct one_reader *r, struct own_terms *own, eterm_t list, eterm_t *t)
{
	eterm_t head, all[OWN_WORDS / 6], element[3];
	struct gen_handler h;
	size_t n = 0, i;

	while (term_is_cons(list)) {
		if (n == ARRAY_SIZE(all) || !term_list_next(r->ts, &list, &head) ||
		    !gen_handler(r->stacks, head, &h))
			return false;
		element[0] = h.module;
		element[1] = h.id;
		element[2] = h.state;
		all[n++] = own_tuple(own, 3, element);
	}
	*t = r->vm->lay->facts->nil;
	for (i = n; i; i--) {
		own->w[own->n] = all[i - 1];
		own->w[own->n + 1] = *t;
		*t = (PAGES_OWN + 8 * own->n) | 1;
		own->n += 2;
	}
	return true;
}

static bool read_state(struct one_reader *r, struct one *one, const struct proc_image *p,
		       const char **why)
{
	struct own_terms own = { .n = 0 };
	struct stack st = { 0 };
	enum stack_status got;
	eterm_t t = 0, both[2];

	(void)p;
	/* a loop's registers are in its innermost frame */
	got = snap_stack_read(r->stacks, &one->who, STATE_WORDS, &st);
	if (got != STACK_OK) {
		*why = one_stack_why(got);
		snap_stack_free(&st);
		return false;
	}
	snap_gen_state(r->stacks, &st, &one->gen);
	snap_stack_free(&st);
	if (one->gen.kind == BEHAVIOUR_NONE)
		return true;
	if (one->gen.module)
		one->callback = line_of(r, one->gen.module);
	switch (one->gen.kind) {
	case GEN_SERVER:
		t = one->gen.state;
		break;
	case GEN_STATEM:
		both[0] = one->gen.state;
		both[1] = one->gen.data;
		t = own_tuple(&own, 2, both);
		break;
	default:
		if (!own_handlers(r, &own, one->gen.handlers, &t)) {
			one->gen.why = "its handlers are too many, or none";
			return true;
		}
	}
	pages_own(r->ts->pages, own.w, 8 * own.n);
	one->state = text_of(r, t);
	pages_own(r->ts->pages, NULL, 0);
	return true;
}

/* --- dictionary ------------------------------------------------------------------------------- */

bool one_dict(struct one_reader *r, vmaddr_t dict,
	      void (*fn)(void *arg, eterm_t pair, eterm_t key, eterm_t value, eterm_t list),
	      void *arg)
{
	const struct layout_fields *f = &r->vm->lay->f;
	uint64_t *slots, arity, num, seen = 0;
	uint32_t size, i;
	bool ok = false;
	vmaddr_t at;

	if (!dict)
		return true;
	if (!reader_u32(&r->vm->rd, dict + f->dict_array_size, &size) || size > DICT_MAX ||
	    !reader_copy(&r->vm->rd, dict + f->dict_num, &num, sizeof(num)))
		return false;
	num &= 0xffffffff;
	if (num > DICT_MAX)
		return false;
	slots = xcalloc(size + 1, 8);
	if (!reader_copy(&r->vm->rd, dict + f->dict_data, slots, 8 * (size_t)size))
		goto out;
	for (i = 0; i < size; i++) {
		eterm_t list = slots[i], pair = slots[i], key, value;
		bool chain = term_is_cons(list);

		while (pair && (term_is_cons(list) || !chain)) {
			if (chain && !term_list_next(r->ts, &list, &pair))
				goto out;
			if (!term_is_boxed(pair)) {
				if (chain || !term_is_nil(r->ts, pair))
					goto out;
				break;
			}
			if (!term_tuple(r->ts, pair, &arity, &at) || arity != 2 ||
			    !term_element(r->ts, pair, 0, &key) ||
			    !term_element(r->ts, pair, 1, &value) || ++seen > num)
				goto out;
			fn(arg, pair, key, value, chain ? slots[i] : 0);
			if (!chain)
				break;
		}
	}
	ok = seen == num;
out:
	free(slots);
	return ok;
}

static void take_ancestors(struct one_reader *r, struct one *one, eterm_t list)
{
	eterm_t head;
	size_t n = 0;

	one->ancestors = xcalloc(64, sizeof(*one->ancestors));
	while (n < 64 && term_is_cons(list) && term_list_next(r->ts, &list, &head))
		one->ancestors[n++] = line_of(r, head);
	one->nancestors = n;
}

static void on_pair(void *arg, eterm_t pair, eterm_t key, eterm_t value, eterm_t list)
{
	struct one_arg *a = arg;
	struct one *one = a->one;
	const char *name = term_is_atom(key) ? term_atom(a->r->vm, key) : NULL;

	(void)pair;
	(void)list;
	if (name && !one->ancestors && !strcmp(name, "$ancestors"))
		take_ancestors(a->r, one, value);
	one->dict_size++;
	if (a->r->lim.entries && one->ndict >= a->r->lim.entries)
		return;
	if (one->ndict == one->dict_cap) {
		one->dict_cap = one->dict_cap ? 2 * one->dict_cap : 16;
		one->dict = xrealloc(one->dict, one->dict_cap * sizeof(*one->dict));
	}
	one->dict[one->ndict].key = line_of(a->r, key);
	one->dict[one->ndict++].value = text_of(a->r, value);
}

static bool read_dict(struct one_reader *r, struct one *one, const struct proc_image *p,
		      const char **why)
{
	struct one_arg a = { r, one };

	(void)why;
	return one_dict(r, p->dictionary, on_pair, &a);
}

/* --- links and monitors ----------------------------------------------------------------------- */

static void add_peer(struct one_peers *to, char *text, enum ml_type type)
{
	if (to->n == to->cap) {
		to->cap = to->cap ? 2 * to->cap : 16;
		to->v = xrealloc(to->v, to->cap * sizeof(*to->v));
	}
	to->unknown += !text;
	to->v[to->n++] = (struct one_peer){ text, ml_type_name(type) };
}

/* As the node's own lists have it: {Name, Node} where it was monitored by name. */
static char *peer_text(struct one_reader *r, const struct ml_entry *e)
{
	struct term_limits lim = { .max_terms = PEER_TERMS, .max_bytes = PEER_BYTES };
	char *name, *node, *text, ref[64];
	size_t size;

	if (e->type == ML_RESOURCE)
		return term_resource_text(r->ts, e->other, ref, sizeof(ref)) ? xstrdup(ref) : NULL;
	if (e->kind != ML_MONITOR || !e->name)
		return term_text(r->ts, e->other, &lim, NULL);
	name = term_text(r->ts, e->name, &lim, NULL);
	if (e->node)
		node = term_text(r->ts, e->node, &lim, NULL);
	else
		node = xstrdup(r->vm->node[0] ? r->vm->node : "nonode@nohost");
	size = strlen(name) + strlen(node) + 4;
	text = xcalloc(1, size);
	snprintf(text, size, "{%s,%s}", name, node);
	free(name);
	free(node);
	return text;
}

static bool on_entry(void *arg, const struct ml_entry *e)
{
	struct one_arg *a = arg;
	struct one *one = a->one;

	if (e->kind == ML_LINK)
		add_peer(&one->links, peer_text(a->r, e), e->type);
	else if (e->kind == ML_MONITOR)
		add_peer(&one->monitors, peer_text(a->r, e), e->type);
	else if (e->kind == ML_MONITORED_BY)
		add_peer(&one->monitored_by, peer_text(a->r, e), e->type);
	else if (e->type == ML_SUSPEND)
		add_peer(&one->suspending, peer_text(a->r, e), e->type);
	return true;
}

static bool read_links(struct one_reader *r, struct one *one, const struct proc_image *p,
		       const char **why)
{
	unsigned char raw[PROC_BYTES_MAX];
	struct one_arg a = { r, one };
	struct ml_visitor v = { on_entry, &a };
	uint64_t budget = LINKS_MAX;
	struct ml_roots roots;
	struct ml_sums sums;

	(void)why;
	if (!reader_copy(&r->vm->rd, p->addr, raw, r->vm->lay->f.proc_size))
		return false;
	snap_links_roots(r->vm, raw, &roots);
	snap_links_walk(r->vm, r->ts->pages, &roots, &budget, &v, &sums);
	one->links_partial = sums.partial;
	return true;
}

/* --- messages --------------------------------------------------------------------------------- */

static bool read_messages(struct one_reader *r, struct one *one, const struct proc_image *p,
			  const char **why)
{
	struct census_limits lim = { r->lim.messages, r->lim.examined, r->lim.text,
				     &r->text_left };
	struct msgq_head before, after;

	if (!snap_msgq_read(r->vm, p->addr, &before))
		return false;
	snap_census(r->ts, &before, &lim, &one->census);
	if (!snap_msgq_read(r->vm, p->addr, &after))
		return false;
	if (before.inner.first != after.inner.first || before.middle.first != after.middle.first) {
		*why = "its queue moved while it was read";
		return false;
	}
	return true;
}

/* --- binaries --------------------------------------------------------------------------------- */

static void on_ref(void *arg, vmaddr_t binary)
{
	struct one *one = arg;

	if (one->nbins == one->bins_cap) {
		one->bins_cap = one->bins_cap ? 2 * one->bins_cap : 64;
		one->bins = xrealloc(one->bins, one->bins_cap * sizeof(*one->bins));
	}
	one->bins[one->nbins++] = (struct one_binary){ .addr = binary };
}

static bool read_binaries(struct one_reader *r, struct one *one, const struct proc_image *p,
			  const char **why)
{
	struct held_walk walk = { .refs_budget = BINS_MAX, .on_ref = on_ref, .arg = one,
				  .listed_only = true };
	const struct layout_fields *f = &r->vm->lay->f;
	struct read_req req[2 * BIN_BATCH];
	struct proc_image image;
	struct held_bins held;
	size_t from, i, k;

	(void)p;
	(void)why;
	if (snap_held_bins(r->vm, &one->who, &walk, &held, &image))
		return false;
	one->bins_partial = held.partial;
	for (from = 0; from < one->nbins; from += k) {
		k = one->nbins - from < BIN_BATCH ? one->nbins - from : BIN_BATCH;
		for (i = 0; i < k; i++) {
			struct one_binary *b = &one->bins[from + i];

			req[2 * i] = (struct read_req){ b->addr + f->bin_orig_size, &b->size, 8,
							false };
			req[2 * i + 1] = (struct read_req){ b->addr + f->bin_refc, &b->refc, 8,
							    false };
		}
		reader_batch(&r->vm->rd, req, 2 * k);
		for (i = 0; i < 2 * k; i++)
			if (!req[i].ok)
				return false;
	}
	return true;
}

/* --- all of it -------------------------------------------------------------------------------- */

static const struct {
	part_fn *read;
	bool at_rest, stack;
} parts[ONE_PARTS] = {
	[ONE_SETTINGS] = { read_settings, false, false },
	[ONE_STACK] = { read_stack, true, true },
	[ONE_STATE] = { read_state, true, true },
	[ONE_DICT] = { read_dict, false, false },
	[ONE_LINKS] = { read_links, false, false },
	[ONE_MESSAGES] = { read_messages, false, false },
	[ONE_BINARIES] = { read_binaries, false, false },
	[ONE_HEAP] = { one_read_heap, true, true },
};

static bool is_proven(const struct one_reader *r, enum one_part part)
{
	switch (part) {
	case ONE_LINKS:
		return r->links_proven;
	case ONE_MESSAGES:
		return r->queues_proven;
	case ONE_HEAP:
		return r->roots_proven && r->psd_proven && r->objects_proven && r->queues_proven;
	default:
		return true;
	}
}

int one_read(struct one_reader *r, const struct proc_id *who, struct one *one)
{
	int i, err = 0;

	memset(one, 0, sizeof(*one));
	one->who = *who;
	r->text_left = r->lim.text_bytes ? r->lim.text_bytes : ONE_TEXT_BYTES;
	for (i = 0; i < ONE_PARTS; i++) {
		if (err)
			one->missing[i] = "it is not alive any more";
		else if (parts[i].stack && !r->stacks)
			one->missing[i] = r->no_stacks;
		else if (!is_proven(r, i))
			one->missing[i] = "this build's memory is not as expected";
		else
			err = read_part(r, one, i, parts[i].read, parts[i].at_rest);
	}
	return err;
}

static void free_texts(struct one_text *t, size_t n)
{
	size_t i;

	for (i = 0; t && i < n; i++)
		free_text(&t[i]);
	free(t);
}

static void free_peers(struct one_peers *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		free(p->v[i].text);
	free(p->v);
	memset(p, 0, sizeof(*p));
}

static void free_stack(struct one *one)
{
	size_t i;

	for (i = 0; i < one->nframes; i++)
		free_texts(one->frames[i].y, one->frames[i].ny);
	free(one->frames);
	free_texts(one->x, one->nx);
	free(one->trace);
	free(one->waits_for);
	free(one->waits_in);
	free(one->waits_name);
	one->frames = NULL;
	one->x = NULL;
	one->trace = NULL;
	one->waits_for = one->waits_in = one->waits_name = NULL;
	one->nframes = one->nx = one->ntrace = one->catchlevel = 0;
	one->waits_known = false;
}

static void free_dict(struct one *one)
{
	size_t i;

	for (i = 0; i < one->ndict; i++) {
		free_text(&one->dict[i].key);
		free_text(&one->dict[i].value);
	}
	free(one->dict);
	free_texts(one->ancestors, one->nancestors);
	one->dict = NULL;
	one->ancestors = NULL;
	one->ndict = one->dict_size = one->dict_cap = one->nancestors = 0;
}

static void free_part(struct one *one, enum one_part part)
{
	switch (part) {
	case ONE_SETTINGS:
		free_text(&one->group_leader);
		free_text(&one->parent);
		free_text(&one->error_handler);
		break;
	case ONE_STACK:
		free_stack(one);
		break;
	case ONE_STATE:
		free_text(&one->state);
		free_text(&one->callback);
		break;
	case ONE_DICT:
		free_dict(one);
		break;
	case ONE_LINKS:
		free_peers(&one->links);
		free_peers(&one->monitors);
		free_peers(&one->monitored_by);
		free_peers(&one->suspending);
		break;
	case ONE_MESSAGES:
		census_free(&one->census);
		break;
	case ONE_BINARIES:
		free(one->bins);
		one->bins = NULL;
		one->nbins = one->bins_cap = 0;
		break;
	case ONE_HEAP:
		heap_sum_free(&one->heap);
		break;
	default:
		break;
	}
}

void one_free(struct one *one)
{
	int i;

	for (i = 0; i < ONE_PARTS; i++)
		free_part(one, i);
	memset(one, 0, sizeof(*one));
}
