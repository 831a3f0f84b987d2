// SPDX-License-Identifier: GPL-2.0-only
/*
 * What calls itself beam.smp and is no VM: a little of what ebeam goes by, and then nothing.
 *
 * Each -D adds a piece (see tests/live/52-fakes.t, which compiles it):
 *   TEXT="..."      what a VM prints as its version; TEXT_TWICE: there are two
 *   ALLCTRS         driver_alloc() and enif_alloc_binary(), which call by a table of allocators
 *   OTHER_ALLCTRS   the second calls by another one
 *   NO_CODE         the table's entries point to data
 *   TYPES           erts_alc_n2t and erts_alc_n2td
 *   A2AD=N          so many arrays of the names of allocators
 *   PTAB_KIND=KIND  enif_is_process_alive() and the process table that it looks into
 *   EXPORTED=KIND   the symbols that OTP 25 exports, with nothing sensible behind
 * Nothing is named but what is exported: -s -rdynamic.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define KEPT __attribute__((used))

#ifdef TEXT
KEPT char version[] = TEXT;
#ifdef TEXT_TWICE
KEPT char other_version[] = "and another Erlang/OTP ";
#endif
#endif

/* --- allocators: the code is as in erl_drv_thread.c and erl_nif.c, inlined erts_alloc() --- */

#define DRV_BINARY 40 /* number of that type */

#ifdef ALLCTRS
struct entry {
	void *(*alloc)(int type, void *extra, size_t size);
	void *(*realloc)(int type, void *extra, void *p, size_t size);
	void (*free)(int type, void *extra, void *p);
	void *extra;
};

HIDDEN struct entry table[13], other_table[13];

#ifdef OTHER_ALLCTRS
#define SECOND_TABLE other_table
#else
#define SECOND_TABLE table
#endif

void *driver_alloc(size_t size);
void *driver_alloc(size_t size)
{
	return table[11].alloc(0x72eb, table[11].extra, size);
}

void *enif_alloc_binary(size_t size);
void *enif_alloc_binary(size_t size)
{
	return SECOND_TABLE[10].alloc(DRV_BINARY << 7 | 10, SECOND_TABLE[10].extra, size);
}

KEPT static void *no_alloc(int type, void *extra, size_t size)
{
	return NULL;
}

static void fill_allctrs(void)
{
#ifdef NO_CODE
	void *to = table;
#else
	void *to = (void *)no_alloc;
#endif
	int i;

	for (i = 0; i < 13; i++) {
		table[i] = (struct entry){ to, to, to, table };
		other_table[i] = table[i];
	}
}
#else
static void fill_allctrs(void)
{
}
#endif

#ifdef TYPES
/* bits 7 to 14: its number; bits 0 to 3: its allocator, of 1 to 12, 10 for number 40 */
#define T(n) ((n) << 7 | (1 + ((n) + 5) % 12))
#define T8(n) T(n), T(n + 1), T(n + 2), T(n + 3), T(n + 4), T(n + 5), T(n + 6), T(n + 7)
KEPT static const uint32_t n2t[] = {
	T8(0), T8(8), T8(16), T8(24), T8(32), T8(40), T8(48), T8(56),
};
KEPT const char *n2td[64] = { "invalid_type", [DRV_BINARY] = "drv_binary" };
#endif
#ifdef A2AD
KEPT const char *a2ad[] = { "none", "sys_alloc", "temp_alloc", "sl_alloc" };
#if A2AD == 2
KEPT const char *other_a2ad[] = { "none", "sys_alloc", "temp_alloc", "sl_alloc" };
#endif
#endif

/* --- the process table --- */

#define CIRCLES 1    /* each slot leads to the next one */
#define UNREADABLE 2 /* nowhere, or into the guard page at the end of what there is */
#define ONE_RIGHT 3  /* the same, but a process that knows its slot */
#define HUGE 4	     /* a size that the table has not */

#ifdef PTAB_KIND
#define SLOTS 1024

HIDDEN _Alignas(64) unsigned char ptab[4096];
HIDDEN uint64_t slots[SLOTS];

