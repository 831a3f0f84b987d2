// SPDX-License-Identifier: GPL-2.0-only
/* Functions of a VM that hides its symbols, by the texts they use and by who calls whom. */
#include "bootstrap.h"

#include <stdlib.h>
#include <string.h>

#define MAX_REFS 64
#define COLLECTOR_CALLERS 8 /* four, in the releases until now */

/* In ERTS_INTERNAL_ERROR() their own name (__func__), and what only this function says. */
static const char hibernate_text[] = "garbage_collect_hibernate";
static const char literals_text[] = "erts_garbage_collect_literals";
static const char exit_text[] = "System process %T terminated: %T\n";

/* Reads the file's bytes of a segment; NULL when there are none.  To be freed. */
static unsigned char *segment_bytes(const struct symbols *sym, const struct segment_map *seg)
{
	unsigned char *buf = seg->filesz && seg->filesz < 256u << 20 ? malloc(seg->filesz) : NULL;

	if (buf && symbols_code(sym, seg->vaddr, buf, seg->filesz) != seg->filesz) {
		free(buf);
		return NULL;
	}
	return buf;
}

uint64_t bootstrap_text(const struct symbols *sym)
{
	static const char mark[] = "Erlang/OTP ";
	size_t i, hits = 0, at = 0, seg_at = 0;
	unsigned char *buf, *p;

	for (i = 0; i < sym->nsegs; i++) {
		if (!sym->segs[i].write || !(buf = segment_bytes(sym, &sym->segs[i])))
			continue;
		for (p = buf; (p = memmem(p, sym->segs[i].filesz - (p - buf), mark,
					  sizeof(mark) - 1)); p++) {
			hits++;
			at = p - buf;
			seg_at = i;
		}
		free(buf);
	}
	return hits == 1 ? sym->segs[seg_at].vaddr + at : 0;
}

size_t bootstrap_find_text(const struct symbols *sym, const char *text, size_t len, uint64_t *out,
			   size_t max)
{
	unsigned char *buf, *p;
	size_t i, n = 0;

	for (i = 0; i < sym->nsegs; i++) {
		if (sym->segs[i].exec || sym->segs[i].write ||
		    !(buf = segment_bytes(sym, &sym->segs[i])))
			continue;
		for (p = buf; n < max && (p = memmem(p, sym->segs[i].filesz - (p - buf), text, len));
		     p++)
			if (p > buf && !p[-1])
				out[n++] = sym->segs[i].vaddr + (p - buf);
		free(buf);
	}
	return n;
}

bool bootstrap_has_text(const struct symbols *sym, const char *text)
{
	unsigned char *buf;
	bool hit = false;
	size_t i;

	for (i = 0; i < sym->nsegs && !hit; i++) {
		if (sym->segs[i].exec || sym->segs[i].write ||
		    !(buf = segment_bytes(sym, &sym->segs[i])))
			continue;
		hit = memmem(buf, sym->segs[i].filesz, text, strlen(text));
		free(buf);
	}
	return hit;
}

const struct function *bootstrap_user_of(const struct symbols *sym, struct functions *f,
					 const char *text, size_t len)
{
	const struct function *fn = NULL, *owner;
	struct xref refs[MAX_REFS];
	uint64_t addrs[4];
	size_t i, k, n, ntexts;

	ntexts = bootstrap_find_text(sym, text, len, addrs, ARRAY_SIZE(addrs));
	for (k = 0; k < ntexts; k++) {
		n = functions_mentions(f, addrs[k], refs, MAX_REFS);
		for (i = 0; i < n; i++) {
			owner = functions_owner(f, refs[i].from);
			if (fn && fn != owner)
				return NULL;
			fn = owner;
		}
	}
	return fn;
}

static void add(struct symbols *sym, const char *name, const struct function *fn)
{
	if (!fn)
		return;
	log_all("bootstrap: %s at %#llx", name, (unsigned long long)fn->addr);
	symbols_add(sym, name, fn->addr, fn->size, true, RUNG_BOOTSTRAP);
}

/* Callers of a function, itself left out. */
static size_t callers_of(struct functions *f, const struct function *fn,
			 const struct function **out, size_t max)
{
	struct xref refs[MAX_REFS];
	size_t i, k, n, found = 0;

	/* a function may be there twice: as one that calls and one that jumps */
	n = functions_branches(f, fn->addr, refs, 2 * max < MAX_REFS ? 2 * max : MAX_REFS);
	for (i = 0; i < n && found < max; i++) {
		for (k = 0; k < found && out[k] != refs[i].from; k++)
			;
		if (k == found && refs[i].from != fn)
			out[found++] = refs[i].from;
	}
	return found;
}

static bool is_among(const struct function *fn, const struct function *const *v, size_t n)
{
	while (n--)
		if (v[n] == fn)
			return true;
	return false;
}

/*
 * garbage_collect() and garbage_collect_hibernate() are the two that call full_sweep_heaps(), and
 * erts_garbage_collect_literals() calls both (erl_gc.c).
 */
static const struct function *find_garbage_collect(struct functions *f,
						   const struct function *hibernate,
						   const struct function *literals)
{
	const struct function *callers[MAX_REFS], *other, *found = NULL;
	struct code_ref refs[256];
	size_t i, n, nrefs;

	nrefs = functions_refs(f, hibernate->addr, refs, ARRAY_SIZE(refs));
	for (i = 0; i < nrefs; i++) {
		const struct function *callee = functions_at(f, refs[i].addr);

		if (refs[i].kind != CODE_CALL || !callee || callee->addr != refs[i].addr ||
		    callers_of(f, callee, callers, 3) != 2)
			continue;
		other = callers[callers[0] == hibernate];
		n = callers_of(f, other, callers, MAX_REFS);
		if (other == hibernate || !is_among(literals, callers, n))
			continue;
		if (found && found != other)
			return NULL;
		found = other;
	}
	return found;
}

