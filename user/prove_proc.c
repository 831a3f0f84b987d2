// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs of the process table and of Process: ids name their slots, heaps have their words in
 * order, names lead back, dictionaries hold as many pairs as they count; and some words look like
 * nothing else does, or have one value in nearly all processes.
 */
#include "ebeam_shared.h"
#include "prove.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE 512 /* processes looked at */
#define CHUNK 16   /* of them at a time: few enough to hold still meanwhile */
#define PAIRS 64   /* slots of a dictionary that are looked at */

#define SMALL_BLOCK 64 /* allocators hand out none that are smaller */

#define INVALID_FRAGMENT ((uint64_t)-8) /* ERTS_INVALID_HFRAG_PTR */
#define FLAGS_END 27			/* bits of Process.flags that no release uses */

/* The id names its slot; or the slot has another element by now, and says nothing. */
static bool slot_fits(struct vm *vm, const struct proc_id *p)
{
	uint64_t now;

	return (term_is_pid(p->id) && term_pid_slot(vm, p->id) == p->slot) ||
	       (reader_u64(&vm->rd, vm->tab + 8 * p->slot, &now) && now != p->addr);
}

/* ids are spread over cache lines: the masks cut the slot into line and place in the line */
static void prove_masks(struct vm *vm)
{
	if (vm->pix_mask == vm->proc_max - 1 &&
	    (vm->pix_cl_mask + 1) * (vm->pix_cli_mask + 1) == vm->proc_max &&
	    vm->pix_cli_mask + 1 == 1ULL << vm->pix_cl_shift &&
	    vm->pix_cl_mask + 1 == 1ULL << vm->pix_cli_shift)
		OK("layout pid masks", "lines of %llu and shifts fit the table's size",
		   (unsigned long long)vm->pix_cli_mask + 1);
	else
		BAD("layout pid masks", "they do not fit a table of %u: line mask %#llx << %u, place "
		    "mask %#llx << %u", vm->proc_max, (unsigned long long)vm->pix_cl_mask,
		    vm->pix_cl_shift, (unsigned long long)vm->pix_cli_mask, vm->pix_cli_shift);
}

bool prove_process_fields(struct vm *vm)
{
	bool inside = true;
	int i;

	for (i = 0; i < LAYOUT_NFIELDS; i++)
		if (!strncmp(layout_field_name(i), "proc_", 5) && i != LF_proc_size &&
		    *layout_field_at(&vm->layout, i) != LAYOUT_ABSENT &&
		    *layout_field_at(&vm->layout, i) >= vm->lay->f.proc_size) {
			BAD("layout process fields", "%s is at %u, in no process",
			    layout_field_name(i), *layout_field_at(&vm->layout, i));
			inside = false;
		}
	return inside;
}

/* The table knows the size of what it keeps, and an element that stands for none. */
static void prove_elements(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t size = 0, id = 0;

	reader_u64(&vm->rd, vm->proc_tab + f->ptab_element_size, &size);
	if (size == f->proc_size)
		OK("layout process size", "the table's elements have %llu bytes",
		   (unsigned long long)size);
	else
		BAD("layout process size", "the table's elements have %llu bytes, not %u",
		    (unsigned long long)size, f->proc_size);
	if (reader_u64(&vm->rd, vm->invalid_element + f->proc_id, &id) && term_is_pid(id))
		OK("layout invalid process", "it has the id %#llx", (unsigned long long)id);
	else
		BAD("layout invalid process", "its id %#llx is no pid", (unsigned long long)id);
}

/* Slot by slot: an element's id is a pid and names that very slot; as many as the VM counts. */
static void prove_slots(struct vm *vm, struct proc_ids *ids)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int used = 0, right = 0, again = 0;
	uint32_t count = 0, after = 0, last = 0, slack;
	bool moves = false;
	size_t i;

	do {
		reader_u32(&vm->rd, vm->proc_tab + f->ptab_count, &count);
		snap_proc_ids_free(ids);
		if (snap_proc_some(vm, ids)) {
			BAD("layout process slots", "the process table cannot be read");
			return;
		}
		reader_u32(&vm->rd, vm->proc_tab + f->ptab_count, &after);
		moves |= count != after || (again && last != ids->used);
		last = used = ids->used;
		right = 0;
		for (i = 0; i < ids->n; i++)
			right += slot_fits(vm, &ids->v[i]);
		i = ids->n;
		/* a process on its way in or out may differ for a moment */
	} while ((right != i || count != after || used != count) && prove_again(vm, &again));
	if (right && right + right / 8 + 2 >= i)
		OK("layout process slots", "%u of %zu ids name the slot they are in", right, i);
	else
		BAD("layout process slots", "%u of %zu ids name the slot they are in", right, i);
	/*
	 * Under load births and deaths go on while the slots are read; and a thread that lost the CPU
	 * in the middle of one leaves the table one off for as long.
	 */
	slack = moves ? 1000 + used / 4 : 1 + vm->nscheds / 16;
	if (used <= count + slack && count <= used + slack)
		OK("layout process count", "%u slots in use, the table counts %u", used, count);
	else
		BAD("layout process count", "%u slots in use, the table counts %u", used, count);
}


