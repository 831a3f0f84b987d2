// SPDX-License-Identifier: GPL-2.0-only
#include "snap_proc.h"
#include "term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_CHUNK 16384  /* slots per read */
#define ID_BATCH 1024	   /* ids per batch of reads */
#define PROC_BYTES_MAX 1024
#define IMAGE_BATCH 128
#define DICT_MAX (1 << 20)
#define SOME 1024	   /* of a large table: the oldest, and as many of the others */
#define USED_MIN 65536	   /* slots that may be in use whatever the table counts */
#define USED_MAX (1 << 25)	   /* and at most: 90 GB of processes */

#define PSFLG_MOVING                                                                               \
	(PSFLG_FREE | PSFLG_EXITING | PSFLG_RUNNING | PSFLG_GC | PSFLG_RUNNING_SYS |               \
	 PSFLG_DIRTY_RUNNING | PSFLG_DIRTY_RUNNING_SYS)

/* The ids of elements from @from on. */
static void read_ids(struct vm *vm, struct proc_ids *ids, size_t from)
{
	struct read_req req[ID_BATCH];
	size_t i, k;

	for (; from < ids->n; from += k) {
		k = ids->n - from < ID_BATCH ? ids->n - from : ID_BATCH;
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ ids->v[from + i].addr + vm->lay->f.proc_id,
						    &ids->v[from + i].id, 8, false };
		reader_batch(&vm->rd, req, k);
		for (i = 0; i < k; i++)
			if (!req[i].ok)
				ids->v[from + i].id = 0;
	}
}

/*
 * Many times what the table counts, births meanwhile included: it is no such table, and each of its
 * words would be tried as an address.  Nor are there more processes than memory can hold: one that
 * was just made takes 2.7 kB.
 */
static size_t most_used(struct vm *vm)
{
	uint32_t count = 0;

	reader_u32(&vm->rd, vm->proc_tab + vm->lay->f.ptab_count, &count);
	return 4 * (size_t)count < USED_MAX - USED_MIN ? USED_MIN + 4 * (size_t)count : USED_MAX;
}

/* Of the slots in use the first SOME, and then one of each @step. */
static int read_table(struct vm *vm, struct proc_ids *ids, size_t step, bool with_ids)
{
	size_t at, i, n, cap = 0, from, most = most_used(vm);
	uint64_t *slots;

	memset(ids, 0, sizeof(*ids));
	slots = xcalloc(TABLE_CHUNK, sizeof(*slots));
	for (at = 0; at < vm->proc_max; at += n) {
		n = vm->proc_max - at < TABLE_CHUNK ? vm->proc_max - at : TABLE_CHUNK;
		if (ids->used > most || !reader_copy(&vm->rd, vm->tab + 8 * at, slots, 8 * n)) {
			free(slots);
			snap_proc_ids_free(ids);
			return -1;
		}
		from = ids->n;
		for (i = 0; i < n; i++) {
			if (!slots[i])
				continue;
			ids->used++;
			if (slots[i] == vm->invalid_element ||
			    (ids->used > SOME && ids->used % step))
				continue;
			if (ids->n == cap) {
				cap = cap ? 2 * cap : 1024;
				ids->v = xrealloc(ids->v, cap * sizeof(*ids->v));
			}
			ids->v[ids->n++] = (struct proc_id){ slots[i], 0, at + i };
		}
		/* at once: processes come and go */
		if (with_ids)
			read_ids(vm, ids, from);
	}
	free(slots);
	return 0;
}

int snap_proc_ids(struct vm *vm, struct proc_ids *ids)
{
	return read_table(vm, ids, 1, true);
}

int snap_proc_slots(struct vm *vm, struct proc_ids *ids)
{
	return read_table(vm, ids, 1, false);
}

int snap_proc_some(struct vm *vm, struct proc_ids *ids)
{
	uint32_t count = 0;

	reader_u32(&vm->rd, vm->proc_tab + vm->lay->f.ptab_count, &count);
	return read_table(vm, ids, 1 + count / SOME, true);
}

void snap_proc_ids_free(struct proc_ids *ids)
{
	free(ids->v);
	memset(ids, 0, sizeof(*ids));
}

static void decode(const struct layout_fields *f, const unsigned char *raw, struct proc_image *p)
{
	p->id = raw_u64(raw, f->proc_id);
	p->group_leader = raw_u64(raw, f->proc_group_leader);
	p->reg = raw_u64(raw, f->proc_reg);
	p->heap = raw_u64(raw, f->proc_heap);
	p->htop = raw_u64(raw, f->proc_htop);
	p->stop = raw_u64(raw, f->proc_stop);
	p->hend = raw_u64(raw, f->proc_hend);
	p->heap_sz = raw_u64(raw, f->proc_heap_sz);
	p->abandoned_heap = raw_u64(raw, f->proc_abandoned_heap);
	p->high_water = raw_u64(raw, f->proc_high_water);
	p->old_heap = raw_u64(raw, f->proc_old_heap);
	p->old_htop = raw_u64(raw, f->proc_old_htop);
	p->old_hend = raw_u64(raw, f->proc_old_hend);
	p->mbuf = raw_u64(raw, f->proc_mbuf);
	p->live_hf_end = raw_u64(raw, f->proc_live_hf_end);
	p->msg_frag = raw_u64(raw, f->proc_msg_frag);
	p->mbuf_sz = raw_u64(raw, f->proc_mbuf_sz);
	p->off_heap_first = raw_u64(raw, f->proc_off_heap_first);
	p->off_heap_overhead = raw_u64(raw, f->proc_off_heap_overhead);
	p->wrt_bins = f->proc_wrt_bins == LAYOUT_ABSENT ? 0 : raw_u64(raw, f->proc_wrt_bins);
	p->dictionary = raw_u64(raw, f->proc_dictionary);
	memcpy(p->initial, raw + f->proc_initial, sizeof(p->initial));
	p->reds = raw_u64(raw, f->proc_reds);
	memcpy(&p->flags, raw + f->proc_flags, sizeof(p->flags));
	memcpy(&p->state, raw + f->proc_state, sizeof(p->state));
	memcpy(&p->gen_gcs, raw + f->proc_gen_gcs, sizeof(p->gen_gcs));
	memcpy(&p->max_gen_gcs, raw + f->proc_max_gen_gcs, sizeof(p->max_gen_gcs));
	p->still = !(p->state & PSFLG_MOVING);
}

