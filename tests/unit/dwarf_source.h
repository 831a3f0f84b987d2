/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A C source whose structs have the members that the layout names, at the offsets of a row.
 *
 * Every member is a char (or as many as its size) behind padding, in an anonymous struct of its
 * own, all of them in an anonymous union: whatever the offsets are, overlapping ones too, this
 * compiles.  A nested struct begins halfway to its first member, so that offsets must be added
 * up.  A struct is known by its tag, by a typedef, or by both, in turn; alternatives ("a|b") are
 * taken in turn, too.
 */
#ifndef DWARF_SOURCE_H
#define DWARF_SOURCE_H

#include "layout.h"

#include <string.h>

/* What is different from the row; names of fields are those of EBEAM_LAYOUT_FIELDS. */
struct source_how {
	unsigned int turn;
	const char *no_struct, *no_field, *bit_field, *far_field;
	unsigned int chain; /* typedefs between the struct Process and its name */
	const char *extra;  /* more members of Process */
	bool declare_only, not_structs;
};

struct source_field {
	const char *name;
	char strukt[64], path[128];
	unsigned int value;
	bool size; /* value is the size of the member, or of the struct when path is "" */
};

#define SOURCE_FIELDS (sizeof(struct layout_fields) / sizeof(unsigned int))

/* The alternative whose turn it is of a list "a|b#size". */
static inline void source_pick(const char *list, unsigned int turn, char *out, size_t size)
{
	size_t len = strcspn(list, "#"), n = 1, i, part;

	for (i = 0; i < len; i++)
		n += list[i] == '|';
	for (i = turn % n; i; i--)
		list += strcspn(list, "|") + 1;
	part = strcspn(list, "|#");
	snprintf(out, size, "%.*s", (int)part, list);
}

static inline size_t source_fields(struct source_field v[SOURCE_FIELDS], const struct layout *row,
				   const struct source_how *how)
{
	static const struct { const char *name, *strukt, *path; } list[] = {
#define L(name, strukt, path, kind) { #name, strukt, path },
		EBEAM_LAYOUT_FIELDS(L)
#undef L
	};
	unsigned int values[SOURCE_FIELDS];
	size_t n = 0, i;

	memcpy(values, &row->f, sizeof(values));
	for (i = 0; i < SOURCE_FIELDS; i++) {
		v[n].name = list[i].name;
		source_pick(list[i].strukt, how->turn, v[n].strukt, sizeof(v[n].strukt));
		source_pick(list[i].path, how->turn, v[n].path, sizeof(v[n].path));
		v[n].value = values[i];
		v[n].size = strchr(list[i].path, '#');
		if (v[n].value == LAYOUT_ABSENT ||
		    (how->no_field && !strcmp(v[n].name, how->no_field)) ||
		    (how->no_struct && !strcmp(v[n].strukt, how->no_struct)))
			continue;
		n++;
	}
	return n;
}

/* The fields of one struct that begin with a path, and where they are. */
struct source_group {
	const struct source_field *exact; /* the path itself is a field */
	unsigned int min, bytes;
	bool nested;
};

static inline struct source_group source_group(const struct source_field *v, size_t n,
					       const char *strukt, const char *path)
{
	struct source_group g = { .min = UINT32_MAX, .bytes = 1 };
	size_t len = strlen(path), i;

	for (i = 0; i < n; i++) {
		if (strcmp(v[i].strukt, strukt) || strncmp(v[i].path, path, len))
			continue;
		if (v[i].path[len] && v[i].path[len] != '.')
			continue;
		if (v[i].size) {
			if (!v[i].path[len])
				g.bytes = v[i].value;
			continue;
		}
		if (!v[i].path[len])
			g.exact = &v[i];
		else
			g.nested = true;
		if (v[i].value < g.min)
			g.min = v[i].value;
	}
	return g;
}

