/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF programs and user space share: keys and values of the maps, and the settings that
 * user space writes before the programs are loaded.  Fixed width, explicit padding, sizes pinned.
 *
 * BPF keeps raw words (addresses, Eterms, sizes, nanoseconds); names are made in user space.
 */
#ifndef EBEAM_SHARED_H
#define EBEAM_SHARED_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Groups of sites that are switched on and off together, and whose cost is counted together. */
enum eb_group {
	EB_GROUP_ALLOC,	  /* alloc, realloc, free: hot */
	EB_GROUP_GC,	  /* collections, entry and return: warm */
	EB_GROUP_EXIT,	  /* process exit: warm */
	EB_GROUP_CARRIER, /* carriers created, resized, moved, destroyed: rare */
	EB_GROUP_REFC,	  /* references counted by drivers and NIFs: rare in most nodes */
	EB_NGROUPS,
};

#define EB_HIST_SLOTS 40	/* slot k counts values in [2^k, 2^(k+1)); 0 and 1 share slot 0 */
#define EB_LIFE_SLOTS 48	/* the same for lifetimes in ns: up to three days */
#define EB_SCRATCH_BYTES 832	/* one wide read of a Process, up to the last field we use */
#define EB_MAX_THREADS 1024
#define EB_MAX_CARRIER_ROWS 4096
#define EB_MAX_CARRIERS 8192	/* created under watch and alive */
#define EB_MAX_INSTANCES 16384
#define EB_MAX_BIRTHS 32768	/* blocks allocated under watch, recorded and alive */
#define EB_MAX_SITES 64
#define EB_MAX_ALLOCATORS 16
#define EB_CHAIN_MAX 1000	/* off-heap nodes walked per collection, entry and return each */
#define EB_DICT_CHAIN 16	/* pairs of a dictionary slot that are searched */
#define EB_BODY_MAX_NS 20000	/* a hit of a hot program that took longer was interrupted */
#define EB_WALK_MAX_NS 2000000	/* the same of one that walks lists */
#define EB_BODY_JIFFIES 16	/* hot programs are timed in one of so many ticks of the kernel */
/*
 * Births are recorded one and all up to so many per thread and window (64 ticks of the kernel);
 * above, a sample that makes about EB_BIRTH_TARGET of them.
 */
#define EB_BIRTH_BURST 2048
#define EB_BIRTH_TARGET 512

/*
 * Who does the work.  The key of a row is an Eterm: a pid (tag 0x3), a port (tag 0x7), or, for
 * work outside both, a thread: (Linux tid << 8) | EB_KEY_THREAD, which is no pid or port.
 */
#define EB_KEY_THREAD 0x0f
#define EB_KEY_API 0x0e	  /* a function by which drivers and NIFs count references: EB_API_* << 8 */
#define EB_KEY_OTHER 0ULL /* all that found no room of its own */
#define EB_KEY_TAG(key) ((key)&0xf)
#define EB_KEY_TID(key) ((__u32)((key) >> 8))

/* Settings: offsets and constants of the proven layout.  All frozen at load. */
struct eb_config {
	__u64 ns_dev, ns_ino; /* the target's pid namespace: pids below are as seen in it */
	__u64 atom_initial_call; /* Eterm of '$initial_call', 0 when not found */
	__u32 tgid;
	__u32 proc_read_bytes;
	/* ErtsSchedulerData: one read covers both words */
	__u32 sched_read_off, sched_read_bytes, sched_proc_rel, sched_port_rel;
	__u32 sched_gc_reclaimed; /* and garbage_cols behind it */
	/* Process */
	__u32 proc_id, proc_reg, proc_initial, proc_dictionary;
	__u32 proc_htop, proc_heap, proc_hend, proc_abandoned_heap, proc_flags, proc_gen_gcs;
	__u32 proc_heap_sz;
	__u32 proc_old_heap, proc_old_htop, proc_old_hend;
	__u32 proc_off_heap_first, proc_wrt_bins; /* wrt_bins: 0 = none */
	__u32 proc_mbuf_sz, proc_state, proc_high_water;
	__u32 flag_hibernate_pending; /* F_DIRTY_GC_HIBERNATE */
	/* off-heap node, Binary */
	__u32 oh_node_bytes, oh_val, oh_header;
	__u32 bin_orig_size, bin_data;
	__u32 bin_pad, drv_bin_pad; /* bytes asked for beyond header and payload */
	__u32 type_binary, type_drv_binary;
	__u32 type_proc; /* its frees tell that a Process* may come to mean another process; 0: no */
	__u32 carrier_allctr, carrier_blocks_size;
	__u32 allctr_mseg_opt; /* Allctr_t.mseg_opt: what functions below the callbacks are given */
	__u32 allctr_call_mseg_alloc, allctr_call_sys_alloc; /* counters of carriers created */
	__u32 pad2;
	__u32 carrier_shift; /* log2 of the unit that a block's carrier offset counts */
	__u32 shared_pool;   /* carriers go from allocator to allocator (OTP 23) */
	__u32 regproc_name, dict_array_size, dict_data;
	__u32 want_alloc_rows;	/* the alloc section was asked for (else only binaries are counted) */
	__u32 want_bin_rows;
	__u32 have_bpf_loop; /* kernel 5.17; a bounded loop elsewhere, slow to verify */
	__u32 alloc_hit_ns;  /* measured cost of a trap of EB_GROUP_ALLOC */
	__u32 pad;
};

