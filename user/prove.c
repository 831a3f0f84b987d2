// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof of the layout on live memory.
 *
 * The row was chosen by what the VM says of itself.  Each check here ties a field to something
 * known another way: ids that map to their slots, pointers that lead back, counts against list
 * lengths, the words `false` and `true`, kernel thread ids.  A wrong offset fails at least one of
 * them; then nothing is read or traced, and the check is named.  The VM runs meanwhile: checks on
 * things that move are tried a few times, and judge what holds still.
 */
#include "ebeam_shared.h"
#include "vm.h"
#include "snap_proc.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES 5
#define LIST_MAX 100000 /* carriers of one instance */
#define SAMPLE 512	/* processes looked at */

#define OK(name, ...) vm_check(vm, CHECK_OK, name, __VA_ARGS__)
#define BAD(name, ...) vm_check(vm, CHECK_FAIL, name, __VA_ARGS__)
#define SKIP(name, ...) vm_check(vm, CHECK_SKIP, name, __VA_ARGS__)

static void prove_release(struct vm *vm)
{
	/* erts 11 is OTP 23, 12 is 24, and so on */
	if (atoi(vm->erts) + 12 == vm->otp)
		OK("layout release", "erts %s belongs to OTP %d", vm->erts, vm->otp);
	else
		BAD("layout release", "erts %s is not of OTP %d", vm->erts, vm->otp);
}

static void prove_atoms(struct vm *vm)
{
	const char *zero = term_atom_index(vm, 0), *one = term_atom_index(vm, 1);
	uint32_t entries = 0, i, good = 0;
	const char *text;

	if (zero && one && !strcmp(zero, "false") && !strcmp(one, "true"))
		OK("layout atoms", "atoms 0 and 1 are false and true");
	else
		BAD("layout atoms", "atoms 0 and 1 are %s and %s", zero ? zero : "unreadable",
		    one ? one : "unreadable");
	reader_u32(&vm->rd, vm->atom_tab + vm->lay->f.index_entries, &entries);
	for (i = 0; i < 64; i++) {
		text = term_atom_index(vm, (uint64_t)i * entries / 64);
		good += text != NULL;
	}
	if (entries > 1000 && good == 64)
		OK("layout atom table", "64 of %u atoms know their index", entries);
	else
		BAD("layout atom table", "%u of 64 atoms of %u know their index", good, entries);
}

/* The element that a scheduler's word points to has the right kind of id, or there is none. */
static bool runs(struct vm *vm, vmaddr_t word, bool (*right)(eterm_t))
{
	uint64_t element, id;

	return reader_u64(&vm->rd, word, &element) &&
	       (!element || (reader_u64(&vm->rd, element + vm->lay->f.proc_id, &id) && right(id)));
}

static void prove_schedulers(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int good = 0, typed = 0, with_tid = 0, alive = 0, no[3] = { 0 };
	unsigned int current = 0;
	uint32_t type;
	char path[64];
	size_t i;
	int try;

	for (i = 0; i < vm->nscheds; i++) {
		struct scheduler *s = &vm->scheds[i];

		good += s->no == ++no[s->kind];
		typed += reader_u32(&vm->rd, s->addr + f->sched_type, &type) && type == s->kind;
		with_tid += s->tid != 0;
		if (s->tid && vm->target.pid) {
			/* task folders are named as the host counts; a container's own tids are
			 * checked by number only */
			if (vm->target.ns_pid == vm->target.pid) {
				snprintf(path, sizeof(path), "/proc/%d/task/%d", vm->target.pid,
					 s->tid);
				alive += !access(path, F_OK);
			} else {
				alive++;
			}
		}
		/* what it runs, if anything, is a process or a port; it may change underfoot */
		for (try = 0; try < TRIES; try++)
			if (runs(vm, s->addr + f->sched_current_process, term_is_pid) &&
			    runs(vm, s->addr + f->sched_current_port, term_is_port))
				break;
		current += try < TRIES;
	}
	vm_check(vm, vm->nscheds && current == vm->nscheds ? CHECK_OK : CHECK_FAIL,
		 "layout current work", "%u of %zu schedulers run a process, a port or nothing",
		 current, vm->nscheds);
	if (vm->nscheds && vm->nnormal && good == vm->nscheds)
		OK("layout schedulers", "%zu schedulers count themselves 1 to n", vm->nscheds);
	else
		BAD("layout schedulers", "%u of %zu schedulers have the number of their slot", good,
		    vm->nscheds);
	if (vm->nscheds && typed == vm->nscheds)
		OK("layout scheduler types", "normal, dirty_cpu and dirty_io as their arrays say");
	else
		BAD("layout scheduler types", "%u of %zu have the type of their array", typed,
		    vm->nscheds);
	if (!vm->target.pid)
		SKIP("layout threads", "a recording has no threads");
	else if (alive == vm->nscheds)
		OK("layout threads", "%u schedulers' pthreads are threads of pid %d", alive,
		   vm->target.pid);
	else
		BAD("layout threads", "%u of %zu schedulers' pthreads (%u read) are threads of "
		    "pid %d", alive, vm->nscheds, with_tid, vm->target.pid);
}

