%% SPDX-License-Identifier: GPL-2.0-only
%%
%% What the tools inside of a node would do, for the part `reading` of
%% scripts/bench: the formulas of recon, recon_alloc and instrument.  Each answer
%% is {Microseconds, Result}; bench.erl calls them by inside/1.
-module(bench_read).
-export([inside/1, setup/2, sleeper/1]).

inside(What) ->
    {Us, _} = timer:tc(fun() -> ask(What) end),
    Us.

ask("proc_memory") -> proc_count(memory, 20);
ask("proc_binary") -> proc_count(binary_memory, 20);
ask("alloc") ->
    {[memory(K) || K <- [used, allocated, allocated_types, allocated_instances]],
     fragmentation(), erlang:memory()};
ask("carriers") -> instrument:carriers();
ask("ets") -> [ets:info(T) || T <- ets:all()];
ask("queue") -> process_info(whereis(bench_queue), message_queue_len).

%% proc_count/2: the N largest, with names; of processes that still live.
proc_count(Key, N) ->
    All = [{attribute(Key, V), P, Names} || P <- processes(), P =/= self(),
                                            [V | Names] <- [info(Key, P)]],
    lists:sublist(lists:reverse(lists:sort(All)), N).

info(binary_memory, P) -> info(binary, P);
info(Key, P) -> process_info(P, [Key, registered_name, current_function, initial_call]).

attribute(binary_memory, {binary, Bins}) -> lists:sum([Size || {_, Size, _} <- Bins]);
attribute(_, {_, V}) -> V.

allocators() ->
    [{{A, N}, Props} || A <- [temp_alloc, eheap_alloc, binary_alloc, ets_alloc, driver_alloc,
                              sl_alloc, ll_alloc, fix_alloc, std_alloc],
                        Allocs <- [erlang:system_info({allocator, A})], Allocs =/= false,
                        {_, N, Props} <- Allocs].

kinds() -> [mbcs, mbcs_pool, sbcs].

carriers_size(Props) ->
    lists:sum([size_of(carriers_size, proplists:get_value(K, Props, [])) || K <- kinds()]).

blocks_size(Props) ->
    lists:sum([size_of(blocks_size, proplists:get_value(K, Props, [])) || K <- kinds()]).

size_of(carriers_size, Stats) ->
    case lists:keyfind(carriers_size, 1, Stats) of false -> 0; T -> element(2, T) end;
size_of(blocks_size, Stats) ->
    case lists:keyfind(blocks, 1, Stats) of
        {_, Types} -> lists:sum([element(2, lists:keyfind(size, 1, L)) || {_, L} <- Types]);
        false ->
            case lists:keyfind(blocks_size, 1, Stats) of false -> 0; T -> element(2, T) end
    end.

memory(used) -> lists:sum([blocks_size(P) || {_, P} <- allocators()]);
memory(allocated) -> lists:sum([carriers_size(P) || {_, P} <- allocators()]);
memory(allocated_types) -> sum_by(fun({{A, _}, _}) -> A end);
memory(allocated_instances) -> sum_by(fun({{_, N}, _}) -> N end).

sum_by(Key) ->
    lists:foldl(fun({_, P} = E, Acc) ->
                        maps:update_with(Key(E), fun(S) -> S + carriers_size(P) end,
                                         carriers_size(P), Acc)
                end, #{}, allocators()).

fragmentation() ->
    lists:reverse(lists:keysort(2, [{Id, carriers_size(P) - blocks_size(P)}
                                    || {Id, P} <- allocators()])).

%% What is there to be asked about.
setup("queue", N) ->
    Pid = spawn(fun() -> receive never -> ok end end),
    register(bench_queue, Pid),
    [Pid ! {message, I} || I <- lists:seq(1, N)],
    ok;
setup("tables", N) ->
    spawn(fun() ->
                  [ets:insert(ets:new(bench, [public]), [{I, I} || I <- lists:seq(1, 10)])
                   || _ <- lists:seq(1, N)],
                  register(bench_tables, self()),
                  receive never -> ok end
          end),
    wait(bench_tables);
setup("processes", N) ->
    Batch = 20000,
    [begin
         Pids = [spawn(?MODULE, sleeper, [self()]) || _ <- lists:seq(1, min(Batch, N - Done))],
         [receive {P, ready} -> ok end || P <- Pids]
     end || Done <- lists:seq(0, N - 1, Batch)],
    ok.

wait(Name) ->
    case whereis(Name) of
        undefined -> timer:sleep(10), wait(Name);
        _ -> ok
    end.

%% Idle, with one refc binary.
sleeper(Parent) ->
    Held = <<1:32, 0:1600>>,
    Parent ! {self(), ready},
    receive stop -> Held end.
