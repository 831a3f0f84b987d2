// SPDX-License-Identifier: GPL-2.0-only
#include "code_private.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define NRANGES 3		/* ERTS_NUM_CODE_IX */
#define MAX_MODULES 262144	/* there are some 1500 in a big node */
#define MAX_FUNCTIONS 65536	/* of one module */
#define MAX_SEARCHED (64u << 20) /* bytes of data; a VM has some 400 kB */
#define MAX_ENTRIES 1000000	/* places that are remembered */
#define MFA_BATCH 512
#define SAMPLE 8

/* --- where r[] is ----------------------------------------------------------------------------- */

static bool is_pointer(uint64_t p)
{
	return p >= 4096 && !(p & 7) && !(p >> 47);
}

/*
 * struct ranges: an array of n elements with room for `allocated`, and, in the record's last word,
 * where the last search ended: an element of it.  One that was never used is all zeros.
 */
static bool is_ranges(const struct layout_fields *f, const unsigned char *raw, bool *used)
{
	uint64_t modules = raw_u64(raw, f->ranges_modules), n = raw_u64(raw, f->ranges_n);
	uint64_t allocated = raw_u64(raw, f->ranges_allocated);
	uint64_t mid = raw_u64(raw, f->ranges_stride - 8);

	*used = modules || n || allocated || mid;
	return !*used || (is_pointer(modules) && n && n <= allocated && allocated <= MAX_MODULES &&
			  mid >= modules && mid <= modules + f->range_stride * n &&
			  !((mid - modules) % f->range_stride));
}

/* How many of three records are in use; 0 where it is not these. */
static unsigned int three_ranges(const struct layout_fields *f, const unsigned char *raw)
{
	unsigned int n = 0, i;
	bool used;

	for (i = 0; i < NRANGES; i++) {
		if (!is_ranges(f, raw + i * f->ranges_stride, &used))
			return 0;
		n += used;
	}
	return n;
}

/* All offsets must lie inside of the structures they are of, or nothing may be read by them. */
static bool offsets_fit(const struct layout_fields *f)
{
	return f->ranges_stride >= 32 && f->ranges_stride <= 64 &&
	       f->ranges_modules <= f->ranges_stride - 8 && f->ranges_n <= f->ranges_stride - 8 &&
	       f->ranges_allocated <= f->ranges_stride - 8 && f->range_stride >= 16 &&
	       f->range_stride <= 64 && f->range_start <= f->range_stride - 8 &&
	       f->range_end <= f->range_stride - 8 && !(f->ranges_stride & 7) &&
	       f->code_functions <= CODE_HEADER_MAX &&
	       f->code_num_functions <= CODE_HEADER_MAX - 8 &&
	       f->code_line_table <= CODE_HEADER_MAX - 8 &&
	       f->code_literal_area <= CODE_HEADER_MAX - 8 && f->codeinfo_mfa <= 64;
}

/* --- copying the arrays ----------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct code_module_info *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static void forget_module(struct code_module_info *m)
{
	code_line_free(m);
	free(m->functions);
}

/*
 * All three are read, so that it need not be known which one is in use: each header proves itself,
 * and of two that claim an address the nearer one is the newer.  Elements of an array ascend; one
 * that was purged is empty.  Returns a copy of all that was read, NULL where it is no such array.
 */
static unsigned char *copy_arrays(struct vm *vm, vmaddr_t at, size_t *len)
{
	const struct layout_fields *f = &vm->lay->f;
	unsigned char head[NRANGES * 64], *raw;
	uint64_t n, start, end, last;
	size_t i, k, total = 0;
	unsigned char *to;

	if (!reader_copy(&vm->rd, at, head, NRANGES * f->ranges_stride) || !three_ranges(f, head))
		return NULL;
	for (i = 0; i < NRANGES; i++)
		total += raw_u64(head + i * f->ranges_stride, f->ranges_n);
	raw = xcalloc(total + 1, f->range_stride);
	for (i = 0, *len = 0; i < NRANGES; i++) {
		n = raw_u64(head + i * f->ranges_stride, f->ranges_n);
		to = raw + *len;
		if (n && !reader_copy(&vm->rd,
				      raw_u64(head + i * f->ranges_stride, f->ranges_modules),
				      to, n * f->range_stride))
			continue;
		for (k = 0, last = 0; k < n; k++, last = end) {
			start = raw_u64(to + k * f->range_stride, f->range_start);
			end = raw_u64(to + k * f->range_stride, f->range_end);
			if (!is_pointer(start) || start < last || end < start || end >> 47)
				break;
		}
		/* one that is being filled is in no order yet, and is not the one in use */
		if (k == n)
			*len += n * f->range_stride;
	}
	if (*len)
		return raw;
	free(raw);
	return NULL;
}

