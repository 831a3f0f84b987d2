// SPDX-License-Identifier: GPL-2.0-only
#include "site.h"

#include <capstone/capstone.h>
#include <elf.h>
#include <string.h>

#define MAX_FUNCTION 16384
#define MAX_PROLOGUE 24 /* instructions looked at */

static bool is_jump(const cs_insn *in)
{
	size_t i;

	for (i = 0; i < in->detail->groups_count; i++)
		if (in->detail->groups[i] == X86_GRP_JUMP ||
		    in->detail->groups[i] == X86_GRP_BRANCH_RELATIVE)
			return true;
	return false;
}

static bool ends_block(const cs_insn *in)
{
	return is_jump(in) || in->id == X86_INS_RET || in->id == X86_INS_CALL ||
	       in->id == X86_INS_UD2 || in->id == X86_INS_HLT || in->id == X86_INS_INT3;
}

/* Direct branch: its target in the code; else false. */
static bool branch_target(const cs_insn *in, uint64_t *target)
{
	const cs_x86 *x = &in->detail->x86;

	if ((!is_jump(in) && in->id != X86_INS_CALL) || x->op_count != 1 ||
	    x->operands[0].type != X86_OP_IMM)
		return false;
	*target = x->operands[0].imm;
	return true;
}

static bool is_relative_branch(const cs_insn *in)
{
	const uint8_t *op = in->detail->x86.opcode;

	return op[0] == 0xe8 || op[0] == 0xe9 || op[0] == 0xeb || (op[0] >= 0x70 && op[0] <= 0x7f) ||
	       (op[0] == 0x0f && op[1] >= 0x80 && op[1] <= 0x8f);
}

/*
 * What the kernel will not put a uprobe on (arch/x86/kernel/uprobes.c): a lock or segment prefix
 * (is_prefix_bad), a relative branch with an operand-size prefix (branch_setup_xol_ops).
 * Capstone's prefix[]: lock and rep, segment, operand size, address size.
 */
static bool is_refused(const cs_insn *in)
{
	const uint8_t *prefix = in->detail->x86.prefix;

	return prefix[0] == X86_PREFIX_LOCK || prefix[1] == X86_PREFIX_ES ||
	       prefix[1] == X86_PREFIX_CS || prefix[1] == X86_PREFIX_SS ||
	       prefix[1] == X86_PREFIX_DS || (prefix[2] && is_relative_branch(in));
}

/* What it emulates: relative branches, push of a register, nops; all else is stepped. */
static bool is_emulated(const cs_insn *in)
{
	const uint8_t *op = in->detail->x86.opcode;
	const uint8_t *prefix = in->detail->x86.prefix;

	if (is_refused(in) || prefix[0] || prefix[1])
		return false;
	if (in->id == X86_INS_NOP)
		return true;
	if (in->id == X86_INS_PUSH)
		return op[0] >= 0x50 && op[0] <= 0x57 && !prefix[2];
	return is_relative_branch(in);
}

