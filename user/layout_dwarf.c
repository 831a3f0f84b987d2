// SPDX-License-Identifier: GPL-2.0-only
/*
 * One pass over the top level of every unit: types whose name is wanted are resolved on the spot,
 * all else is stepped over.  Every definition is compared with the first of its name: a structure
 * that another part of the program happens to call the same must not give us its offsets.
 *
 * Of libdw only calls that stay within the given files are used: those that "integrate"
 * attributes, and dwarf_diename() and dwarf_bytesize() with them, look for .dwo files.
 */
#include "layout_dwarf.h"
#include "dwarf_file.h"
#include "util.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUE (1u << 20) /* offsets and sizes */
#define MAX_MEMBERS 4096     /* of one struct */
#define MAX_DEPTH 16	     /* of nested structs, anonymous ones counted */
#define MAX_CHAIN 32	     /* typedef, const, volatile ... in a row */
#define MAX_NAMES 128	     /* structs wanted */
#define MAX_NS (10 * 1000000000ULL)
#define HASH_SIZE 512

struct spec {
	const char *strukt, *path;
	bool must;
};

#define MUST true
#define MAY false
static const struct spec specs[] = {
#define L(name, strukt, path, kind) { strukt, path, kind },
	EBEAM_LAYOUT_FIELDS(L)
#undef L
	/* struct dwarf_build, in this order */
	{ "Process", "frame_pointer", MAY },
	{ "Process", "lock.lcnt_carrier", MAY },
	{ "Process", "lock.locked", MAY },
	{ "Process", "last_old_htop", MAY },
	{ "Process", "dt_utag", MAY },
};

#define NFIELDS (sizeof(struct layout_fields) / sizeof(unsigned int))
#define NSPECS ARRAY_SIZE(specs)
_Static_assert(NSPECS == NFIELDS + 5, "a spec per field, and those of struct dwarf_build");

/* A struct that fields are wanted of, and what its first definition gave. */
struct wanted {
	const char *name;
	size_t len;
	size_t nfields;
	unsigned short field[NSPECS]; /* indexes of specs */
	unsigned int value[NSPECS];   /* of each of them */
	const char *unit;	      /* that defines it; NULL: none yet */
	const void *die;	      /* the definition that was resolved last */
};

struct member {
	const char *name; /* NULL: an anonymous struct or union */
	Dwarf_Attribute type, offset;
	bool has_type, has_offset, bits;
};

/* The members of one struct: fields that share the beginning of their path find it here. */
struct level {
	const void *die;
	struct member *v;
	size_t n;
};

struct dwarf_reader {
	struct wanted wanted[MAX_NAMES];
	size_t nwanted;
	unsigned char hash[HASH_SIZE]; /* index into wanted plus 1 */
	struct level levels[MAX_DEPTH];
	const struct dwarf_file *file;
	const char *unit; /* that is being read */
	uint64_t deadline;
	unsigned int ticks;
	int err;
	char *why;
	size_t why_size;
};

/* Notes the first cause; what failed because of it must not hide it. */
__attribute__((format(printf, 3, 4))) static int refuse(struct dwarf_reader *r, int err,
							const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->err)
		return r->err;
	r->err = err;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* names in it may come from the file */
	if (r->why_size)
		text_escape(text, strlen(text), r->why, r->why_size);
	return err;
}

