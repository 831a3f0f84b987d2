// SPDX-License-Identifier: GPL-2.0-only
/* Tables found by the schedulers' rings, copied, and counted: see snap_ets.h. */
#include "snap_ets_private.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_PAUSE_NS 500000
#define SLOT 64		   /* of decentralised counters: a cache line */
#define SLOTS_MAX 2049
#define SIZE_MAX_ROWS (1ULL << 40)
#define BYTES_MAX (1ULL << 47)
#define TABLES_MAX (1u << 24) /* a table takes some 400 bytes, and its first segment 2 KiB */
#define SEEN_SPARE 64
#define UNCOUNTED_MAX 16 /* tables to wait for, in vain: then none is waited for any more */
#define STUCK_MAX 1000 /* times that the next table is not there, one after the other */
#define PROOF_TABLES 512

/* --- one table -------------------------------------------------------------------------------- */

uint64_t table_word(const struct table_copy *c, unsigned int off, unsigned int n)
{
	uint64_t v = 0;

	if (n > sizeof(v) || off >= c->len || c->len - off < n)
		return 0;
	memcpy(&v, c->raw + off, n);
	return v;
}

/*
 * As much of it as any field needs; the structure is the largest of its kinds, whatever its kind.
 */
static size_t table_bytes(const struct layout_fields *f)
{
	const unsigned int all[] = {
		f->table_fix_count, f->table_next + 8, f->table_type, f->table_fixing,
		f->table_owner, f->table_heir, f->table_name, f->table_btid, f->table_nr_counters,
		f->table_decentral, f->table_counters + 8, f->table_status, f->table_keypos,
		f->table_compress, f->hash_nactive, f->hash_segtab + 8, f->hash_nslots,
		f->hash_nsegs, f->tree_root, f->catree_root,
	};
	size_t i, len = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] <= ETS_TABLE_BYTES - 8 && all[i] + 8 > len)
			len = all[i] + 8;
	return len;
}

/*
 * The tid: a magic binary, whose data are the destructor, the reference's numbers and the address
 * of the table until it is deleted (erts_create_magic_indirection()).
 */
static bool read_tid(struct vm *vm, struct table_copy *c)
{
	const struct layout_fields *f = &vm->lay->f;
	struct { uint64_t destructor; uint32_t refn[3], alloc_type; uint64_t table; } data;

	if (!c->btid || c->btid & 7 ||
	    !reader_copy(&vm->rd, c->btid + f->bin_data, &data, sizeof(data)) ||
	    (data.table && data.table != c->addr))
		return false;
	memcpy(c->refn, data.refn, sizeof(c->refn));
	c->alive = data.table;
	return true;
}

bool table_copy(struct vm *vm, vmaddr_t addr, struct table_copy *c)
{
	const struct layout_fields *f = &vm->lay->f;

	c->addr = addr;
	c->len = table_bytes(f);
	if (addr & 7 || !reader_copy(&vm->rd, addr, c->raw, c->len))
		return false;
	c->next = table_word(c, f->table_next, 8);
	c->prev = table_word(c, f->table_next + 8, 8);
	c->btid = table_word(c, f->table_btid, 8);
	return c->next && c->prev && read_tid(vm, c);
}

/* --- size and memory -------------------------------------------------------------------------- */

static bool plausible(int64_t size, int64_t bytes)
{
	return size >= 0 && size < (int64_t)SIZE_MAX_ROWS && bytes >= 256 &&
	       bytes < (int64_t)BYTES_MAX && size * 16 <= bytes;
}

/* Bytes of the block that an array of counters was allocated with; 0 when that cannot be told. */
static uint64_t block_bytes(struct vm *vm, vmaddr_t start)
{
	uint64_t head;

	if (!reader_u64(&vm->rd, start - 8, &head) || ((head & 1) && (head & 7) != 7))
		return 0;
	return (head & 7) == 7 ? head & 0x7ffffffffffffff8ULL : head & 0xfffffffff8ULL;
}

