/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * uprobe_multi links by the bare system call: the link type is newer (kernel 6.6) than the libbpf
 * and the linux/bpf.h of the systems that ebeam is built on.
 */
#ifndef EBEAM_PROBE_LINK_H
#define EBEAM_PROBE_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* enum bpf_attach_type's BPF_TRACE_UPROBE_MULTI: programs must be loaded for it. */
#define UPROBE_MULTI_ATTACH_TYPE 48

/* The same for BPF_TRACE_UPROBE_SESSION: the program runs at the entry, which decides about the return. */
#define UPROBE_SESSION_ATTACH_TYPE 57

enum uprobe_kind { UPROBE_ENTRY, UPROBE_RETURN, UPROBE_SESSION };

/* One link on many offsets of a file, with a cookie each; pid 0 is all processes.  fd or -errno. */
int uprobe_multi_link(int prog_fd, const char *path, const uint64_t *offsets,
		      const uint64_t *cookies, unsigned int n, enum uprobe_kind kind, pid_t pid);

/*
 * Closes a link without waiting.  Closing takes a grace period of the kernel, some 30 to 100 ms.
 * Should the process end before, the kernel closes it all the same.
 */
void uprobe_close_later(int fd);

#endif
