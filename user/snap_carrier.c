// SPDX-License-Identifier: GPL-2.0-only
/*
 * All carriers: on the lists of instances, and on the rings of the pools.  snap_blocks.c walks one.
 *
 * First addresses are gathered, from every list and ring; then each carrier tells by itself whose
 * it is and where it is counted.  So one that moves from list to pool to list meanwhile is found at
 * least once, and counted once.
 */
#include "snap_carrier.h"
#include "snap_tags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_ROUNDS 3	  /* until as many are found as are counted */
#define LIST_TRIES 3	  /* of one list that moves under us */
#define CARRIER_TRIES 5	  /* of one carrier's blocks */
#define EXACT_TRIES 2	  /* of them, for blocks to be as many as the carrier counts */
#define DETAILS_MAX (1 << 17)
#define CARRIER_BYTES 512 /* of a multi-block carrier's header that are looked at */
#define HEAD_BYTES 32	  /* what every carrier has */
#define CHDR_MSEG 1u
#define CHDR_SINGLE 2u
#define IN_POOL 1u
#define FLAG_BITS 7ULL
#define FEW_BLOCKS 3

/* What of an instance stands still. */
struct owner {
	vmaddr_t allctr, sentinel;
	uint32_t instance;
	uint64_t header; /* of its multi-block carriers */
};

struct walker {
	struct vm *vm;
	const struct carrier_want *want;
	struct carrier_list *list;
	struct owner *owners; /* by address */
	size_t nowners;
	vmaddr_t *addrs;
	size_t naddrs, cap;
	uint64_t longest; /* more carriers than that no list has */
	struct block_window window;
	struct tag_table tags, staged; /* staged: those of the carrier under way */
	size_t nlist_cap, ndetails, nmulti, nwalked;
};

/* A copy of a carrier's header. */
struct head {
	uint64_t chdr, next, allctr, creator;
	struct block_sum by[ALLOCATORS];
	uint64_t blocks, bytes; /* as it counts them itself */
};

/* --- instances -------------------------------------------------------------------------------- */

static int by_allctr(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return x->allctr < y->allctr ? -1 : x->allctr > y->allctr;
}

static void read_owners(struct walker *w)
{
	const struct layout_fields *f = &w->vm->lay->f;
	struct owner *o;
	uint32_t pool;
	size_t i;

	w->owners = xcalloc(w->vm->ninsts + 1, sizeof(*w->owners));
	for (i = 0; i < w->vm->ninsts; i++) {
		o = &w->owners[w->nowners];
		o->allctr = w->vm->insts[i].allctr;
		o->instance = i;
		/* tables are by these numbers; how many there are comes from a file's symbols */
		if (w->vm->insts[i].alloc_no - 1 >= ALLOCATORS ||
		    !reader_u64(&w->vm->rd, o->allctr + f->allctr_mbc_header, &o->header) ||
		    !reader_u32(&w->vm->rd, o->allctr + f->allctr_pool_number, &pool) ||
		    ((int32_t)pool >= 0 &&
		     !reader_u64(&w->vm->rd, o->allctr + f->allctr_sentinel, &o->sentinel)))
			continue;
		w->nowners++;
	}
	qsort(w->owners, w->nowners, sizeof(*w->owners), by_allctr);
}

static const struct owner *owner_of(const struct walker *w, uint64_t allctr)
{
	struct owner key = { .allctr = allctr & ~FLAG_BITS };

	return bsearch(&key, w->owners, w->nowners, sizeof(key), by_allctr);
}

/* --- where carriers are ----------------------------------------------------------------------- */

static bool add_addr(struct walker *w, vmaddr_t addr)
{
	if (w->naddrs >= 2 * CARRIERS_MAX)
		return false;
	if (w->naddrs == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 1024;
		w->addrs = xrealloc(w->addrs, w->cap * sizeof(*w->addrs));
	}
	w->addrs[w->naddrs++] = addr;
	return true;
}

/* False when it led elsewhere: a carrier was moved while we stood on it. */
static bool walk_list(struct walker *w, vmaddr_t allctr, vmaddr_t first_at)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned char raw[HEAD_BYTES];
	uint64_t at, n = 0;

	if (!reader_u64(&w->vm->rd, first_at, &at))
		return false;
	for (; at; at = raw_u64(raw, f->carrier_next)) {
		if ((at & FLAG_BITS) || ++n > w->longest ||
		    !reader_copy(&w->vm->rd, at, raw, sizeof(raw)) ||
		    (raw_u64(raw, f->carrier_allctr) & ~FLAG_BITS) != allctr)
			return false;
		/* a mark that instrument leaves in the list has no size */
		if ((raw_u64(raw, f->carrier_chdr) & ~FLAG_BITS) && !add_addr(w, at))
			return false;
	}
	return true;
}

