// SPDX-License-Identifier: GPL-2.0-only
#include "collect.h"
#include "snap_proc.h"
#include "term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HELD_NODES_MAX 50000000ULL /* off-heap nodes read in one run */
#define RETRIES 25		   /* rounds for processes that move */
#define RETRY_NS 1000000

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

/* --- copies of maps, and what is new in them ---------------------------------------------------- */

static void map_copy_free(struct map_copy *c)
{
	free(c->keys);
	free(c->values);
	memset(c, 0, sizeof(*c));
}

void collect_base_free(struct collect_base *base)
{
	map_copy_free(&base->procs);
	map_copy_free(&base->alloc);
	map_copy_free(&base->carrier);
}

/* An index of keys, to find an entry's earlier self. */
struct index {
	size_t *slots, cap;
	const struct map_copy *of;
	size_t key_size;
};

static size_t key_hash(const void *key, size_t size)
{
	const unsigned char *p = key;
	uint64_t h = 0xcbf29ce484222325ULL;

	while (size--)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return h ^ h >> 32;
}

static void index_make(struct index *ix, const struct map_copy *of, size_t key_size)
{
	size_t i, at;

	for (ix->cap = 16; ix->cap < 2 * of->n + 1; ix->cap *= 2)
		;
	ix->slots = xcalloc(ix->cap, sizeof(*ix->slots));
	ix->of = of;
	ix->key_size = key_size;
	for (i = 0; i < of->n; i++) {
		at = key_hash((char *)of->keys + i * key_size, key_size) & (ix->cap - 1);
		while (ix->slots[at])
			at = (at + 1) & (ix->cap - 1);
		ix->slots[at] = i + 1;
	}
}

static long index_find(const struct index *ix, const void *key)
{
	size_t at = key_hash(key, ix->key_size) & (ix->cap - 1);

	for (; ix->slots[at]; at = (at + 1) & (ix->cap - 1))
		if (!memcmp((char *)ix->of->keys + (ix->slots[at] - 1) * ix->key_size, key,
			    ix->key_size))
			return ix->slots[at] - 1;
	return -1;
}

static void sub_u32(uint32_t *a, const uint32_t *b, size_t n)
{
	while (n--)
		*a++ -= *b++;
}

static void sub_proc(struct eb_proc *a, const struct eb_proc *b)
{
	a->created -= b->created;
	a->created_bytes -= b->created_bytes;
	a->freed -= b->freed;
	a->freed_bytes -= b->freed_bytes;
	a->released -= b->released;
	a->released_bytes -= b->released_bytes;
	a->minor -= b->minor;
	a->major -= b->major;
	a->pause_total_ns -= b->pause_total_ns;
	a->reclaimed_words -= b->reclaimed_words;
	a->gc_released_bytes -= b->gc_released_bytes;
	sub_u32(a->size_hist, b->size_hist, EB_HIST_SLOTS);
	sub_u32(a->pause_hist, b->pause_hist, EB_HIST_SLOTS);
}

static void sub_alloc(struct eb_alloc *a, const struct eb_alloc *b)
{
	a->allocs -= b->allocs;
	a->alloc_bytes -= b->alloc_bytes;
	a->frees -= b->frees;
	a->free_bytes -= b->free_bytes;
	a->reallocs -= b->reallocs;
	sub_u32(a->size_hist, b->size_hist, EB_HIST_SLOTS);
}

static void sub_carrier(struct eb_carrier *a, const struct eb_carrier *b)
{
	a->created -= b->created;
	a->destroyed -= b->destroyed;
	a->created_bytes -= b->created_bytes;
	a->destroyed_bytes -= b->destroyed_bytes;
	a->grown -= b->grown;
	a->grown_bytes -= b->grown_bytes;
	a->shrunk -= b->shrunk;
	a->shrunk_bytes -= b->shrunk_bytes;
	sub_u32(a->size_hist, b->size_hist, EB_HIST_SLOTS);
}

/*
 * Reads a map; @now becomes what is new since @base (values changed in place), and @base becomes
 * the full copy.
 */
static void read_new(struct probe *p, enum probe_map map, size_t key_size, size_t value_size,
		     struct map_copy *base, struct map_copy *now)
{
	struct map_copy full;
	struct index ix;
	char *value, *old;
	size_t i;
	long at;