struct eb_thread {
	__u64 sched; /* ErtsSchedulerData*, 0 for other threads */
	__u32 idx;   /* slot in thread_states */
	__u32 dirty; /* a dirty scheduler */
	__u32 ix;    /* index of the allocator instances that it prefers */
	__u32 tid;   /* in the target's pid namespace */
};

/* Calls as an allocator's instances count them (Allctr_t.calls). */
enum { EB_CALL_ALLOC, EB_CALL_FREE, EB_CALL_REALLOC, EB_NCALLS };

/* What is sampled apart: refc binaries, and all else. */
enum { EB_BIRTH_BINARY, EB_BIRTH_OTHER, EB_NBIRTHS };

/* A block that was allocated under watch. */
struct eb_birth {
	__u64 ns, who, size; /* the size asked for */
	__u32 type;
	__u32 weight; /* how many births this one stands for */
	__u32 epoch;  /* of the alloc group: nothing is known across a gap in the watch */
	__u32 pad;
};

/* Kept per thread: uprobe programs can be preempted, so nothing per CPU would be safe. */
struct eb_thread_state {
	__u64 hits[EB_NGROUPS];	 /* traps at an entry */
	__u64 returns[EB_NGROUPS]; /* traps at a return */
	__u64 body_ns[EB_NGROUPS], body_hits[EB_NGROUPS]; /* time in our programs: timed hits */
	__u64 site_hits[EB_MAX_SITES];
	__u64 calls[EB_MAX_ALLOCATORS][EB_NCALLS]; /* by allocator, counted as the VM does */
	__u64 unrowed_words; /* heap allocated by processes that ended without a row */
	/* which process ran here last; holds as long as no Process was freed since */
	__u64 last_proc, last_id, last_gen;
	struct {
		__u32 window, n, shift, pad;
		__u64 skipped; /* births that were not recorded */
	} sampler[EB_NBIRTHS];
	/* the call under way on this thread whose result is a birth, or moves one */
	struct eb_birth birth; /* weight 0: none */
	__u64 birth_old;       /* the address that realloc was given */
	/* the chain walk's answer; fresh: came since the last collection */
	__u64 walk_refs, walk_bytes, walk_truncated, fresh_refs, fresh_bytes;
	/* the collection under way on this thread */
	struct {
		__u32 depth, epoch;
		__u32 flags, state, truncated, pad;
		__u64 sp; /* stack pointer at its entry */
		__u64 start_ns, proc, id;
		__u64 abandoned, high_water;
		__u64 words, gen_gcs, cols, reclaimed;
		__u64 refs, bytes;
		__u64 fresh_refs, fresh_bytes, fresh_words;
		__u64 deaths, death_bytes;
		__u64 alloc_hits; /* of this thread, when it began */
		__u64 hibernate;
	} gc;
	/* the carrier call under way on this thread */
	struct {
		__u64 allctr, size_ptr, old_size, old;
		__u64 size;    /* where it is not told by reference: what was asked for */
		__u64 created; /* carriers that the instance had created before */
		__u64 birth_ns; /* of the carrier that is being resized; 0: not known */
		__u32 kind, source, what, epoch;
	} carrier;
	__u64 scratch[EB_SCRATCH_BYTES / 8];
};

/* Block_t.bhdr: the size behind a header; all three flags set says single-block carrier. */
#define EB_BLOCK_BYTES(bhdr)                                                                       \
	((bhdr) & (((bhdr)&7) == 7 ? 0x7ffffffffffffff8ULL : 0xfffffffff8ULL))

#define EB_SBC_HEADER_BYTES 32 /* of a single-block carrier; its one block begins there */

enum {
	EB_PROC_EXITED = 1,   /* seen to exit: its names are final */
	EB_PROC_PARTIAL = 2,  /* a chain was too long to walk: released and acquired fall short */
};

