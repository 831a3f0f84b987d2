// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which instruction of a function gets the breakpoint: on bytes written down here.
 *
 * What the kernel emulates is arch/x86/kernel/uprobes.c, 5.15 to 6.x.
 */
#include "site.h"
#include "tap.h"

#include <stdint.h>

#define AT 0x401000
#define ALL_ARGS (SITE_ARG(0) | SITE_ARG(1) | SITE_ARG(2) | SITE_ARG(3))

static struct site site;
static char why[128];

/*
 * The breakpoint goes `skip` bytes into the function, onto an instruction of a class; -1: it is
 * refused.
 */
static void chosen(const char *what, const unsigned char *code, size_t len, unsigned int args,
		   bool is_return, int skip, enum site_class class)
{
	int err;

	memset(&site, 0, sizeof(site));
	why[0] = '\0';
	err = site_choose_code(code, len, AT, args, is_return, &site, why, sizeof(why));
	if (skip < 0) {
		if (!ok(err && why[0], "%s: refused, with the reason", what))
			diag("got +%u `%s`, %s", site.skip, site.insn, site_class_name(site.class));
		return;
	}
	if (!ok(!err && site.skip == (unsigned int)skip && site.class == class, "%s", what))
		diag("got %d, +%u `%s`, %s, %s; want +%d, %s", err, site.skip, site.insn,
		     site_class_name(site.class), why, skip, site_class_name(class));
}

#define CODE(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((unsigned char[]){ __VA_ARGS__ })

#define PUSH_RBP 0x55
#define PUSH_R12 0x41, 0x54
#define ENDBR64 0xf3, 0x0f, 0x1e, 0xfa
#define RET 0xc3
#define TEST_RDX_RDX 0x48, 0x85, 0xd2
#define JE(n) 0x74, n
#define SUB_RSP_24 0x48, 0x83, 0xec, 0x18
#define MOV_RBX_RDI 0x48, 0x89, 0xfb
#define MOV_RDI_RAX 0x48, 0x89, 0xc7
#define MOV_EDI_EAX 0x89, 0xc7
#define MOV_DL_1 0xb2, 0x01
#define LOCK_INC_RAX 0xf0, 0x48, 0xff, 0x00
#define NOP 0x90

static void emulated(void)
{
	chosen("push first", CODE(PUSH_RBP, RET), ALL_ARGS, false, 0, SITE_EMULATED);
	is_str(site.insn, "push rbp", "the instruction is named");
	chosen("push of a register of the second half", CODE(PUSH_R12, RET), ALL_ARGS, false, 0,
	       SITE_EMULATED);
	chosen("endbr64, then push", CODE(ENDBR64, PUSH_R12, RET), ALL_ARGS, false, 4,
	       SITE_EMULATED);
	chosen("test and branch: the branch", CODE(TEST_RDX_RDX, JE(1), RET, RET), ALL_ARGS, false,
	       3, SITE_EMULATED);
	chosen("a branch of 6 bytes", CODE(TEST_RDX_RDX, 0x0f, 0x84, 0, 0, 0, 0, RET), ALL_ARGS,
	       false, 3, SITE_EMULATED);
	chosen("a jump", CODE(0xe9, 0, 0, 0, 0, RET), ALL_ARGS, false, 0, SITE_EMULATED);
	chosen("a call", CODE(SUB_RSP_24, 0xe8, 0, 0, 0, 0, RET), ALL_ARGS, false, 4,
	       SITE_EMULATED);
	chosen("a nop", CODE(NOP, RET), ALL_ARGS, false, 0, SITE_EMULATED);
	chosen("moves that leave arguments in place are passed",
	       CODE(MOV_RBX_RDI, SUB_RSP_24, PUSH_RBP, RET), ALL_ARGS, false, 7, SITE_EMULATED);
}

