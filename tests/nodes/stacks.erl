%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Processes in known places, and what the node itself says of where all processes are: for
%% tests/live/23-stacks.t. Compiled by the node that runs it, on OTP 23, 25, 27 and 29.
-module(stacks).
-export([start/1, ask/0, ask/1, reload/2, purge/1, servers/0, states/1, plain/1, waiters/0]).
-export([place/1, hibernated/2, fresh/1, spin/2, middle/3, odd_line/1, entered/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% ---- places ------------------------------------------------------------------

%% N processes in each place.
start(N) ->
    Kinds = [receiving, timeout, deep, same, caught, folding, many, odd, evaluated, hibernated,
             proc_lib, registers, reversing, decoding, fresh, tried],
    Pids = [place_one(K) || K <- Kinds, _ <- lists:seq(1, N)],
    [dirty() || _ <- lists:seq(1, min(N, 2))],
    length(Pids).

place_one(registers) ->
    stopped(spawn(?MODULE, spin, [0, lists:seq(1, 100)]));
place_one(reversing) ->
    L = lists:seq(1, 300000),
    stopped(spawn(fun() -> forever(fun() -> lists:reverse(L, [x]) end) end));
place_one(decoding) ->
    B = term_to_binary(lists:seq(1, 100000)),
    stopped(spawn(fun() -> forever(fun() -> binary_to_term(B) end) end));
place_one(fresh) ->
    %% never ran: the scheduler has not come to it
    Old = process_flag(priority, high),
    P = spawn_opt(?MODULE, fresh, [x], [{priority, low}]),
    erlang:suspend_process(P, [asynchronous]),
    process_flag(priority, Old),
    P;
place_one(Kind) ->
    P = spawn(?MODULE, place, [Kind]),
    P.

%% Suspended wherever it just is.
stopped(P) ->
    timer:sleep(rand:uniform(5)),
    erlang:suspend_process(P),
    P.

forever(F) ->
    F(),
    forever(F).

dirty() ->
    spawn(fun() -> erts_debug:dirty_io(wait, 120000) end).

place(receiving) ->
    X = middle(1, two, self()),
    {X, kept};
place(timeout) ->
    receive never -> ok after 10000000 -> ok end;
place(deep) ->
    deep(100, self());
place(same) ->
    same(30);
place(caught) ->
    catch tl(middle(catching, [], 7)),
    kept;
place(tried) ->
    try
        try middle(a, b, c) of
            X -> {X, X}
        catch
            error:E -> {E, caught}
        end
    after
        erlang:display(after_all)
    end;
place(folding) ->
    lists:foldl(fun(X, Acc) -> [middle(X, Acc, fold) | Acc] end, [], [1, 2, 3]);
place(many) ->
    A = list_to_atom("a"), B = self(), C = make_ref(), D = {A, B}, E = [C], F = 1.5,
    G = 123456789, H = <<"binary">>, I = #{k => v}, J = [], K = -17, L = fun() -> A end,
    middle(A, B, C),
    {A, B, C, D, E, F, G, H, I, J, K, L};
place(odd) ->
    odd_line(self()),
    kept;
place(evaluated) ->
    {ok, T, _} = erl_scan:string("F = fun(X) -> receive never -> X end, 1 end, [F(2)]."),
    {ok, E} = erl_parse:parse_exprs(T),
    erl_eval:exprs(E, []);
place(hibernated) ->
    erlang:hibernate(?MODULE, hibernated, [some, args]);
place(proc_lib) ->
    proc_lib:hibernate(?MODULE, hibernated, [other, args]).

hibernated(_, _) ->
    receive never -> ok end.

fresh(X) ->
    receive X -> X end.

middle(A, B, C) ->
    R = inner(A),
    {R, B, C}.

inner(A) ->
    receive
        never -> A
    end,
    A.

deep(0, P) ->
    receive {P, x} -> ok end,
    [];
deep(N, P) when N rem 2 =:= 0 ->
    [N | deep(N - 1, P)];
deep(N, P) ->
    {N, deep(N - 1, P)}.

%% The same return address again and again.
same(0) ->
    receive never -> 0 end;
same(N) ->
    1 + same(N - 1).

spin(N, L) ->
    spin(N + 1, work(N, L, a, b, c, d, e, f)).

work(N, [H | T], A, B, C, D, E, F) ->
    [H + N - N | work(N, T, B, C, D, E, F, A)];
work(_, [], _, _, _, _, _, _) ->
    [].

%% ---- what the node says ------------------------------------------------------

ask() ->
    ask(processes()).

%% Of what holds still: [{Pid, #{...}}].
ask(Pids) ->
    Skip = [self(), whereis(console)],
    lists:append([one(P) || P <- Pids, not lists:member(P, Skip)]).

one(P) ->
    Keys = [status, current_function, current_stacktrace, backtrace],
    case process_info(P, Keys) of
        [{status, running} | _] ->
            dirty_one(P, process_info(P, current_function));
        [_, {_, F}, {_, Trace}, {_, Back}] ->
            [{P, #{current_function => mfa(F), stacktrace => [entry(E) || E <- Trace],
                   backtrace => back(Back)}}];
        undefined ->
            []
    end.

%% Runs on a dirty scheduler.
dirty_one(P, {_, {erts_debug, _, _} = F}) -> [{P, #{current_function => mfa(F)}}];
dirty_one(_, _) -> [].

mfa(undefined) -> undefined;
mfa({M, F, A}) -> text("~ts:~ts/~w", [M, F, A]).

entry({M, F, A, Loc}) ->
    [mfa({M, F, A}), case lists:keyfind(file, 1, Loc) of
                         {file, File} -> text("~ts", [File]);
                         false -> null
                     end, proplists:get_value(line, Loc, 0)].

text(F, A) ->
    unicode:characters_to_binary(io_lib:format(F, A)).

%% [i, Address, M:F/A+Offset] and then, downwards, [return, Where, Address, M:F/A+Offset], [y, Value]
%% and [catches]. Where: counted from the last one, since stacks may move. Values are told where
%% they are atoms, small integers, pids or [].
back(Bin) ->
    Lines = binary:split(Bin, <<"\n">>, [global]),
    All = lists:append([line(L) || L <- Lines]),
    Stack = [At || [return, At | _] <- All],
    Last = lists:last([0 | Stack]),
    %% a saved frame pointer looks like a return address
    [case E of [return, At | T] -> [return, Last - At | T]; _ -> E end
     || E <- All, not is_frame_pointer(E, Stack)].

is_frame_pointer([return, _, Address, <<>>], [Low | _] = Stack) ->
    Address =:= 0 orelse (Address >= Low andalso Address =< lists:last(Stack) + 8);
is_frame_pointer(_, _) ->
    false.

line(<<"Program counter: ", T/binary>>) ->
    [A, F] = binary:split(T, <<" ">>),
    [[i, hex(A), place_text(F)]];
line(<<"0x", _/binary>> = L) ->
    case binary:split(L, <<" ">>) of
        [At, <<"Return addr ", T/binary>>] ->
            [A, F] = binary:split(T, <<" ">>),
            [[return, hex(At), hex(A), place_text(F)]];
        [_, Value] ->
            %% OTP 23 has no y(N) before the first return address
            register_value(Value)
    end;
line(<<"y(", T/binary>>) ->
    [_, V] = binary:split(T, <<")">>),
    register_value(string:trim(V));
line(_) ->
    [].

register_value(<<"Catch ", _/binary>>) -> [[catches]];
register_value(Value) -> [[y, simple(Value)]].

hex(<<"0x", H/binary>>) -> binary_to_integer(H, 16).

place_text(T) ->
    case re:run(T, "^\\((.*) \\+ ([0-9]+)\\)$", [{capture, all_but_first, binary}, unicode]) of
        {match, [F, Off]} ->
            <<(binary:replace(F, <<"'">>, <<>>, [global]))/binary, "+", Off/binary>>;
        nomatch ->
            <<>>
    end.

simple(V) ->
    case re:run(V, "^([a-z][a-z0-9_]*|-?[0-9]{1,16}|<0\\.[0-9]+\\.[0-9]+>|\\[\\])$") of
        {match, _} -> V;
        nomatch -> <<>>
    end.

%% ---- code that is replaced ---------------------------------------------------

%% A module whose function F waits; two versions may be loaded at a time.
reload(Name, F) ->
    Forms = [{attribute, 1, file, {"gen/" ++ atom_to_list(Name) ++ ".erl", 1}},
             {attribute, 1, module, Name}, {attribute, 2, export, [{F, 1}]},
             {function, 10, F, 1, [{clause, 10, [{var, 10, 'X'}], [],
               [{'receive', 20, [{clause, 21, [{var, 21, 'X'}], [], [{var, 21, 'X'}]}]},
                {tuple, 30, [{var, 30, 'X'}]}]}]}],
    {ok, Name, Bin} = compile:forms(Forms, []),
    {module, Name} = code:load_binary(Name, "gen/" ++ atom_to_list(Name), Bin),
    [spawn(Name, F, [{never, I}]) || I <- [1, 2, 3]].

purge(Name) ->
    code:purge(Name).

%% ---- behaviours --------------------------------------------------------------

%% [{Kind, Pid}]: servers in every way of waiting for a message.
servers() ->
    S = {st, 1, [a, b]},
    Server = fun(Name, Reply, Opts) ->
                     {ok, P} = case Name of
                                   none -> gen_server:start(?MODULE, Reply, Opts);
                                   _ -> gen_server:start(Name, ?MODULE, Reply, Opts)
                               end,
                     P
             end,
    Statem = fun(Reply, Opts) -> {ok, P} = gen_statem:start(stacks_statem, Reply, Opts), P end,
    Event = fun(Handlers, Opts) ->
                    {ok, P} = gen_event:start(Opts),
                    [ok = gen_event:add_handler(P, H, St) || {H, St} <- Handlers],
                    P
            end,
    {module, stacks_statem} = load_statem(),
    {ok, Entered} = proc_lib:start(?MODULE, entered, []),
    %% a monitor in its state is nobody that it waits for
    Ref = fun() -> erlang:monitor(process, whereis(init)) end,
    [{gen_server, Server(none, {ok, S}, [])},
     {gen_server, Server({local, stacks_a}, {ok, S}, [])},
     {gen_server, Server({global, {stacks, b}}, {ok, S}, [])},
     {gen_server, Server(none, {ok, S, 10000000}, [])},
     {gen_server, Server(none, {ok, S, hibernate}, [])},
     {gen_server, Server(none, {ok, S}, [{hibernate_after, 1}])},
     {gen_server, Server(none, {ok, S}, [{hibernate_after, 10000000}])},
     {gen_server, Server(none, {ok, S}, [{debug, [{log, 5}]}])},
     {gen_server, Server(none, {ok, atom}, [])},
     {gen_server, Server(none, {ok, []}, [])},
     {gen_server, Server(none, {ok, self()}, [])},
     {gen_server, Server(none, {ok, infinity}, [])},
     {gen_server, Server(none, {monitor, Ref}, [])},
     {gen_server, Entered},
     {gen_server, whereis(kernel_sup)},
     {gen_statem, Statem({ok, opened, S}, [])},
     {gen_statem, Statem({ok, {1, opened}, S}, [])},
     {gen_statem, Statem({ok, opened, S, [{state_timeout, 10000000, x}]}, [])},
     {gen_statem, Statem({ok, opened, S, [{timeout, 10000000, x}]}, [])},
     {gen_statem, Statem({ok, opened, S, [hibernate]}, [])},
     {gen_statem, Statem({ok, opened, S}, [{hibernate_after, 1}])},
     {gen_statem, Statem({ok, opened, S}, [{debug, [{log, 5}]}])},
     {gen_statem, Statem({ok, postponing, []}, [])},
     {gen_event, Event([], [])},
     {gen_event, Event([{stacks_event, S}], [])},
     {gen_event, Event([{stacks_event, S}, {{stacks_event, id}, 7}, {{stacks_event, {1, 2}}, []}], [])},
     {gen_event, Event([{stacks_event, S}], [{hibernate_after, 1}])},
     {gen_event, whereis(erl_signal_server)}].

entered() ->
    proc_lib:init_ack({ok, self()}),
    gen_server:enter_loop(?MODULE, [], {entered, self()}).

%% What the node says of them; asking wakes up those that hibernate, which then do so again.
states(Servers) ->
    [{P, #{kind => K, state => plain(sys:get_state(P))}} || {K, P} <- Servers].

%% As ~w has it; "_" for what the program that reads us does not print.
plain(T) ->
    unicode:characters_to_binary(plain1(T)).

plain1(T) when is_tuple(T) ->
    ["{", lists:join(",", [plain1(E) || E <- tuple_to_list(T)]), "}"];
plain1([_ | _] = L) ->
    ["[", lists:join(",", [plain1(E) || E <- elements(L, 64)]), "]"];
plain1(T) when is_pid(T), node(T) =:= node(); T =:= [] ->
    io_lib:format("~w", [T]);
plain1(T) when is_integer(T), T < 1 bsl 59, T >= -(1 bsl 59) ->
    integer_to_list(T);
plain1(T) when is_atom(T) ->
    case re:run(atom_to_list(T), "^[a-z][a-z0-9_]*$", [unicode]) of
        {match, _} -> atom_to_list(T);
        nomatch -> "_"
    end;
plain1(_) ->
    "_".

elements([H | T], N) when N > 0 -> [H | elements(T, N - 1)];
elements(_, _) -> [].

%% Two callback modules that must not be this one.
load_statem() ->
    Forms = fun(M, Fs) -> [{attribute, 1, module, M}, {attribute, 1, compile, export_all} | Fs] end,
    Parsed = fun(Text) -> {ok, T, _} = erl_scan:string(Text), {ok, F} = erl_parse:parse_form(T), F end,
    Load = fun(M, Texts) ->
                   {ok, M, Bin} = compile:forms(Forms(M, [Parsed(T) || T <- Texts]), []),
                   code:load_binary(M, "x", Bin)
           end,
    {module, _} = Load(stacks_event, ["init(X) -> {ok, X}.", "handle_event(_, S) -> {ok, S}.",
                                      "handle_call(_, S) -> {ok, ok, S}."]),
    Load(stacks_statem, ["init({ok, postponing, D}) -> {ok, postponing, D, [{next_event, cast, x}]};"
                         "init(X) -> X.",
                         "callback_mode() -> handle_event_function.",
                         "handle_event(_, _, postponing, _) -> {keep_state_and_data, [postpone]};"
                         "handle_event(_, _, _, _) -> keep_state_and_data."]).

%% ---- waiting for somebody ----------------------------------------------------

%% [{Pid, #{waits_for => Text}}]: all kinds of waiting, and what looks like it.
waiters() ->
    %% one that never answers
    {ok, Deaf} = gen_server:start({local, stacks_deaf}, ?MODULE, {ok, deaf}, []),
    {ok, Global} = gen_server:start({global, stacks_deaf}, ?MODULE, {ok, deaf}, []),
    Silent = spawn(fun() -> receive never -> ok end end),
    {ok, Event} = gen_event:start(),
    sys:suspend(Event),
    Port = hd(erlang:ports()),
    Long = 10000000,
    On = fun(Who, F) -> {spawn(F), Who} end,
    Calls =
        [On(Deaf, fun() -> gen_server:call(Deaf, x, infinity) end),
         On(Deaf, fun() -> gen_server:call(Deaf, x, Long) end),
         On(Deaf, fun() -> gen_server:call(stacks_deaf, x, Long) end),
         On(Deaf, fun() -> gen_server:call({stacks_deaf, node()}, x, Long) end),
         On(Global, fun() -> gen_server:call({global, stacks_deaf}, x, Long) end),
         On(Deaf, fun() -> gen_statem:call(Deaf, x) end),
         On(Deaf, fun() -> gen_statem:call(Deaf, x, {dirty_timeout, Long}) end),
         On(Event, fun() -> gen_event:sync_notify(Event, x) end),
         On(Event, fun() -> gen_event:call(Event, m, x, Long) end),
         On(Silent, fun() -> sys:get_state(Silent, Long), ok end),
         On(Deaf, fun() -> gen_server:wait_response(gen_server:send_request(Deaf, x), Long) end),
         On(Deaf, fun() -> [catch gen_server:call(Deaf, x, Long), kept] end),
         On(Silent, fun() -> R = monitor(process, Silent), receive {'DOWN', R, _, _, _} -> ok end end),
         On(Silent, fun() -> R = monitor(process, Silent), receive {R, _} -> ok; {'DOWN', R, _, _, _} -> ok after Long -> ok end end),
         On(Silent, fun() -> monitor(process, Silent), down(Silent) end),
         On(Silent, fun() -> many_monitors(Silent) end),
         On(Port, fun() -> R = monitor(port, Port), receive {'DOWN', R, _, _, _} -> ok end end)],
    Nobody =
        [spawn(fun() -> receive never -> ok end end),
         spawn(fun() -> R = make_ref(), receive R -> R end end),
         spawn(fun() -> R = monitor(process, Silent), demonitor(R), receive R -> R end end),
         %% keeps one, and waits for something else
         spawn(fun() -> R = monitor(process, Silent), X = middle(a, b, c), {R, X} end),
         spawn(fun() -> monitor(process, Silent), receive never -> ok end end),
         spawn(fun() -> R = monitor(process, Silent), server_loop(R) end),
         spawn(fun() -> monitor(process, Silent), erlang:hibernate(?MODULE, hibernated, [1, 2]) end),
         %% one of two
         spawn(fun() -> R = monitor(process, Silent), S = monitor(process, Deaf),
                        receive {R, _} -> S; {S, _} -> R end end),
         Silent, Deaf, Event],
    [{P, #{waits_for => text("~w", [W])}} || {P, W} <- Calls] ++ spawned(Long) ++
        [{P, #{waits_for => <<>>}} || P <- Nobody].

down(P) ->
    receive {'DOWN', _, process, P, _} -> ok end,
    P.

%% The tree is deep, and there are nodes and suspended processes in it.
many_monitors(P) ->
    erlang:suspend_process(spawn(fun() -> receive never -> ok end end)),
    net_kernel:monitor_nodes(true),
    Others = [monitor(process, spawn(fun() -> receive never -> ok end end)) || _ <- lists:seq(1, 300)],
    R = monitor(process, P),
    More = [monitor(process, spawn(fun() -> receive never -> ok end end)) || _ <- lists:seq(1, 300)],
    answer(R),
    {Others, More}.

answer(R) ->
    receive {R, X} -> X; {'DOWN', R, _, _, X} -> X end,
    [R].

server_loop(R) ->
    receive
        {'DOWN', R, _, _, _} -> ok;
        _ -> server_loop(R)
    end.

%% Whom they wait for is a process that they made.
spawned(Long) ->
    Made = fun(F) -> M = self(), P = spawn(fun() -> F(fun() -> M ! {made, self()}, receive never -> ok end end) end),
                     receive {made, C} -> {P, #{waits_for => text("~w", [C])}} end end,
    [Made(fun(Child) -> {_, R} = spawn_monitor(Child), receive {'DOWN', R, _, _, _} -> ok end end),
     Made(fun(Child) -> proc_lib:start_link(erlang, apply, [Child, []]) end),
     Made(fun(Child) -> proc_lib:start(erlang, apply, [Child, []], Long) end),
     Made(fun(Child) -> erpc:call(node(), Child, Long) end),
     Made(fun(Child) -> rpc:call(node(), erlang, apply, [Child, []], Long) end),
     Made(fun(Child) -> gen_server:start_link(?MODULE, {call, Child}, []) end)].

init({call, F}) ->
    F();
init({monitor, F}) ->
    {ok, F()};
init(X) ->
    X.
handle_call(_, _, S) ->
    {noreply, S}.
handle_cast(_, S) ->
    {noreply, S}.
handle_info(_, S) ->
    {noreply, S}.

%% ---- another file, far down --------------------------------------------------

-file("src/odd name.yrl", 70000).
odd_line(P) ->
    receive
        P -> P
    end,
    [P].