static void take_modules(struct code *c)
{
	const struct layout_fields *f = &c->vm->lay->f;
	size_t i, n = c->raw_len / f->range_stride, k = 0;
	struct code_module_info *m;

	c->modules = xcalloc(n + 1, sizeof(*c->modules));
	for (i = 0; i < n; i++) {
		m = &c->modules[k];
		m->start = raw_u64(c->raw + i * f->range_stride, f->range_start);
		m->end = raw_u64(c->raw + i * f->range_stride, f->range_end);
		k += m->start < m->end;
	}
	qsort(c->modules, k, sizeof(*c->modules), by_start);
	for (i = 0, c->n = 0; i < k; i++)
		if (!c->n || by_start(&c->modules[i], &c->modules[c->n - 1]))
			c->modules[c->n++] = c->modules[i];
}

/* --- a module --------------------------------------------------------------------------------- */

/* Copies and proves its function table. */
static bool module_functions(struct code *c, struct code_module_info *m)
{
	const struct layout_fields *f = &c->vm->lay->f;
	uint64_t n, first;
	size_t i;

	if (m->end - m->start < f->code_functions + 16 ||
	    !reader_copy(&c->vm->rd, m->start, m->header, f->code_functions))
		return false;
	n = raw_u64(m->header, f->code_num_functions);
	first = m->start + f->code_functions;
	if (!n || n > MAX_FUNCTIONS || 8 * (n + 1) > m->end - first)
		return false;
	m->n = n;
	m->functions = xcalloc(n + 1, 8);
	if (!reader_copy(&c->vm->rd, first, m->functions, 8 * (n + 1)))
		return false;
	/* the first one begins behind the table; the last word is where the last one ends */
	if (m->functions[0] < first + 8 * (n + 1) || m->functions[n] > m->end)
		return false;
	for (i = 0; i < n; i++)
		if (m->functions[i + 1] > m->end ||
		    m->functions[i + 1] < m->functions[i] + f->codeinfo_mfa + 24)
			return false;
	return true;
}

static bool is_mfa(struct code *c, const uint64_t mfa[3])
{
	return term_is_atom(mfa[0]) && term_is_atom(mfa[1]) && mfa[2] < 256 &&
	       term_atom(c->vm, mfa[0]) && term_atom(c->vm, mfa[1]);
}

/* All functions say which module they are of. */
static bool module_named(struct code *c, struct code_module_info *m)
{
	const struct layout_fields *f = &c->vm->lay->f;
	struct read_req req[MFA_BATCH];
	uint64_t mfa[MFA_BATCH][3];
	size_t from, i, k;

	for (from = 0; from < m->n; from += k) {
		k = m->n - from < MFA_BATCH ? m->n - from : MFA_BATCH;
		for (i = 0; i < k; i++)
			req[i] = (struct read_req){ m->functions[from + i] + f->codeinfo_mfa,
						    mfa[i], sizeof(mfa[i]), false };
		reader_batch(&c->vm->rd, req, k);
		for (i = 0; i < k; i++) {
			if (!req[i].ok || mfa[i][0] != mfa[0][0] || !term_is_atom(mfa[i][1]) ||
			    mfa[i][2] > 255)
				return false;
			if (from + i == 0)
				m->name = mfa[0][0];
			if (mfa[i][0] != m->name)
				return false;
		}
	}
	/* module_info/0 and /1 are the last ones of most modules; any that is readable will do */
	return is_mfa(c, mfa[0]);
}

static bool module_open(struct code *c, struct code_module_info *m)
{
	if (m->state == MODULE_UNTRIED) {
		m->state = module_functions(c, m) && module_named(c, m) ? MODULE_GOOD :
									  MODULE_REFUSED;
		if (m->state == MODULE_REFUSED) {
			m->name = 0;
			log_all("code: what is at %#llx is no module",
				(unsigned long long)m->start);
		}
	}
	return m->state == MODULE_GOOD;
}

/*
 * The module that covers an address: the last one that begins before it, or, where a stale range
 * lies there, one before that.
 */
