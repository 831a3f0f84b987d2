// SPDX-License-Identifier: GPL-2.0-only
#include "term_read.h"

#include <string.h>

#define MAX_BITS (1ULL << 46) /* more than an address space */
#define BIN_FLAG_MAGIC 1
#define REF_MAGIC_BIT (1u << 17)
#define MAX_REF_NUM0 (1u << 18)
#define ORDINARY_REF 0xffffffffu
#define OTP_NEW_OBJECTS 27 /* tags of binaries and maps changed, funs and sub binaries too */
#define OTP_ALIAS_PIDS 26 /* seen: not in 25, in 27 */
#define OTP_RECORDS 29
#define OTP_FUN_EXPORTS 25 /* an exported fun is a fun; before, an object of its own */

struct span {
	unsigned int at, size;
};

/* Fields of an object fit it if none is absent, overlaps another or the header, or ends behind. */
static bool fits(const struct span *f, size_t n, unsigned int size)
{
	unsigned int end;
	size_t i, k;

	for (i = 0; i < n; i++) {
		if (f[i].at == LAYOUT_ABSENT || __builtin_add_overflow(f[i].at, f[i].size, &end) ||
		    f[i].at < 8 || end > size || f[i].at % f[i].size)
			return false;
		for (k = 0; k < i; k++)
			if (f[i].at < f[k].at + f[k].size && f[k].at < end)
				return false;
	}
	return true;
}

static bool new_objects(const struct terms *ts)
{
	return ts->vm->otp >= OTP_NEW_OBJECTS;
}

static bool binaries_fit(const struct layout_fields *f, bool new)
{
	const struct span old[] = { { f->procbin_size, 8 }, { f->oh_next, 8 }, { f->oh_val, 8 },
				    { f->procbin_bytes, 8 }, { f->procbin_flags, 8 } };
	const struct span ref[] = { { f->oh_next, 8 }, { f->oh_val, 8 } };

	return new ? fits(ref, 2, 24) : fits(old, 5, 48);
}

static bool sub_binaries_fit(const struct layout_fields *f, bool new)
{
	const struct span old[] = { { f->subbin_size, 8 }, { f->subbin_offs, 8 },
				    { f->subbin_bitsize, 1 }, { f->subbin_bitoffs, 1 },
				    { f->subbin_writable, 1 }, { f->subbin_orig, 8 } };
	const struct span bits[] = { { f->subbits_base, 8 }, { f->subbits_start, 8 },
				     { f->subbits_end, 8 }, { f->subbits_orig, 8 } };

	if (new)
		return fits(bits, 4, 40);
	/* the small ones share a word: side by side, from its beginning */
	return fits(old, 6, 40) && f->subbin_bitsize % 8 == 0 &&
	       f->subbin_bitoffs == f->subbin_bitsize + 1 &&
	       f->subbin_writable == f->subbin_bitsize + 2;
}

static bool funs_fit(const struct layout_fields *f, bool new)
{
	unsigned int size = f->fun_arity_size;
	const struct span old[] = { { f->fun_entry, 8 }, { f->oh_next, 8 }, { f->fun_arity, size },
				    { f->fun_num_free, size }, { f->fun_creator, 8 } };

	if (new)
		return f->fun_entry == 8 && f->fun_env == 16;
	/* entry, next, arity and number, creator: without a gap, and then the environment */
	return (size == 1 || size == 8) && f->fun_env < 64 && fits(old, 5, f->fun_env) &&
	       f->fun_env == 32 + (size == 8 ? 16u : 8u) && f->fun_creator == f->fun_env - 8 &&
	       f->fun_arity == 24 && f->fun_num_free == f->fun_arity + size;
}

static bool entries_fit(const struct layout_fields *f)
{
	const struct span e[] = { { f->funentry_module, 8 }, { f->funentry_index, 4 },
				  { f->funentry_old_index, 4 }, { f->funentry_old_uniq, 4 } };

	return f->funentry_size >= 64 && f->funentry_size <= 256 &&
	       fits(e, ARRAY_SIZE(e), f->funentry_size) &&
	       f->funentry_uniq <= f->funentry_size - 16;
}

