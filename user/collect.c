// SPDX-License-Identifier: GPL-2.0-only
#include "collect.h"
#include "alive.h"
#include "snap_held.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define HELD_NODES_MAX 50000000ULL /* off-heap nodes read in one run */
#define HELD_BY_MAX 8		   /* holders told of one creator's binaries */

void collect_counters(struct vm *vm, struct vm_counters *c)
{
	uint64_t calls[CALL_N], reclaimed;
	size_t i, k;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < vm->ninsts; i++) {
		if (!vm_instance_calls(vm, &vm->insts[i], calls))
			return;
		for (k = 0; k < CALL_N; k++)
			c->calls[vm->insts[i].alloc_no][k] += calls[k];
	}
	c->known = vm_gc_info(vm, &c->gc_cols, &reclaimed);
}

static void row_gone(void *arg, uint64_t who, const struct eb_proc *row)
{
	struct collect_base *base = arg;
	struct came came;

	if (!term_is_pid(who))
		return;
	fresh_row_gone(&base->fresh, who, row, &came);
	base->folded.refs += came.refs;
	base->folded.bytes += came.bytes;
	base->folded.words += came.words;
}

void collect_start(struct vm *vm, unsigned int want, struct collect_base *base)
{
	base->fold.gone = row_gone;
	base->fold.gone_arg = base;
	if (want & (WANT_GC | WANT_BIN))
		fresh_take(&base->fresh, vm);
}

void collect_step(struct probe *p, struct collect_base *base)
{
	if (fold_due(&base->fold, p))
		fold_run(&base->fold, p, &base->procs, &base->alloc);
}

void collect_base_free(struct collect_base *base)
{
	map_copy_free(&base->procs);
	map_copy_free(&base->alloc);
	map_copy_free(&base->carrier);
	fresh_free(&base->fresh);
	fold_free(&base->fold);
}

/* --- names -------------------------------------------------------------------------------------- */

static void name_thread(struct vm *vm, struct who *w, const struct eb_proc *raw)
{
	const struct scheduler *s = vm_scheduler_of(vm, EB_KEY_TID(w->key));
	char text[128], comm[64];

	if (s) {
		scheduler_name(s, text, sizeof(text));
	} else {
		text_escape(raw ? raw->comm : "", raw ? strnlen(raw->comm, sizeof(raw->comm)) : 0,
			    comm, sizeof(comm));
		snprintf(text, sizeof(text), "thread %s", comm[0] ? comm : "?");
	}
	w->name = xstrdup(text);
}

static void name_process(struct vm *vm, struct who *w, const struct eb_proc *raw)
{
	struct proc_names names = { 0 }, noted = { 0 };
	uint64_t initial_call[3], initial[3];
	struct proc_image image;
	char text[64];

	term_pid_text(vm, w->key, text, sizeof(text));
	w->pid = xstrdup(text);
	if (raw && raw->flags & EB_PROC_PARTIAL)
		w->partial = true;
	if (raw && raw->flags & EB_PROC_EXITED)
		w->exited = true;
	else if (!snap_proc_find(vm, w->key, &image))
		snap_proc_names(vm, &image, &names);
	if (raw) {
		memcpy(initial_call, raw->initial_call, sizeof(initial_call));
		memcpy(initial, raw->initial, sizeof(initial));
		proc_names_make(vm, raw->reg_name, initial_call, initial, &noted);
	}
	w->initial_call = names.initial_call ? names.initial_call : noted.initial_call;
	if (names.initial_call)
		free(noted.initial_call);
	w->name = names.registered ? names.registered : noted.registered;
	if (names.registered)
		free(noted.registered);
	if (!w->name && w->initial_call)
		w->name = xstrdup(w->initial_call);
}

struct who *collect_who(struct vm *vm, struct model *m, uint64_t key, const struct eb_proc *raw)
{
	char text[64];
	struct who *w;
	bool is_new;

	w = model_who_add(m, key, &is_new);
	if (!is_new)
		return w;
	if (key == EB_KEY_OTHER) {
		w->name = xstrdup("other");
	} else if (EB_KEY_TAG(key) == EB_KEY_API) {
		w->name = xstrdup(key >> 8 < EB_NAPIS ? probe_api_names[key >> 8] : "?");
	} else if (term_is_pid(key)) {
		name_process(vm, w, raw);
	} else if (term_is_port(key)) {
		strcpy(text, "port ");
		term_port_text(vm, key, text + 5, sizeof(text) - 5);
		w->name = xstrdup(text);
	} else {
		name_thread(vm, w, raw);
	}
	return w;
}

