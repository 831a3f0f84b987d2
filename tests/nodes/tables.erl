%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Tables of every kind for tests/live/33-ets.t, and what the node says of each.
-module(tables).
-export([id/1, make/0, large/0, special/0, many/1, drop/1, all/1, churn/1, churner/0, grow/2]).

%% Every type, access and combination of options; owned by one process.
make() ->
    start(fun() -> [one(Type, Access, Options) || Type <- [set, ordered_set, bag, duplicate_bag],
                                                  Access <- [public, protected, private],
                                                  Options <- options()] end).

options() ->
    [[], [compressed], [named_table], [{keypos, 3}], [{read_concurrency, true}],
     [{write_concurrency, true}], [{write_concurrency, true}, {read_concurrency, true}, compressed],
     [{write_concurrency, true}, {decentralized_counters, true}],
     [{write_concurrency, true}, {decentralized_counters, false}]] ++
        case release() >= 25 of
            true -> [[{write_concurrency, auto}], [{write_concurrency, auto}, compressed]];
            false -> []
        end.

release() -> list_to_integer(erlang:system_info(otp_release)).

one(Type, Access, Options) ->
    Name = case lists:member(named_table, Options) of
               true -> list_to_atom(lists:concat([Type, "_", Access]));
               false -> plain
           end,
    T = ets:new(Name, [Type, Access | Options]),
    N = erlang:phash2({Type, Access, Options}, 40),
    Big = binary:copy(<<"b">>, 3000 + N),
    [ets:insert(T, row(I, Big)) || I <- lists:seq(1, N)],
    T.

