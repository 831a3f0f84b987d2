%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Ports of many kinds for tests/live/34-port.t, and what the node says of each.
-module(ports).
-export([make/0, drop/1, call/2, all/0, churn/1, churner/0]).

%% A process that has one port of each kind, and others that have to do with them.
make() ->
    start(fun() ->
                  Echo = open_port({spawn, "/bin/sh -c 'while read l; do echo answer $l; done'"},
                                   [binary, {line, 1000}, eof]),
                  [echo(Echo, I) || I <- lists:seq(1, 50)],
                  register('named \e[31m \x{3a9}', Echo),
                  %% reads nothing: what is written waits in the driver
                  Stopped = open_port({spawn_executable, "/bin/sh"},
                                      [{args, ["-c", "kill -STOP $$; read x"]}, stream]),
                  port_command(Stopped, lists:duplicate(300000, $x)),
                  Stream = open_port({spawn, "/bin/sh -c 'read l; read m'"}, [stream]),
                  true = erlang:port_set_data(Stream, {some, [data, <<1, 2, 3>>], 7}),
                  {ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
                  {ok, No} = inet:port(Listen),
                  {ok, Out} = gen_tcp:connect({127, 0, 0, 1}, No,
                                              [binary, {sndbuf, 4096}, {high_watermark, 1 bsl 24}]),
                  {ok, In} = gen_tcp:accept(Listen),
                  ok = gen_tcp:send(In, binary:copy(<<"y">>, 12345)),
                  {ok, _} = take(Out, 12345),
                  [ok = gen_tcp:send(Out, binary:copy(<<"z">>, 100000)) || _ <- lists:seq(1, 80)],
                  {ok, Udp} = gen_udp:open(0, [{ip, {127, 0, 0, 1}}]),
                  {ok, UdpNo} = inet:port(Udp),
                  ok = gen_udp:send(Udp, {127, 0, 0, 1}, UdpNo, "to itself"),
                  receive {udp, Udp, _, _, _} -> ok end,
                  Self = self(),
                  Linked = [spawn(fun() -> link(Echo), Self ! linked, receive stop -> ok end end)
                            || _ <- lists:seq(1, 5)],
                  [receive linked -> ok end || _ <- Linked],
                  [spawn(fun() -> monitor(port, Out), Self ! seen, receive stop -> ok end end)
                   || _ <- lists:seq(1, 7)],
                  [receive seen -> ok end || _ <- lists:seq(1, 7)],
                  [Echo, Stopped, Stream, Listen, Out, In, Udp, Linked]
          end).

echo(Port, I) ->
    port_command(Port, [integer_to_list(I), "\n"]),
    receive {Port, {data, {eol, _}}} -> ok end.

take(Socket, N) -> take(Socket, N, 0).

take(_, N, N) -> {ok, N};
take(Socket, N, Got) ->
    receive {tcp, Socket, Data} -> take(Socket, N, Got + byte_size(Data)) end.

start(Fun) ->
    Self = self(),
    Pid = spawn(fun() -> register(ports_owner, self()), Ps = Fun(), Self ! {self(), done}, keep(Ps) end),
    receive {Pid, done} -> Pid after 60000 -> exit(too_long) end.

keep(Ps) ->
    receive
        {From, {call, Fun}} -> From ! {self(), {result, Fun(Ps)}}, keep(Ps);
        stop -> ok;
        _ -> keep(Ps)
    end.

call(Pid, Fun) ->
    Pid ! {self(), {call, Fun}},
    receive {Pid, {result, Result}} -> Result end.

drop(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! stop,
    receive {'DOWN', Ref, process, _, _} -> ok end.

%% Ports that come and go until the processes are killed.
churn(N) ->
    [spawn(?MODULE, churner, []) || _ <- lists:seq(1, N)].

churner() ->
    Sockets = [element(2, gen_udp:open(0, [])) || _ <- lists:seq(1, 5)],
    [gen_udp:close(S) || S <- Sockets],
    churner().

%% What the node says of all ports.
all() ->
    [{list_to_binary(erlang:port_to_list(P)), info(P)} || P <- erlang:ports()].

info(P) ->
    Keys = [name, connected, os_pid, input, output, queue_size],
    Lists = [links, monitors, monitored_by],
    M = maps:from_list([erlang:port_info(P, K) || K <- Keys] ++
                           [{K, length(element(2, erlang:port_info(P, K)))} || K <- Lists]),
    M#{name => list_to_binary(maps:get(name, M)),
       os_pid => case maps:get(os_pid, M) of undefined -> null; OsPid -> OsPid end,
       registered_name => case erlang:port_info(P, registered_name) of
                              {_, Name} -> Name;
                              [] -> null
                          end,
       connected_name => case process_info(maps:get(connected, M), registered_name) of
                             {_, Owner} -> Owner;
                             [] -> unregistered
                         end}.
