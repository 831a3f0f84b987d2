%% SPDX-License-Identifier: GPL-2.0-only
%%
%% What the recorded nodes of tests/fixtures run: see scripts/record-fixture.
%%
%% setup() makes processes that hold refc binaries, names and dictionaries in every way there is;
%% they then wait for ever.  answers(File) writes what the node says of all its processes, as
%% nested lists of integers, which is JSON.  Both are called with short lines: the console then
%% receives no refc binary itself, and its own answer stays the same.
-module(record).
-export([setup/0, answers/1, hold/1, waits/0, init/1, handle_call/3, handle_cast/2]).

setup() ->
    %% Pids print a second number from the 32768th process on (until OTP 25).
    [begin
         {P, R} = spawn_monitor(fun() -> ok end),
         receive {'DOWN', R, process, P, _} -> ok end
     end || _ <- lists:seq(1, 33000)],
    Shared = binary:copy(<<"shared">>, 5000),
    Holders =
        [start(copies, fun() -> copies(60, 100) end),
         start(many, fun() -> copies(777, 80) end),
         start(sizes, fun() -> [binary:copy(<<"s">>, 1 bsl N) || N <- lists:seq(6, 20)] end),
         start(shared_1, fun() -> [Shared, Shared] end),
         start(shared_2, fun() -> [binary:part(Shared, N, 100) || N <- lists:seq(0, 30)] end),
         start(parts, fun() ->
                              Big = binary:copy(<<"p">>, 100000),
                              [Big | [binary:part(Big, N, 70) || N <- lists:seq(1, 300)]]
                      end),
         start(appended, fun() -> append(<<>>, 1000) end),
         start(appended_many, fun() -> [append(<<0:800>>, N) || N <- lists:seq(300, 330)] end),
         start(bits, fun() -> [<<N:32, 0:4000>> || N <- lists:seq(1, 40)] end),
         start(old, fun() -> old() end),
         start(others, fun() -> others(Shared) end),
         start(empty, fun() -> [] end)],
    Receiver = spawn_opt(?MODULE, waits, [], [{message_queue_data, off_heap}]),
    register(receiver, Receiver),
    Receiver ! {self(), {keep, Shared, copies(25, 3000) ++ copies(9, 64)}},
    receive {Receiver, kept} -> ok end,
    %% Unread messages are not on the off-heap list; nor are binaries of up to 64 bytes.
    Receiver ! {unread, copies(3, 1000)},
    {ok, Server} = gen_server:start({local, 'a server'}, ?MODULE, [], []),
    Lib = proc_lib:spawn(?MODULE, hold, [fun() -> dictionary() end]),
    Fun = proc_lib:spawn(fun() -> hold(fun() -> copies(2, 5000) end) end),
    Names = [[16#e9, $t, 16#e9], [16#436, 16#434, 16#430], [16#65e5, 16#672c],
             "tab\tnewline\n", "esc\e[31mred\e[0m", [0], [$c, 16#85, $d], [16#202e, $r, $l, $o],
             lists:duplicate(255, 16#1f600), lists:duplicate(255, $x), [127], "", "\"q'\\uote"],
    [begin
         P = spawn(?MODULE, hold, [fun() -> [] end]),
         register(list_to_atom(Name), P)
     end || Name <- Names],
    erlang:garbage_collect(Server),
    %% Their loops are all in a receive: nothing moves from here on.
    [quiet(P) || P <- [Server, Lib, Fun, Receiver | Holders]],
    %% What the console's compiler left behind would make up most of a recording.
    true = erlang:garbage_collect(),
    ok.

quiet(P) ->
    case process_info(P, [status, message_queue_len]) of
        [{status, waiting}, _] -> ok;
        _ -> erlang:yield(), quiet(P)
    end.

start(Name, Make) ->
    P = spawn(?MODULE, hold, [Make]),
    register(Name, P),
    P.

%% Holds for ever what Make makes.
hold(Make) ->
    held(Make()).

held(State) ->
    receive {never, From} -> From ! State, held(State) end.

waits() ->
    receive
        {From, {keep, A, B}} -> From ! {self(), kept}, held({A, B})
    end.

init([]) -> {ok, copies(5, 2000)}.
handle_call(_, _, S) -> {reply, ok, S}.
handle_cast(_, S) -> {noreply, S}.

copies(N, Size) ->
    One = binary:copy(<<"c">>, Size),
    [binary:copy(One) || _ <- lists:seq(1, N)].

append(Bin, 0) -> Bin;
append(Bin, N) -> append(<<Bin/binary, N:32>>, N - 1).

%% Some on the old heap, some on the young one.
old() ->
    A = copies(20, 150),
    erlang:garbage_collect(self(), [{type, minor}]),
    erlang:garbage_collect(self(), [{type, minor}]),
    erlang:garbage_collect(self(), [{type, minor}]),
    {A, copies(11, 90)}.

%% Off-heap nodes that are no binaries: pids of another node, funs, magic references.
others(Shared) ->
    Pid = binary_to_term(<<131, 103, 100, 0, 3, "a@b", 0, 0, 0, 77, 0, 0, 0, 0, 1>>),
    Tables = [ets:new(t, []) || _ <- lists:seq(1, 3)],
    Funs = [fun() -> {N, Pid, Shared} end || N <- lists:seq(1, 4)],
    {Pid, Tables, Funs, copies(3, 66), binary:copy(Shared)}.

dictionary() ->
    [put({key, N}, binary:copy(<<"v">>, 100)) || N <- lists:seq(1, 40)],
    [put(N, N) || N <- lists:seq(1, 20)],
    [].

%% ---- what the node says ------------------------------------------------------------------------

answers(File) ->
    {P, R} = spawn_monitor(fun() -> write(File) end),
    receive {'DOWN', R, process, P, normal} -> gone(P) end.

%% The slot of the process table is given back after the monitors were told.
gone(P) ->
    case lists:member(P, processes()) of
        true -> erlang:yield(), gone(P);
        false -> ok
    end.

write(File) ->
    Pids = processes() -- [self()],
    Head = [length(Pids), erlang:system_info(schedulers),
            erlang:system_info(dirty_cpu_schedulers), erlang:system_info(dirty_io_schedulers),
            erlang:system_info(otp_release), erlang:system_info(version), chars(node())],
    %% raw: else the file server would come to hold the text
    ok = file:write_file(File, io_lib:format("~w", [[Head | [process(P) || P <- Pids]]]), [raw]).

%% Pid, registered names (0 or 1), initial call, references, bytes.
process(P) ->
    {binary, Bins} = process_info(P, binary),
    {M, F, A} = initial_call(P),
    Sizes = [Size || {_, Size, _} <- Bins],
    [pid_to_list(P), registered(P), [chars(M), chars(F), A], length(Bins), lists:sum(Sizes)].

registered(P) ->
    case process_info(P, registered_name) of
        {registered_name, Name} -> [chars(Name)];
        [] -> []
    end.

initial_call(P) ->
    {dictionary, D} = process_info(P, dictionary),
    case lists:keyfind('$initial_call', 1, D) of
        {_, {M, F, A}} -> {M, F, A};
        false -> element(2, process_info(P, initial_call))
    end.

chars(Atom) -> atom_to_list(Atom).
