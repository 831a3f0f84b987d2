// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a VM that its allocators do not know: threads' stacks, libc's malloc, and what a super
 * carrier has reserved.
 *
 * glibc keeps its threads in a list, by their struct pthread, which stands at the upper end of the
 * thread's stack.  Its arenas beyond the first are at multiples of 64 MiB and begin with a
 * heap_info; blocks that malloc took from the system one by one begin with their size.
 */
#include "data_scan.h"
#include "mem_map.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 65536
#define PAGE 4096ULL
#define HEAP_MAX (64ULL << 20) /* glibc's HEAP_MAX_SIZE on 64 bits */
#define MMAPPED 2	       /* in a chunk's size: it has a mapping of its own */

/* --- stacks ----------------------------------------------------------------------------------- */

static bool is_stack(const struct mapping *m)
{
	return m && !m->file && m->perms[1] == 'w' && m->perms[2] != 'x' &&
	       (!m->name[0] || !strncmp(m->name, "[anon", 5));
}

static void add_stack(const struct smaps *s, vmaddr_t low, vmaddr_t top, struct mem_ranges *r)
{
	const struct mapping *m = smaps_find(s, low);
	struct mem_range one = { .kind = PART_STACKS };

	if (!is_stack(m))
		return;
	one.start = m->start;
	one.end = top && top <= m->end ? top : m->end;
	mem_ranges_add(r, &one);
}

/* The list goes round through all threads, and its head, which is none. */
static unsigned int listed_threads(struct vm *vm, const struct smaps *s, struct mem_ranges *r)
{
	unsigned int off = vm_pthread_list(vm), n = 0, k;
	uint64_t pthread, first, at, faults = vm->rd.faults;
	uint32_t tid;

	if (!vm->nscheds ||
	    !reader_u64(&vm->rd, vm->scheds[0].addr + vm->lay->f.sched_tid, &pthread) || !pthread)
		return 0;
	at = first = pthread + off;
	for (k = 0; k < MAX_THREADS; k++) {
		if (vm_pthread_tid(vm, at - off, &tid) && smaps_find(s, at - off)) {
			/* its end is the stack's, but for what is left of the page */
			add_stack(s, at - off, ((at - off) | (PAGE - 1)) + 1, r);
			n++;
		}
		if (!reader_u64(&vm->rd, at, &at) || at == first)
			break;
	}
	vm->rd.faults = faults;
	return n;
}

/* Where there is no such list: by where the threads' stack pointers are, of those that wait. */
static unsigned int waiting_threads(struct vm *vm, const struct smaps *s, struct mem_ranges *r)
{
	char path[300], text[256];
	unsigned long long sp;
	unsigned int n = 0;
	struct dirent *e;
	char *p;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", vm->target.pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/syscall", vm->target.pid, e->d_name);
		if (read_file(path, text, sizeof(text)) <= 0)
			continue;
		/* the last two words: stack pointer, program counter; "running" has none */
		p = strrchr(text, ' ');
		if (p)
			*p = '\0';
		p = p ? strrchr(text, ' ') : NULL;
		if (p && sscanf(p, "%llx", &sp) == 1)
			add_stack(s, sp, 0, r);
	}
	if (d)
		closedir(d);
	return n;
}

unsigned int mem_stacks(struct vm *vm, const struct smaps *s, struct mem_ranges *r)
{
	unsigned int n = listed_threads(vm, s, r);

	/* fewer than the schedulers: it is no such list */
	return n >= vm->nscheds ? n : waiting_threads(vm, s, r);
}

/* --- malloc ----------------------------------------------------------------------------------- */

/* heap_info: its arena, the heap before it, its bytes, those that may be touched. */
static bool is_arena(struct vm *vm, const struct mapping *m, uint64_t *bytes)
{
	uint64_t w[4];

	if (m->start & (HEAP_MAX - 1) || m->perms[1] != 'w' || m->file ||
	    !reader_copy(&vm->rd, m->start, w, sizeof(w)))
		return false;
	*bytes = w[3];
	return w[0] > m->start ? w[0] - m->start < PAGE && !w[1] && w[2] && w[2] <= w[3] &&
				 w[3] <= HEAP_MAX && !(w[3] & (PAGE - 1)) :
				 w[0] && !(w[1] & (HEAP_MAX - 1)) && w[2] && w[2] <= w[3] &&
				 w[3] <= HEAP_MAX && !(w[3] & (PAGE - 1));
}