/* One ring from its sentinel round to it; links have marks in their low bits. */
static bool walk_ring(struct walker *w, vmaddr_t sentinel)
{
	const struct layout_fields *f = &w->vm->lay->f;
	unsigned int next = f->carrier_pool_next - f->carrier_cpool;
	uint64_t at = sentinel, link, n;

	for (n = 0; n < w->longest; n++) {
		if (!reader_u64(&w->vm->rd, at + next, &link))
			return false;
		at = link & ~3ULL;
		if (at == sentinel)
			return true;
		if (!at || (at & FLAG_BITS) || !add_addr(w, at - f->carrier_cpool))
			return false;
	}
	return false;
}

static bool first_with(const struct walker *w, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (w->owners[k].sentinel == w->owners[i].sentinel)
			return false;
	return true;
}

static int by_addr(const void *a, const void *b)
{
	const vmaddr_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* All addresses that can be found now, in order, each once. */
static void gather(struct walker *w)
{
	const struct layout_fields *f = &w->vm->lay->f;
	const struct owner *o;
	size_t i, n;
	int try;

	w->naddrs = 0;
	for (i = 0; i < w->nowners; i++) {
		o = &w->owners[i];
		for (try = 0; try < LIST_TRIES; try++)
			if (walk_list(w, o->allctr, o->allctr + f->allctr_mbc_list))
				break;
		for (try = 0; try < LIST_TRIES; try++)
			if (walk_list(w, o->allctr, o->allctr + f->allctr_sbc_list))
				break;
		for (try = 0; try < LIST_TRIES && o->sentinel && first_with(w, i); try++)
			if (walk_ring(w, o->sentinel))
				break;
	}
	if (!w->naddrs)
		return;
	qsort(w->addrs, w->naddrs, sizeof(*w->addrs), by_addr);
	for (i = n = 1; i < w->naddrs; i++)
		if (w->addrs[i] != w->addrs[n - 1])
			w->addrs[n++] = w->addrs[i];
	w->naddrs = n;
}

/* As many as are counted, wherever: lists, and what instances created and gave to the pool. */
static uint64_t counted(struct walker *w)
{
	const struct layout_fields *f = &w->vm->lay->f;
	uint64_t n = 0, pool, num[2][4];
	vmaddr_t allctr;
	size_t i;

	for (i = 0; i < w->nowners; i++) {
		allctr = w->owners[i].allctr;
		if (reader_copy(&w->vm->rd, allctr + f->allctr_mbcs + f->cstats_carriers, num[0],
				sizeof(num[0])) &&
		    reader_copy(&w->vm->rd, allctr + f->allctr_sbcs + f->cstats_carriers, num[1],
				sizeof(num[1])) &&
		    reader_u64(&w->vm->rd, allctr + f->allctr_pool_no_carriers, &pool))
			n += num[0][0] + num[0][2] + num[1][0] + num[1][2] + pool;
	}
	return n;
}

/* A list that moves, or is none, may lead anywhere, round and round. */
static void bound_lists(struct walker *w)
{
	uint64_t n = counted(w);

	w->longest = n < CARRIERS_MAX / 4 ? 4 * n + 4096 : CARRIERS_MAX;
}

/* --- one carrier ------------------------------------------------------------------------------ */

/* All that is looked at lies in what is copied, whatever a build's debug information says. */
static bool layout_fits(const struct layout_fields *f)
{
	const uint64_t head[] = { f->carrier_chdr, f->carrier_next, f->carrier_allctr };
	const uint64_t words[] = { f->carrier_creator, f->carrier_blocks_size,
				   f->carrier_blocks + 8ULL * (ALLOCATORS - 1),
				   f->carrier_kinds_size + 8ULL * (ALLOCATORS - 1) };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(head); i++)
		if (head[i] > HEAD_BYTES - 8)
			return false;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i] > CARRIER_BYTES - 8)
			return false;
	return true;
}

