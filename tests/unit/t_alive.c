// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks that were born under watch and are alive: sums by process and type, binaries, and who
 * holds them, from births and references made by hand.
 */
#include "alive.h"
#include "fake_probe.h"
#include "tap.h"

#define PID(n) ((uint64_t)(n) << 4 | 3)
#define HEAP 0x110
#define BINARY 0x2a0
#define DRV_BINARY 0x2b0
#define EPOCH 7

static struct vm vm;
static uint64_t extra, drv_extra; /* bytes asked for beyond a binary's own size */

static struct eb_birth *born(uint64_t ptr, uint64_t who, uint32_t type, uint64_t size)
{
	struct eb_birth *b = fake_put(MAP_BIRTHS, &ptr);

	*b = (struct eb_birth){ .ns = 1000 + ptr, .who = who, .size = size, .type = type,
				.weight = 1, .epoch = EPOCH };
	return b;
}

static const struct live_sum *live(const struct alive *a, uint64_t who, uint32_t type)
{
	static const struct live_sum none;
	const struct live_sum *found = &none;
	size_t i, n = 0;

	for (i = 0; i < a->nlive; i++)
		if (a->live[i].who == who && a->live[i].type == type) {
			found = &a->live[i];
			n++;
		}
	return n == 1 ? found : &none;
}

static const struct holding *holding(const struct alive *a, uint64_t creator, uint64_t holder)
{
	static const struct holding none;
	const struct holding *found = &none;
	size_t i, n = 0;

	for (i = 0; i < a->holding_at.n; i++)
		if (a->holdings[i].creator == creator && a->holdings[i].holder == holder) {
			found = &a->holdings[i];
			n++;
		}
	return n == 1 ? found : &none;
}

#define is_sum(s, n, b, what) ok((s)->blocks == (n) && (s)->bytes == (b), what)
#define is_held(h, n, b, what) ok((h)->binaries == (n) && (h)->bytes == (b), what)

static void sums(void)
{
	struct alive a;
	uint64_t i, good = 0;

	fake_counts.alloc_epoch = EPOCH;
	alive_read(&a, &vm, NULL, true);
	ok(!a.nlive && !a.bin_at.n, "nothing was born");
	alive_rest(&a);
	ok(!a.holding_at.n, "and nobody holds it");
	alive_free(&a);

	born(0x100, PID(1), HEAP, 1000);
	born(0x200, PID(1), HEAP, 500);
	born(0x300, PID(1), BINARY, extra + 64);
	born(0x400, PID(2), HEAP, 8)->weight = 10;
	born(0x500, PID(2), HEAP, 3ULL << 32)->weight = 4;
	born(0x600, PID(1), HEAP, 7777)->epoch = EPOCH - 1;
	born(0x700, PID(3), HEAP, 7777)->epoch = EPOCH + 1;
	alive_read(&a, &vm, NULL, false);
	is_u64(a.nlive, 3, "a sum for each process and type");
	is_sum(live(&a, PID(1), HEAP), 2, 1500, "blocks and bytes are summed up");
	is_sum(live(&a, PID(1), BINARY), 1, extra + 64, "each type by itself, bytes as asked for");
	is_sum(live(&a, PID(2), HEAP), 14, 80 + (12ULL << 32),
	       "a birth counts as many as it stands for");
	ok(!live(&a, PID(3), HEAP)->blocks, "what was born before a gap in the watch is not known");
	ok(!a.bin_at.n, "binaries are not asked for");
	alive_free(&a);
	ok(!a.live && !a.bins, "it is forgotten");
	fake_clear();

	fake_counts.alloc_epoch = EPOCH;
	for (i = 0; i < 2000; i++)
		born(0x1000 + 16 * i, PID(i % 500), i % 1000 < 500 ? HEAP : BINARY, 100 + i);
	alive_read(&a, &vm, NULL, true);
	for (i = 0; i < 500; i++)
		good += live(&a, PID(i), HEAP)->bytes == 2 * i + 1200 &&
			live(&a, PID(i), BINARY)->bytes == 2 * i + 2200;
	ok(good == 500 && a.nlive == 1000 && a.bin_at.n == 1000, "many of them");
	alive_free(&a);
	fake_clear();
}