static struct code_module_info *module_at(struct code *c, vmaddr_t pc)
{
	size_t lo = 0, hi = c->n, mid, tries;
	struct code_module_info *m;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (c->modules[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (tries = 0; lo && tries < 2 * NRANGES; tries++) {
		m = &c->modules[--lo];
		if (pc < m->end && module_open(c, m))
			return m;
	}
	return NULL;
}

/* --- what is at an address -------------------------------------------------------------------- */

static size_t bucket(vmaddr_t key)
{
	return (key * 0x9e3779b97f4a7c15ULL) >> 50;
}

static struct code_entry *find_entry(struct code_entry *const *table, vmaddr_t key)
{
	struct code_entry *e;

	for (e = table[bucket(key)]; e && e->key != key; e = e->next)
		;
	return e;
}

static struct code_entry *new_entry(struct code *c, struct code_entry **table, vmaddr_t key)
{
	struct code_entry *e = xcalloc(1, sizeof(*e));

	e->key = key;
	e->next = table[bucket(key)];
	table[bucket(key)] = e;
	c->nentries++;
	return e;
}

static bool set_mfa(struct code *c, struct code_at *at, vmaddr_t info)
{
	char text[2 * TERM_TEXT];
	uint64_t mfa[3];

	if (!reader_copy(&c->vm->rd, info, mfa, sizeof(mfa)) || !is_mfa(c, mfa) ||
	    !term_mfa_text(c->vm, mfa[0], mfa[1], mfa[2], text, sizeof(text)))
		return false;
	at->module = mfa[0];
	at->function = mfa[1];
	at->arity = mfa[2];
	at->info = info;
	at->mfa = xstrdup(text);
	at->known = true;
	return true;
}

static void look_up(struct code *c, vmaddr_t pc, struct code_at *at)
{
	const struct layout_fields *f = &c->vm->lay->f;
	struct code_module_info *m = module_at(c, pc);
	size_t lo = 0, hi, mid;

	if (!m || pc < m->functions[0] || pc >= m->functions[m->n])
		return;
	for (hi = m->n; hi - lo > 1;) {
		mid = lo + (hi - lo) / 2;
		if (m->functions[mid] <= pc)
			lo = mid;
		else
			hi = mid;
	}
	if (!set_mfa(c, at, m->functions[lo] + f->codeinfo_mfa) || at->module != m->name) {
		free((char *)at->mfa);
		memset(at, 0, sizeof(*at));
		return;
	}
	at->start = m->functions[lo];
	at->end = m->functions[lo + 1];
	code_line(c, m, lo, pc, &at->file, &at->line);
}

const struct code_at *code_at(struct code *c, vmaddr_t pc)
{
	struct code_entry *e = find_entry(c->by_pc, pc);

	if (e)
		return &e->at;
	if (c->nentries >= MAX_ENTRIES)
		return &c->nowhere;
	e = new_entry(c, c->by_pc, pc);
	look_up(c, pc, &e->at);
	return &e->at;
}

const struct code_at *code_mfa_at(struct code *c, vmaddr_t mfa)
{
	struct code_entry *e = find_entry(c->by_mfa, mfa);

	if (e)
		return &e->at;
	if (c->nentries >= MAX_ENTRIES || !is_pointer(mfa))
		return &c->nowhere;
	e = new_entry(c, c->by_mfa, mfa);
	set_mfa(c, &e->at, mfa);
	return &e->at;
}

vmaddr_t code_return(const struct code *c, vmaddr_t pc)
{
	return pc - (c->vm->jit ? 1 : 8);
}

/* --- open, refresh, close --------------------------------------------------------------------- */

static void forget_entries(struct code *c)
{
	struct code_entry **tables[] = { c->by_pc, c->by_mfa }, *e, *next;
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (k = 0; k < CODE_BUCKETS; k++) {
			for (e = tables[i][k]; e; e = next) {
				next = e->next;
				free((char *)e->at.mfa);
				free(e);
			}
			tables[i][k] = NULL;
		}
	c->nentries = 0;
}

static void forget_modules(struct code *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		forget_module(&c->modules[i]);
	free(c->modules);
	free(c->raw);
	c->modules = NULL;
	c->raw = NULL;
	c->n = 0;
}

/* Most of the ranges must lead to modules: old arrays may name what was purged since. */
static bool leads_to_modules(struct code *c)
{
	size_t i, step = c->n > SAMPLE ? c->n / SAMPLE : 1, tried = 0, good = 0;

	for (i = 0; i < c->n; i += step, tried++)
		good += module_open(c, &c->modules[i]);
	return tried && 2 * good > tried;
}

/* Whether r[] is here; then c has its modules. */
static bool try_ranges(struct code *c, vmaddr_t at)
{
	c->raw = copy_arrays(c->vm, at, &c->raw_len);
	if (!c->raw)
		return false;
	take_modules(c);
	if (leads_to_modules(c))
		return true;
	forget_modules(c);
	return false;
}

struct hit {
	vmaddr_t at;
	unsigned int used; /* records that are in use */
};

/*
 * The file's writable data, as it is in memory now; places that look like r[], each tried.  Zeros
 * around it may look like records that are not used: the place with the most that are is the one.
 */
static void search_segment(struct code *c, const struct segment_map *seg, struct hit *hit)
{
	const struct layout_fields *f = &c->vm->lay->f;
	size_t len = seg->memsz & ~7ULL, need = NRANGES * f->ranges_stride, at, chunk;
	vmaddr_t base = ((seg->vaddr + 7) & ~7ULL) + c->vm->sym.bias;
	unsigned char *raw = xcalloc(1, len);
	unsigned int used;

	if (!reader_copy(&c->vm->rd, base, raw, len))
		/* page by page where some cannot be read: the rest stays 0 */
		for (at = 0; at < len; at += chunk) {
			chunk = 4096 - ((base + at) & 4095);
			if (chunk > len - at)
				chunk = len - at;
			reader_copy(&c->vm->rd, base + at, raw + at, chunk);
		}
	for (at = 0; at + need <= len; at += 8) {
		used = three_ranges(f, raw + at);
		if (used <= hit->used || !try_ranges(c, base + at))
			continue;
		forget_modules(c);
		log_all("code: module ranges at %#llx",
			(unsigned long long)(base + at - c->vm->sym.bias));
		*hit = (struct hit){ base + at, used };
	}
	free(raw);
}

static vmaddr_t search(struct code *c)
{
	const struct symbols *sym = &c->vm->sym;
	struct hit hit = { 0 };
	size_t i;

	for (i = 0; i < sym->nsegs; i++)
		if (sym->segs[i].write && sym->segs[i].memsz <= MAX_SEARCHED)
			search_segment(c, &sym->segs[i], &hit);
	return hit.at;
}

struct code *code_open(struct vm *vm, char *why, size_t why_size)
{
	uint64_t start = now_ns(), faults = vm->rd.faults;
	struct code *c = xcalloc(1, sizeof(*c));

	c->vm = vm;
	if (offsets_fit(&vm->lay->f))
		c->ranges = search(c);
	/* a search tries addresses that need not be any */
	vm->rd.faults = faults;
	if (!c->ranges || !try_ranges(c, c->ranges)) {
		snprintf(why, why_size, "the ranges of loaded modules are not found");
		free(c);
		return NULL;
	}
	log_step("pid %d: %zu ranges of modules, %.1f ms", vm->target.pid, c->n,
		 (now_ns() - start) / 1e6);
	return c;
}

void code_close(struct code *c)
{
	if (!c)
		return;
	forget_entries(c);
	forget_modules(c);
	free(c);
}

/* Whether the modules that were looked into are still what they were. */
static bool modules_changed(struct code *c)
{
	const struct layout_fields *f = &c->vm->lay->f;
	unsigned char header[CODE_HEADER_MAX];
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->modules[i].state == MODULE_GOOD &&
		    (!reader_copy(&c->vm->rd, c->modules[i].start, header, f->code_functions) ||
		     memcmp(header, c->modules[i].header, f->code_functions)))
			return true;
	return false;
}

bool code_refresh(struct code *c)
{
	size_t len;
	unsigned char *raw = copy_arrays(c->vm, c->ranges, &len);
	bool same = raw && len == c->raw_len && !memcmp(raw, c->raw, len);

	/* code is being loaded this very moment: what was known still holds, but for what is new */
	if (!raw || (same && !modules_changed(c))) {
		free(raw);
		return false;
	}
	forget_entries(c);
	forget_modules(c);
	c->raw = raw;
	c->raw_len = len;
	take_modules(c);
	return true;
}

/* --- questions -------------------------------------------------------------------------------- */

bool code_is_module(struct code *c, eterm_t module)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (module_open(c, &c->modules[i]) && c->modules[i].name == module)
			return true;
	return false;
}

void code_text(const struct code_at *at, char *buf, size_t size)
{
	if (!at->known)
		snprintf(buf, size, "%s", "");
	else if (at->file)
		snprintf(buf, size, "%s (%s:%u)", at->mfa, at->file, at->line);
	else
		snprintf(buf, size, "%s", at->mfa);
}

size_t code_modules(const struct code *c)
{
	return c->n;
}

size_t code_refused(const struct code *c)
{
	size_t i, n = 0;

	for (i = 0; i < c->n; i++)
		n += c->modules[i].state == MODULE_REFUSED;
	return n;
}

void code_each(struct code *c, void (*visit)(void *arg, const struct code_module *m), void *arg)
{
	struct code_module m;
	size_t i;

	for (i = 0; i < c->n; i++) {
		module_open(c, &c->modules[i]);
		m = (struct code_module){ c->modules[i].start, c->modules[i].end,
					  c->modules[i].name, c->modules[i].n };
		visit(arg, &m);
	}
}