static bool read_head(struct walker *w, vmaddr_t addr, struct head *h)
{
	const struct layout_fields *f = &w->vm->lay->f;
	size_t len = f->carrier_blocks_size + 8, need;
	unsigned char raw[CARRIER_BYTES];
	unsigned int i;

	memset(h, 0, sizeof(*h));
	if (!reader_copy(&w->vm->rd, addr, raw, HEAD_BYTES))
		return false;
	h->chdr = raw_u64(raw, f->carrier_chdr);
	h->next = raw_u64(raw, f->carrier_next);
	h->allctr = raw_u64(raw, f->carrier_allctr);
	if (h->chdr & CHDR_SINGLE)
		return true;
	need = f->carrier_blocks + 8 * ALLOCATORS;
	len = need > len ? need : len;
	need = f->carrier_kinds_size + 8 * ALLOCATORS;
	len = need > len ? need : len;
	need = f->carrier_creator + 8;
	len = need > len ? need : len;
	if (!reader_copy(&w->vm->rd, addr, raw, len))
		return false;
	/* all of one copy: the counters go with the rest */
	h->chdr = raw_u64(raw, f->carrier_chdr);
	h->allctr = raw_u64(raw, f->carrier_allctr);
	h->creator = raw_u64(raw, f->carrier_creator);
	h->bytes = raw_u64(raw, f->carrier_blocks_size);
	for (i = 0; i < ALLOCATORS; i++) {
		h->by[i].n = raw_u64(raw, f->carrier_blocks + 8 * i);
		h->by[i].bytes = raw_u64(raw, f->carrier_kinds_size + 8 * i);
		h->blocks += h->by[i].n;
	}
	return true;
}

static bool same_head(const struct head *a, const struct head *b)
{
	return a->chdr == b->chdr && a->creator == b->creator &&
	       ((a->allctr ^ b->allctr) & ~(FLAG_BITS & ~(uint64_t)IN_POOL)) == 0;
}

static void stage_tag(void *arg, const uint64_t *words, uint64_t size)
{
	struct walker *w = arg;

	tag_table_add(&w->staged, words[0], words[1], size);
}

/* The block of a single-block carrier: 0 when there is none. */
static int look_single(struct walker *w, struct carrier *c, struct carrier_blocks *d,
		       unsigned int a)
{
	unsigned int header = w->vm->lay->f.carrier_cpool, words = w->vm->lay->facts->tag_words;
	uint64_t block, tag[2] = { 0 }, size;

	if (!reader_u64(&w->vm->rd, c->addr + header, &block))
		return -EFAULT;
	size = block_single_size(block, c->size, header);
	if (!size)
		return -EAGAIN;
	c->blocks = 1;
	c->allocated = size;
	d->blocks.slot[size_slot(&w->list->block_rule, size)]++;
	if (!(block >> 63)) {
		w->list->untagged[a].slot[size_slot(&w->list->block_rule, size)]++;
	} else if (w->want->tags &&
		   reader_copy(&w->vm->rd, c->addr + header + size - 8 * words, tag, 8 * words)) {
		tag_table_add(&w->staged, tag[0], tag[1], size);
	}
	return 0;
}

static int look_multi(struct walker *w, struct carrier *c, const struct owner *creator,
		      struct block_walk *b)
{
	*b = (struct block_walk){
		.carrier = c->addr, .size = c->size, .header = creator->header,
		.shift = w->vm->lay->facts->carrier_shift,
		.tag_words = w->vm->lay->facts->tag_words,
		.block_rule = w->list->block_rule, .free_rule = w->list->free_rule,
		.on_tag = w->want->tags ? stage_tag : NULL, .arg = w,
	};
	return block_walk(&w->window, b);
}

/* Of which allocator all its blocks are; -1: of several, 0: it has none. */
static int only_kind(const struct head *h)
{
	int i, found = 0;

	for (i = 0; i < ALLOCATORS; i++)
		if (h->by[i].n)
			found = found ? -1 : i + 1;
	return found;
}

static void take_walk(struct walker *w, struct carrier *c, struct carrier_blocks *d,
		      const struct head *h, const struct block_walk *b)
{
	int kind = only_kind(h), i;

	c->blocks = b->blocks;
	c->allocated = b->bytes;
	c->free_blocks = b->free_blocks;
	c->largest_free = b->largest_free;
	c->mixed = kind < 0;
	d->blocks = b->sizes;
	d->free = b->free_sizes;
	memcpy(d->by, h->by, sizeof(d->by));
	if (kind < 0)
		w->list->untagged_mixed = true;
	for (i = 0; i < BLOCK_SLOTS && kind > 0; i++)
		w->list->untagged[kind - 1].slot[i] += b->untagged.slot[i];
	w->nwalked++;
}

