/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of values, for what does not fit a row of plain columns: lists, and objects in them.
 *
 * A tree owns its children and its text; keys are borrowed and must outlive it (literals).  Text is
 * escaped by whoever puts it in.
 */
#ifndef EBEAM_ITEM_H
#define EBEAM_ITEM_H

#include "util.h"

enum item_kind { ITEM_NULL, ITEM_U64, ITEM_I64, ITEM_DOUBLE, ITEM_BOOL, ITEM_TEXT, ITEM_LIST,
		 ITEM_OBJECT };

struct item {
	enum item_kind kind;
	const char *key; /* in an object */
	union {
		uint64_t u;
		int64_t i;
		double d;
		bool b;
		char *text;
		struct {
			struct item **v;
			size_t n, cap;
		} list; /* of an object, too */
	};
};

struct item *item_new(enum item_kind kind);
struct item *item_u64(uint64_t u);
struct item *item_double(double d);
struct item *item_bool(bool b);
/* A copy of the text; NULL makes an ITEM_NULL. */
struct item *item_text(const char *text);
void item_free(struct item *it);

/* Append; the tree owns @child from then on.  Return @child. */
struct item *item_push(struct item *list, struct item *child);
struct item *item_set(struct item *object, const char *key, struct item *child);

/* The child of that key, or NULL. */
const struct item *item_get(const struct item *object, const char *key);

#endif
