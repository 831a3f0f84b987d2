// SPDX-License-Identifier: GPL-2.0-only
#include "probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "ebeam.skel.h"

/* Newer than the system's linux/bpf.h: uapi, kernel 6.6. */
#define ATTACH_UPROBE_MULTI 48
#define UPROBE_MULTI_RETURN 1u

struct uprobe_multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__u64 path, offsets, ref_ctr_offsets, cookies;
	__u32 cnt, multi_flags, pid, pad;
};

static const enum eb_group prog_group[PROG_N] = {
	[PROG_ALLOC] = EB_GROUP_ALLOC,	     [PROG_REALLOC] = EB_GROUP_ALLOC,
	[PROG_FREE] = EB_GROUP_ALLOC,	     [PROG_GC_ENTER] = EB_GROUP_GC,
	[PROG_GC_RETURN] = EB_GROUP_GC,	     [PROG_EXIT] = EB_GROUP_EXIT,
	[PROG_CARRIER_ENTER] = EB_GROUP_CARRIER, [PROG_CARRIER_RETURN] = EB_GROUP_CARRIER,
};

static bool prog_is_return(enum probe_prog prog)
{
	return prog == PROG_GC_RETURN || prog == PROG_CARRIER_RETURN;
}

/* --- the plan: which sites --------------------------------------------------------------------- */

static void add_site(struct vm *vm, struct probe_plan *plan, enum probe_prog prog, vmaddr_t addr,
		     const char *name, unsigned int args, uint64_t cookie)
{
	struct probe_site *s;
	char why[128] = "it has no symbol";
	size_t i;

	/* many tables hold the same function */
	for (i = 0; addr && i < plan->n; i++)
		if (plan->sites[i].prog == prog &&
		    plan->sites[i].site.link_addr == addr - vm->sym.bias)
			return;
	if (plan->n == PROBE_MAX_SITES)
		return;
	s = &plan->sites[plan->n];
	if (!addr || site_choose(&vm->sym, addr, args, prog_is_return(prog), &s->site, why,
				 sizeof(why))) {
		if (plan->nmissing < ARRAY_SIZE(plan->missing)) {
			snprintf(plan->missing[plan->nmissing].name, 64, "%s", name);
			snprintf(plan->missing[plan->nmissing++].why, 128, "%s", why);
		}
		return;
	}
	if (s->site.name[0] == '0')
		snprintf(s->site.name, sizeof(s->site.name), "%s", name);
	s->site.cookie = cookie;
	s->prog = prog;
	s->group = prog_group[prog];
	s->is_return = prog_is_return(prog);
	plan->groups |= 1u << s->group;
	plan->n++;
}

/* The allocators' entry points are read from the VM's own table: right whatever +M flags say. */
static void plan_alloc(struct vm *vm, struct probe_plan *plan)
{
	const struct symbol *s;
	unsigned int a;

	for (a = 1; a < VM_MAX_ALLOCATORS; a++) {
		s = symbols_at(&vm->sym, vm->allctrs[a].alloc);
		if (!s || strncmp(s->name, "erts_alcu_", 10))
			continue; /* sys_alloc, or switched off: not of alloc_util */
		add_site(vm, plan, PROG_ALLOC, vm->allctrs[a].alloc, s->name,
			 SITE_ARG(0) | SITE_ARG(2), 0);
		s = symbols_at(&vm->sym, vm->allctrs[a].free);
		if (s && !strncmp(s->name, "erts_alcu_", 10))
			add_site(vm, plan, PROG_FREE, vm->allctrs[a].free, s->name,
				 SITE_ARG(0) | SITE_ARG(2), 0);
		s = symbols_at(&vm->sym, vm->allctrs[a].realloc);
		/* fix_alloc's realloc is a stub that ends the VM: no site */
		if (s && !strncmp(s->name, "erts_alcu_", 10))
			add_site(vm, plan, PROG_REALLOC, vm->allctrs[a].realloc, s->name,
				 SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
				 strstr(s->name, "thr_pref") ? EB_REALLOC_DELEGATES :
							       EB_REALLOC_OWN);
	}
}

