// SPDX-License-Identifier: GPL-2.0-only
#include "functions.h"

#include <capstone/capstone.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (256u << 20)
#define MAX_FUNCTIONS (1u << 20)
#define MAX_FUNCTION (1u << 20) /* bytes; the interpreter's main loop has some 200 000 */
#define DECODE_BUDGET (64u << 20) /* a search takes a few million */

/* The only form that linkers write: pointer pc-relative, count and table as words from the start. */
#define HDR_VERSION 1
#define ENC_PTR 0x1b
#define ENC_COUNT 0x03
#define ENC_TABLE 0x3b

static int32_t get32(const unsigned char *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int by_start(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/*
 * The entry itself: length, its CIE, where the function begins (from that word on), its length.
 * A table entry whose two words do not agree is dropped.
 */
static bool read_entry(const unsigned char *eh, size_t len, uint64_t eh_addr, uint64_t at,
		       struct function *fn)
{
	if (at < eh_addr || at - eh_addr > len || len - (at - eh_addr) < 16)
		return false;
	eh += at - eh_addr;
	fn->size = get32(eh + 12);
	return at + 8 + (int64_t)get32(eh + 8) == fn->addr && fn->size > 0 &&
	       fn->size < MAX_FUNCTION;
}

static int read_table(struct functions *f, const struct symbols *s, char *why, size_t why_size)
{
	unsigned char head[12], *buf;
	const struct segment_map *seg = NULL;
	size_t i, len, count;
	int err = -1;

	for (i = 0; i < s->nsegs; i++)
		if (s->eh_frame_hdr >= s->segs[i].vaddr &&
		    s->eh_frame_hdr - s->segs[i].vaddr < s->segs[i].filesz)
			seg = &s->segs[i];
	if (!s->eh_frame_hdr || !seg ||
	    symbols_code(s, s->eh_frame_hdr, head, sizeof(head)) != sizeof(head) ||
	    head[0] != HDR_VERSION || head[1] != ENC_PTR || head[2] != ENC_COUNT ||
	    head[3] != ENC_TABLE) {
		snprintf(why, why_size, "it has no table of its functions (.eh_frame_hdr)");
		return -1;
	}
	count = (uint32_t)get32(head + 8);
	/* the table, and the entries that it leads to, lie in the same segment */
	len = seg->filesz;
	buf = len < MAX_TEXT ? malloc(len) : NULL;
	if (!buf || symbols_code(s, seg->vaddr, buf, len) != len ||
	    count > MAX_FUNCTIONS ||
	    count * 8 + 12 > len - (s->eh_frame_hdr - seg->vaddr)) {
		snprintf(why, why_size, "the table of its functions (.eh_frame_hdr) is damaged");
		goto out;
	}
	f->v = xcalloc(count, sizeof(*f->v));
	for (i = 0; i < count; i++) {
		const unsigned char *e = buf + (s->eh_frame_hdr - seg->vaddr) + 12 + 8 * i;

		f->v[f->n].addr = s->eh_frame_hdr + (int64_t)get32(e);
		f->n += read_entry(buf, len, seg->vaddr, s->eh_frame_hdr + (int64_t)get32(e + 4),
				   &f->v[f->n]);
	}
	qsort(f->v, f->n, sizeof(*f->v), by_start);
	err = 0;
out:
	free(buf);
	return err;
}

/* The length of a branch's opcode before its 32-bit displacement; 0 when it is none. */
static size_t branch_opcode(const unsigned char *p)
{
	if (p[0] == 0xe8 || p[0] == 0xe9)
		return 1;
	return p[0] == 0x0f && (p[1] & 0xf0) == 0x80 ? 2 : 0;
}

static void add_place(struct functions *f, size_t *cap, uint64_t target, size_t disp, bool address)
{
	if (f->nplaces == *cap) {
		*cap = *cap ? 2 * *cap : 65536;
		f->places = xrealloc(f->places, *cap * sizeof(*f->places));
	}
	f->places[f->nplaces++] = (struct place){ target, disp, address };
}

/* One pass over the code; a bit per byte of it tells where functions begin. */
static void find_places(struct functions *f)
{
	unsigned char *starts = xcalloc(1, f->text_len / 8 + 1);
	const unsigned char *p = f->text;
	size_t i, op, cap = 0;
	uint64_t to;

	for (i = 0; i < f->n; i++) {
		to = f->v[i].addr - f->text_addr;
		if (to < f->text_len)
			starts[to / 8] |= 1 << (to & 7);
	}
	for (i = 1; i + 6 <= f->text_len; i++) {
		/* lea disp(%rip),%reg */
		if (p[i] == 0x8d && (p[i - 1] & 0xfb) == 0x48 && (p[i + 1] & 0xc7) == 0x05)
			add_place(f, &cap, f->text_addr + i + 6 + (int64_t)get32(p + i + 2), i + 2,
				  true);
		op = branch_opcode(p + i);
		if (!op)
			continue;
		to = i + op + 4 + (int64_t)get32(p + i + op);
		if (to < f->text_len && starts[to / 8] >> (to & 7) & 1)
			add_place(f, &cap, f->text_addr + to, i + op, false);
	}
	free(starts);
}

int functions_open(struct functions *f, const struct symbols *s, char *why, size_t why_size)
{
	const struct segment_map *text = NULL;
	csh cs;
	size_t i;

	memset(f, 0, sizeof(*f));
	if (s->machine != EM_X86_64) {
		snprintf(why, why_size, "code of this architecture is not decoded");
		return -1;
	}
	if (read_table(f, s, why, why_size))
		goto err;
	for (i = 0; i < s->nsegs; i++)
		if (s->segs[i].exec && (!text || s->segs[i].filesz > text->filesz))
			text = &s->segs[i];
	f->text = text && text->filesz < MAX_TEXT ? malloc(text->filesz) : NULL;
	if (!f->text || symbols_code(s, text->vaddr, f->text, text->filesz) != text->filesz) {
		snprintf(why, why_size, "its code cannot be read");
		goto err;
	}
	f->text_addr = text->vaddr;
	f->text_len = text->filesz;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs)) {
		snprintf(why, why_size, "the disassembler cannot be opened");
		goto err;
	}
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	f->disasm = cs;
	f->budget = DECODE_BUDGET;
	f->absolute = !s->bias;
	return 0;
err:
	functions_close(f);
	return -1;
}

