%% SPDX-License-Identifier: GPL-2.0-only
%%
%% What the live tests run inside a node. Two halves:
%%
%% The console: fixture:main() reads one Erlang expression per line from
%% stdin, evaluates it (bindings last until the node ends) and answers with one
%% line of JSON, {"ok":Value} or {"error":Text}. It reads by a port and its heap
%% is so large that it does not collect; while the test writes nothing, the node
%% is quiet. End of input ends the node: none outlives its test.
%%
%% The workers: worker() starts a process that does nothing on its own, and
%% do(Pid, Op) has it carry out one operation and waits for the end of it. Ops
%% are compiled code, so that a worker allocates only what the op says: see op/2.
%%
%% The module is compiled by the node that runs it, on OTP 23, 25 and 27.
-module(fixture).
-export([main/0, main/1]).
-export([worker/0, worker/1, worker/2, worker_init/0, do/2, send/2, await/1, stop/1]).
-export([hibernate/2, hibernated/0, plain/1, start_server/0, init/1, handle_call/3, handle_cast/2]).
-export([held/1, gcs/1, trace_gcs/1, traced_gcs/1, traced_words/1, fresh_words/1, allocator/1, settled/0, drained/0, noted/2]).
-export([storm/1, storm_init/2, mayfly/0]).
-export([spawn_chatter/0, exited/1, router/1, router_init/0, routed/1]).
-export([nif_load/1, nif_alloc_binary/1, nif_new_binary/1, nif_hold/2, nif_release/1]).
-export([nif_release_binary/2, driver_open/1, driver_call/3]).

%% ---- console ---------------------------------------------------------------

main() ->
    main([]).

main(_Args) ->
    %% 64 MB of heap: the console never collects within a test.
    spawn_opt(fun() ->
                      register(console, self()),
                      Port = open_port({fd, 0, 1}, [binary, eof, {line, 65536}]),
                      say(Port, ready),
                      console(Port, erl_eval:new_bindings(), [])
              end, [{min_heap_size, 8 * 1024 * 1024}]),
    ok.

console(Port, Bindings, Part) ->
    receive
        {Port, {data, {noeol, Bin}}} ->
            console(Port, Bindings, [Part, Bin]);
        {Port, {data, {eol, Bin}}} ->
            Line = unicode:characters_to_list([Part, Bin]),
            console(Port, eval(Port, Line, Bindings), []);
        {Port, eof} ->
            erlang:halt(0, [{flush, false}])
    end.

eval(Port, Line, Bindings) ->
    try
        {ok, Tokens, _} = erl_scan:string(Line ++ "."),
        {ok, Exprs} = erl_parse:parse_exprs(Tokens),
        {value, Value, New} = erl_eval:exprs(Exprs, unbound(Exprs, Bindings)),
        say(Port, Value),
        New
    catch
        Class:Reason:Stack ->
            Text = io_lib:format("~0p:~0p ~0p", [Class, Reason, Stack]),
            port_command(Port, ["{\"error\":", json(unicode:characters_to_binary(Text)), "}\n"]),
            Bindings
    end.

%% `Pattern = ...` binds its variables anew.
unbound([{match, _, Pattern, _} | _], Bindings) ->
    lists:foldl(fun erl_eval:del_binding/2, Bindings, variables(Pattern));
unbound(_, Bindings) ->
    Bindings.

variables({var, _, Name}) -> [Name];
variables(Form) when is_tuple(Form) -> variables(tuple_to_list(Form));
variables([Head | Tail]) -> variables(Head) ++ variables(Tail);
variables(_) -> [].

say(Port, Value) ->
    port_command(Port, ["{\"ok\":", json(Value), "}\n"]).

%% Binaries are strings, lists and tuples arrays; pids and the like as printed.
json(null) -> <<"null">>;
json(B) when is_boolean(B) -> atom_to_binary(B, utf8);
json(A) when is_atom(A) -> json(atom_to_binary(A, utf8));
json(I) when is_integer(I) -> integer_to_binary(I);
json(F) when is_float(F) -> io_lib:format("~p", [F]);
json(B) when is_binary(B) -> [$", [escape(C) || C <- unicode:characters_to_list(B)], $"];
json(T) when is_tuple(T) -> json(tuple_to_list(T));
json(L) when is_list(L) -> [$[, lists:join($,, [json(E) || E <- L]), $]];
json(M) when is_map(M) ->
    [${, lists:join($,, [[json_key(K), $:, json(V)] || {K, V} <- maps:to_list(M)]), $}];
