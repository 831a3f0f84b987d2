%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Processes of every kind for 25-proc.t, each registered under a name, and what the node says of
%% them: facts/1, with the keys that `ebeam proc --json` has.
-module(one).
-export([start/0, facts/1, heap/1, mfas/1, ask_state/1, term/1, stop/1, flood/2, fill/2, deep/2]).
-export([same_label/2, mayfly/0, mayflies/0, collected/1, label/2, pid_text/1, sender/0]).
-export([frames/2, holder/2, sizes/1, servers/1, idle/1, refs/1]).
%% behaviours, and what the processes run
-export([init/1, handle_call/3, handle_cast/2, handle_event/2, callback_mode/0, waiting/3]).
-export([undefined_function/3, body/2, spinner/1]).

start() ->
    ok = server(one_server, {state, #{a => 1, <<"b">> => [1, 2, 3]}, term(7), "a string"}),
    {ok, _} = gen_statem:start({local, one_statem}, ?MODULE, {statem, waiting, term(11)}, []),
    {ok, _} = gen_event:start({local, one_event}),
    ok = gen_event:add_handler(one_event, ?MODULE, {event, term(13)}),
    ok = gen_event:add_handler(one_event, {?MODULE, second}, {event, {some, "state"}}),
    ok = server(one_blocked, blocked),
    gen_server:cast(one_blocked, block),
    named(one_caller, fun() -> gen_server:call(one_blocked, {log, "text", 1}, infinity) end),
    named(one_monitors, fun() -> monitors(), idle() end),
    named(one_links, fun() ->
                             [spawn_link(fun idle/0) || _ <- lists:seq(1, 20)],
                             {ok, _} = gen_udp:open(0),
                             link(whereis(one_monitors)),
                             process_flag(trap_exit, true),
                             idle()
                     end),
    named(one_bins, fun() ->
                            put(bins, [binary:copy(<<N>>, 100 * N) || N <- lists:seq(1, 30)]),
                            B = binary:copy(<<"x">>, 5000),
                            put(parts, [binary:part(B, 100, 3000), binary:part(B, 0, 4000), B]),
                            put(written, lists:foldl(fun(N, A) -> <<A/binary, N:80>> end, <<>>,
                                                     lists:seq(1, 300))),
                            idle()
                    end),
    named(one_stack, fun() -> body(300, term(17)) end),
    named(one_dict, fun() ->
                            process_flag(error_handler, ?MODULE),
                            process_flag(priority, high),
                            put('a key', {with, [a, <<"value">>]}),
                            put({tuple, 1}, 2),
                            idle()
                    end),
    named(one_flags, fun idle/0,
          [{min_heap_size, 5000}, {min_bin_vheap_size, 100000}, {fullsweep_after, 7},
           {message_queue_data, off_heap},
           {max_heap_size, #{size => 10000000, kill => false, error_logger => true}}]),
    named(one_suspended, fun() ->
                                 P = spawn(fun idle/0),
                                 erlang:suspend_process(P),
                                 idle()
                         end),
    %% a file is closed when its owner dies: the NIF's resource monitors it
    named(one_file, fun() -> {ok, _} = file:open("/dev/null", [raw, read]), idle() end),
    named('one\n\e[31m \x{e5}', fun idle/0),
    named(one_hibernated, fun() -> erlang:hibernate(?MODULE, body, [0, x]) end),
    named(one_asleep, fun() -> timer:sleep(infinity) end),
    %% in x registers: preempted at a call
    named(one_spinner, fun() -> spinner(0) end, [{priority, low}]),
    erlang:suspend_process(whereis(one_spinner)),
    named(one_nothing, fun idle/0),
    ok.

named(Name, Fun) ->
    named(Name, Fun, []).

named(Name, Fun, Options) ->
    Home = self(),
    {Pid, Ref} = spawn_opt(fun() ->
                                   register(Name, self()),
                                   Home ! {self(), ready},
                                   Fun()
                           end, [monitor | Options]),
    receive
        {Pid, ready} -> erlang:demonitor(Ref, [flush]), settle(Pid);
        {'DOWN', Ref, process, Pid, Why} -> exit({Name, Why})
    end.

%% Until it waits; one that never does is just given a moment.
settle(Pid) ->
    settle(Pid, 200).

settle(_, 0) -> ok;
settle(Pid, N) ->
    case process_info(Pid, status) of
        {status, waiting} -> ok;
        _ -> timer:sleep(1), settle(Pid, N - 1)
    end.

idle() ->
    receive stop -> ok end.

idle(Name) ->
    named(Name, fun idle/0).

%% Terms by seed in the dictionary of a process; and as the states of servers, one each.
holder(Name, Seeds) ->
    named(Name, fun() -> [put({seed, S}, term(S)) || S <- Seeds], idle() end).

servers(Seeds) ->
    [begin
         Name = list_to_atom("one_server_" ++ integer_to_list(S)),
         ok = server(Name, term(S)),
         Name
     end || S <- Seeds].

%% Words of each pair in the dictionary: what they share among each other counts for each.
sizes(Name) ->
    named(Name, fun() ->
                        put(list, lists:seq(1, 5000)),
                        put(map, maps:from_list([{I, {I, I}} || I <- lists:seq(1, 3000)])),
                        %% nothing that the compiler would make a literal of
                        put(tuple, {lists:seq(1, 9), maps:from_list([{K, [self()]} || K <- [a, b]]),
                                    make_ref()}),
                        put(words, [{I, integer_to_list(I)} || I <- lists:seq(1, 300)]),
                        erlang:garbage_collect(),
                        idle()
                end),
    {dictionary, Dict} = process_info(whereis(Name), dictionary),
    [[unicode:characters_to_binary(["dictionary ", p0(K)]), erts_debug:size({K, V})]
     || {K, V} <- Dict].

stop(Name) ->
    Pid = whereis(Name),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, process, Pid, _} -> ok end.

monitors() ->
    monitor(process, one_server),
    monitor(process, {one_statem, node()}),
    [monitor(process, whereis(one_event)) || _ <- [1, 2]],
    monitor(time_offset, clock_service),
    {ok, Port} = gen_udp:open(0),
    monitor(port, Port).

body(0, _) ->
    idle();
body(N, T) ->
    R = {N, body(N - 1, T)},
    [R, T].

spinner(N) ->
    spinner(lists:sum([N, 1])).

%% ---- behaviours ----

server(Name, State) ->
    {ok, Pid} = gen_server:start({local, Name}, ?MODULE, {server, State}, []),
    settle(Pid).

init({server, State}) -> {ok, State};
init({statem, State, Data}) -> {ok, State, Data};
init({event, State}) -> {ok, State}.

handle_call(ping, _, State) -> {reply, pong, State};
handle_call(_, _, State) -> {noreply, State}.

handle_cast(block, _) -> receive unblocked -> ok end.

handle_event(_, State) -> {ok, State}.

callback_mode() -> state_functions.

waiting(_, _, _) -> keep_state_and_data.

undefined_function(M, F, A) ->
    error_handler:undefined_function(M, F, A).

ask_state(Name) ->
    p(sys:get_state(Name)).

%% ---- queues ----

%% The process Name has these messages, from sender(), a process of its own.
fill(Name, Fun) ->
    Pid = whereis(Name),
    Sender = sender(),
    Sender ! {send, Pid, Fun, self()},
    receive {Sender, sent} -> ok end,
    settle(Pid).

sender() ->
    case whereis(one_sender) of
        undefined ->
            Home = self(),
            Pid = spawn(fun() -> register(one_sender, self()), Home ! started, send_loop() end),
            receive started -> Pid end;
        Pid ->
            Pid
    end.

send_loop() ->
    receive
        {send, Pid, Fun, From} ->
            [Pid ! M || M <- Fun()],
            From ! {self(), sent},
            erlang:garbage_collect(),
            send_loop()
    end.

%% N messages of three shapes.
flood(Name, N) ->
    Pid = whereis(Name),
    Ref = make_ref(),
    flood(Pid, Ref, N),
    process_info(Pid, message_queue_len).

flood(_, _, 0) -> ok;
flood(Pid, Ref, N) ->
    case N rem 10 of
        0 -> Pid ! {tick, N};
        1 -> Pid ! {data, N, <<"some bytes">>, [N]};
        _ -> Pid ! {'$gen_call', {self(), Ref}, {log, N, "text"}}
    end,
    flood(Pid, Ref, N - 1).

%% A term nested so many levels deep, in the dictionary: in tuples, or in lists.
deep(Name, N) ->
    named(Name, fun() ->
                        put(tuples, lists:foldl(fun(_, T) -> {T} end, bottom, lists:seq(1, N))),
                        put(lists, lists:foldl(fun(_, T) -> [T] end, bottom, lists:seq(1, N))),
                        idle()
                end, [{min_heap_size, 8000000}]).

%% The same large term in a register of each of N frames.
frames(Name, N) ->
    named(Name, fun() -> body(N, lists:seq(1, 20000)) end).

%% ---- short lives ----

same_label(Label, N) ->
    [begin
         Home = self(),
         P = spawn(fun() -> proc_lib:set_label(Label), Home ! {self(), labelled}, idle() end),
         receive {P, labelled} -> list_to_binary(pid_to_list(P)) end
     end || _ <- lists:seq(1, N)].

label(Name, Label) ->
    named(Name, fun() -> proc_lib:set_label(Label), idle() end).

%% Registers one_mayfly, again and again until one_mayflies is stopped: each lives for a moment.
mayflies() ->
    named(one_mayflies, fun mayflies_loop/0).

mayflies_loop() ->
    {_, Ref} = spawn_monitor(?MODULE, mayfly, []),
    receive {'DOWN', Ref, process, _, _} -> ok end,
    mayflies_loop().

mayfly() ->
    catch register(one_mayfly, self()),
    put(list, lists:seq(1, 2000)),
    put(bins, [binary:copy(<<1>>, 200) || _ <- lists:seq(1, 50)]),
    receive after 10 -> ok end.

%% ---- what the node says ----

p(T) ->
    unicode:characters_to_binary(io_lib:format("~p", [T])).

pid_text(Name) ->
    list_to_binary(pid_to_list(whereis(Name))).

mfa({M, F, A}) ->
    unicode:characters_to_binary(io_lib:format("~s:~s/~b", [M, F, A]));
mfa({M, F, A, _}) ->
    mfa({M, F, A}).

place({M, F, A, At}) ->
    #{function => mfa({M, F, A}),
      file => case At of [] -> null; _ -> list_to_binary(proplists:get_value(file, At)) end,
      line => proplists:get_value(line, At, null)}.

facts(Name) ->
    Pid = case is_pid(Name) of true -> Name; false -> whereis(Name) end,
    Dict = info(Pid, dictionary),
    Gc = info(Pid, garbage_collection),
    Facts = #{pid => list_to_binary(pid_to_list(Pid)),
              registered_name => case info(Pid, registered_name) of
                                     [] -> null;
                                     Reg -> escaped(Reg)
                                 end,
              current_function => mfa(info(Pid, current_function)),
              current_location => place(info(Pid, current_location)),
              stacktrace => [place(E) || E <- info(Pid, current_stacktrace)],
              status => info(Pid, status),
              priority => info(Pid, priority),
              trap_exit => info(Pid, trap_exit),
              error_handler => info(Pid, error_handler),
              message_queue_len => info(Pid, message_queue_len),
              message_queue_data => info(Pid, message_queue_data),
              messages => [p(M) || M <- info(Pid, messages)],
              reductions => info(Pid, reductions),
              heap_size => info(Pid, heap_size),
              stack_size => info(Pid, stack_size),
              total_heap_size => info(Pid, total_heap_size),
              memory => info(Pid, memory),
              catchlevel => info(Pid, catchlevel),
              group_leader => p(info(Pid, group_leader)),
              suspending => lists:sort([p(P) || {P, _, _} <- info(Pid, suspending)]),
              links => lists:sort([p(L) || L <- info(Pid, links)]),
              monitors => lists:sort([[K, p(V)] || {K, V} <- info(Pid, monitors)]),
              monitored_by => lists:sort([p(M) || M <- info(Pid, monitored_by)]),
              dictionary => lists:sort([[p0(K), p(V)] || {K, V} <- Dict]),
              dictionary_size => length(Dict),
              ancestors => case lists:keyfind('$ancestors', 1, Dict) of
                               {_, A} -> [p0(X) || X <- A];
                               false -> null
                           end,
              binaries => lists:sort([[A, S] || {A, S, _} <- info(Pid, binary)]),
              minor_gcs => proplists:get_value(minor_gcs, Gc),
              fullsweep_after => proplists:get_value(fullsweep_after, Gc),
              garbage_collection => gc(Gc)},
    case catch process_info(Pid, parent) of
        {parent, Parent} -> Facts#{parent => p0(Parent)};
        _ -> Facts
    end.

info(Pid, What) ->
    [{What, Value}] = process_info(Pid, [What]),
    Value.

p0(T) ->
    unicode:characters_to_binary(io_lib:format("~0p", [T])).

%% As ebeam makes names safe to print.
escaped(Atom) ->
    iolist_to_binary([case C < 32 of
                          true -> io_lib:format("\\x~2.16.0B", [C]);
                          false -> unicode:characters_to_binary([C])
                      end || C <- atom_to_list(Atom)]).

gc(Gc) ->
    Max = proplists:get_value(max_heap_size, Gc),
    #{minor_gcs => proplists:get_value(minor_gcs, Gc),
      fullsweep_after => proplists:get_value(fullsweep_after, Gc),
      min_heap_size => proplists:get_value(min_heap_size, Gc),
      min_bin_vheap_size => proplists:get_value(min_bin_vheap_size, Gc),
      max_heap_size => Max}.

%% Binaries, with their reference counts; the copies that facts/1 made of the dictionary are gone.
refs(Name) ->
    erlang:garbage_collect(),
    lists:sort([[A, S, R] || {A, S, R} <- info(whereis(Name), binary)]).

%% M:F/A and values of y registers, as the node's own backtrace has them.
mfas(Name) ->
    info(whereis(Name), backtrace).

%% Words on the heap and on the stack.
heap(Name) ->
    Info = info(whereis(Name), garbage_collection_info),
    Value = fun(K) -> proplists:get_value(K, Info) end,
    #{used => Value(heap_size) + Value(old_heap_size) + Value(mbuf_size),
      stack => Value(stack_size)}.

