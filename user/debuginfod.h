/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug files from a debuginfod server, where DEBUGINFOD_URLS names one.
 *
 * The work is elfutils' libdebuginfod's, cache included.  It is loaded only when it is needed: it
 * brings libcurl along, and most runs need no server.  What a server sends is as hostile as any
 * file: the caller checks the build id of what it got.
 */
#ifndef EBEAM_DEBUGINFOD_H
#define EBEAM_DEBUGINFOD_H

#include "util.h"

/* The library's name; another one in tests. */
extern const char *debuginfod_library;

/**
 * debuginfod_fetch() - get the debug file of a build
 * @build_id:  hex
 * @timeout_s: give up after that time, also where bytes still trickle in
 * @path:      of the file in the library's cache
 *
 * Shows progress where stderr is a terminal.  SIGINT, SIGTERM and SIGHUP end it, and are then
 * delivered to whoever handles them otherwise.  Returns a descriptor, or -1 with @why.
 */
int debuginfod_fetch(const char *build_id, unsigned int timeout_s, char *path, size_t path_size,
		     char *why, size_t size);

#endif
