/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files with DWARF: which other file is needed with one, and both opened (libdw).  Whether a file
 * has any is told by elf_file.h.
 *
 * Such files are hostile input.  They are read, not mapped: one that shrinks meanwhile is an
 * error, no signal.  What their sections stand for when uncompressed is bounded, and nothing but
 * the given files is opened: libdw would follow names out of the file, in the wrong root folder.
 */
#ifndef EBEAM_DWARF_FILE_H
#define EBEAM_DWARF_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The file that another one shares DWARF with (dwz): debug packages of Debian and Fedora. */
struct dwarf_alt {
	char name[4096];   /* absolute, or relative to the folder of the file that names it */
	char build_id[64]; /* hex */
};

#define DWARF_FILE_SECTIONS 32

struct dwarf_file {
	struct Elf *elf, *alt_elf;
	struct Dwarf *dbg, *alt_dbg; /* alt_dbg: NULL when none is needed */
	/* the debug sections of both, uncompressed */
	struct { const char *start, *end; } section[DWARF_FILE_SECTIONS];
	size_t nsections;
};

/**
 * dwarf_file_alt() - which other file is needed to read this one; cheap
 * @fd: stays open, its position does not matter    @alt: filled in when there is one
 *
 * The caller finds it (in the root folder of the target) and opens it for dwarf_file_open().
 */
bool dwarf_file_alt(int fd, struct dwarf_alt *alt);

/**
 * dwarf_file_open() - a file and, where it needs one, the other
 * @fd: ELF of 64 bits, linked, DWARF 4 or 5, sections compressed or not
 * @alt_fd: the file that dwarf_file_alt() named, else -1; build ids must match
 * @why: on failure what is wrong, to follow the file's name; safe to print
 *
 * Both descriptors stay the caller's, and open until dwarf_file_close().
 * Returns 0 or -EINVAL.
 */
int dwarf_file_open(struct dwarf_file *f, int fd, int alt_fd, char *why, size_t why_size);
void dwarf_file_close(struct dwarf_file *f);

/* Whether a string that libdw gave ends within its section: libdw 0.188 does not look. */
bool dwarf_file_has_string(const struct dwarf_file *f, const char *s);

#endif
