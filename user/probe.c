// SPDX-License-Identifier: GPL-2.0-only
#include "probe.h"
#include "probe_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebeam.skel.h"

/* A link on its way out: many close in the time of one when each has its thread. */
struct closing {
	int fd;
	struct bpf_link *link;
	enum eb_group group;
	bool threaded;
	pthread_t thread;
};

static void *close_one(void *arg)
{
	struct closing *c = arg;

	if (c->link)
		bpf_link__destroy(c->link);
	else
		close(c->fd);
	return NULL;
}

static struct bpf_link *perf_link(const struct bpf_program *prog, pid_t pid, const char *path,
				  uint64_t offset, uint64_t cookie, bool is_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = cookie, .retprobe = is_return);

	return bpf_program__attach_uprobe_opts(prog, pid, path, offset, &opts);
}

struct probe {
	struct ebeam_bpf *skel;
	struct vm *vm;
	const struct probe_plan *plan;
	bool multi;
	pid_t filter_pid; /* for multi links; 0: all processes, filtered in BPF */
	int multi_fds[PROG_N];			 /* one link per program, or -1 */
	struct bpf_link *links[PROBE_MAX_SITES]; /* one per site, where multi is not there */
	bool attached[EB_NGROUPS];
	struct closing closing[PROBE_MAX_SITES + PROG_N]; /* links on their way out */
	size_t nclosing;
	struct eb_thread_state *states; /* mapped */
	size_t states_bytes;
	size_t nthreads; /* known at attach */
};

static int libbpf_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (verbosity >= 2 || (verbosity >= 1 && level == LIBBPF_WARN))
		return vfprintf(stderr, fmt, ap);
	return 0;
}

static struct bpf_program *skel_prog(struct probe *p, enum probe_prog prog)
{
	switch (prog) {
	case PROG_ALLOC:
		return p->skel->progs.eb_on_alloc;
	case PROG_ALLOC_SESSION:
		return p->skel->progs.eb_on_alloc_session;
	case PROG_ALLOC_RETURN:
		return p->skel->progs.eb_on_alloc_return;
	case PROG_REALLOC:
		return p->skel->progs.eb_on_realloc;
	case PROG_REALLOC_SESSION:
		return p->skel->progs.eb_on_realloc_session;
	case PROG_FREE:
		return p->skel->progs.eb_on_free;
	case PROG_GC_ENTER:
		return p->skel->progs.eb_on_gc_enter;
	case PROG_GC_RETURN:
		return p->skel->progs.eb_on_gc_return;
	case PROG_EXIT:
		return p->skel->progs.eb_on_exit;
	case PROG_CARRIER_ENTER:
		return p->skel->progs.eb_on_carrier_enter;
	case PROG_CARRIER_BELOW:
		return p->skel->progs.eb_on_carrier_below;
	case PROG_CARRIER_CREATE:
		return p->skel->progs.eb_on_carrier_create;
	case PROG_CARRIER_RETURN:
		return p->skel->progs.eb_on_carrier_return;
	case PROG_POOL:
		return p->skel->progs.eb_on_pool;
	case PROG_REFC:
		return p->skel->progs.eb_on_refc;
	case PROG_N:
		break;
	}
	return NULL;
}

static bool is_session(enum probe_prog prog)
{
	return prog == PROG_ALLOC_SESSION || prog == PROG_REALLOC_SESSION;
}

static enum uprobe_kind kind_of(enum probe_prog prog)
{
	return is_session(prog) ? UPROBE_SESSION :
	       probe_prog_is_return(prog) ? UPROBE_RETURN :
					    UPROBE_ENTRY;
}