/* The id names its slot; or the slot has another element by now, and says nothing. */
static bool slot_fits(struct vm *vm, const struct proc_id *p)
{
	uint64_t now;

	return (term_is_pid(p->id) && term_pid_slot(vm, p->id) == p->slot) ||
	       (reader_u64(&vm->rd, vm->tab + 8 * p->slot, &now) && now != p->addr);
}

/* Slot by slot: an element's id is a pid and names that very slot; as many as the VM counts. */
static void prove_process_table(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int used = 0, right = 0, try;
	uint32_t count = 0, after = 0, slack;
	struct proc_ids ids;
	size_t i;

	if (!vm->proc_max || (vm->proc_max & (vm->proc_max - 1)) || vm->proc_max > 1u << 27) {
		BAD("layout process table", "its size %u is no power of two", vm->proc_max);
		return;
	}
	OK("layout process table", "its size %u is a power of two", vm->proc_max);
	/* ids are spread over cache lines: the masks cut the slot into line and place in the line */
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
	for (try = 0; try < TRIES; try++) {
		reader_u32(&vm->rd, vm->proc_tab + f->ptab_count, &count);
		if (snap_proc_ids(vm, &ids)) {
			BAD("layout process slots", "the process table cannot be read");
			return;
		}
		reader_u32(&vm->rd, vm->proc_tab + f->ptab_count, &after);
		used = ids.used;
		right = 0;
		for (i = 0; i < ids.n; i++)
			right += slot_fits(vm, &ids.v[i]);
		i = ids.n;
		snap_proc_ids_free(&ids);
		/* a process on its way in or out may differ for a moment */
		if (right && right == i && count == after && used == count)
			break;
	}
	if (right && right + right / 8 + 2 >= i)
		OK("layout process slots", "%u of %zu ids name the slot they are in", right, i);
	else
		BAD("layout process slots", "%u of %zu ids name the slot they are in", right, i);
	/* under load births and deaths go on between the two reads */
	slack = count == after ? 0 : 1000 + used / 4;
	if (used <= count + slack && count <= used + slack)
		OK("layout process count", "%u slots in use, the table counts %u", used, count);
	else
		BAD("layout process count", "%u slots in use, the table counts %u", used, count);
}

static bool in_area(vmaddr_t p, vmaddr_t lo, vmaddr_t hi)
{
	return p >= lo && p < hi;
}

/* Tallies over a sample of processes that hold still. */
struct proc_tally {
	unsigned int seen, heaps, old_heaps, leaders, initials, gens, regs, regs_right;
	unsigned int bins, bins_right, dicts, dicts_right, high_water;
	unsigned int gaps, normal, chains;
};

/* A list head: nothing, or a word-aligned address that can be read. */
static bool is_list(struct vm *vm, vmaddr_t head)
{
	uint64_t word;

	return !head || (!(head & 7) && reader_u64(&vm->rd, head, &word));
}

