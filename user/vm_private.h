/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files that open a VM: vm.c, vm_identify.c, vm_layout.c, vm_tables.c. */
#ifndef EBEAM_VM_PRIVATE_H
#define EBEAM_VM_PRIVATE_H

#include "vm.h"

/* Notes why nothing more can be read of the target; always -1. */
int vm_lost(struct vm *vm);

/*
 * Release, flavour and architecture, as the VM tells them: a claim only, until the layout is
 * proven.  Fails for what is too old, and for builds whose structures are known to differ.
 */
int vm_identify(struct vm *vm);
/* An exported u32, or @absent where this build has no such symbol. */
uint32_t vm_exported_u32(struct vm *vm, const char *name, uint32_t absent);

/**
 * vm_find_layout() - find a layout that passes every proof, and the symbols that are missing
 * @keep_going: where none does, leave the checks of the likeliest one
 *
 * What DWARF tells comes first, then the row of the release, then neighbours.  Fails with why the
 * likeliest one does not fit.
 */
int vm_find_layout(struct vm *vm, bool keep_going);

/* Reads all that stands still, by vm->lay; what cannot be read is not there, for the proof to see. */
void vm_read_tables(struct vm *vm);
/* The node's name, and what else is needed to name things; after the proof. */
void vm_read_names(struct vm *vm);
/* As before vm_read_tables(), without checks. */
void vm_forget(struct vm *vm);

#endif
