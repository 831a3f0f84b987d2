// SPDX-License-Identifier: GPL-2.0-only
#include "probe_link.h"
#include "util.h"

#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UPROBE_MULTI_RETURN 1u

/* The part of union bpf_attr that this link type uses. */
struct uprobe_multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__u64 path, offsets, ref_ctr_offsets, cookies;
	__u32 cnt, multi_flags, pid, pad;
};

int uprobe_multi_link(int prog_fd, const char *path, const uint64_t *offsets,
		      const uint64_t *cookies, unsigned int n, enum uprobe_kind kind, pid_t pid)
{
	struct uprobe_multi_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = kind == UPROBE_SESSION ? UPROBE_SESSION_ATTACH_TYPE :
							UPROBE_MULTI_ATTACH_TYPE,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.cnt = n,
		.multi_flags = kind == UPROBE_RETURN ? UPROBE_MULTI_RETURN : 0,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static void *close_fd(void *arg)
{
	close(*(int *)arg);
	free(arg);
	return NULL;
}

void uprobe_close_later(int fd)
{
	int *copy = xcalloc(1, sizeof(*copy));
	pthread_attr_t attr;
	pthread_t thread;

	*copy = fd;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, close_fd, copy))
		close_fd(copy);
	pthread_attr_destroy(&attr);
}