void prove_process_table(struct vm *vm, struct proc_ids *ids)
{
	if (!vm->proc_max || (vm->proc_max & (vm->proc_max - 1)) || vm->proc_max > 1u << 27) {
		BAD("layout process table", "its size %u is no power of two", vm->proc_max);
		return;
	}
	OK("layout process table", "its size %u is a power of two", vm->proc_max);
	prove_masks(vm);
	prove_elements(vm);
	prove_slots(vm, ids);
}

/* What a process says for or against the layout. */
struct proc_tally {
	unsigned int seen, heaps, old_heaps, leaders, initials, gens, regs, regs_right;
	unsigned int dicts, dicts_right, dicts_fit, dicts_large, dicts_full;
	unsigned int high_water, gaps, normal, chains, flags;
	unsigned int awake, olds, old_gens, old_gaps, news, new_gens, not_abandoned;
	unsigned int markers, settled, fragments;
};

/* Over all of them. */
struct proc_sum {
	struct proc_tally t;
	uint64_t reds[SAMPLE]; /* of the registered ones */
	size_t nreds;
	bool init_seen, init_traps;
};

/* A list head: nothing, or a word-aligned address that can be read. */
static bool is_list(struct vm *vm, vmaddr_t head)
{
	uint64_t word;

	return !head || (!(head & 7) && reader_u64(&vm->rd, head, &word));
}

/* A dictionary fills its block, but for the smallest ones, whose block cannot be smaller. */
static void tally_dictionary_block(struct vm *vm, vmaddr_t dict, uint32_t size,
				   struct proc_tally *t)
{
	uint64_t need = 8 + vm->lay->f.dict_data + 8 * (uint64_t)size, hdr, block;

	if (!reader_u64(&vm->rd, dict - 8, &hdr))
		return;
	block = EB_BLOCK_BYTES(hdr);
	t->dicts_fit = need <= block;
	t->dicts_large = need > SMALL_BLOCK;
	if (!prove_has_instances(vm, "std_alloc"))
		need = (need + 15) & ~15ULL;
	t->dicts_full = t->dicts_large && need == block;
}

static void tally_dictionary(struct vm *vm, const struct proc_image *p, struct proc_tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t words[PAIRS], pairs[PAIRS][3], num;
	struct read_req req[PAIRS];
	uint32_t size, i, n = 0, found = 0;

	if (!p->dictionary || !reader_u32(&vm->rd, p->dictionary + f->dict_array_size, &size) ||
	    !reader_u64(&vm->rd, p->dictionary + f->dict_num, &num) || !size || size > PAIRS)
		return;
	t->dicts = 1;
	tally_dictionary_block(vm, p->dictionary, size, t);
	if (!reader_copy(&vm->rd, p->dictionary + f->dict_data, words, 8 * size))
		return;
	for (i = 0; i < size; i++) {
		if ((words[i] & 3) == 1) { /* keys that hash alike share a slot */
			t->dicts_right = 1;
			return;
		}
		if ((words[i] & 3) == 2) {
			req[n] = (struct read_req){ words[i] & ~7ULL, pairs[n], 24, false };
			n++;
		}
	}
	reader_batch(&vm->rd, req, n);
	for (i = 0; i < n; i++)
		found += req[i].ok && pairs[i][0] == 2 << 6;
	t->dicts_right = found == num;
}

/* `init` is there in every node, and traps exits. */
static void tally_names(struct vm *vm, const struct proc_image *p, struct proc_tally *t,
			struct proc_sum *s)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t back, name = 0;
	const char *text;

	if (!p->reg)
		return;
	t->regs = 1;
	if (!reader_u64(&vm->rd, p->reg + f->regproc_p, &back) || back != p->addr ||
	    !reader_u64(&vm->rd, p->reg + f->regproc_name, &name))
		return;
	text = term_atom(vm, name);
	t->regs_right = text != NULL;
	if (text && !strcmp(text, "init")) {
		s->init_seen = true;
		s->init_traps = p->flags & vm->lay->facts->flag_trap_exit;
	}
}