	full.n = probe_read_map(p, map, &full.keys, &full.values);
	now->n = full.n;
	now->keys = xcalloc(full.n, key_size);
	now->values = xcalloc(full.n, value_size);
	if (full.n) {
		memcpy(now->keys, full.keys, full.n * key_size);
		memcpy(now->values, full.values, full.n * value_size);
	}
	index_make(&ix, base, key_size);
	for (i = 0; i < now->n; i++) {
		at = index_find(&ix, (char *)now->keys + i * key_size);
		if (at < 0)
			continue;
		value = (char *)now->values + i * value_size;
		old = (char *)base->values + at * value_size;
		if (map == MAP_PROCS)
			sub_proc((struct eb_proc *)value, (struct eb_proc *)old);
		else if (map == MAP_ALLOC)
			sub_alloc((struct eb_alloc *)value, (struct eb_alloc *)old);
		else
			sub_carrier((struct eb_carrier *)value, (struct eb_carrier *)old);
	}
	free(ix.slots);
	map_copy_free(base);
	*base = full;
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

static struct who *who_of(struct vm *vm, struct model *m, uint64_t key, const struct eb_proc *raw)
{
	char text[64];
	struct who *w;
	bool is_new;

	w = model_who_add(m, key, &is_new);
	if (!is_new)
		return w;
	if (term_is_pid(key)) {
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

static void collect_alloc(struct vm *vm, const struct map_copy *rows,
			  const struct collect_input *in, struct model *m)
{
	uint64_t seen[VM_MAX_ALLOCATORS][3] = { { 0 } };
	const struct eb_alloc_key *keys = rows->keys;
	const struct eb_alloc *v = rows->values;
	struct alloc_row *r;
	unsigned int a;
	size_t i;

	for (i = 0; i < rows->n; i++) {
		if (!v[i].allocs && !v[i].frees && !v[i].reallocs)
			continue;
		a = VM_TYPE_ALLOCATOR(keys[i].type);
		r = vec_add(&m->alloc);
		r->who = who_of(vm, m, keys[i].who, NULL);
		r->type = keys[i].type;
		r->allocator = vm->allocator_name[a];
		r->type_name = vm->type_name[VM_TYPE_NUMBER(keys[i].type)];
		r->allocs = v[i].allocs;
		r->alloc_bytes = v[i].alloc_bytes;
		r->frees = v[i].frees;
		r->free_bytes = v[i].free_bytes;
		r->reallocs = v[i].reallocs;
		r->allocs_est = r->frees_est = r->reallocs_est = -1;
		hist_from_u32(&r->sizes, v[i].size_hist);
		seen[a][0] += r->allocs;
		seen[a][1] += r->frees;
		seen[a][2] += r->reallocs;
	}
	if (!can_scale(in, EB_GROUP_ALLOC))
		return;
	for (i = 0; i < m->alloc.n; i++) {
		r = &m->alloc.v[i];
		a = VM_TYPE_ALLOCATOR(r->type);
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

static void collect_procs(struct vm *vm, const struct map_copy *rows,
			  const struct collect_input *in, struct model *m)
{
	const uint64_t *keys = rows->keys;
	const struct eb_proc *v = rows->values;
	unsigned int a = VM_TYPE_ALLOCATOR(vm->type_binary);
	uint64_t created = 0, freed = 0, gcs = 0;
	struct who *who;
	struct bin_row *b;
	struct gc_row *g;
	size_t i;

	for (i = 0; i < rows->n; i++) {
		who = who_of(vm, m, keys[i], &v[i]);
		if (in->want & WANT_BIN && (v[i].created || v[i].freed || v[i].released)) {
			b = bin_row_of(m, who);
			b->created = v[i].created;
			b->created_bytes = v[i].created_bytes;
			b->freed = v[i].freed;
			b->freed_bytes = v[i].freed_bytes;
			b->released = v[i].released;
			b->released_bytes = v[i].released_bytes;
			hist_from_u32(&b->sizes, v[i].size_hist);
			created += b->created;
			freed += b->freed;
		}
		if (in->want & WANT_GC && (v[i].minor || v[i].major)) {
			g = vec_add(&m->gc);
			g->who = who;
			g->minor = v[i].minor;
			g->major = v[i].major;
			g->pause_total_ns = v[i].pause_total_ns;
			g->pause_max_ns = v[i].pause_max_ns;
			g->reclaimed_words = v[i].reclaimed_words;
			g->released_bytes = v[i].gc_released_bytes;
			g->heap_words = v[i].heap_words;
			g->minor_est = g->major_est = -1;
			hist_from_u32(&g->pauses, v[i].pause_hist);
			gcs += g->minor + g->major;
		}
	}
	if (can_scale(in, EB_GROUP_ALLOC))
		for (i = 0; i < m->bin.n; i++) {
			b = &m->bin.v[i];
			b->created_est = scaled(b->created, created, delta(in, a, CALL_ALLOC));
			b->freed_est = scaled(b->freed, freed, delta(in, a, CALL_FREE));
		}
	if (can_scale(in, EB_GROUP_GC))
		for (i = 0; i < m->gc.n; i++) {
			g = &m->gc.v[i];
			g->minor_est = scaled(g->minor, gcs, in->after->gc_cols - in->before->gc_cols);
			g->major_est = scaled(g->major, gcs, in->after->gc_cols - in->before->gc_cols);
		}
}

/* What the instance's carriers of a kind hold, pooled ones (multi-block only) included. */
static void carrier_stats(struct vm *vm, struct carrier_row *r, const struct instance *in)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t stats = in->allctr + (r->kind == EB_SBC ? f->allctr_sbcs : f->allctr_mbcs);
	uint64_t carriers[4], block[2], pool[3] = { 0 };

	if (!reader_copy(&vm->rd, stats + f->cstats_carriers, carriers, sizeof(carriers)) ||
	    !reader_copy(&vm->rd, stats + f->cstats_blocks +
			 f->cstats_block_stride * (in->alloc_no - 1), block, sizeof(block)))
		return;
	if (r->kind == EB_MBC &&
	    (!reader_u64(&vm->rd, in->allctr + f->allctr_pool_no_carriers, &pool[0]) ||
	     !reader_u64(&vm->rd, in->allctr + f->allctr_pool_carriers_size, &pool[1]) ||
	     !reader_u64(&vm->rd, in->allctr + f->allctr_pool_blocks_size + 8 * (in->alloc_no - 1),
			 &pool[2])))
		return;
	/* counters of a running VM, read one by one: a nonsense sum is no answer */
	r->carriers = carriers[0] + carriers[2] + pool[0];
	r->carriers_size = carriers[1] + carriers[3] + pool[1];
	r->blocks_size = block[1] + pool[2];
	r->stats_known = r->blocks_size <= r->carriers_size;
}

static const struct instance *instance_of(struct vm *vm, uint64_t allctr)
{
	size_t i;

	for (i = 0; i < vm->ninsts; i++)
		if (vm->insts[i].allctr == allctr)
			return &vm->insts[i];
	return NULL;
}

static int by_created(const void *a, const void *b)
{
	const struct carrier_by *x = a, *y = b;

	return x->created_bytes > y->created_bytes ? -1 : x->created_bytes < y->created_bytes;
}

static void collect_carrier(struct vm *vm, const struct map_copy *rows, struct model *m)
{
	const struct eb_carrier_key *keys = rows->keys;
	const struct eb_carrier *v = rows->values;
	const struct instance *in;
	struct carrier_row *r;
	struct carrier_by *b;
	size_t i, k;

	for (i = 0; i < rows->n; i++) {
		in = instance_of(vm, keys[i].allctr);
		if (keys[i].who || !in ||
		    (!v[i].created && !v[i].destroyed && !v[i].grown && !v[i].shrunk))
			continue;
		r = vec_add(&m->carrier);
		r->allctr = keys[i].allctr;
		r->allocator = vm->allocator_name[in->alloc_no];
		r->instance = in->ix;
		r->kind = keys[i].kind;
		r->source = keys[i].source;
		r->created = v[i].created;
		r->destroyed = v[i].destroyed;
		r->created_bytes = v[i].created_bytes;
		r->destroyed_bytes = v[i].destroyed_bytes;
		r->grown = v[i].grown;
		r->grown_bytes = v[i].grown_bytes;
		r->shrunk = v[i].shrunk;
		r->shrunk_bytes = v[i].shrunk_bytes;
		hist_from_u32(&r->sizes, v[i].size_hist);
	}
	for (k = 0; k < m->carrier.n; k++) {
		r = &m->carrier.v[k];
		for (i = 0; i < rows->n; i++) {
			if (!keys[i].who || keys[i].allctr != r->allctr ||
			    keys[i].kind != r->kind || keys[i].source != r->source ||
			    !v[i].created)
				continue;
			r->by = xrealloc(r->by, (r->nby + 1) * sizeof(*r->by));
			b = &r->by[r->nby++];
			b->who = who_of(vm, m, keys[i].who, NULL);
			b->created = v[i].created;
			b->created_bytes = v[i].created_bytes;
		}
		if (r->nby)
			qsort(r->by, r->nby, sizeof(*r->by), by_created);
		/* statistics are per kind: shown once, with the mseg carriers where there are any */
		for (i = 0; i < m->carrier.n; i++)
			if (i != k && m->carrier.v[i].allctr == r->allctr &&
			    m->carrier.v[i].kind == r->kind && m->carrier.v[i].source < r->source)
				break;
		in = instance_of(vm, r->allctr);
		if (i == m->carrier.n && in)
			carrier_stats(vm, r, in);
	}
}

/* --- held binaries ------------------------------------------------------------------------------ */

static void note_held(struct vm *vm, struct model *m, const struct proc_id *id,
		      const struct held_bins *h, const struct proc_image *image)
{
	struct bin_row *b;

	/* a process that was traced gets its held columns even when they are zero */
	if (!h->refs && !h->writable_refs && !model_who(m, id->id))
		return;
	b = bin_row_of(m, who_of(vm, m, id->id, NULL));
	b->held_known = true;
	b->held_partial = h->partial;
	b->held_refs = h->refs;
	b->held_bytes = h->bytes;
	b->writable_bytes = h->writable_bytes;
	b->since_gc = image->off_heap_overhead * 8;
}

/* Which processes have anything on an off-heap list: one word each, in batches. */
static size_t holders(struct vm *vm, struct model *m, struct proc_ids *ids)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int offs[3] = { f->proc_off_heap_first, f->proc_mbuf, f->proc_wrt_bins };
	size_t from, k, i, j, n = 0, noffs = f->proc_wrt_bins == LAYOUT_ABSENT ? 2 : 3;
	struct read_req req[3 * 128];
	uint64_t words[3 * 128];
	bool any;

	for (from = 0; from < ids->n; from += k) {
		k = ids->n - from < 128 ? ids->n - from : 128;
		for (i = 0; i < k * noffs; i++)
			req[i] = (struct read_req){ ids->v[from + i / noffs].addr + offs[i % noffs],
						    &words[i], 8, false };
		reader_batch(&vm->rd, req, k * noffs);
		for (i = 0; i < k; i++) {
			any = model_who(m, ids->v[from + i].id) != NULL;
			for (j = 0; j < noffs; j++)
				any = any || (req[i * noffs + j].ok && words[i * noffs + j]);
			if (any && term_is_pid(ids->v[from + i].id))
				ids->v[n++] = ids->v[from + i];
		}
	}
	return n;
}

static void collect_held(struct vm *vm, struct model *m)
{
	struct held_walk walk = { .refs_budget = HELD_NODES_MAX };
	struct timespec pause = { 0, RETRY_NS };
	struct proc_image image;
	struct held_bins held;
	struct proc_ids ids;
	size_t i, left;
	int round, err;

	if (snap_proc_ids(vm, &ids))
		return;
	left = holders(vm, m, &ids);
	for (round = 0; round < RETRIES && left; round++) {
		size_t moved = 0;

		if (round)
			nanosleep(&pause, NULL);
		for (i = 0; i < left; i++) {
			err = snap_held_bins(vm, &ids.v[i], &walk, &held, &image);
			if (err == -EAGAIN)
				ids.v[moved++] = ids.v[i];
			else if (!err)
				note_held(vm, m, &ids.v[i], &held, &image);
		}
		left = moved;
	}
	m->skipped += left;
	m->held_complete = !left && walk.refs_budget;
	snap_proc_ids_free(&ids);
}

void collect(struct vm *vm, struct probe *p, const struct collect_input *in,
	     struct collect_base *base, struct model *m)
{
	struct map_copy procs, alloc = { 0 }, carrier = { 0 };

	memset(m, 0, sizeof(*m));
	/* processes first: their rows carry the names that others refer to */
	read_new(p, MAP_PROCS, sizeof(uint64_t), sizeof(struct eb_proc), &base->procs, &procs);
	collect_procs(vm, &procs, in, m);
	if (in->want & WANT_ALLOC) {
		read_new(p, MAP_ALLOC, sizeof(struct eb_alloc_key), sizeof(struct eb_alloc),
			 &base->alloc, &alloc);
		collect_alloc(vm, &alloc, in, m);
	}
	if (in->want & WANT_CARRIER) {
		read_new(p, MAP_CARRIER, sizeof(struct eb_carrier_key), sizeof(struct eb_carrier),
			 &base->carrier, &carrier);
		collect_carrier(vm, &carrier, m);
	}
	if (in->want & WANT_BIN && target_alive(&vm->target))
		collect_held(vm, m);
	map_copy_free(&procs);
	map_copy_free(&alloc);
	map_copy_free(&carrier);
}
