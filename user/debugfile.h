/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Separate debug files: where they are looked for, and whether one is of the VM's very build.
 *
 * The places are those that gdb documents: /usr/lib/debug/.build-id/ab/cdef.debug by build id, then
 * the name in .gnu_debuglink beside the executable, in .debug there, and under /usr/lib/debug; all
 * of it on this host and in the VM's own root.  That root may be a hostile container's: links are
 * followed inside of it only, and nothing but regular files is opened.
 *
 * What makes a file the VM's: an equal build id.  Where there is none, a debuglink's CRC32 of the
 * whole file, and for a file that the user names, the machine code itself.
 */
#ifndef EBEAM_DEBUGFILE_H
#define EBEAM_DEBUGFILE_H

#include "elf_file.h"
#include "target.h"

#define DEBUG_DIR "/usr/lib/debug"

/* What a rung of the ladder gave. */
enum rung_status {
	RUNG_UNTRIED, /* not needed, or not asked for */
	RUNG_NOTHING, /* there is no such table or file: @why */
	RUNG_REFUSED, /* there is one, but it cannot be used: @why */
	RUNG_GAVE,
};

struct rung_result {
	enum rung_status status;
	size_t symbols; /* that no earlier rung has */
	size_t needed;	/* how many of these are among the needed names */
	char file[512]; /* "" where it is the executable, or there is none */
	char why[256];	/* follows the file's name, where there is one */
};

/**
 * debugfile_find() - look for the debug file of an executable
 * @debug_dir: absolute, as DEBUG_DIR
 * @d: open when the status is RUNG_GAVE
 *
 * A file that does not fit does not end the search; the first such is told of when none fits.
 */
void debugfile_find(const struct elf_file *exe, const struct target *t, const char *debug_dir,
		    struct elf_file *d, struct rung_result *r);

/**
 * debugfile_given() - open the file of --symbols
 * @may_differ: one of another build is left alone (RUNG_REFUSED)
 *
 * Returns 0, or -1 with a failure noted: exit 1 or 4 for a file that cannot be opened, 3 for one
 * that is of no use here.
 */
int debugfile_given(const char *path, const struct elf_file *exe, bool may_differ,
		    struct elf_file *d, struct rung_result *r);

/* Whether the file of --symbols is an ELF file at all; -1 with a failure noted, as above. */
int debugfile_check(const char *path);

/* Whether an open file is of the executable's build by build id, or where one lacks it by code. */
bool debugfile_fits(const struct elf_file *d, const struct elf_file *exe, char *why, size_t size);

/**
 * debugfile_open_in() - open a regular file below a root, as a process in that root would
 * @root:  an open folder, or -1: the root of this process
 * @path:  absolute
 * @links: false: for kernels without openat2(2); then no link is followed at all
 *
 * Returns a descriptor or -errno; -EINVAL for what is no regular file.
 */
int debugfile_open_in(int root, const char *path, bool links);

#endif
