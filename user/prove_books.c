// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs of what allocators count: the VM keeps two books, of calls and of blocks in carriers, and
 * they agree.
 */
#include "prove.h"

#include <stdlib.h>
#include <string.h>

/* Blocks that an instance's carriers hold, pooled ones included: its own number's statistics. */
static bool blocks_of(struct vm *vm, const struct instance *in, uint64_t *n)
{
	const struct layout_fields *f = &vm->lay->f;
	vmaddr_t at = f->cstats_blocks + f->cstats_block_stride * (in->alloc_no - 1);
	uint64_t mbc, sbc, pool;

	/* cpool.stat.no_blocks stands behind blocks_size, an array of the same length */
	if (!reader_u64(&vm->rd, in->allctr + f->allctr_mbcs + at, &mbc) ||
	    !reader_u64(&vm->rd, in->allctr + f->allctr_sbcs + at, &sbc) ||
	    !reader_u64(&vm->rd, in->allctr + f->allctr_pool_no_blocks + 8 * (in->alloc_no - 1),
			&pool))
		return false;
	*n = mbc + sbc + pool;
	return true;
}

/*
 * The VM keeps two books: calls, and blocks in carriers.  What was allocated and not freed is what
 * there is; frees on their way to another instance are in one book only for a moment.
 */
static void prove_balance(struct vm *vm)
{
	uint64_t calls[CALL_N], n, blocks;
	unsigned int a, good = 0, tried = 0;
	int64_t balance, off;
	size_t i;
	int try;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		/* objects on fix_alloc's free lists are blocks still; temp_alloc's have no name */
		if (!strcmp(vm->allocator_name[a], "fix_alloc") ||
		    !strcmp(vm->allocator_name[a], "temp_alloc"))
			continue;
		for (try = 0; try < TRIES; try++) {
			balance = blocks = 0;
			for (i = 0; i < vm->ninsts; i++) {
				if (vm->insts[i].alloc_no != a ||
				    !vm_instance_calls(vm, &vm->insts[i], calls) ||
				    !blocks_of(vm, &vm->insts[i], &n))
					continue;
				balance += (int64_t)(calls[CALL_ALLOC] - calls[CALL_FREE]);
				blocks += n;
			}
			off = balance - (int64_t)blocks;
			if (off >= -2 && off <= 2)
				break;
		}
		if (blocks < 32)
			continue;
		tried++;
		good += blocks < 1ULL << 40 && llabs((long long)off) <= (long long)(2 + blocks / 16);
	}
	/*
	 * One that agrees is no accident.  All do, but for moves in between, and where allocators
	 * share a pool (OTP 23): an instance then counts calls for blocks of another allocator.
	 */
	if (good)
		OK("layout books", "%u of %u allocators have as many blocks as were allocated and not "
		   "freed", good, tried);
	else
		BAD("layout books", "none of %u allocators has as many blocks as were allocated and "
		    "not freed", tried);
}

/* calls.this_alloc is what the VM counts itself: never falls, and binary_alloc has been used. */
void prove_books(struct vm *vm)
{
	uint64_t a[CALL_N], b[CALL_N];
	unsigned int good = 0, live = 0;
	size_t i, k;

	for (i = 0; i < vm->ninsts; i++) {
		if (!vm_instance_calls(vm, &vm->insts[i], a) ||
		    !vm_instance_calls(vm, &vm->insts[i], b))
			continue;
		for (k = 0; k < CALL_N && b[k] >= a[k] && b[k] < 1ULL << 56; k++)
			;
		/* what was freed had been allocated, give or take frees that took another way */
		good += k == CALL_N && b[CALL_FREE] <= a[CALL_ALLOC] + b[CALL_ALLOC] + 1000000;
		live += a[CALL_ALLOC] > 0;
	}
	if (good == vm->ninsts && live)
		OK("layout call counters", "%u instances count plausibly, %u in use", good, live);
	else
		BAD("layout call counters", "%u of %zu instances count plausibly", good, vm->ninsts);
	prove_balance(vm);
}