static int fill_config(struct probe *p, unsigned int want, struct eb_config *c)
{
	struct vm *vm = p->vm;
	const struct layout_fields *f = &vm->lay->f;
	const struct release_facts *r = vm->lay->facts;
	unsigned int end;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->ns_dev = vm->target.ns_dev;
	c->ns_ino = vm->target.ns_ino;
	c->atom_initial_call = vm->atom_initial_call;
	c->tgid = vm->target.ns_pid;
	c->sched_read_off = f->sched_current_process;
	end = f->sched_current_port + 8;
	c->sched_read_bytes = end - c->sched_read_off;
	c->sched_proc_rel = 0;
	c->sched_port_rel = (f->sched_current_port - c->sched_read_off) / 8;
	c->sched_gc_reclaimed = f->sched_gc_reclaimed;
	c->proc_id = f->proc_id;
	c->proc_reg = f->proc_reg;
	c->proc_initial = f->proc_initial;
	c->proc_dictionary = f->proc_dictionary;
	c->proc_htop = f->proc_htop;
	c->proc_heap = f->proc_heap;
	c->proc_hend = f->proc_hend;
	c->proc_abandoned_heap = f->proc_abandoned_heap;
	c->proc_heap_sz = f->proc_heap_sz;
	c->proc_flags = f->proc_flags;
	c->proc_gen_gcs = f->proc_gen_gcs;
	c->proc_old_heap = f->proc_old_heap;
	c->proc_old_htop = f->proc_old_htop;
	c->proc_old_hend = f->proc_old_hend;
	c->proc_off_heap_first = f->proc_off_heap_first;
	c->proc_wrt_bins = f->proc_wrt_bins == LAYOUT_ABSENT ? 0 : f->proc_wrt_bins;
	c->proc_mbuf_sz = f->proc_mbuf_sz;
	c->proc_state = f->proc_state;
	c->proc_high_water = f->proc_high_water;
	c->proc_read_bytes = f->proc_size & ~7u;
	c->flag_hibernate_pending = r->flag_hibernate_pending;
	c->oh_node_bytes = r->bin_node_bytes;
	c->oh_val = f->oh_val;
	c->oh_header = r->bin_header;
	c->bin_orig_size = f->bin_orig_size;
	c->bin_data = f->bin_data;
	c->bin_pad = r->bin_pad;
	c->drv_bin_pad = r->drv_bin_pad;
	c->type_binary = vm->type_binary;
	c->type_drv_binary = vm->type_drv_binary;
	/* where its frees are not among our sites, a Process* is looked into each time */
	for (i = 0; i < p->plan->n; i++)
		if (p->plan->sites[i].prog == PROG_FREE &&
		    p->plan->sites[i].site.link_addr + vm->sym.bias ==
			    vm->allctrs[VM_TYPE_ALLOCATOR(vm->type_proc)].free)
			c->type_proc = vm->type_proc;
	c->carrier_allctr = f->carrier_allctr;
	c->carrier_blocks_size = f->carrier_blocks_size;
	c->allctr_mseg_opt = f->allctr_mseg_opt;
	c->allctr_call_mseg_alloc = f->allctr_calls + 8 * CALL_MSEG_ALLOC;
	c->allctr_call_sys_alloc = f->allctr_calls + 8 * CALL_SYS_ALLOC;
	c->carrier_shift = r->carrier_shift;
	c->shared_pool = r->shared_pool;
	c->regproc_name = f->regproc_name;
	c->dict_array_size = f->dict_array_size;
	c->dict_data = f->dict_data;
	c->want_alloc_rows = !!(want & WANT_ALLOC);
	c->want_bin_rows = !!(want & WANT_BIN);
	c->have_bpf_loop = !getenv("EBEAM_NO_BPF_LOOP") &&
			   libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL) == 1;
	/* the shapes that the programs are written for */
	if (c->sched_read_bytes > 120 || f->sched_current_port < f->sched_current_process ||
	    c->proc_read_bytes > EB_SCRATCH_BYTES || f->oh_next != 16 ||
	    f->sched_gc_cols != f->sched_gc_reclaimed + 8)
		return fail(EXIT_UNSUPPORTED, "", "layout %s has a shape that the probes do not "
			    "know", vm->lay->name);
	return 0;
}

