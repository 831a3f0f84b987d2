// SPDX-License-Identifier: GPL-2.0-only
/*
 * record_dwarf FILE [FILE-IT-SHARES-DWARF-WITH] - print the layout that FILE's DWARF tells
 *
 * A line `field value` each, `-` for one that is absent.  scripts/otp-root-debug --record makes
 * tests/fixtures/otpNN-dwarf.txt of it.
 */
#include "layout_dwarf.h"

#include <fcntl.h>
#include <stdio.h>

static void print_field(const char *name, unsigned int value)
{
	if (value == LAYOUT_ABSENT)
		printf("%s -\n", name);
	else
		printf("%s %u\n", name, value);
}

int main(int argc, char **argv)
{
	struct dwarf_build build;
	struct layout_fields f;
	char why[256];
	int fd, alt;

	fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	alt = argc > 2 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || (argc > 2 && alt < 0)) {
		fprintf(stderr, "usage: record_dwarf FILE [FILE-IT-SHARES-DWARF-WITH]\n");
		return 2;
	}
	if (layout_dwarf_read(fd, alt, &f, &build, why, sizeof(why))) {
		fprintf(stderr, "record_dwarf: %s: %s\n", argv[1], why);
		return 1;
	}
	printf("# frame_pointer %d, lock_count %d, lock_check %d, debug %d, vm_probes %d\n",
	       build.frame_pointer, build.lock_count, build.lock_check, build.debug,
	       build.vm_probes);
#define L(name, strukt, path, kind) print_field(#name, f.name);
	EBEAM_LAYOUT_FIELDS(L)
#undef L
	return 0;
}
