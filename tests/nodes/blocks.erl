%% SPDX-License-Identifier: GPL-2.0-only
%% Blocks, as instrument:carriers/1 and instrument:allocations/1 tell of them, and the work that makes
%% carriers of all kinds.  instrument itself (of the tools application) only merges what these two
%% BIFs answer for one allocator and one instance.
-module(blocks).
-export([carriers/0, heaps/0, tags/1, sums/0, fill/4, thin/2, drop/1, stop/1, loop/1]).

%% {Row, #{each => ...}} of each instance: carriers in the pool or not, their size, blocks by
%% allocator, and free blocks by size.  Of carriers with more blocks than the VM scans: no free ones.
%% The console's own questions, which it keeps, are seen in those left out.
carriers() ->
    carriers([std_alloc, ll_alloc, ets_alloc, fix_alloc, literal_alloc, binary_alloc, driver_alloc]).

heaps() -> carriers([eheap_alloc]).

carriers(Allocators) ->
    [{iolist_to_binary(io_lib:format("~s ~b", [A, I])),
      #{each => lists:sort([carrier(C) || {_, Cs} <- gather(gather_carrier_info, A, I, 14, 512, 0),
                                          C <- Cs])}}
     || A <- Allocators, I <- ids(), enabled(A, I)].

carrier({_, Pool, Size, Unscanned, Blocks, Free}) ->
    [Pool, Size, lists:sort([tuple_to_list(B) || B <- Blocks]),
     case Unscanned of 0 -> tuple_to_list(Free); _ -> null end].

%% {Origin, #{Type => Sizes}} over all instances, also of those without tags: a pool that all share
%% (23) has others' blocks in their carriers. Null where not all was scanned.  From 27 on Flags
%% says what else is told apart: 1 processes, 2 ports, 4 functions.
tags(Flags) ->
    All = [{Unscanned, Tags} || A <- allocators(), I <- ids(),
                                {_, Unscanned, Tags} <- gather(gather_alloc_histograms, A, I, 18, 128,
                                                               Flags)],
    Whole = lists:all(fun({Unscanned, _}) -> Unscanned =:= 0 end, All),
    Sums = lists:foldl(fun({Id, Type, Sizes}, Acc) ->
                               Of = maps:get(Id, Acc, #{}),
                               Acc#{Id => Of#{Type => add(Sizes, maps:get(Type, Of, none))}}
                       end, #{}, lists:append([Tags || {_, Tags} <- All])),
    [{iolist_to_binary(name(Id)),
      maps:map(fun(_, Sizes) when Whole -> tuple_to_list(Sizes); (_, _) -> null end, Of)}
     || {Id, Of} <- maps:to_list(Sums)].

name({M, F, A}) -> io_lib:format("~s:~s/~b", [M, F, A]);
name(Id) -> io_lib:format("~w", [Id]).

add(A, none) -> A;
add(A, B) -> list_to_tuple(lists:zipwith(fun(X, Y) -> X + Y end, tuple_to_list(A), tuple_to_list(B))).

allocators() -> erlang:system_info(alloc_util_allocators).

ids() -> lists:seq(0, erlang:system_info(schedulers)).

enabled(A, I) ->
    case erlang:system_info({allocator, A}) of
        Instances when is_list(Instances) -> lists:keymember(I, 2, Instances);
        _ -> false
    end.

%% The messages of a BIF of instrument's; its argument has flags from 27 on. (An argument of the wrong
%% size ends a node of 25.)
gather(Bif, A, I, Width, Start, Flags) ->
    Ref = make_ref(),
    N = case list_to_integer(erlang:system_info(otp_release)) of
            Otp when Otp >= 27 -> erts_internal:Bif({A, I, Width, Start, Flags, Ref});
            _ -> erts_internal:Bif({A, I, Width, Start, Ref})
        end,
    [receive M when element(1, M) =:= Ref -> M end || _ <- lists:seq(1, N)].

%% {Row, Sums} of each instance, from its statistics: carriers and blocks, at home, in the pool, and
%% single ones.
sums() ->
    [{iolist_to_binary(io_lib:format("~s ~b", [A, I])), sum(Info)}
     || A <- allocators() -- [sl_alloc, temp_alloc, eheap_alloc], % they serve the question, too
        Instances <- [erlang:system_info({allocator, A})], is_list(Instances), {instance, I, Info} <- Instances].

sum(Info) ->
    Kinds = [{Kind, proplists:get_value(Kind, Info, [])} || Kind <- [mbcs, mbcs_pool, sbcs]],
    Sum = fun(Of, Key) ->
                  lists:sum([number(Key, Vs) || {Kind, Vs} <- Kinds, lists:member(Kind, Of)])
          end,
    All = [mbcs, mbcs_pool, sbcs],
    #{carriers => Sum(All, carriers), size => Sum(All, carriers_size),
      in_pool => Sum([mbcs_pool], carriers), pool_size => Sum([mbcs_pool], carriers_size),
      single_carriers => Sum([sbcs], carriers), single_size => Sum([sbcs], carriers_size),
      single_allocated => Sum([sbcs], size), pool_allocated => Sum([mbcs_pool], size),
      blocks => Sum(All, count), allocated => Sum(All, size)}.

%% Blocks are told by the allocator they are of: [{binary_alloc, [{count, ...}, {size, ...}]}].
number(Key, Values) when Key =:= count; Key =:= size ->
    lists:sum([current(Key, Of) || {_, Of} <- proplists:get_value(blocks, Values, [])]);
number(Key, Values) ->
    current(Key, Values).

current(Key, Values) ->
    case lists:keyfind(Key, 1, Values) of
        false -> 0;
        T -> element(2, T)
    end.

%% A process on each of N schedulers with Count binaries of up to Max bytes, some of them twenty times
%% as large; by Seed always the same.
fill(N, Count, Max, Seed) ->
    Pids = [spawn_opt(?MODULE, loop, [[]], [{scheduler, I}]) || I <- lists:seq(1, N)],
    [do(P, {fill, Count, Max, Seed}) || P <- Pids],
    Pids.

%% Every Nth stays.
thin(Pids, N) -> [do(P, {thin, N}) || P <- Pids], ok.
drop(Pids) -> thin(Pids, 1 bsl 30).
stop(Pids) -> [exit(P, kill) || P <- Pids], ok.

do(Pid, What) ->
    Pid ! {self(), What},
    receive {Pid, done} -> ok end.

loop(State) ->
    receive
        {From, {fill, Count, Max, Seed}} ->
            rand:seed(exsplus, {Seed, Seed, Seed}),
            New = [binary:copy(<<I>>, size(I, Max)) || I <- lists:seq(1, Count)],
            From ! {self(), done},
            loop(New);
        {From, {thin, N}} ->
            New = [B || {I, B} <- lists:zip(lists:seq(1, length(State)), State), I rem N =:= 0],
            erlang:garbage_collect(),
            From ! {self(), done},
            loop(New)
    end.

size(I, Max) when I rem 50 =:= 0 -> 64 + rand:uniform(20 * Max);
size(_, Max) -> 64 + rand:uniform(Max).
