// SPDX-License-Identifier: GPL-2.0-only
/* Copies of the VM's writable data, and searches in them: see data_scan.h. */
#include "data_scan.h"

#include <stdlib.h>
#include <string.h>

/* A VM has some 400 kB of data with some 5000 pointers out of it; a hostile file has no end. */
#define MAX_DATA (64u << 20)
#define MAX_POINTERS 200000

void data_scan_read(struct vm *vm, struct data_scan *d)
{
	const struct symbols *sym = &vm->sym;
	uint64_t faults = vm->rd.faults, total = 0;
	vmaddr_t lo, hi, at;
	struct data_area *a;
	size_t i, len;

	memset(d, 0, sizeof(*d));
	for (i = 0; i < sym->nsegs && d->nareas < ARRAY_SIZE(d->areas); i++) {
		if (!sym->segs[i].write || sym->segs[i].memsz > MAX_DATA - total)
			continue;
		total += sym->segs[i].memsz;
		lo = (sym->segs[i].vaddr + sym->bias + 7) & ~7ULL;
		hi = (sym->segs[i].vaddr + sym->bias + sym->segs[i].memsz) & ~7ULL;
		if (hi <= lo)
			continue;
		a = &d->areas[d->nareas++];
		*a = (struct data_area){ lo, xcalloc(1, hi - lo), (hi - lo) / 8 };
		if (reader_copy(&vm->rd, lo, a->words, hi - lo))
			continue;
		/* page by page where some cannot be read: the rest stays 0 */
		for (at = lo; at < hi; at += len) {
			len = 4096 - (at & 4095);
			if (len > hi - at)
				len = hi - at;
			reader_copy(&vm->rd, at, (char *)a->words + (at - lo), len);
		}
	}
	vm->rd.faults = faults;
}

void data_scan_free(struct data_scan *d)
{
	while (d->nareas)
		free(d->areas[--d->nareas].words);
}

const uint64_t *data_scan_at(const struct data_scan *d, vmaddr_t addr, size_t *n)
{
	const struct data_area *a;

	for (a = d->areas; a < d->areas + d->nareas; a++)
		if (addr >= a->addr && addr - a->addr < 8 * a->n && !(addr & 7)) {
			*n = a->n - (addr - a->addr) / 8;
			return a->words + (addr - a->addr) / 8;
		}
	return NULL;
}

vmaddr_t data_scan_word(const struct data_scan *d, uint64_t value, vmaddr_t from)
{
	const struct data_area *a;
	size_t k;

	for (a = d->areas; a < d->areas + d->nareas; a++) {
		k = from <= a->addr ? 0 : (from - a->addr + 7) / 8;
		for (; k < a->n; k++)
			if (a->words[k] == value)
				return a->addr + 8 * k;
	}
	return 0;
}

static bool inside(const struct vm *vm, uint64_t addr)
{
	return symbols_inside(&vm->sym, addr - vm->sym.bias);
}

void data_scan_pointers(struct vm *vm, const struct data_scan *d, unsigned int align, size_t len,
			void (*visit)(void *arg, vmaddr_t at, vmaddr_t p, const void *bytes),
			void *arg)
{
	struct read_req req[240];
	vmaddr_t at[240];
	unsigned char *buf = xcalloc(ARRAY_SIZE(req), len);
	uint64_t faults = vm->rd.faults, w;
	size_t i, k, j, n, tried = 0;

	for (i = 0; i < d->nareas; i++)
		for (k = 0; k < d->areas[i].n && tried < MAX_POINTERS; tried += n) {
			for (n = 0; n < ARRAY_SIZE(req) && k < d->areas[i].n; k++) {
				w = d->areas[i].words[k];
				if (w < 4096 || w & (align - 1) || w >> 47 || inside(vm, w))
					continue;
				at[n] = d->areas[i].addr + 8 * k;
				req[n] = (struct read_req){ w, buf + n * len, len, false };
				n++;
			}
			reader_batch(&vm->rd, req, n);
			for (j = 0; j < n; j++)
				if (req[j].ok)
					visit(arg, at[j], req[j].addr, req[j].buf);
		}
	free(buf);
	/* what was tried need not be there */
	vm->rd.faults = faults;
}