static void plan_gc(struct vm *vm, struct probe_plan *plan)
{
	static const struct { const char *name; uint64_t cookie; } sites[] = {
		{ "erts_garbage_collect_nobump", EB_GC_ORDINARY },
		{ "erts_garbage_collect", EB_GC_ORDINARY },
		{ "erts_gc_after_bif_call_lhf", EB_GC_ORDINARY },
		{ "erts_garbage_collect_literals", EB_GC_ORDINARY },
		{ "erts_garbage_collect_hibernate", EB_GC_HIBERNATE },
	};
	vmaddr_t addr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sites); i++) {
		addr = symbols_addr(&vm->sym, sites[i].name);
		add_site(vm, plan, PROG_GC_ENTER, addr, sites[i].name, SITE_ARG(0),
			 sites[i].cookie);
		add_site(vm, plan, PROG_GC_RETURN, addr, sites[i].name, 0, sites[i].cookie);
	}
}

/* The callbacks differ where strategies do: all distinct ones, over all instances. */
static void plan_carrier(struct vm *vm, struct probe_plan *plan)
{
	const struct layout_fields *f = &vm->lay->f;
	const struct { unsigned int off; const char *name; unsigned int args; uint64_t cookie; }
	callbacks[] = {
		{ f->allctr_mseg_alloc, "mseg_alloc", SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC },
		{ f->allctr_mseg_realloc, "mseg_realloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_REALLOC },
		{ f->allctr_mseg_dealloc, "mseg_dealloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_DEALLOC },
		{ f->allctr_sys_alloc, "sys_alloc", SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2),
		  EB_CARRIER_ALLOC | EB_CARRIER_SYS },
		{ f->allctr_sys_realloc, "sys_realloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_REALLOC | EB_CARRIER_SYS },
		{ f->allctr_sys_dealloc, "sys_dealloc", SITE_ARG(0) | SITE_ARG(2) | SITE_ARG(3),
		  EB_CARRIER_DEALLOC | EB_CARRIER_SYS },
	};
	const struct instance *in;
	char name[64];
	uint64_t addr;
	size_t i, k;

	for (i = 0; i < vm->ninsts; i++) {
		in = &vm->insts[i];
		for (k = 0; k < ARRAY_SIZE(callbacks); k++) {
			if (!reader_u64(&vm->rd, in->allctr + callbacks[k].off, &addr) || !addr)
				continue;
			snprintf(name, sizeof(name), "Allctr_t.%s", callbacks[k].name);
			add_site(vm, plan, PROG_CARRIER_ENTER, addr, name, callbacks[k].args,
				 callbacks[k].cookie);
			if ((callbacks[k].cookie & 3) != EB_CARRIER_DEALLOC)
				add_site(vm, plan, PROG_CARRIER_RETURN, addr, name, 0,
					 callbacks[k].cookie);
		}
	}
}

void probe_plan(struct vm *vm, unsigned int want, struct probe_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	if (want & WANT_CARRIER)
		plan_carrier(vm, plan);
	if (want & (WANT_GC | WANT_BIN))
		plan_gc(vm, plan);
	add_site(vm, plan, PROG_EXIT, symbols_addr(&vm->sym, "erts_do_exit_process"),
		 "erts_do_exit_process", SITE_ARG(0), 0);
	if (want & (WANT_ALLOC | WANT_BIN))
		plan_alloc(vm, plan);
}

/* --- links ------------------------------------------------------------------------------------- */

static int multi_link(int prog_fd, const char *path, const uint64_t *offsets,
		      const uint64_t *cookies, unsigned int n, bool is_return, pid_t pid)
{
	struct uprobe_multi_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.cnt = n,
		.multi_flags = is_return ? UPROBE_MULTI_RETURN : 0,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/*
 * The smallest program.  Loaded from two instructions, so that neither compiler nor BTF nor the
 * skeleton have a part in the answer whether BPF works at all, and what a bare trap costs.
 */
static int load_empty(bool multi)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = multi ? ATTACH_UPROBE_MULTI : 0);
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "eb_empty", "GPL", insns, ARRAY_SIZE(insns),
			       &opts);

	return fd < 0 ? -errno : fd;
}

