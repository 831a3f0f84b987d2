// SPDX-License-Identifier: GPL-2.0-only
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define ATOM_BUCKETS 4096
#define ATOM_BYTES (255 * 4)

struct cached_atom {
	struct cached_atom *next;
	uint64_t index;
	char *text;
	char *name; /* as it lies in the VM, not NUL-terminated */
	size_t len;
};

struct atom_cache {
	struct cached_atom *buckets[ATOM_BUCKETS];
};

static bool atom_bytes(struct vm *vm, uint64_t index, char raw[ATOM_BYTES], size_t *size)
{
	const struct layout_fields *f = &vm->lay->f;
	uint64_t seg_table, seg, atom, name, bin[3];
	uint32_t entries, idx;
	uint16_t len;

	if (!reader_u32(&vm->rd, vm->atom_tab + f->index_entries, &entries) || index >= entries ||
	    !reader_u64(&vm->rd, vm->atom_tab + f->index_seg_table, &seg_table) ||
	    !reader_u64(&vm->rd, seg_table + 8 * (index >> 10), &seg) ||
	    !reader_u64(&vm->rd, seg + 8 * (index & 1023), &atom) ||
	    !reader_u32(&vm->rd, atom + f->atom_index, &idx) || idx != index ||
	    !reader_copy(&vm->rd, atom + f->atom_len, &len, sizeof(len)) ||
	    !reader_u64(&vm->rd, atom + f->atom_name, &name) || len > ATOM_BYTES)
		return false;
	if (vm->lay->facts->atom_name_is_term) {
		/* a literal binary: bytes in the heap object, or behind a sub binary's base */
		name &= ~7ULL;
		if (!reader_copy(&vm->rd, name, bin, sizeof(bin)))
			return false;
		name = (bin[0] & 0x3f) == 0x20 ? name + 16 : (bin[1] & ~3ULL) + bin[2] / 8;
	}
	if (len && !reader_copy(&vm->rd, name, raw, len))
		return false;
	*size = len;
	return true;
}

static const struct cached_atom *atom_get(struct vm *vm, uint64_t index)
{
	struct cached_atom **bucket, *a;
	char text[TERM_TEXT], raw[ATOM_BYTES];
	size_t len;

	if (!vm->atoms)
		vm->atoms = xcalloc(1, sizeof(*vm->atoms));
	bucket = &vm->atoms->buckets[index % ATOM_BUCKETS];
	for (a = *bucket; a; a = a->next)
		if (a->index == index)
			return a;
	if (!atom_bytes(vm, index, raw, &len))
		return NULL;
	text_escape(raw, len, text, sizeof(text));
	a = xcalloc(1, sizeof(*a));
	a->index = index;
	a->text = xstrdup(text);
	a->name = xcalloc(1, len + 1);
	memcpy(a->name, raw, len);
	a->len = len;
	a->next = *bucket;
	*bucket = a;
	return a;
}

const char *term_atom_index(struct vm *vm, uint64_t index)
{
	const struct cached_atom *a = atom_get(vm, index);

	return a ? a->text : NULL;
}

const char *term_atom_name(struct vm *vm, eterm_t atom, size_t *len)
{
	const struct cached_atom *a = term_is_atom(atom) ? atom_get(vm, atom >> 6) : NULL;

	*len = a ? a->len : 0;
	return a ? a->name : NULL;
}

const char *term_atom(struct vm *vm, eterm_t atom)
{
	return term_is_atom(atom) ? term_atom_index(vm, atom >> 6) : NULL;
}

void term_atoms_free(struct vm *vm)
{
	struct cached_atom *a, *next;
	size_t i;

	for (i = 0; vm->atoms && i < ATOM_BUCKETS; i++)
		for (a = vm->atoms->buckets[i]; a; a = next) {
			next = a->next;
			free(a->text);
			free(a->name);
			free(a);
		}
	free(vm->atoms);
	vm->atoms = NULL;
}

uint64_t term_pid_slot(const struct vm *vm, eterm_t pid)
{
	if (vm->lay->facts->slot_in_high_word)
		return pid >> 32;
	return pid >> 4 & vm->pix_mask;
}

/*
 * From 26 on the identifier is kept in slot order and printed in data order (ptab_id2data):
 * the slot's low bits are the data's cache line, the rest its index in the line.
 */
static uint64_t id_data(const struct vm *vm, eterm_t id)
{
	uint64_t x = id >> 4;

	if (vm->lay->facts->slot_in_high_word)
		return (id & 0xffffffff) >> 4;
	return (x & ~vm->pix_mask) | (x >> vm->pix_cl_shift & vm->pix_cl_mask) |
	       (x & vm->pix_cli_mask) << vm->pix_cli_shift;
}

void term_pid_text(const struct vm *vm, eterm_t pid, char *buf, size_t size)
{
	uint64_t data = id_data(vm, pid);
	unsigned int bits = vm->lay->facts->slot_in_high_word ? 15 : 28;

	snprintf(buf, size, "<0.%llu.%llu>",
		 (unsigned long long)(data & ((1ULL << bits) - 1)),
		 (unsigned long long)(data >> bits));
}

void term_port_text(const struct vm *vm, eterm_t port, char *buf, size_t size)
{
	uint64_t data = port >> 4, mask, shift, cl_mask, cli_mask;
	uint32_t cl_shift, cli_shift;
	const struct layout_fields *f = &vm->lay->f;
	struct reader *rd = (struct reader *)&vm->rd;

	if (vm->lay->facts->slot_in_high_word) {
		data = (port & 0xffffffff) >> 4;
	} else if (reader_u64(rd, vm->port_tab + f->ptab_pix_mask, &mask) &&
		   reader_u64(rd, vm->port_tab + f->ptab_pix_cl_mask, &cl_mask) &&
		   reader_u64(rd, vm->port_tab + f->ptab_pix_cli_mask, &cli_mask) &&
		   reader_u32(rd, vm->port_tab + f->ptab_pix_cl_shift, &cl_shift) &&
		   reader_u32(rd, vm->port_tab + f->ptab_pix_cli_shift, &cli_shift)) {
		shift = cli_shift & 63;
		data = (data & ~mask) | (data >> (cl_shift & 63) & cl_mask) |
		       (data & cli_mask) << shift;
	}
	snprintf(buf, size, "#Port<0.%llu>", (unsigned long long)data);
}

bool term_mfa_text(struct vm *vm, eterm_t module, eterm_t function, uint64_t arity, char *buf,
		   size_t size)
{
	const char *m = term_atom(vm, module), *fn = term_atom(vm, function);

	if (!m || !fn || arity > 255)
		return false;
	snprintf(buf, size, "%s:%s/%u", m, fn, (unsigned int)arity);
	return true;
}
