// SPDX-License-Identifier: GPL-2.0-only
#include "snap_info.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 8
#define QUEUE_BYTES 1024  /* a run queue has some 450 */
#define ALLCTR_BYTES 1024 /* of an Allctr_t: its options lie in the first 500 */
#define PTAB_MAX (1u << 27) /* a table of that size keeps one slot to itself */
#define INDEX_PAGE 1024
#define NEWEST_MAX (1u << 24) /* atoms that are read: the default limit is a million */
#define PRIO_LEVELS 4
#define PRIO_BYTES 12 /* ErtsRunQueueInfo: length, longest, reductions */
#define MSEG_CACHE_ROOM 30
#define MIN_REDUCTIONS 400 /* what a slice counts at least to its scheduler */

/* ErtsRunQueue.flags and ErtsSchedulerSleepInfo.flags, the same in all releases */
#define RUNQ_SUSPENDED (1u << 22)
#define RUNQ_MSB_EXEC (1u << 28)
#define SSI_SUSPENDED (1u << 4)
#define SSI_MSB_EXEC (1u << 5)
#define SSI_ALL 0x3fu

static struct known some(uint64_t n)
{
	return (struct known){ true, n };
}

static void failed(struct snap_info_proof *p, const char *why)
{
	if (p->nwhy < ARRAY_SIZE(p->why))
		snprintf(p->why[p->nwhy++], sizeof(p->why[0]), "%s", why);
}

/* --- run queues ------------------------------------------------------------------------------- */

struct queue {
	uint64_t context_switches, reductions;
	uint32_t flags, len;
	bool adds_up; /* its length is the sum of its priorities' */
};

/* Bytes of a run queue up to the last of what is read of it. */
static size_t queue_bytes(const struct layout_fields *f)
{
	const uint64_t ends[] = {
		f->runq_ix + 4ULL, f->runq_len + 4ULL, f->runq_flags + 4ULL,
		f->runq_scheduler + 8ULL, f->runq_reductions + 8ULL, f->runq_switches + 8ULL,
		f->runq_prio + (uint64_t)PRIO_LEVELS * PRIO_BYTES,
		f->runq_ports + (uint64_t)PRIO_BYTES,
	};
	size_t i, most = 0;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		most = ends[i] > most ? ends[i] : most;
	return most;
}

static bool read_queue(struct vm *vm, vmaddr_t addr, struct queue *q)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char raw[QUEUE_BYTES];
	uint64_t sum;
	int i, try;

	for (try = 0; try < TRIES; try++) {
		if (!addr || !reader_copy(&vm->rd, addr, raw, queue_bytes(f)))
			return false;
		q->context_switches = raw_u64(raw, f->runq_switches);
		q->reductions = raw_u64(raw, f->runq_reductions);
		q->flags = raw_u32(raw, f->runq_flags);
		q->len = raw_u32(raw, f->runq_len);
		sum = raw_u32(raw, f->runq_ports);
		for (i = 0; i < PRIO_LEVELS; i++)
			sum += raw_u32(raw, f->runq_prio + i * PRIO_BYTES);
		q->adds_up = sum == q->len;
		if (q->adds_up)
			break;
	}
	return true;
}

/* Dirty schedulers of a kind share a queue; the first of them is its scheduler. */
static const struct scheduler *first_of_kind(const struct vm *vm, const struct scheduler *s)
{
	size_t i;

	for (i = 0; i < vm->nscheds; i++)
		if (vm->scheds[i].kind == s->kind)
			return &vm->scheds[i];
	return s;
}

/* A queue leads back to its scheduler, and those of normal ones are numbered as they are. */
static bool queue_is_of(struct vm *vm, const struct scheduler *s, vmaddr_t queue)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t back;
	uint32_t ix;

	if (!queue || !reader_u64(&vm->rd, queue + f->runq_scheduler, &back) ||
	    !reader_u32(&vm->rd, queue + f->runq_ix, &ix))
		return false;
	if (s->kind == SCHED_NORMAL)
		return back == s->addr && ix == s->no - 1;
	return back == first_of_kind(vm, s)->addr;
}