static void tally_off_heap(struct vm *vm, const struct proc_image *p, struct proc_tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t node[4], bin[4], hdr, at = p->off_heap_first;
	uint64_t sizes[3];
	int i;

	for (i = 0; at && i < 16; i++, at = node[f->oh_next / 8 & 3]) {
		/* a chain may also run through heap fragments and received messages */
		if (p->mbuf || p->msg_frag || p->abandoned_heap ||
		    !reader_copy(&vm->rd, at, node, vm->lay->facts->bin_node_bytes))
			return;
		if (node[0] != vm->lay->facts->bin_header)
			continue;
		t->bins++;
		/* the node lies on the heap; its Binary fits the block that the allocator gave */
		if (!in_area(at, p->heap, p->htop) && !in_area(at, p->old_heap, p->old_htop)) {
			log_all("off-heap node %#llx outside of the heaps", (unsigned long long)at);
			continue;
		}
		if (!reader_copy(&vm->rd, node[f->oh_val / 8 & 3], bin, sizeof(bin)) ||
		    !reader_u64(&vm->rd, node[f->oh_val / 8 & 3] - 8, &hdr))
			continue;
		sizes[0] = bin[f->bin_orig_size / 8 & 3];
		sizes[1] = EB_BLOCK_BYTES(hdr);
		sizes[2] = bin[f->bin_refc / 8 & 3];
		if (sizes[2] >= 1 && sizes[2] < 1ULL << 40 && sizes[1] >= f->bin_data &&
		    sizes[0] <= sizes[1] - f->bin_data)
			t->bins_right++;
	}
}

static void tally_names(struct vm *vm, const struct proc_image *p, struct proc_tally *t)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t back, name, words[64], num, pair[3];
	uint32_t size, i, found = 0;

	if (p->reg) {
		t->regs++;
		t->regs_right += reader_u64(&vm->rd, p->reg + f->regproc_p, &back) &&
				 back == p->addr &&
				 reader_u64(&vm->rd, p->reg + f->regproc_name, &name) &&
				 term_atom(vm, name);
	}
	if (p->dictionary && reader_u32(&vm->rd, p->dictionary + f->dict_array_size, &size) &&
	    reader_u64(&vm->rd, p->dictionary + f->dict_num, &num) && size && size <= 64) {
		t->dicts++;
		if (!reader_copy(&vm->rd, p->dictionary + f->dict_data, words, 8 * size))
			return;
		for (i = 0; i < size; i++) {
			if ((words[i] & 3) == 1) { /* keys that hash alike share a slot */
				num = 0;
				break;
			}
			if ((words[i] & 3) == 2)
				found += reader_copy(&vm->rd, words[i] & ~7ULL, pair, 24) &&
					 pair[0] == 2 << 6;
		}
		t->dicts_right += !num || found == num;
	}
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