int snap_proc_image(struct vm *vm, vmaddr_t addr, struct proc_image *p)
{
	struct proc_id who = { .addr = addr };

	snap_proc_images(vm, &who, 1, p);
	return p->addr ? 0 : -1;
}

void snap_proc_images(struct vm *vm, const struct proc_id *who, size_t n, struct proc_image *p)
{
	static unsigned char raw[IMAGE_BATCH][PROC_BYTES_MAX];
	size_t len = vm->lay->f.proc_size, from, k, i;
	struct read_req req[IMAGE_BATCH];

	memset(p, 0, n * sizeof(*p));
	if (len > PROC_BYTES_MAX)
		return;
	for (from = 0; from < n; from += k) {
		k = n - from < IMAGE_BATCH ? n - from : IMAGE_BATCH;
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ who[from + i].addr, raw[i], len, false };
		reader_batch(&vm->rd, req, k);
		for (i = 0; i < k; i++)
			if (req[i].ok) {
				p[from + i].addr = who[from + i].addr;
				decode(&vm->lay->f, raw[i], &p[from + i]);
			}
	}
}

int snap_proc_find(struct vm *vm, eterm_t pid, struct proc_image *p)
{
	uint64_t slot = term_pid_slot(vm, pid), addr;

	if (slot >= vm->proc_max || !reader_u64(&vm->rd, vm->tab + 8 * slot, &addr) || !addr ||
	    addr == vm->invalid_element || snap_proc_image(vm, addr, p) || p->id != pid ||
	    p->state & PSFLG_FREE)
		return -1;
	return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

void proc_names_make(struct vm *vm, eterm_t reg_name, const uint64_t initial_call[3],
		     const uint64_t initial[3], struct proc_names *names)
{
	char text[2 * TERM_TEXT];
	const char *reg = reg_name ? term_atom(vm, reg_name) : NULL;

	memset(names, 0, sizeof(*names));
	if (reg)
		names->registered = xstrdup(reg);
	if ((initial_call[0] && term_is_small(initial_call[2]) &&
	     term_mfa_text(vm, initial_call[0], initial_call[1], initial_call[2] >> 4, text,
			   sizeof(text))) ||
	    term_mfa_text(vm, initial[0], initial[1], initial[2], text, sizeof(text)))
		names->initial_call = xstrdup(text);
}

static bool pair_initial_call(struct vm *vm, eterm_t pair, uint64_t mfa[3])
{
	uint64_t t[4];

	if ((pair & 3) != 2 || !reader_copy(&vm->rd, pair & ~7ULL, t, 24) || t[0] != 2 << 6 ||
	    t[1] != vm->atom_initial_call || (t[2] & 3) != 2 ||
	    !reader_copy(&vm->rd, t[2] & ~7ULL, t, 32) || t[0] != 3 << 6)
		return false;
	memcpy(mfa, t + 1, 24);
	return true;
}

static bool find_initial_call(struct vm *vm, vmaddr_t dict, uint64_t mfa[3])
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t *slots, cons[2];
	bool found = false;
	uint32_t size, i, k;

	if (!dict || !vm->atom_initial_call ||
	    !reader_u32(&vm->rd, dict + f->dict_array_size, &size) || !size || size > DICT_MAX)
		return false;
	slots = xcalloc(size, 8);
	if (reader_copy(&vm->rd, dict + f->dict_data, slots, 8 * (size_t)size)) {
		for (i = 0; i < size && !found; i++) {
			found = pair_initial_call(vm, slots[i], mfa);
			/* keys that hash alike: a list of pairs */
			cons[1] = slots[i];
			for (k = 0; k < 64 && !found && (cons[1] & 3) == 1; k++) {
				if (!reader_copy(&vm->rd, cons[1] & ~7ULL, cons, sizeof(cons)))
					break;
				found = pair_initial_call(vm, cons[0], mfa);
			}
		}
	}
	free(slots);
	return found;
}

void snap_proc_names(struct vm *vm, const struct proc_image *p, struct proc_names *names)
{
	uint64_t mfa[3] = { 0 }, reg_name = 0;

	if (p->reg)
		reader_u64(&vm->rd, p->reg + vm->lay->f.regproc_name, &reg_name);
	find_initial_call(vm, p->dictionary, mfa);
	proc_names_make(vm, reg_name, mfa, p->initial, names);
}

void proc_names_free(struct proc_names *names)
{
	free(names->registered);
	free(names->initial_call);
	memset(names, 0, sizeof(*names));
}
