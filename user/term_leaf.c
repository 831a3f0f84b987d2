// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terms without terms in them: atoms, numbers, identifiers, funs.
 *
 * ~p writes for a device of Latin-1: characters up to 255 as they are (here in UTF-8), others as
 * \x{...}.  What the emulator itself prints (funs) follows its own rules for quotes.
 */
#include "term_read.h"
#include "term_number.h"
#include "term_tree.h"

#include <stdlib.h>
#include <string.h>

#define LEAF_TEXT 3200
#define OTP_MAYBE 27		 /* `maybe' and `else' are words of the language by default */

static const char *const reserved[] = {
	"after", "begin", "case", "try", "cond", "catch", "andalso", "orelse", "end", "fun", "if",
	"let", "of", "receive", "when", "bnot", "not", "div", "rem", "band", "and", "bor", "bxor",
	"bsl", "bsr", "or", "xor",
};

static size_t utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 0x3f);
	out[2] = 0x80 | (c >> 6 & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}

size_t term_char(const char *s, size_t n, uint32_t *c)
{
	unsigned char b = *s;
	size_t len = b < 0xc2 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : b < 0xf5 ? 4 : 1, i;

	*c = b;
	if (len == 1 || len > n)
		return 1;
	*c = b & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*c = b;
			return 1;
		}
		*c = *c << 6 | (s[i] & 0x3f);
	}
	/* longer than need be, surrogates, beyond Unicode: no text may have them */
	if ((len == 3 && *c < 0x800) || (len == 4 && (*c < 0x10000 || *c > 0x10ffff)) ||
	    (*c >= 0xd800 && *c <= 0xdfff)) {
		*c = b;
		return 1;
	}
	return len;
}

size_t term_escaped(uint32_t c, char q, char out[16])
{
	static const char named[] = "\n\r\t\v\b\f\033\177", names[] = "nrtvbfed";
	const char *p;

	if (c == (unsigned char)q || c == '\\')
		return sprintf(out, "\\%c", (int)c);
	if ((c >= ' ' && c <= '~') || (c >= 0xa0 && c <= 0xff))
		return utf8_put(c, out);
	if (c > 0xff)
		return sprintf(out, "\\x{%X}", c);
	p = c ? strchr(named, c) : NULL;
	if (p)
		return sprintf(out, "\\%c", names[p - named]);
	return sprintf(out, "\\%03o", c);
}

static bool lower_case(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff && c != 0xf7);
}

