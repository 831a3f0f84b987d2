// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs of schedulers: they count themselves, know their kind, run processes, are threads of the
 * VM; and their sums of collections stand in front of a list of tables that is as long as it says.
 */
#include "prove.h"
#include "term.h"

#include <dirent.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 20000 /* ETS tables walked in all */

/* The element that a scheduler's word points to has the right kind of id, or there is none. */
static bool runs(struct vm *vm, vmaddr_t word, bool (*right)(eterm_t))
{
	uint64_t element, id;

	return reader_u64(&vm->rd, word, &element) &&
	       (!element || (reader_u64(&vm->rd, element + vm->lay->f.proc_id, &id) && right(id)));
}

/* A thread as the kernel knows it: its tid in the VM's own namespace, and its name. */
struct task {
	pid_t tid;
	char comm[20];
};

struct tasks {
	struct task *v;
	size_t n;
};

/* The name under which a recording's companion has a thread. */
#define RECORDED_TASK "@task:"

static void add_task(struct tasks *t, pid_t tid, const char *comm)
{
	if (!(t->n & (t->n - 1)))
		t->v = xrealloc(t->v, (t->n ? 2 * t->n : 1) * sizeof(*t->v));
	t->v[t->n].tid = tid;
	snprintf(t->v[t->n].comm, sizeof(t->v[t->n].comm), "%s", comm);
	t->n++;
}

static pid_t tid_in_namespace(const char *folder, pid_t tid)
{
	char path[96], text[4096], *p, *last;
	long n;

	snprintf(path, sizeof(path), "%s/%d/status", folder, tid);
	n = read_file(path, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strstr(text, "\nNSpid:");
	if (!p)
		return tid;
	p += 7;
	p[strcspn(p + 1, "\n") + 1] = '\0';
	last = strrchr(p, '\t');
	return last ? atoi(last + 1) : 0;
}

static void live_tasks(const struct vm *vm, struct tasks *t)
{
	char folder[64], path[96], comm[32];
	struct dirent *e;
	pid_t tid;
	long len;
	DIR *d;

	snprintf(folder, sizeof(folder), "/proc/%d/task", vm->target.pid);
	d = opendir(folder);
	while (d && (e = readdir(d))) {
		tid = atoi(e->d_name);
		if (!tid)
			continue;
		snprintf(path, sizeof(path), "%s/%d/comm", folder, tid);
		len = read_file(path, comm, sizeof(comm) - 1);
		comm[len > 0 ? len : 0] = '\0';
		comm[strcspn(comm, "\n")] = '\0';
		if (vm->target.ns_pid != vm->target.pid)
			tid = tid_in_namespace(folder, tid);
		add_task(t, tid, comm);
	}
	if (d)
		closedir(d);
}

static void recorded_tasks(const struct vm *vm, struct tasks *t)
{
	const struct symbol *s;
	size_t i;

	for (i = 0; i < vm->sym.n; i++) {
		s = symbols_nth(&vm->sym, i);
		if (!strncmp(s->name, RECORDED_TASK, strlen(RECORDED_TASK)))
			add_task(t, s->addr, s->name + strlen(RECORDED_TASK));
	}
}

void prove_record_tasks(const struct vm *vm, FILE *f)
{
	struct tasks t = { 0 };
	size_t i;

	live_tasks(vm, &t);
	for (i = 0; i < t.n; i++)
		fprintf(f, "%x 0 " RECORDED_TASK "%s\n", t.v[i].tid, t.v[i].comm);
	free(t.v);
}

/*
 * erts_sched_1, erts_dcpus_1, erts_dios_1 (from 26), 1_scheduler, 1_dirty_cpu_sch, 1_dirty_io_sche
 * (before); false where it is another kind of name.
 */
static bool scheduler_name_of(const char *comm, enum sched_kind *kind, unsigned int *no)
{
	static const struct { const char *head, *tail; } forms[] = {
		[SCHED_NORMAL] = { "erts_sched_", "_scheduler" },
		[SCHED_DIRTY_CPU] = { "erts_dcpus_", "_dirty_cpu" },
		[SCHED_DIRTY_IO] = { "erts_dios_", "_dirty_io" },
	};
	size_t len;
	int k;

	for (k = 0; k < 3; k++) {
		*kind = k;
		*no = atoi(comm);
		if (*no && !strncmp(comm + strspn(comm, "0123456789"), forms[k].tail,
				    strlen(forms[k].tail)))
			return true;
		len = strlen(forms[k].head);
		if (!strncmp(comm, forms[k].head, len) && (*no = atoi(comm + len)))
			return true;
	}
	return false;
}

/*
 * A pthread_t is the address of the thread's own block.  On x86_64 that block begins with its own
 * address (the ABI of thread-local storage); the kernel knows the tid that was read from it.
 */
static bool is_thread(struct vm *vm, const struct scheduler *s, const struct tasks *t)
{
	enum sched_kind kind;
	uint64_t pthread, self;
	unsigned int no;
	size_t i;

	if (!s->tid || !reader_u64(&vm->rd, s->addr + vm->lay->f.sched_tid, &pthread))
		return false;
	if (vm->sym.machine == EM_X86_64 &&
	    (!reader_u64(&vm->rd, pthread, &self) || self != pthread))
		return false;
	for (i = 0; i < t->n; i++)
		if (t->v[i].tid == s->tid)
			return !scheduler_name_of(t->v[i].comm, &kind, &no) ||
			       (kind == s->kind && no == s->no);
	return false;
}

/* All scheduler threads are schedulers that were found, as their names tell; if they tell. */
static void prove_all_found(struct vm *vm, const struct tasks *t)
{
	unsigned int named = 0, found = 0, no;
	enum sched_kind kind;
	size_t i, k;

	for (i = 0; i < t->n; i++) {
		if (!scheduler_name_of(t->v[i].comm, &kind, &no))
			continue;
		named++;
		for (k = 0; k < vm->nscheds; k++)
			found += vm->scheds[k].kind == kind && vm->scheds[k].no == no;
	}
	if (named)
		JUDGE("layout scheduler count", found, named, ALL,
		      "threads with a scheduler's name are schedulers");
	else
		SKIP("layout scheduler count", "the threads have no names");
}

static void prove_threads(struct vm *vm)
{
	struct tasks t = { 0 };
	size_t i, alive = 0;

	if (vm->target.pid)
		live_tasks(vm, &t);
	else
		recorded_tasks(vm, &t);
	for (i = 0; i < vm->nscheds; i++)
		alive += is_thread(vm, &vm->scheds[i], &t);
	JUDGE("layout threads", alive, vm->nscheds, ALL,
	      "schedulers' pthreads are threads of the VM");
	prove_all_found(vm, &t);
	free(t.v);
}

void prove_schedulers(struct vm *vm)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned int good = 0, typed = 0, no[3] = { 0 }, current = 0;
	uint32_t type;
	size_t i;
	int try;

	for (i = 0; i < vm->nscheds; i++) {
		struct scheduler *s = &vm->scheds[i];

		good += s->no == ++no[s->kind];
		typed += reader_u32(&vm->rd, s->addr + f->sched_type, &type) && type == s->kind;
		/* what it runs, if anything, is a process or a port; it may change underfoot */
		for (try = 0; try < TRIES; try++)
			if (runs(vm, s->addr + f->sched_current_process, term_is_pid) &&
			    runs(vm, s->addr + f->sched_current_port, term_is_port))
				break;
		current += try < TRIES;
	}
	JUDGE("layout current work", current, vm->nscheds, ALL,
	      "schedulers run a process, a port or nothing");
	JUDGE("layout schedulers", vm->nnormal ? good : 0, vm->nscheds, ALL,
	      "schedulers have the number of their slot");
	JUDGE("layout scheduler types", typed, vm->nscheds, ALL,
	      "schedulers have the kind of their array");
	prove_threads(vm);
}

