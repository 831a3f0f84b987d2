%% SPDX-License-Identifier: GPL-2.0-only
%% What a node says of itself that `ebeam info` shows, under the same keys.
-module(info_told).
-export([info/0, settings/0, mseg/0]).

info() ->
    {Reductions, _} = statistics(reductions),
    {Switches, _} = statistics(context_switches),
    #{processes => erlang:system_info(process_count),
      process_limit => erlang:system_info(process_limit),
      ports => erlang:system_info(port_count),
      port_limit => erlang:system_info(port_limit),
      atoms => erlang:system_info(atom_count),
      atom_limit => erlang:system_info(atom_limit),
      tables => erlang:system_info(ets_count),
      schedulers => erlang:system_info(schedulers),
      schedulers_online => erlang:system_info(schedulers_online),
      dirty_cpu_schedulers => erlang:system_info(dirty_cpu_schedulers),
      dirty_cpu_schedulers_online => erlang:system_info(dirty_cpu_schedulers_online),
      dirty_io_schedulers => erlang:system_info(dirty_io_schedulers),
      run_queue => statistics(run_queue),
      run_queues => statistics(run_queue_lengths_all),
      reductions => Reductions,
      context_switches => Switches}.

%% All options of each instance of each allocator; e is always there.
settings() ->
    [{{atom_to_binary(A, latin1), N}, maps:from_list(Options)}
     || A <- erlang:system_info(alloc_util_allocators),
        {instance, N, I} <- instances(A),
        Options <- [[O || {K, _} = O <- proplists:get_value(options, I), K =/= mbsd]]].

instances(A) ->
    case erlang:system_info({allocator, A}) of
        false -> [];
        L -> [I || {instance, _, _} = I <- L]
    end.

mseg() ->
    [{instance, _, I} | _] = erlang:system_info({allocator, mseg_alloc}),
    maps:from_list(proplists:get_value(options, I)).