json(Other) -> json(unicode:characters_to_binary(io_lib:format("~0p", [Other]))).

json_key(K) when is_atom(K); is_binary(K) -> json(K);
json_key(K) -> json(unicode:characters_to_binary(io_lib:format("~0p", [K]))).

escape(C) when C < 32; C =:= $"; C =:= $\\; C > 126 -> io_lib:format("\\u~4.16.0b", [C]);
escape(C) -> C.

%% ---- workers ---------------------------------------------------------------

worker() -> worker([]).

%% Options are those of spawn_opt; its initial call is fixture:worker_init/0.
worker(Opts) -> worker(Opts, []).

worker(Opts, Ops) ->
    Pid = spawn_opt(?MODULE, worker_init, [], Opts),
    [do(Pid, Op) || Op <- Ops],
    Pid.

worker_init() ->
    worker_loop([]).

worker_loop(State) ->
    receive
        {From, {hibernate}} ->
            put(state, State),
            From ! {self(), done},
            hibernated();
        {From, Op} ->
            New = op(Op, State),
            From ! {self(), done},
            worker_loop(New)
    end.

%% A worker told to {hibernate} does so at each `sleep`, needing no heap between
%% two of them, and is an ordinary worker again at the next operation.
hibernated() ->
    receive
        sleep -> erlang:hibernate(?MODULE, hibernated, []);
        wake -> worker_loop(get(state))
    end.

%% Have Pid hibernate N times. hibernate/3 collects only where no message waits,
%% so each time wait until it sleeps.
hibernate(Pid, N) ->
    do(Pid, {hibernate}),
    [begin Pid ! sleep, asleep(Pid) end || _ <- lists:seq(1, N)],
    Pid ! wake,
    ok.

asleep(Pid) ->
    case process_info(Pid, [current_function, message_queue_len, status]) of
        [{_, {erlang, hibernate, 3}}, {_, 0}, {_, waiting}] -> ok;
        _ -> erlang:yield(), asleep(Pid)
    end.

send(Pid, Op) ->
    Pid ! {self(), Op},
    Pid.

await(Pid) ->
    receive {Pid, done} -> ok after 25000 -> exit({no_answer, Pid}) end.

do(Pid, Op) ->
    await(send(Pid, Op)).

%% End a worker and wait until it is out of the process table.
stop(Pid) ->
    exit(Pid, kill),
    exited(Pid).

exited(Pid) ->
    Ref = monitor(process, Pid),
    receive {'DOWN', Ref, process, _, _} -> ok after 25000 -> exit({alive, Pid}) end,
    %% The signal is sent before the last memory is gone; the slot goes last.
    case lists:member(Pid, processes()) of
        true -> erlang:yield(), exited(Pid);
        false -> ok
    end.

%% The state of a worker is the list of what it holds.
op({copy, N, Size}, S) ->
    %% The one copied is one of the N.
    First = binary:copy(<<"x">>, Size),
    copies(N - 1, First, [First | S]);
