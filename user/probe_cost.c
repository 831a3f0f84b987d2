// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this kernel can do, and what a hit costs on this machine: measured with an empty program on
 * functions of our own.
 */
#include "probe.h"
#include "probe_link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The smallest program.  Loaded from two instructions, so that neither compiler nor BTF nor the
 * skeleton have a part in the answer whether BPF works at all, and what a bare trap costs.
 */
static int load_empty(int attach_type)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = attach_type);
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

void probe_kernel_check(struct probe_kernel *k)
{
	int fd, link;
	char path[64];
	uint64_t off, cookie = 0;
	char release[64];

	memset(k, 0, sizeof(*k));
	fd = load_empty(0);
	if (fd < 0) {
		k->err = -fd;
		return;
	}
	close(fd);
	if (getenv("EBEAM_PERF_LINKS") ||
	    own_offset((void *)ebeam_calib_check, path, sizeof(path), &off))
		return;
	fd = load_empty(UPROBE_MULTI_ATTACH_TYPE);
	if (fd < 0)
		return;
	link = uprobe_multi_link(fd, path, &off, &cookie, 1, UPROBE_ENTRY, getpid());
	if (link >= 0) {
		k->multi = true;
		uprobe_close_later(link);
		/*
		 * Until 6.12 the filter by pid compared threads: only the main
		 * thread's hits came through.  There, other VMs that run the same file trap, too.
		 */
		k->multi_pid = kernel_version(release, sizeof(release)) >= 6012;
	}
	close(fd);
	if (!k->multi || getenv("EBEAM_NO_SESSION"))
		return;
	fd = load_empty(UPROBE_SESSION_ATTACH_TYPE);
	if (fd < 0)
		return;
	link = uprobe_multi_link(fd, path, &off, &cookie, 1, UPROBE_SESSION, getpid());
	if (link >= 0) {
		k->session = true;
		uprobe_close_later(link);
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
	link = multi ? uprobe_multi_link(prog_fd, path, &off, &cookie, 1,
					 is_return ? UPROBE_RETURN : UPROBE_ENTRY, getpid()) :
		       perf_event_link(prog_fd, path, off, is_return);
	if (link < 0)
		return -1;
	fn();
	*ns = time_calls(fn, calls) - bare;
	uprobe_close_later(link);
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
	int fd = load_empty(k->multi ? UPROBE_MULTI_ATTACH_TYPE : 0), err;

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
