%% SPDX-License-Identifier: GPL-2.0-only
%%
%% A node with the classic memory troubles, for scripts/demo:
%%
%%   router    passes binaries on and hardly ever collects: the references it
%%             keeps hold tens of megabytes nobody needs any more
%%   grower    a server whose state grows; each full sweep copies all of it
%%   archive   a server whose disk hangs: two thousand processes wait for its answer
%%   churner   bursts of binaries, small ones of which a few stay and keep their
%%             carriers nearly empty, large ones with a carrier for each
%%
%% and, around them, ordinary processes at ordinary work. Everything is bounded:
%% the node stays below about 1 GB and ends by itself.
-module(demo).
-behaviour(gen_server).
-export([main/1]).
-export([router/1, producer/1, consumer/0, churner/0, client/1, session/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(MB, (1024 * 1024)).

%% Says its pid on stdout once the troubles have built up.
main(Seconds) ->
    Consumers = [spawn(?MODULE, consumer, []) || _ <- lists:seq(1, 4)],
    %% A large heap and a high limit for binaries: whoever sets these wants
    %% fewer collections, and gets them.
    Router = spawn_opt(?MODULE, router, [list_to_tuple(Consumers)],
                       [{fullsweep_after, 65535}, {min_heap_size, 1000000},
                        {min_bin_vheap_size, 400 * ?MB div 8}]),
    register(router, Router),
    [Router ! {packet, binary(8192)} || _ <- lists:seq(1, 8000)],
    [spawn(?MODULE, producer, [Router]) || _ <- lists:seq(1, 4)],
    %% Somebody once hoped that this would keep it small.
    {ok, _} = gen_server:start({local, grower}, ?MODULE, grower, [{spawn_opt, [{fullsweep_after, 0}]}]),
    [{ok, _} = gen_server:start({local, Name}, ?MODULE, Name, [])
     || Name <- [cache, sessions, stats, archive]],
    [spawn(?MODULE, session, [N]) || N <- lists:seq(1, 2000)],
    [spawn(?MODULE, client, [N]) || N <- lists:seq(1, 20)],
    %% It collects when it says so, once a round.
    register(churner, spawn_opt(?MODULE, churner, [], [{min_heap_size, 2000000},
                                                       {min_bin_vheap_size, 400 * ?MB div 8}])),
    ok = gen_server:call(grower, ready, 20000),
    {message_queue_len, _} = process_info(Router, message_queue_len),
    io:format("~s~n", [os:getpid()]),
    receive after Seconds * 1000 -> erlang:halt(0, [{flush, false}]) end.

binary(Size) ->
    binary:copy(<<"x">>, Size).

pause(Ms) ->
    receive after Ms -> ok end.

%% ---- binaries that pile up -------------------------------------------------

producer(Router) ->
    %% 100 bytes to 50 KB, mostly small.
    Size = 100 * (1 bsl rand:uniform(9)),
    Router ! {packet, binary(Size)},
    pause(2),
    producer(Router).

%% Touches nothing, keeps nothing; the references stay until it collects.
router(Consumers) ->
    receive
        {packet, Data} ->
            element(1 + erlang:phash2(byte_size(Data), tuple_size(Consumers)), Consumers) ! Data,
            router(Consumers)
    end.

consumer() ->
    receive
        <<_:10/binary, Rest/binary>> -> erlang:crc32(Rest), consumer()
    end.

%% ---- carriers nearly empty -------------------------------------------------

churner() ->
    churn([]).

%% What stayed of the last five bursts pins the carriers they were made in.
churn(Kept) ->
    Few = every(50, burst(10000, [])),
    large(30),
    erlang:garbage_collect(),
    pause(250),
    churn(lists:sublist([Few | Kept], 5)).

large(N) -> [binary(800000) || _ <- lists:seq(1, N)], ok.

burst(0, Made) -> Made;
burst(N, Made) -> burst(N - 1, [binary(300 + N rem 1000) | Made]).

every(N, List) -> every(N, N, List).

every(_, _, []) -> [];
every(N, 1, [H | T]) -> [H | every(N, N, T)];
every(N, I, [_ | T]) -> every(N, I - 1, T).

%% ---- servers ---------------------------------------------------------------

init(grower) ->
    self() ! grow,
    {ok, {grower, 0, history(60000, [])}};
init(cache) ->
    {ok, {cache, ets:new(cache, [named_table, public])}};
init(Name) ->
    {ok, {Name, #{}}}.

%% Some 100 words each.
history(0, List) -> List;
history(N, List) -> history(N - 1, [{entry, N, lists:seq(N, N + 45)} | List]).

handle_call(ready, _, S) ->
    {reply, ok, S};
handle_call({get, Key}, _, {cache, Tab} = S) ->
    case ets:lookup(Tab, Key) of
        [{_, Value}] -> {reply, Value, S};
        [] -> ets:insert(Tab, {Key, lists:seq(1, 20)}), {reply, [], S}
    end;
handle_call({store, _}, _, {archive, _} = S) ->
    receive disk_is_back -> {reply, ok, S} end;
handle_call({login, Who}, _, {sessions, Map}) ->
    Timer = erlang:send_after(500, self(), {logout, Who}),
    {reply, map_size(Map), {sessions, Map#{Who => Timer}}}.

handle_cast({hit, Key}, {stats, Map}) ->
    {noreply, {stats, maps:update_with(Key, fun(C) -> C + 1 end, 1, Map)}}.

%% The history of it all, kept for ever; here cut before it is too much.
handle_info(grow, {grower, N, _}) when N > 8000 ->
    self() ! grow,
    {noreply, {grower, 0, []}};
handle_info(grow, {grower, N, History}) ->
    erlang:send_after(10, self(), grow),
    {noreply, {grower, N + 1, history(100, History)}};
handle_info({logout, Who}, {sessions, Map}) ->
    {noreply, {sessions, maps:remove(Who, Map)}}.

session(N) ->
    gen_server:call(archive, {store, {session, N, erlang:localtime()}}, infinity).

client(N) ->
    Key = rand:uniform(2000),
    gen_server:call(cache, {get, Key}),
    gen_server:call(sessions, {login, {N, Key}}),
    gen_server:cast(stats, {hit, Key rem 100}),
    pause(20 + rand:uniform(20)),
    client(N).