op({copy_slowly, N, Size, Ms}, S) -> copies_slowly(10, N div 10, Size, Ms div 10, S);
op({bits, N, Size}, S) -> bits(N, (Size - 4) * 8, S);
op({nif_alloc, N, Size}, S) -> nif_alloc(N, Size, S);
op({nif_new, N, Size}, S) -> nif_new(N, Size, S);
op({list, Words}, _) -> lists:seq(1, Words div 2);
op({garbage, Turns}, S) -> garbage(Turns), S;
op({gc, Type, N}, S) -> gc(Type, N), S;
op({put, Key, Value}, S) -> put(Key, Value), S;
op({ets_new, Opts}, S) -> [ets:new(fixture, Opts) | S];
op({ets_insert, From, To}, [Tab | _] = S) -> ets_insert(Tab, From, To), S;
op({ets_delete}, [Tab | Rest]) -> ets:delete(Tab), Rest;
op({driver, N, Size}, S) -> [nif_hold(N, Size) | S];
op({driver_free}, [Held | Rest]) -> nif_release(Held), Rest;
op({keep_every, K}, S) -> keep_every(K, S);
op({keep, N}, S) -> lists:sublist(S, N);
op({keep_nth, K}, S) -> keep_nth(K, 1, S);
op({append, N, Size}, S) -> append(N, binary:copy(<<"a">>, Size), S);
op({scheduler, N}, S) -> on_scheduler(N), S;
op({spawn, N}, S) -> spawn_short(N), S;
op({ets_erase, From, To}, [Tab | _] = S) -> ets_erase(Tab, From, To), S;
op({ets_copies, N, Size}, [Tab | _] = S) -> ets_copies(Tab, N, Size), S;
op({route, To, N, Size}, S) -> route(To, N, Size), S;
op({wait, Ms}, S) -> receive after Ms -> S end;
op({live, N, Size, Ms}, S) -> live(N, Size, Ms), S;
op({append_for, N, Size, Ms}, S) -> append_for(N, Size, Ms), S;
op({give, To}, S) -> To ! {self(), {take, S}}, await(To), S;
op({take, Given}, S) -> Given ++ S;
op(drop, _) -> [].

%% ---- operations ------------------------------------------------------------

copies(0, _, S) -> S;
copies(N, Bin, S) -> copies(N - 1, Bin, [binary:copy(Bin) | S]).

copies_slowly(0, _, _, _, S) -> S;
copies_slowly(Times, N, Size, Ms, S) ->
    First = binary:copy(<<"x">>, Size),
    New = copies(N - 1, First, [First | S]),
    receive after Ms -> copies_slowly(Times - 1, N, Size, Ms, New) end.

bits(0, _, S) -> S;
bits(N, Bits, S) -> bits(N - 1, Bits, [<<N:32, 0:Bits>> | S]).

nif_alloc(0, _, S) -> S;
nif_alloc(N, Size, S) -> nif_alloc(N - 1, Size, [nif_alloc_binary(Size) | S]).

nif_new(0, _, S) -> S;
nif_new(N, Size, S) -> nif_new(N - 1, Size, [nif_new_binary(Size) | S]).

%% Heap garbage with a little that survives each turn: minor collections, and
%% majors as the old heap fills.
garbage(Turns) -> garbage(Turns, []).

garbage(0, _) -> ok;
garbage(N, Keep) ->
    L = lists:seq(1, 200),
    Keep1 = case N rem 1000 of 0 -> []; _ -> [hd(L) | Keep] end,
    garbage(N - 1, Keep1).

gc(_, 0) -> ok;
gc(major, N) -> erlang:garbage_collect(), gc(major, N - 1);
gc(minor, N) -> erlang:garbage_collect(self(), [{type, minor}]), gc(minor, N - 1).

ets_insert(_, From, To) when From > To -> ok;
ets_insert(Tab, From, To) ->
    ets:insert(Tab, {From, From, From, From}),
    ets_insert(Tab, From + 1, To).

keep_every(K, S) -> keep_every(K, K, S).

keep_every(_, _, []) -> [];
keep_every(K, 1, [H | T]) -> [binary:copy(H) | keep_every(K, K, T)];
keep_every(K, I, [_ | T]) -> keep_every(K, I - 1, T).

ets_copies(_, 0, _) -> ok;
ets_copies(Tab, N, Size) ->
    ets:insert(Tab, {{copy, N}, binary:copy(<<"e">>, Size)}),
    ets_copies(Tab, N - 1, Size).

route(_, 0, _) -> ok;
route(To, N, Size) ->
    To ! {route, binary:copy(<<"r">>, Size)},
    route(To, N - 1, Size).

%% Makes a writable binary of what it holds first, or appends to the one it is.
append(0, _, S) -> S;
append(N, Chunk, [Bin | Rest]) -> append(N - 1, Chunk, [<<Bin/binary, Chunk/binary>> | Rest]).

on_scheduler(N) ->
    process_flag(scheduler, N),
    erlang:yield(),
    N = erlang:system_info(scheduler_id).

%% N short lives, by turns on all schedulers, each with a heap and a binary of its own.
spawn_short(N) ->
    Online = erlang:system_info(schedulers_online),
    Refs = [element(2, spawn_opt(fun() -> short(I) end, [monitor, {scheduler, I rem Online + 1}]))
            || I <- lists:seq(1, N)],
    [receive {'DOWN', Ref, process, _, _} -> ok end || Ref <- Refs],
    ok.