/* Does the ring of tables that a scheduler keeps have as many as it counts? */
static bool ring_of_tables(struct vm *vm, vmaddr_t sched, uint64_t *budget)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t count, first, at, n, link[2] = { 0 }, back[2] = { 0 };

	if (!reader_u64(&vm->rd, sched + f->sched_ets_count, &count) || !count || count > *budget ||
	    !reader_u64(&vm->rd, sched + f->sched_ets_clist, &first) || !first)
		return false;
	/* next and previous; what comes next leads back */
	for (n = 1, at = first; n <= count; n++, at = link[0], --*budget)
		if (!reader_copy(&vm->rd, at + f->table_next, link, sizeof(link)) ||
		    !reader_copy(&vm->rd, link[0] + f->table_next, back, sizeof(back)) ||
		    back[1] != at || link[0] == first)
			break;
	return n == count && link[0] == first && back[1] == at;
}

/*
 * Every node has tables, of its code and application servers.  A scheduler whose tables come and
 * go all the time may not hold still; one ring that fits is no accident.
 */
static unsigned int rings_of_tables(struct vm *vm, uint64_t *budget, unsigned int *tried)
{
	unsigned int good = 0;
	size_t i;
	int try;

	*tried = 0;
	for (i = 0; i < vm->nscheds && good < 8 && *budget; i++) {
		if (vm->scheds[i].kind != SCHED_NORMAL)
			continue;
		++*tried;
		for (try = 0; try < TRIES; try++)
			if (ring_of_tables(vm, vm->scheds[i].addr, budget))
				break;
		good += try < TRIES;
	}
	return good;
}

void prove_gc_counters(struct vm *vm)
{
	uint64_t cols, reclaimed, cols2, budget = TABLES_MAX;
	unsigned int good, tried, again = 0;

	do
		good = rings_of_tables(vm, &budget, &tried);
	while (!good && budget && prove_again(vm, &again));
	if (good)
		OK("layout tables", "%u of %u schedulers have as many tables as they count", good,
		   tried);
	else
		BAD("layout tables", "none of %u schedulers has as many tables as it counts", tried);
	/* a collection gives back many words */
	if (vm_gc_info(vm, &cols, &reclaimed) && vm_gc_info(vm, &cols2, &reclaimed) && cols > 0 &&
	    cols2 >= cols && cols2 < 1ULL << 40 && reclaimed > cols2)
		OK("layout gc counters", "%llu collections so far gave back %llu words",
		   (unsigned long long)cols2, (unsigned long long)reclaimed);
	else
		BAD("layout gc counters", "collections are not counted where expected");
}