static int bpf_refused(int err, const char *what)
{
	if (err == EPERM || err == EACCES) {
		if (have_capability(39 /* CAP_BPF */) && have_capability(38 /* CAP_PERFMON */))
			return fail(EXIT_PERMISSION,
				    "a seccomp filter, lockdown or security module forbids bpf(2) "
				    "here; on the host it may be allowed",
				    "cannot %s: BPF is forbidden: %s", what, strerror(err));
		return fail(EXIT_PERMISSION, "run as root, or give ebeam CAP_BPF and CAP_PERFMON",
			    "cannot %s: %s (needs CAP_BPF and CAP_PERFMON)", what, strerror(err));
	}
	if (err == EINVAL || err == ENOSYS || err == ENOTSUP)
		return fail(EXIT_UNSUPPORTED, "kernel 5.15 or newer is needed",
			    "cannot %s: the kernel does not support it: %s", what, strerror(err));
	return fail(EXIT_FAILED, "-vv shows what the kernel says", "cannot %s: %s", what,
		    strerror(err));
}

static int fill_threads(struct probe *p)
{
	int fd = bpf_map__fd(p->skel->maps.threads);
	struct vm *vm = p->vm;
	struct eb_thread t = { 0 };
	size_t i;
	__u32 tid;

	for (i = 0; i < vm->nscheds && p->nthreads < EB_MAX_THREADS / 2; i++) {
		if (!vm->scheds[i].tid)
			continue;
		t.sched = vm->scheds[i].addr;
		t.idx = p->nthreads;
		t.dirty = vm->scheds[i].kind != SCHED_NORMAL;
		/* all that are no normal schedulers share instance 0 */
		t.ix = t.dirty ? 0 : vm->scheds[i].no;
		t.tid = tid = vm->scheds[i].tid;
		if (bpf_map_update_elem(fd, &tid, &t, BPF_ANY))
			return -errno;
		p->nthreads++;
	}
	/* threads that turn up later take the slots behind */
	p->skel->bss->extra_threads = p->nthreads;
	return 0;
}

