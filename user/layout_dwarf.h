/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the fields of the VM's structures lie, as the compiler wrote it down (DWARF, libdw).
 *
 * A VM that one built oneself (kerl, asdf, mise; a distribution's separate debug file) carries
 * the truth about its own structures, whatever its release, flavour and options.  The fields are
 * those of include/ebeam_layout.h; what is read here is a claim like a row of layout_rows.h, to
 * be proven on the live memory (prove.c).
 *
 * A structure is found by tag or by typedef, in any unit of the file: all of its definitions must
 * put our fields at the same place.  scripts/gen-layout --dwarf has the same rules.
 *
 * Files are hostile input: see dwarf_file.h; here counts, depths and time are bounded.
 */
#ifndef EBEAM_LAYOUT_DWARF_H
#define EBEAM_LAYOUT_DWARF_H

#include "ebeam_layout.h"

#include <stdbool.h>
#include <stddef.h>

/* How the VM was built, told by members that only such builds have. */
struct dwarf_build {
	bool frame_pointer; /* configured for the JIT of x86_64 (from 25); its interpreter too */
	bool lock_count;
	bool lock_check;
	bool debug;
	bool vm_probes; /* dynamic tracing */
};

/**
 * layout_dwarf_read() - all fields, from the DWARF of one file
 * @fd: the executable or its separate debug file (dwarf_file.h)
 * @alt_fd: the file that dwarf_file_alt() named, -1 when it named none; build ids must match
 * @out: each field's offset or size; LAYOUT_ABSENT for a MAY that this VM does not have
 * @build: may be NULL
 * @why: on failure what is wrong, to follow the file's name: "has no Process.htop in its DWARF"
 *
 * Some 60 ms for a beam.smp of 40 MB, 0.2 s when its DWARF is compressed.  Gives up after 10 s.
 * Returns 0, -ENOENT (a structure or a MUST is missing), -EINVAL (not such a file, damaged,
 * refused) or -ETIME.
 */
int layout_dwarf_read(int fd, int alt_fd, struct layout_fields *out, struct dwarf_build *build,
		      char *why, size_t why_size);

#endif
