%% SPDX-License-Identifier: GPL-2.0-only
%%
%% What comes and goes while the node is read: processes, their names, and tables.
%%
%% Mayflies live for a few milliseconds; a log in an ETS table has all that ever were, by pid, written
%% by the one who spawned them.  Elders live all the time, each with a registered name of its own.
-module(mayflies).
-export([start/2, stop/1, elders/1, retire/1, log/1, born/1, churn_names/1, churn_tables/1]).
-export([elder/0, fly/1, breed/3, names/1, tables/1]).

%% Rate: how many are born a second, each to live for about Ms.
start(Rate, Ms) ->
    Log = ets:new(mayflies, [public, {write_concurrency, true}]),
    Breeder = spawn_opt(?MODULE, breed, [Log, Rate, Ms], [{priority, high}]),
    true = ets:give_away(Log, Breeder, log),
    {Breeder, Log}.

stop({Breeder, _}) -> end_of(Breeder).

end_of(Pid) ->
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, process, _, _} -> ok end.

%% All there ever were, as they are printed.
log({_, Log}) -> [list_to_binary(pid_to_list(Pid)) || {Pid} <- ets:tab2list(Log)].

born({_, Log}) -> ets:info(Log, size).

%% A tick is 5 ms: as many as are due by now, and none while those before could not yet die.
breed(Log, Rate, Ms) -> breed(Log, Rate, Ms, erlang:monotonic_time(millisecond), 0).

breed(Log, Rate, Ms, Begin, Done) ->
    Due = (erlang:monotonic_time(millisecond) - Begin) * Rate div 1000,
    case erlang:system_info(process_count) < Rate * Ms div 100 of
        true -> brood(Log, Ms, max(0, min(Due - Done, Rate div 20)));
        false -> ok
    end,
    receive after 5 -> ok end,
    breed(Log, Rate, Ms, Begin, max(Due, Done)).

brood(_, _, 0) -> ok;
brood(Log, Ms, N) ->
    Pid = spawn(?MODULE, fly, [Ms]),
    ets:insert(Log, {Pid}),
    brood(Log, Ms, N - 1).

fly(Ms) ->
    L = lists:seq(1, 100),
    receive after rand:uniform(2 * Ms) -> length(L) end.

%% N that live on, registered as elder_1 and so on: {Name, Pid} of each.
elders(N) ->
    [begin
         Pid = spawn(?MODULE, elder, []),
         Name = list_to_atom("elder_" ++ integer_to_list(I)),
         true = register(Name, Pid),
         {Name, list_to_binary(pid_to_list(Pid))}
     end || I <- lists:seq(1, N)].

elder() -> receive stop -> ok after rand:uniform(20) -> elder() end.

retire(Elders) -> [end_of(whereis(Name)) || {Name, _} <- Elders], ok.

%% A process that takes one name after the other, as long as it is left alone.
churn_names(N) -> [spawn(?MODULE, names, [I]) || I <- lists:seq(1, N)].

names(I) ->
    Name = list_to_atom("fleeting_" ++ integer_to_list(I)),
    Pid = spawn(fun() -> receive stop -> ok end end),
    true = register(Name, Pid),
    receive after rand:uniform(3) -> ok end,
    unregister(Name),
    exit(Pid, kill),
    names(I).

%% Tables of all kinds, made, filled and deleted.
churn_tables(N) -> [spawn(?MODULE, tables, [I]) || I <- lists:seq(1, N)].

tables(I) ->
    Tab = ets:new(fleeting, lists:nth(1 + rand:uniform(1000) rem 4,
                                      [[set], [ordered_set], [bag, {write_concurrency, true}],
                                       [ordered_set, public, {write_concurrency, true}]])),
    [ets:insert(Tab, {N, lists:seq(1, 20), <<N:4000>>}) || N <- lists:seq(1, 50)],
    receive after rand:uniform(3) -> ok end,
    ets:delete(Tab),
    tables(I).
