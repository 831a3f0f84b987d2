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
	L(node_sysname, "ErlNode", "sysname", MUST)                                                \
	EBEAM_LAYOUT_READ_FIELDS(L)

/*
 * What only the commands that read the node use.  A trace does not wait for their proof: the part
 * that reads them proves them first, on what it reads (its _open()), and where they do not hold it
 * has nothing to show.
 */
#define EBEAM_LAYOUT_READ_FIELDS(L)								\
	/* what processes are doing, and have: snap_ps.c */					\
	L(proc_arity, "Process", "arity", MUST)							\
	L(proc_arity_size, "Process", "arity#size", MUST)					\
	L(proc_max_arg_reg, "Process", "max_arg_reg", MUST)					\
	L(proc_arg_reg, "Process", "arg_reg", MUST)						\
	L(proc_def_arg_reg, "Process", "def_arg_reg", MUST)					\
	L(proc_i, "Process", "i", MUST)								\
	L(proc_current, "Process", "current", MUST)						\
	L(proc_parent, "Process", "parent", MUST)						\
	L(proc_fcalls, "Process", "fcalls", MUST)						\
	L(proc_fvalue, "Process", "fvalue", MUST)						\
	L(proc_ftrace, "Process", "ftrace", MUST)						\
	L(proc_catches, "Process", "catches", MUST)						\
	L(proc_seq_token, "Process", "seq_trace_token", MUST)					\
	L(proc_min_heap_size, "Process", "min_heap_size", MUST)					\
	L(proc_min_vheap_size, "Process", "min_vheap_size", MUST)				\
	L(proc_max_heap_size, "Process", "max_heap_size", MUST)					\
	L(proc_bin_vheap_sz, "Process", "bin_vheap_sz", MUST)					\
	L(proc_bin_old_vheap_sz, "Process", "bin_old_vheap_sz", MUST)				\
	L(proc_bin_old_vheap, "Process", "bin_old_vheap", MUST)					\
	L(proc_static_flags, "Process", "static_flags", MUST)					\
	L(proc_psd, "Process", "psd.counter|psd.value|psd", MUST)				\
	L(psd_size, "ErtsPSD", "#size", MUST)							\
	L(psd_data, "ErtsPSD", "data", MUST)							\
	L(proc_started, "Process", "common.u.alive.started_interval", MUST)			\
	L(proc_run_queue, "Process", "run_queue.counter|run_queue.value|run_queue", MUST)	\
	L(proc_scheduler, "Process", "scheduler_data", MUST)					\
	L(proc_bif_timers, "Process", "bif_timers", MUST)					\
	L(dict_used, "ProcDict", "usedSlots", MUST)						\
	/* signal queues */									\
	L(proc_sig_first, "Process", "sig_qs.first", MUST)					\
	L(proc_sig_last, "Process", "sig_qs.last", MUST)					\
	L(proc_sig_save, "Process", "sig_qs.save", MUST)					\
	L(proc_sig_cont, "Process", "sig_qs.cont", MUST)					\
	L(proc_sig_cont_last, "Process", "sig_qs.cont_last", MUST)				\
	L(proc_sig_signals, "Process", "sig_qs.nmsigs.next", MUST)				\
	L(proc_sig_len, "Process", "sig_qs.mq_len|sig_qs.len", MUST)				\
	L(proc_sig_mlenoffs, "Process", "sig_qs.mlenoffs", MAY)					\
	L(proc_sig_markers, "Process", "sig_qs.recv_mrk_blk", MAY)				\
	L(proc_sig_flags, "Process", "sig_qs.flags", MUST)					\
	L(proc_inq_first, "Process", "sig_inq.first", MUST)					\
	L(proc_inq_last, "Process", "sig_inq.last", MUST)					\
	L(proc_inq_len, "Process", "sig_inq.mlenoffs|sig_inq.len", MUST)			\
	L(proc_inq_signals, "Process", "sig_inq.nmsigs.next", MUST)				\
	L(proc_inq_buffers, "Process", "sig_inq_buffers.counter|sig_inq_buffers.value|sig_inq_buffers", MAY) \
	L(inqbuf_slots, "ErtsSignalInQueueBufferArray", "slots", MAY)				\
	L(inqbuf_slot_size, "ErtsSignalInQueueBuffer", "#size", MAY)				\
	L(inqbuf_queue, "ErtsSignalInQueueBuffer", "b.queue|queue", MAY)			\
	L(msg_m, "ErtsMessage", "m", MUST)							\
	L(msg_size, "ErtsMessage", "#size", MUST)						\
	L(sig_mlenoffs, "ErtsSignal", "nm_sig.mlenoffs", MAY)				\
	/* links and monitors */								\
	L(proc_links, "Process", "common.u.alive.links", MUST)					\
	L(proc_lt_monitors, "Process", "common.u.alive.lt_monitors", MUST)			\
	L(proc_monitors, "Process", "common.u.alive.monitors", MUST)				\
	L(ml_right, "ErtsLink", "node.tree.right", MUST)					\
	L(ml_left, "ErtsLink", "node.tree.left", MUST)						\
	L(ml_list_next, "ErtsLink", "node.list.next", MUST)					\
	L(ml_other, "ErtsLink", "other.item", MUST)						\
	L(ml_offset, "ErtsLink", "offset", MUST)						\
	L(ml_key_offset, "ErtsLink", "key_offset", MUST)					\
	L(ml_flags, "ErtsLink", "flags", MUST)							\
	L(ml_type, "ErtsMonitor", "type", MAY)							\
	L(ml_size, "ErtsMonitor", "#size", MUST)						\
	L(linkdata_size, "ErtsLinkData", "#size", MUST)						\
	L(mondata_size, "ErtsMonitorData", "#size", MUST)					\
	L(mondata_origin, "ErtsMonitorData", "origin", MUST)					\
	L(mondata_ref, "ErtsMonitorData", "ref", MUST)						\
	/* schedulers and run queues */								\
	L(sched_reductions, "ErtsSchedulerData", "reductions", MUST)				\
	L(sched_run_queue, "ErtsSchedulerData", "run_queue", MUST)				\
	L(sched_registers, "ErtsSchedulerData", "registers|x_reg_array", MUST)			\
	L(sched_shadow, "ErtsSchedulerData", "dirty_shadow_process", MUST)			\
	L(sched_ssi, "ErtsSchedulerData", "ssi", MUST)					\
	L(ssi_scheduler, "ErtsSchedulerSleepInfo", "esdp", MUST)			\
	L(ssi_flags, "ErtsSchedulerSleepInfo", "flags.counter|flags.value|flags", MUST)	\
	L(runq_stride, "ErtsAlignedRunQueue", "#size", MUST)					\
	L(runq_ix, "ErtsRunQueue", "ix", MUST)							\
	L(runq_len, "ErtsRunQueue", "len.counter|len.value|len", MUST)				\
	L(runq_flags, "ErtsRunQueue", "flags.counter|flags.value|flags", MUST)			\
	L(runq_scheduler, "ErtsRunQueue", "scheduler", MUST)					\
	L(runq_reductions, "ErtsRunQueue", "procs.reductions", MUST)				\
	L(runq_switches, "ErtsRunQueue", "procs.context_switches", MUST)			\
	L(runq_prio, "ErtsRunQueue", "procs.prio_info", MUST)				\
	L(runq_prio_size, "ErtsRunQueue", "procs.prio_info#size", MUST)			\
	L(runq_ports, "ErtsRunQueue", "ports.info", MUST)				\
	/* terms: term_*.c */									\
	L(bin_flags, "Binary", "intern.flags|flags", MUST)					\
	L(bin_apparent, "Binary", "intern.apparent_size", MAY)					\
	L(procbin_size, "ProcBin", "size", MAY)							\
	L(procbin_bytes, "ProcBin", "bytes", MAY)						\
	L(procbin_flags, "ProcBin", "flags", MAY)						\
	L(subbin_size, "ErlSubBin", "size", MAY)						\
	L(subbin_offs, "ErlSubBin", "offs", MAY)						\
	L(subbin_bitsize, "ErlSubBin", "bitsize", MAY)						\
	L(subbin_bitoffs, "ErlSubBin", "bitoffs", MAY)						\
	L(subbin_writable, "ErlSubBin", "is_writable", MAY)					\
	L(subbin_orig, "ErlSubBin", "orig", MAY)						\
	L(subbits_base, "ErlSubBits", "base_flags", MAY)					\
	L(subbits_start, "ErlSubBits", "start", MAY)						\
	L(subbits_end, "ErlSubBits", "end", MAY)						\
	L(subbits_orig, "ErlSubBits", "orig", MAY)						\
	L(fun_entry, "ErlFunThing", "entry.fun|entry|fe", MUST)					\
	L(fun_arity, "ErlFunThing", "arity", MAY)						\
	L(fun_arity_size, "ErlFunThing", "arity#size", MAY)					\
	L(fun_num_free, "ErlFunThing", "num_free", MAY)						\
	L(fun_creator, "ErlFunThing", "creator", MAY)						\
	L(fun_env, "ErlFunThing", "env", MUST)							\
	L(funentry_module, "ErlFunEntry", "module", MUST)					\
	L(funentry_arity, "ErlFunEntry", "arity", MUST)						\
	L(funentry_index, "ErlFunEntry", "index", MUST)						\
	L(funentry_old_index, "ErlFunEntry", "old_index", MUST)					\
	L(funentry_old_uniq, "ErlFunEntry", "old_uniq", MUST)					\
	L(funentry_uniq, "ErlFunEntry", "uniq", MUST)						\
	L(funentry_size, "ErlFunEntry", "#size", MUST)						\
	L(export_mfa, "Export", "info.mfa", MUST)						\
	L(export_size, "Export", "#size", MUST)							\
	L(ext_node, "ExternalThing", "node", MUST)						\
	L(ext_data, "ExternalThing", "data", MUST)						\
	L(node_creation, "ErlNode", "creation", MUST)						\
	L(node_dist, "ErlNode", "dist_entry", MUST)						\
	L(oref_num, "ErtsORefThing", "num", MUST)						\
	L(mref_mb, "ErtsMRefThing", "mb", MUST)							\
	/* code: code.c */									\
	L(ranges_stride, "ranges|BeamRanges", "#size", MUST)						\
	L(ranges_modules, "ranges|BeamRanges", "modules", MUST)					\
	L(ranges_n, "ranges|BeamRanges", "n", MUST)							\
	L(ranges_allocated, "ranges|BeamRanges", "allocated", MUST)					\
	L(range_start, "Range", "start", MUST)							\
	L(range_end, "Range", "end.counter|end.value|end", MUST)				\
	L(range_stride, "Range", "#size", MUST)							\
	L(code_num_functions, "BeamCodeHeader", "num_functions", MUST)				\
	L(code_line_table, "BeamCodeHeader", "line_table", MUST)				\
	L(code_literal_area, "BeamCodeHeader", "literal_area", MUST)				\
	L(code_on_load, "BeamCodeHeader", "on_load", MAY)					\
	L(code_functions, "BeamCodeHeader", "functions", MUST)					\
	L(line_fname, "BeamCodeLineTab", "fname_ptr", MUST)					\
	L(line_loc_size, "BeamCodeLineTab", "loc_size", MUST)					\
	L(line_loc_tab, "BeamCodeLineTab", "loc_tab", MUST)					\
	L(line_func_tab, "BeamCodeLineTab", "func_tab", MUST)					\
	L(codeinfo_mfa, "ErtsCodeInfo", "mfa", MUST)						\
	L(codeinfo_size, "ErtsCodeInfo", "#size", MUST)						\
	L(module_name, "Module", "module", MUST)						\
	L(module_curr, "Module", "curr.code_hdr", MUST)						\
	L(module_curr_length, "Module", "curr.code_length", MUST)				\
	L(module_old, "Module", "old.code_hdr", MUST)						\
	L(module_old_length, "Module", "old.code_length", MUST)					\
	L(module_size, "Module", "#size", MUST)							\
	/* tables: snap_ets.c */								\
	L(table_fix_count, "DbTableCommon", "fix_count.counter|fix_count.value|fix_count", MUST) \
	L(table_type, "DbTableCommon", "type", MUST)						\
	L(table_fixing, "DbTableCommon", "fixing_procs", MUST)					\
	L(table_rwlock, "DbTableCommon", "rwlock", MUST)					\
	L(table_rwlock_size, "DbTableCommon", "rwlock#size", MUST)				\
	L(table_fixlock, "DbTableCommon", "fixlock", MUST)					\
	L(table_fixlock_size, "DbTableCommon", "fixlock#size", MUST)				\
	L(table_owner, "DbTableCommon", "owner", MUST)						\
	L(table_heir, "DbTableCommon", "heir", MUST)						\
	L(table_name, "DbTableCommon", "the_name", MUST)					\
	L(table_btid, "DbTableCommon", "btid", MUST)						\
	L(table_nr_counters, "DbTableCommon", "counters.nr_of_counters", MUST)			\
	L(table_decentral, "DbTableCommon", "counters.is_decentralized", MUST)			\
	L(table_decentral_size, "DbTableCommon", "counters.is_decentralized#size", MUST)	\
	L(table_counters, "DbTableCommon", "counters.u", MUST)					\
	L(table_status, "DbTableCommon", "status", MUST)					\
	L(table_keypos, "DbTableCommon", "keypos", MUST)					\
	L(table_compress, "DbTableCommon", "compress", MUST)					\
	L(table_compress_size, "DbTableCommon", "compress#size", MUST)				\
	L(hash_nactive, "DbTableHash", "nactive.counter|nactive.value|nactive", MUST)		\
	L(hash_segtab, "DbTableHash", "segtab.counter|segtab.value|segtab", MUST)		\
	L(hash_nslots, "DbTableHash", "nslots", MUST)						\
	L(hash_nsegs, "DbTableHash", "nsegs", MUST)						\
	L(hash_size, "DbTableHash", "#size", MUST)						\
	L(tree_root, "DbTableTree", "root", MUST)						\
	L(tree_size, "DbTableTree", "#size", MUST)						\
	L(catree_root, "DbTableCATree", "root.counter|root.value|root", MUST)			\
	L(catree_size, "DbTableCATree", "#size", MUST)						\
	L(hterm_next, "HashDbTerm", "next", MUST)						\
	L(hterm_hvalue, "HashDbTerm", "hvalue", MAY)						\
	L(hterm_dbterm, "HashDbTerm", "dbterm", MUST)						\
	L(tterm_left, "TreeDbTerm", "left", MUST)						\
	L(tterm_right, "TreeDbTerm", "right", MUST)						\
	L(tterm_dbterm, "TreeDbTerm", "dbterm", MUST)						\
	L(dbterm_first_oh, "DbTerm", "first_oh", MUST)						\
	L(dbterm_size, "DbTerm", "size", MUST)							\
	L(dbterm_tpl, "DbTerm", "tpl", MUST)							\
	/* ports: snap_port.c */								\
	L(port_size, "Port", "#size", MUST)							\
	L(port_reg, "Port", "common.u.alive.reg", MUST)						\
	L(port_links, "Port", "common.u.alive.links", MUST)					\
	L(port_monitors, "Port", "common.u.alive.monitors", MUST)				\
	L(port_lt_monitors, "Port", "common.u.alive.lt_monitors", MUST)				\
	L(port_connected, "Port", "connected.counter|connected.value|connected", MUST)		\
	L(port_bytes_in, "Port", "bytes_in", MUST)						\
	L(port_bytes_out, "Port", "bytes_out", MUST)						\
	L(port_ioq_size, "Port", "ioq.size", MUST)						\
	L(port_name, "Port", "name", MUST)							\
	L(port_driver, "Port", "drv_ptr", MUST)							\
	L(port_drv_data, "Port", "drv_data", MUST)						\
	L(port_os_pid, "Port", "os_pid", MUST)							\
	L(port_state, "Port", "state.counter|state.value|state", MUST)				\
	L(port_control_flags, "Port", "control_flags", MUST)					\
	L(port_linebuf, "Port", "linebuf", MUST)						\
	L(regproc_pt, "RegProc", "pt", MUST)							\
	/* allocators: snap_mem.c, snap_carrier.c */						\
	L(allctr_strategy, "Allctr_t", "alloc_strat", MUST)					\
	L(allctr_t, "Allctr_t", "t", MUST)						\
	L(allctr_atags, "Allctr_t", "atags", MUST)						\
	L(allctr_ramv, "Allctr_t", "ramv", MUST)						\
	L(allctr_thread_safe, "Allctr_t", "thread_safe", MUST)					\
	L(allctr_sbc_threshold, "Allctr_t", "sbc_threshold", MUST)				\
	L(allctr_sbc_move, "Allctr_t", "sbc_move_threshold", MUST)				\
	L(allctr_mbc_move, "Allctr_t", "mbc_move_threshold", MUST)				\
	L(allctr_main_size, "Allctr_t", "main_carrier_size", MUST)				\
	L(allctr_max_mseg_sbcs, "Allctr_t", "max_mseg_sbcs", MUST)				\
	L(allctr_max_mseg_mbcs, "Allctr_t", "max_mseg_mbcs", MUST)				\
	L(allctr_largest_mbc, "Allctr_t", "largest_mbc_size", MUST)				\
	L(allctr_smallest_mbc, "Allctr_t", "smallest_mbc_size", MUST)				\
	L(allctr_growth_stages, "Allctr_t", "mbc_growth_stages", MUST)				\
	L(allctr_min_block, "Allctr_t", "min_block_size", MUST)					\
	L(allctr_pooled_tree, "Allctr_t", "cpool.pooled_tree", MUST)				\
	L(allctr_dc_list, "Allctr_t", "cpool.dc_list.first", MUST)				\
	L(allctr_util_limit, "Allctr_t", "cpool.util_limit", MUST)				\
	L(allctr_free_limit, "Allctr_t", "cpool.free_util_limit", MAY)			\
	L(allctr_pool_limit, "Allctr_t", "cpool.in_pool_limit", MUST)			\
	L(allctr_pool_free, "Allctr_t", "cpool.fblk_min_limit", MUST)			\
	L(allctr_fix, "Allctr_t", "fix", MUST)							\
	L(cstats_max, "CarriersStats_t", "max", MUST)						\
	L(cstats_max_ever, "CarriersStats_t", "max_ever", MUST)					\
	L(carrier_pooled, "Carrier_t", "cpool.pooled", MUST)					\
	L(carrier_size, "Carrier_t", "#size", MUST)						\
	L(carrier_blocks, "Carrier_t", "cpool.blocks", MUST)					\
	L(carrier_kinds_size, "Carrier_t", "cpool.blocks_size", MUST)				\
	L(rbt_left, "AOFF_RBTree_t", "left", MUST)						\
	L(rbt_right, "AOFF_RBTree_t", "right", MUST)						\
	L(fix_stride, "ErtsAlcFixList_t", "#size", MUST)					\
	L(fix_type_size, "ErtsAlcFixList_t", "type_size", MUST)					\
	L(fix_list_size, "ErtsAlcFixList_t", "list_size", MUST)					\
	L(fix_type, "ErtsAlcFixList_t", "type", MUST)						\
	L(fix_pool_allocated, "ErtsAlcFixList_t", "u.cpool.allocated", MUST)			\
	L(fix_pool_used, "ErtsAlcFixList_t", "u.cpool.used", MUST)				\
	L(fix_nopool_allocated, "ErtsAlcFixList_t", "u.nocpool.allocated", MUST)		\
	L(fix_nopool_limit, "ErtsAlcFixList_t", "u.nocpool.limit", MUST)			\
	L(mseg_stride, "ErtsAlgndMsegAllctr_t", "#size", MUST)					\
	L(mseg_ix, "ErtsMsegAllctr_t", "ix", MUST)						\
	L(mseg_init_done, "ErtsMsegAllctr_t", "is_init_done", MUST)				\
	L(mseg_cache, "ErtsMsegAllctr_t", "cache", MUST)					\
	L(mseg_cache_free, "ErtsMsegAllctr_t", "cache_free", MUST)				\
	L(mseg_cache_stride, "cache_t", "#size", MUST)						\
	L(mseg_cache_size, "ErtsMsegAllctr_t", "cache_size", MUST)				\
	L(mseg_cache_hits, "ErtsMsegAllctr_t", "cache_hits", MUST)				\
	L(mseg_segments, "ErtsMsegAllctr_t", "segments.current.no", MUST)			\
	L(mseg_segments_size, "ErtsMsegAllctr_t", "segments.current.sz", MUST)			\
	L(mseg_max_cache, "ErtsMsegAllctr_t", "max_cache_size", MUST)				\
	L(mseg_abs_fit, "ErtsMsegAllctr_t", "abs_max_cache_bad_fit", MUST)		\
	L(mseg_rel_fit, "ErtsMsegAllctr_t", "rel_max_cache_bad_fit", MUST)		\
	L(mseg_calls_alloc, "ErtsMsegAllctr_t", "calls.alloc", MUST)				\
	L(mapper_super_total, "ErtsMemMapper", "size.supercarrier.total", MUST)			\
	L(mapper_super_used, "ErtsMemMapper", "size.supercarrier.used.total", MUST)		\
	L(mapper_os_used, "ErtsMemMapper", "size.os.used", MUST)				\
	L(mapper_size, "ErtsMemMapper", "#size", MUST)						\
	L(mapper_super, "ErtsMemMapper", "supercarrier", MUST)					\
	L(mapper_super_end, "ErtsMemMapper", "sua.top", MUST)					\
	L(mapper_super_start, "ErtsMemMapper", "sa.bot", MUST)					\
	L(allctr_size, "Allctr_t", "#size", MUST)						\
	L(aoff_block_order, "AOFFAllctr_t", "blk_order", MUST)					\
	L(aoff_carrier_order, "AOFFAllctr_t", "crr_order", MUST)				\
	L(bf_address_order, "BFAllctr_t", "address_order", MUST)				\
	L(block_max, "BlockStats_t", "max", MUST)						\
	L(block_max_ever, "BlockStats_t", "max_ever", MUST)					\
	L(fix_nopool_used, "ErtsAlcFixList_t", "u.nocpool.used", MUST)				\
	L(mseg_segments_max, "ErtsMsegAllctr_t", "segments.max.no", MUST)			\
	L(mseg_segments_ever, "ErtsMsegAllctr_t", "segments.max_ever.no", MUST)			\
	L(mseg_cache_nodes, "ErtsMsegAllctr_t", "cache_powered_node", MUST)			\
	L(cachet_seg, "cache_t", "seg", MUST)							\
	L(cachet_next, "cache_t", "next", MUST)							\
	/* names */										\
	L(index_size, "IndexTable", "size", MUST)						\
	L(index_limit, "IndexTable", "limit", MUST)						\
	L(index_hash_nobjs, "IndexTable", "htable.nobjs", MUST)					\
	L(index_table_size, "IndexTable", "#size", MUST)					\
	L(htable_name, "Hash", "name", MUST)							\
	L(htable_shift, "Hash", "shift", MUST)							\
	L(htable_max_shift, "Hash", "max_shift", MUST)						\
	L(htable_grow, "Hash", "grow_threshold", MUST)						\
	L(htable_size, "Hash", "#size", MUST)							\
	L(index_slot_size, "IndexSlot", "#size", MUST)						\
	L(ptab_free_ids, "ErtsPTab", "r.o.free_id_data", MUST)					\
	L(atom_size, "Atom", "#size", MUST)

/*
 * The fields that no proof reaches: U(name).  They are used from a row whose build id matches, or
 * from DWARF; else they are LAYOUT_ABSENT in the VM's copy of the row, and what they would show
 * is missing.  tests/unit/t_mutants.c sees to it that this is all of them.
 */
#define EBEAM_LAYOUT_UNPROVEN(U)

/* M(name): those that no command uses, only proofs of others. */
#define EBEAM_LAYOUT_LANDMARKS(M)                                                                  \
	M(ptab_element_size) M(proc_live_hf_end) M(sched_ets_clist)             \
	M(table_next) M(allctr_mbc_header) M(allctr_sentinel)                \
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