struct eb_proc {
	__u64 initial[3];	/* u.initial: module, function, arity (untagged) */
	__u64 initial_call[3];	/* of '$initial_call': module, function, arity (small int) */
	__u64 reg_name;		/* atom, 0 = none */
	__u32 flags;
	__u32 pad;
	char comm[16];		/* rows of threads */
	__u64 created, created_bytes, freed, freed_bytes;
	/* of the binaries it created under watch: how many have died, whoever freed them */
	__u64 died, died_bytes;
	__u64 released, released_bytes; /* references given up, by collections and exit */
	/*
	 * References and heap words that came between collections.  What came before the first one
	 * that was watched is kept apart: part of it may be older than the watch.
	 */
	__u64 acquired, acquired_bytes, allocated_words;
	__u64 first_ns, first_refs, first_bytes, first_words;
	/* a collection that was put off: the heap it abandoned, and where survivors end in it */
	__u64 put_off_heap, put_off_water;
	__u64 minor, major, pause_total_ns, pause_max_ns;
	__s64 reclaimed_words;
	__u64 gc_released_bytes, heap_words;
	__u32 size_hist[EB_HIST_SLOTS];
	__u32 pause_hist[EB_HIST_SLOTS];
	__u32 life_hist[EB_LIFE_SLOTS];
};

struct eb_alloc_key {
	__u64 who;
	__u32 type; /* ErtsAlcType_t */
	__u32 pad;
};

struct eb_alloc {
	__u64 allocs, alloc_bytes, frees, free_bytes, reallocs, realloc_bytes;
	__u32 size_hist[EB_HIST_SLOTS];
};

enum { EB_MBC, EB_SBC };
enum { EB_MSEG, EB_SYS_ALLOC };

struct eb_carrier_key {
	__u64 allctr;
	__u64 who; /* 0: the instance's own row, else by process */
	__u32 kind, source;
};

struct eb_carrier {
	__u64 created, destroyed, created_bytes, destroyed_bytes;
	__u64 destroyed_used; /* bytes in blocks when it was destroyed */
	__u64 grown, grown_bytes, shrunk, shrunk_bytes;
	__u64 abandoned, abandoned_bytes, fetched, fetched_bytes; /* to and from the pool */
	__u32 size_hist[EB_HIST_SLOTS];
	__u32 life_hist[EB_LIFE_SLOTS]; /* of those created under watch */
};

/* A carrier that was created under watch. */
struct eb_carrier_birth {
	__u64 ns, allctr;
	__u32 kind, source;
};

/* Cookies: number of the site << 8 | what it means to its program. */
#define EB_COOKIE(site, what) ((__u64)(site) << 8 | (what))
#define EB_COOKIE_WHAT(cookie) ((cookie)&0xff)
#define EB_COOKIE_SITE(cookie) ((cookie) >> 8 & (EB_MAX_SITES - 1))
enum { EB_ALLCTR_FIXED = 0, EB_ALLCTR_PREFERRED = 1 }; /* ..._ts and _thr_spec; ..._thr_pref */
/*
 * What a carrier site does: with EB_CARRIER_SYS by the system's allocator, else by mseg; with
 * EB_CARRIER_BELOW it is not the instance's callback but the function that this one calls.
 * EB_CARRIER_CREATE: create_carrier(), for both.
 */
enum { EB_CARRIER_ALLOC = 0, EB_CARRIER_REALLOC = 1, EB_CARRIER_DEALLOC = 2, EB_CARRIER_CREATE = 3,
       EB_CARRIER_SYS = 4, EB_CARRIER_BELOW = 8 };
enum { EB_POOL_ABANDON = 0, EB_POOL_FETCH = 1 };
enum { EB_GC_ORDINARY = 0, EB_GC_HIBERNATE = 1 };
enum {
	EB_API_DRV_INC, EB_API_DRV_DEC, EB_API_DRV_FREE, EB_API_NIF_RELEASE, EB_NAPIS,
};

_Static_assert(sizeof(struct eb_config) % 8 == 0, "settings");
_Static_assert(sizeof(struct eb_thread) == 24, "thread");
_Static_assert(sizeof(struct eb_birth) == 40, "birth");
_Static_assert(sizeof(struct eb_alloc_key) == 16, "alloc key");
_Static_assert(sizeof(struct eb_carrier_key) == 24, "carrier key");
_Static_assert(sizeof(struct eb_alloc) == 208, "alloc row");
_Static_assert(sizeof(struct eb_proc) % 8 == 0, "process row");
_Static_assert(sizeof(struct eb_carrier) % 8 == 0, "carrier row");

#endif