#define unusable(r, fmt, ...)                                                                      \
	refuse(r, -EINVAL, "has DWARF that cannot be used: " fmt, ##__VA_ARGS__)

static int damaged(struct dwarf_reader *r)
{
	const char *msg = dwarf_errmsg(0);

	return refuse(r, -EINVAL, "has damaged DWARF: %s", msg ? msg : "it contradicts itself");
}

/* A file can be made so that it takes for ever, without being wrong anywhere. */
static int tick(struct dwarf_reader *r)
{
	if (r->err)
		return r->err;
	if (++r->ticks % 1024 || now_ns() < r->deadline)
		return 0;
	return refuse(r, -ETIME, "has DWARF that takes too long to read (given up after %llu s)",
		      MAX_NS / 1000000000ULL);
}

/*
 * Steps over a DIE: 0, 1 behind the last one, or an error.  Where the next one is may be written
 * in the file (DW_AT_sibling): only forward.
 */
static int next_die(struct dwarf_reader *r, Dwarf_Die *die)
{
	const char *here = die->addr;
	int res = dwarf_siblingof(die, die);

	if (res < 0 || (!res && (const char *)die->addr <= here))
		return damaged(r);
	return res ? 1 : tick(r);
}

static int first_child(struct dwarf_reader *r, Dwarf_Die *parent, Dwarf_Die *die)
{
	int res = dwarf_child(parent, die);

	return res < 0 ? damaged(r) : res;
}

/* --- what is wanted --- */

/* The first of a list "a|b#size"; moves s on to the next one, to NULL behind the last. */
static size_t next_alternative(const char **s, const char **part)
{
	size_t len = strcspn(*s, "|#");

	*part = *s;
	*s = (*s)[len] == '|' ? *s + len + 1 : NULL;
	return len;
}

static unsigned int hash_name(const char *name, size_t len)
{
	unsigned int h = 2166136261u;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h;
}

/* The slot of a name: where it is, or where it goes. */
static unsigned char *hash_slot(struct dwarf_reader *r, const char *name, size_t len)
{
	unsigned int i = hash_name(name, len);
	const struct wanted *w;

	for (;; i++) {
		if (!r->hash[i % HASH_SIZE])
			return &r->hash[i % HASH_SIZE];
		w = &r->wanted[r->hash[i % HASH_SIZE] - 1];
		if (w->len == len && !memcmp(w->name, name, len))
			return &r->hash[i % HASH_SIZE];
	}
}

static struct wanted *find_wanted(struct dwarf_reader *r, const char *name, size_t len)
{
	unsigned char slot = *hash_slot(r, name, len);

	return slot ? &r->wanted[slot - 1] : NULL;
}

static int add_wanted(struct dwarf_reader *r, const char *name, size_t len, size_t field)
{
	unsigned char *slot = hash_slot(r, name, len);
	struct wanted *w;

	if (!*slot) {
		if (r->nwanted == MAX_NAMES)
			return unusable(r, "more than %d structs in the layout", MAX_NAMES);
		r->wanted[r->nwanted].name = name;
		r->wanted[r->nwanted].len = len;
		*slot = ++r->nwanted;
	}
	w = &r->wanted[*slot - 1];
	w->field[w->nfields++] = field;
	return 0;
}

static int list_wanted(struct dwarf_reader *r)
{
	const char *names, *name;
	size_t i, len;

	for (i = 0; i < NSPECS; i++) {
		names = specs[i].strukt;
		while (names) {
			len = next_alternative(&names, &name);
			if (add_wanted(r, name, len, i))
				return r->err;
		}
	}
	return 0;
}

/* --- types --- */

static bool is_struct(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type;
}

static bool is_alias(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type ||
	       tag == DW_TAG_restrict_type || tag == DW_TAG_atomic_type;
}

/* The text of an attribute; NULL, and an error noted, when there is none that ends. */
static const char *attr_text(struct dwarf_reader *r, Dwarf_Attribute *attr)
{
	const char *text = dwarf_formstring(attr);

	if (text && dwarf_file_has_string(r->file, text))
		return text;
	damaged(r);
	return NULL;
}

/* NULL: it has none, or r->err. */
static const char *die_name(struct dwarf_reader *r, Dwarf_Die *die)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, DW_AT_name, &attr) ? attr_text(r, &attr) : NULL;
}

/* Follows a reference into @out: 1, or an error. */
static int follow(struct dwarf_reader *r, Dwarf_Attribute *ref, Dwarf_Die *out)
{
	return dwarf_formref_die(ref, out) ? 1 : damaged(r);
}

/*
 * Replaces typedefs, qualifiers, and a declaration whose definition has a unit of its own
 * (-fdebug-types-section), by what they stand for: 1, 0 when that is nothing (void), or an error.
 */
static int strip(struct dwarf_reader *r, Dwarf_Die *die)
{
	Dwarf_Attribute ref;
	int i;

	for (i = 0; i < MAX_CHAIN; i++) {
		if (is_alias(die)) {
			if (!dwarf_attr(die, DW_AT_type, &ref))
				return 0;
		} else if (!is_struct(die) || !dwarf_attr(die, DW_AT_signature, &ref)) {
			return 1;
		}
		if (follow(r, &ref, die) < 0)
			return r->err;
	}
	return unusable(r, "a chain of more than %d typedefs", MAX_CHAIN);
}

