/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers as text: integers of any size, and the shortest digits that tell a float from its
 * neighbours, laid out as the release does it.
 */
#ifndef EBEAM_TERM_NUMBER_H
#define EBEAM_TERM_NUMBER_H

#include "util.h"

/* An integer of @n words, the least significant first.  To be freed. */
char *number_big(const uint64_t *words, size_t n, bool negative);

#define NUMBER_FLOAT 64

/* @bits of an IEEE double; false when it is none that Erlang has (not a number, infinite). */
bool number_float(uint64_t bits, int otp, char out[NUMBER_FLOAT]);

#endif