%% A key that is not the same at each position; terms of the heap and off it, one binary in all rows.
row(I, Big) ->
    {I, {I rem 7, Big}, I * 3, <<I:64>>, binary:copy(<<I>>, 100 + I), "text", make_ref(), self(),
     #{I => 1.5}, binary:part(Big, 10, 200)}.

%% 100 000 rows each; trees with write_concurrency are split into many.
large() ->
    start(fun() ->
                  Ts = [ets:new(large, O) || O <-
                           [[set], [ordered_set], [set, {write_concurrency, true}, compressed],
                            [ordered_set, {write_concurrency, true}], [bag]]],
                  [split(T) || T <- Ts, ets:info(T, type) =:= ordered_set,
                               ets:info(T, write_concurrency) =:= true],
                  [ets:insert(T, {I, I, binary:copy(<<I:32>>, I rem 2 * 25)})
                   || T <- Ts, I <- lists:seq(1, 100000)],
                  Ts
          end).

%% Each insertion may split a base node.
split(T) ->
    erts_debug:set_internal_state(available_internal_state, true),
    erts_debug:set_internal_state(ets_force_split, {T, true}),
    [ets:insert(T, {I, I, <<>>}) || I <- lists:seq(1, 2000)],
    erts_debug:set_internal_state(ets_force_split, {T, false}).

special() ->
    Other = start(fun() -> register('table keeper \e[31m\x{e9}', self()), [] end),
    Heir = start(fun() -> [] end),
    start(fun() ->
                  Named = ets:new('odd name \e]0;x\a \x{3a9}', [named_table, {heir, Heir, data}]),
                  Given = fill(ets:new(given, [public]), 500),
                  ets:give_away(Given, Other, gift),
                  Fixed = fill(ets:new(fixed, [public]), 1000),
                  ets:safe_fixtable(Fixed, true),
                  [ets:delete(Fixed, I) || I <- lists:seq(1, 1000, 3)],
                  Tree = fill(ets:new(fixed_tree, [ordered_set, {heir, self(), x}]), 300),
                  ets:safe_fixtable(Tree, true),
                  ets:delete(Tree, 7),
                  Shrunk = fill(ets:new(shrunk, []), 30000),
                  [ets:delete(Shrunk, I) || I <- lists:seq(1, 29990)],
                  Emptied = fill(ets:new(emptied, [{write_concurrency, true}]), 5000),
                  ets:delete_all_objects(Emptied),
                  Same = ets:new(same_key, [duplicate_bag]),
                  Shared = binary:copy(<<"s">>, 100000),
                  [ets:insert(Same, {key, I, Shared}) || I <- lists:seq(1, 3000)],
                  Writable = ets:new(writable, []),
                  ets:insert(Writable, {1, append(100, <<>>)}),
                  Counters = ets:new(counters, [ordered_set, public, {write_concurrency, true},
                                                {decentralized_counters, true}]),
                  [spawned(fun() -> fill(Counters, I * 1000, 1000) end, I rem 2 + 1)
                   || I <- lists:seq(0, 9)],
                  [ets:delete(Counters, I) || I <- lists:seq(1, 3000)],
                  Refs = ets:new(refs, [compressed]),
                  ets:insert(Refs, {1, Given, fun() -> Same end, Shared, erlang:md5("x"),
                                    atomics:new(2, [])}),
                  [Named, Tree, Shrunk, Emptied, Same, Writable, Counters, Refs]
          end).

append(0, Bin) -> Bin;
append(N, Bin) -> append(N - 1, <<Bin/binary, "hundred bytes ", N:64, 0:624>>).

fill(T, N) -> fill(T, 0, N).

fill(T, From, N) ->
    [ets:insert(T, {I, binary:copy(<<I:32>>, 30)}) || I <- lists:seq(From + 1, From + N)],
    T.

spawned(Fun, Scheduler) ->
    {_, Ref} = spawn_opt(Fun, [monitor, {scheduler, Scheduler}]),
    receive {'DOWN', Ref, process, _, normal} -> ok end.

many(N) ->
    start(fun() -> [ets:new(many, []) || _ <- lists:seq(1, N)] end).

grow(Pid, N) ->
    Pid ! {self(), fun(Ts) -> [fill(T, N) || T <- Ts] end},
    receive {Pid, done} -> ok end.

%% A process that has what Fun makes, until it is dropped.
start(Fun) ->
    Self = self(),
    Pid = spawn(fun() -> Ts = Fun(), Self ! {self(), done}, keep(Ts) end),
    receive {Pid, done} -> Pid after 60000 -> exit(too_long) end.

keep(Ts) ->
    receive
        {'ETS-TRANSFER', _, _, _} -> keep(Ts);
        {From, Fun} when is_function(Fun) -> Fun(Ts), From ! {self(), done}, keep(Ts);
        stop -> ok
    end.

drop(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! stop,
    receive {'DOWN', Ref, process, _, _} -> ok end.

%% Tables that come and go, on all schedulers, until the process is killed.
churn(N) ->
    Online = erlang:system_info(schedulers_online),
    [spawn_opt(?MODULE, churner, [], [{scheduler, I rem Online + 1}]) || I <- lists:seq(1, N)].

churner() ->
    Ts = [ets:new(mayfly, [set, public]) || _ <- lists:seq(1, 20)],
    [ets:insert(T, {I, I}) || T <- Ts, I <- lists:seq(1, 5)],
    [ets:delete(T) || T <- Ts],
    churner().

%% What the node says of all tables; with their binaries or without.
all(Binaries) ->
    [{id(T), maps:merge(info(T), binaries(Binaries, T))} || T <- ets:all()].

id(T) when is_atom(T) -> atom_to_binary(T, utf8);
id(T) -> list_to_binary(ref_to_list(T)).

info(T) ->
    Keys = [type, protection, size, memory, compressed, named_table, keypos, read_concurrency,
            write_concurrency, decentralized_counters, heir, fixed, name, owner],
    M = maps:from_list([{K, ets:info(T, K)} || K <- Keys]),
    M#{owner_name => owner_name(maps:get(owner, M))}.

owner_name(Pid) ->
    case process_info(Pid, [registered_name, dictionary, initial_call]) of
        [{_, Name}, _, _] when Name =/= [] -> Name;
        [_, {_, Dictionary}, {_, Call}] ->
            {M, F, A} = proplists:get_value('$initial_call', Dictionary, Call),
            list_to_binary(lists:concat([M, ":", F, "/", A]))
    end.

binaries(false, _) -> #{};
binaries(true, T) ->
    Distinct = lists:usort(ets:info(T, binary)),
    #{binaries => length(Distinct), binary_bytes => lists:sum([Size || {_, Size, _} <- Distinct])}.