void mem_arenas(struct vm *vm, const struct smaps *s, struct mem_ranges *r)
{
	struct mem_range one = { .kind = PART_HEAP };
	uint64_t bytes;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (!strcmp(s->v[i].name, "[heap]"))
			bytes = s->v[i].end - s->v[i].start;
		else if (!is_arena(vm, &s->v[i], &bytes))
			continue;
		one.start = s->v[i].start;
		one.end = one.start + bytes;
		mem_ranges_add(r, &one);
	}
}

/* Where they keep what they keep is their own affair. */
const char *mem_other_malloc(const struct smaps *s)
{
	static const char *const names[] = { "jemalloc", "tcmalloc", "mimalloc" };
	const char *base;
	size_t i, k;

	for (i = 0; i < s->n; i++) {
		base = strrchr(s->v[i].name, '/');
		for (k = 0; s->v[i].file && base && k < ARRAY_SIZE(names); k++)
			if (!strncmp(base, "/lib", 4) &&
			    !strncmp(base + 4, names[k], strlen(names[k])))
				return names[k];
	}
	return NULL;
}

uint64_t mem_malloc_block(struct vm *vm, vmaddr_t at, uint64_t room)
{
	uint64_t w[2];

	if (room < sizeof(w) || !reader_copy(&vm->rd, at, w, sizeof(w)) || (w[1] & 7) != MMAPPED)
		return 0;
	w[1] &= ~7ULL;
	/* the first word is what was skipped to align it */
	return w[0] < w[1] && w[1] >= PAGE && !(w[1] & (PAGE - 1)) && w[1] <= room ? w[1] : 0;
}

/* --- super carriers --------------------------------------------------------------------------- */

/*
 * ErtsMemMapper: of all that it has, from the upper end of the second area down, there is in use
 * what its own books take, below the first area, and what either area has given away.
 */
static bool is_mapper(const struct layout_fields *f, const uint64_t *w, size_t n, uint64_t *start,
		      uint64_t *end)
{
	size_t total = f->mapper_super_total / 8, used = f->mapper_super_used / 8;
	const unsigned char *b = (const unsigned char *)w;
	uint64_t first;
	uint32_t super;

	if (n <= total || n - total < 4 || n <= f->mapper_super_end / 8 ||
	    n <= f->mapper_super_start / 8 || f->mapper_super >= 8 * n ||
	    8 * n - f->mapper_super < sizeof(super))
		return false;
	memcpy(&super, b + f->mapper_super, sizeof(super));
	*end = w[f->mapper_super_end / 8];
	*start = *end - w[total];
	first = w[f->mapper_super_start / 8];
	return super == 1 && w[total] && *start < *end && *end >> 47 == 0 &&
	       !(*start & (PAGE - 1)) && first >= *start && first < *end &&
	       w[used] == w[used + 1] + w[used + 2] + (first - *start) && w[used] <= w[total];
}

void mem_super_carriers(struct vm *vm, struct mem_ranges *r)
{
	const struct layout_fields *f = &vm->lay->f;
	struct mem_range one = { .kind = PART_SUPER };
	struct data_scan d;
	size_t i, k;

	if (f->mapper_super_start & 7 || f->mapper_super_end & 7 || f->mapper_super_total & 7 ||
	    f->mapper_super_used != f->mapper_super_total + 8)
		return;
	data_scan_read(vm, &d);
	for (i = 0; i < d.nareas; i++)
		for (k = 0; k < d.areas[i].n; k++)
			if (is_mapper(f, d.areas[i].words + k, d.areas[i].n - k, &one.start,
				      &one.end))
				mem_ranges_add(r, &one);
	data_scan_free(&d);
}