/* --- rows --------------------------------------------------------------------------------------- */

static double scaled(uint64_t seen, uint64_t seen_all, uint64_t truth)
{
	return seen_all ? (double)seen * truth / seen_all : 0;
}

static uint64_t delta(const struct collect_input *in, unsigned int a, enum alloc_call c)
{
	return in->after->calls[a][c] - in->before->calls[a][c];
}

static bool can_scale(const struct collect_input *in, enum eb_group group)
{
	return in->partial[group] && in->before->known && in->after->known;
}

static bool has_instance(const struct vm *vm, unsigned int allocator)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (vm->insts[i].alloc_no == allocator)
			return true;
	return false;
}

/* What was counted as the VM counts it, beside what the VM did count. */
static void collect_calls(struct vm *vm, struct probe *p, const struct collect_input *in,
			  struct collect_base *base, struct model *m)
{
	static const enum alloc_call vm_call[EB_NCALLS] = { CALL_ALLOC, CALL_FREE, CALL_REALLOC };
	uint64_t seen[EB_MAX_ALLOCATORS][EB_NCALLS] = { { 0 } };
	const volatile struct eb_thread_state *st;
	struct call_row *r;
	size_t n, i, a, c;

	m->vm_calls_known = in->before->known && in->after->known;
	st = probe_thread_states(p, &n);
	for (i = 0; i < n; i++)
		for (a = 0; a < EB_MAX_ALLOCATORS; a++)
			for (c = 0; c < EB_NCALLS; c++)
				seen[a][c] += st[i].calls[a][c];
	for (a = 1; a < EB_MAX_ALLOCATORS; a++) {
		r = &m->calls[m->ncalls];
		for (c = 0; c < EB_NCALLS; c++) {
			r->seen[c] = seen[a][c] - base->calls[a][c];
			r->vm[c] = m->vm_calls_known ? delta(in, a, vm_call[c]) : 0;
		}
		r->allocator = vm->allocator_name[a];
		if (has_instance(vm, a))
			m->ncalls++;
	}
	memcpy(base->calls, seen, sizeof(seen));
}

static struct alloc_row *add_alloc(struct vm *vm, struct model *m, uint64_t who, uint32_t type,
				   const struct eb_alloc *v)
{
	struct alloc_row *r = vec_add(&m->alloc);

	r->who = collect_who(vm, m, who, NULL);
	r->type = type;
	r->allocator = vm->allocator_name[VM_TYPE_ALLOCATOR(type)];
	r->type_name = vm->type_name[VM_TYPE_NUMBER(type)];
	r->allocs_est = r->frees_est = r->reallocs_est = -1;
	if (!v)
		return r;
	r->allocs = v->allocs;
	r->alloc_bytes = v->alloc_bytes;
	r->frees = v->frees;
	r->free_bytes = v->free_bytes;
	r->reallocs = v->reallocs;
	hist_from_u32(&r->sizes, v->size_hist, EB_HIST_SLOTS);
	return r;
}

/* The rows that were folded are the same as those of the map that found no room. */
static void add_folded_allocs(struct map_copy *rows, const struct fold *f)
{
	struct eb_alloc_key *keys = rows->keys;
	struct eb_alloc *v = rows->values;
	size_t i;
	long at;

	for (i = 0; i < rows->n; i++)
		if (keys[i].who == EB_KEY_OTHER) {
			at = pairs_find(&f->types, keys[i].type, 0);
			if (at >= 0)
				alloc_add(&v[i], &f->allocs[at]);
		}
}

static void collect_alloc(struct vm *vm, const struct map_copy *rows,
			  const struct collect_input *in, const struct alive *alive,
			  struct model *m)
{
	const struct eb_alloc_key *keys = rows->keys;
	const struct eb_alloc *v = rows->values;
	uint64_t seen[VM_MAX_ALLOCATORS][3] = { { 0 } };
	struct pairs row_of = { 0 };
	const struct live_sum *l;
	struct alloc_row *r;
	unsigned int a;
	size_t i, at, n;