/*
 * How many slots there are is in a static variable.  The array tells by the block that it is in:
 * head, an array header of two words, the slots, and a cache line for alignment.  What a block has
 * beyond that is less than the smallest block, and that less than a slot.
 */
static size_t slots_of(struct vm *vm, vmaddr_t array, vmaddr_t start)
{
	uint64_t bytes, fixed = 8 + 16 + SLOT, slots;

	if ((array + 16) % SLOT || start > array || array - start > SLOT || start & 7)
		return 0;
	bytes = block_bytes(vm, start);
	if (bytes < fixed + 2 * SLOT)
		return 0;
	slots = (bytes - fixed) / SLOT;
	return slots <= (uint64_t)vm->nnormal + 1 && slots <= SLOTS_MAX ? slots : 0;
}

/*
 * One try at decentralised counters.  ets:info/2 puts a new array in the place of the old one,
 * whose sum is added to it a moment later; until then the numbers are in neither.
 */
static bool sum_slots(struct vm *vm, vmaddr_t at, int64_t *size, int64_t *bytes)
{
	uint64_t array, again, head[2], head2[2];
	int64_t *slots;
	size_t n, i;
	bool ok;

	if (!reader_u64(&vm->rd, at, &array) || array & 7 ||
	    !reader_copy(&vm->rd, array, head, sizeof(head)) || (uint32_t)head[1] ||
	    !(n = slots_of(vm, array, head[0])))
		return false;
	slots = xcalloc(n, SLOT);
	ok = reader_copy(&vm->rd, array + 16, slots, n * SLOT) &&
	     reader_copy(&vm->rd, array, head2, sizeof(head2)) && !memcmp(head, head2, 16) &&
	     reader_u64(&vm->rd, at, &again) && again == array;
	*size = *bytes = 0;
	for (i = 0; ok && i < n; i++)
		ok = !__builtin_add_overflow(*size, slots[i * SLOT / 8], size) &&
		     !__builtin_add_overflow(*bytes, slots[i * SLOT / 8 + 1], bytes);
	free(slots);
	return ok && plausible(*size, *bytes);
}

bool table_count(struct vm *vm, vmaddr_t addr, const struct table_copy *c, bool decentral,
		 unsigned int tries, uint64_t *size, uint64_t *bytes)
{
	const struct layout_fields *f = &vm->lay->f;
	struct timespec pause = { 0, COUNT_PAUSE_NS };
	unsigned int try;
	int64_t n, b;

	if (!decentral) {
		n = table_word(c, f->table_counters, 8);
		b = table_word(c, f->table_counters + 8, 8);
		*size = n;
		*bytes = b;
		return plausible(n, b);
	}
	for (try = 0; try < tries; try++) {
		if (try)
			nanosleep(&pause, NULL);
		if (sum_slots(vm, addr + f->table_counters, &n, &b)) {
			*size = n;
			*bytes = b;
			return true;
		}
	}
	return false;
}

/* --- all tables ------------------------------------------------------------------------------- */

static void decode(const struct snap_ets *s, const struct table_copy *c, struct ets_table *t)
{
	const struct layout_fields *f = &s->vm->lay->f;

	memset(t, 0, sizeof(*t));
	t->addr = c->addr;
	t->btid = c->btid;
	memcpy(t->refn, c->refn, sizeof(t->refn));
	t->name = table_word(c, f->table_name, 8);
	t->owner = table_word(c, f->table_owner, 8);
	t->heir = table_word(c, f->table_heir, 8);
	t->status = table_word(c, f->table_status, 4);
	t->type = table_word(c, f->table_type, 4);
	t->keypos = table_word(c, f->table_keypos, 4);
	t->compressed = table_word(c, f->table_compress, f->table_compress_size);
	t->fixed = table_word(c, f->table_fix_count, 8);
	t->decentral = table_word(c, f->table_decentral, f->table_decentral_size);
	if (t->type & ETS_ORDERED_SET)
		t->root = table_word(c, f->tree_root, 8);
	else if (t->type & ETS_CA_ORDERED_SET)
		t->root = table_word(c, f->catree_root, 8);
	else
		t->root = table_word(c, f->hash_segtab, 8);
	t->nactive = table_word(c, f->hash_nactive, 8);
	t->nslots = table_word(c, f->hash_nslots, 4);
	t->nsegs = table_word(c, f->hash_nsegs, 4);
}