short(I) ->
    L = lists:seq(1, 300),
    Bin = binary:copy(<<I:32>>, 50),
    byte_size(Bin) + length(L).

%% N processes, some hundreds at a time; each has a heap and makes one refc binary of 200 bytes.
storm(N) ->
    {Pid, Ref} = spawn_monitor(?MODULE, storm_init, [N, min(N, 200)]),
    receive {'DOWN', Ref, process, Pid, Reason} -> Reason after 600000 -> exit(too_long) end.

storm_init(N, Room) ->
    [spawn_monitor(?MODULE, mayfly, []) || _ <- lists:seq(1, Room)],
    storm_on(N - Room, Room).

storm_on(0, 0) -> ok;
storm_on(N, Alive) ->
    receive
        {'DOWN', _, process, _, normal} when N > 0 ->
            spawn_monitor(?MODULE, mayfly, []),
            storm_on(N - 1, Alive);
        {'DOWN', _, process, _, normal} -> storm_on(0, Alive - 1)
    end.

mayfly() ->
    L = lists:seq(1, 300),
    Bin = binary:copy(<<"m">>, 200),
    true = byte_size(Bin) < length(L).

ets_erase(_, From, To) when From > To -> ok;
ets_erase(Tab, From, To) ->
    ets:delete(Tab, From),
    ets_erase(Tab, From + 1, To).

%% N binaries that live for Ms.  Notes the shortest and the longest they may have lived, in ns.
live(N, Size, Ms) ->
    Began = os:perf_counter(nanosecond),
    First = binary:copy(<<"l">>, Size),
    live_on(copies(N - 1, First, [First]), Began, Ms).

%% One binary that grows by N times Size within Ms: that it moves is no new life.
append_for(N, Size, Ms) ->
    Began = os:perf_counter(nanosecond),
    Start = os:perf_counter(nanosecond),
    Bin = append_slowly(N, binary:copy(<<"a">>, Size), Ms div N, <<0:(8 * Size)>>),
    N = byte_size(Bin) div Size - 1,
    lived(Began, Start).

append_slowly(0, _, _, Bin) -> Bin;
append_slowly(N, Chunk, Ms, Bin) ->
    on_scheduler(N rem 2 + 1),
    New = <<Bin/binary, Chunk/binary>>,
    receive after Ms -> append_slowly(N - 1, Chunk, Ms, New) end.

live_on(Held, Began, Ms) ->
    Made = os:perf_counter(nanosecond),
    receive after Ms -> true = is_list(Held) end,
    lived(Began, Made).

%% Nothing is held any more.
lived(Began, Made) ->
    Left = os:perf_counter(nanosecond),
    erlang:garbage_collect(),
    put(lived, [Left - Made, os:perf_counter(nanosecond) - Began]).

keep_nth(_, _, []) -> [];
keep_nth(K, 1, [H | T]) -> [H | keep_nth(K, K, T)];
keep_nth(K, I, [_ | T]) -> keep_nth(K, I - 1, T).

%% ---- processes of other kinds ----------------------------------------------

%% A plain spawn that makes N binaries of 1000 bytes and then waits for `stop`.
plain(N) ->
    First = binary:copy(<<"z">>, 1000),
    S = copies(N - 1, First, [First]),
    receive stop -> length(S) end.

%% Holds the binaries that are sent to it, until told to drop or forward them.
router(Opts) -> spawn_opt(?MODULE, router_init, [], Opts).

router_init() -> router_loop(hold, []).

router_loop(How, Held) ->
    receive
        {route, Bin} when How =:= hold -> router_loop(How, [Bin | Held]);
        {route, _} when How =:= drop -> router_loop(How, Held);
        {route, Bin} -> element(2, How) ! {route, Bin}, router_loop(How, Held);
        {work, Ms} -> router_work(erlang:monotonic_time(millisecond) + Ms), router_loop(How, Held);
        {From, routed} -> From ! {self(), routed}, router_loop(How, Held);
        New -> router_loop(New, Held)
    end.

