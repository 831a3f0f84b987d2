/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of the VM's functions and data, and on which rung of the ladder each was found.
 *
 * The rungs, each tried for what those before it lack: the executable's own tables, its separate
 * debug file, a file that the user names, a debuginfod server; last, by the caller, what can be
 * found in code and memory.  All that is reached is merged; an earlier rung wins.
 *
 * All addresses here are link addresses; symbols_addr() adds the load bias.  A static function may
 * carry a compiler's suffix (create_carrier.isra.0): it is found by its plain name; halves of
 * split functions (.cold, .part) are not, nor are static variables of functions (count.1234).
 */
#ifndef EBEAM_SYMBOLS_H
#define EBEAM_SYMBOLS_H

#include "debugfile.h"
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
	bool global; /* not a local symbol: there can be but one */
	enum rung rung;
};

struct segment_map {
	uint64_t vaddr, offset, filesz, memsz;
	bool exec, write;
};

struct symbols_options {
	const char *const *needed; /* names without which nothing can be done; must outlive us */
	size_t nneeded;
	const char *given;     /* --symbols FILE, or NULL */
	bool given_may_differ; /* a given file of another build is no error: it is left alone */
	const char *debug_dir; /* NULL: /usr/lib/debug */
	bool offline;	       /* no debuginfod */
	bool api_only;	       /* only names of the NIF and driver API count */
	unsigned int fetch_s;  /* how long debuginfod may take; 0: a minute */
};

struct symbols {
	struct elf_file exe;
	struct elf_file debug; /* the file with DWARF, where that is another; fd -1: none */
	struct symbol *syms;   /* in no order: see symbols_nth() */
	size_t n, capacity;
	uint32_t *by_addr, *by_name; /* indices into syms */
	struct segment_map segs[16];
	size_t nsegs;
	uint64_t eh_frame_hdr; /* link address of that table, 0 when there is none */
	uint64_t bias; /* added to a link address gives the address in the target */
	const char *source; /* "symtab", "dynsym", ...: the last rung that was needed */
	enum rung source_rung;
	char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* hex, "" when none */
	int machine;				 /* EM_X86_64, ... */
	void **owned;	      /* memory with names */
	size_t nowned;
	bool has_probes; /* .note.stapsdt: built with dynamic tracing */
	bool api_only;
	const char *const *needed;
	size_t nneeded;
	struct rung_result rungs[RUNG_N];
};

/**
 * symbols_open() - climb the ladder, down to debuginfod
 * @opt: NULL is as if nothing were needed
 *
 * Fails when the executable is no ELF of 64 bits, when a given file cannot be read, is no such ELF
 * or is of another build, and when there is not one symbol anywhere.  That needed names are
 * missing is no failure: see symbols_missing().
 */
int symbols_open(struct symbols *s, const struct target *t, const struct symbols_options *opt);
/* From lines `address size name` (hex, hex): the companion of a recording.  No code. */
int symbols_open_list(struct symbols *s, const char *path);
void symbols_close(struct symbols *s);

/* "symtab", "dynsym", "debugfile", "file", "debuginfod", "bootstrap" */
const char *rung_name(enum rung rung);
/* The first needed name that is on no rung, or NULL. */
const char *symbols_missing(const struct symbols *s);
/* An open file with .debug_info of this build, or -1; belongs to @s. */
int symbols_dwarf_fd(const struct symbols *s);

/* By exact name, then by name and compiler suffix; NULL when absent. */
const struct symbol *symbols_find(const struct symbols *s, const char *name);
/* Address in the target, 0 when absent. */
vmaddr_t symbols_addr(const struct symbols *s, const char *name);
/* The function that starts at, or covers, an address in the target; NULL when none. */
const struct symbol *symbols_at(const struct symbols *s, vmaddr_t addr);
/* The i-th symbol by address; i is below s->n. */
const struct symbol *symbols_nth(const struct symbols *s, size_t i);

/**
 * symbols_add() - take in what another rung has found
 *
 * @name is copied.  A name that is there already, also with a compiler's suffix, is left alone.
 * Pointers to symbols got before are void.
 */
void symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, bool func,
		 enum rung rung);

/* Forgets all that a rung has given. */
void symbols_drop(struct symbols *s, enum rung rung);

/**
 * symbols_merge() - take in a whole table
 *
 * Names that an earlier rung has are left alone; so is all that lies outside of the executable's
 * segments or is no name.  @t is taken over and emptied.  Returns how many came in.
 */
size_t symbols_merge(struct symbols *s, struct elf_symtab *t, enum rung rung);

/* Whether a link address lies in what the executable occupies in memory. */
bool symbols_inside(const struct symbols *s, uint64_t link_addr);
/* File offset of a link address that is executable code; false when it is not. */
bool symbols_file_offset(const struct symbols *s, uint64_t link_addr, uint64_t *offset);
/* Bytes of the file at a link address: what the linker put there, without breakpoints. */
size_t symbols_code(const struct symbols *s, uint64_t link_addr, void *buf, size_t len);

#endif