/* Which tables were met, by address and tid: open addressing, never full. */
struct seen {
	struct { vmaddr_t addr, btid; } *v;
	size_t n, size;
};

static bool seen_add(struct seen *s, vmaddr_t addr, vmaddr_t btid)
{
	struct seen old = *s;
	size_t i;

	if (2 * (s->n + 1) > s->size) {
		s->size = s->size ? 2 * s->size : 1024;
		s->v = xcalloc(s->size, sizeof(*s->v));
		s->n = 0;
		for (i = 0; i < old.size; i++)
			if (old.v[i].addr)
				seen_add(s, old.v[i].addr, old.v[i].btid);
		free(old.v);
	}
	for (i = (addr / 8 * 0x9e3779b97f4a7c15ULL) % s->size; s->v[i].addr; i = (i + 1) % s->size)
		if (s->v[i].addr == addr && s->v[i].btid == btid)
			return false;
	s->v[i].addr = addr;
	s->v[i].btid = btid;
	s->n++;
	return true;
}

struct ring {
	struct snap_ets *s;
	struct ets_tables *out;
	struct seen seen;
	vmaddr_t *met; /* of this ring, in order: to go back to */
	size_t nmet, cap_met, cap, limit;
	uint64_t steps;
};

static void keep(struct ring *r, const struct table_copy *c, unsigned int sched)
{
	struct ets_tables *out = r->out;
	struct ets_table *t;

	if (r->nmet == r->cap_met) {
		r->cap_met = r->cap_met ? 2 * r->cap_met : 256;
		r->met = xrealloc(r->met, r->cap_met * sizeof(*r->met));
	}
	r->met[r->nmet++] = c->addr;
	if (!c->alive) {
		out->deleting++;
		return;
	}
	if (out->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 256;
		out->v = xrealloc(out->v, r->cap * sizeof(*out->v));
	}
	t = &out->v[out->n++];
	decode(r->s, c, t);
	t->sched = sched;
	if (!t->decentral)
		t->counted = table_count(r->s->vm, t->addr, c, false, 1, &t->size,
					 &t->memory_bytes);
}

/*
 * From the last table met that is still there, what comes next; false when none is.  New tables are
 * put at the end, so nothing that was there all the time is missed by going on from an earlier one.
 */
static bool go_back(struct ring *r, vmaddr_t *next)
{
	struct table_copy c;

	while (r->nmet) {
		r->out->skipped++;
		if (table_copy(r->s->vm, r->met[r->nmet - 1], &c) && c.alive) {
			*next = c.next;
			return true;
		}
		r->nmet--;
	}
	return false;
}

/* Returns false when the ring cannot be read. */
static bool walk_ring(struct ring *r, const struct scheduler *sched)
{
	const struct layout_fields *f = &r->s->vm->lay->f;
	struct reader *rd = &r->s->vm->rd;
	vmaddr_t at, before = 0;
	unsigned int stuck = 0;
	struct table_copy c;
	uint64_t count, most;

	r->nmet = 0;
	if (!reader_u64(rd, sched->addr + f->sched_ets_count, &count) ||
	    !reader_u64(rd, sched->addr + f->sched_ets_clist, &at))
		return false;
	/* walks that begin anew, tables made meanwhile: but there is an end */
	most = r->steps + 8 * (count < TABLES_MAX ? count : TABLES_MAX) + SEEN_SPARE;
	while (at && r->steps++ < most && r->out->n < r->limit) {
		/* what the one before leads to must lead back, unless that one went away */
		if (!table_copy(r->s->vm, at, &c) || (before && c.prev != before)) {
			before = 0;
			if (stuck++ == STUCK_MAX)
				return r->nmet > 0;
			if (!go_back(r, &at) &&
			    !reader_u64(rd, sched->addr + f->sched_ets_clist, &at))
				return false;
			continue;
		}
		if (!seen_add(&r->seen, at, c.btid))
			return true; /* around */
		keep(r, &c, sched->no);
		stuck = 0;
		before = at;
		at = c.next;
	}
	/* no end within the bound: what is missing must not look as if it were not there */
	r->out->skipped += at && r->out->n < r->limit;
	return true;
}

