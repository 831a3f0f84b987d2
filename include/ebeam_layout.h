/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every field of the VM's memory that ebeam uses: one list, many uses.
 *
 * L(name, "Struct", "path", kind) gives struct layout a member `name`.  scripts/gen-layout reads
 * this very list and writes user/layout_rows.h, a row per release and flavour, from the DWARF
 * of an unstripped VM or from a folder of recorded facts.  `-vv` prints it, the proofs
 * (user/prove.c) check it, and a unit test sees that no row leaves a mandatory field unset.
 *
 * path:  member path inside the struct; "|" separates the names it had in different releases;
 *        "#size" is sizeof(Struct); "path#size" the size of the member itself.
 * kind:  MUST (every supported release has it) or MAY (else LAYOUT_ABSENT, shown as missing).
 *
 * Some are there for the proofs alone: landmarks, with a content that nothing else has.
 */
#ifndef EBEAM_LAYOUT_H
#define EBEAM_LAYOUT_H

#define LAYOUT_ABSENT 0xffffffffu

#define EBEAM_LAYOUT_FIELDS(L)                                                                     \
	/* ErtsPTab: process and port table */                                                     \
	L(ptab_count, "ErtsPTab", "vola.tile.count", MUST)                                         \
	L(ptab_tab, "ErtsPTab", "r.o.tab", MUST)                                                   \
	L(ptab_max, "ErtsPTab", "r.o.max", MUST)                                                   \
	L(ptab_pix_mask, "ErtsPTab", "r.o.pix_mask", MUST)                                         \
	L(ptab_pix_mask_size, "ErtsPTab", "r.o.pix_mask#size", MUST)                               \
	L(ptab_pix_cl_mask, "ErtsPTab", "r.o.pix_cl_mask", MUST)                                   \
	L(ptab_pix_cl_shift, "ErtsPTab", "r.o.pix_cl_shift", MUST)                                 \
	L(ptab_pix_cli_mask, "ErtsPTab", "r.o.pix_cli_mask", MUST)                                 \
	L(ptab_pix_cli_shift, "ErtsPTab", "r.o.pix_cli_shift", MUST)                               \
	L(ptab_invalid_element, "ErtsPTab", "r.o.invalid_element", MUST)                           \
	L(ptab_element_size, "ErtsPTab", "r.o.element_size", MUST)                                 \
	/* Process */                                                                              \
	L(proc_size, "Process", "#size", MUST)                                                     \
	L(proc_id, "Process", "common.id", MUST)                                                   \
	L(proc_reg, "Process", "common.u.alive.reg", MUST)                                         \
	L(proc_htop, "Process", "htop", MUST)                                                      \
	L(proc_stop, "Process", "stop", MUST)                                                      \
	L(proc_heap, "Process", "heap", MUST)                                                      \
	L(proc_hend, "Process", "hend", MUST)                                                      \
	L(proc_abandoned_heap, "Process", "abandoned_heap", MUST)                                  \
	L(proc_heap_sz, "Process", "heap_sz", MUST)                                                \
	L(proc_flags, "Process", "flags", MUST)                                                    \
	L(proc_reds, "Process", "reds", MUST)                                                      \
	L(proc_group_leader, "Process", "group_leader", MUST)                                      \
	L(proc_dictionary, "Process", "dictionary", MUST)                                          \
	L(proc_initial, "Process", "u.initial", MUST)                                              \
	L(proc_gen_gcs, "Process", "gen_gcs", MUST)                                                \
	L(proc_max_gen_gcs, "Process", "max_gen_gcs", MUST)                                        \
	L(proc_high_water, "Process", "high_water", MUST)                                          \
	L(proc_old_hend, "Process", "old_hend", MUST)                                              \
	L(proc_old_htop, "Process", "old_htop", MUST)                                              \
	L(proc_old_heap, "Process", "old_heap", MUST)                                              \
	L(proc_off_heap_first, "Process", "off_heap.first", MUST)                                  \
	L(proc_off_heap_overhead, "Process", "off_heap.overhead", MUST)                            \
	L(proc_wrt_bins, "Process", "wrt_bins", MAY)                                               \
	L(proc_mbuf, "Process", "mbuf", MUST)                                                      \
	L(proc_live_hf_end, "Process", "live_hf_end", MUST)                                        \
	L(proc_msg_frag, "Process", "msg_frag", MUST)                                              \
	L(proc_mbuf_sz, "Process", "mbuf_sz", MUST)                                                \
	L(proc_state, "Process", "state.counter|state.value|state", MUST)                          \
	/* ErtsSchedulerData, an element of the aligned arrays */                                  \
	L(sched_stride, "ErtsAlignedSchedulerData", "#size", MUST)                                 \
	L(sched_tid, "ErtsSchedulerData", "tid", MUST)                                             \
	L(sched_current_process, "ErtsSchedulerData", "current_process", MUST)                     \
	L(sched_type, "ErtsSchedulerData", "type", MUST)                                           \
	L(sched_no, "ErtsSchedulerData", "no", MUST)                                               \
	L(sched_dirty_no, "ErtsSchedulerData", "dirty_no", MUST)                                   \
	L(sched_current_port, "ErtsSchedulerData", "current_port", MUST)                           \
	L(sched_gc_reclaimed, "ErtsSchedulerData", "gc_info.reclaimed", MUST)                      \
	L(sched_gc_cols, "ErtsSchedulerData", "gc_info.garbage_cols", MUST)                        \
	L(sched_ets_count, "ErtsSchedulerData", "ets_tables.count|u.ets_tables.count", MUST)       \
	L(sched_ets_clist, "ErtsSchedulerData", "ets_tables.clist|u.ets_tables.clist", MUST)       \
	L(table_next, "DbTableCommon", "all.next", MUST)                                           \
	/* allocators */                                                                           \
	L(allctr_name_prefix, "Allctr_t", "name_prefix", MUST)                                     \
	L(allctr_alloc_no, "Allctr_t", "alloc_no", MUST)                                           \
	L(allctr_ix, "Allctr_t", "ix", MUST)                                                       \
	L(allctr_mseg_opt, "Allctr_t", "mseg_opt", MUST)                                           \
	L(allctr_mbc_header, "Allctr_t", "mbc_header_size", MUST)                                  \
	L(allctr_mbc_list, "Allctr_t", "mbc_list.first", MUST)                                     \
	L(allctr_sbc_list, "Allctr_t", "sbc_list.first", MUST)                                     \
	L(allctr_pool_number, "Allctr_t", "cpool.carrier_pool", MUST)                              \
	L(allctr_sentinel, "Allctr_t", "cpool.sentinel", MUST)                                     \
	L(allctr_pool_no_carriers, "Allctr_t", "cpool.stat.no_carriers", MUST)                     \
	L(allctr_pool_carriers_size, "Allctr_t", "cpool.stat.carriers_size", MUST)                 \
	L(allctr_pool_no_blocks, "Allctr_t", "cpool.stat.no_blocks", MUST)                         \
	L(allctr_pool_blocks_size, "Allctr_t", "cpool.stat.blocks_size", MUST)                     \
	L(allctr_main_carrier, "Allctr_t", "main_carrier", MUST)                                   \
	L(allctr_mseg_alloc, "Allctr_t", "mseg_alloc", MUST)                                       \
	L(allctr_mseg_realloc, "Allctr_t", "mseg_realloc", MUST)                                   \
	L(allctr_mseg_dealloc, "Allctr_t", "mseg_dealloc", MUST)                                   \
	L(allctr_mseg_mmapper, "Allctr_t", "mseg_mmapper", MUST)                                   \
	L(allctr_sys_alloc, "Allctr_t", "sys_alloc", MUST)                                         \
	L(allctr_sys_realloc, "Allctr_t", "sys_realloc", MUST)                                     \
	L(allctr_sys_dealloc, "Allctr_t", "sys_dealloc", MUST)                                     \
	L(allctr_creating_mbc, "Allctr_t", "creating_mbc", MUST)                                   \
	L(allctr_destroying_mbc, "Allctr_t", "destroying_mbc", MUST)                               \
	L(allctr_add_mbc, "Allctr_t", "add_mbc", MUST)                                             \
	L(allctr_remove_mbc, "Allctr_t", "remove_mbc", MUST)                                       \
	L(allctr_pool_fetch, "Allctr_t", "cpool.stat.fetch", MUST)                                 \
	L(allctr_calls, "Allctr_t", "calls.this_alloc", MUST)                                      \
	L(allctr_sbcs, "Allctr_t", "sbcs", MUST)                                                   \
	L(allctr_mbcs, "Allctr_t", "mbcs", MUST)                                                   \
	L(cstats_carriers, "CarriersStats_t", "carriers", MUST)                                    \
	L(cstats_blocks, "CarriersStats_t", "blocks", MUST)                                        \
	L(cstats_block_stride, "BlockStats_t", "#size", MUST)                                      \
	L(cstats_size, "CarriersStats_t", "#size", MUST)                                           \
	L(carrier_chdr, "Carrier_t", "chdr", MUST)                                                 \
	L(carrier_next, "Carrier_t", "next", MUST)                                                 \
	L(carrier_allctr, "Carrier_t", "allctr.counter|allctr.value|allctr", MUST)                 \
	L(carrier_cpool, "Carrier_t", "cpool", MUST)                                               \
	L(carrier_creator, "Carrier_t", "cpool.orig_allctr", MUST)                                 \
	L(carrier_pool_next, "Carrier_t", "cpool.next", MUST)                                      \
	L(carrier_blocks_size, "Carrier_t", "cpool.total_blocks_size", MUST)                       \
	L(thrspec_dd, "ErtsAllocatorThrSpec_t", "dd", MUST)                                        \
	L(thrspec_enabled, "ErtsAllocatorThrSpec_t", "enabled", MUST)                              \
	L(thrspec_aix, "ErtsAllocatorThrSpec_t", "aix", MUST)                                      \
	L(thrspec_size, "ErtsAllocatorThrSpec_t", "size", MUST)                                    \
	L(thrspec_allctr, "ErtsAllocatorThrSpec_t", "allctr", MUST)                                \
	/* off-heap */                                                                             \
	L(bin_refc, "Binary", "intern.refc", MUST)                                                 \
	L(bin_orig_size, "Binary", "orig_size", MUST)                                              \
	L(bin_data, "Binary", "orig_bytes", MUST)                                                  \
	L(oh_next, "ProcBin|BinRef", "next", MUST)                                                 \
	L(oh_val, "ProcBin|BinRef", "val", MUST)                                                   \
	L(frag_next, "ErlHeapFragment", "next", MUST)                                              \
	L(frag_off_heap_first, "ErlHeapFragment", "off_heap.first", MUST)                          \
	L(frag_alloc_size, "ErlHeapFragment", "alloc_size", MUST)                                  \
	L(frag_used_size, "ErlHeapFragment", "used_size", MUST)                                    \
	L(frag_mem, "ErlHeapFragment", "mem", MUST)                                                \
	L(msg_next, "ErtsMessage", "next", MUST)                                                   \
	L(msg_attached, "ErtsMessage", "data.attached", MUST)                                      \
	L(msg_frag, "ErtsMessage", "hfrag", MUST)                                                  \
	/* names */                                                                                \
	L(index_entries, "IndexTable", "entries", MUST)                                            \
	L(index_seg_table, "IndexTable", "seg_table", MUST)                                        \
	L(atom_index, "Atom", "slot.index", MUST)                                                  \
	L(atom_len, "Atom", "len", MUST)                                                           \
	L(atom_name, "Atom", "name|u", MUST)                                                       \
	L(regproc_p, "RegProc", "p", MUST)                                                         \
	L(regproc_name, "RegProc", "name", MUST)                                                   \
	L(dict_array_size, "ProcDict", "arraySize", MUST)                                          \
	L(dict_num, "ProcDict", "numElements", MUST)                                               \
	L(dict_data, "ProcDict", "data", MUST)                                                     \
	L(node_sysname, "ErlNode", "sysname", MUST)

/*
 * The fields that no proof reaches: U(name).  They are used from a row whose build id matches, or
 * from DWARF; else they are LAYOUT_ABSENT in the VM's copy of the row, and what they would show
 * is missing.  tests/unit/t_mutants.c sees to it that this is all of them.
 */
#define EBEAM_LAYOUT_UNPROVEN(U)

/* M(name): those that no command uses, only proofs of others. */
#define EBEAM_LAYOUT_LANDMARKS(M)                                                                  \
	M(ptab_element_size) M(proc_live_hf_end) M(sched_ets_count) M(sched_ets_clist)             \
	M(table_next) M(allctr_mbc_header) M(allctr_pool_number) M(allctr_sentinel)                \
	M(allctr_main_carrier) M(allctr_mseg_mmapper) M(allctr_creating_mbc)                       \
	M(allctr_destroying_mbc) M(carrier_cpool) M(carrier_creator) M(carrier_pool_next)          \
	M(thrspec_aix) M(frag_alloc_size) M(frag_used_size) M(frag_mem) M(msg_next)                \
	M(msg_attached) M(msg_frag)

struct layout_fields {
#define L(name, strukt, path, kind) unsigned int name;
	EBEAM_LAYOUT_FIELDS(L)
#undef L
};

#endif