void terms_open(struct terms *ts, struct vm *vm, struct pages *pages)
{
	const struct layout_fields *f = &vm->lay->f;
	bool new = vm->otp >= OTP_NEW_OBJECTS;
	const struct span ext[] = { { f->ext_node, 8 }, { f->oh_next, 8 }, { f->ext_data, 8 } };
	const struct span mref[] = { { f->mref_mb, 8 }, { f->oh_next, 8 } };

	memset(ts, 0, sizeof(*ts));
	ts->vm = vm;
	ts->pages = pages;
	ts->no_binaries = !binaries_fit(f, new);
	ts->no_sub_binaries = ts->no_binaries || !sub_binaries_fit(f, new);
	ts->no_funs = !funs_fit(f, new) || !entries_fit(f);
	ts->no_exports = f->export_mfa == LAYOUT_ABSENT || !funs_fit(f, new);
	ts->no_externals = !fits(ext, 3, 32);
	ts->no_magic = !fits(mref, 2, 24);
	ts->no_refs = f->oref_num != 12;
}

static bool word(struct terms *ts, vmaddr_t addr, uint64_t *v)
{
	return pages_u64(ts->pages, addr, v);
}

bool term_is_nil(const struct terms *ts, eterm_t t)
{
	return t == ts->vm->lay->facts->nil;
}

bool term_small(eterm_t t, int64_t *n)
{
	*n = (int64_t)t >> 4;
	return term_is_small(t);
}

bool term_list_next(struct terms *ts, eterm_t *list, eterm_t *head)
{
	uint64_t cell[2];

	if (!term_is_cons(*list) || !pages_copy(ts->pages, term_addr(*list), cell, sizeof(cell)))
		return false;
	*head = cell[0];
	*list = cell[1];
	return true;
}

enum term_kind term_boxed(struct terms *ts, eterm_t t, uint64_t *header)
{
	static const unsigned char kinds[16] = {
		KIND_TUPLE, KIND_INTERNAL, KIND_BIG, KIND_BIG, KIND_REF, KIND_FUN, KIND_FLOAT,
		KIND_EXPORT,
		KIND_BITS, KIND_BITS, KIND_BITS, KIND_BAD, KIND_EXTERNAL_PID, KIND_EXTERNAL_PORT,
		KIND_EXTERNAL_REF, KIND_MAP,
	};
	unsigned int tag;

	*header = 0;
	if (!term_is_boxed(t) || !word(ts, term_addr(t), header) || *header & 3)
		return KIND_BAD;
	tag = (*header & 0x3f) >> 2;
	if (!new_objects(ts))
		return tag == 7 && ts->vm->otp >= OTP_FUN_EXPORTS ? KIND_BAD : kinds[tag];
	switch (tag) {
	case 7:
		return ts->vm->otp >= OTP_RECORDS ? KIND_RECORD : KIND_BAD;
	case 10:
		return KIND_INTERNAL;
	case 11:
		return KIND_MAP;
	case 15:
		return KIND_BAD;
	}
	return kinds[tag];
}

bool term_is_map(struct terms *ts, eterm_t t)
{
	uint64_t header;

	return term_boxed(ts, t, &header) == KIND_MAP;
}

bool term_tuple(struct terms *ts, eterm_t t, uint64_t *arity, vmaddr_t *addr)
{
	uint64_t header;

	if (term_boxed(ts, t, &header) != KIND_TUPLE)
		return false;
	*arity = header >> 6;
	*addr = term_addr(t) + 8;
	return *arity < 1u << 24; /* MAX_TUPLE */
}

bool term_element(struct terms *ts, eterm_t tuple, uint64_t n, eterm_t *e)
{
	uint64_t arity;
	vmaddr_t addr;

	return term_tuple(ts, tuple, &arity, &addr) && n < arity && word(ts, addr + 8 * n, e);
}