/*
 * Counters that many share are summed apart, for it may take a while; is it the same table still?
 */
static void count_apart(struct snap_ets *s, struct ets_table *t, unsigned int tries)
{
	struct table_copy c;

	t->counted = table_count(s->vm, t->addr, NULL, true, tries, &t->size, &t->memory_bytes) &&
		     table_copy(s->vm, t->addr, &c) && c.alive && c.btid == t->btid;
}

/* All tables, or the first @limit of them. */
static int walk_rings(struct snap_ets *s, struct ets_tables *out, size_t limit)
{
	struct ring r = { .s = s, .out = out, .limit = limit };
	size_t i, uncounted = 0;
	bool any = false;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < s->vm->nscheds; i++)
		if (s->vm->scheds[i].kind == SCHED_NORMAL)
			any |= walk_ring(&r, &s->vm->scheds[i]);
	free(r.seen.v);
	free(r.met);
	for (i = 0; i < out->n; i++)
		if (out->v[i].decentral) {
			count_apart(s, &out->v[i], uncounted < UNCOUNTED_MAX ? COUNT_TRIES : 1);
			uncounted += !out->v[i].counted;
		}
	return any ? 0 : -1;
}

int snap_ets_tables(struct snap_ets *s, struct ets_tables *out)
{
	return walk_rings(s, out, TABLES_MAX);
}

void snap_ets_free(struct ets_tables *t)
{
	free(t->v);
	memset(t, 0, sizeof(*t));
}

int snap_ets_open(struct snap_ets *s, struct vm *vm)
{
	struct ets_tables all;

	memset(s, 0, sizeof(*s));
	s->vm = vm;
	if (walk_rings(s, &all, PROOF_TABLES) || !all.n) {
		snap_ets_free(&all);
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows what is known of this build",
			    "pid %d: no table leads back from its identifier: this build has other "
			    "structures", vm->target.pid);
	}
	snap_ets_prove(s, &all);
	snap_ets_free(&all);
	return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

const char *ets_type_name(const struct ets_table *t)
{
	switch (t->type & ETS_TYPES) {
	case ETS_SET: return "set";
	case ETS_BAG: return "bag";
	case ETS_DUPLICATE_BAG: return "duplicate_bag";
	case ETS_ORDERED_SET:
	case ETS_CA_ORDERED_SET: return "ordered_set";
	default: return NULL;
	}
}

const char *ets_protection_name(const struct ets_table *t)
{
	/* while a long operation is under way nobody has access, by status */
	switch ((t->status & ETS_BUSY ? t->type : t->status) & ETS_ACCESS) {
	case ETS_PRIVATE: return "private";
	case ETS_PROTECTED: return "protected";
	case ETS_PUBLIC: return "public";
	default: return NULL;
	}
}

const char *ets_write_concurrency(const struct ets_table *t)
{
	if (!(t->type & ETS_FINE_LOCKED))
		return "false";
	if (t->type & ETS_HASH && t->type & ETS_FIXED_LOCKS)
		return "debug_hash_fixed_number_of_locks";
	return t->type & ETS_AUTO ? "auto" : "true";
}

void ets_id_text(struct vm *vm, const struct ets_table *t, char *buf, size_t size)
{
	const char *name = t->type & ETS_NAMED ? term_atom(vm, t->name) : NULL;

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "#Ref<0.%u.%u.%u>", t->refn[2], t->refn[1], t->refn[0]);
}