	for (i = 0; i < rows->n; i++) {
		if (!v[i].allocs && !v[i].frees && !v[i].reallocs)
			continue;
		pairs_add(&row_of, keys[i].who, keys[i].type);
		r = add_alloc(vm, m, keys[i].who, keys[i].type, &v[i]);
		a = VM_TYPE_ALLOCATOR(r->type);
		seen[a][0] += r->allocs;
		seen[a][1] += r->frees;
		seen[a][2] += r->reallocs;
	}
	for (i = 0; alive && i < alive->nlive; i++) {
		l = &alive->live[i];
		n = row_of.n;
		at = pairs_add(&row_of, l->who, l->type);
		r = at == n ? add_alloc(vm, m, l->who, l->type, NULL) : &m->alloc.v[at];
		r->live = l->blocks;
		r->live_bytes = l->bytes;
	}
	pairs_free(&row_of);
	for (i = 0; i < m->alloc.n; i++) {
		r = &m->alloc.v[i];
		a = VM_TYPE_ALLOCATOR(r->type);
		r->live_known = alive && !m->lost_births;
		r->live_est = m->sampled[r->type == vm->type_binary ||
						 r->type == vm->type_drv_binary ?
					 EB_BIRTH_BINARY : EB_BIRTH_OTHER];
		if (!can_scale(in, EB_GROUP_ALLOC))
			continue;
		r->allocs_est = scaled(r->allocs, seen[a][0], delta(in, a, CALL_ALLOC));
		r->frees_est = scaled(r->frees, seen[a][1], delta(in, a, CALL_FREE));
		r->reallocs_est = scaled(r->reallocs, seen[a][2], delta(in, a, CALL_REALLOC));
	}
}

static struct bin_row *bin_row_of(struct model *m, struct who *who)
{
	struct bin_row *b;

	if (who->bin_row)
		return &m->bin.v[who->bin_row - 1];
	b = vec_add(&m->bin);
	b->who = who;
	b->created_est = b->freed_est = -1;
	who->bin_row = m->bin.n;
	return b;
}

static struct gc_row *gc_row_of(struct model *m, struct who *who)
{
	struct gc_row *g;

	if (who->gc_row)
		return &m->gc.v[who->gc_row - 1];
	g = vec_add(&m->gc);
	g->who = who;
	g->minor_est = g->major_est = -1;
	who->gc_row = m->gc.n;
	return g;
}

static void add_gc(struct model *m, struct who *who, const struct eb_proc *v)
{
	struct gc_row *g = gc_row_of(m, who);

	g->minor = v->minor;
	g->major = v->major;
	g->pause_total_ns = v->pause_total_ns;
	g->pause_max_ns = v->pause_max_ns;
	g->reclaimed_words = v->reclaimed_words;
	g->released_bytes = v->gc_released_bytes;
	g->heap_words = v->heap_words;
	hist_from_u32(&g->pauses, v->pause_hist, EB_HIST_SLOTS);
}

static void collect_procs(struct vm *vm, const struct map_copy *rows,
			  const struct collect_input *in, struct model *m)
{
	const uint64_t *keys = rows->keys;
	const struct eb_proc *v = rows->values;
	unsigned int a = VM_TYPE_ALLOCATOR(vm->type_binary);
	uint64_t created = 0, freed = 0, died = 0, gcs = 0;
	struct who *who;
	struct bin_row *b;
	size_t i;

	for (i = 0; i < rows->n; i++) {
		/* the others' row is there from the start */
		if (keys[i] == EB_KEY_OTHER && !m->other.processes && !m->other.overflows)
			continue;
		who = collect_who(vm, m, keys[i], &v[i]);
		if (in->want & WANT_BIN &&
		    (v[i].created || v[i].freed || v[i].released || v[i].died ||
		     (EB_KEY_TAG(keys[i]) == EB_KEY_API && v[i].acquired))) {
			b = bin_row_of(m, who);
			b->created = v[i].created;
			b->created_bytes = v[i].created_bytes;
			b->freed = v[i].freed;
			b->freed_bytes = v[i].freed_bytes;
			b->released = v[i].released;
			b->released_bytes = v[i].released_bytes;
			b->died = v[i].died;
			b->died_bytes = v[i].died_bytes;
			if (EB_KEY_TAG(keys[i]) == EB_KEY_API) {
				b->acquired_known = true;
				b->acquired = v[i].acquired;
				b->acquired_bytes = v[i].acquired_bytes;
			}
			if (b->created)
				hist_from_u32(hist_at(&b->sizes), v[i].size_hist, EB_HIST_SLOTS);
			if (b->died)
				hist_from_u32(hist_at(&b->lives), v[i].life_hist, EB_LIFE_SLOTS);
			created += b->created;
			freed += b->freed;
			died += b->died;
		}
		if (in->want & WANT_GC && (v[i].minor || v[i].major)) {
			add_gc(m, who, &v[i]);
			gcs += v[i].minor + v[i].major;
		}
	}
	/* what died and was not born under watch was older; of a sample that is an estimate */
	m->born_before = freed > died ? freed - died : 0;
	m->born_before_known = !in->partial[EB_GROUP_ALLOC];
	if (can_scale(in, EB_GROUP_ALLOC))
		for (i = 0; i < m->bin.n; i++) {
			b = &m->bin.v[i];
			b->created_est = scaled(b->created, created, delta(in, a, CALL_ALLOC));
			b->freed_est = scaled(b->freed, freed, delta(in, a, CALL_FREE));
		}
	if (can_scale(in, EB_GROUP_GC))
		for (i = 0; i < m->gc.n; i++) {
			struct gc_row *g = &m->gc.v[i];

			g->minor_est = scaled(g->minor, gcs, in->after->gc_cols - in->before->gc_cols);
			g->major_est = scaled(g->major, gcs, in->after->gc_cols - in->before->gc_cols);
		}
}

