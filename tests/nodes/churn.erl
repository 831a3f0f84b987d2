%% SPDX-License-Identifier: GPL-2.0-only
%%
%% For the test of `ebeam mem`: what the node says of its allocators, what recon_alloc makes of that,
%% and work that leaves carriers behind.
-module(churn).
-export([memory/0, areas/0, instances/0, recon/0, sums/0, mseg/0]).
-export([pool/1, hold/1, drop/1, blocks/2]).

%% What a question needs itself comes and goes in these, while it is answered.
-define(ASKERS, [temp_alloc, sl_alloc, eheap_alloc, binary_alloc]).

memory() ->
    maps:from_list(erlang:memory()).

%% A release without fun_list counts it nowhere.
areas() ->
    Told = [case Area of
                {Name, Size} -> [{Name, Size}];
                {Name, Size, Used} -> [{Name, Size}, {atom_space_used, Used}]
            end || Area <- erlang:system_info(allocated_areas)],
    Wanted = [atom_space, atom_space_used, atom_table, module_table, export_table, export_list,
              fun_table, module_refs, loaded_code, process_table, ets_misc],
    maps:merge(#{fun_list => 0},
               maps:with([fun_list | Wanted], maps:from_list(lists:append(Told)))).

%% ---- allocators ------------------------------------------------------------

instances() ->
    [{[A, N], case A of
                  eheap_alloc -> maps:without([mbcs_blocks, mbcs_blocks_size | highest()], Keys);
                  binary_alloc -> maps:without(highest(), Keys);
                  _ -> Keys
              end} || {[A, N], Keys} <- all_instances(), A =/= temp_alloc, A =/= sl_alloc].

all_instances() ->
    [{[A, N], instance(Info)}
     || A <- erlang:system_info(alloc_util_allocators), A =/= mseg_alloc,
        {instance, N, Info} <- told(A)].

highest() ->
    [key(Kind, Key, "_max") || Kind <- [mbcs, sbcs], Key <- keys()].

told(A) ->
    case erlang:system_info({allocator, A}) of
        false -> [];
        List -> List
    end.

instance(Info) ->
    {options, Options} = lists:keyfind(options, 1, Info),
    {as, Strategy} = lists:keyfind(as, 1, Options),
    Kinds = [maps:to_list(kind(K, Info)) || K <- [mbcs, sbcs, mbcs_pool]],
    maps:from_list([{strategy, Strategy} | lists:append(Kinds)]).

kind(Kind, Info) ->
    case lists:keyfind(Kind, 1, Info) of
        false ->
            maps:from_list([{key(Kind, K, ""), null} || K <- keys()]);
        {Kind, List} ->
            {blocks, Types} = lists:keyfind(blocks, 1, List),
            maps:from_list(
              both(Kind, carriers, lists:keyfind(carriers, 1, List)) ++
              both(Kind, carriers_size, lists:keyfind(carriers_size, 1, List)) ++
              both(Kind, blocks, summed(count, Types, Kind)) ++
              both(Kind, blocks_size, summed(size, Types, Kind)))
    end.

keys() ->
    [carriers, carriers_size, blocks, blocks_size].

key(Kind, Key, More) ->
    list_to_atom(lists:concat([Kind, "_", Key, More])).

%% Blocks of whatever allocator that lie in its carriers.
summed(Key, Types, mbcs_pool) ->
    {Key, lists:sum([N || {_, L} <- Types, {K, N} <- L, K =:= Key])};
summed(Key, Types, _) ->
    Found = [T || {_, L} <- Types, T <- L, element(1, T) =:= Key],
    {Key, lists:sum([element(2, T) || T <- Found]), lists:sum([element(3, T) || T <- Found]),
     lists:sum([element(4, T) || T <- Found])}.

both(Kind, Key, {_, Now}) ->
    [{key(Kind, Key, ""), Now}];
both(Kind, Key, {_, Now, Max, Ever}) ->
    [{key(Kind, Key, ""), Now}, {key(Kind, Key, "_max"), Max}, {key(Kind, Key, "_max_ever"), Ever}].

mseg() ->
    [{[N], mseg(Info)} || {instance, N, Info} <- erlang:system_info({allocator, mseg_alloc})].

