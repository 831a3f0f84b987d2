/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was found in code and memory of a build without symbols, kept for the next run.
 *
 * Builds are few and finding takes some 100 ms, so results are kept by build id, one small text file
 * each, in $XDG_CACHE_HOME/ebeam or ~/.cache/ebeam:
 *
 *	ebeam-symbols 1 0.1.0		format, version of ebeam
 *	build-id 94bcd90b66...
 *	garbage_collect 41d100 0 func	name, link address, size (hex), func or data
 *	erts_proc c17ec0 1a8 data
 *	crc32 1c291ca3			of all above
 *
 * Addresses from here decide where probes go: the file is taken only from a folder that belongs to
 * the effective user and that nobody else may write.  With sudo that is root's own, also where HOME
 * still names another user's.  Nothing here fails a command: the caller finds the names anew.
 */
#ifndef EBEAM_SYMCACHE_H
#define EBEAM_SYMCACHE_H

#include "symbols.h"

/**
 * symcache_load() - add what is kept of a build, as RUNG_BOOTSTRAP
 * @why: where nothing is added, the reason, naming the file
 *
 * All of a file or nothing of it: false also where one address lies outside of the executable.
 */
bool symcache_load(const char *build_id, struct symbols *s, char *why, size_t size);

/* Keep the symbols of RUNG_BOOTSTRAP; 0, or -1 with the reason. */
int symcache_store(const char *build_id, const struct symbols *s, char *why, size_t size);

/* Forget a build: what was kept did not hold. */
void symcache_drop(const char *build_id);

/* The folder, "" where there is none to use. */
void symcache_folder(char *path, size_t size);

#endif
