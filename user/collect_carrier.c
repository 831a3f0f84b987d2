// SPDX-License-Identifier: GPL-2.0-only
/* The carrier section: rows of instances, what they hold, and how full new carriers are. */
#include "collect.h"

#include <stdlib.h>
#include <string.h>

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

/*
 * How full those are that were created under watch and live.  Carrier_t keeps the bytes in blocks of
 * a multi-block carrier where the instance takes part in the pool; of a single-block one it is the
 * block.
 */
static bool carrier_used(struct vm *vm, vmaddr_t carrier, unsigned int kind, uint64_t *size,
			 uint64_t *used)
{
	uint64_t chdr, word;

	if (!reader_u64(&vm->rd, carrier + vm->lay->f.carrier_chdr, &chdr))
		return false;
	*size = chdr & ~7ULL;
	if (!reader_u64(&vm->rd, carrier + (kind == EB_SBC ? EB_SBC_HEADER_BYTES :
					    vm->lay->f.carrier_blocks_size), &word))
		return false;
	*used = kind == EB_SBC ? EB_BLOCK_BYTES(word) : word;
	/* another carrier may have taken its place while we looked */
	return *used <= *size;
}

/* Only strategies that work with the pool have this callback, and only those count. */
static bool counts_blocks(struct vm *vm, uint64_t allctr)
{
	uint64_t fn;

	return reader_u64(&vm->rd, allctr + vm->lay->f.allctr_remove_mbc, &fn) && fn;
}

static void collect_alive(struct vm *vm, struct probe *p, struct model *m)
{
	struct carrier_row *r;
	const struct eb_carrier_birth *b;
	uint64_t size, used;
	void *keys, *values;
	size_t n, i, k;

	for (k = 0; k < m->carrier.n; k++)
		m->carrier.v[k].alive_known = m->carrier.v[k].kind == EB_SBC ||
					      counts_blocks(vm, m->carrier.v[k].allctr);
	n = probe_read_map(p, MAP_CARRIERS, &keys, &values);
	for (i = 0, b = values; i < n; i++, b++) {
		for (k = 0; k < m->carrier.n; k++) {
			r = &m->carrier.v[k];
			if (r->allctr == b->allctr && r->kind == b->kind && r->source == b->source)
				break;
		}
		if (k == m->carrier.n || !carrier_used(vm, ((uint64_t *)keys)[i], b->kind, &size, &used))
			continue;
		r->alive++;
		r->alive_bytes += size;
		r->alive_used += used;
	}
	free(keys);
	free(values);
}

static int by_created(const void *a, const void *b)
{
	const struct carrier_by *x = a, *y = b;

	return x->created_bytes > y->created_bytes ? -1 : x->created_bytes < y->created_bytes;
}

void collect_carriers(struct vm *vm, struct probe *p, const struct map_copy *rows, struct model *m)
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
		    (!v[i].created && !v[i].destroyed && !v[i].grown && !v[i].shrunk &&
		     !v[i].abandoned && !v[i].fetched))
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
		r->abandoned = v[i].abandoned;
		r->abandoned_bytes = v[i].abandoned_bytes;
		r->fetched = v[i].fetched;
		r->fetched_bytes = v[i].fetched_bytes;
		r->destroyed_used = v[i].destroyed_used;
		hist_from_u32(&r->sizes, v[i].size_hist, EB_HIST_SLOTS);
		hist_from_u32(&r->lives, v[i].life_hist, EB_LIFE_SLOTS);
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
			b->who = collect_who(vm, m, keys[i].who, NULL);
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
	collect_alive(vm, p, m);
}