/* --- what processes hold, and what came to them ------------------------------------------------- */

struct held_row {
	uint64_t pid;
	struct held_bins held;
};

struct held_collector {
	struct alive *alive;
	const struct fresh *fresh;
	VEC(struct held_row) rows;
	struct pairs row_of;
};

static void held_start(void *arg)
{
	struct held_collector *h = arg;

	alive_start(h->alive);
	if (h->fresh->tick)
		h->fresh->tick(h->fresh->tick_arg);
}

static void held_ref(void *arg, vmaddr_t binary)
{
	alive_on_ref(((struct held_collector *)arg)->alive, binary);
}

static void held_found(void *arg, const struct proc_id *who, const struct held_bins *held)
{
	struct held_collector *h = arg;
	struct held_row *r;

	alive_found(h->alive, who->id);
	if (!term_is_pid(who->id) || pairs_find(&h->row_of, who->id, 0) >= 0)
		return;
	pairs_add(&h->row_of, who->id, 0);
	r = vec_add(&h->rows);
	r->pid = who->id;
	r->held = *held;
}

static int by_held(const void *a, const void *b)
{
	const struct held_row *const *x = a, *const *y = b;

	return (*x)->held.bytes > (*y)->held.bytes ? -1 : (*x)->held.bytes < (*y)->held.bytes;
}

static void note_held(struct bin_row *b, const struct held_bins *h)
{
	b->held_known = true;
	b->held_partial = b->held_partial || h->partial;
	b->held_refs += h->refs;
	b->held_bytes += h->bytes;
	b->writable_bytes += h->writable_bytes;
	b->since_gc += h->fresh_bytes;
}

/* Rows for those that hold; processes without a row beyond @max are summed up as others. */
static void rows_of_held(struct vm *vm, struct held_collector *h, size_t max, struct model *m)
{
	const struct held_row **order = xcalloc(h->rows.n + 1, sizeof(*order));
	struct who *who;
	size_t i, n = 0;

	for (i = 0; i < h->rows.n; i++) {
		who = model_who(m, h->rows.v[i].pid);
		/* a process that was traced gets its held columns even when they are zero */
		if (who)
			note_held(bin_row_of(m, who), &h->rows.v[i].held);
		else if (h->rows.v[i].held.refs || h->rows.v[i].held.writable_refs)
			order[n++] = &h->rows.v[i];
	}
	qsort(order, n, sizeof(*order), by_held);
	for (i = 0; i < n; i++) {
		if (m->nwhos >= max)
			m->other.processes++;
		who = collect_who(vm, m, m->nwhos < max ? order[i]->pid : EB_KEY_OTHER, NULL);
		note_held(bin_row_of(m, who), &order[i]->held);
	}
	free(order);
}

