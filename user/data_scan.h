/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VM's own writable data (.data, .bss) as words, for what has no symbol but can be known by its
 * looks: tables by their name, arrays by elements that number themselves.
 */
#ifndef EBEAM_DATA_SCAN_H
#define EBEAM_DATA_SCAN_H

#include "vm.h"

struct data_area {
	vmaddr_t addr; /* in the target */
	uint64_t *words;
	size_t n;
};

struct data_scan {
	struct data_area areas[16];
	size_t nareas;
};

void data_scan_read(struct vm *vm, struct data_scan *d);
void data_scan_free(struct data_scan *d);

/* Words from @from on that are @value; the address of the next one, 0: no more. */
vmaddr_t data_scan_word(const struct data_scan *d, uint64_t value, vmaddr_t from);
/* The words from an address on, and how many there are; NULL where it is not of this data. */
const uint64_t *data_scan_at(const struct data_scan *d, vmaddr_t addr, size_t *n);

/*
 * Calls @visit for each word that may point to something outside of this data, with @len bytes from
 * there; ones that are not there are left out.  @align: of what is pointed to.
 */
void data_scan_pointers(struct vm *vm, const struct data_scan *d, unsigned int align, size_t len,
			void (*visit)(void *arg, vmaddr_t at, vmaddr_t p, const void *bytes),
			void *arg);

#endif