void functions_close(struct functions *f)
{
	csh cs = f->disasm;

	if (cs)
		cs_close(&cs);
	free(f->v);
	free(f->text);
	free(f->places);
	memset(f, 0, sizeof(*f));
}

const struct function *functions_at(const struct functions *f, uint64_t addr)
{
	size_t lo = 0, hi = f->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (f->v[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr - f->v[lo - 1].addr < f->v[lo - 1].size ? &f->v[lo - 1] : NULL;
}

/* Walks a function's instructions until @visit returns false. */
static void each_insn(struct functions *f, const struct function *fn,
		      bool (*visit)(const cs_insn *in, void *arg), void *arg)
{
	const unsigned char *code;
	uint64_t addr = fn->addr;
	size_t len = fn->size;
	cs_insn *in;

	if (addr < f->text_addr || addr - f->text_addr > f->text_len ||
	    len > f->text_len - (addr - f->text_addr) || len > f->budget)
		return;
	f->budget -= len;
	code = f->text + (addr - f->text_addr);
	in = cs_malloc(f->disasm);
	while (in && cs_disasm_iter(f->disasm, &code, &len, &addr, in))
		if (!visit(in, arg))
			break;
	if (in)
		cs_free(in, 1);
}

struct boundary {
	uint64_t from, upto;
	bool found;
};

/* The four bytes in question end an instruction. */
static bool is_boundary(const cs_insn *in, void *arg)
{
	struct boundary *b = arg;

	b->found = in->address < b->from && in->address + in->size == b->upto;
	return !b->found && in->address < b->from;
}

static bool known(const struct xref *out, size_t n, const struct function *from,
		  enum xref_kind kind)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (out[i].from == from && out[i].kind == kind)
			return true;
	return false;
}

/* Confirms a place where a reference seems to stand: an instruction must end behind it. */
static size_t confirm(struct functions *f, size_t disp, enum xref_kind kind, uint64_t target,
		      struct xref *out, size_t n)
{
	const struct function *fn = functions_at(f, f->text_addr + disp);
	struct boundary b = { f->text_addr + disp, f->text_addr + disp + 4, false };

	if (!fn || (kind == XREF_JUMP && target - fn->addr < fn->size) || known(out, n, fn, kind))
		return 0;
	each_insn(f, fn, is_boundary, &b);
	if (b.found)
		out[n] = (struct xref){ kind, fn };
	return b.found;
}

size_t functions_branches(struct functions *f, uint64_t target, struct xref *out, size_t max)
{
	size_t i, n = 0, disp;

	if (!f->places)
		find_places(f);
	for (i = 0; i < f->nplaces && n < max; i++) {
		if (f->places[i].target != target || f->places[i].address)
			continue;
		disp = f->places[i].disp;
		n += confirm(f, disp, f->text[disp - 1] == 0xe8 ? XREF_CALL : XREF_JUMP, target, out,
			     n);
	}
	return n;
}

size_t functions_mentions(struct functions *f, uint64_t addr, struct xref *out, size_t max)
{
	const unsigned char *p = f->text;
	size_t i, n = 0;

	if (!f->places)
		find_places(f);
	for (i = 0; i < f->nplaces && n < max; i++)
		if (f->places[i].target == addr && f->places[i].address)
			n += confirm(f, f->places[i].disp, XREF_ADDRESS, addr, out, n);
	/* mov $addr,%reg */
	for (i = 1; f->absolute && i + 4 <= f->text_len && n < max; i++)
		if ((uint32_t)get32(p + i) == addr && p[i - 1] >= 0xb8 && p[i - 1] <= 0xbf)
			n += confirm(f, i, XREF_ADDRESS, addr, out, n);
	return n;
}

const struct function *functions_owner(struct functions *f, const struct function *part)
{
	struct xref refs[16];
	const struct function *owner = NULL;
	size_t i, n;

	n = functions_branches(f, part->addr, refs, ARRAY_SIZE(refs));
	for (i = 0; i < n; i++) {
		if (refs[i].kind != XREF_JUMP)
			return part;
		if (owner && owner != refs[i].from)
			return part;
		owner = refs[i].from;
	}
	return owner ? owner : part;
}

struct collect_refs {
	const struct function *fn;
	struct code_ref *out;
	size_t n, max;
};

static bool static_address(const cs_insn *in, const cs_x86_op *op, uint64_t *addr)
{
	if (op->type != X86_OP_MEM || op->mem.index != X86_REG_INVALID ||
	    op->mem.segment != X86_REG_INVALID)
		return false;
	if (op->mem.base == X86_REG_RIP)
		*addr = in->address + in->size + op->mem.disp;
	else if (op->mem.base == X86_REG_INVALID)
		*addr = op->mem.disp;
	else
		return false;
	return true;
}

static bool is_branch(const cs_insn *in)
{
	return in->id == X86_INS_CALL || in->id == X86_INS_JMP;
}

static bool collect_ref(const cs_insn *in, void *arg)
{
	const cs_x86 *x = &in->detail->x86;
	struct collect_refs *c = arg;
	struct code_ref r;
	size_t i;

	for (i = 0; i < x->op_count && c->n < c->max; i++) {
		const cs_x86_op *op = &x->operands[i];

		if (op->type == X86_OP_IMM && is_branch(in)) {
			r.addr = op->imm;
			r.kind = in->id == X86_INS_CALL ? CODE_CALL : CODE_JUMP;
			if (r.kind == CODE_JUMP && r.addr - c->fn->addr < c->fn->size)
				continue;
		} else if (op->type == X86_OP_IMM && in->id == X86_INS_MOV && i == 1 &&
			   x->operands[0].type == X86_OP_REG &&
			   (x->operands[0].reg == X86_REG_EDI || x->operands[0].reg == X86_REG_RDI)) {
			r.addr = op->imm;
			r.kind = CODE_FIRST_ARG;
		} else if (static_address(in, op, &r.addr)) {
			r.kind = is_branch(in) ? CODE_CALL_PTR :
				 in->id == X86_INS_LEA ? CODE_ADDRESS : CODE_LOAD;
		} else {
			continue;
		}
		c->out[c->n++] = r;
	}
	return c->n < c->max;
}

size_t functions_refs(struct functions *f, uint64_t addr, struct code_ref *out, size_t max)
{
	const struct function *fn = functions_at(f, addr);
	struct collect_refs c = { fn, out, 0, max };

	if (fn && fn->addr == addr)
		each_insn(f, fn, collect_ref, &c);
	return c.n;
}