/* ---- references ------------------------------------------------------------------------- */

/* A magic binary has the numbers behind its destructor, which is code. */
struct magic {
	uint64_t destructor;
	uint32_t num[3], alloc_type;
	/* and then what a NIF or driver has it for */
};

static bool magic_numbers(struct terms *ts, vmaddr_t mb, uint32_t num[3])
{
	const struct layout_fields *f = &ts->vm->lay->f;
	struct magic m;
	uint64_t flags;

	if (mb % 8 || !word(ts, mb + f->bin_flags, &flags) ||
	    !(flags & BIN_FLAG_MAGIC) ||
	    !pages_copy(ts->pages, mb + f->bin_data, &m, sizeof(m)) ||
	    !vm_is_code(ts->vm, m.destructor) || !(m.num[1] & REF_MAGIC_BIT) ||
	    m.num[0] >= MAX_REF_NUM0)
		return false;
	memcpy(num, m.num, sizeof(m.num));
	return true;
}

static bool local_ref(struct terms *ts, eterm_t t, uint64_t header, struct term_ref_parts *r)
{
	uint64_t obj[4] = { 0 }, words = (header >> 6) + 1;
	uint32_t part[8];

	if ((words != 3 && words != 4) || ts->no_refs ||
	    !pages_copy(ts->pages, term_addr(t), obj, 8 * words))
		return false;
	memcpy(part, obj, sizeof(part));
	r->node = 0;
	/* behind them, an alias has the pid that it belongs to: older releases do not print it */
	r->n = words == 4 && ts->vm->otp >= OTP_ALIAS_PIDS ? 5 : 3;
	if (part[2] == ORDINARY_REF) {
		memcpy(r->num, part + ts->vm->lay->f.oref_num / 4, 4 * r->n);
		return r->num[0] < MAX_REF_NUM0;
	}
	return words == 3 && !ts->no_magic &&
	       magic_numbers(ts, obj[ts->vm->lay->f.mref_mb / 8], r->num);
}

bool term_resource_text(struct terms *ts, vmaddr_t resource, char *buf, size_t size)
{
	uint64_t head = ts->vm->lay->f.bin_data + sizeof(struct magic);
	uint32_t num[3];

	if (resource < head || !magic_numbers(ts, resource - head, num))
		return false;
	snprintf(buf, size, "#Ref<0.%u.%u.%u>", num[2], num[1], num[0]);
	return true;
}

/* The name of an external's node; 0 where the VM prints it as its own. */
static bool external_node(struct terms *ts, vmaddr_t node, eterm_t *name)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	const char *text;

	if (node % 8 || !word(ts, node + f->node_sysname, name) || !term_is_atom(*name))
		return false;
	text = term_atom(ts->vm, *name);
	if (!text)
		return false;
	if (!strcmp(text, ts->vm->node))
		*name = 0;
	return true;
}

static bool external(struct terms *ts, eterm_t t, uint64_t words, eterm_t *node, uint64_t *data,
		     uint64_t max)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	uint64_t obj[8];

	if (ts->no_externals || words < 4 || words > 8 || words - 3 > max ||
	    !pages_copy(ts->pages, term_addr(t), obj, 8 * words))
		return false;
	memcpy(data, obj + f->ext_data / 8, 8 * (words - 3));
	return external_node(ts, obj[f->ext_node / 8], node);
}

bool term_external(struct terms *ts, eterm_t t, eterm_t *node, uint64_t data[1])
{
	uint64_t header;
	enum term_kind kind = term_boxed(ts, t, &header);

	return (kind == KIND_EXTERNAL_PID || kind == KIND_EXTERNAL_PORT) && header >> 6 == 3 &&
	       external(ts, t, 4, node, data, 1);
}