/*
 * Functions of our own to be probed, one for each purpose, so that a link may still be closing
 * while the next is measured.  The last one starts with an instruction that must be
 * single-stepped, the others with one that is emulated.
 */
#if defined(__x86_64__)
#define CALIB_ASM(name, insn)                                                                      \
	__asm__(".text\n.globl " #name "\n.type " #name ",@function\n" #name ":\n\t" insn         \
		"\n\tret\n.size " #name ",.-" #name "\n")
#define CALIB(name, insn)                                                                          \
	void name(void);                                                                           \
	CALIB_ASM(name, insn)
#else
#define CALIB(name, insn)                                                                          \
	void name(void);                                                                           \
	void __attribute__((noinline)) name(void)                                                  \
	{                                                                                          \
		__asm__ volatile("nop");                                                           \
	}                                                                                          \
	_Static_assert(1, "")
#endif
CALIB(ebeam_calib_check, "nop");
CALIB(ebeam_calib_entry, "nop");
CALIB(ebeam_calib_return, "nop");
CALIB(ebeam_calib_stepped, "test %rdi,%rdi");

/*
 * Closing a uprobe link waits for a grace period of the kernel, some 30 to 100 ms.  Many close in
 * the time of one when each has its thread.
 */
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

static void *close_detached(void *arg)
{
	close_one(arg);
	free(arg);
	return NULL;
}

/* Nobody waits for this one; should the process end before, the kernel closes it. */
static void close_in_background(int fd)
{
	struct closing *c = xcalloc(1, sizeof(*c));
	pthread_attr_t attr;
	pthread_t thread;

	c->fd = fd;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, close_detached, c))
		close_detached(c);
	pthread_attr_destroy(&attr);
}

/* File offset of a function of ours, from our own maps. */
static int own_offset(const void *fn, char *path, size_t size, uint64_t *offset)
{
	unsigned long start, end, off;
	char line[4400], perms[8], name[4096];
	bool found = false;
	FILE *f;

	f = fopen("/proc/self/maps", "r");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, perms, &off,
			   name) == 5 &&
		    (uintptr_t)fn >= start && (uintptr_t)fn < end) {
			snprintf(path, size, "/proc/self/exe");
			*offset = (uintptr_t)fn - start + off;
			found = true;
			break;
		}
	}
	fclose(f);
	return found ? 0 : -ENOENT;
}

static struct bpf_link *perf_link(const struct bpf_program *prog, pid_t pid, const char *path,
				  uint64_t offset, uint64_t cookie, bool is_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = cookie, .retprobe = is_return);

	return bpf_program__attach_uprobe_opts(prog, pid, path, offset, &opts);
}

void probe_kernel_check(struct probe_kernel *k)
{
	int fd, link, major, minor;
	char path[64];
	uint64_t off, cookie = 0;
	struct utsname u;

	memset(k, 0, sizeof(*k));
	fd = load_empty(false);
	if (fd < 0) {
		k->err = -fd;
		return;
	}
	close(fd);
	if (getenv("EBEAM_PERF_LINKS") ||
	    own_offset((void *)ebeam_calib_check, path, sizeof(path), &off))
		return;
	fd = load_empty(true);
	if (fd < 0)
		return;
	link = multi_link(fd, path, &off, &cookie, 1, false, getpid());
	if (link >= 0) {
		k->multi = true;
		close_in_background(link);
		/*
		 * Until 6.12 (46ba0e49b642) the filter by pid compared threads: only the main
		 * thread's hits came through.  There, other VMs that run the same file trap, too.
		 */
		uname(&u);
		if (sscanf(u.release, "%d.%d", &major, &minor) == 2)
			k->multi_pid = major > 6 || (major == 6 && minor >= 12);
	}
	close(fd);
}

