%% SPDX-License-Identifier: GPL-2.0-only
%%
%% What runs in the node that scripts/bench measures.  One command a line comes
%% on stdin, one line of answer goes to stdout; while nothing is asked the node
%% is idle, but for the pairs.  End of input ends it.
%%
%%   alloc N   make N refc binaries of 100 bytes; as many die     -> ok
%%   gc N      N major collections of a small process             -> ok
%%   gcbin N   the same of one that holds 1000 refc binaries      -> ok
%%   mix N     N times 8 refc binaries of 100 bytes and a major collection, which
%%             frees them                                         -> ok
%%   churn N   the same with 100 of them                          -> ok
%%   carrier N the same with 8 of 10 kB: carriers of their own in a node that
%%             runs with +MBsbct 8                                -> ok
%%   pairs N   start N pairs that play ping-pong, for ever        -> ok
%%   crowd N   start N idle processes, 3 refc binaries each       -> ok
%%   setup WHAT N, inside WHAT   see bench_read.erl               -> ok, microseconds
%%   ops       round trips so far                                 -> Ops
-module(bench).
-export([main/0, worker/1, pinger/3, ponger/0, idle/1]).

main() ->
    spawn_opt(fun() ->
                      Port = open_port({fd, 0, 1}, [binary, eof, {line, 256}]),
                      Counters = counters:new(8 * 64, []),
                      port_command(Port, "ready\n"),
                      console(Port, #{counters => Counters})
              end, [{priority, high}, {min_heap_size, 1000000}]),
    ok.

console(Port, State) ->
    receive
        {Port, {data, {eol, Line}}} ->
            [Command | Args] = [binary_to_list(W) || W <- binary:split(Line, <<" ">>, [global])],
            {Answer, New} = command(Command, [number(A) || A <- Args], State),
            port_command(Port, [Answer, $\n]),
            console(Port, New);
        {Port, eof} ->
            erlang:halt(0, [{flush, false}])
    end.

number(Word) ->
    try list_to_integer(Word) catch error:badarg -> Word end.

command("ops", [], #{counters := C} = State) ->
    Ops = lists:sum([counters:get(C, 8 * I) || I <- lists:seq(1, 64)]),
    {integer_to_list(Ops), State};
command("pairs", [N], #{counters := C} = State) ->
    Online = erlang:system_info(schedulers_online),
    [begin
         %% A pair stays on its scheduler: rates differ less from moment to moment.
         Where = [{scheduler, I rem Online + 1}],
         Pong = spawn_opt(?MODULE, ponger, [], Where),
         spawn_opt(?MODULE, pinger, [Pong, C, 8 * I], Where)
     end || I <- lists:seq(1, min(N, 64))],
    {"ok", State};
command("crowd", [N], State) ->
    [begin
         Pid = spawn(?MODULE, idle, [self()]),
         receive {Pid, ready} -> ok end
     end || _ <- lists:seq(1, N)],
    {"ok", State};
command("inside", [What], State) ->
    {integer_to_list(bench_read:inside(What)), State};
command("setup", [What, N], State) ->
    {atom_to_list(bench_read:setup(What, N)), State};
command(Op, [N], State) ->
    {Pid, New} = worker_of(Op, State),
    Pid ! {self(), N},
    receive {Pid, done} -> {"ok", New} end.

worker_of(Op, State) ->
    case State of
        #{Op := Pid} ->
            {Pid, State};
        #{} ->
            Pid = spawn_opt(?MODULE, worker, [Op], worker_options(Op)),
            {Pid, State#{Op => Pid}}
    end.

%% Few collections of its own: nearly all it allocates is what it is told to.
worker_options("alloc") -> [{min_heap_size, 100000}];
worker_options(_) -> [].

%% Binaries that stay keep a carrier in use, which would come and go otherwise.
worker("alloc" = Op) -> loop(Op, binaries(20000));
worker("gcbin" = Op) -> loop(Op, binaries(1000));
worker(Op) -> loop(Op, []).

loop(Op, Held) ->
    receive
        {From, N} ->
            case Op of
                "alloc" -> alloc(N, <<>>);
                "mix" -> batches(N, fun() -> alloc(8, <<>>) end);
                "churn" -> batches(N, fun() -> alloc(100, <<>>) end);
                "carrier" -> batches(N, fun() -> large(8, <<>>) end);
                _ -> collect(N)
            end,
            From ! {self(), done},
            loop(Op, Held)
    end.

binaries(N) -> [<<I:32, 0:768>> || I <- lists:seq(1, N)].

alloc(0, Last) -> byte_size(Last);
alloc(N, _) -> alloc(N - 1, <<N:32, 0:768>>).

large(0, Last) -> byte_size(Last);
large(N, _) -> large(N - 1, <<N:32, 0:80000>>).

batches(0, _) -> ok;
batches(N, Batch) -> Batch(), erlang:garbage_collect(), batches(N - 1, Batch).

collect(0) -> ok;
collect(N) -> erlang:garbage_collect(), collect(N - 1).

%% A round trip: a list there, another one back, and in every eighth a refc binary.
pinger(Pong, Counters, Index) ->
    ping(Pong, Counters, Index, 0).

ping(Pong, Counters, Index, N) ->
    Pong ! {self(), payload(N)},
    receive {Pong, Sum} when is_list(Sum) -> ok end,
    counters:add(Counters, Index, 1),
    ping(Pong, Counters, Index, N + 1).

ponger() ->
    receive
        {Ping, List} -> Ping ! {self(), [{I + 1, X} || {I, X} <- List]}, ponger()
    end.

payload(N) when N rem 8 =:= 0 -> [{N, <<N:64, 0:4096>>} | terms(20, N)];
payload(N) -> terms(20, N).

terms(0, _) -> [];
terms(I, N) -> [{I, N} | terms(I - 1, N)].

idle(Parent) ->
    Held = binaries(3),
    put(idle, Parent),
    Parent ! {self(), ready},
    receive stop -> Held end.