/* Reads a constant below MAX_VALUE; an expression to be computed is none. */
static int constant(struct dwarf_reader *r, Dwarf_Attribute *attr, const char *what,
		    unsigned int *out)
{
	Dwarf_Word word;

	switch (dwarf_whatform(attr)) {
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
	case DW_FORM_udata:
	case DW_FORM_sdata:
	case DW_FORM_implicit_const:
		break;
	default:
		return unusable(r, "%s is no constant", what);
	}
	if (dwarf_formudata(attr, &word))
		return damaged(r);
	if (word >= MAX_VALUE)
		return unusable(r, "%s is out of range", what);
	*out = word;
	return 1;
}

/* Elements of an array; a dimension without a bound has none. */
static int array_length(struct dwarf_reader *r, Dwarf_Die *array, unsigned int *out)
{
	uint64_t count = 1;
	Dwarf_Attribute attr;
	unsigned int n;
	Dwarf_Die sub;
	int res;

	for (res = first_child(r, array, &sub); !res; res = next_die(r, &sub)) {
		if (dwarf_tag(&sub) != DW_TAG_subrange_type)
			continue;
		n = 0;
		if (dwarf_attr(&sub, DW_AT_count, &attr)) {
			if (constant(r, &attr, "the length of an array", &n) < 0)
				return r->err;
		} else if (dwarf_attr(&sub, DW_AT_upper_bound, &attr)) {
			if (constant(r, &attr, "the bound of an array", &n) < 0)
				return r->err;
			n++;
		}
		count *= n;
		if (count >= MAX_VALUE)
			return unusable(r, "an array is too large");
	}
	if (res < 0)
		return res;
	*out = count;
	return 1;
}

/* Bytes of a type: 1, 0 when it does not say, or an error. */
static int type_size(struct dwarf_reader *r, Dwarf_Die *die, unsigned int *out)
{
	uint64_t size = 1;
	Dwarf_Attribute attr;
	unsigned int n;
	int i, err;

	for (i = 0; i < MAX_DEPTH; i++) {
		err = strip(r, die);
		if (err <= 0)
			return err;
		if (dwarf_attr(die, DW_AT_byte_size, &attr)) {
			err = constant(r, &attr, "the size of a type", &n);
			if (err < 0)
				return err;
		} else if (dwarf_tag(die) == DW_TAG_array_type) {
			err = array_length(r, die, &n);
			if (err < 0)
				return err;
		} else {
			return 0;
		}
		size *= n;
		if (size >= MAX_VALUE)
			return unusable(r, "a type is too large");
		if (dwarf_tag(die) != DW_TAG_array_type || dwarf_hasattr(die, DW_AT_byte_size)) {
			*out = size;
			return 1;
		}
		if (!dwarf_attr(die, DW_AT_type, &attr))
			return 0;
		if (follow(r, &attr, die) < 0)
			return r->err;
	}
	return unusable(r, "arrays are nested too deeply");
}

/* --- members --- */

struct take {
	struct dwarf_reader *r;
	struct member *m;
};

static int take_attr(Dwarf_Attribute *attr, void *arg)
{
	struct dwarf_reader *r = ((struct take *)arg)->r;
	struct member *m = ((struct take *)arg)->m;

	switch (dwarf_whatattr(attr)) {
	case DW_AT_name:
		m->name = attr_text(r, attr);
		break;
	case DW_AT_type:
		m->type = *attr;
		m->has_type = true;
		break;
	case DW_AT_data_member_location:
		m->offset = *attr;
		m->has_offset = true;
		break;
	case DW_AT_bit_size:
	case DW_AT_bit_offset:
	case DW_AT_data_bit_offset:
		m->bits = true;
		break;
	}
	return DWARF_CB_OK;
}

static struct level *members_of(struct dwarf_reader *r, Dwarf_Die *strukt, int depth)
{
	struct level *l = &r->levels[depth];
	struct take take = { .r = r };
	Dwarf_Die die;
	int res;