static bool name_char(uint32_t c)
{
	return lower_case(c) || (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
	       (c >= '0' && c <= '9') || c == '_';
}

static bool plain_name(const char *name, size_t n, bool at_sign)
{
	size_t at = 0;
	uint32_t c;

	for (; at < n; ) {
		size_t len = term_char(name + at, n - at, &c);

		if (at ? !name_char(c) && !(c == '@' && at_sign) : !lower_case(c))
			return false;
		at += len;
	}
	return n;
}

static bool is_word(const char *word, const char *name, size_t n)
{
	return strlen(word) == n && !memcmp(word, name, n);
}

static bool is_reserved(int otp, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		if (is_word(reserved[i], name, n))
			return true;
	return otp >= OTP_MAYBE && (is_word("maybe", name, n) || is_word("else", name, n));
}

char *term_atom_quoted(struct terms *ts, eterm_t atom)
{
	size_t n, i, at = 0;
	const char *name = term_atom_name(ts->vm, atom, &n);
	bool quote;
	uint32_t c;
	char *out;

	if (!name)
		return NULL;
	out = xcalloc(1, 10 * n + 3);
	quote = !plain_name(name, n, true) || is_reserved(ts->vm->otp, name, n);
	if (quote)
		out[at++] = '\'';
	for (i = 0; i < n;) {
		i += term_char(name + i, n - i, &c);
		at += quote ? term_escaped(c, '\'', out + at) : utf8_put(c, out + at);
	}
	if (quote)
		out[at++] = '\'';
	out[at] = 0;
	return out;
}

static size_t emulator_char(uint32_t c, char *out)
{
	char safe[16];
	size_t n = utf8_put(c, out);

	/* what steers a terminal's direction of writing and the like */
	text_escape(out, n, safe, sizeof(safe));
	return memcmp(out, safe, n) ? (size_t)sprintf(out, "\\x{%X}", c) : n;
}

/*
 * As the emulator prints an atom: words of the language as they are, @ only in quotes, and
 * control characters in octal digits, without leading zeros.  (Of characters beyond ASCII it prints
 * the bytes one by one; here they are what they mean.)
 */
static size_t emulator_atom(const char *name, size_t n, char *out)
{
	static const char named[] = "\n\r\t\v\b\f", names[] = "nrtvbf";
	bool quote = !plain_name(name, n, false);
	const char *p;
	size_t i, at = 0;
	uint32_t c;

	if (quote)
		out[at++] = '\'';
	for (i = 0; i < n;) {
		i += term_char(name + i, n - i, &c);
		p = c && c < 0x80 ? strchr(named, c) : NULL;
		if (c == '\'' || c == '\\')
			at += sprintf(out + at, "\\%c", (int)c);
		else if (p)
			at += sprintf(out + at, "\\%c", names[p - named]);
		else if (c < ' ' || (c >= 0x7f && c < 0xa0))
			at += sprintf(out + at, "\\%o", c);
		else
			at += emulator_char(c, out + at);
	}
	if (quote)
		out[at++] = '\'';
	out[at] = 0;
	return at;
}

static bool fun_text(struct terms *ts, eterm_t t, char *out, size_t size)
{
	const char *module, *function;
	struct term_fun f;
	size_t m, n, at;

	if (!term_fun(ts, t, &f))
		return false;
	module = term_atom_name(ts->vm, f.module, &m);
	if (!module)
		return false;
	if (!f.exported) {
		snprintf(out, size, "#Fun<%s.%d.%d>", term_atom(ts->vm, f.module), (int)f.index,
			 (int)f.uniq);
		return true;
	}
	function = term_atom_name(ts->vm, f.function, &n);
	if (!function || 4 * (m + n) + 32 > size)
		return false;
	at = sprintf(out, "fun ");
	at += emulator_atom(module, m, out + at);
	out[at++] = ':';
	at += emulator_atom(function, n, out + at);
	sprintf(out + at, "/%u", f.arity);
	return true;
}

/* What stands for the node in a printed identifier: the index of its name's atom. */
static unsigned long long node_no(eterm_t node)
{
	return node >> 6;
}

static bool ref_text(struct terms *ts, eterm_t t, char *out, size_t size)
{
	struct term_ref_parts r;
	size_t at;

	if (!term_ref_parts(ts, t, &r))
		return false;
	at = snprintf(out, size, "#Ref<%llu", node_no(r.node));
	while (r.n--)
		at += snprintf(out + at, size - at, ".%u", r.num[r.n]);
	snprintf(out + at, size - at, ">");
	return true;
}

static bool external_text(struct terms *ts, eterm_t t, bool pid, char *out, size_t size)
{
	bool small = ts->vm->otp < 24; /* 15 and 13 bits of a pid, 28 of a port */
	unsigned long long no;
	uint64_t data;
	eterm_t node;

	if (!term_external(ts, t, &node, &data))
		return false;
	no = node_no(node);
	if (pid)
		snprintf(out, size, "<%llu.%llu.%llu>", no,
			 (unsigned long long)(small ? data & 0x7fff : data & 0xffffffff),
			 (unsigned long long)(small ? data >> 15 & 0x1fff : data >> 32));
	else
		snprintf(out, size, "#Port<%llu.%llu>", no,
			 (unsigned long long)(small ? data & 0xfffffff : data));
	return true;
}

static char *big_text(struct terms *ts, eterm_t t, uint64_t header)
{
	uint64_t n = header >> 6, *words;
	char *text;

	if (!n || n > TERM_BIG_MAX)
		return NULL;
	words = xcalloc(n, sizeof(*words));
	text = pages_copy(ts->pages, term_addr(t) + 8, words, 8 * n) ?
		       number_big(words, n, header & 4) : NULL;
	free(words);
	return text;
}

static bool float_text(struct terms *ts, eterm_t t, uint64_t header, char out[LEAF_TEXT])
{
	uint64_t bits;

	return header >> 6 == 1 && pages_u64(ts->pages, term_addr(t) + 8, &bits) &&
	       number_float(bits, ts->vm->otp, out);
}

static char *boxed_leaf(struct terms *ts, eterm_t t)
{
	char text[LEAF_TEXT];
	uint64_t header;
	bool ok = false;

	switch (term_boxed(ts, t, &header)) {
	case KIND_BIG:
		return big_text(ts, t, header);
	case KIND_FLOAT:
		ok = float_text(ts, t, header, text);
		break;
	case KIND_REF:
	case KIND_EXTERNAL_REF:
		ok = ref_text(ts, t, text, sizeof(text));
		break;
	case KIND_EXTERNAL_PID:
	case KIND_EXTERNAL_PORT:
		ok = external_text(ts, t, (header & 0x3f) == 0x30, text, sizeof(text));
		break;
	case KIND_FUN:
	case KIND_EXPORT:
		ok = fun_text(ts, t, text, sizeof(text));
		break;
	default:
		break;
	}
	return ok ? xstrdup(text) : NULL;
}

char *term_leaf(struct terms *ts, eterm_t t)
{
	char text[64], *made = NULL;

	if (term_is_nil(ts, t))
		return xstrdup("[]");
	if (term_is_boxed(t)) {
		made = boxed_leaf(ts, t);
	} else if (term_is_atom(t)) {
		made = term_atom_quoted(ts, t);
	} else if (term_is_small(t)) {
		snprintf(text, sizeof(text), "%lld", (long long)((int64_t)t >> 4));
		return xstrdup(text);
	} else if (term_is_pid(t)) {
		term_pid_text(ts->vm, t, text, sizeof(text));
		return xstrdup(text);
	} else if (term_is_port(t)) {
		term_port_text(ts->vm, t, text, sizeof(text));
		return xstrdup(text);
	}
	if (!made) {
		ts->unread++;
		made = xstrdup("?");
	}
	return made;
}