static void prove_queues(struct vm *vm, struct snap_info_proof *p)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t queue;
	size_t i;

	if (f->runq_prio_size != PRIO_LEVELS * PRIO_BYTES || queue_bytes(f) > QUEUE_BYTES)
		goto bad;
	for (i = 0; i < vm->nscheds; i++)
		if (!reader_u64(&vm->rd, vm->scheds[i].addr + f->sched_run_queue, &queue) ||
		    !queue_is_of(vm, &vm->scheds[i], queue))
			goto bad;
	p->queues = true;
	return;
bad:
	failed(p, "run queues do not lead back to their schedulers: theirs are left out");
}

/*
 * A slice is counted to the scheduler, with at least MIN_REDUCTIONS, and what it took to its queue;
 * the queue counts slices, too.
 */
static bool reductions_agree(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t queue, mine, schedulers = 0, queues = 0, slices = 0;
	struct queue q;
	size_t i;

	for (i = 0; i < vm->nscheds; i++) {
		if (vm->scheds[i].kind != SCHED_NORMAL)
			continue;
		if (!reader_u64(&vm->rd, vm->scheds[i].addr + f->sched_run_queue, &queue) ||
		    !read_queue(vm, queue, &q) ||
		    !reader_u64(&vm->rd, vm->scheds[i].addr + f->sched_reductions, &mine) ||
		    mine > 1ULL << 60 || q.reductions > mine || q.context_switches > 1ULL << 48)
			return false;
		schedulers += mine;
		queues += q.reductions;
		slices += q.context_switches;
	}
	return queues >= slices && schedulers <= queues + MIN_REDUCTIONS * slices;
}

static void prove_reductions(struct vm *vm, struct snap_info_proof *p)
{
	const struct layout_fields *f = &vm->lay->f;
	int try;

	for (try = 0; f->runq_reductions == f->runq_switches + 8 && try < TRIES; try++)
		if (reductions_agree(vm)) {
			p->reductions = p->queues;
			return;
		}
	failed(p, "schedulers and run queues count different reductions: these are left out");
}

/* --- sleeping schedulers ---------------------------------------------------------------------- */

static bool read_sleep(struct vm *vm, const struct scheduler *s, uint32_t *flags)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t ssi, back;

	return reader_u64(&vm->rd, s->addr + f->sched_ssi, &ssi) &&
	       reader_u64(&vm->rd, ssi + f->ssi_scheduler, &back) && back == s->addr &&
	       reader_u32(&vm->rd, ssi + f->ssi_flags, flags) && !(*flags & ~SSI_ALL);
}

/* Next to it are the links of a list: only the flags can be told from them by their place. */
static void prove_sleeping(struct vm *vm, struct snap_info_proof *p)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t flags;
	size_t i;

	p->sleeping = p->queues && f->ssi_flags == f->ssi_scheduler + 24;
	for (i = 0; i < vm->nscheds; i++)
		p->sleeping = p->sleeping && read_sleep(vm, &vm->scheds[i], &flags);
	if (!p->sleeping)
		failed(p, "what schedulers sleep by was not found: how many are online is left "
			  "out");
}

/* Is it suspended, as it says itself and, of a normal one, as its queue does?  -1: unclear. */
static int suspended(struct vm *vm, const struct scheduler *s, bool *blocked)
{
	uint64_t queue;
	uint32_t flags;
	struct queue q;
	int try;

	for (try = 0; try < TRIES; try++) {
		if (!read_sleep(vm, s, &flags))
			continue;
		*blocked |= !!(flags & SSI_MSB_EXEC);
		if (s->kind != SCHED_NORMAL)
			return !!(flags & SSI_SUSPENDED);
		if (!reader_u64(&vm->rd, s->addr + vm->lay->f.sched_run_queue, &queue) ||
		    !read_queue(vm, queue, &q))
			continue;
		*blocked |= !!(q.flags & RUNQ_MSB_EXEC);
		if (!(flags & SSI_SUSPENDED) == !(q.flags & RUNQ_SUSPENDED))
			return !!(flags & SSI_SUSPENDED);
	}
	return -1;
}