	if (l->die == strukt->addr)
		return l;
	l->die = NULL;
	l->n = 0;
	for (res = first_child(r, strukt, &die); !res; res = next_die(r, &die)) {
		if (dwarf_tag(&die) != DW_TAG_member)
			continue;
		if (l->n == MAX_MEMBERS) {
			unusable(r, "a struct has more than %d members", MAX_MEMBERS);
			return NULL;
		}
		if (!l->v)
			l->v = xcalloc(MAX_MEMBERS, sizeof(*l->v));
		take.m = &l->v[l->n++];
		memset(take.m, 0, sizeof(*take.m));
		if (dwarf_getattrs(&die, take_attr, &take, 0) < 0)
			damaged(r);
		if (r->err)
			return NULL;
	}
	if (res < 0)
		return NULL;
	l->die = strukt->addr;
	return l;
}

/* A member that a path leads to, from the beginning of the struct. */
struct place {
	unsigned int offset;
	Dwarf_Die type;
};

static int member_place(struct dwarf_reader *r, struct member *m, struct place *at)
{
	const char *name = m->name ? m->name : "(anonymous)";
	unsigned int offset = 0;
	char what[128];

	snprintf(what, sizeof(what), "the offset of member %s", name);
	if (m->bits)
		return unusable(r, "member %s is a bit-field", name);
	if (m->has_offset && constant(r, &m->offset, what, &offset) < 0)
		return r->err;
	at->offset += offset;
	if (at->offset >= MAX_VALUE)
		return unusable(r, "%s is out of range", what);
	if (!m->has_type)
		return unusable(r, "member %s has no type", name);
	return follow(r, &m->type, &at->type);
}

/* Goes from the struct in @at to the member that the path names: 1, 0 when absent, or an error. */
static int find_member(struct dwarf_reader *r, struct place *at, const char *path, size_t len,
		       int depth)
{
	const char *dot = memchr(path, '.', len);
	size_t first = dot ? (size_t)(dot - path) : len, i;
	struct place inner;
	struct level *l;
	int err;

	if (depth == MAX_DEPTH)
		return unusable(r, "structs are nested too deeply");
	if (tick(r))
		return r->err;
	err = strip(r, &at->type);
	if (err <= 0 || !is_struct(&at->type))
		return err < 0 ? err : 0;
	l = members_of(r, &at->type, depth);
	if (!l)
		return r->err;
	for (i = 0; i < l->n; i++) {
		bool hit = l->v[i].name && strlen(l->v[i].name) == first &&
			   !memcmp(l->v[i].name, path, first);

		if (!hit && (l->v[i].name || l->v[i].bits || !l->v[i].has_type))
			continue;
		inner = *at;
		err = member_place(r, &l->v[i], &inner);
		if (err < 0)
			return err;
		if (!hit)
			err = find_member(r, &inner, path, len, depth + 1);
		else if (dot)
			err = find_member(r, &inner, dot + 1, len - first - 1, depth + 1);
		if (err < 0)
			return err;
		if (err > 0)
			*at = inner;
		if (hit || err > 0)
			return err;
	}
	return 0;
}

/* --- structs --- */

/* The value of one field in this struct, LAYOUT_ABSENT when it has no such member. */
static int field_value(struct dwarf_reader *r, Dwarf_Die *strukt, const char *path,
		       unsigned int *out)
{
	bool size = strchr(path, '#');
	const char *part;
	struct place at;
	size_t len;
	int err;

	*out = LAYOUT_ABSENT;
	while (path) {
		len = next_alternative(&path, &part);
		at = (struct place){ .type = *strukt };
		err = len ? find_member(r, &at, part, len, 0) : 1;
		if (err > 0 && size)
			return type_size(r, &at.type, out);
		if (err > 0)
			*out = at.offset;
		if (err)
			return err;
	}
	return 0;
}

static const char *value_text(unsigned int value, char *buf, size_t size)
{
	if (value == LAYOUT_ABSENT)
		return "absent";
	snprintf(buf, size, "%u", value);
	return buf;
}

static int conflict(struct dwarf_reader *r, const struct wanted *w, size_t i, unsigned int value)
{
	char had[16], has[16];

	return unusable(r, "%.*s.%s is %s in %s, but %s in %s", (int)w->len, w->name,
			specs[w->field[i]].path, value_text(w->value[i], had, sizeof(had)), w->unit,
			value_text(value, has, sizeof(has)), r->unit);
}

