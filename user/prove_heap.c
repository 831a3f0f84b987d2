// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs of what hangs on processes: refc binaries, which fill their block to the byte, and heap
 * fragments, which have room for what they say they hold.
 *
 * Binary, ProcBin and BinRef, ErlHeapFragment, ErtsMessage.  A block's size is the allocator's
 * knowledge (the word before it), kept apart from what the structure in it says.
 */
#include "ebeam_shared.h"
#include "prove.h"
#include "snap_proc.h"

#include <string.h>

#define HOLDERS 512	/* processes looked at */
#define BATCH 64
#define NODES 16	/* of each */
#define BLOCKS 2000	/* walked where no process holds a binary */
#define SOUND 3		/* of them that must be sound */
#define EXACT_SHARE 4	/* one in so many; with a wrong offset one in some ten is by chance */
#define ENOUGH 256	/* binaries or fragments */
#define BIN_FLAG_MAGIC 1
#define BIN_FLAG_DRV 2
#define FRAGS 4		/* fragments of one list */
#define MESSAGES 8	/* with fragments, of one process */
#define HEAD 8		/* Block_t: its header word */
#define SPLINTER 64	/* what is left over when a block is cut is too small for another one */
#define BIN_BYTES 64	/* of a Binary, and the header before it, that are looked at */

struct tally {
	unsigned int seen, placed; /* nodes of chains, and those that lie on their holder's heap */
	unsigned int bins, right, sized, exact, small_refc, sound;
	unsigned int frags, fit, tight;
};

static bool in_area(vmaddr_t p, vmaddr_t lo, vmaddr_t hi)
{
	return p >= lo && p < hi;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Bytes of the tag that ends a block, if it has one. */
static uint64_t tag_bytes(const struct vm *vm, uint64_t hdr)
{
	return hdr >> 63 ? 8 * vm->lay->facts->tag_words : 0;
}

/*
 * Block_t, header word and all, is what was asked for, rounded up to words (malloc: to two); that
 * is header, Binary up to its bytes, the bytes, a pad for drivers, and the tag.  A single-block
 * carrier is rounded up to pages, and a shrunk binary may keep some of its block.
 */
static void tally_binary(struct vm *vm, vmaddr_t bin, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	const struct release_facts *r = vm->lay->facts;
	unsigned char raw[BIN_BYTES];
	uint64_t hdr, flags, refc, orig, block, need;
	bool exact;

	t->bins++;
	if (!reader_copy(&vm->rd, bin - HEAD, raw, sizeof(raw)))
		return;
	hdr = prove_word(raw, sizeof(raw), 0);
	flags = prove_word(raw, sizeof(raw), HEAD);
	refc = prove_word(raw, sizeof(raw), HEAD + f->bin_refc);
	orig = prove_word(raw, sizeof(raw), HEAD + f->bin_orig_size);
	block = EB_BLOCK_BYTES(hdr);
	if (orig >= 1ULL << 47)
		return;
	need = HEAD + f->bin_data + orig + tag_bytes(vm, hdr);
	if (!(flags & BIN_FLAG_MAGIC))
		need += flags & BIN_FLAG_DRV ? r->drv_bin_pad : r->bin_pad;
	t->right += refc >= 1 && refc < 1ULL << 40 && need <= block;
	t->small_refc += refc < orig;
	if ((hdr & 7) == 7)
		return;
	exact = block == round_up(need, prove_has_instances(vm, "binary_alloc") ? 8 : 16);
	t->sized++;
	t->exact += exact;
	t->sound += exact && refc >= 1 && refc < orig;
}

/* The chain of a process that holds still; a chain may run through fragments as well. */
static void tally_holder(struct vm *vm, const struct proc_image *p, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t node[4], at = p->off_heap_first;
	int i;

	for (i = 0; at && i < NODES; i++, at = node[f->oh_next / 8 & 3]) {
		if ((at & 7) || !reader_copy(&vm->rd, at, node, vm->lay->facts->bin_node_bytes))
			return;
		if (node[0] != vm->lay->facts->bin_header)
			continue;
		t->seen++;
		if (!in_area(at, p->heap, p->htop) && !in_area(at, p->old_heap, p->old_htop))
			continue;
		t->placed++;
		tally_binary(vm, node[f->oh_val / 8 & 3], t);
	}
}

/* A fragment; @start: of its block, which may be a message that it is part of. */
static bool tally_fragment(struct vm *vm, vmaddr_t frag, vmaddr_t start, struct tally *t,
			   uint64_t *next)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t alloc, used, hdr, first, need;
	unsigned char raw[64];

	t->frags++;
	if ((frag & 7) || !reader_copy(&vm->rd, frag, raw, sizeof(raw)) ||
	    !reader_u64(&vm->rd, start - HEAD, &hdr))
		return false;
	*next = prove_word(raw, sizeof(raw), f->frag_next);
	first = prove_word(raw, sizeof(raw), f->frag_off_heap_first);
	alloc = prove_word(raw, sizeof(raw), f->frag_alloc_size);
	used = prove_word(raw, sizeof(raw), f->frag_used_size);
	if (!alloc || alloc >= 1ULL << 32 || used > alloc)
		return false;
	need = HEAD + (frag - start) + f->frag_mem + 8 * alloc + tag_bytes(vm, hdr);
	t->fit += need <= EB_BLOCK_BYTES(hdr) &&
		  (!first || in_area(first, frag + f->frag_mem, frag + f->frag_mem + 8 * used));
	t->tight += (hdr & 7) == 7 ||
		    (need <= EB_BLOCK_BYTES(hdr) && EB_BLOCK_BYTES(hdr) - need < SPLINTER);
	return true;
}