static void count_online(struct vm *vm, struct snap_info *s)
{
	uint64_t up[3] = { 0 };
	bool unclear = false, blocked = false;
	size_t i;
	int is;

	for (i = 0; i < vm->nscheds; i++) {
		is = suspended(vm, &vm->scheds[i], &blocked);
		unclear |= is < 0;
		up[vm->scheds[i].kind] += !is;
	}
	/* erlang:system_flag(multi_scheduling, block) suspends those that are online */
	s->blocked_or_offline = !unclear &&
				(blocked || (up[SCHED_NORMAL] == 1 && s->schedulers > 1));
	s->online_unclear = unclear;
	s->online.is = !unclear && !s->blocked_or_offline;
	s->online.n = up[SCHED_NORMAL];
	s->dirty_cpu_online.is = !unclear && !blocked;
	s->dirty_cpu_online.n = up[SCHED_DIRTY_CPU];
}

static void read_schedulers(struct vm *vm, const struct snap_info_proof *p, struct snap_info *s)
{
	const struct scheduler *sched;
	bool all = p->queues;
	uint64_t addr;
	struct queue q;
	size_t i;

	for (i = 0; i < vm->nscheds; i++) {
		s->schedulers += vm->scheds[i].kind == SCHED_NORMAL;
		s->dirty_cpu += vm->scheds[i].kind == SCHED_DIRTY_CPU;
		s->dirty_io += vm->scheds[i].kind == SCHED_DIRTY_IO;
	}
	s->queues = xcalloc(vm->nscheds + 1, sizeof(*s->queues));
	s->run_queue.is = p->queues;
	for (i = 0; p->queues && i < vm->nscheds; i++) {
		sched = &vm->scheds[i];
		if (sched != first_of_kind(vm, sched) && sched->kind != SCHED_NORMAL)
			continue;
		if (!reader_u64(&vm->rd, sched->addr + vm->lay->f.sched_run_queue, &addr) ||
		    !read_queue(vm, addr, &q)) {
			s->queues[s->nqueues++] = (struct known){ 0 };
			all = s->run_queue.is = false;
			continue;
		}
		s->queues[s->nqueues++] = (struct known){ q.adds_up, q.len };
		s->queues_unclear |= !q.adds_up;
		s->reductions.n += q.reductions;
		s->context_switches.n += q.context_switches;
		if (sched->kind == SCHED_DIRTY_IO)
			continue;
		s->run_queue.is &= q.adds_up;
		s->run_queue.n += q.len;
	}
	s->reductions.is = s->context_switches.is = all && p->reductions;
	if (p->sleeping)
		count_online(vm, s);
}

/* --- tables ----------------------------------------------------------------------------------- */

/*
 * The limit stands between the size and the entries, which are followed by the table that the
 * entries are found through; pages are added as they are needed.
 */
static void prove_atoms(struct vm *vm, struct snap_info_proof *p)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t size, entries;
	int try;

	for (try = 0; try < TRIES && !p->atom_limit; try++)
		p->atom_limit = f->index_limit == f->index_size + 4 &&
				f->index_entries == f->index_limit + 4 &&
				reader_u32(&vm->rd, vm->atom_tab + f->index_size, &size) &&
				reader_u32(&vm->rd, vm->atom_tab + f->index_entries, &entries) &&
				size == (entries + INDEX_PAGE - 1) / INDEX_PAGE * INDEX_PAGE;
	if (!p->atom_limit)
		failed(p, "the atom table's limit was not found where expected: it is left out");
}

