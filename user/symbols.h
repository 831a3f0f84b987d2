/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of the VM's functions and data, and on which rung of the ladder each was found.
 *
 * All addresses here are link addresses; symbols_addr() adds the load bias.  A static function may
 * carry a compiler's suffix (create_carrier.isra.0): it is found by its plain name; halves of
 * split functions (.cold, .part) are not.
 */
#ifndef EBEAM_SYMBOLS_H
#define EBEAM_SYMBOLS_H

#include "target.h"

/* Where a symbol comes from, in the order in which the rungs are tried. */
enum rung {
	RUNG_SYMTAB,	 /* .symtab of the executable */
	RUNG_DYNSYM,	 /* its .dynsym */
	RUNG_DEBUGFILE,	 /* its separate debug file, found by build id or debuglink */
	RUNG_GIVEN,	 /* --symbols FILE */
	RUNG_DEBUGINFOD, /* a debug file from a debuginfod server */
	RUNG_BOOTSTRAP,	 /* found in code and memory: see bootstrap.h */
	RUNG_N,
};

struct symbol {
	const char *name; /* owned by the table */
	uint64_t addr;	  /* link address */
	uint64_t size;	  /* 0 when not known */
	bool func;
	enum rung rung;
};

struct segment_map {
	uint64_t vaddr, offset, filesz, memsz;
	bool exec, write;
};

struct symbols {
	int fd;
	void *elf; /* Elf * */
	struct symbol *syms;
	size_t n;
	struct segment_map segs[16];
	size_t nsegs;
	uint64_t bias; /* added to a link address gives the address in the target */
	const char *source; /* "symtab", "dynsym", ...: the last rung that was needed */
	char build_id[64];  /* hex, "" when none */
	int machine;	    /* EM_X86_64, ... */
	char **owned;	    /* names that are not in the file */
	size_t nowned;
	bool has_probes;    /* .note.stapsdt: built with dynamic tracing */
};

/* Fails when the file is no ELF of 64 bits or has no symbols at all. */
int symbols_open(struct symbols *s, const struct target *t);
/* From lines `address size name` (hex, hex): the companion of a recording.  No code. */
int symbols_open_list(struct symbols *s, const char *path);
void symbols_close(struct symbols *s);

/* By exact name, then by name and compiler suffix; NULL when absent. */
const struct symbol *symbols_find(const struct symbols *s, const char *name);
/* Address in the target, 0 when absent. */
vmaddr_t symbols_addr(const struct symbols *s, const char *name);
/* The function that starts at, or covers, an address in the target; NULL when none. */
const struct symbol *symbols_at(const struct symbols *s, vmaddr_t addr);

/* File offset of a link address that is executable code; false when it is not. */
/**
 * symbols_add() - take in what another rung has found
 *
 * @name is copied.  A name that an earlier rung has is left alone.  Pointers to symbols got before
 * are void.
 */
void symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, bool func,
		 enum rung rung);

bool symbols_file_offset(const struct symbols *s, uint64_t link_addr, uint64_t *offset);
/* Bytes of the file at a link address: what the linker put there, without breakpoints. */
size_t symbols_code(const struct symbols *s, uint64_t link_addr, void *buf, size_t len);

#endif