static int by_bytes(const void *a, const void *b)
{
	const struct bin_holder *x = a, *y = b;

	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

/* Binaries that were born under watch and are alive: how many, how old, and who holds them. */
static void rows_of_alive(struct vm *vm, const struct alive *alive, struct model *m)
{
	const struct holding *g;
	struct bin_row *b;
	uint64_t now = now_ns(), age;
	struct who *holder;
	size_t i;

	for (i = 0; i < alive->bin_at.n; i++) {
		b = bin_row_of(m, collect_who(vm, m, alive->bins[i].creator, NULL));
		b->alive += alive->bins[i].weight;
		b->alive_bytes += alive->bins[i].weight * alive->bins[i].size;
		age = now > alive->bins[i].ns ? now - alive->bins[i].ns : 0;
		hist_at(&b->ages)->slot[hist_slot(age)] += alive->bins[i].weight;
	}
	for (i = 0; i < alive->holding_at.n; i++) {
		g = &alive->holdings[i];
		/* makes rows, which may move: the row is looked up after it */
		holder = g->holder ? collect_who(vm, m, g->holder, NULL) : NULL;
		b = bin_row_of(m, collect_who(vm, m, g->creator, NULL));
		b->held_by = xrealloc(b->held_by, (b->nheld_by + 1) * sizeof(*b->held_by));
		b->held_by[b->nheld_by++] = (struct bin_holder){ holder, g->binaries, g->bytes };
	}
	for (i = 0; i < m->bin.n; i++) {
		b = &m->bin.v[i];
		b->alive_known = true;
		b->births_sampled = m->sampled[EB_BIRTH_BINARY];
		if (!b->nheld_by)
			continue;
		qsort(b->held_by, b->nheld_by, sizeof(*b->held_by), by_bytes);
		if (b->nheld_by > HELD_BY_MAX)
			b->nheld_by = HELD_BY_MAX;
	}
}

/* What came to each process; the probes' part is in @raw, rows of the whole run. */
static void rows_of_fresh(struct vm *vm, const struct held_collector *h,
			  const struct map_copy *raw, const struct collect_input *in,
			  struct collect_base *base, struct model *m)
{
	const uint64_t *keys = raw->keys;
	const struct eb_proc *v = raw->values;
	struct bin_row *b;
	struct gc_row *g;
	struct who *who;
	struct came came;
	size_t i;
	long held;

	for (i = 0; i < raw->n + h->rows.n; i++) {
		uint64_t pid = i < raw->n ? keys[i] : h->rows.v[i - raw->n].pid;
		const struct eb_proc *p = i < raw->n ? &v[i] : NULL;

		if (!term_is_pid(pid))
			continue;
		if (!p) {
			/* seen already with its row? */
			who = model_who(m, pid);
			if (who && who->came)
				continue;
		}
		held = pairs_find(&h->row_of, pid, 0);
		fresh_came(&base->fresh, pid, p, held < 0 ? NULL : &h->rows.v[held].held, &came);
		if (!p && !came.refs && !came.words) {
			/* nothing is an answer, too, but makes no row */
			who = model_who(m, pid);
			if (who && who->bin_row)
				m->bin.v[who->bin_row - 1].acquired_known = came.refs_known;
			continue;
		}
		/* beyond the bound: without a row of its own nothing is said */
		if (!model_who(m, pid) && m->nwhos >= base->fold.max_processes)
			continue;
		who = collect_who(vm, m, pid, p);
		who->came = true;
		if (in->want & WANT_BIN && (who->bin_row || came.refs)) {
			b = bin_row_of(m, who);
			b->acquired_known = came.refs_known;
			b->acquired = came.refs;
			b->acquired_bytes = came.bytes;
		}
		if (in->want & WANT_GC && (who->gc_row || came.words)) {
			g = gc_row_of(m, who);
			g->allocated_known = came.words_known;
			g->allocated_words = came.words;
		}
	}
}

/* What came to those that were summed up: at least so much. */
static void row_of_folded(const struct collect_input *in, struct collect_base *base,
			  struct model *m)
{
	struct who *other = model_who(m, EB_KEY_OTHER);
	struct bin_row *b;
	struct gc_row *g;

	if (other && in->want & WANT_BIN) {
		b = bin_row_of(m, other);
		b->acquired_known = true;
		b->acquired = base->folded.refs;
		b->acquired_bytes = base->folded.bytes;
	}
	if (other && other->gc_row) {
		g = gc_row_of(m, other);
		g->allocated_known = true;
		g->allocated_words = base->folded.words;
	}
	memset(&base->folded, 0, sizeof(base->folded));
}

static void collect_held(struct vm *vm, const struct map_copy *raw, const struct collect_input *in,
			 struct alive *alive, struct collect_base *base, struct model *m)
{
	struct held_collector h = { .alive = alive, .fresh = &base->fresh };
	struct held_walk walk = { .refs_budget = in->want & WANT_BIN ? HELD_NODES_MAX : 0,
				  .arg = &h };
	struct held_visitor visitor = { held_start, held_found, &h };
	long left = -1;

	if (target_alive(&vm->target)) {
		walk.on_ref = alive->bin_at.n ? held_ref : NULL;
		left = snap_held_all(vm, &walk, &visitor);
		m->skipped += left > 0 ? left : 0;
	}
	if (in->want & WANT_BIN && left >= 0)
		rows_of_held(vm, &h, base->fold.max_processes, m);
	if (in->want & WANT_BIN && !in->partial[EB_GROUP_ALLOC] && left >= 0 && !m->lost_births) {
		alive_rest(alive);
		rows_of_alive(vm, alive, m);
	}
	rows_of_fresh(vm, &h, raw, in, base, m);
	row_of_folded(in, base, m);
	fresh_forget(&base->fresh, vm);
	free(h.rows.v);
	pairs_free(&h.row_of);
}

/* --- the whole ---------------------------------------------------------------------------------- */

static void collect_sampling(struct probe *p, struct collect_base *base, struct model *m)
{
	const volatile struct eb_thread_state *st;
	uint64_t words = 0;
	struct probe_counts counts;
	size_t n, i;
	int k;

	st = probe_thread_states(p, &n);
	for (i = 0; i < n; i++) {
		words += st[i].unrowed_words;
		for (k = 0; k < EB_NBIRTHS; k++)
			m->sampled[k] = m->sampled[k] || st[i].sampler[k].skipped;
	}
	m->unrowed_words = words - base->unrowed_words;
	base->unrowed_words = words;
	probe_counts(p, &counts);
	m->lost_births = counts.lost_births;
	m->other.processes = base->fold.folded;
	m->other.overflows = counts.overflows;
}

/* How wrong any one process's amount may be, now that the others' row is known. */
static void collect_bounds(const struct map_copy *procs, const struct map_copy *allocs,
			   const struct fold *f, struct model *m)
{
	const struct eb_alloc_key *keys = allocs->keys;
	const struct eb_alloc *v = allocs->values;
	const struct eb_proc *other = NULL;
	uint64_t alloc_bytes = 0;
	size_t i;
	int k;

	for (i = 0; i < procs->n; i++)
		if (((uint64_t *)procs->keys)[i] == EB_KEY_OTHER)
			other = (struct eb_proc *)procs->values + i;
	for (i = 0; i < allocs->n; i++)
		if (keys[i].who == EB_KEY_OTHER)
			alloc_bytes += v[i].alloc_bytes;
	for (k = 0; k < FOLD_N; k++)
		m->other.bound[k] = fold_bound(f, k, fold_weight(other, alloc_bytes, k));
}

void collect(struct vm *vm, struct probe *p, const struct collect_input *in,
	     struct collect_base *base, struct model *m)
{
	struct map_copy procs, alloc = { 0 }, carrier = { 0 };
	bool births = in->want & (WANT_ALLOC | WANT_BIN) && !in->partial[EB_GROUP_ALLOC];
	struct alive alive = { 0 };
	size_t i;

	memset(m, 0, sizeof(*m));
	collect_step(p, base); /* what came since the last look */
	collect_sampling(p, base, m);
	if (births)
		alive_read(&alive, vm, p, in->want & WANT_BIN);
	/* processes first: their rows carry the names that others refer to */
	rows_read_new(p, MAP_PROCS, &base->procs, &procs);
	if (in->want & WANT_ALLOC)
		rows_read_new(p, MAP_ALLOC, &base->alloc, &alloc);
	collect_bounds(&base->procs, &base->alloc, &base->fold, m);
	for (i = 0; i < procs.n; i++)
		if (((uint64_t *)procs.keys)[i] == EB_KEY_OTHER)
			proc_add((struct eb_proc *)procs.values + i, &base->fold.proc);
	collect_procs(vm, &procs, in, m);
	if (in->want & WANT_ALLOC) {
		add_folded_allocs(&alloc, &base->fold);
		collect_alloc(vm, &alloc, in, births ? &alive : NULL, m);
		collect_calls(vm, p, in, base, m);
	}
	if (in->want & WANT_CARRIER) {
		rows_read_new(p, MAP_CARRIER, &base->carrier, &carrier);
		collect_carriers(vm, p, &carrier, m);
	}
	if (in->want & (WANT_BIN | WANT_GC))
		collect_held(vm, &base->procs, in, &alive, base, m);
	fold_reported(&base->fold);
	alive_free(&alive);
	map_copy_free(&procs);
	map_copy_free(&alloc);
	map_copy_free(&carrier);
}
