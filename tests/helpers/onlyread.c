// SPDX-License-Identifier: GPL-2.0-only
/*
 * onlyread COMMAND [ARG]... - run a command that can do nothing to another process but read it: a
 * seccomp filter kills it where it would trace, stop, signal or write to one, set a probe, or
 * open a file for writing (/proc/PID/mem is one).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define FORBID(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), KILL

int main(int argc, char **argv)
{
	struct sock_filter rules[] = {
		LOAD(nr),
		FORBID(__NR_ptrace),
		FORBID(__NR_process_vm_writev),
		FORBID(__NR_kill),
		FORBID(__NR_tkill),
		FORBID(__NR_tgkill),
		FORBID(__NR_rt_sigqueueinfo),
		FORBID(__NR_rt_tgsigqueueinfo),
		FORBID(__NR_pidfd_send_signal),
		FORBID(__NR_pidfd_getfd),
		FORBID(__NR_process_madvise),
		FORBID(__NR_perf_event_open),
		FORBID(__NR_bpf),
		/* openat() with O_WRONLY or O_RDWR */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR, 0, 1),
		KILL,
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {
		.len = sizeof(rules) / sizeof(rules[0]),
		.filter = rules,
	};

	if (argc < 2) {
		fprintf(stderr, "usage: onlyread COMMAND [ARG]...\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
		fprintf(stderr, "onlyread: cannot install the filter: %s\n", strerror(errno));
		return 2;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "onlyread: cannot run %s: %s\n", argv[1], strerror(errno));
	return 2;
}