static void tally_fragments(struct vm *vm, vmaddr_t frag, vmaddr_t start, struct tally *t)
{
	uint64_t next;
	int i;

	for (i = 0; frag && i < FRAGS && tally_fragment(vm, frag, start, t, &next); i++)
		frag = start = next;
}

/* Received messages whose fragment, in one block with them or not, the process keeps for a while. */
static void tally_messages(struct vm *vm, vmaddr_t msg, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t attached;
	int i;

	for (i = 0; msg && i < MESSAGES; i++) {
		if (!reader_u64(&vm->rd, msg + f->msg_attached, &attached))
			return;
		if (attached == 1)
			tally_fragments(vm, msg + f->msg_frag, msg, t);
		else if (attached)
			tally_fragments(vm, attached, attached, t);
		if (!reader_u64(&vm->rd, msg + f->msg_next, &msg))
			return;
	}
}

static void tally_process(struct vm *vm, const struct proc_id *who, const struct proc_image *p,
			  struct tally *sum, bool fragments)
{
	struct tally t = *sum;
	struct proc_image after;

	if (fragments) {
		tally_fragments(vm, p->mbuf, p->mbuf, &t);
		tally_messages(vm, p->msg_frag, &t);
	} else {
		tally_holder(vm, p, &t);
	}
	if (!snap_proc_image(vm, who->addr, &after) && !memcmp(&after, p, sizeof(after)))
		*sum = t;
}

static void tally_processes(struct vm *vm, const struct proc_ids *ids, struct tally *t,
			    bool fragments)
{
	static struct proc_image p[BATCH];
	const struct proc_id *who;
	size_t from, i, n;
	bool busy;

	for (from = 0; from < ids->n && from < HOLDERS; from += n) {
		n = ids->n - from < BATCH ? ids->n - from : BATCH;
		who = ids->v + from;
		snap_proc_images(vm, who, n, p);
		for (i = 0; i < n && t->bins + t->frags < ENOUGH; i++) {
			busy = p[i].mbuf || p[i].msg_frag || p[i].abandoned_heap;
			if (p[i].addr && p[i].id == who[i].id && p[i].still && busy == fragments)
				tally_process(vm, &who[i], &p[i], t, fragments);
		}
	}
}