%% Needs heap, so that it collects with messages in its queue.
router_work(Until) ->
    L = lists:seq(1, 500),
    case erlang:monotonic_time(millisecond) < Until of
        true -> router_work(Until);
        false -> length(L)
    end.

%% All that was sent to it before has come.
routed(Pid) ->
    Pid ! {self(), routed},
    receive {Pid, routed} -> ok after 25000 -> exit({no_answer, Pid}) end.

start_server() ->
    {ok, Pid} = gen_server:start(?MODULE, [], []),
    Pid.

init([]) -> {ok, []}.

handle_call({Op}, _From, S) -> {reply, ok, op(Op, S)}.

handle_cast(_, S) -> {noreply, S}.

%% A port whose program answers each line with a line of its own.
spawn_chatter() ->
    Port = open_port({spawn, "/bin/sh -c 'while read l; do echo answer $l; done'"},
                     [binary, {line, 1000}]),
    [begin
         port_command(Port, <<"hello\n">>),
         receive {Port, {data, {eol, _}}} -> ok after 20000 -> exit(no_answer) end
     end || _ <- lists:seq(1, 100)],
    port_close(Port),
    ok.

%% ---- what the node says about itself ---------------------------------------

%% {number, bytes} of the refc binaries on a process's off-heap list.
held(Pid) ->
    {binary, L} = process_info(Pid, binary),
    {length(L), lists:sum([Size || {_, Size, _} <- L])}.

gcs(Pid) ->
    {garbage_collection, L} = process_info(Pid, garbage_collection),
    proplists:get_value(minor_gcs, L).

%% Count the collections of Pid by the VM's own tracing; the tracer is a process
%% that answers traced_gcs/1 with {Minor, Major}.
trace_gcs(Pid) ->
    Tracer = spawn(fun() -> put(words, 0), tracer(0, 0, none) end),
    1 = erlang:trace(Pid, true, [garbage_collection, {tracer, Tracer}]),
    Tracer.

traced_gcs(Traced) ->
    traced(Traced, count).

%% Words that had come since the collection before, summed up over all of them.
traced_words(Traced) ->
    traced(Traced, words).

traced({Tracer, Pid}, What) ->
    %% All trace messages of Pid are with the tracer when this one comes back.
    Ref = erlang:trace_delivered(Pid),
    receive {trace_delivered, Pid, Ref} -> ok after 20000 -> exit(not_delivered) end,
    Tracer ! {self(), What},
    receive {Tracer, Answer} -> Answer after 20000 -> exit(no_answer) end.

%% A minor collection that the VM begins and then does as a major one instead shows
%% as start and end with nothing moved, directly before the major one: one major.
tracer(Minor, Major, Last) ->
    receive
        {trace, _, gc_minor_start, Info} ->
            add_words(Info),
            tracer(Minor, Major, {minor, used(Info)});
        {trace, _, gc_minor_end, Info} ->
            tracer(Minor + 1, Major, {ended, Last =:= {minor, used(Info)}});
        {trace, _, gc_major_start, _} when Last =:= {ended, true} ->
            tracer(Minor - 1, Major, major);
        {trace, _, gc_major_start, Info} -> add_words(Info), tracer(Minor, Major, major);
        {trace, _, gc_major_end, _} -> tracer(Minor, Major + 1, none);
        {From, count} -> From ! {self(), {Minor, Major}}, tracer(Minor, Major, Last);
        {From, words} -> From ! {self(), get(words)}, tracer(Minor, Major, Last)
    end.

add_words(Info) ->
    put(words, get(words) + since_gc(Info)).

%% recent_size is what survived the last collection.
since_gc(Info) ->
    [Heap, Mbuf, Recent] = [proplists:get_value(K, Info) || K <- [heap_size, mbuf_size, recent_size]],
    Heap + Mbuf - Recent.

%% Words that came to a process since its last collection.
fresh_words(Pid) ->
    {garbage_collection_info, Info} = process_info(Pid, garbage_collection_info),
    since_gc(Info).

%% Not mbuf_size: the trace messages themselves are built there.
used(Info) ->
    [proplists:get_value(K, Info) || K <- [heap_size, old_heap_size, recent_size]].