/* Does the instruction write (part of) argument register n of the System V ABI? */
static bool writes_arg(csh cs, const cs_insn *in, unsigned int args)
{
	static const uint16_t family[6][4] = {
		{ X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
		{ X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		{ X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL },
		{ X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL },
		{ X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		{ X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
	};
	uint8_t nread, nwrite, i;
	cs_regs rd, wr;
	unsigned int a, k;

	if (cs_regs_access(cs, in, rd, &nread, wr, &nwrite))
		return true; /* unknown: assume the worst */
	for (i = 0; i < nwrite; i++)
		for (a = 0; a < 6; a++)
			for (k = 0; args & SITE_ARG(a) && k < 4; k++)
				if (wr[i] == family[a][k])
					return true;
	return false;
}

static bool writes_stack_pointer(csh cs, const cs_insn *in)
{
	uint8_t nread, nwrite, i;
	cs_regs rd, wr;

	if (cs_regs_access(cs, in, rd, &nread, wr, &nwrite))
		return true;
	for (i = 0; i < nwrite; i++)
		if (wr[i] == X86_REG_RSP || wr[i] == X86_REG_ESP)
			return true;
	return false;
}

/*
 * A branch of the function back into (at, upto]: a breakpoint there could be hit more than once.
 * Looks at the whole function, one instruction at a time; rarely needed, since most functions
 * start with an instruction that will do.
 */
static bool branched_into(csh cs, const unsigned char *code, size_t len, uint64_t at,
			  uint64_t upto)
{
	cs_insn *in = cs_malloc(cs);
	uint64_t target, addr = at;
	bool hit = false;

	while (in && !hit && cs_disasm_iter(cs, &code, &len, &addr, in))
		hit = branch_target(in, &target) && target > at && target <= upto;
	if (in)
		cs_free(in, 1);
	return hit || !in;
}

static void describe(const cs_insn *in, struct site *out)
{
	snprintf(out->insn, sizeof(out->insn), "%.12s%s%.32s", in->mnemonic,
		 in->op_str[0] ? " " : "", in->op_str);
}

int site_choose_code(const unsigned char *code, size_t len, uint64_t at, unsigned int args,
		     bool is_return, struct site *out, char *why, size_t why_size)
{
	const cs_insn *fallback = NULL, *best = NULL;
	cs_insn *insns = NULL;
	size_t n, i;
	csh cs;
	int err = -1;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs)) {
		snprintf(why, why_size, "the disassembler cannot be opened");
		return -1;
	}
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	n = cs_disasm(cs, code, len, at, MAX_PROLOGUE, &insns);
	if (!n) {
		snprintf(why, why_size, "no instruction can be decoded there");
		goto out;
	}
	for (i = 0; i < n; i++) {
		if (is_emulated(&insns[i])) {
			if (!i || !branched_into(cs, code, len, at, insns[i].address))
				best = &insns[i];
			break;
		}
		if (!fallback && !is_refused(&insns[i]))
			fallback = &insns[i];
		if (ends_block(&insns[i]) || writes_arg(cs, &insns[i], args) ||
		    (is_return && writes_stack_pointer(cs, &insns[i])))
			break;
	}
	if (!best && !fallback) {
		snprintf(why, why_size, "it starts with `%s %s`, which the kernel refuses to probe",
			 insns[0].mnemonic, insns[0].op_str);
		goto out;
	}
	out->class = best ? SITE_EMULATED : SITE_STEPPED;
	if (!best)
		best = fallback;
	out->skip = best->address - at;
	describe(best, out);
	err = 0;
out:
	if (insns)
		cs_free(insns, n);
	cs_close(&cs);
	return err;
}

int site_choose(const struct symbols *sym, vmaddr_t addr, unsigned int args, bool is_return,
		struct site *out, char *why, size_t why_size)
{
	static unsigned char code[MAX_FUNCTION];
	const struct symbol *s = symbols_at(sym, addr);
	uint64_t link = addr - sym->bias;
	size_t len;

	memset(out, 0, sizeof(*out));
	out->link_addr = link;
	if (s && s->addr == link)
		snprintf(out->name, sizeof(out->name), "%s", s->name);
	else
		snprintf(out->name, sizeof(out->name), "0x%llx", (unsigned long long)link);
	/* a function without a symbol: what follows its start is enough to see loops back */
	len = s && s->addr == link && s->size && s->size < sizeof(code) ? s->size : 512;
	len = symbols_code(sym, link, code, len);
	if (!len || !symbols_file_offset(sym, link, &out->offset)) {
		snprintf(why, why_size, "there is no code in the file");
		return -1;
	}
	if (sym->machine == EM_X86_64) {
		if (site_choose_code(code, len, link, args, is_return, out, why, why_size))
			return -1;
	} else {
		out->class = SITE_UNKNOWN;
		snprintf(out->insn, sizeof(out->insn), "first instruction");
	}
	out->offset += out->skip;
	return 0;
}

const char *site_class_name(enum site_class c)
{
	static const char *const names[] = { "emulated", "single-stepped", "not judged" };

	return names[c];
}