static void read_table(struct vm *vm, vmaddr_t tab, struct known *count, struct known *limit)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t n, max;

	if (!tab || !reader_u32(&vm->rd, tab + f->ptab_max, &max) ||
	    !reader_u32(&vm->rd, tab + f->ptab_count, &n) || !max || max > PTAB_MAX || n > max)
		return;
	*limit = some(max == PTAB_MAX ? max - 1 : max);
	*count = some(max == PTAB_MAX && n ? n - 1 : n);
}

static void count_tables(struct vm *vm, struct known *tables)
{
	uint64_t n;
	size_t i;

	tables->is = true;
	for (i = 0; i < vm->nscheds; i++) {
		if (vm->scheds[i].kind != SCHED_NORMAL)
			continue;
		tables->is &= reader_u64(&vm->rd, vm->scheds[i].addr + vm->lay->f.sched_ets_count,
					 &n);
		tables->n += n;
	}
}

static void read_tables(struct vm *vm, const struct snap_info_proof *p, size_t newest,
			struct snap_info *s)
{
	const struct layout_fields *f = &vm->lay->f;
	uint32_t entries, limit;

	read_table(vm, vm->proc_tab, &s->processes, &s->process_limit);
	read_table(vm, vm->port_tab, &s->ports, &s->port_limit);
	count_tables(vm, &s->tables);
	if (!reader_u32(&vm->rd, vm->atom_tab + f->index_entries, &entries))
		return;
	s->atoms = some(entries);
	if (p->atom_limit && reader_u32(&vm->rd, vm->atom_tab + f->index_limit, &limit))
		s->atom_limit = some(limit);
	newest = newest < entries ? newest : entries;
	newest = newest < NEWEST_MAX ? newest : NEWEST_MAX;
	s->newest_atoms = xcalloc(newest + 1, sizeof(*s->newest_atoms));
	for (; s->nnewest < newest; s->nnewest++)
		s->newest_atoms[s->nnewest] = term_atom_index(vm, entries - 1 - s->nnewest);
}

/* --- settings of allocators ------------------------------------------------------------------- */

/* ErtsMsegOpt_t */
#define MSEG_ABS_SHRINK 8
#define MSEG_REL_SHRINK 16

const char *info_setting_name(enum info_setting s)
{
	static const char *const names[SET_N] = {
		"t", "atags", "ramv", "sbct", "asbcst", "rsbcst", "rsbcmt", "rmbcmt", "mmbcs",
		"mmmbc", "mmsbc", "lmbcs", "smbcs", "mbcgs", "acful", "acul", "acnl", "acfml",
	};

	return names[s];
}

bool info_setting_is_switch(enum info_setting s)
{
	return s <= SET_RAMV;
}

/*
 * Settings stand side by side between the number of the instance and the options for mseg_alloc,
 * and those of the pool before its number: those are proven at attach.
 */
static void prove_settings(struct vm *vm, struct snap_info_proof *p)
{
	const struct layout_fields *f = &vm->lay->f;
	const unsigned int words[] = {
		f->allctr_sbc_threshold, f->allctr_sbc_move, f->allctr_mbc_move,
		f->allctr_main_size, f->allctr_max_mseg_sbcs, f->allctr_max_mseg_mbcs,
		f->allctr_largest_mbc, f->allctr_smallest_mbc, f->allctr_growth_stages,
		f->allctr_mseg_opt,
	};
	unsigned int next = f->allctr_util_limit + 8;
	size_t i;

	p->settings = f->allctr_t == f->allctr_ix + 40 && f->allctr_ramv == f->allctr_t + 4 &&
		      f->allctr_atags == f->allctr_ramv + 4 && words[0] == f->allctr_atags + 8 &&
		      f->allctr_mseg_opt + 32 <= ALLCTR_BYTES;
	for (i = 1; i < ARRAY_SIZE(words); i++)
		p->settings = p->settings && words[i] == words[i - 1] + 8;
	if (f->allctr_free_limit != LAYOUT_ABSENT)
		next = f->allctr_free_limit == next ? next + 8 : 0;
	p->pools = f->allctr_util_limit == f->allctr_sentinel + 24 &&
		   f->allctr_pool_limit == next &&
		   f->allctr_pool_free == next + 8 && f->allctr_pool_number == next + 16 &&
		   f->allctr_pool_number + 4 <= ALLCTR_BYTES;
	p->mseg = p->mem.msegs && f->mseg_abs_fit == f->mseg_max_cache + 8 &&
		  f->mseg_rel_fit == f->mseg_abs_fit + 8 &&
		  f->mseg_calls_alloc == f->mseg_rel_fit + 8;
	if (!p->mseg)
		failed(p, "settings of mseg_alloc are not where expected: they are left out");
	if (!p->mem.strategies)
		failed(p, "allocators' strategies are not where expected: they are left out");
	if (!p->settings)
		failed(p, "allocators' settings are not where expected: they are left out");
	if (!p->pools)
		failed(p, "settings of carrier pools are not where expected: they are left out");
}

