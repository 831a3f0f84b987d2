// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench_probe PID - an empty BPF program at any instruction of a process, for scripts/bench.
 *
 * Reads one command a line and answers each with `ok` or `error TEXT`:
 *   on WHERE...   attach; WHERE is e0xOFFSET (an entry) or r0xOFFSET (the return of the function
 *                 at it), in the file that the process runs.  All entries share a link, and so do
 *                 all returns.
 *   off           detach, and wait until the breakpoints are out
 * First it says which links it uses: `multi`, or `perf` on kernels without uprobe_multi.  It ends
 * with its input.  Nothing but system calls: what is measured is the kernel's price, not ours.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_SITES 64

/* Newer than many systems' linux/bpf.h: uapi, kernel 6.6. */
#define ATTACH_UPROBE_MULTI 48
#define UPROBE_MULTI_RETURN 1u

struct uprobe_multi_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

struct sites {
	uint64_t at[MAX_SITES];
	unsigned int n;
};

static char exe[64];
static pid_t pid;
static int prog = -1;
static bool multi;
static int links[2 * MAX_SITES];
static unsigned int nlinks;

static int load_empty(bool for_multi)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = sizeof(insns) / sizeof(insns[0]);
	attr.license = (uintptr_t)"GPL";
	attr.expected_attach_type = for_multi ? ATTACH_UPROBE_MULTI : 0;
	strcpy(attr.prog_name, "bench_empty");
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int multi_link(const struct sites *s, bool is_return)
{
	struct uprobe_multi_attr attr = {
		.prog_fd = prog,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uintptr_t)exe,
		.offsets = (uintptr_t)s->at,
		.cnt = s->n,
		.multi_flags = is_return ? UPROBE_MULTI_RETURN : 0,
		.pid = pid,
	};

	return syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

static int perf_link(uint64_t at, bool is_return)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
	int fd, type = -1, err;

	if (f) {
		if (fscanf(f, "%d", &type) != 1)
			type = -1;
		fclose(f);
	}
	if (type < 0) {
		errno = ENOENT;
		return -1;
	}
	attr.type = type;
	attr.config = is_return;
	attr.config1 = (uintptr_t)exe;
	attr.config2 = at;
	fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -1;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static void off(void)
{
	while (nlinks)
		close(links[--nlinks]);
}

static bool attach(const struct sites *s, bool is_return)
{
	unsigned int i;

	for (i = 0; i < s->n; i += multi ? s->n : 1) {
		links[nlinks] = multi ? multi_link(s, is_return) : perf_link(s->at[i], is_return);
		if (links[nlinks] < 0)
			return false;
		nlinks++;
	}
	return true;
}

static bool on(char *where)
{
	struct sites entries = { .n = 0 }, returns = { .n = 0 }, *s;
	char *word;

	off();
	for (word = strtok(where, " \n"); word; word = strtok(NULL, " \n")) {
		s = word[0] == 'r' ? &returns : &entries;
		if (s->n == MAX_SITES) {
			errno = E2BIG;
			return false;
		}
		s->at[s->n++] = strtoull(word + 1, NULL, 0);
	}
	/* returns first: a call that is entered in between must not count as half */
	if (attach(&returns, true) && attach(&entries, false))
		return true;
	int err = errno;
	off();
	errno = err;
	return false;
}

int main(int argc, char **argv)
{
	struct sites none = { .at = { 0 }, .n = 1 };
	char line[4096];
	int fd;

	if (argc != 2 || (pid = atoi(argv[1])) <= 0) {
		fprintf(stderr, "usage: bench_probe PID\n");
		return 2;
	}
	setlinebuf(stdout);
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	prog = load_empty(true);
	if (prog >= 0) {
		/* older kernels take the program and know no such link; the offset is a header's */
		fd = multi_link(&none, false);
		multi = fd >= 0 || (errno != EINVAL && errno != EOPNOTSUPP);
		if (fd >= 0)
			close(fd);
	}
	if (!multi) {
		if (prog >= 0)
			close(prog);
		prog = load_empty(false);
	}
	if (prog < 0) {
		printf("error cannot load a BPF program: %s\n", strerror(errno));
		return 1;
	}
	printf("%s\n", multi ? "multi" : "perf");
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "on ", 3) && !on(line + 3)) {
			printf("error cannot attach: %s\n", strerror(errno));
			continue;
		}
		if (!strncmp(line, "off", 3))
			off();
		puts("ok");
	}
	return 0;
}