static void stepped(void)
{
	chosen("an argument is overwritten before: its entry, single-stepped",
	       CODE(MOV_RDI_RAX, PUSH_RBP, RET), SITE_ARG(0), false, 0, SITE_STEPPED);
	is_str(site.insn, "mov rdi, rax", "the instruction is named");
	chosen("another argument than those that are read: no matter",
	       CODE(MOV_RDI_RAX, PUSH_RBP, RET), SITE_ARG(1) | SITE_ARG(2), false, 3,
	       SITE_EMULATED);
	chosen("half of an argument's register", CODE(MOV_EDI_EAX, PUSH_RBP, RET), SITE_ARG(0),
	       false, 0, SITE_STEPPED);
	chosen("a byte of one", CODE(MOV_DL_1, PUSH_RBP, RET), SITE_ARG(2), false, 0,
	       SITE_STEPPED);
	chosen("the fourth argument", CODE(0x48, 0x89, 0xc1, PUSH_RBP, RET), SITE_ARG(3), false, 0,
	       SITE_STEPPED);
	chosen("no argument is read at all", CODE(MOV_RDI_RAX, PUSH_RBP, RET), 0, false, 3,
	       SITE_EMULATED);
	chosen("an indirect call is no call that is emulated", CODE(0xff, 0xd0, RET), ALL_ARGS,
	       false, 0, SITE_STEPPED);
	chosen("an indirect jump neither; and what follows is another path",
	       CODE(0xff, 0xe0, PUSH_RBP, RET), ALL_ARGS, false, 0, SITE_STEPPED);
	chosen("push of a constant is not emulated", CODE(0x6a, 0x01, RET), ALL_ARGS, false, 0,
	       SITE_STEPPED);
	chosen("push of memory neither", CODE(0xff, 0x37, RET), ALL_ARGS, false, 0, SITE_STEPPED);
	chosen("a return ends the search", CODE(RET, PUSH_RBP), ALL_ARGS, false, 0, SITE_STEPPED);
	chosen("jrcxz is a branch, but none that is emulated", CODE(0xe3, 0x01, PUSH_RBP, RET),
	       ALL_ARGS, false, 0, SITE_STEPPED);
	chosen("loop neither", CODE(0xe2, 0x01, PUSH_RBP, RET), 0, false, 0, SITE_STEPPED);
}

static void prefixes(void)
{
	chosen("a lock prefix first: the next one",
	       CODE(LOCK_INC_RAX, PUSH_RBP, RET), ALL_ARGS, false, 4, SITE_EMULATED);
	chosen("nothing but a lock prefix", CODE(LOCK_INC_RAX, RET), ALL_ARGS, false, 4,
	       SITE_STEPPED);
	chosen("a lock prefix that writes an argument: nothing is left",
	       CODE(0xf0, 0x48, 0x0f, 0xc1, 0x10, PUSH_RBP, RET), SITE_ARG(2), false, -1, 0);
	ok(strstr(why, "lock xadd"), "the reason names the instruction");
	chosen("a branch with an operand size prefix is not emulated",
	       CODE(TEST_RDX_RDX, 0x66, JE(1), RET, RET, RET, RET, RET), ALL_ARGS, false, 0,
	       SITE_STEPPED);
	/* is_prefix_bad() and branch_setup_xol_ops() refuse these outright, stepped or not */
	chosen("a jump with one is refused", CODE(0x66, 0xe9, 0, 0, 0, 0, RET), 0, false, -1, 0);
	chosen("a call with one is refused", CODE(0x66, 0xe8, 0, 0, 0, 0, RET), 0, false, -1, 0);
	chosen("a branch with a segment prefix is refused", CODE(0x3e, JE(1), RET, RET), 0, false,
	       -1, 0);
	chosen("any instruction with one: the next", CODE(0x2e, MOV_RBX_RDI, PUSH_RBP, RET), 0,
	       false, 4, SITE_EMULATED);
	chosen("a push with an operand size prefix is stepped", CODE(0x66, PUSH_RBP, RET), 0, false,
	       0, SITE_STEPPED);
	chosen("a return with a rep prefix", CODE(0xf3, RET, PUSH_RBP), 0, false, 0, SITE_STEPPED);
}