bool term_ref_parts(struct terms *ts, eterm_t t, struct term_ref_parts *r)
{
	uint64_t header, data[5];
	uint32_t part[10];
	enum term_kind kind = term_boxed(ts, t, &header);

	if (kind == KIND_REF)
		return local_ref(ts, t, header, r);
	if (kind != KIND_EXTERNAL_REF || !external(ts, t, (header >> 6) + 1, &r->node, data, 5))
		return false;
	/* a count, and the numbers */
	memcpy(part, data, sizeof(part));
	r->n = part[0];
	if (!r->n || r->n > 5 || 4 * (r->n + 1) > 8 * ((header >> 6) - 2))
		return false;
	memcpy(r->num, part + 1, 4 * r->n);
	return true;
}

bool term_ref(struct terms *ts, eterm_t t, uint32_t num[3])
{
	struct term_ref_parts r;
	uint64_t header;

	if (term_boxed(ts, t, &header) != KIND_REF || !local_ref(ts, t, header, &r))
		return false;
	memcpy(num, r.num, 12);
	return true;
}

bool term_ref_equal(struct terms *ts, eterm_t a, eterm_t b)
{
	uint32_t x[3], y[3];

	return term_ref(ts, a, x) && term_ref(ts, b, y) && !memcmp(x, y, sizeof(x));
}

/* ---- binaries --------------------------------------------------------------------------- */

/* Bytes must lie in the Binary that holds them, but for a magic one: a NIF has them elsewhere. */
static bool in_binary(struct terms *ts, vmaddr_t val, vmaddr_t bytes, uint64_t size)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	uint64_t flags, orig;

	if (!val || val % 8 || !word(ts, val + f->bin_flags, &flags) ||
	    !word(ts, val + f->bin_orig_size, &orig))
		return false;
	return flags & BIN_FLAG_MAGIC ||
	       (bytes >= val + f->bin_data && orig < MAX_BITS && size <= orig &&
		bytes - (val + f->bin_data) <= orig - size);
}

/* A heap binary: its size in the second word, which the header must agree with. */
static bool heap_bits(vmaddr_t addr, uint64_t header, uint64_t size, bool in_bits,
		      struct term_bits *b)
{
	uint64_t bits = in_bits ? size : size * 8;

	if (size > MAX_BITS || header >> 6 != 1 + (bits + 63) / 64)
		return false;
	*b = (struct term_bits){ .addr = addr + 16, .bits = bits };
	return true;
}

static bool proc_bin(struct terms *ts, vmaddr_t addr, uint64_t header, struct term_bits *b)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	uint64_t obj[6], size, bytes;

	if (ts->no_binaries || header >> 6 != 5 || !pages_copy(ts->pages, addr, obj, sizeof(obj)))
		return false;
	size = obj[f->procbin_size / 8];
	bytes = obj[f->procbin_bytes / 8];
	if (size > MAX_BITS / 8 || !in_binary(ts, obj[f->oh_val / 8], bytes, size))
		return false;
	*b = (struct term_bits){ .addr = bytes, .bits = size * 8, .off_heap = true };
	return true;
}

/* Until 26: part of another one that is no part itself. */
static bool sub_bin(struct terms *ts, vmaddr_t addr, uint64_t header, struct term_bits *b)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	uint64_t obj[5], size, offs, orig, second;
	unsigned int bitsize, bitoffs;

	/* the header does not count the last word, which is a term */
	if (ts->no_sub_binaries || header >> 6 != 3 ||
	    !pages_copy(ts->pages, addr, obj, sizeof(obj)))
		return false;
	size = obj[f->subbin_size / 8];
	offs = obj[f->subbin_offs / 8];
	orig = obj[f->subbin_orig / 8];
	bitsize = obj[f->subbin_bitsize / 8] & 0xff;
	bitoffs = obj[f->subbin_bitsize / 8] >> 8 & 0xff;
	addr = term_addr(orig);
	if (!term_is_boxed(orig) || size > MAX_BITS / 8 || offs > MAX_BITS / 8 || bitsize > 7 ||
	    bitoffs > 7 || !word(ts, addr, &header) || !word(ts, addr + 8, &second) ||
	    !((header & 0x3f) == 0x20 ? proc_bin(ts, addr, header, b) :
	      (header & 0x3f) == 0x24 && heap_bits(addr, header, second, false, b)) ||
	    (offs + size) * 8 + bitoffs + bitsize > b->bits)
		return false;
	b->at = offs * 8 + bitoffs;
	b->bits = size * 8 + bitsize;
	return true;
}