static int fill_instances(struct probe *p)
{
	int fd = bpf_map__fd(p->skel->maps.instances);
	struct vm *vm = p->vm;
	__u64 key;
	__u32 v;
	size_t i;

	for (i = 0; i < vm->ninsts && i < EB_MAX_INSTANCES; i++) {
		key = vm->insts[i].allctr;
		v = vm->insts[i].alloc_no << 16 | vm->insts[i].ix;
		if (bpf_map_update_elem(fd, &key, &v, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* The rows of all that find no room are there from the start. */
static int fill_others(struct probe *p, unsigned int want)
{
	struct eb_alloc_key key = { .who = EB_KEY_OTHER };
	static const struct eb_alloc no_alloc;
	static const struct eb_proc no_proc;
	__u64 other = EB_KEY_OTHER;
	unsigned int i;

	if (bpf_map_update_elem(bpf_map__fd(p->skel->maps.procs), &other, &no_proc, BPF_ANY))
		return -errno;
	for (i = 0; i < VM_MAX_TYPES && want & WANT_ALLOC; i++) {
		key.type = p->vm->type_full[i];
		if (key.type && bpf_map_update_elem(bpf_map__fd(p->skel->maps.alloc_rows), &key,
						    &no_alloc, BPF_ANY))
			return -errno;
	}
	return 0;
}

/*
 * Rows that may come between two looks, each of which takes a quarter of a full table out (fold.h):
 * some 5000 in all.
 */
static unsigned int rows_room(unsigned int max_processes)
{
	return max_processes / 4 < 4096 ? 5120 - max_processes / 4 : 1024;
}

/* What belongs to the sections that were not asked for takes no memory. */
static void size_maps(struct probe *p, unsigned int want, unsigned int max_processes)
{
	bool births = want & (WANT_ALLOC | WANT_BIN);
	unsigned int room = rows_room(max_processes);

	bpf_map__set_max_entries(p->skel->maps.procs, max_processes + room + 1);
	/* one that just came and went has a row for its heap, its Process, and what it made */
	bpf_map__set_max_entries(p->skel->maps.alloc_rows,
				 want & WANT_ALLOC ? 2 * max_processes + 3 * room + VM_MAX_TYPES : 1);
	bpf_map__set_max_entries(p->skel->maps.births, births ? EB_MAX_BIRTHS : 1);
	if (!(want & WANT_CARRIER)) {
		bpf_map__set_max_entries(p->skel->maps.carriers, 1);
		bpf_map__set_max_entries(p->skel->maps.carrier_rows, 1);
	}
	bpf_map__set_max_entries(p->skel->maps.instances, p->vm->ninsts ? p->vm->ninsts : 1);
}

struct probe *probe_open(struct vm *vm, const struct probe_plan *plan,
			 const struct probe_kernel *k, const struct probe_cost *cost,
			 unsigned int want, unsigned int max_processes)
{
	struct probe *p = xcalloc(1, sizeof(*p));
	bool used[PROG_N] = { false };
	size_t i;
	int err;

	for (i = 0; i < PROG_N; i++)
		p->multi_fds[i] = -1;
	p->vm = vm;
	p->plan = plan;
	p->multi = k->multi;
	p->filter_pid = k->multi_pid ? vm->target.pid : 0;
	libbpf_set_print(libbpf_log);
	if (k->err) {
		bpf_refused(k->err, "load a BPF program");
		goto fail;
	}
	p->skel = ebeam_bpf__open();
	if (!p->skel) {
		bpf_refused(errno, "open the BPF object");
		goto fail;
	}
	if (fill_config(p, want, (struct eb_config *)&p->skel->rodata->cfg))
		goto fail;
	p->skel->rodata->cfg.alloc_hit_ns = probe_group_ns(plan, EB_GROUP_ALLOC, cost);
	for (i = 0; i < plan->n; i++)
		used[plan->sites[i].prog] = true;
	for (i = 0; i < PROG_N; i++) {
		bpf_program__set_autoload(skel_prog(p, i), used[i]);
		if (p->multi)
			bpf_program__set_expected_attach_type(skel_prog(p, i),
							      is_session(i) ?
								      UPROBE_SESSION_ATTACH_TYPE :
								      UPROBE_MULTI_ATTACH_TYPE);
	}
	size_maps(p, want, max_processes);
	err = ebeam_bpf__load(p->skel);
	if (err) {
		bpf_refused(-err, "load the probes");
		goto fail;
	}
	p->states_bytes = EB_MAX_THREADS * sizeof(struct eb_thread_state);
	p->states = mmap(NULL, p->states_bytes, PROT_READ, MAP_SHARED,
			 bpf_map__fd(p->skel->maps.thread_states), 0);
	if (p->states == MAP_FAILED) {
		p->states = NULL;
		fail(EXIT_FAILED, "", "cannot map the probes' counters: %s", strerror(errno));
		goto fail;
	}
	err = fill_threads(p);
	if (!err)
		err = fill_instances(p);
	if (!err)
		err = fill_others(p, want);
	if (err) {
		bpf_refused(-err, "fill the probes' tables");
		goto fail;
	}
	return p;
fail:
	probe_close(p);
	return NULL;
}

/* EBEAM_TEST_SILENT=function lets a test see what a site that is bypassed would look like. */
static bool silenced(const struct probe_site *s)
{
	const char *name = getenv("EBEAM_TEST_SILENT");

	return name && !strcmp(name, s->site.name);
}

static int attach_multi(struct probe *p, enum probe_prog prog)
{
	uint64_t offsets[PROBE_MAX_SITES], cookies[PROBE_MAX_SITES];
	unsigned int n = 0;
	size_t i;
	int fd;

	for (i = 0; i < p->plan->n; i++)
		if (p->plan->sites[i].prog == prog && !silenced(&p->plan->sites[i])) {
			offsets[n] = p->plan->sites[i].site.offset;
			cookies[n++] = p->plan->sites[i].site.cookie;
		}
	if (!n)
		return 0;
	fd = uprobe_multi_link(bpf_program__fd(skel_prog(p, prog)), p->vm->target.exe_path, offsets,
			cookies, n, kind_of(prog), p->filter_pid);
	if (fd < 0)
		return fd;
	p->multi_fds[prog] = fd;
	return 0;
}

static int attach_perf(struct probe *p, enum eb_group group)
{
	size_t i;

	for (i = 0; i < p->plan->n; i++) {
		const struct probe_site *s = &p->plan->sites[i];

		if (s->group != group || silenced(s))
			continue;
		p->links[i] = perf_link(skel_prog(p, s->prog), p->vm->target.pid,
					p->vm->target.exe_path, s->site.offset, s->site.cookie,
					s->is_return);
		if (!p->links[i])
			return -errno;
	}
	return 0;
}

static void start_closing(struct probe *p, enum eb_group group, int fd, struct bpf_link *link)
{
	struct closing *c = &p->closing[p->nclosing++];

	*c = (struct closing){ .fd = fd, .link = link, .group = group };
	c->threaded = !pthread_create(&c->thread, NULL, close_one, c);
	if (!c->threaded)
		close_one(c);
}

/* Waits until the links of these groups, that were told to close, have done so. */
static void finish_closing(struct probe *p, unsigned int groups)
{
	size_t i, n = 0;

	for (i = 0; i < p->nclosing; i++) {
		if (!p->closing[i].threaded)
			continue; /* done before */
		if (!(groups & 1u << p->closing[i].group)) {
			/* a thread works on an entry: entries stay where they are */
			n = i + 1;
			continue;
		}
		pthread_join(p->closing[i].thread, NULL);
		p->closing[i].threaded = false;
	}
	p->nclosing = n;
}

static void detach_groups(struct probe *p, unsigned int groups)
{
	size_t i;

	/* room for all that may follow */
	if (p->nclosing + p->plan->n + PROG_N > ARRAY_SIZE(p->closing))
		finish_closing(p, ~0u);
	for (i = 0; i < PROG_N; i++)
		if (groups & 1u << probe_prog_group[i] && p->multi_fds[i] >= 0) {
			start_closing(p, probe_prog_group[i], p->multi_fds[i], NULL);
			p->multi_fds[i] = -1;
		}
	for (i = 0; i < p->plan->n; i++)
		if (groups & 1u << p->plan->sites[i].group && p->links[i]) {
			start_closing(p, p->plan->sites[i].group, -1, p->links[i]);
			p->links[i] = NULL;
		}
	for (i = 0; i < EB_NGROUPS; i++)
		if (groups & 1u << i)
			p->attached[i] = false;
}

static void forget_births(struct probe *p);

int probe_attach(struct probe *p, enum eb_group group)
{
	int i, err = 0;

	if (p->attached[group] || !(p->plan->groups & 1u << group))
		return 0;
	/* two links on a site at a time would count twice */
	finish_closing(p, 1u << group);
	if (group == EB_GROUP_ALLOC && p->skel->bss->births_made != p->skel->bss->births_gone)
		forget_births(p);
	p->attached[group] = true;
	if (p->multi)
		for (i = 0; i < PROG_N && !err; i++) {
			if (probe_prog_group[i] == group)
				err = attach_multi(p, i);
		}
	else
		err = attach_perf(p, group);
	/*
	 * Only now: a call that was entered before its return was probed would be taken for one
	 * that goes on; and calls under way must not meet older memory of theirs.
	 */
	p->skel->bss->epochs[group]++;
	__atomic_fetch_add(&p->skel->bss->process_gen, 1, __ATOMIC_SEQ_CST);
	if (err) {
		probe_detach(p, group);
		if (err == -ESRCH || !target_alive(&p->vm->target))
			return fail(EXIT_FAILED, "", "pid %d ended while probes were set",
				    p->vm->target.pid);
		return bpf_refused(-err, "set uprobes");
	}
	return 0;
}

void probe_detach(struct probe *p, enum eb_group group)
{
	detach_groups(p, 1u << group);
}

bool probe_attached(const struct probe *p, enum eb_group group)
{
	return p->attached[group];
}

void probe_stop(struct probe *p)
{
	if (p->skel && p->skel->bss)
		p->skel->bss->stopped = 1;
}

void probe_detach_all(struct probe *p)
{
	probe_stop(p);
	detach_groups(p, ~0u);
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	probe_detach_all(p);
	finish_closing(p, ~0u);
	if (p->states)
		munmap(p->states, p->states_bytes);
	ebeam_bpf__destroy(p->skel);
	free(p);
}

/* --- what was gathered ------------------------------------------------------------------------- */

const volatile struct eb_thread_state *probe_thread_states(const struct probe *p, size_t *n)
{
	uint64_t used = p->skel->bss->extra_threads;

	*n = used < EB_MAX_THREADS ? used : EB_MAX_THREADS;
	return p->states;
}

uint64_t probe_lost(const struct probe *p)
{
	return p->skel->bss->lost_rows + p->skel->bss->lost_births + p->skel->bss->lost_threads;
}

void probe_counts(const struct probe *p, struct probe_counts *c)
{
	c->procs_made = p->skel->bss->procs_made;
	c->alloc_rows_made = p->skel->bss->alloc_rows_made;
	c->lost_births = p->skel->bss->lost_births;
	c->overflows = p->skel->bss->overflows;
	c->alloc_epoch = p->skel->bss->epochs[EB_GROUP_ALLOC];
}

static struct bpf_map *map_of(const struct probe *p, enum probe_map which)
{
	struct bpf_map *const maps[] = {
		[MAP_PROCS] = p->skel->maps.procs,
		[MAP_ALLOC] = p->skel->maps.alloc_rows,
		[MAP_CARRIER] = p->skel->maps.carrier_rows,
		[MAP_BIRTHS] = p->skel->maps.births,
		[MAP_CARRIERS] = p->skel->maps.carriers,
	};

	return maps[which];
}

bool probe_take(const struct probe *p, enum probe_map which, const void *key, void *value)
{
	/* 5.14 has it for hash maps; before, what comes in between the two calls is lost */
	int fd = bpf_map__fd(map_of(p, which));

	if (!bpf_map_lookup_and_delete_elem(fd, key, value))
		return true;
	return !bpf_map_lookup_elem(fd, key, value) && !bpf_map_delete_elem(fd, key);
}

size_t probe_read_map(const struct probe *p, enum probe_map which, void **keys, void **values)
{
	struct bpf_map *m = map_of(p, which);
	size_t ks = bpf_map__key_size(m), vs = bpf_map__value_size(m), n = 0, cap = 0;
	int fd = bpf_map__fd(m), err = 0;
	__u64 token[2], *from = NULL;
	__u32 count, want = 512;

	*keys = *values = NULL;
	/* whole buckets at a time: other than by keys, entries that come and go cannot confuse it */
	while (!err && n < 2 * (size_t)bpf_map__max_entries(m)) {
		if (cap < n + want) {
			cap = 2 * cap + want;
			*keys = xrealloc(*keys, cap * ks);
			*values = xrealloc(*values, cap * vs);
		}
		count = want;
		err = bpf_map_lookup_batch(fd, from, token, (char *)*keys + n * ks,
					   (char *)*values + n * vs, &count, NULL);
		if (err == -ENOSPC) { /* a bucket that holds more than that */
			want *= 2;
			err = 0;
			continue;
		}
		if (err && err != -ENOENT)
			break;
		n += count;
		from = token;
	}
	return n;
}

/* What was born before a gap in the watch may have died in it, and its address be another's now. */
static void forget_births(struct probe *p)
{
	void *keys, *values;
	__u32 n = probe_read_map(p, MAP_BIRTHS, &keys, &values);

	if (n)
		bpf_map_delete_batch(bpf_map__fd(p->skel->maps.births), keys, &n, NULL);
	p->skel->bss->births_gone = p->skel->bss->births_made;
	free(keys);
	free(values);
}