static void paths(void)
{
	chosen("a branch, then a push: never behind the branch",
	       CODE(TEST_RDX_RDX, 0x66, JE(1), PUSH_RBP, RET), ALL_ARGS, false, 0, SITE_STEPPED);
	chosen("a loop back to the candidate",
	       /* mov rbx, rdi; L: push rbp; dec rbx; jne L */
	       CODE(MOV_RBX_RDI, PUSH_RBP, 0x48, 0xff, 0xcb, 0x75, 0xfa, RET), ALL_ARGS, false, 0,
	       SITE_STEPPED);
	chosen("a loop to just before the candidate",
	       /* mov rbx, rdi; L: mov rax, rbx; push rbp; jmp L */
	       CODE(MOV_RBX_RDI, 0x48, 0x89, 0xd8, PUSH_RBP, 0xeb, 0xfa, RET), ALL_ARGS, false, 0,
	       SITE_STEPPED);
	chosen("a loop to behind the candidate does no harm",
	       /* mov rbx, rdi; push rbp; L: dec rbx; jne L */
	       CODE(MOV_RBX_RDI, PUSH_RBP, 0x48, 0xff, 0xcb, 0x75, 0xfb, RET), ALL_ARGS, false, 3,
	       SITE_EMULATED);
	chosen("a candidate that is its own loop",
	       /* mov rbx, rdi; L: jne L */
	       CODE(MOV_RBX_RDI, 0x75, 0xfe, RET), ALL_ARGS, false, 0, SITE_STEPPED);
}

static void returns(void)
{
	chosen("return probe: push first", CODE(PUSH_RBP, RET), 0, true, 0, SITE_EMULATED);
	chosen("return probe: not behind a change of the stack pointer",
	       CODE(SUB_RSP_24, PUSH_RBP, RET), 0, true, 0, SITE_STEPPED);
	chosen("entry probe: there it does no harm", CODE(SUB_RSP_24, PUSH_RBP, RET), 0, false, 4,
	       SITE_EMULATED);
	chosen("return probe: not behind a pop", CODE(0x5b, PUSH_RBP, RET), 0, true, 0,
	       SITE_STEPPED);
	chosen("return probe: not behind another way to set it",
	       CODE(0x48, 0x89, 0xe0, 0x48, 0x89, 0xc4, PUSH_RBP, RET), 0, true, 0, SITE_STEPPED);
	chosen("return probe: reading it is no change",
	       CODE(0x48, 0x89, 0xe0, PUSH_RBP, RET), 0, true, 3, SITE_EMULATED);
}

static void nonsense(void)
{
	unsigned char junk[64];
	unsigned int i, k, good = 0, rounds = 20000;
	uint64_t x = 88172645463325252ULL;

	chosen("no code", CODE(PUSH_RBP) - 1, 0, false, -1, 0);
	chosen("bytes that are no instruction", CODE(0x06, 0x06, 0x06), 0, false, -1, 0);
	chosen("an instruction that is cut off", CODE(0x48, 0x89), 0, false, -1, 0);
	chosen("what is cut off behind the candidate is no matter", CODE(PUSH_RBP, 0x48, 0x89), 0,
	       false, 0, SITE_EMULATED);
	for (i = 0; i < rounds; i++) {
		size_t len = 1 + i % sizeof(junk);

		for (k = 0; k < len; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			junk[k] = x >> 32;
		}
		memset(&site, 0, sizeof(site));
		if (site_choose_code(junk, len, AT, i & 15, i & 16, &site, why, sizeof(why)))
			good += why[0] != '\0';
		else
			good += site.skip < len && site.insn[0] &&
				(site.class == SITE_EMULATED || site.class == SITE_STEPPED);
	}
	is_u64(good, rounds, "random bytes: a place inside of the code, or a reason");
}

int main(void)
{
	emulated();
	stepped();
	prefixes();
	paths();
	returns();
	nonsense();
	return done();
}