%% One map per instance: carriers there are (employed, pooled, single), how many it
%% has fetched from the pool, and the calls made, of system_info({allocator, Name}). Keys of calls lose the
%% allocator's name: alloc, free, realloc, mseg_alloc, sys_alloc and so on.
allocator(Name) ->
    Prefix = lists:sublist(atom_to_list(Name), length(atom_to_list(Name)) - length("alloc")),
    [maps:merge(#{instance => Instance, carriers => carriers(carriers, Info),
                  carriers_size => carriers(carriers_size, Info), fetch => fetches(Info)},
                calls(Prefix, Info))
     || {instance, Instance, Info} <- erlang:system_info({allocator, Name})].

%% Carriers, or their bytes, by kind. The count has current, last maximum and maximum, or only
%% the current one, and is divided by source (mseg and sys) for mbcs and sbcs.
carriers(What, Info) ->
    maps:from_list([{Kind, element(2, lists:keyfind(What, 1, Part))}
                    || {Kind, Part} <- Info,
                       lists:member(Kind, [mbcs, mbcs_pool, sbcs])]).

%% Carriers that it has ever fetched from the pool.
fetches(Info) ->
    case lists:keyfind(mbcs_pool, 1, Info) of
        {mbcs_pool, Pool} ->
            {fetch, Giga, Rest} = lists:keyfind(fetch, 1, Pool),
            Giga * 1000000000 + Rest;
        false -> 0
    end.

calls(Prefix, Info) ->
    {calls, Calls} = lists:keyfind(calls, 1, Info),
    maps:from_list([{short(Prefix, Key), Giga * 1000000000 + Rest} || {Key, Giga, Rest} <- Calls]).

short(Prefix, Key) ->
    case lists:prefix(Prefix, atom_to_list(Key)) of
        true -> list_to_atom(lists:nthtail(length(Prefix), atom_to_list(Key)));
        false -> Key
    end.

%% allocator/1 of all allocators, once no carrier is on its way: carriers leave
%% some thread progress after they are empty. Those made less those given back
%% less those there is then what it always was (the first carriers of the start
%% are in one number and not in the other). Only over all allocators: one that is
%% little used may be taken over by another instance, on OTP 23 even by that of
%% another allocator.
settled() ->
    case get(settled) of
        undefined -> put(settled, offset(allocators())), settled();
        Base -> settled(Base, erlang:monotonic_time(millisecond) + 20000)
    end.

settled(Base, Until) ->
    Now = allocators(),
    case offset(Now) of
        Base -> Now;
        Other ->
            erlang:monotonic_time(millisecond) < Until orelse exit({unsettled, Base, Other}),
            receive after 10 -> ok end,
            settled(Base, Until)
    end.

%% Blocks freed by another scheduler than their owner's are on their way for a while.
drained() ->
    erts_debug:set_internal_state(available_internal_state, true),
    erts_debug:set_internal_state(wait, deallocations).

%% What a worker has put into its dictionary.
noted(Pid, Key) ->
    {dictionary, Dict} = process_info(Pid, dictionary),
    proplists:get_value(Key, Dict, null).

allocators() ->
    maps:from_list([{Name, allocator(Name)} || Name <- erlang:system_info(alloc_util_allocators),
                                               is_list(erlang:system_info({allocator, Name}))]).

offset(All) ->
    lists:sum([maps:get(mseg_alloc, I) + maps:get(sys_alloc, I)
               - maps:get(mseg_dealloc, I) - maps:get(sys_free, I)
               - lists:sum(maps:values(maps:get(carriers, I)))
               || Instances <- maps:values(All), I <- Instances]).

%% ---- NIF -------------------------------------------------------------------

nif_load(Path) -> erlang:load_nif(Path, 0).

nif_alloc_binary(_Size) -> erlang:nif_error(not_loaded).

nif_new_binary(_Size) -> erlang:nif_error(not_loaded).

nif_hold(_N, _Size) -> erlang:nif_error(not_loaded).

nif_release(_Held) -> erlang:nif_error(not_loaded).

nif_release_binary(_N, _Size) -> erlang:nif_error(not_loaded).

%% ---- driver ----------------------------------------------------------------

driver_open(Dir) ->
    ok = erl_ddll:load(Dir, "fixture_drv"),
    open_port({spawn_driver, "fixture_drv"}, [binary]).

driver_call(Port, Command, N) ->
    [] = port_control(Port, Command, <<N:32/native>>),
    ok.