static double thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* The middle of a few rounds: one interrupted round does not decide. */
static double time_calls(void (*fn)(void), int calls)
{
	double t[5], x;
	int i, k, r;

	for (r = 0; r < 5; r++) {
		x = thread_ns();
		for (i = 0; i < calls; i++)
			fn();
		t[r] = (thread_ns() - x) / calls;
		for (k = r; k > 0 && t[k] < t[k - 1]; k--) {
			x = t[k];
			t[k] = t[k - 1];
			t[k - 1] = x;
		}
	}
	return t[2];
}

static int perf_event_link(int prog_fd, const char *path, uint64_t offset, bool is_return);

static int one_cost(int prog_fd, bool multi, void (*fn)(void), bool is_return, int calls,
		    double *ns)
{
	uint64_t off, cookie = 0;
	char path[64];
	double bare;
	int link;

	if (own_offset((void *)fn, path, sizeof(path), &off))
		return -1;
	bare = time_calls(fn, calls);
	link = multi ? multi_link(prog_fd, path, &off, &cookie, 1, is_return, getpid()) :
		       perf_event_link(prog_fd, path, off, is_return);
	if (link < 0)
		return -1;
	fn();
	*ns = time_calls(fn, calls) - bare;
	close_in_background(link);
	return 0;
}

/* A perf uprobe on ourselves without libbpf's program object: for the empty program. */
static int perf_event_link(int prog_fd, const char *path, uint64_t offset, bool is_return)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	char buf[32];
	int fd;

	if (read_file("/sys/bus/event_source/devices/uprobe/type", buf, sizeof(buf)) < 0)
		return -ENOENT;
	attr.type = atoi(buf);
	attr.config = is_return ? 1 : 0;
	attr.config1 = (uintptr_t)path;
	attr.config2 = offset;
	fd = syscall(SYS_perf_event_open, &attr, getpid(), -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		close(fd);
		return -errno;
	}
	return fd;
}

int probe_calibrate(const struct probe_kernel *k, bool stepped, struct probe_cost *cost)
{
	int fd = load_empty(k->multi), err;

	memset(cost, 0, sizeof(*cost));
	if (fd < 0)
		return fail(EXIT_FAILED, "", "cannot measure the cost of a probe: %s",
			    strerror(-fd));
	err = one_cost(fd, k->multi, ebeam_calib_entry, false, 400, &cost->entry) ||
	      one_cost(fd, k->multi, ebeam_calib_return, true, 400, &cost->ret) ||
	      (stepped && one_cost(fd, k->multi, ebeam_calib_stepped, false, 60, &cost->stepped));
	close(fd);
	if (err)
		return fail(EXIT_FAILED, "`ebeam doctor` shows what this kernel can do",
			    "cannot measure the cost of a probe: uprobes do not work here");
	log_step("a hit costs %.0f ns, a return %.0f ns%s", cost->entry, cost->ret,
		 stepped ? " (some sites are single-stepped)" : "");
	return 0;
}

double probe_group_ns(const struct probe_plan *plan, enum eb_group group,
		      const struct probe_cost *cost)
{
	double sum = 0, ns;
	size_t i, n = 0;

	for (i = 0; i < plan->n; i++) {
		if (plan->sites[i].group != group)
			continue;
		/* entry and return of a call are two hits; cost.ret was measured for both */
		ns = plan->sites[i].is_return ? cost->ret - cost->entry : cost->entry;
		if (plan->sites[i].site.class == SITE_STEPPED && cost->stepped > ns)
			ns = cost->stepped;
		sum += ns;
		n++;
	}
	return n ? sum / n : 0;
}

