// SPDX-License-Identifier: GPL-2.0-only
/*
 * record PID OUT - read of a live VM what the unit tests will read, and keep those bytes
 *
 * Opens the VM with EBEAM_RECORD, walks names and held binaries of all processes, and then writes
 * OUT: all that was read, with a margin of MARGIN bytes on both sides, merged.  The margin is for
 * t_mutants.c: a field that lies elsewhere than the layout says then finds real bytes, as in a
 * live VM, not the end of the recording.  The node must stand still meanwhile.
 */
#include "snap_held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARGIN 192
#define PAGE_MASK 4095ULL

struct extent {
	uint64_t lo, hi;
};

static int by_lo(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void die(const char *what)
{
	const struct failure *f = failure_get();

	fprintf(stderr, "record: %s%s%s\n", what, f ? ": " : "", f ? f->message : "");
	exit(1);
}

static void walk(struct vm *vm)
{
	struct held_walk budget = { .refs_budget = 10000000 };
	struct proc_image image;
	struct proc_names names;
	struct held_bins held;
	struct proc_ids ids;
	size_t i;

	if (snap_proc_ids(vm, &ids))
		die("the process table cannot be read");
	for (i = 0; i < ids.n; i++) {
		if (snap_held_bins(vm, &ids.v[i], &budget, &held, &image) || held.partial)
			die("a process moved, or its binaries cannot be read: is the node quiet?");
		snap_proc_names(vm, &image, &names);
		proc_names_free(&names);
	}
	snap_proc_ids_free(&ids);
}

static size_t extents(const char *path, struct extent **out)
{
	size_t n = 0, cap = 0, i, k;
	struct extent *e = NULL;
	uint64_t head[2];
	FILE *f = fopen(path, "rb");

	if (!f)
		die(path);
	while (fread(head, sizeof(head), 1, f) == 1) {
		if (n == cap) {
			cap = cap ? 2 * cap : 1024;
			e = xrealloc(e, cap * sizeof(*e));
		}
		e[n++] = (struct extent){ head[0] - MARGIN, head[0] + head[1] + MARGIN };
		fseek(f, head[1], SEEK_CUR);
	}
	fclose(f);
	if (!n)
		die("nothing was recorded");
	qsort(e, n, sizeof(*e), by_lo);
	for (i = 1, k = 0; i < n; i++) {
		if (e[i].lo > e[k].hi)
			e[++k] = e[i];
		else if (e[i].hi > e[k].hi)
			e[k].hi = e[i].hi;
	}
	*out = e;
	return k + 1;
}

/* A margin may reach into a page that is not there: it ends before. */
static bool read_extent(struct reader *rd, struct extent *e, unsigned char *buf)
{
	uint64_t lo = (e->lo + MARGIN) & ~PAGE_MASK, hi = ((e->hi - MARGIN - 1) | PAGE_MASK) + 1;

	if (reader_copy(rd, e->lo, buf, e->hi - e->lo))
		return true;
	if (e->lo < lo && !reader_copy(rd, e->lo, buf, 1))
		e->lo = lo;
	if (e->hi > hi && !reader_copy(rd, e->hi - 1, buf, 1))
		e->hi = hi;
	return reader_copy(rd, e->lo, buf, e->hi - e->lo);
}

int main(int argc, char **argv)
{
	const char *tee = getenv("EBEAM_RECORD");
	struct reader rd;
	struct extent *e;
	uint64_t head[2];
	struct vm vm;
	size_t i, n;
	pid_t pid;
	FILE *f;

	if (argc != 3 || !tee) {
		fputs("usage: EBEAM_RECORD=RAW record PID OUT\n", stderr);
		return 2;
	}
	pid = atoi(argv[1]);
	if (vm_open(&vm, pid, NULL, 0))
		die("cannot open the VM");
	walk(&vm);
	if (vm.rd.faults)
		die("some addresses could not be read");
	vm_close(&vm); /* the recording is complete in its file */

	n = extents(tee, &e);
	f = fopen(argv[2], "wb");
	if (!f)
		die(strerror(errno));
	reader_open_live(&rd, pid);
	for (i = 0; i < n; i++) {
		unsigned char *buf = xcalloc(1, e[i].hi - e[i].lo);

		if (!read_extent(&rd, &e[i], buf))
			die("the node changed while it was recorded");
		head[0] = e[i].lo;
		head[1] = e[i].hi - e[i].lo;
		fwrite(head, sizeof(head), 1, f);
		fwrite(buf, 1, head[1], f);
		free(buf);
	}
	free(e);
	if (fclose(f))
		die(strerror(errno));
	return 0;
}