void bootstrap_code(struct symbols *sym, struct functions *f)
{
	const struct function *hibernate, *literals, *callers[3], *wrapper = NULL;
	size_t i, n;

	add(sym, "erts_do_exit_process", bootstrap_user_of(sym, f, exit_text, sizeof(exit_text)));
	hibernate = bootstrap_user_of(sym, f, hibernate_text, sizeof(hibernate_text));
	if (!hibernate)
		return;
	n = callers_of(f, hibernate, callers, 3);
	/* its wrapper, which names nothing, and the other, which names itself where it can fail */
	literals = bootstrap_user_of(sym, f, literals_text, sizeof(literals_text));
	if (n != 2 || !literals || !is_among(literals, callers, n))
		return;
	for (i = 0; i < n; i++)
		if (callers[i] != literals)
			wrapper = callers[i];
	add(sym, "garbage_collect_hibernate", hibernate);
	add(sym, "erts_garbage_collect_hibernate", wrapper);
	add(sym, "erts_garbage_collect_literals", literals);
	add(sym, "garbage_collect", find_garbage_collect(f, hibernate, literals));
}

/* Does a function, a part of it elsewhere, or one that it calls, take the address of a text? */
static bool mentions(struct functions *f, uint64_t fn, const uint64_t *texts, size_t ntexts,
		     bool deeper)
{
	struct code_ref refs[256];
	size_t i, k, n = functions_refs(f, fn, refs, ARRAY_SIZE(refs));
	const struct function *to;

	for (i = 0; i < n; i++)
		for (k = 0; refs[i].kind == CODE_ADDRESS && k < ntexts; k++)
			if (refs[i].addr == texts[k])
				return true;
	for (i = 0; i < n; i++) {
		to = functions_at(f, refs[i].addr);
		if (deeper && to && (refs[i].kind == CODE_CALL || refs[i].kind == CODE_JUMP) &&
		    mentions(f, to->addr, texts, ntexts, false))
			return true;
	}
	return false;
}

static bool calls(struct functions *f, uint64_t fn, uint64_t callee)
{
	struct code_ref refs[256];
	size_t i, n = functions_refs(f, fn, refs, ARRAY_SIZE(refs));

	for (i = 0; i < n; i++)
		if ((refs[i].kind == CODE_CALL || refs[i].kind == CODE_JUMP) &&
		    refs[i].addr == callee)
			return true;
	return false;
}

/*
 * The ways into the collector have one callee in common that hardly anybody else calls,
 * garbage_collect().  NULL where they do, else the name of one that does not call what the first
 * ones do.
 */
static const char *stray_way(const struct symbols *sym, struct functions *f)
{
	static const char *const ways[] = {
		"erts_garbage_collect", "erts_gc_after_bif_call_lhf",
		"erts_garbage_collect_literals", "erts_garbage_collect_nobump",
	};
	const struct symbol *s, *first = symbols_find(sym, ways[0]);
	struct code_ref refs[256];
	struct xref callers[COLLECTOR_CALLERS + 1];
	const struct function *fn;
	size_t i, k, n, best = 0;

	n = first ? functions_refs(f, first->addr, refs, ARRAY_SIZE(refs)) : 0;
	for (i = 0; i < n; i++) {
		fn = refs[i].kind == CODE_CALL || refs[i].kind == CODE_JUMP ?
			     functions_at(f, refs[i].addr) : NULL;
		if (!fn || fn->addr != refs[i].addr ||
		    functions_branches(f, fn->addr, callers, ARRAY_SIZE(callers)) > COLLECTOR_CALLERS)
			continue;
		for (k = 1; k < ARRAY_SIZE(ways); k++) {
			s = symbols_find(sym, ways[k]);
			if (s && !calls(f, s->addr, fn->addr))
				break;
		}
		if (k == ARRAY_SIZE(ways))
			return NULL;
		if (k > best)
			best = k;
	}
	return first ? ways[best] : NULL;
}

bool bootstrap_code_agrees(const struct symbols *sym, struct functions *f, char *why,
			   size_t why_size)
{
	static const struct { const char *name, *text; size_t len; } users[] = {
		{ "erts_do_exit_process", exit_text, sizeof(exit_text) },
		{ "erts_garbage_collect_hibernate", hibernate_text, sizeof(hibernate_text) },
		{ "erts_garbage_collect_literals", literals_text, sizeof(literals_text) },
	};
	const struct symbol *s;
	const char *stray;
	uint64_t texts[4];
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(users); i++) {
		s = symbols_find(sym, users[i].name);
		n = s ? bootstrap_find_text(sym, users[i].text, users[i].len, texts,
					    ARRAY_SIZE(texts)) : 0;
		if (n && !mentions(f, s->addr, texts, n, true)) {
			snprintf(why, why_size, "the code at %#llx is not that of %s",
				 (unsigned long long)s->addr, users[i].name);
			return false;
		}
	}
	stray = stray_way(sym, f);
	if (stray)
		snprintf(why, why_size, "%s does not call the collector as others do", stray);
	return !stray;
}