/* The process that a pid names is alive: as group leaders nearly always are. */
static bool is_alive(struct vm *vm, eterm_t pid)
{
	uint64_t slot, addr, id;

	if (!term_is_pid(pid))
		return false;
	slot = term_pid_slot(vm, pid);
	return slot < vm->proc_max && reader_u64(&vm->rd, vm->tab + 8 * slot, &addr) && addr &&
	       reader_u64(&vm->rd, addr + vm->lay->f.proc_id, &id) && id == pid;
}

/* One that hibernates has a heap without any room, and what it was before is gone. */
static void tally_heaps(const struct vm *vm, const struct proc_image *p, struct proc_tally *t)
{
	t->heaps = p->heap && p->heap <= p->htop && p->htop <= p->stop && p->stop <= p->hend &&
		   /* while a collection is put off heap_sz is that of the heap put aside */
		   (p->abandoned_heap || (p->hend - p->heap) / 8 == p->heap_sz);
	t->old_heaps = p->old_heap <= p->old_htop && p->old_htop <= p->old_hend &&
		       !p->old_heap == !p->old_hend;
	t->olds = p->old_heap != 0;
	t->old_gaps = p->old_heap && p->old_htop < p->old_hend;
	t->awake = !(p->flags & vm->lay->facts->flag_trap_exit >> 1); /* F_HIBERNATED */
	t->gaps = t->awake && p->htop < p->stop;
	t->high_water = p->abandoned_heap ||
			(p->high_water >= p->heap && p->high_water <= p->htop);
	t->not_abandoned = !p->abandoned_heap;
	/* the first minor collection makes the old heap, a major one takes it away */
	t->gens = p->gen_gcs <= p->max_gen_gcs || !p->gen_gcs;
	t->old_gens = p->old_heap && p->gen_gcs;
	t->news = t->awake && !p->old_heap;
	t->new_gens = t->news && !p->gen_gcs;
}

static void tally(struct vm *vm, const struct proc_image *p, struct proc_tally *t,
		  struct proc_sum *s)
{
	memset(t, 0, sizeof(*t));
	t->seen = 1;
	tally_heaps(vm, p, t);
	t->leaders = is_alive(vm, p->group_leader);
	/* Process.state, bits 2 and 3: the user's priority, 2 is normal */
	t->normal = (p->state >> 2 & 3) == 2;
	t->flags = !(p->flags >> FLAGS_END);
	t->markers = p->live_hf_end == INVALID_FRAGMENT;
	t->settled = !p->mbuf && !p->msg_frag;
	t->fragments = t->settled && !p->mbuf_sz;
	t->chains = is_list(vm, p->off_heap_first) && is_list(vm, p->wrt_bins) &&
		    is_list(vm, p->mbuf) && is_list(vm, p->msg_frag) &&
		    p->off_heap_overhead < 1ULL << 40 && p->mbuf_sz < 1ULL << 40;
	t->initials = p->initial[2] <= 255 && term_atom(vm, p->initial[0]) &&
		      term_atom(vm, p->initial[1]);
	tally_names(vm, p, t, s);
	tally_dictionary(vm, p, t);
}

/* Moves the processes that have something in the place of a registered name to the front. */
static size_t registered_first(struct vm *vm, struct proc_ids *ids)
{
	struct read_req req[256];
	uint64_t words[256];
	size_t from, k, i, n = 0;
	struct proc_id swap;

	for (from = 0; from < ids->n; from += k) {
		k = ids->n - from < ARRAY_SIZE(req) ? ids->n - from : ARRAY_SIZE(req);
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ ids->v[from + i].addr + vm->lay->f.proc_reg,
						    &words[i], 8, false };
		reader_batch(&vm->rd, req, k);
		for (i = 0; i < k; i++) {
			if (!req[i].ok || !words[i])
				continue;
			swap = ids->v[n];
			ids->v[n++] = ids->v[from + i];
			ids->v[from + i] = swap;
		}
	}
	return n;
}

static void add(struct proc_sum *s, const struct proc_tally *t, uint64_t reds)
{
	const unsigned int *from = (const unsigned int *)t;
	unsigned int *to = (unsigned int *)&s->t;
	size_t i;

	for (i = 0; i < sizeof(*t) / sizeof(*to); i++)
		to[i] += from[i];
	if (t->regs_right && s->nreds < SAMPLE)
		s->reds[s->nreds++] = reds;
}

/*
 * What a process had when it was copied says nothing if it ran: on since then, or just before, so
 * that the copy has some of its words from then.
 */