mseg(Info) ->
    {memkind, Kind} = lists:keyfind(memkind, 1, Info),
    {status, Status} = lists:keyfind(status, 1, Kind),
    {calls, Calls} = lists:keyfind(calls, 1, Kind),
    {cache_hits, Hits} = lists:keyfind(cache_hits, 1, Status),
    {cached_segments, Cached} = lists:keyfind(cached_segments, 1, Status),
    {segments, Segments, _, _} = lists:keyfind(segments, 1, Status),
    {segments_size, Size, _, _} = lists:keyfind(segments_size, 1, Status),
    {mseg_alloc, Giga, Ones} = lists:keyfind(mseg_alloc, 1, Calls),
    #{hits => Hits, cached_segments => Cached, segments => Segments, segments_size => Size,
      calls => Giga * 1000000000 + Ones}.

%% ---- recon_alloc -----------------------------------------------------------

%% memory(used | allocated | unused | usage).
sums() ->
    All = of_recon(),
    Used = sum([mbcs_blocks_size, mbcs_pool_blocks_size, sbcs_blocks_size], All),
    Allocated = sum([mbcs_carriers_size, mbcs_pool_carriers_size, sbcs_carriers_size], All),
    #{used => Used, allocated => Allocated, unused => Allocated - Used,
      usage => ratio(Used, Allocated, 1)}.

%% average_block_sizes and sbcs_to_mbcs.
recon() ->
    All = of_recon(),
    Names = lists:usort([A || {A, _} <- All]) -- ?ASKERS,
    maps:from_list(lists:append([averages(A, [I || {N, _} = I <- All, N =:= A]) || A <- Names])).

of_recon() ->
    [{A, Keys} || {[A, _], Keys} <- all_instances(), A =/= literal_alloc].

averages(A, Of) ->
    Mbcs = sum([mbcs_blocks, mbcs_pool_blocks], Of),
    Sbcs = sum([sbcs_blocks], Of),
    [{key(A, mbcs, ""), ratio(sum([mbcs_blocks_size, mbcs_pool_blocks_size], Of), Mbcs, 0)},
     {key(A, sbcs, ""), ratio(sum([sbcs_blocks_size], Of), Sbcs, 0)},
     {key(A, sbcs_to_mbcs, ""), case {Sbcs, Mbcs} of
                                    {0, 0} -> 0.0;
                                    {_, 0} -> null;
                                    _ -> ratio(Sbcs, Mbcs, 0)
                                end}].

sum(Keys, List) ->
    lists:sum([N || {_, Map} <- List, K <- Keys, N <- [maps:get(K, Map, 0)], N =/= null]).

%% With as many digits as a report has.
ratio(_, 0, None) -> float(None);
ratio(A, B, _) -> list_to_float(float_to_list(A / B, [{scientific, 5}])).

%% ---- work ------------------------------------------------------------------

%% N processes fill carriers of eheap_alloc, then all but each 20th end: those that are left keep
%% the carriers, and the carriers go to the pool.
pool(N) ->
    Self = self(),
    Pids = [spawn_opt(fun() -> filled(Self) end, [{min_heap_size, 1500}]) || _ <- lists:seq(1, N)],
    _ = [receive {P, filled} -> ok end || P <- Pids],
    {Stay, Go} = lists:partition(fun({I, _}) -> I rem 20 =:= 0 end,
                                 lists:zip(lists:seq(1, N), Pids)),
    _ = [begin M = monitor(process, P), exit(P, kill),
               receive {'DOWN', M, _, _, _} -> ok end end || {_, P} <- Go],
    length(Stay).

%% A heap is resident only where it was written to.
filled(From) ->
    List = lists:seq(1, 700),
    From ! {self(), filled},
    receive stop -> List end.

%% Binaries that stay: Count of Size bytes.
hold(Sizes) ->
    put(held, [binary:copy(<<1>>, Size) || {Count, Size} <- Sizes, _ <- lists:seq(1, Count)]),
    ok.

%% Of what hold() made, each Nth stays.
drop(N) ->
    {Stay, _} = lists:partition(fun({I, _}) -> I rem N =:= 0 end,
                                lists:zip(lists:seq(1, length(get(held))), get(held))),
    put(held, [B || {_, B} <- Stay]),
    garbage_collect(),
    ok.

%% A table of Count rows of Size words.
blocks(Count, Size) ->
    T = ets:new(churn, [public]),
    _ = [ets:insert(T, {I, lists:duplicate(Size, I)}) || I <- lists:seq(1, Count)],
    ok.