/* The members under a prefix ("" or "a.b."), whose struct begins at base. */
static inline void source_members(FILE *f, const struct source_field *v, size_t n,
				  const char *strukt, const char *prefix, unsigned int base,
				  const struct source_how *how)
{
	size_t plen = strlen(prefix), i, k;
	struct source_group g;
	char path[130], inner[132];
	unsigned int at;

	for (i = 0; i < n; i++) {
		if (strcmp(v[i].strukt, strukt) || strncmp(v[i].path, prefix, plen) ||
		    !v[i].path[plen] || v[i].size)
			continue;
		snprintf(path, sizeof(path), "%.*s",
			 (int)(plen + strcspn(v[i].path + plen, ".")), v[i].path);
		for (k = 0; k < i; k++)
			if (!strcmp(v[k].strukt, strukt) && !v[k].size &&
			    !strncmp(v[k].path, path, strlen(path)) &&
			    (!v[k].path[strlen(path)] || v[k].path[strlen(path)] == '.'))
				break;
		if (k < i)
			continue;
		g = source_group(v, n, strukt, path);
		at = g.exact ? g.exact->value : g.nested ? base + (g.min - base) / 2 : g.min;
		if (g.exact && how->far_field && !strcmp(g.exact->name, how->far_field))
			at += 2 << 20;
		fprintf(f, "\tstruct { char pad_%zu_%zu[%u]; ", plen, i, at - base);
		if (g.nested) {
			snprintf(inner, sizeof(inner), "%s.", path);
			fprintf(f, "volatile struct { union {\n");
			source_members(f, v, n, strukt, inner, at, how);
			fprintf(f, "\t}; } %s; };\n", path + plen);
		} else if (how->bit_field && !strcmp(v[i].name, how->bit_field)) {
			fprintf(f, "unsigned char %s : 5; };\n", path + plen);
		} else if (g.bytes > 1) {
			fprintf(f, "volatile char %s[%u]; };\n", path + plen, g.bytes);
		} else {
			fprintf(f, "volatile char %s; };\n", path + plen);
		}
	}
}

static inline void source_struct(FILE *f, const struct source_field *v, size_t n, size_t first,
				 unsigned int form, const struct source_how *how)
{
	const char *name = v[first].strukt;
	bool process = !strcmp(name, "Process");
	unsigned int i, links = process ? how->chain : 0;

	form = links ? 0 : form % 3;
	fprintf(f, "%sstruct %s%s {\n\tunion {\n\tchar is_%s;\n", form == 0 ? "typedef " : "",
		form == 0 ? "" : name, form == 2 ? "_tag" : "", name);
	for (i = 0; i < n; i++)
		if (!strcmp(v[i].strukt, name) && !v[i].path[0])
			fprintf(f, "\tchar whole[%u];\n", v[i].value);
	if (process && how->extra)
		fprintf(f, "\tstruct { %s };\n", how->extra);
	source_members(f, v, n, name, "", 0, how);
	fprintf(f, "\t};\n}%s%s;\n", form == 0 ? " " : "", form ? "" : links ? "link_0" : name);
	for (i = 1; i < links; i++)
		fprintf(f, "typedef link_%u link_%u;\n", i - 1, i);
	if (links)
		fprintf(f, "typedef link_%u %s;\n", links - 1, name);
	if (form == 2)
		fprintf(f, "typedef struct %s_tag %s;\n", name, name);
	fprintf(f, "static %s%s var_%s __attribute__((used));\n", form == 1 ? "struct " : "", name,
		name);
}

static inline void source_write(FILE *f, const struct layout *row, const struct source_how *how)
{
	struct source_field v[SOURCE_FIELDS];
	size_t n = source_fields(v, row, how), i, k;

	for (i = 0; i < n; i++) {
		for (k = 0; k < i && strcmp(v[k].strukt, v[i].strukt); k++)
			;
		if (k < i)
			continue;
		if (how->declare_only && i % 2)
			fprintf(f, "static struct %s *p_%zu __attribute__((used));\n", v[i].strukt,
				i);
		else if (how->declare_only)
			fprintf(f, "typedef struct tag_%zu %s;\nstatic %s *p_%zu "
				"__attribute__((used));\n", i, v[i].strukt, v[i].strukt, i);
		else if (how->not_structs)
			fprintf(f, "typedef int %s;\nstatic %s v_%zu __attribute__((used));\n",
				v[i].strukt, v[i].strukt, i);
		else
			source_struct(f, v, n, i, i + how->turn, how);
	}
}

#endif