int enif_is_process_alive(void *env, const uint64_t *pid);
int enif_is_process_alive(void *env, const uint64_t *pid)
{
	return (*(uint64_t **)(ptab + PTAB_TAB))[*pid % SLOTS] != 0;
}

static uint64_t slot_value(unsigned int i, unsigned char *page)
{
	static const uint64_t nowhere[] = {
		1, 0x10, 0x7ffffffff000, 0x8000000000000000, 0xfffffffffffffff8,
	};

	if (PTAB_KIND == CIRCLES)
		return (uint64_t)&slots[(i + 1) % SLOTS];
	return i % 6 == 5 ? (uint64_t)page + 4096 - i % 16 : nowhere[i % 6];
}

static void fill_ptab(void)
{
	unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t max = PTAB_KIND == HUGE ? 1u << 27 : SLOTS;
	uint64_t *tab = slots;
	unsigned int i;

	mprotect(page + 4096, 4096, PROT_NONE);
	for (i = 0; i < SLOTS; i++)
		slots[i] = slot_value(i, page);
	if (PTAB_KIND == ONE_RIGHT) {
		slots[5] = (uint64_t)page;
		*(uint64_t *)(page + PROC_ID) = 5 << 4 | 3;
	}
	memcpy(ptab + PTAB_TAB, &tab, sizeof(tab));
	memcpy(ptab + PTAB_MAX, &max, sizeof(max));
}
#else
static void fill_ptab(void)
{
}
#endif

/* --- what OTP 25 exports --- */

#define ZEROED 1
#define POINTERS 2 /* every word is the address of one of them */
#define CHANGING 3 /* the same, and small numbers; again and again */
#define CROWDED 4  /* zeros, but a process table with all slots in use, none of them readable */

#ifdef EXPORTED
#define WORDS 16384

_Alignas(4096) uint64_t pool[WORDS];
char etp_otp_release[] = "25", etp_erts_version[] = "13.1.5";
uint32_t etp_beamasm = 1, erts_no_schedulers = 4096, erts_no_dirty_cpu_schedulers = 1,
	 erts_no_dirty_io_schedulers = 10;

#define AT(name, offset, size)                                                                     \
	__asm__(".globl " #name "\n.type " #name ", @object\n.set " #name ", pool + " #offset      \
		"\n.size " #name ", " #size)
AT(erts_proc, 0, 512);
AT(erts_port, 512, 512);
AT(erts_atom_table, 1024, 256);
AT(erts_allctrs, 2048, 416);
AT(erts_allctrs_info, 4096, 416);
AT(erts_alc_n2t, 8192, 1024);
AT(erts_alc_n2td, 12288, 2048);
AT(erts_alc_a2ad, 16384, 104);
AT(erts_aligned_scheduler_data, 20480, 8);
AT(erts_aligned_dirty_cpu_scheduler_data, 20488, 8);
AT(erts_aligned_dirty_io_scheduler_data, 20496, 8);
AT(erts_this_node, 20504, 8);

KEPT static uint64_t seed = 1;

KEPT static uint64_t some_word(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	if (EXPORTED == CHANGING && seed >> 63)
		return seed >> 40 & 0xff;
	return (uint64_t)&pool[seed >> 33 & (WORDS - 1)];
}

#if EXPORTED == CROWDED
#define CROWD (1u << 20)

static void fill_exported(void)
{
	uint64_t *tab = mmap(NULL, 8 * CROWD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	uint64_t nothing = (uint64_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	for (i = 0; i < CROWD; i++)
		tab[i] = nothing;
	pool[PTAB_TAB / 8] = (uint64_t)tab;
	pool[PTAB_MAX / 8] = CROWD;
	pool[PTAB_COUNT / 8] = 41;
}
#else
static void fill_exported(void)
{
	unsigned int i;

	for (i = 0; EXPORTED != ZEROED && i < WORDS; i++)
		pool[i] = some_word();
}
#endif
#else
#define EXPORTED 0
static void fill_exported(void)
{
}
#endif

int main(void)
{
	fill_allctrs();
	fill_ptab();
	fill_exported();
	puts("ready");
	fflush(stdout);
	while (EXPORTED == CHANGING) {
		usleep(500);
		fill_exported();
	}
	for (;;)
		pause();
}