static void prove_processes(struct vm *vm)
{
	struct proc_tally t = { 0 }, before;
	struct proc_image p, after;
	struct proc_ids ids;
	size_t i, step, named;

	if (snap_proc_ids(vm, &ids))
		return;
	/* the registered ones, which every node has, mostly with a dictionary; some of the others */
	named = registered_first(vm, &ids);
	step = ids.n > SAMPLE ? ids.n / SAMPLE : 1;
	for (i = 0; i < ids.n; i += i < named && i < SAMPLE ? 1 : step) {
		if (snap_proc_image(vm, ids.v[i].addr, &p) || p.id != ids.v[i].id || !p.still)
			continue;
		before = t;
		t.seen++;
		t.heaps += p.heap && p.heap <= p.htop && p.htop <= p.stop && p.stop <= p.hend &&
			   /* while a collection is put off heap_sz is that of the heap put aside */
			   (p.abandoned_heap || (p.hend - p.heap) / 8 == p.heap_sz);
		t.old_heaps += p.old_heap <= p.old_htop && p.old_htop <= p.old_hend &&
			       !p.old_heap == !p.old_hend;
		t.leaders += term_is_pid(p.group_leader) || (p.group_leader & 3) == 2 ||
			     p.group_leader == vm->lay->facts->nil;
		t.gens += p.gen_gcs <= p.max_gen_gcs || p.gen_gcs == 0;
		t.gaps += p.htop < p.stop;
		/* Process.state, bits 2 and 3: the user's priority, 2 is normal */
		t.normal += (p.state >> 2 & 3) == 2;
		t.chains += is_list(vm, p.off_heap_first) && is_list(vm, p.wrt_bins) &&
			    is_list(vm, p.mbuf) && is_list(vm, p.msg_frag) &&
			    p.off_heap_overhead < 1ULL << 40 && p.mbuf_sz < 1ULL << 40;
		t.high_water += p.abandoned_heap || (p.high_water >= p.heap && p.high_water <= p.htop);
		t.initials += p.initial[2] <= 255 && term_atom(vm, p.initial[0]) &&
			      term_atom(vm, p.initial[1]);
		tally_names(vm, &p, &t);
		tally_off_heap(vm, &p, &t);
		/*
		 * What it had when it was copied says nothing if it ran: on since then, or just
		 * before, so that the copy has some of its words from then.
		 */
		if (snap_proc_image(vm, ids.v[i].addr, &after) || memcmp(&after, &p, sizeof(p)))
			t = before;
	}
	snap_proc_ids_free(&ids);
#define JUDGE(name, good, of, what)                                                                \
	vm_check(vm, (of) && (good) + (of) / 64 >= (of) ? CHECK_OK : CHECK_FAIL, name,             \
		 "%u of %u " what, good, of)
	JUDGE("layout heaps", t.heaps, t.seen, "waiting processes have heap, htop, stop, hend, "
	      "heap_sz in order");
	/* the word behind htop is stop, which would do as well: but heaps are rarely that full */
	vm_check(vm, 2 * t.gaps > t.seen ? CHECK_OK : CHECK_FAIL, "layout heap tops",
		 "%u of %u have room between htop and stop", t.gaps, t.seen);
	vm_check(vm, 2 * t.normal > t.seen ? CHECK_OK : CHECK_FAIL, "layout process states",
		 "%u of %u have normal priority", t.normal, t.seen);
	JUDGE("layout process lists", t.chains, t.seen,
	      "have off-heap, fragment and message lists that can be followed");
	JUDGE("layout old heaps", t.old_heaps, t.seen, "have old_heap, old_htop, old_hend in order");
	JUDGE("layout high water", t.high_water, t.seen, "have high_water within the heap");
	JUDGE("layout group leaders", t.leaders, t.seen, "have a pid as group leader");
	JUDGE("layout generations", t.gens, t.seen, "have gen_gcs within max_gen_gcs");
	JUDGE("layout initial calls", t.initials, t.seen, "have an initial call of two atoms");
	JUDGE("layout registered names", t.regs_right, t.regs, "name entries point back");
	JUDGE("layout dictionaries", t.dicts_right, t.dicts, "hold as many pairs as they count");
	if (t.bins)
		JUDGE("layout binaries", t.bins_right, t.bins,
		      "refc binaries lie on their holder's heap and fit their block");
	else
		SKIP("layout binaries", "no process holds a refc binary just now");
#undef JUDGE
}

/* Length and bytes of a list of carriers; false when it does not end or moves. */
static bool carrier_list(struct vm *vm, vmaddr_t first, vmaddr_t allctr, uint64_t *n,
			 uint64_t *bytes, unsigned int *strays)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t at = first, words[4];

	*n = *bytes = 0;
	for (; at; at = words[f->carrier_next / 8 & 3]) {
		if (++*n > LIST_MAX || !reader_copy(&vm->rd, at, words, sizeof(words)))
			return false;
		*bytes += words[f->carrier_chdr / 8 & 3] & ~7ULL;
		*strays += (words[f->carrier_allctr / 8 & 3] & ~7ULL) != allctr;
	}
	return true;
}

