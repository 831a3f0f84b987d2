%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Processes of every kind that process_info/2 knows how to tell about, and its answer about all of
%% them: start() makes the processes and keeps them, info() asks.
%%
%% Compiled by the node that runs it, on OTP 23, 25, 27 and 29.
-module(procs).
-export([start/0, info/0, idle/1, flood/2, callers/1, mortal/1, odd/1, storm/0, calm/0]).
-export([init/1, wide/20, asleep/0, slow/0]).

%% What is known of every process but the one that asks: its own numbers change by asking.
info() ->
    [{P, I} || P <- processes(), P =/= self(), I <- [info(P)], I =/= undefined].

info(P) ->
    %% asked for what the process must tell itself, 23 says of some that they run: to tell it
    Status = process_info(P, status),
    Keys = [registered_name, priority, memory, message_queue_len, reductions,
            total_heap_size, heap_size, stack_size, garbage_collection, trap_exit, links, monitors,
            monitored_by, dictionary, binary, group_leader, message_queue_data, initial_call,
            current_function],
    case process_info(P, Keys) of
        undefined ->
            undefined;
        I ->
            M = maps:from_list(I),
            #{garbage_collection := Gc, dictionary := Dict, binary := Bins} = M,
            Rest = maps:without([garbage_collection, dictionary, binary], M),
            (maps:merge(parent(P), Rest))#{
                registered_name := case maps:get(registered_name, M) of [] -> null; N -> N end,
                minor_gcs => proplists:get_value(minor_gcs, Gc),
                fullsweep_after => proplists:get_value(fullsweep_after, Gc),
                links := length(maps:get(links, M)),
                monitors := length(maps:get(monitors, M)),
                monitored_by := length(maps:get(monitored_by, M)),
                status => element(2, Status),
                dictionary_size => length(Dict),
                binary_refs => length(Bins),
                binary_bytes => lists:sum([S || {_, S, _} <- Bins]),
                initial_call := mfa(proplists:get_value('$initial_call', Dict,
                                                        maps:get(initial_call, M))),
                current_function := mfa(maps:get(current_function, M)),
                label => label(Dict)}
    end.

mfa({M, F, A}) -> iolist_to_binary(io_lib:format("~ts:~ts/~w", [M, F, A]));
mfa(undefined) -> null.

label(Dict) ->
    case proplists:get_value('$process_label', Dict, undefined) of
        undefined -> null;
        L when is_atom(L) -> L;
        L -> unicode:characters_to_binary(io_lib:format("~0p", [L]))
    end.

%% Since 25; before, the VM knows and does not tell.
parent(P) ->
    try process_info(P, parent) of
        {parent, Pid} when is_pid(Pid) -> #{parent => Pid};
        {parent, undefined} -> #{parent => null}
    catch
        error:badarg -> #{}
    end.

%% ---- kinds ---------------------------------------------------------------------

start() ->
    %% what the node logs now and then would move the logger's processes
    ok = logger:set_primary_config(level, none),
    Self = self(),
    spawn(fun() -> register(procs, self()), make(), Self ! made, rest() end),
    receive made -> ok after 30000 -> error(timeout) end.

rest() -> receive never -> ok end.

%% Runs Fun in a new process, which then stays; once it rests.
keep(Fun) -> keep(Fun, []).

keep(Fun, Opts) ->
    Self = self(),
    {P, _} = {spawn_opt(fun() -> Fun(), Self ! {self(), kept}, rest() end, Opts), Fun},
    receive {P, kept} -> P after 30000 -> error({timeout, Fun}) end.

make() ->
    links(),
    monitors(),
    queues(),
    heaps(),
    dictionaries(),
    states(),
    others().

links() ->
    Others = [keep(fun() -> ok end) || _ <- lists:seq(1, 200)],
    keep(fun() -> register(linker, self()), [link(P) || P <- Others],
                  [unlink(P) || P <- lists:sublist(Others, 60)] end),
    keep(fun() -> register(trapper, self()), process_flag(trap_exit, true),
                  {ok, Port} = gen_udp:open(0), erlang:monitor(port, Port) end),
    keep(fun() -> spawn_link(fun rest/0), spawn_monitor(fun rest/0) end).