/* The letter of an allocator in +M flags. */
static const char *letter(const char *allocator)
{
	static const struct { const char *name, *letter; } letters[] = {
		{ "temp_alloc", "T" }, { "sl_alloc", "S" },	 { "std_alloc", "D" },
		{ "ll_alloc", "L" },   { "eheap_alloc", "H" },	 { "ets_alloc", "E" },
		{ "fix_alloc", "F" },  { "literal_alloc", "I" }, { "binary_alloc", "B" },
		{ "driver_alloc", "R" }, { "test_alloc", "Z" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(letters); i++)
		if (!strcmp(allocator, letters[i].name))
			return letters[i].letter;
	return NULL;
}

static void decode_settings(const struct vm *vm, const struct snap_info_proof *p,
			    const unsigned char *raw, struct info_allocator *a)
{
	const struct layout_fields *f = &vm->lay->f;
	const struct { enum info_setting s; unsigned int off; } words[] = {
		{ SET_SBCT, f->allctr_sbc_threshold }, { SET_RSBCMT, f->allctr_sbc_move },
		{ SET_RMBCMT, f->allctr_mbc_move }, { SET_MMBCS, f->allctr_main_size },
		{ SET_MMSBC, f->allctr_max_mseg_sbcs }, { SET_MMMBC, f->allctr_max_mseg_mbcs },
		{ SET_LMBCS, f->allctr_largest_mbc }, { SET_SMBCS, f->allctr_smallest_mbc },
		{ SET_MBCGS, f->allctr_growth_stages },
		{ SET_ASBCST, f->allctr_mseg_opt + MSEG_ABS_SHRINK },
		{ SET_RSBCST, f->allctr_mseg_opt + MSEG_REL_SHRINK },
	};
	int32_t pool;
	size_t i;

	if (p->settings) {
		a->set[SET_T] = some(!!raw_u32(raw, f->allctr_t));
		a->set[SET_RAMV] = some(!!raw_u32(raw, f->allctr_ramv));
		a->set[SET_ATAGS] = some(!!raw_u32(raw, f->allctr_atags));
		for (i = 0; i < ARRAY_SIZE(words); i++)
			a->set[words[i].s] = some(raw_u64(raw, words[i].off));
	}
	if (!p->pools)
		return;
	a->set[SET_ACUL] = some(raw_u64(raw, f->allctr_util_limit));
	a->set[SET_ACNL] = some(raw_u64(raw, f->allctr_pool_limit));
	a->set[SET_ACFML] = some(raw_u64(raw, f->allctr_pool_free));
	if (f->allctr_free_limit != LAYOUT_ABSENT)
		a->set[SET_ACFUL] = some(raw_u64(raw, f->allctr_free_limit));
	pool = raw_u32(raw, f->allctr_pool_number);
	if (pool <= 0)
		a->pool = "undefined";
	else if (pool < VM_MAX_ALLOCATORS) /* the one that all share has the number of sys_alloc */
		a->pool = strcmp(vm->allocator_name[pool], "sys_alloc") ?
				  letter(vm->allocator_name[pool]) : "@";
}

static bool same_settings(const struct info_allocator *a, const struct info_allocator *b)
{
	int i;

	for (i = 0; i < SET_N; i++)
		if (a->set[i].is != b->set[i].is || a->set[i].n != b->set[i].n)
			return false;
	return a->allocator == b->allocator && a->enabled == b->enabled &&
	       a->strategy == b->strategy && a->pool == b->pool;
}

static void add_allocator(struct snap_info *s, const struct info_allocator *a)
{
	struct info_allocator *last = s->nallocators ? &s->allocators[s->nallocators - 1] : NULL;

	if (last && last->last + 1 == a->first && same_settings(last, a)) {
		last->last = a->last;
		return;
	}
	if (!(s->nallocators & (s->nallocators - 1)))
		s->allocators = xrealloc(s->allocators, (s->nallocators ? 2 * s->nallocators : 1) *
								sizeof(*s->allocators));
	s->allocators[s->nallocators++] = *a;
}

static void read_mseg(struct vm *vm, const struct snap_info_proof *p, struct info_mseg *m)
{
	uint64_t word[3];

	/* no more can be kept than there is room for */
	if (!p->mseg ||
	    !reader_copy(&vm->rd, p->mem.msegs + vm->lay->f.mseg_max_cache, word, sizeof(word)) ||
	    word[0] > MSEG_CACHE_ROOM)
		return;
	m->mcs = some(word[0]);
	m->amcbf = some(word[1]);
	m->rmcbf = some(word[2]);
}

static void read_allocators(struct vm *vm, const struct snap_info_proof *p, struct snap_info *s)
{
	unsigned char raw[ALLCTR_BYTES];
	struct snap_mem mem;
	unsigned int no;
	size_t i, found;

	snap_mem_read(vm, &p->mem, &mem);

	for (no = 1; no < VM_MAX_ALLOCATORS; no++) {
		struct info_allocator a = { .allocator = vm->allocator_name[no] };

		if (!a.allocator[0] || !letter(a.allocator))
			continue;
		for (i = found = 0; i < vm->ninsts; i++) {
			if (vm->insts[i].alloc_no != no)
				continue;
			a = (struct info_allocator){ .allocator = vm->allocator_name[no],
						     .enabled = true, .first = vm->insts[i].ix,
						     .last = vm->insts[i].ix };
			found++;
			if (reader_copy(&vm->rd, vm->insts[i].allctr, raw, sizeof(raw)))
				decode_settings(vm, p, raw, &a);
			if (i < mem.ninsts && mem.insts[i].read)
				a.strategy = mem.insts[i].strategy;
			add_allocator(s, &a);
		}
		/* that one is for tests of the VM itself */
		if (!found && strcmp(a.allocator, "test_alloc"))
			add_allocator(s, &a);
	}
	snap_mem_free(&mem);
	read_mseg(vm, p, &s->mseg);
}

/* --- all of it -------------------------------------------------------------------------------- */

void snap_info_open(struct vm *vm, struct snap_info_proof *p)
{
	memset(p, 0, sizeof(*p));
	prove_atoms(vm, p);
	prove_queues(vm, p);
	if (p->queues) {
		prove_reductions(vm, p);
		prove_sleeping(vm, p);
	}
	snap_mem_open(vm, &p->mem);
	prove_settings(vm, p);
}

int snap_info_read(struct vm *vm, const struct snap_info_proof *p, size_t newest,
		   struct snap_info *s)
{
	memset(s, 0, sizeof(*s));
	read_tables(vm, p, newest, s);
	read_schedulers(vm, p, s);
	read_allocators(vm, p, s);
	if (vm->rd.lost) {
		snap_info_free(s);
		return -1;
	}
	s->rss = target_rss(&vm->target);
	s->uptime_s = target_uptime_s(&vm->target);
	cgroup_memory(vm->target.pid, &s->cgroup);
	return 0;
}

void snap_info_free(struct snap_info *s)
{
	free(s->queues);
	free(s->allocators);
	free(s->newest_atoms);
	memset(s, 0, sizeof(*s));
}