/* Its blocks, by as many tries as it takes.  Less than 0: it is gone, or was none. */
static int look(struct walker *w, vmaddr_t addr, struct carrier *c, struct carrier_blocks *d)
{
	const struct owner *o, *creator;
	struct head before, after;
	struct block_walk b;
	bool exact;
	int try, err = -EAGAIN;

	for (try = 0; try < CARRIER_TRIES; try++) {
		memset(c, 0, sizeof(*c));
		memset(d, 0, sizeof(*d));
		tag_table_clear(&w->staged);
		if (!read_head(w, addr, &before))
			return -ESRCH;
		o = owner_of(w, before.allctr);
		c->addr = addr;
		c->size = before.chdr & ~FLAG_BITS;
		c->mseg = before.chdr & CHDR_MSEG;
		c->single = before.chdr & CHDR_SINGLE;
		if (!o || !c->size || before.bytes > c->size)
			return -ESRCH;
		c->instance = o->instance;
		if (c->single) {
			err = look_single(w, c, d, w->vm->insts[o->instance].alloc_no - 1);
			c->walked = !err;
			if (!err)
				break;
			continue;
		}
		creator = owner_of(w, before.creator);
		if (!creator || (before.creator & FLAG_BITS))
			return -ESRCH;
		c->pooled = before.allctr & IN_POOL;
		if (c->pooled)
			c->instance = creator->instance;
		c->blocks = before.blocks;
		c->allocated = before.bytes;
		err = look_multi(w, c, creator, &b);
		if (err == -EFAULT && w->vm->rd.lost)
			return err;
		if (!read_head(w, addr, &after))
			return -ESRCH;
		if (!same_head(&before, &after)) {
			err = -EAGAIN;
			continue;
		}
		if (err)
			continue;
		exact = b.blocks == after.blocks && b.bytes == after.bytes;
		if (exact || try >= EXACT_TRIES) {
			take_walk(w, c, d, &after, &b);
			c->walked = true;
			w->list->moved += !exact;
			break;
		}
	}
	/* it has no counters of its own: it is one that is counted, and was not found */
	if (!c->walked && c->single)
		return err;
	if (!c->walked) {
		memcpy(d->by, before.by, sizeof(d->by));
		w->list->untagged_mixed = true;
	}
	return 0;
}

/* --- sums ------------------------------------------------------------------------------------- */

static void add_hist(struct size_hist *to, const struct size_hist *from)
{
	int i;

	for (i = 0; i < BLOCK_SLOTS; i++)
		to->slot[i] += from->slot[i];
}

static void add_sum(struct walker *w, const struct carrier *c, const struct carrier_blocks *d)
{
	struct carrier_sum *s = &w->list->sums[c->instance];
	int i;

	s->carriers++;
	s->size += c->size;
	s->allocated += c->allocated;
	s->blocks += c->blocks;
	s->free_blocks += c->free_blocks;
	if (c->largest_free > s->largest_free)
		s->largest_free = c->largest_free;
	if (c->single) {
		s->single++;
		s->single_size += c->size;
		s->single_allocated += c->allocated;
	} else {
		s->few += c->blocks && c->blocks <= FEW_BLOCKS;
	}
	if (c->pooled) {
		s->pooled++;
		s->pooled_size += c->size;
		s->pooled_allocated += c->allocated;
		s->pooled_blocks += c->blocks;
	}
	s->not_walked += !c->walked;
	add_hist(&s->detail.blocks, &d->blocks);
	add_hist(&s->detail.free, &d->free);
	for (i = 0; i < ALLOCATORS; i++) {
		s->detail.by[i].n += d->by[i].n;
		s->detail.by[i].bytes += d->by[i].bytes;
	}
}

static void keep(struct walker *w, const struct carrier *c, const struct carrier_blocks *d)
{
	struct carrier_list *l = w->list;
	struct carrier *at;

	if (l->n == w->nlist_cap) {
		w->nlist_cap = w->nlist_cap ? 2 * w->nlist_cap : 256;
		l->v = xrealloc(l->v, w->nlist_cap * sizeof(*l->v));
	}
	at = &l->v[l->n++];
	*at = *c;
	if (w->want->each && c->walked && w->ndetails < DETAILS_MAX) {
		at->detail = xcalloc(1, sizeof(*d));
		*at->detail = *d;
		w->ndetails++;
	}
}