static void prove_allocators(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int numbered = 0, named = 0, lists = 0, tried = 0, back = 0, code = 0, strays;
	uint64_t prefix, n, bytes, mseg[2], sys[2], callbacks[2];
	uint32_t no, ix;
	char text[VM_NAME];
	size_t i, len;
	int try, kind;

	for (i = 0; i < vm->ninsts; i++) {
		const struct instance *in = &vm->insts[i];

		numbered += reader_u32(&vm->rd, in->allctr + f->allctr_alloc_no, &no) &&
			    reader_u32(&vm->rd, in->allctr + f->allctr_ix, &ix) &&
			    no == in->alloc_no && ix == in->ix;
		/* name_prefix "binary_" and the table's "binary_alloc" */
		if (reader_u64(&vm->rd, in->allctr + f->allctr_name_prefix, &prefix) &&
		    reader_string(&vm->rd, prefix, text, sizeof(text))) {
			len = strlen(text);
			named += len && !strncmp(text, vm->allocator_name[in->alloc_no], len);
		}
		/* get and give back memory by calling code */
		if (reader_u64(&vm->rd, in->allctr + f->allctr_sys_alloc, &callbacks[0]) &&
		    reader_u64(&vm->rd, in->allctr + f->allctr_sys_dealloc, &callbacks[1]))
			code += !vm->target.pid || (symbols_file_offset(&vm->sym, callbacks[0] -
				vm->sym.bias, &n) && symbols_file_offset(&vm->sym, callbacks[1] -
				vm->sym.bias, &n));
		for (kind = 0; kind < 2; kind++) {
			vmaddr_t stats = in->allctr + (kind ? f->allctr_sbcs : f->allctr_mbcs) +
					 f->cstats_carriers;
			vmaddr_t list = in->allctr + (kind ? f->allctr_sbc_list : f->allctr_mbc_list);

			tried++;
			for (try = 0; try < TRIES; try++) {
				uint64_t first;

				strays = 0;
				if (!reader_u64(&vm->rd, list, &first) ||
				    !carrier_list(vm, first, in->allctr, &n, &bytes, &strays) ||
				    !reader_copy(&vm->rd, stats, mseg, sizeof(mseg)) ||
				    !reader_copy(&vm->rd, stats + 16, sys, sizeof(sys)))
					continue;
				if (mseg[0] + sys[0] == n && mseg[1] + sys[1] == bytes && !strays)
					break;
			}
			lists += try < TRIES;
			back += !strays;
		}
	}
#define JUDGE(name, good, of, what)                                                                \
	vm_check(vm, (of) && (good) + (of) / 16 >= (of) ? CHECK_OK : CHECK_FAIL, name,             \
		 "%u of %u " what, good, (unsigned int)(of))
	vm_check(vm, vm->ninsts && numbered == vm->ninsts ? CHECK_OK : CHECK_FAIL,
		 "layout allocators", "%u of %zu instances know allocator and index", numbered,
		 vm->ninsts);
	vm_check(vm, vm->ninsts && named == vm->ninsts ? CHECK_OK : CHECK_FAIL,
		 "layout allocator names", "%u of %zu instances have the prefix of their name",
		 named, vm->ninsts);
	vm_check(vm, vm->ninsts && code == vm->ninsts ? CHECK_OK : CHECK_FAIL,
		 "layout callbacks", "%u of %zu instances point to code of the VM", code,
		 vm->ninsts);
	/* a busy instance may move under all tries; most hold still */
	JUDGE("layout carrier lists", lists, tried, "lists have the length and bytes of their "
	      "counters");
	JUDGE("layout carriers", back, tried, "lists' carriers point back to their instance");
#undef JUDGE
	if (vm->type_binary && VM_TYPE_ALLOCATOR(vm->type_binary) < VM_MAX_ALLOCATORS &&
	    !strcmp(vm->allocator_name[VM_TYPE_ALLOCATOR(vm->type_binary)], "binary_alloc"))
		OK("layout types", "type %u (binary) belongs to binary_alloc", vm->type_binary);
	else
		BAD("layout types", "type %u (binary) does not belong to binary_alloc",
		    vm->type_binary);
}

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
static void prove_books(struct vm *vm)
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
static void prove_counters(struct vm *vm)
{
	uint64_t a[CALL_N], b[CALL_N], cols, reclaimed, cols2;
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
	prove_books(vm);
	if (vm_gc_info(vm, &cols, &reclaimed) && vm_gc_info(vm, &cols2, &reclaimed) && cols > 0 &&
	    cols2 >= cols && cols2 < 1ULL << 40)
		OK("layout gc counters", "%llu collections so far", (unsigned long long)cols2);
	else
		BAD("layout gc counters", "collections are not counted where expected");
}

int prove_layout(struct vm *vm)
{
	const struct vm_check *c;
	size_t i;

	prove_release(vm);
	prove_atoms(vm);
	prove_schedulers(vm);
	prove_process_table(vm);
	prove_processes(vm);
	prove_allocators(vm);
	prove_counters(vm);
	for (i = 0; i < vm->nchecks; i++) {
		c = &vm->checks[i];
		if (c->status == CHECK_FAIL)
			return fail(EXIT_UNSUPPORTED,
				    "`ebeam doctor` shows all checks; this build may be patched",
				    "layout %s does not fit the memory of pid %d: %s: %s",
				    vm->lay->name, vm->target.pid, c->name, c->detail);
	}
	if (vm->npassed < 12)
		return fail(EXIT_UNSUPPORTED, "`ebeam doctor` shows all checks",
			    "only %zu checks of layout %s could be made on pid %d", vm->npassed,
			    vm->lay->name, vm->target.pid);
	return 0;
}
