// SPDX-License-Identifier: GPL-2.0-only
/*
 * Are the offsets of a table's fields right?  Its address was proven by its tid, which leads back.
 * The rest by what the fields say of each other in the tables that every node has: a field that lay
 * elsewhere would break one of these in nearly every table.  DbTableCommon declares some next to
 * each other, which is what tells apart those that are mostly zero.
 */
#include "snap_ets_private.h"
#include "snap_proc.h"
#include "term.h"

#include <string.h>

#define OWNERS 64    /* to be looked up */
#define SMALL_ROWS 4096 /* a table whose rows can be counted at once */
#define FEW_ROWS 3 /* fewer may be as many by accident */
#define SMALL_TABLES 48

static const char *const names[ETS_NPROVEN] = {
	"list", "type", "name", "owner", "heir", "keypos", "compressed", "fixed", "size and memory",
	"rows of hash tables", "rows of ordered_set", "rows of ordered_set with write_concurrency",
};

static bool one_bit(uint32_t v)
{
	return v && !(v & (v - 1));
}

/* Some may move while they are read, a few; a wrong offset shows in most. */
static bool most(size_t good, size_t n)
{
	return n && good > n - n / 16 - (n > 4);
}

static bool status_fits(const struct ets_table *t)
{
	const uint32_t fixed = ~(uint32_t)(ETS_ACCESS | ETS_DELETE | ETS_BUSY);

	return one_bit(t->type & ETS_TYPES) && one_bit(t->type & ETS_ACCESS) &&
	       (t->status & ETS_BUSY || one_bit(t->status & ETS_ACCESS)) &&
	       !((t->status ^ t->type) & fixed) && t->type < 1u << 16;
}

static bool heir_fits(struct vm *vm, eterm_t heir, bool *none)
{
	const char *text = term_is_atom(heir) ? term_atom(vm, heir) : NULL;

	if (text && !strcmp(text, "none"))
		return *none = true;
	return term_is_pid(heir) && term_pid_slot(vm, heir) < vm->proc_max;
}

static bool owners_live(struct vm *vm, const struct ets_tables *all)
{
	struct proc_image p;
	size_t i, n = 0, good = 0;

	for (i = 0; i < all->n; i++)
		if (!term_is_pid(all->v[i].owner) ||
		    term_pid_slot(vm, all->v[i].owner) >= vm->proc_max)
			return false;
	for (i = 0; i < all->n && n < OWNERS; i++, n++)
		good += !snap_proc_find(vm, all->v[i].owner, &p);
	return good && good >= n - n / 4;
}

/* The same table still, as the bytes that say so themselves. */
static bool copy_again(struct vm *vm, const struct ets_table *t, struct table_copy *c)
{
	return table_copy(vm, t->addr, c) && c->alive && c->btid == t->btid;
}

/* Is a table fixed?  By someone in its list, or for a moment by an operation of its own. */
static bool fixed_fits(struct vm *vm, const struct ets_tables *all)
{
	const struct layout_fields *f = &vm->lay->f;
	struct table_copy c;
	uint64_t count, by;
	size_t i, good = 0, n = 0;

	if (f->table_fix_count + 8 != f->table_next)
		return false;
	for (i = 0; i < all->n; i++) {
		if (!copy_again(vm, &all->v[i], &c))
			continue;
		n++;
		count = table_word(&c, f->table_fix_count, 8);
		by = table_word(&c, f->table_fixing, 8);
		good += count < 1 << 24 && !(by & 7) && (!by || (by > 1 << 12 && count)) &&
			(!count || by);
	}
	return most(good, n);
}

static void prove_fields(struct snap_ets *s, const struct ets_tables *all)
{
	const struct layout_fields *f = &s->vm->lay->f;
	size_t i, n = all->n, status = 0, name = 0, heir = 0, keypos = 0, packed = 0, nr = 0,
		  counted = 0, copies = 0;
	bool none = false, low_keypos = false, words;
	const struct ets_table *t;
	struct table_copy c;

	for (i = 0; i < n; i++) {
		t = &all->v[i];
		status += status_fits(t);
		name += term_atom(s->vm, t->name) != NULL;
		heir += heir_fits(s->vm, t->heir, &none);
		keypos += t->keypos && t->keypos < 1 << 24;
		low_keypos |= t->keypos && t->keypos < 16;
		counted += t->counted;
		if (!copy_again(s->vm, t, &c))
			continue;
		copies++;
		packed += table_word(&c, f->table_compress, f->table_compress_size) < 2;
		nr += table_word(&c, f->table_nr_counters, 4) == 2 &&
		      table_word(&c, f->table_decentral, f->table_decentral_size) < 2;
	}
	/* status, keypos, compress */
	words = f->table_keypos == f->table_status + 4 && f->table_compress == f->table_keypos + 4;
	s->proven[ETS_PROVEN_LIST] = true;
	s->proven[ETS_PROVEN_STATUS] = most(status, n);
	s->proven[ETS_PROVEN_NAME] = most(name, n);
	s->proven[ETS_PROVEN_OWNER] = owners_live(s->vm, all);
	s->proven[ETS_PROVEN_HEIR] = most(heir, n) && none;
	s->proven[ETS_PROVEN_KEYPOS] = words && most(keypos, n) && low_keypos;
	s->proven[ETS_PROVEN_COMPRESS] =
		words && most(packed, copies) &&
		(f->table_compress_size == 1 || f->table_compress_size == 4);
	s->proven[ETS_PROVEN_FIXED] = fixed_fits(s->vm, all);
	/* how many there are, whether they are shared out, and the counters */
	s->proven[ETS_PROVEN_COUNTERS] =
	    most(nr, copies) && most(counted, n) &&
	    f->table_decentral == f->table_nr_counters + 4 &&
	    f->table_counters == f->table_nr_counters + 8 &&
	    (f->table_decentral_size == 1 || f->table_decentral_size == 4);
}

/* A table whose rows are as many as it counts: they are found where they are said to be. */
static void prove_rows(struct snap_ets *s, const struct ets_tables *all)
{
	struct ets_budget budget = { .rows = SMALL_TABLES * SMALL_ROWS, .binaries = SMALL_ROWS };
	unsigned int tried[3] = { 0 }, kind;
	struct ets_table t;
	size_t i;

	if (!s->proven[ETS_PROVEN_COUNTERS] || !s->proven[ETS_PROVEN_STATUS])
		return;
	for (i = 0; i < all->n; i++) {
		t = all->v[i];
		kind = t.type & ETS_HASH ? 0 : t.type & ETS_ORDERED_SET ? 1 : 2;
		if (!t.counted || t.size < FEW_ROWS || t.size > SMALL_ROWS ||
		    s->proven[ETS_PROVEN_HASH + kind] || tried[kind]++ >= SMALL_TABLES / 3)
			continue;
		snap_ets_binaries(s, &t, &budget, NULL, NULL);
		s->proven[ETS_PROVEN_HASH + kind] = t.walked;
	}
}

void snap_ets_prove(struct snap_ets *s, const struct ets_tables *all)
{
	size_t i, n = 0;

	prove_fields(s, all);
	prove_rows(s, all);
	for (i = 0; i < ETS_PROVEN_HASH; i++)
		if (!s->proven[i] && n < sizeof(s->unproven))
			n += snprintf(s->unproven + n, sizeof(s->unproven) - n, "%s%s",
				      n ? ", " : "", names[i]);
}