static int carrier_order(const void *a, const void *b)
{
	const struct carrier *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Those of the addresses that were not looked at before: the first @known carriers are in order. */
static int look_at_new(struct walker *w)
{
	struct carrier_list *l = w->list;
	struct carrier_blocks d;
	struct carrier c, key;
	size_t known = l->n, i;
	int err;

	for (i = 0; i < w->naddrs && l->n < CARRIERS_MAX; i++) {
		key.addr = w->addrs[i];
		if (known && bsearch(&key, l->v, known, sizeof(key), carrier_order))
			continue;
		err = look(w, w->addrs[i], &c, &d);
		if (w->vm->rd.lost)
			return -1;
		if (err)
			continue;
		w->nmulti += !c.single;
		l->skipped += !c.walked;
		if (c.walked)
			tag_table_merge(&w->tags, &w->staged, w->vm->insts[c.instance].alloc_no);
		add_sum(w, &c, &d);
		keep(w, &c, &d);
	}
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), carrier_order);
	return 0;
}

/* --- proof ------------------------------------------------------------------------------------ */

/* Do an instance's carriers, by allocator of their blocks, have what it counts by allocator? */
static bool kinds_agree(struct walker *w, const struct owner *o)
{
	const struct layout_fields *f = &w->vm->lay->f;
	const struct carrier_sum *s = &w->list->sums[o->instance];
	vmaddr_t stats = o->allctr + f->allctr_mbcs + f->cstats_blocks;
	uint64_t curr[2], pool[2][ALLOCATORS];
	unsigned int i;

	if (!reader_copy(&w->vm->rd, o->allctr + f->allctr_pool_no_blocks, pool[0],
			 sizeof(pool[0])) ||
	    !reader_copy(&w->vm->rd, o->allctr + f->allctr_pool_blocks_size, pool[1],
			 sizeof(pool[1])))
		return false;
	for (i = 0; i < ALLOCATORS; i++)
		if (!reader_copy(&w->vm->rd, stats + i * f->cstats_block_stride, curr,
				 sizeof(curr)) ||
		    curr[0] + pool[0][i] != s->detail.by[i].n ||
		    curr[1] + pool[1][i] != s->detail.by[i].bytes)
			return false;
	return true;
}

/*
 * The counters of carriers by allocator: most instances stand still while they are looked at, and
 * count the same.  Blocks as such need none of this, they were walked.
 */
static void prove_kinds(struct walker *w)
{
	unsigned int tried = 0, right = 0;
	const struct carrier_sum *s;
	size_t i;

	for (i = 0; i < w->nowners; i++) {
		s = &w->list->sums[w->owners[i].instance];
		if (s->blocks == s->single)
			continue;
		tried++;
		right += kinds_agree(w, &w->owners[i]);
	}
	w->list->kinds_known = 2 * right >= tried && 2 * w->list->moved <= w->nmulti;
	log_step(
	    "carriers: %zu, %zu of %zu multi-block ones walked, %zu not as they count, %u of %u "
	    "instances agree with their counters",
	    w->list->n, w->nwalked, w->nmulti, (size_t)w->list->moved, right, tried);
}

static int judge(struct walker *w)
{
	struct carrier_list *l = w->list;
	uint64_t n;

	if (w->vm->rd.lost)
		return -1;
	prove_kinds(w);
	n = counted(w);
	l->unseen = n > l->n ? n - l->n : 0;
	if (w->nmulti && 2 * w->nwalked < w->nmulti)
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows what is known of its layout",
			    "the blocks of this VM's carriers do not fit together");
	return 0;
}

int snap_carriers(struct vm *vm, const struct carrier_want *want, struct carrier_list *ret)
{
	struct walker w = { .vm = vm, .want = want, .list = ret };
	int round, err = 0;

	memset(ret, 0, sizeof(*ret));
	if (!layout_fits(&vm->lay->f))
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows what is known of its layout",
			    "the carriers of this VM have other heads than those of any release");
	ret->block_rule = size_rule_blocks(vm);
	ret->free_rule = size_rule_free(vm);
	ret->sums = xcalloc(vm->ninsts + 1, sizeof(*ret->sums));
	block_window_open(&w.window, &vm->rd);
	tag_table_open(&w.tags, &ret->block_rule);
	tag_table_open(&w.staged, &ret->block_rule);
	read_owners(&w);
	for (round = 0; round < LIST_ROUNDS && !err; round++) {
		bound_lists(&w);
		gather(&w);
		err = look_at_new(&w);
		if (ret->n >= counted(&w))
			break;
	}
	if (!err)
		err = judge(&w);
	ret->tags = tag_table_take(&w.tags, &ret->ntags, &ret->other_tags);
	tag_table_close(&w.staged);
	block_window_close(&w.window);
	free(w.owners);
	free(w.addrs);
	if (err)
		carrier_list_free(ret);
	return err ? -1 : 0;
}

void carrier_list_free(struct carrier_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].detail);
	free(l->v);
	free(l->sums);
	free(l->tags);
	memset(l, 0, sizeof(*l));
}
