/* SPDX-License-Identifier: GPL-2.0-only */
/* For files that make tables: getters of columns, sorting, totals. */
#ifndef EBEAM_COLUMNS_H
#define EBEAM_COLUMNS_H

#include "report.h"

/* Getters: one per column; ROW is the row's type, E an expression over `r`. */
#define GET(fn, ROW, KIND, MEMBER, E)                                                              \
	static void fn(const void *row, struct value *v)                                           \
	{                                                                                          \
		const ROW *r = row;                                                                \
		v->kind = KIND;                                                                    \
		v->MEMBER = E;                                                                     \
	}
#define GET_IF(fn, ROW, COND, KIND, MEMBER, E)                                                     \
	static void fn(const void *row, struct value *v)                                           \
	{                                                                                          \
		const ROW *r = row;                                                                \
		v->kind = COND ? KIND : VAL_NONE;                                                  \
		if (v->kind)                                                                       \
			v->MEMBER = E;                                                             \
	}
#define GET_U(fn, ROW, E) GET(fn, ROW, VAL_U64, u, E)
#define GET_TEXT(fn, ROW, E) GET_IF(fn, ROW, (E) != NULL, VAL_TEXT, text, E)
#define GET_HIST(fn, ROW, E) GET(fn, ROW, VAL_HIST, hist, &r->E)
#define GET_EST(fn, ROW, E) GET_IF(fn, ROW, (r->E) >= 0, VAL_DOUBLE, d, r->E)
#define GET_ITEM(fn, ROW, E) GET_IF(fn, ROW, (E) != NULL, VAL_ITEM, item, E)

/* The column of this key, or NULL. */
const struct column *report_find(const struct column *cols, size_t n, const char *key);

/**
 * report_sort() - fill t->rows with all rows, sorted by one column, and by a second where equal
 * @rows: the array they are in    @row_size: of one of them    @n: how many
 * @by, @then: either may be NULL: the order they are in
 *
 * Numbers: largest first; names (COL_LOW_BAD): by alphabet; what is missing comes last.
 */
void report_sort(struct table *t, const char *rows, size_t row_size, size_t n,
		 const struct column *by, const struct column *then);

void report_total(struct table *t, const char *key, uint64_t u);
/* Missing where it is not known. */
void report_total_if(struct table *t, const char *key, bool known, uint64_t u);
void report_total_value(struct table *t, const char *key, struct value v);

/* A histogram of the table; the first one is what a compact report shows. */
struct hist *report_hist(struct table *t, const char *key, enum unit unit, int slots,
			 const char *label, const char *of);

#endif
