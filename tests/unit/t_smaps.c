// SPDX-License-Identifier: GPL-2.0-only
/* Mappings and resident pages, of this very process: pages touched here are known. */
#include "mem_map.h"
#include "smaps.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 256

static uint64_t page, bytes;
static unsigned int runs;
static vmaddr_t last;

static void count(void *arg, vmaddr_t start, vmaddr_t end)
{
	(void)arg;
	bytes += end - start;
	runs += start != last; /* a run may come in two parts */
	last = end;
}

static void look(struct residency *r, const char *how, vmaddr_t at)
{
	bytes = runs = last = 0;
	ok(residency_runs(r, at, at + PAGES * page, count, NULL), "%s: pages can be asked for",
	   how);
	is_u64(bytes / page, 24, "%s: pages that were written to", how);
	is_u64(runs, 2, "%s: in two runs", how);
	bytes = 0;
	ok(residency_runs(r, at + 10, at + page + 1, count, NULL) && bytes == 2 * page,
	   "%s: a range that cuts pages is of whole ones", how);
}

static void test_residency(volatile char *p)
{
	struct residency r;
	bool scan;
	int i;

	for (i = 0; i < 16; i++)
		p[i * page] = 1;
	for (i = 100; i < 108; i++)
		p[i * page] = 1;
	/* read only: the page of zeros is there, and is in no process' RSS */
	for (i = 200; i < 210; i++)
		(void)p[i * page];
	if (!ok(!residency_open(&r, getpid()), "pages of this process can be asked for"))
		return;
	scan = r.scan;
	r.scan = false;
	look(&r, "by entries", (uintptr_t)p);
	r.scan = scan;
	if (scan)
		look(&r, "by a scan", (uintptr_t)p);
	else
		diag("this kernel has no PAGEMAP_SCAN");
	residency_close(&r);
	setenv("EBEAM_TEST_KERNEL", "6.6", 1);
	ok(!residency_open(&r, getpid()) && !r.scan, "a kernel before 6.7 is asked by entries");
	residency_close(&r);
	unsetenv("EBEAM_TEST_KERNEL");
	ok(residency_open(&r, -1) < 0, "there is no such process");
}

static void test_mappings(vmaddr_t at)
{
	const struct mapping *m;
	uint64_t sum = 0;
	struct smaps s;
	size_t i;

	if (!ok(!smaps_read(getpid(), true, &s), "mappings with their counts"))
		return;
	m = smaps_find(&s, at);
	ok(m && m->start == at && m->end == at + PAGES * page,
	   "the mapping is found by its address");
	is_u64(m ? m->rss / page : 0, 24, "and has the pages that were written to");
	ok(m && !m->file && !strcmp(m->perms, "rw-p"), "it is no file's");
	ok(smaps_find(&s, at + PAGES * page - 1) == m && smaps_find(&s, at + PAGES * page) != m,
	   "up to its last byte");
	ok(!smaps_find(&s, 0) && !smaps_find(&s, ~0ULL), "nothing is at no address");
	for (i = 0; i < s.n; i++)
		sum += s.v[i].rss;
	is_u64(s.rss, sum, "rss is the sum");
	m = smaps_find(&s, (uintptr_t)look);
	ok(m && m->file && m->perms[2] == 'x' && strstr(m->name, "t_smaps"), "code is of a file");
	smaps_free(&s);
	ok(!smaps_read(getpid(), false, &s) && (m = smaps_find(&s, at)) && !m->rss,
	   "mappings alone have no counts");
	smaps_free(&s);
	ok(smaps_read(1 << 30, true, &s) < 0 && !s.n, "there is no such process");
}

static void test_other_malloc(void)
{
	struct mapping v[] = {
		{ .file = true, .name = "/usr/lib/x86_64-linux-gnu/libc.so.6" },
		{ .file = true, .name = "/srv/jemalloc/priv/libnif.so" },
		{ .file = false, .name = "/memfd:/libjemalloc" },
		{ .name = "[heap]" },
		{ .file = true, .name = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2" },
	};
	struct smaps s = { .v = v, .n = ARRAY_SIZE(v) - 1 };
	const char *name;

	ok(!mem_other_malloc(&s), "libc's own malloc");
	s.n++;
	name = mem_other_malloc(&s);
	ok(name && !strcmp(name, "jemalloc"), "jemalloc in its place");
}

#ifndef __SANITIZE_ADDRESS__
static void test_malloc(void)
{
	static struct vm vm;
	char *p = malloc(1 << 20);
	vmaddr_t at = (uintptr_t)p & ~(page - 1);
	uint64_t got;

	reader_open_live(&vm.rd, getpid());
	memset(p, 1, 1 << 20);
	got = mem_malloc_block(&vm, at, 2 << 20);
	ok(got >= 1 << 20 && got <= (1 << 20) + 2 * page,
	   "a large block of malloc knows its bytes");
	ok(!mem_malloc_block(&vm, at, 1 << 19), "where there is less room it is none");
	ok(!mem_malloc_block(&vm, at + page, 1 << 20), "nor is what is in it");
	ok(!mem_malloc_block(&vm, 4096, 1 << 20), "nor what is not there");
	reader_close(&vm.rd);
	free(p);
}
#endif

int main(void)
{
	char *p;

	page = sysconf(_SC_PAGESIZE);
	/* between two that are different, so that it is merged with neither */
	p = mmap(NULL, (PAGES + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + page, PAGES * page, PROT_READ | PROT_WRITE))
		return 1;
	madvise(p, (PAGES + 2) * page, MADV_NOHUGEPAGE);
	test_residency(p + page);
	test_mappings((uintptr_t)p + page);
#ifdef __SANITIZE_ADDRESS__
	diag("malloc is the sanitizer's here: libc's blocks are not looked at");
#else
	test_malloc();
#endif
	test_other_malloc();
	return done();
}
