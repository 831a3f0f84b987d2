// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links and monitors that a running VM never shows whole: a ring that its first node has just left,
 * trees in circles, offsets that lead out of a node.  They are made in this program's own memory.
 */
#include "layout.h"
#include "snap_links.h"
#include "tap.h"

#include <string.h>
#include <unistd.h>

#define NODES 1000
#define TARGET 1
#define IN_TABLE 2

static unsigned char records[NODES][256] __attribute__((aligned(64)));
static struct layout lay;
static struct vm vm;
static struct pages pages;

static uint64_t addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void put(unsigned char *at, unsigned int off, uint64_t v)
{
	memcpy(at + off, &v, 8);
}

static void put2(unsigned char *at, unsigned int off, uint16_t v)
{
	memcpy(at + off, &v, 2);
}

/* The end of a monitor that its target has. */
static unsigned char *target(size_t i)
{
	return records[i] + lay.f.ml_size;
}

/* The first @n, of which each leads to the next, and the last one to number @back. */
static void make_ring(size_t n, size_t back)
{
	const struct layout_fields *f = &lay.f;
	size_t i;

	memset(records, 0, sizeof(records));
	for (i = 0; i < n; i++) {
		put(target(i), f->ml_list_next, addr(target(i + 1 < n ? i + 1 : back)));
		put(target(i), f->ml_other, (i + 1) << 4 | 3);
		put2(target(i), f->ml_offset, f->ml_size);
		put2(target(i), f->ml_flags, IN_TABLE | TARGET);
		put(records[i], f->mondata_ref, 0);
		put2(records[i], f->mondata_ref + 8, 2);
	}
}

static void walk(const struct ml_roots *roots, uint64_t *budget, struct ml_sums *sums)
{
	pages_forget(&pages);
	snap_links_walk(&vm, &pages, roots, budget, NULL, sums);
}

static void rings(void)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 8, 17, NODES };
	struct ml_roots roots = { 0 };
	struct ml_sums sums;
	uint64_t budget;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		n = sizes[i];
		make_ring(n, 0);
		roots.lt_monitors = addr(target(0));
		budget = 1 << 20;
		walk(&roots, &budget, &sums);
		ok(!sums.partial && sums.monitored_by == n, "a ring of %zu", n);
		is_u64((1 << 20) - budget, n, "is walked once");
		make_ring(n, n > 1);
		budget = 1 << 20;
		walk(&roots, &budget, &sums);
		ok(sums.partial == (n > 1) && (1 << 20) - budget <= 4 * n,
		   "one that its first node has left is given up soon");
	}
}

/* Both of a node's children are the same one, 100 times over: 2^100 ways. */
static void trees(void)
{
	struct ml_roots roots = { .links = addr(records[0]) };
	const struct layout_fields *f = &lay.f;
	uint64_t budget = 1 << 20;
	struct ml_sums sums;
	size_t i;

	memset(records, 0, sizeof(records));
	for (i = 0; i < 100; i++) {
		put(records[i], f->ml_right - 8, i ? addr(records[i - 1]) : 0);
		put(records[i], f->ml_left, addr(records[i + 1]));
		put(records[i], f->ml_right, addr(records[i + 1]));
		put2(records[i], f->ml_flags, IN_TABLE);
		put2(records[i], f->ml_flags + 2, 10);
	}
	walk(&roots, &budget, &sums);
	ok(sums.partial && (1 << 20) - budget <= 200, "children that are one are none");
}

static void offsets(void)
{
	static const enum layout_field fields[] = {
		LF_ml_right, LF_ml_left, LF_ml_list_next, LF_ml_other, LF_ml_offset, LF_ml_flags,
		LF_ml_size,
	};
	static const unsigned int at[] = {
		0, 4, 4096, 0x7ffffff8, 0xfffffff0, 0xfffffff8, 0xfffffffc, LAYOUT_ABSENT,
	};
	struct ml_roots roots = { .lt_monitors = addr(target(0)), .links = addr(target(0)) };
	struct ml_sums sums;
	uint64_t budget;
	size_t i, k;

	make_ring(3, 0);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		for (k = 0; k < ARRAY_SIZE(at); k++) {
			lay = *layout_find(27, true, "x86_64");
			*layout_field_at(&lay, fields[i]) = at[k];
			budget = 1000;
			walk(&roots, &budget, &sums);
			if (!sums.partial)
				ok(false, "%s at %#x is noticed",
				   layout_field_name(fields[i]), at[k]);
		}
	lay = *layout_find(27, true, "x86_64");
	ok(true, "offsets that lead out of a node are not followed");
}

int main(void)
{
	lay = *layout_find(27, true, "x86_64");
	vm.lay = &lay;
	vm.otp = 27;
	reader_open_live(&vm.rd, getpid());
	pages_open(&pages, &vm.rd, 1 << 20);
	rings();
	trees();
	offsets();
	pages_close(&pages);
	return done();
}
