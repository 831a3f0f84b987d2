/* SPDX-License-Identifier: GPL-2.0-only */
/* Between code.c, which finds modules and functions, and code_line.c, which finds lines. */
#ifndef EBEAM_CODE_PRIVATE_H
#define EBEAM_CODE_PRIVATE_H

#include "code.h"

#define CODE_HEADER_MAX 192

struct code_module_info {
	vmaddr_t start, end;
	enum { MODULE_UNTRIED, MODULE_GOOD, MODULE_REFUSED } state;
	eterm_t name;
	size_t n;		     /* functions */
	uint64_t *functions;	     /* n of them, and where the last one ends */
	unsigned char header[CODE_HEADER_MAX]; /* as it was copied, to see whether it changed */
	/* the line table: see code_line.c */
	bool lines_tried;
	uint64_t fname_ptr, loc_tab, func_tab, line_table; /* line_table 0: there is none */
	uint32_t loc_size;
	char **files; /* texts by number, NULL where not asked for yet */
	size_t nfiles;
};

struct code_entry {
	struct code_entry *next;
	vmaddr_t key;
	struct code_at at;
};

#define CODE_BUCKETS 16384

struct code {
	struct vm *vm;
	vmaddr_t ranges; /* of struct ranges r[0] */
	unsigned char *raw; /* the arrays as they were copied */
	size_t raw_len;
	struct code_module_info *modules; /* by start */
	size_t n;
	struct code_entry *by_pc[CODE_BUCKETS], *by_mfa[CODE_BUCKETS];
	size_t nentries;
	struct code_at nowhere;
};

/* File and line of @pc in function number @k of a module; NULL and 0 where there is no location. */
void code_line(struct code *c, struct code_module_info *m, size_t k, vmaddr_t pc,
	       const char **file, unsigned int *line);
void code_line_free(struct code_module_info *m);

#endif