%% Words in use after a full collection: what was no garbage.
collected(Name) ->
    erlang:garbage_collect(whereis(Name)),
    maps:get(used, heap(Name)).

%% ---- random terms ----

term(Seed) ->
    {T, _} = gen(6, rand:seed_s(exsplus, {Seed, 271, 828})),
    T.

uniform(N, S) -> rand:uniform_s(N, S).

gen(0, S) -> leaf(S);
gen(Depth, S0) ->
    {K, S1} = uniform(12, S0),
    {N, S2} = uniform(8, S1),
    case K of
        1 -> {L, S} = many(N, Depth, S2), {list_to_tuple(L), S};
        2 -> {L, S} = many(N, Depth, S2), {{record, L}, S};
        3 -> many(N, Depth, S2);
        4 -> {L, S} = many(N, Depth, S2), {L ++ improper, S};
        5 -> {L, S} = many(2 * N, Depth, S2), {pairs(L, #{}), S};
        6 -> {L, S} = many(N, Depth, S2), {fun() -> L end, S};
        7 -> {T, S} = gen(Depth - 1, S2), {[{I, T} || I <- lists:seq(1, 3)], S};
        8 -> {maps:from_list([{{k, I}, I * Seed} || Seed <- [N], I <- lists:seq(1, 40)]), S2};
        _ -> leaf(S2)
    end.

pairs([K, V | Rest], Map) -> pairs(Rest, Map#{K => V});
pairs(_, Map) -> Map.

many(0, _, S) -> {[], S};
many(N, Depth, S0) ->
    {T, S1} = gen(Depth - 1, S0),
    {Rest, S} = many(N - 1, Depth, S1),
    {[T | Rest], S}.

leaf(S0) ->
    {K, S1} = uniform(19, S0),
    {N, S} = uniform(1000000, S1),
    {case K of
         1 -> N;
         2 -> -N;
         3 -> N bsl (N rem 200);
         4 -> -(N bsl (70 + N rem 50));
         5 -> N / 7;
         6 -> 1.0e-30 * N;
         7 -> [];
         8 -> list_to_atom("atom " ++ integer_to_list(N rem 100));
         9 -> lists:nth(1 + N rem 6, [ok, 'Up', '\n', '$initial_call', true, 'with\'quote']);
         10 -> [$a + (N * I) rem 26 || I <- lists:seq(1, 1 + N rem 50)];
         11 -> <<N:32, N:7>>;
         12 -> binary:copy(<<"text ", 255>>, N rem 30);
         13 -> binary:part(binary:copy(<<"0123456789">>, 50), N rem 100, 20 + N rem 300);
         14 -> list_to_pid("<0." ++ integer_to_list(1 + N rem 2000) ++ ".0>");
         15 -> make_ref();
         16 -> fun erlang:abs/1;
         17 -> binary_to_term(<<131, 103, 100, 0, 9, "other@far", (N rem 32768):32, 1:32, 2:8>>);
         18 -> "with \"quotes\" and \n lines";
         19 -> hd(erlang:ports())
     end, S}.