/* --- the BPF object ---------------------------------------------------------------------------- */

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
	pid_t tids[EB_MAX_THREADS];
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
	case PROG_REALLOC:
		return p->skel->progs.eb_on_realloc;
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
	case PROG_CARRIER_RETURN:
		return p->skel->progs.eb_on_carrier_return;
	case PROG_N:
		break;
	}
	return NULL;
}

static int fill_config(struct vm *vm, unsigned int want, struct eb_config *c)
{
	const struct layout_fields *f = &vm->lay->f;
	const struct release_facts *r = vm->lay->facts;
	unsigned int end;

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
	c->sched_gc_cols = f->sched_gc_cols;
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
	c->proc_off_heap_overhead = f->proc_off_heap_overhead;
	c->proc_wrt_bins = f->proc_wrt_bins == LAYOUT_ABSENT ? 0 : f->proc_wrt_bins;
	c->proc_mbuf_sz = f->proc_mbuf_sz;
	c->proc_state = f->proc_state;
	c->proc_read_bytes = f->proc_size & ~7u;
	c->flag_hibernate_pending = r->flag_hibernate_pending;
	c->oh_node_bytes = r->bin_node_bytes;
	c->oh_next = f->oh_next;
	c->oh_val = f->oh_val;
	c->oh_header = r->bin_header;
	c->bin_orig_size = f->bin_orig_size;
	c->bin_data = f->bin_data;
	c->bin_pad = r->bin_pad;
	c->drv_bin_pad = r->drv_bin_pad;
	c->type_binary = vm->type_binary;
	c->type_drv_binary = vm->type_drv_binary;
	c->regproc_name = f->regproc_name;
	c->dict_array_size = f->dict_array_size;
	c->dict_data = f->dict_data;
	c->want_alloc_rows = !!(want & WANT_ALLOC);
	c->want_bin_rows = !!(want & WANT_BIN);
	c->have_bpf_loop = !getenv("EBEAM_NO_BPF_LOOP") &&
			   libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL) == 1;
	/* the shapes that the programs are written for */
	if (c->sched_read_bytes > 120 || f->sched_current_port < f->sched_current_process ||
	    c->proc_read_bytes > EB_SCRATCH_BYTES || c->oh_next != 16 ||
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
		tid = vm->scheds[i].tid;
		if (bpf_map_update_elem(fd, &tid, &t, BPF_ANY))
			return -errno;
		p->tids[p->nthreads++] = tid;
	}
	/* threads that turn up later take the slots behind */
	p->skel->bss->extra_threads = p->nthreads;
	return 0;
}

struct probe *probe_open(struct vm *vm, const struct probe_plan *plan,
			 const struct probe_kernel *k, const struct probe_cost *cost,
			 unsigned int want)
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
	if (fill_config(vm, want, (struct eb_config *)&p->skel->rodata->cfg))
		goto fail;
	p->skel->rodata->cfg.alloc_hit_ns = probe_group_ns(plan, EB_GROUP_ALLOC, cost);
	for (i = 0; i < plan->n; i++)
		used[plan->sites[i].prog] = true;
	for (i = 0; i < PROG_N; i++) {
		bpf_program__set_autoload(skel_prog(p, i), used[i]);
		if (p->multi)
			bpf_program__set_expected_attach_type(skel_prog(p, i), ATTACH_UPROBE_MULTI);
	}
	if (!(want & WANT_ALLOC))
		bpf_map__set_max_entries(p->skel->maps.alloc_rows, 1);
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
	if (err) {
		bpf_refused(-err, "fill the map of threads");
		goto fail;
	}
	return p;
fail:
	probe_close(p);
	return NULL;
}