monitors() ->
    Target = keep(fun() -> register(target, self()) end),
    [keep(fun() -> [erlang:monitor(process, Target) || _ <- lists:seq(1, N)] end)
     || N <- [1, 2, 30]],
    keep(fun() -> erlang:monitor(process, target), erlang:monitor(process, {target, node()}) end),
    keep(fun() -> R = erlang:monitor(process, Target), erlang:monitor(process, Target),
                  erlang:demonitor(R, [flush]) end),
    keep(fun() -> erlang:monitor(time_offset, clock_service) end),
    try erlang:alias() of          % since 24
        A ->
            erlang:unalias(A),
            keep(fun() -> register(aliased, self()), put(a, erlang:alias()),
                          erlang:monitor(process, Target, [{alias, demonitor}]),
                          erlang:monitor(process, Target, [{alias, explicit_unalias}]),
                          tagged(Target) end)
    catch
        error:undef -> ok
    end.

tagged(Target) ->
    try erlang:monitor(process, Target, [{tag, {a, tag}}]) catch error:badarg -> ok end.

queues() ->
    Terms = [ok, 17, {a, [b, c]}, lists:seq(1, 100), binary:copy(<<"x">>, 5000), #{k => [v]},
             "some text", 1.5, 1 bsl 200, make_ref(), self(), fun() -> ok end],
    [begin
         P = keep(fun() -> ok end, [{message_queue_data, Where}]),
         register(list_to_atom("queue_" ++ atom_to_list(Where)), P),
         [P ! T || _ <- lists:seq(1, 20), T <- Terms]
     end || Where <- [on_heap, off_heap]],
    %% a queue that is looked through for a reference made after some of it came
    P = keep(fun() -> ok end),
    [P ! T || T <- Terms],
    spawn(fun() -> register(searcher, self()), [self() ! T || T <- Terms],
                   R = make_ref(), self() ! R, receive R -> ok end,
                   Q = erlang:monitor(process, whereis(target)),
                   [self() ! T || T <- Terms],
                   receive {Q, never} -> ok end end),
    wait(fun() -> process_info(whereis(searcher), message_queue_len) ==
                      {message_queue_len, 24} end),
    %% a switch while there are messages
    S = spawn(fun() -> receive go -> ok end,
                       process_flag(message_queue_data, off_heap), rest() end),
    register(switched, S),
    [S ! T || T <- Terms],
    S ! go,
    [S ! T || T <- Terms].

wait(Fun) -> case catch Fun() of true -> ok; _ -> erlang:yield(), wait(Fun) end.

heaps() ->
    keep(fun() -> register(grown, self()), put(l, lists:seq(1, 50000)), erlang:garbage_collect(),
                  put(m, lists:seq(1, 1000)) end),
    keep(fun() -> register(generations, self()), put(l, lists:seq(1, 5000)),
                  erlang:garbage_collect(self(), [{type, minor}]),
                  put(m, lists:seq(1, 20000)) end),
    keep(fun() -> ok end, [{min_heap_size, 10000}]),
    keep(fun() -> ok end, [{fullsweep_after, 3}, {max_heap_size, 1000000}]),
    keep(fun() -> register(holder, self()), put(b, [binary:copy(<<N>>, 1000) ||
                                                     N <- lists:seq(1, 50)]) end),
    keep(fun() -> register(writer, self()), put(b, append(<<>>, 500)) end),
    %% results that find no room on the heap come in fragments of their own
    T = ets:new(t, [public]),
    ets:insert(T, [{N, lists:seq(1, 20)} || N <- lists:seq(1, 20)]),
    keep(fun() -> register(fragments, self()),
                  [put(N, ets:lookup(T, N)) || N <- lists:seq(1, 20)] end, [{min_heap_size, 10}]),
    keep(fun() -> ets:new(mine, []), ets:new(mine, [ordered_set]) end).