static void look_at(struct vm *vm, const struct proc_id *who, size_t n, struct proc_sum *s)
{
	struct proc_image p[CHUNK], after[CHUNK];
	struct proc_tally t[CHUNK];
	size_t i;

	snap_proc_images(vm, who, n, p);
	for (i = 0; i < n; i++)
		if (p[i].addr && p[i].id == who[i].id && p[i].still)
			tally(vm, &p[i], &t[i], s);
	snap_proc_images(vm, who, n, after);
	for (i = 0; i < n; i++)
		if (p[i].addr && p[i].id == who[i].id && p[i].still &&
		    !memcmp(&after[i], &p[i], sizeof(p[i])))
			add(s, &t[i], p[i].reds);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Work done differs from process to process; flags, leaders and the like do not. */
static void prove_reductions(struct vm *vm, struct proc_sum *s)
{
	size_t i, distinct = s->nreds > 0, sane = 0;

	qsort(s->reds, s->nreds, sizeof(*s->reds), by_value);
	for (i = 0; i < s->nreds; i++) {
		sane += s->reds[i] < 1ULL << 48;
		distinct += i && s->reds[i] != s->reds[i - 1];
	}
	if (sane == s->nreds && (distinct >= 12 || 2 * distinct > s->nreds))
		OK("layout reductions", "%zu different counts in %zu registered processes", distinct,
		   s->nreds);
	else
		BAD("layout reductions",
		    "%zu different counts in %zu registered processes, %zu of them plausible",
		    distinct, s->nreds, sane);
}

static void judge_heaps(struct vm *vm, const struct proc_tally *t)
{
	JUDGE("layout heaps", t->heaps, t->seen, 64,
	      "waiting processes have heap, htop, stop, hend, heap_sz in order");
	/* the word behind htop is stop, which would do as well: but heaps are rarely that full */
	MOSTLY("layout heap tops", t->gaps, t->awake, "have room between htop and stop");
	JUDGE("layout old heaps", t->old_heaps, t->seen, 64,
	      "have old_heap, old_htop, old_hend in order");
	JUDGE("layout high water", t->high_water, t->seen, 64, "have high_water within the heap");
	MOSTLY("layout abandoned heaps", t->not_abandoned, t->seen, "have put no heap aside");
	JUDGE("layout generations", t->gens, t->seen, 64, "have gen_gcs within max_gen_gcs");
	if (!t->olds) {
		SKIP("layout old generations", "no process has an old heap just now");
		return;
	}
	MOSTLY("layout old heap tops", t->old_gaps, t->olds, "old heaps have room at their end");
	JUDGE("layout old generations", t->old_gens, t->olds, 64, "with an old heap have collected");
	MOSTLY("layout new generations", t->new_gens, t->news, "without one have not since");
}

static void judge_rest(struct vm *vm, const struct proc_sum *s)
{
	const struct proc_tally *t = &s->t;

	MOSTLY("layout process states", t->normal, t->seen, "have normal priority");
	JUDGE("layout process lists", t->chains, t->seen, 64,
	      "have off-heap, fragment and message lists that can be followed");
	JUDGE("layout fragment markers", t->markers, t->seen, 16, "have the mark of no fragment");
	if (t->settled)
		JUDGE("layout fragment words", t->fragments, t->settled, 16,
		      "without fragments count none");
	MOSTLY("layout group leaders", t->leaders, t->seen, "have a leader that is alive");
	JUDGE("layout initial calls", t->initials, t->seen, 64, "have an initial call of two atoms");
	JUDGE("layout registered names", t->regs_right, t->regs, 64, "name entries point back");
	JUDGE("layout dictionaries", t->dicts_right, t->dicts, 64,
	      "hold as many pairs as they count");
	JUDGE("layout dictionary sizes", t->dicts_fit, t->dicts, 64, "fit their block");
	MOSTLY("layout dictionary blocks", t->dicts_full, t->dicts_large, "fill it");
	if (t->flags == t->seen && (!s->init_seen || s->init_traps))
		OK("layout process flags", "%u of %u have none that is not defined%s", t->flags,
		   t->seen, s->init_seen ? "; init traps exits" : "");
	else
		BAD("layout process flags", "%u of %u have none that is not defined; init %s exits",
		    t->flags, t->seen, s->init_traps ? "traps" : "does not trap");
}

void prove_processes(struct vm *vm, struct proc_ids *ids)
{
	static struct proc_sum s;
	struct proc_id who[CHUNK];
	size_t i, step, named, n = 0;

	memset(&s, 0, sizeof(s));
	/* the registered ones, which every node has, mostly with a dictionary; some of the others */
	named = registered_first(vm, ids);
	step = ids->n > SAMPLE ? ids->n / SAMPLE : 1;
	for (i = 0; i < ids->n; i += i < named && i < SAMPLE ? 1 : step) {
		who[n++] = ids->v[i];
		if (n == CHUNK) {
			look_at(vm, who, n, &s);
			n = 0;
		}
	}
	look_at(vm, who, n, &s);
	judge_heaps(vm, &s.t);
	judge_rest(vm, &s);
	prove_reductions(vm, &s);
}