static int attach_multi(struct probe *p, enum probe_prog prog)
{
	uint64_t offsets[PROBE_MAX_SITES], cookies[PROBE_MAX_SITES];
	unsigned int n = 0;
	size_t i;
	int fd;

	for (i = 0; i < p->plan->n; i++)
		if (p->plan->sites[i].prog == prog) {
			offsets[n] = p->plan->sites[i].site.offset;
			cookies[n++] = p->plan->sites[i].site.cookie;
		}
	if (!n)
		return 0;
	fd = multi_link(bpf_program__fd(skel_prog(p, prog)), p->vm->target.exe_path, offsets,
			cookies, n, prog_is_return(prog), p->filter_pid);
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

		if (s->group != group)
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
		if (!(groups & 1u << p->closing[i].group)) {
			/* a thread works on an entry: entries stay where they are */
			n = i + 1;
			continue;
		}
		if (p->closing[i].threaded)
			pthread_join(p->closing[i].thread, NULL);
		p->closing[i].threaded = false;
	}
	p->nclosing = n;
}

static void detach_groups(struct probe *p, unsigned int groups)
{
	size_t i;

	/* room for all in the worst case */
	if (p->nclosing + PROBE_MAX_SITES / 2 > ARRAY_SIZE(p->closing))
		finish_closing(p, ~0u);
	for (i = 0; i < PROG_N; i++)
		if (groups & 1u << prog_group[i] && p->multi_fds[i] >= 0) {
			start_closing(p, prog_group[i], p->multi_fds[i], NULL);
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

int probe_attach(struct probe *p, enum eb_group group)
{
	int i, err = 0;

	if (p->attached[group] || !(p->plan->groups & 1u << group))
		return 0;
	/* two links on a site at a time would count twice */
	finish_closing(p, 1u << group);
	p->attached[group] = true;
	/* calls under way, whose entry was not seen, must not meet older memory of theirs */
	p->skel->bss->epochs[group]++;
	if (p->multi)
		for (i = 0; i < PROG_N && !err; i++) {
			if (prog_group[i] == group)
				err = attach_multi(p, i);
		}
	else
		err = attach_perf(p, group);
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

void probe_detach_all(struct probe *p)
{
	if (p->skel && p->skel->bss)
		p->skel->bss->stopped = 1;
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

pid_t probe_thread_tid(const struct probe *p, size_t i)
{
	return i < p->nthreads ? p->tids[i] : 0;
}

uint64_t probe_lost(const struct probe *p)
{
	return p->skel->bss->lost_rows + p->skel->bss->lost_threads;
}

uint64_t probe_map_bytes(const struct probe *p)
{
	struct bpf_map *m;
	uint64_t sum = 0;

	bpf_object__for_each_map(m, p->skel->obj) {
		/* a hash element has a header of some 48 bytes */
		sum += (uint64_t)bpf_map__max_entries(m) *
		       ((bpf_map__key_size(m) + 7) / 8 * 8 + (bpf_map__value_size(m) + 7) / 8 * 8 +
			(bpf_map__type(m) == BPF_MAP_TYPE_HASH ? 48 : 0));
	}
	return sum;
}

size_t probe_read_map(const struct probe *p, enum probe_map which, void **keys, void **values)
{
	struct bpf_map *const maps[] = { p->skel->maps.procs, p->skel->maps.alloc_rows,
					 p->skel->maps.carrier_rows };
	struct bpf_map *m = maps[which];
	size_t ks = bpf_map__key_size(m), vs = bpf_map__value_size(m), n = 0, cap = 0;
	int fd = bpf_map__fd(m);
	void *prev = NULL;
	char key[64], last[64];

	*keys = *values = NULL;
	while (!bpf_map_get_next_key(fd, prev, key)) {
		if (n == cap) {
			cap = cap ? 2 * cap : 256;
			*keys = xrealloc(*keys, cap * ks);
			*values = xrealloc(*values, cap * vs);
		}
		memcpy((char *)*keys + n * ks, key, ks);
		if (!bpf_map_lookup_elem(fd, key, (char *)*values + n * vs))
			n++;
		memcpy(last, key, ks);
		prev = last;
		if (n > bpf_map__max_entries(m))
			break;
	}
	return n;
}