static void binaries(void)
{
	const struct alive_bin *b;
	struct alive a;

	fake_counts.alloc_epoch = EPOCH;
	born(0x100, PID(1), HEAP, 1000);
	born(0x200, PID(1), BINARY, extra + 64)->weight = 3;
	born(0x300, PID(2), DRV_BINARY, drv_extra + 80);
	born(0x400, PID(1), BINARY, extra - 1);
	alive_read(&a, &vm, NULL, true);
	is_u64(a.bin_at.n, 3, "binaries: those of both types");
	ok(extra != drv_extra, "the release asks for more with one of them");
	b = &a.bins[pairs_find(&a.bin_at, 0x200, 0)];
	ok(b->ptr == 0x200 && b->creator == PID(1) && b->size == 64 && b->weight == 3 &&
		   b->ns == 0x200 + 1000 && !b->held,
	   "binaries: who made it, when, and its own size");
	is_u64(a.bins[pairs_find(&a.bin_at, 0x300, 0)].size, 80, "binaries: a driver's");
	is_u64(a.bins[pairs_find(&a.bin_at, 0x400, 0)].size, 0, "binaries: no size is below 0");
	alive_free(&a);
	fake_clear();
}

static void ref(struct alive *a, uint64_t binary, unsigned int n)
{
	while (n--)
		alive_on_ref(a, binary);
}

static void holders(void)
{
	struct alive a;
	uint64_t i;

	fake_counts.alloc_epoch = EPOCH;
	born(0x100, PID(1), BINARY, extra + 10)->weight = 2;
	born(0x200, PID(1), BINARY, extra + 100);
	born(0x300, PID(1), BINARY, extra + 1000)->weight = 5;
	born(0x400, PID(2), BINARY, extra + 3);
	alive_read(&a, &vm, NULL, true);
	/* a process with many references to one, between others */
	alive_start(&a);
	ref(&a, 0x100, 3);
	ref(&a, 0x200, 1);
	ref(&a, 0x100, 700);
	ref(&a, 0xdead00, 1);
	alive_found(&a, PID(1));
	/* one that moved: it is walked again */
	alive_start(&a);
	ref(&a, 0x300, 1);
	ref(&a, 0x400, 1);
	alive_start(&a);
	ref(&a, 0x200, 1);
	alive_found(&a, PID(7));
	/* and one that never held still */
	alive_start(&a);
	ref(&a, 0x400, 1);
	alive_start(&a);
	alive_found(&a, PID(8));
	alive_found(&a, PID(9));
	alive_rest(&a);
	is_held(holding(&a, PID(1), PID(1)), 3, 120,
		"holders: each binary once, as many as it stands for");
	is_held(holding(&a, PID(1), PID(7)), 1, 100, "holders: one binary, two holders");
	is_held(holding(&a, PID(1), 0), 5, 5000, "holders: nobody was found");
	is_held(holding(&a, PID(2), 0), 1, 3, "holders: an attempt that failed counts for nobody");
	is_u64(a.holding_at.n, 4, "holders: and nobody else");
	alive_free(&a);
	ok(!a.holdings && !a.seen, "holders: it is forgotten");
	fake_clear();

	fake_counts.alloc_epoch = EPOCH;
	for (i = 0; i < 300; i++)
		born(0x1000 + 16 * i, PID(i), BINARY, extra + i);
	alive_read(&a, &vm, NULL, true);
	for (i = 0; i < 300; i++) {
		alive_start(&a);
		ref(&a, 0x1000 + 16 * i, 2);
		ref(&a, 0x1000 + 16 * (i / 2), 1);
		alive_found(&a, PID(1000 + i));
	}
	alive_rest(&a);
	/* the first holds its own alone, and 0 and 1 share the first */
	ok(a.holding_at.n == 599 && holding(&a, PID(299), PID(1299))->bytes == 299 &&
		   holding(&a, PID(149), PID(1299))->binaries == 1 &&
			   !holding(&a, PID(5), 0)->binaries,
	   "holders: many");
	alive_free(&a);
	fake_clear();
}

int main(void)
{
	vm.lay = layout_find(27, true, "x86_64");
	vm.type_binary = BINARY;
	vm.type_drv_binary = DRV_BINARY;
	extra = vm.lay->f.bin_data + vm.lay->facts->bin_pad;
	drv_extra = vm.lay->f.bin_data + vm.lay->facts->drv_bin_pad;
	sums();
	binaries();
	holders();
	return done();
}
