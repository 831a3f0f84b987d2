// SPDX-License-Identifier: GPL-2.0-only
/*
 * row_source ROW [FIELD=BYTES]... - print a C source whose structs have the members of a layout row
 *
 * At the row's own offsets; fields that are given (proc_htop=8) so many bytes further.  Compiled
 * with -g it has the DWARF of an emulator with that layout: see dwarf_source.h.
 */
#include "dwarf_source.h"

#include <stdlib.h>

static bool move(struct layout *lay, const char *arg)
{
	size_t len = strcspn(arg, "=");
	int i;

	for (i = 0; i < LAYOUT_NFIELDS; i++)
		if (arg[len] && strlen(layout_field_name(i)) == len &&
		    !strncmp(layout_field_name(i), arg, len)) {
			*layout_field_at(lay, i) += atoi(arg + len + 1);
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	const struct layout *row;
	struct layout lay;
	size_t n;
	int i;

	for (n = 0; (row = layout_row(n)); n++)
		if (argc > 1 && !strcmp(row->name, argv[1]))
			break;
	if (!row) {
		fprintf(stderr, "usage: row_source ROW [FIELD=BYTES]...\n");
		return 2;
	}
	lay = *row;
	for (i = 2; i < argc; i++)
		if (!move(&lay, argv[i])) {
			fprintf(stderr, "row_source: %s is no FIELD=BYTES\n", argv[i]);
			return 2;
		}
	source_write(stdout, &lay, &(struct source_how){ .turn = 1 });
	return 0;
}