/* From 27 on: everything off-heap, by bit offsets from a base. */
static bool sub_bits(struct terms *ts, vmaddr_t addr, uint64_t header, struct term_bits *b)
{
	const struct layout_fields *f = &ts->vm->lay->f;
	uint64_t obj[5], base, start, end, orig, val;

	if (ts->no_sub_binaries || header >> 6 != 4 ||
	    !pages_copy(ts->pages, addr, obj, sizeof(obj)))
		return false;
	base = obj[f->subbits_base / 8] & ~3ULL;
	start = obj[f->subbits_start / 8];
	end = obj[f->subbits_end / 8];
	orig = obj[f->subbits_orig / 8];
	addr = term_addr(orig);
	if (!term_is_boxed(orig) || start > end || end > MAX_BITS || !word(ts, addr, &header) ||
	    (header & 0x3f) != 0x28 || header >> 6 != 2 || !word(ts, addr + f->oh_val, &val) ||
	    !in_binary(ts, val, base + start / 8, (end + 7) / 8 - start / 8))
		return false;
	*b = (struct term_bits){ .addr = base, .at = start, .bits = end - start, .off_heap = true };
	return true;
}

bool term_bits(struct terms *ts, eterm_t t, struct term_bits *b)
{
	uint64_t header, second;
	vmaddr_t addr = term_addr(t);
	bool new = new_objects(ts);

	if (term_boxed(ts, t, &header) != KIND_BITS)
		return false;
	switch (header & 0x3f) {
	case 0x20:
		if (!new)
			return proc_bin(ts, addr, header, b);
		return word(ts, addr + 8, &second) && heap_bits(addr, header, second, true, b);
	case 0x24:
		if (new)
			return sub_bits(ts, addr, header, b);
		return word(ts, addr + 8, &second) && heap_bits(addr, header, second, false, b);
	case 0x28:
		return sub_bin(ts, addr, header, b);
	}
	return false;
}

bool term_bits_copy(struct terms *ts, const struct term_bits *b, uint64_t from, size_t n,
		    unsigned char *out)
{
	uint64_t at = b->at + from * 8, bits = b->bits - from * 8, end;
	unsigned int shift = at & 7;
	vmaddr_t addr = b->addr + at / 8;
	unsigned char last = 0;
	size_t i, have;

	if (from * 8 > b->bits || n > (bits + 7) / 8)
		return false;
	if (!n)
		return true;
	/* bytes that hold the bits asked for: one more than n where they begin in the middle */
	end = shift + (bits < n * 8 ? bits : n * 8);
	have = (end + 7) / 8;
	if (!pages_copy(ts->pages, addr, out, n) ||
	    (have > n && !pages_copy(ts->pages, addr + n, &last, 1)))
		return false;
	for (i = 0; shift && i < n; i++)
		out[i] = out[i] << shift | (i + 1 < n ? out[i + 1] : last) >> (8 - shift);
	if (bits < n * 8)
		out[n - 1] &= 0xff << (n * 8 - bits);
	return true;
}

/* ---- funs ------------------------------------------------------------------------------- */

static bool exported_fun(struct terms *ts, vmaddr_t entry, struct term_fun *f)
{
	uint64_t mfa[3];

	if (ts->no_exports || entry % 8 ||
	    !pages_copy(ts->pages, entry + ts->vm->lay->f.export_mfa, mfa, sizeof(mfa)) ||
	    !term_is_atom(mfa[0]) || !term_is_atom(mfa[1]) || mfa[2] > 255)
		return false;
	f->exported = true;
	f->module = mfa[0];
	f->function = mfa[1];
	f->arity = mfa[2];
	return true;
}

