/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An ELF file, as far as names of functions need it: segments, symbol tables, build id, link to a
 * separate debug file.
 *
 * Such files come out of containers, from servers and from the command line: every offset and size
 * in them is hostile.  All is copied with pread, bounded by the length of the file and by limits
 * of our own; nothing is mapped, so a file that shrinks meanwhile gives a short read, not SIGBUS.
 * Only 64-bit little-endian files are taken: the VMs that ebeam knows are of no other kind.
 */
#ifndef EBEAM_ELF_FILE_H
#define EBEAM_ELF_FILE_H

#include <elf.h>
#include <limits.h>
#include "util.h"

#define ELF_MAX_SYMBOLS 1000000
#define ELF_MAX_STRINGS (64 << 20)
#define ELF_BUILD_ID_MAX 64 /* bytes; sha1 has 20 */

struct elf_file {
	int fd;
	uint64_t size;
	int machine; /* EM_X86_64, ... */
	Elf64_Phdr *ph;
	size_t nph;
	Elf64_Shdr *sh;
	size_t nsh;
	char *names; /* of sections */
	size_t names_len;
	char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* hex, "" when none that identifies */
	char debuglink[NAME_MAX + 1];		 /* as the file has it: maybe no plain name; "" */
	uint32_t debuglink_crc;
	bool has_symtab; /* .symtab: not stripped */
	bool has_dwarf;	 /* .debug_info, or as compressed once: .zdebug_info */
	bool has_probes; /* .note.stapsdt: built with dynamic tracing */
};

/* A symbol table in memory of our own. */
struct elf_symtab {
	Elf64_Sym *v;
	size_t n;
	char *names; /* ends with NUL */
	size_t names_len;
};

/**
 * elf_file_open() - read what describes the file
 * @fd:  open for reading; belongs to @e from now on, unless this fails
 * @why: what is wrong with it, to follow the file's name: "is no ELF file"
 *
 * Sections that are cut off or contradict themselves are as if they were not there: only a file
 * without a sound header is refused.  Returns 0 or -1.
 */
int elf_file_open(struct elf_file *e, int fd, char *why, size_t size);
void elf_file_close(struct elf_file *e);

/**
 * elf_file_symtab() - the first symbol table of a type
 * @type: SHT_SYMTAB or SHT_DYNSYM
 *
 * Returns 0, or with @why -ENOENT where there is none, -EINVAL where it is garbled.
 */
int elf_file_symtab(const struct elf_file *e, unsigned int type, struct elf_symtab *t, char *why,
		    size_t size);
void elf_symtab_free(struct elf_symtab *t);
/* Name of a symbol; "" when it has none. */
const char *elf_symtab_name(const struct elf_symtab *t, size_t i);

/**
 * elf_file_same_code() - whether two files hold the same machine code
 *
 * Compares every byte of @e's executable sections with what @exe has at their addresses.  For
 * files of which one has no build id.  Returns 0 when all is equal, 1 when not, -1 when @e has no
 * code to compare, as a debug file.
 */
int elf_file_same_code(const struct elf_file *e, const struct elf_file *exe);

/* CRC32 of the whole file, as .gnu_debuglink counts it; false when it cannot be read. */
bool elf_file_crc(const struct elf_file *e, uint32_t *crc);

#endif
