// SPDX-License-Identifier: GPL-2.0-only
/*
 * Refc binaries of many processes at once: their off-heap lists are followed side by side, a node
 * of each in one system call, where snap_held_bins() takes several for each process.  Most lists
 * are short.  What takes longer is left to that one.
 */
#include "snap_ps.h"

#include <string.h>

#define ROUNDS 64

static void first_node(const struct vm *vm, const unsigned char *raw, struct ps_bins *b)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t mbuf;

	memset(b, 0, sizeof(*b));
	memcpy(&b->at, raw + f->proc_off_heap_first, 8);
	memcpy(&mbuf, raw + f->proc_mbuf, 8);
	if (f->proc_wrt_bins != LAYOUT_ABSENT && vm->lay->facts->list_has_wrt_bins)
		memcpy(&b->next, raw + f->proc_wrt_bins, 8);
	b->failed = mbuf;
}

/* Those that have a node to be read. */
static size_t active(struct ps_bins *b, size_t n, size_t *who)
{
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (!b[i].at) {
			b[i].at = b[i].next;
			b[i].next = 0;
		}
		b[i].failed |= b[i].at & 7;
		if (b[i].at && !b[i].failed)
			who[k++] = i;
	}
	return k;
}

static bool round_of(struct vm *vm, struct ps_bins *b, size_t n)
{
	const struct release_facts *r = vm->lay->facts;
	uint64_t node[PS_CHUNK][4], size[PS_CHUNK];
	struct read_req req[PS_CHUNK];
	size_t who[PS_CHUNK], bins[PS_CHUNK], k = active(b, n, who), i, m = 0;

	for (i = 0; i < k; i++)
		req[i] = (struct read_req){ b[who[i]].at, node[i], r->bin_node_bytes, false };
	reader_batch(&vm->rd, req, k);
	for (i = 0; i < k; i++) {
		b[who[i]].failed |= !req[i].ok;
		b[who[i]].at = req[i].ok ? node[i][vm->lay->f.oh_next / 8 & 3] : 0;
		if (!req[i].ok || node[i][0] != r->bin_header)
			continue;
		bins[m] = who[i];
		size[m] = node[i][vm->lay->f.oh_val / 8 & 3];
		m++;
	}
	for (i = 0; i < m; i++)
		req[i] = (struct read_req){ size[i] + vm->lay->f.bin_orig_size, &size[i], 8,
					    false };
	reader_batch(&vm->rd, req, m);
	for (i = 0; i < m; i++) {
		b[bins[i]].refs++;
		b[bins[i]].bytes += size[i];
		b[bins[i]].failed |= !req[i].ok || size[i] >= 1ULL << 47;
	}
	return k > 0;
}

void snap_ps_bins(struct vm *vm, const unsigned char *const *raw, size_t n, struct ps_bins *b)
{
	size_t i;
	int rounds;

	for (i = 0; i < n; i++)
		first_node(vm, raw[i], &b[i]);
	for (rounds = 0; rounds < ROUNDS && round_of(vm, b, n); rounds++)
		;
	for (i = 0; i < n; i++)
		b[i].known = !b[i].failed && !b[i].at && !b[i].next;
}