/*
 * The loader and the compiler give a fun entry two identities: index and old index are the same
 * (from R15 on), and the old uniq is the first 27 bits of the module's MD5, big endian.
 */
static bool local_fun(struct terms *ts, vmaddr_t entry, struct term_fun *f)
{
	const struct layout_fields *l = &ts->vm->lay->f;
	unsigned char e[256], *md5;
	uint32_t old_index;

	if (ts->no_funs || entry % 8 ||
	    !pages_copy(ts->pages, entry, e, l->funentry_size))
		return false;
	memcpy(&f->module, e + l->funentry_module, 8);
	memcpy(&f->index, e + l->funentry_index, 4);
	memcpy(&old_index, e + l->funentry_old_index, 4);
	memcpy(&f->uniq, e + l->funentry_old_uniq, 4);
	md5 = e + l->funentry_uniq;
	return term_is_atom(f->module) && f->index == old_index &&
	       f->uniq == ((uint32_t)md5[0] << 24 | md5[1] << 16 | md5[2] << 8 | md5[3]) >> 5;
}

static bool is_external_atom(struct terms *ts, eterm_t t)
{
	const char *text = term_is_atom(t) ? term_atom(ts->vm, t) : NULL;

	return text && !strcmp(text, "external");
}

/* Until 26: the words of the struct, with a creator; it is `external' in exported ones (25, 26). */
static bool old_fun(struct terms *ts, vmaddr_t addr, struct term_fun *f)
{
	const struct layout_fields *l = &ts->vm->lay->f;
	uint64_t obj[8], entry, nenv, creator;

	if (ts->no_funs || !pages_copy(ts->pages, addr, obj, l->fun_env))
		return false;
	entry = obj[l->fun_entry / 8];
	nenv = obj[l->fun_num_free / 8] >> l->fun_num_free % 8 * 8;
	if (l->fun_arity_size == 1)
		nenv &= 0xff;
	creator = obj[l->fun_creator / 8];
	if (nenv > 255 || obj[0] >> 6 != l->fun_env / 8 - 2)
		return false;
	f->env = addr + l->fun_env;
	f->nenv = nenv;
	if (is_external_atom(ts, creator))
		return !nenv && exported_fun(ts, entry, f);
	return (term_is_pid(creator) || term_is_boxed(creator)) && local_fun(ts, entry, f);
}

/* From 27 on: the header holds arity and number of terms; the last one is the FunRef. */
static bool new_fun(struct terms *ts, vmaddr_t addr, uint64_t header, struct term_fun *f)
{
	const struct layout_fields *l = &ts->vm->lay->f;
	uint64_t entry, nenv = header >> 16;
	bool exported = !nenv;

	if (ts->vm->otp >= OTP_RECORDS) {
		nenv = header >> 16 & 0xff;
		exported = header >> 24 & 1;
	}
	if (ts->no_funs || nenv > 256 || !word(ts, addr + l->fun_entry, &entry))
		return false;
	f->env = addr + l->fun_env;
	f->nenv = nenv;
	return exported ? exported_fun(ts, entry, f) : local_fun(ts, entry, f);
}

bool term_fun(struct terms *ts, eterm_t t, struct term_fun *f)
{
	uint64_t header, entry;
	enum term_kind kind = term_boxed(ts, t, &header);

	memset(f, 0, sizeof(*f));
	if (kind == KIND_EXPORT)
		return header >> 6 == 1 && word(ts, term_addr(t) + 8, &entry) &&
		       exported_fun(ts, entry, f);
	if (kind != KIND_FUN)
		return false;
	return new_objects(ts) ? new_fun(ts, term_addr(t), header, f) :
				 old_fun(ts, term_addr(t), f);
}