/* Is it one, by the type number in the tag that ends it?  Without tags all of them may be. */
static bool is_binary_block(struct vm *vm, vmaddr_t block, uint64_t hdr)
{
	uint64_t tag;

	if (!(hdr >> 63))
		return true;
	return reader_u64(&vm->rd, block + EB_BLOCK_BYTES(hdr) - tag_bytes(vm, hdr), &tag) &&
	       (tag & 255) == VM_TYPE_NUMBER(vm->type_binary);
}

/* Blocks of a carrier from the first one on: those that are binaries. */
static void tally_carrier(struct vm *vm, vmaddr_t allctr, unsigned int *left, struct tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t at, header, hdr;

	if (!reader_u64(&vm->rd, allctr + f->allctr_mbc_list, &at) || !at ||
	    !reader_u64(&vm->rd, allctr + f->allctr_mbc_header, &header) || header >= 4096)
		return;
	for (at += header; *left && t->sound < SOUND; --*left) {
		if (!reader_u64(&vm->rd, at, &hdr))
			return;
		if (!(hdr & 1) && is_binary_block(vm, at, hdr))
			tally_binary(vm, at + HEAD, t);
		if (hdr & 4)
			return;
		at += hdr & 1 ? hdr & ~7ULL : EB_BLOCK_BYTES(hdr);
	}
}

/*
 * Blocks that no process holds may wait to be freed, and are written over, or be other things that
 * are called binaries: it takes a few sound ones, which chance does not make.
 */
static void prove_blocks(struct vm *vm)
{
	unsigned int left = BLOCKS;
	struct tally t = { 0 };
	size_t i;

	for (i = 0; i < vm->ninsts && t.sound < SOUND; i++)
		if (vm->insts[i].alloc_no == VM_TYPE_ALLOCATOR(vm->type_binary))
			tally_carrier(vm, vm->insts[i].allctr, &left, &t);
	vm_check(vm, t.sound >= SOUND ? CHECK_OK : CHECK_FAIL, "layout binary blocks",
		 "%u of %u blocks of binaries are filled to the byte", t.sound, t.bins);
}

void prove_binaries(struct vm *vm, const struct proc_ids *ids)
{
	struct tally t = { 0 };

	tally_processes(vm, ids, &t, false);
	if (t.seen)
		JUDGE("layout binary holders", t.placed, t.seen, 64,
		      "references to refc binaries lie on their holder's heap");
	if (t.bins) {
		JUDGE("layout binaries", t.right, t.bins, 64, "refc binaries fit their block");
		MOSTLY("layout binary references", t.small_refc, t.bins,
		       "have fewer references than bytes");
	}
	/*
	 * Binaries that were shrunk in place, as those that files are read into, keep most of their
	 * block: where a node has hardly any others, all of the allocator's are looked at.
	 */
	if (t.exact && EXACT_SHARE * t.exact >= t.sized)
		OK("layout binary sizes", "%u of %u fill it to the byte", t.exact, t.sized);
	else
		prove_blocks(vm);
}

/* Where it is in doubt, fragments are left alone: then what is in them is missing, nothing else. */
static void cannot_fragments(struct vm *vm)
{
	prove_cannot(vm, LF_frag_next);
	prove_cannot(vm, LF_frag_off_heap_first);
}

void prove_fragments(struct vm *vm, const struct proc_ids *ids)
{
	struct tally t = { 0 };

	tally_processes(vm, ids, &t, true);
	if (!t.frags) {
		SKIP("layout heap fragments", "no process has one just now");
		cannot_fragments(vm);
	} else if (!prove_enough(t.fit, t.frags, 16) && (t.frags < 8 || 2 * t.fit >= t.frags)) {
		SKIP("layout heap fragments", "%u of %u fit their block", t.fit, t.frags);
		cannot_fragments(vm);
	} else {
		JUDGE("layout heap fragments", t.fit, t.frags, 16, "heap fragments fit their block");
		MOSTLY("layout heap fragment sizes", t.tight, t.frags, "fill it");
	}
}