/* A definition of a wanted struct: keeps its values, or holds them against those kept. */
static int define(struct dwarf_reader *r, struct wanted *w, Dwarf_Die *strukt)
{
	unsigned int value;
	size_t i;

	if (w->die == strukt->addr)
		return 0;
	for (i = 0; i < w->nfields; i++) {
		if (field_value(r, strukt, specs[w->field[i]].path, &value) < 0)
			return r->err;
		if (!w->unit)
			w->value[i] = value;
		else if (w->value[i] != value)
			return conflict(r, w, i, value);
	}
	w->die = strukt->addr;
	if (!w->unit)
		w->unit = r->unit;
	return 0;
}

/* A type at the top level of a unit. */
static int consider(struct dwarf_reader *r, Dwarf_Die *die)
{
	const char *name = die_name(r, die);
	struct wanted *w = name ? find_wanted(r, name, strlen(name)) : NULL;
	Dwarf_Die strukt = *die;
	int err;

	if (!w)
		return r->err;
	err = strip(r, &strukt);
	if (err <= 0)
		return err;
	if (!is_struct(&strukt) || dwarf_hasattr(&strukt, DW_AT_declaration))
		return 0;
	return define(r, w, &strukt);
}

static int scan_unit(struct dwarf_reader *r, Dwarf_Die *unit)
{
	Dwarf_Die die;
	int res;

	r->unit = die_name(r, unit);
	if (r->err)
		return r->err;
	if (!r->unit)
		r->unit = "a unit without a name";
	for (res = first_child(r, unit, &die); !res; res = next_die(r, &die)) {
		switch (dwarf_tag(&die)) {
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_class_type:
		case DW_TAG_typedef:
			if (consider(r, &die))
				return r->err;
		}
	}
	return res < 0 ? res : 0;
}

static int scan(struct dwarf_reader *r, Dwarf *dbg)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	int res;

	while (!(res = dwarf_get_units(dbg, unit, &unit, NULL, NULL, &die, NULL)))
		if (scan_unit(r, &die))
			return r->err;
	return res < 0 ? damaged(r) : 0;
}

/* The fields of the layout, each from the first of its structs that this VM has. */
static int collect(struct dwarf_reader *r, unsigned int value[NSPECS])
{
	const char *names, *name;
	const struct wanted *w;
	size_t i, k, len;
	bool defined;

	for (i = 0; i < NSPECS; i++) {
		value[i] = LAYOUT_ABSENT;
		defined = false;
		for (names = specs[i].strukt; names && value[i] == LAYOUT_ABSENT;) {
			len = next_alternative(&names, &name);
			w = find_wanted(r, name, len);
			defined |= w->unit != NULL;
			for (k = 0; w->unit && k < w->nfields; k++)
				if (w->field[k] == i)
					value[i] = w->value[k];
		}
		if (value[i] != LAYOUT_ABSENT || !specs[i].must)
			continue;
		if (!defined)
			return refuse(r, -ENOENT, "has no struct %s in its DWARF", specs[i].strukt);
		return refuse(r, -ENOENT, "has no %s.%s in its DWARF", specs[i].strukt,
			      specs[i].path);
	}
	return 0;
}

int layout_dwarf_read(int fd, int alt_fd, struct layout_fields *out, struct dwarf_build *build,
		      char *why, size_t why_size)
{
	struct dwarf_reader *r;
	unsigned int value[NSPECS];
	struct dwarf_file file;
	size_t i;
	int err;

	err = dwarf_file_open(&file, fd, alt_fd, why, why_size);
	if (err)
		return err;
	r = xcalloc(1, sizeof(*r));
	r->file = &file;
	r->deadline = now_ns() + MAX_NS;
	r->why = why;
	r->why_size = why_size;
	if (!list_wanted(r) && !scan(r, file.dbg) && (!file.alt_dbg || !scan(r, file.alt_dbg)))
		collect(r, value);
	err = r->err;
	for (i = 0; i < MAX_DEPTH; i++)
		free(r->levels[i].v);
	free(r);
	dwarf_file_close(&file);
	if (err)
		return err;
	memcpy(out, value, sizeof(*out));
	if (build)
		*build = (struct dwarf_build){
			.frame_pointer = value[NFIELDS] != LAYOUT_ABSENT,
			.lock_count = value[NFIELDS + 1] != LAYOUT_ABSENT,
			.lock_check = value[NFIELDS + 2] != LAYOUT_ABSENT,
			.debug = value[NFIELDS + 3] != LAYOUT_ABSENT,
			.vm_probes = value[NFIELDS + 4] != LAYOUT_ABSENT,
		};
	return 0;
}
