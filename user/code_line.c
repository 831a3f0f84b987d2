// SPDX-License-Identifier: GPL-2.0-only
/*
 * The line table of a module: which file and line a code address comes from.
 *
 * func_tab[k] points into one array of code addresses, those of function k up to func_tab[k + 1];
 * the last one that is not above the address tells, by its place in the whole array, the location
 * in loc_tab: the line in 24 bits, and above them the file, in 2 bytes or 4.  Until 24 file 0 is
 * the module's own name, and file n is the atom n - 1 of fname_ptr; from 25 on file n is a literal
 * string n of it.  beam_ranges.c: lookup_loc(); beam_code.h.
 */
#include "code_private.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE_NAME 1024
#define MAX_LINES 65536 /* code addresses of one function */
#define MAX_FILES 256

/*
 * The table is one block: func_tab, n + 1 pointers; the code addresses that they point to, and
 * where the code ends; the file names, where fname_ptr points to; the locations.
 */
static bool lines_open(struct code *c, struct code_module_info *m)
{
	const struct layout_fields *f = &c->vm->lay->f;
	struct reader *rd = &c->vm->rd;
	uint64_t table, last;

	if (m->lines_tried)
		return m->line_table;
	m->lines_tried = true;
	memcpy(&table, m->header + f->code_line_table, 8);
	if (!table || table & 7 || !reader_u64(rd, table + f->line_fname, &m->fname_ptr) ||
	    !reader_u32(rd, table + f->line_loc_size, &m->loc_size) ||
	    !reader_u64(rd, table + f->line_loc_tab, &m->loc_tab) ||
	    !reader_u64(rd, table + f->line_func_tab, &m->func_tab) ||
	    !reader_u64(rd, table + f->line_func_tab + 8 * m->n, &last))
		return false;
	if (m->func_tab != table + f->line_func_tab + 8 * (m->n + 1) || last < m->func_tab ||
	    m->fname_ptr != last + 8 || m->loc_tab < m->fname_ptr ||
	    m->loc_tab - m->fname_ptr > 8 * MAX_FILES || (m->loc_size != 2 && m->loc_size != 4))
		return false;
	m->nfiles = (m->loc_tab - m->fname_ptr) / 8 + (c->vm->otp < 25);
	m->files = xcalloc(m->nfiles + 1, sizeof(*m->files));
	m->line_table = table;
	return true;
}

/* A list of characters, or an atom. */
static char *file_text(struct code *c, eterm_t term)
{
	char raw[MAX_FILE_NAME], text[4 * MAX_FILE_NAME + 1];
	uint64_t cons[2] = { 0, term };
	uint32_t ch;
	size_t n = 0;

	if (term_is_atom(term)) {
		const char *atom = term_atom(c->vm, term);

		return atom ? xstrdup(atom) : NULL;
	}
	while ((cons[1] & 3) == 1) {
		if (n > sizeof(raw) - 4 ||
		    !reader_copy(&c->vm->rd, cons[1] & ~7ULL, cons, sizeof(cons)) ||
		    !term_is_small(cons[0]) || cons[0] >> 4 > 0x10ffff)
			return NULL;
		ch = cons[0] >> 4;
		if (ch < 0x80) {
			raw[n++] = ch;
		} else if (ch < 0x800) {
			raw[n++] = 0xc0 | ch >> 6;
			raw[n++] = 0x80 | (ch & 63);
		} else if (ch < 0x10000) {
			raw[n++] = 0xe0 | ch >> 12;
			raw[n++] = 0x80 | (ch >> 6 & 63);
			raw[n++] = 0x80 | (ch & 63);
		} else {
			raw[n++] = 0xf0 | ch >> 18;
			raw[n++] = 0x80 | (ch >> 12 & 63);
			raw[n++] = 0x80 | (ch >> 6 & 63);
			raw[n++] = 0x80 | (ch & 63);
		}
	}
	if (!n || cons[1] != c->vm->lay->facts->nil)
		return NULL;
	text_escape(raw, n, text, sizeof(text));
	return xstrdup(text);
}

static const char *file_name(struct code *c, struct code_module_info *m, uint32_t file)
{
	char text[TERM_TEXT + 8];
	const char *name;
	uint64_t term;

	if (file >= m->nfiles)
		return NULL;
	if (m->files[file])
		return m->files[file];
	if (c->vm->otp < 25 && !file) {
		name = term_atom(c->vm, m->name);
		if (!name)
			return NULL;
		snprintf(text, sizeof(text), "%s.erl", name);
		m->files[0] = xstrdup(text);
	} else if (reader_u64(&c->vm->rd, m->fname_ptr + 8 * (file - (c->vm->otp < 25)), &term)) {
		m->files[file] = file_text(c, term);
	}
	return m->files[file];
}

void code_line(struct code *c, struct code_module_info *m, size_t k, vmaddr_t pc,
	       const char **file, unsigned int *line)
{
	const struct layout_fields *f = &c->vm->lay->f;
	struct reader *rd = &c->vm->rd;
	uint64_t span[2], *at = NULL, first;
	uint32_t loc = 0;
	size_t lo = 0, hi, n, mid;

	*file = NULL;
	*line = 0;
	if (!lines_open(c, m) || k >= m->n ||
	    !reader_copy(rd, m->line_table + f->line_func_tab + 8 * k, span, sizeof(span)))
		return;
	first = m->func_tab;
	if (span[0] < first || span[1] <= span[0] || (span[0] | span[1]) & 7 ||
	    span[1] >= m->fname_ptr || (span[1] - span[0]) / 8 > MAX_LINES)
		return;
	/* and the one behind, where the last one ends */
	n = (span[1] - span[0]) / 8;
	at = xcalloc(n + 1, 8);
	if (!reader_copy(rd, span[0], at, 8 * (n + 1)))
		goto out;
	for (mid = 0; mid < n; mid++)
		/* the first may be that of the padding before the function (25) */
		if (at[mid] > at[mid + 1] || at[mid] + 8 < m->functions[k] ||
		    at[mid] > m->functions[k + 1])
			goto out;
	for (hi = n; lo < hi;) {
		mid = lo + (hi - lo) / 2;
		if (pc < at[mid])
			hi = mid;
		else if (pc < at[mid + 1])
			break;
		else
			lo = mid + 1;
	}
	if (lo >= hi)
		goto out;
	mid += (span[0] - first) / 8;
	if (!reader_copy(rd, m->loc_tab + m->loc_size * mid, &loc, m->loc_size) || !loc)
		goto out;
	*file = file_name(c, m, loc >> 24);
	if (*file)
		*line = loc & 0xffffff;
out:
	free(at);
}

void code_line_free(struct code_module_info *m)
{
	size_t i;

	for (i = 0; i < m->nfiles; i++)
		free(m->files[i]);
	free(m->files);
	m->files = NULL;
	m->nfiles = 0;
}