append(B, 0) -> B;
append(B, N) -> append(<<B/binary, "0123456789">>, N - 1).

dictionaries() ->
    keep(fun() -> register(dict, self()), [put({k, N}, N) || N <- lists:seq(1, 5000)] end),
    keep(fun() -> [put(N, N) || N <- lists:seq(1, 500)], erase() end),
    {ok, _} = gen_server:start({local, server}, ?MODULE, [], []),
    proc_lib:spawn(fun() -> register(labelled, self()), label(), rest() end),
    proc_lib:spawn(fun() -> register(labelled_atom, self()), set_label(a_label), rest() end),
    wait(fun() -> is_pid(whereis(labelled)) andalso is_pid(whereis(labelled_atom)) end).

label() -> set_label({worker, [1, "two", <<"three">>, #{four => 4.0}]}).

set_label(L) ->
    case erlang:function_exported(proc_lib, set_label, 1) of
        true -> apply(proc_lib, set_label, [L]);
        false -> ok
    end.

init(_) -> {ok, state}.

states() ->
    [keep(fun() -> ok end, [{priority, P}]) || P <- [low, normal, high, max]],
    P = spawn(?MODULE, asleep, []),
    register(asleep, P),
    wait(fun() -> process_info(P, current_function) == {current_function, {erlang, hibernate, 3}}
                      orelse process_info(P, current_function) ==
                             {current_function, {erlang, hibernate, 0}} end),
    %% preempted at the entry of a function with many arguments, and kept from going on
    W = spawn(?MODULE, wide, lists:seq(1, 20)),
    register(wide, W),
    keep(fun() -> register(suspender, self()), suspend_wide(W),
                  Q = spawn(fun rest/0), register(stopped, Q), erlang:suspend_process(Q),
                  [Q ! {stopped, N, [x]} || N <- lists:seq(1, 10)] end),
    V = keep(fun() -> ok end),
    process_flag_of(V),
    L = spawn(fun() -> receive {'EXIT', _, _} -> ok end end),
    register(calls, V),
    register(lone, L).

suspend_wide(W) ->
    wait(fun() -> {reductions, R} = process_info(W, reductions), R > 100000 end),
    erlang:suspend_process(W).

process_flag_of(P) -> 0 = process_flag(P, save_calls, 50).

wide(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T) ->
    wide(B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, A).

asleep() -> erlang:hibernate(?MODULE, asleep, []).

others() ->
    keep(fun() -> [erlang:start_timer(3600000, self(), N) || N <- lists:seq(1, 30)] end),
    keep(fun() -> group_leader(whereis(target), self()) end),
    keep(fun() -> register(seq, self()), seq_trace:set_token(label, 17) end).

%% ---- many --------------------------------------------------------------------

idle(N) -> [spawn(fun rest/0) || _ <- lists:seq(1, N)], ok.

mortal(N) -> [spawn(fun rest/0) || _ <- lists:seq(1, N)].

%% Some 10 000 processes a second that live for a moment.
storm() ->
    register(stormer, spawn(fun storming/0)), ok.

storming() ->
    [spawn(fun() -> put(k, lists:seq(1, 100)), self() ! N, erlang:yield() end)
     || N <- lists:seq(1, 100)],
    receive after 10 -> storming() end.

calm() ->
    R = monitor(process, whereis(stormer)),
    exit(whereis(stormer), kill),
    receive {'DOWN', R, _, _, _} -> ok end.

%% A process of a name that must not reach a terminal as it is.
odd(Name) -> register(Name, P = spawn(fun rest/0)), P.

%% A process with N messages of a kind.
flood(Name, N) ->
    P = spawn(fun rest/0),
    register(Name, P),
    [P ! {log, K, "a line"} || K <- lists:seq(1, N)],
    ok.

%% N processes that call one that does not answer.
callers(N) ->
    P = spawn(?MODULE, slow, []),
    register(slow, P),
    [spawn(fun() -> gen_server:call(slow, please, infinity) end) || _ <- lists:seq(1, N)],
    ok.

slow() -> rest().
