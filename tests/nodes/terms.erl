%% SPDX-License-Identifier: GPL-2.0-only
%%
%% Terms for 24-terms.t: one of every kind, and random ones by seed. A process holds them in its
%% dictionary, by number; it writes down what its own io_lib makes of them, and then stands still.
-module(terms).
-export([hold/3, hold_cases/3, random_terms/3, release/1, deep/2, shapes/1, count/1]).

%% The process Name holds the terms, and File what they are as text; the number of them.
hold_cases(Name, File, Dir) ->
    hold(Name, File, fun() -> cases(Dir) end).

random_terms(Name, File, {Seed, N}) ->
    hold(Name, File, fun() ->
                             rand:seed(exsplus, {Seed, 17, 4711}),
                             [random(1 + rand:uniform(60)) || _ <- lists:seq(1, N)]
                     end).

hold(Name, File, Make) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() -> holder(Self, Name, File, Make) end),
    receive
        {Pid, N} -> erlang:demonitor(Ref, [flush]), N;
        {'DOWN', Ref, process, Pid, Why} -> exit(Why)
    end.

release(Name) ->
    Ref = monitor(process, Name),
    exit(whereis(Name), kill),
    receive {'DOWN', Ref, process, _, _} -> ok end.

count(Name) ->
    {dictionary, D} = process_info(whereis(Name), dictionary),
    length(D).

holder(Parent, Name, File, Make) ->
    register(Name, self()),
    N = lists:foldl(fun(T, I) -> put(I, T), I + 1 end, 0, Make()),
    {ok, F} = file:open(File, [write, raw, delayed_write]),
    [ok = file:write(F, answers(I, get(I))) || I <- lists:seq(0, N - 1)],
    ok = file:close(F),
    erlang:garbage_collect(),
    Parent ! {self(), N},
    idle().

idle() ->
    receive _ -> idle() end.

answers(I, T) ->
    [part(I, "p", fun() -> io_lib:format("~p", [T]) end),
     part(I, "0p", fun() -> io_lib:format("~0p", [T]) end),
     part(I, "P6", fun() -> io_lib:format("~P", [T, 6]) end),
     part(I, "P13", fun() -> io_lib:format("~P", [T, 13]) end),
     part(I, "size", fun() -> integer_to_list(erts_debug:flat_size(T)) end)].

%% What the node itself cannot print is not asked of others.
part(I, What, Make) ->
    try unicode:characters_to_binary(lists:flatten(Make())) of
        Text when is_binary(Text) ->
            [io_lib:format("~b ~s ~b~n", [I, What, byte_size(Text)]), Text, $\n]
    catch
        _:_ -> []
    end.

%% ---- a large one ------------------------------------------------------------

%% A term nested Depth deep.
deep(Name, Depth) ->
    Self = self(),
    spawn(fun() ->
                  register(Name, self()),
                  put(0, nest(Depth, [])),
                  put(1, nest_tuple(Depth, {})),
                  put(2, lists:seq(1, Depth)),
                  put(3, lists:duplicate(Depth, $a)),
                  put(4, share(60, x)),
                  put(5, binary:copy(<<"x">>, Depth * 4)),
                  put(6, binary:copy(<<1>>, Depth * 4)),
                  put(7, list_to_tuple(lists:seq(1, Depth))),
                  erlang:garbage_collect(),
                  Self ! {Name, ready},
                  idle()
          end),
    receive {Name, ready} -> ok end.

nest(0, T) -> T;
nest(N, T) -> nest(N - 1, [T]).

nest_tuple(0, T) -> T;
nest_tuple(N, T) -> nest_tuple(N - 1, {a, T}).

%% 2^N leaves, in N words.
share(0, T) -> T;
share(N, T) -> share(N - 1, {T, T}).

%% ---- shapes -----------------------------------------------------------------

shapes(Name) ->
    Shapes = [{{'$gen_call', {self(), make_ref()}, {log, 3, "x"}}, "{'$gen_call',{_,_},{log,_,_}}"},
              {{'$gen_call', {self(), [alias | make_ref()]}, {get, {a, 1}}},
               "{'$gen_call',{_,_},{get,{a,_}}}"},
              {{a, {b, {c, {d, {e, 1}}}}}, "{a,{b,{c,_}}}"},
              {[1, 2], "[...]"}, {[], "[]"}, {<<1>>, "<<...>>"}, {17, "_"}, {'A b', "'A b'"},
              {#{a => 1}, "#{a => _}"}, {{#{a => 1}, [], <<>>, true}, "{_,_,_,true}"}, {{}, "{}"},
              {maps:from_list([{I, I} || I <- lists:seq(1, 40)]), "#{...}"}],
    Self = self(),
    spawn(fun() ->
                  register(Name, self()),
                  lists:foldl(fun({T, _}, I) -> put(I, T), I + 1 end, 0, Shapes),
                  Self ! {Name, ready},
                  idle()
          end),
    receive {Name, ready} -> ok end,
    [list_to_binary(S) || {_, S} <- Shapes].

%% ---- every kind ---------------------------------------------------------------

cases(Dir) ->
    atoms() ++ numbers() ++ floats() ++ strings() ++ binaries() ++ identifiers(Dir) ++ funs() ++
        maps() ++ composed() ++ records() ++ layouts().

atoms() ->
    Names = ["", "a", "aB_@1", "A", "1a", "a b", "a'b", "a\\b", "a\nb", [0, 1, 31, 127], [128, 159],
             [160], [223, 224, 247, 255], [$a, 215], [$a, 192], [256], [$a, 1234],
             [1234, $b, 40000],
             [$a, 16#1F600], "_a", "@", "a-b", "a.b", "true", "ok", "[]", "{}", "nonode@nohost"]
        ++ ["after", "begin", "case", "try", "cond", "catch", "andalso", "orelse", "end", "fun",
            "if", "let", "of", "receive", "when", "bnot", "not", "div", "rem", "band", "and", "bor",
            "bxor", "bsl", "bsr", "or", "xor", "maybe", "else", "query", "record"]
        ++ [lists:duplicate(255, $x), lists:duplicate(255, 1234), "\t\v\b\f\r\e\d\"'"],
    Atoms = [list_to_atom(S) || S <- Names],
    Atoms ++ [Atoms, list_to_tuple(Atoms)] ++ [{A, x} || A <- Atoms].

numbers() ->
    Edges = [0, 1, 9, 10, 255, 1 bsl 27, 1 bsl 31, 1 bsl 32, 1 bsl 59, (1 bsl 59) - 1, 1 bsl 60,
             1 bsl 63, (1 bsl 64) - 1, 1 bsl 64, (1 bsl 64) + 1, 1 bsl 128, 1 bsl 1000,
             10000000000000000000, 9999999999999999999, 100000000000000000000000000000000000000],
    Edges ++ [-N || N <- Edges] ++ [N - 1 || N <- Edges] ++ [-N - 1 || N <- Edges]
        ++ [fact(500), -fact(400), [1 bsl 70, fact(60)], {fact(30), -fact(31)}].

fact(0) -> 1;
fact(N) -> N * fact(N - 1).

floats() ->
    Powers = [math:pow(2, E) || E <- lists:seq(-1022, 1023, 31)],
    Tens = [list_to_float("1.0e" ++ integer_to_list(E)) || E <- lists:seq(-307, 308, 3)],
    Small = [from_bits(B) || B <- [1, 2, 3, 5, 10, 100, 16#fffffffffffff, 16#10000000000000,
                                   16#0008000000000000, 16#7fefffffffffffff, 16#3ff0000000000000,
                                   16#3ff0000000000001, 16#4340000000000000, 16#433fffffffffffff,
                                   16#4340000000000001, 16#4350000000000000, 16#8000000000000001]],
    Some = [0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 3.14, 100.0, 1000.0, 12345.0,
            123456.0, 1234567.0, 1.0e5, 1.0e6, 1.2e6, 1.23e10, 1.0e15, 1.0e16, 1.0e17, 1.0e21,
            1.0e22, 1.0e23, 123456789012345.0, 1234567890123456.0, 12345678901234567.0, 0.001,
            0.0001, 0.00001, 0.00012, 0.000123, 1.5e-5, 1.25e-7, 5.0e-324, 2.2250738585072014e-308,
            1.7976931348623157e308, 9007199254740992.0, 9007199254740993.0, 9007199254740994.0,
            4503599627370496.5, 5.684341886080802e-14, 8.41e21, 9.5367431640625e-7, 2.0e-3,
            90071992547409910.0, 900719925474099100.0, 1801439850948198.0, 3602879701896397.0,
            18014398509481984.0, 10.5, 99.95, 1.0e100, 1.0e-100, 1.1e100, 12.0e-10],
    All = Powers ++ [-P || P <- Powers] ++ Tens ++ [3 * P || P <- Powers, P < 1.0e300]
        ++ [T * 7 || T <- Tens, T < 1.0e300] ++ Small ++ Some ++ [-F || F <- Some],
    All ++ [All].

from_bits(B) ->
    <<F/float>> = <<B:64>>,
    F.

strings() ->
    ["", "a", "hello world", "with \"quotes\" and \\", "\t\n\v\b\f\r\e tail", [127], "abc\d",
     lists:seq(32, 126), lists:seq(160, 255), lists:seq(128, 170), [7], [$a, 256], [$a, 1234],
     [8, 9, 10, 11, 12, 13, 27], [14], [-1], [$a | b], [$a, $b | $c], "it's", ["abc", "def"],
     lists:duplicate(100, $x), lists:duplicate(75, $x), [lists:duplicate(78, $x)],
     {"abc", [1, 2, 3]}, [$a, b], [$a, 1.0], [$a, [$b]], ["a" | "b"], [[]], [[], []]].

binaries() ->
    Big = list_to_binary([I rem 256 || I <- lists:seq(1, 300)]),
    Text = binary:copy(<<"abc ">>, 40),
    <<_:3, Odd/bits>> = Big,
    <<_:10/binary, Part:100/binary, _/binary>> = Big,
    <<_:10/binary, TextPart:81/binary, _/binary>> = Text,
    <<_:13, Odd2:77/bits, _/bits>> = Text,
    <<_:8, AtByte:800/bits, _/bits>> = Big,
    <<_:7, SevenOff:65/binary, _/bits>> = Big,
    <<HeapOdd:11/bits, _/bits>> = <<1, 2, 3>>,
    Appended = lists:foldl(fun(I, B) -> <<B/binary, I>> end, <<>>, lists:seq(1, 100)),
    AppendedText = lists:foldl(fun(_, B) -> <<B/binary, "text">> end, <<>>, lists:seq(1, 100)),
    [<<>>, <<1>>, <<"a">>, <<"hello">>, <<"quo\"te\\\n">>, <<0>>, <<255>>, <<160, 161>>, <<127>>,
     <<"abc", 127>>, <<1:1>>, <<0:7>>, <<5:3>>, <<1, 2:2>>, <<"ab", 1:4>>, <<16#ffff:15>>,
     list_to_binary(lists:duplicate(64, 65)), list_to_binary(lists:duplicate(65, 65)),
     list_to_binary(lists:duplicate(64, 1)), list_to_binary(lists:duplicate(65, 1)),
     Big, Text, Odd, Part, TextPart, Odd2, AtByte, SevenOff, HeapOdd, Appended, AppendedText,
     binary:part(Big, 5, 5), binary:part(Big, 100, 200), binary:part(Text, 0, 0),
     unicode:characters_to_binary([1234, 1235]), unicode:characters_to_binary([228, 246, 252]),
     element(1, split_binary(Big, 20)), element(2, split_binary(Big, 20)),
     {Big, Part}, [Odd, Odd2], #{Part => Text}, {tag, Big, Text}, [<<1>>, <<"x">>],
     <<Big/binary, 1:1>>, <<Text/binary, 2:7>>, term_to_binary(Big)].

identifiers(Dir) ->
    Port = hd(erlang:ports()),
    Tab = ets:new(tab, [public]),
    Own = [self(), whereis(init), Port, make_ref(), Tab, Dir],
    Magic = case erlang:function_exported(atomics, new, 2) of
                true -> [atomics:new(3, []), counters:new(2, [write_concurrency])];
                false -> []
            end,
    put(keep, {Tab, Magic}),
    Alias = case erlang:function_exported(erlang, alias, 1) of
                true -> [apply(erlang, alias, []), apply(erlang, alias, [[reply]])];
                false -> []
            end,
    Own ++ Magic ++ Alias ++ external(<<"other@host">>) ++ external(<<"second@far.away">>)
        ++ external(atom_to_binary(node(), latin1))
        ++ [list_to_pid("<0.32767.3>"), [self(), make_ref()], {pid, self(), Port}]
        ++ [erlang:make_ref() || _ <- lists:seq(1, 5)].

external(Node) ->
    N = <<100, (byte_size(Node)):16, Node/binary>>,
    [binary_to_term(<<131, T/binary>>)
     || T <- [<<103, N/binary, 38:32, 0:32, 1>>, <<103, N/binary, 32767:32, 8191:32, 2>>,
              <<102, N/binary, 5:32, 1>>, <<102, N/binary, 16#fffffff:32, 3>>,
              <<114, 3:16, N/binary, 1, 17:32, 18:32, 19:32>>,
              <<114, 1:16, N/binary, 1, 100:32>>,
              <<90, 3:16, N/binary, 77:32, 1:32, 2:32, 16#ffffffff:32>>,
              <<88, N/binary, 40:32, 7:32, 4711:32>>, <<89, N/binary, 41:32, 4712:32>>]]
        ++ external_64(N, list_to_integer(erlang:system_info(otp_release))).

%% Wider ones came with OTP 24.
external_64(_, Otp) when Otp < 24 ->
    [];
external_64(N, _) ->
    [binary_to_term(<<131, T/binary>>)
     || T <- [<<88, N/binary, 16#fffffff:32, 16#ffffffff:32, 9:32>>,
              <<120, N/binary, 16#123456789abcdef:64, 9:32>>,
              <<90, 5:16, N/binary, 77:32, 1:32, 2:32, 3:32, 4:32, 5:32>>]].

funs() ->
    X = self(),
    Y = {a, "list"},
    Unknown = binary:replace(term_to_binary(fun() -> X end), <<"terms">>, <<"gonex">>, [global]),
    {value, Evaluated, _} = eval("fun(A) -> A + 1 end."),
    [fun() -> ok end, fun() -> X end, fun(A) -> {A, X, Y} end, fun(A, B) -> {A, B, Y} end,
     fun lists:map/2, fun erlang:'end'/0, fun 'a@b':'C d'/3, fun 'Mod':'f\'g'/255,
     fun ?MODULE:count/1, fun external/1, fun erlang:'+'/2, fun a:b_1/2, fun '':''/0, Evaluated, binary_to_term(Unknown),
     [fun lists:map/2, fun() -> Y end], {f, fun() -> [X, Y] end}, #{f => fun erlang:self/0}].

eval(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    erl_eval:exprs(Exprs, erl_eval:new_bindings()).

maps() ->
    Mixed = [{1, a}, {a, 1}, {1.5, "f"}, {"s", <<"b">>}, {{t, 1}, [l]}, {#{}, #{a => b}}, {[], {}},
             {self(), fun lists:map/2}, {<<"key">>, value}],
    Hash = [maps:from_list([{key(K, I), I} || I <- lists:seq(1, N)])
            || K <- [int, atom, tuple, bin, string], N <- [31, 32, 33, 34, 64, 100, 1000]],
    [#{}, #{a => 1}, #{1 => #{2 => #{3 => 4}}}, maps:from_list(Mixed),
     maps:from_list(Mixed ++ [{I, I} || I <- lists:seq(1, 40)]),
     #{zz => 1, aa => 2, 'M' => 3, mm => 4}, #{"a" => #{b => [1, 2, 3]}, c => "def"},
     maps:from_list([{I, maps:from_list([{J, "text"} || J <- lists:seq(1, I)])}
                     || I <- lists:seq(1, 40)])] ++ Hash.

key(int, I) -> I * 7919;
key(atom, I) -> list_to_atom("key_" ++ integer_to_list(I));
key(tuple, I) -> {I, key, float(I)};
key(bin, I) -> integer_to_binary(I);
key(string, I) -> integer_to_list(I).

composed() ->
    [[], {}, [a], {a}, {a, b}, {1, 2}, [1 | 2], [a, b | c], [[1, [2, [3 | 4]]]], {{{{}}}},
     [{a, 1}, {b, 2}], {error, {badmatch, {a, [1, 2]}}}, [{}], {[]}, lists:seq(1, 100),
     list_to_tuple(lists:seq(1, 100)), [lists:seq(1, 30), lists:seq(1, 3)],
     nest(50, x), nest_tuple(50, x), nest(200, x), nest_tuple(200, x),
     {lit, [some, literal, {of_the, "module"}, <<"bin">>, #{k => v}]},
     [{list_to_atom("atom_" ++ integer_to_list(I)), I, "text"} || I <- lists:seq(1, 20)]].

%% OTP 29; they can be made without their definition.
records() ->
    [moved_a, moved_b, moved_c, moved_d, moved_e],      % atoms in this order
    case erlang:function_exported(records, create, 4) orelse code:which(records) =/= non_existing of
        false -> [];
        true ->
            R = fun(M, N, F) -> apply(records, create, [M, N, F, #{is_exported => true}]) end,
            Small = R(mod, name, [{a, 1}, {b, "two"}]),
            [R(m, n, []), Small, R('M x', 'end', [{'A', 1}, {b_long_field_name, Small}]),
             R(mod, wide, [{list_to_atom("field_" ++ integer_to_list(I)), lists:seq(I, I + 20)}
                           || I <- lists:seq(1, 12)]),
             R(mod, zyx, [{z, 1}, {y, 2}, {x, #{k => Small}}]),
             R(mod, moved, [{C, C} || C <- [moved_c, moved_e, moved_a, moved_b, moved_d]]),
             {tag, Small, [Small, Small]}, #{Small => Small},
             R(a_module_with_a_long_name, and_a_record_with_a_long_name_as_well,
               [{the_field, lists:duplicate(30, abcdef)}, {another_field, <<1:500>>}])]
    end.

%% What the layout is about: tags of all lengths at all depths, texts that just fit or do not.
layouts() ->
    [[{lists:foldl(fun(_, T) -> {list_to_atom(lists:duplicate(L, $t)), T} end,
                   lists:duplicate(W, abc), lists:seq(1, D))}]
     || L <- [1, 2, 3, 5, 12, 30], D <- [1, 3, 8], W <- [3, 12, 30]]
        ++ [{tag, lists:duplicate(N, $x), [lists:duplicate(N, $y), b]} || N <- lists:seq(60, 82, 2)]
        ++ [[lists:duplicate(N, 7) | tail] || N <- lists:seq(30, 42)]
        ++ [lists:duplicate(N, 17) ++ {improper, lists:duplicate(N, 5)} || N <- lists:seq(8, 30, 3)]
        ++ [#{key => lists:duplicate(N, 65), lists:duplicate(N, 1) => {a, lists:duplicate(N, b)}}
            || N <- lists:seq(5, 45, 5)]
        ++ [<<0:(8 * N)>> || N <- lists:seq(30, 44)]
        ++ [{bin, [<<0:(8 * N), 1:3>>]} || N <- lists:seq(30, 44)]
        ++ [{'123456', {'12345', {'1234', {'123', <<1:(8 * N)>>}}}} || N <- [10, 30, 50]].

%% ---- random ---------------------------------------------------------------------

random(Size) when Size =< 1 ->
    leaf(rand:uniform(22));
random(Size) ->
    case rand:uniform(12) of
        N when N =< 3 -> parts(Size, fun(L) -> L end);
        N when N =< 5 -> parts(Size, fun list_to_tuple/1);
        N when N =< 7 -> parts(Size, fun(L) -> list_to_tuple([atom() | L]) end);
        8 -> parts(Size, fun pairs/1);
        9 -> parts(Size, fun([_] = L) -> L; ([H | T]) -> improper(H, T); ([]) -> [] end);
        10 -> maps:from_list([{leaf(rand:uniform(22)), I}
                              || I <- lists:seq(1, 20 + rand:uniform(30))]);
        11 -> X = random(Size div 2), fun() -> X end;
        12 -> leaf(rand:uniform(22))
    end.

parts(Size, Make) ->
    N = rand:uniform(min(Size, 9)),
    Make([random(rand:uniform(Size) div N * 2) || _ <- lists:seq(1, N)]).

pairs(L) ->
    maps:from_list([{random(rand:uniform(3)), V} || V <- L]).

improper(H, T) ->
    [H | improper_tail(T)].

improper_tail([X]) -> X;
improper_tail([H | T]) -> [H | improper_tail(T)].

atom() ->
    list_to_atom(lists:nth(rand:uniform(10), ["a", "ok", "error", "'$gen_call'", "A", "a b", "end",
                                              "a_rather_long_atom_it_is", "x@y", [1234]])).

leaf(1) -> atom();
leaf(2) -> rand:uniform(256) - 1;
leaf(3) -> rand:uniform(1 bsl 40) - (1 bsl 39);
leaf(4) -> rand:uniform(1 bsl 62) * rand:uniform(1 bsl 62) * (rand:uniform(3) - 2);
leaf(5) -> random_float();
leaf(6) -> rand:uniform() * 1000;
leaf(7) -> [31 + rand:uniform(95) || _ <- lists:seq(1, rand:uniform(40))];
leaf(8) -> [rand:uniform(300) || _ <- lists:seq(1, rand:uniform(4))];
leaf(9) -> list_to_binary([31 + rand:uniform(95) || _ <- lists:seq(1, rand:uniform(120))]);
leaf(10) -> list_to_binary([rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(90))]);
leaf(11) -> N = rand:uniform(200), <<(rand:uniform(1 bsl 60)):N>>;
leaf(12) -> sub_binary();
leaf(13) -> [];
leaf(14) -> {};
leaf(15) -> #{};
leaf(16) -> self();
leaf(17) -> make_ref();
leaf(18) -> fun lists:map/2;
leaf(19) -> lists:nth(rand:uniform(9), external(<<"random@host">>));
leaf(20) -> list_to_float(io_lib:format("~.*f", [rand:uniform(8), rand:uniform() * 100000]));
leaf(21) -> <<>>;
leaf(22) -> [rand:uniform(95) + 160].

random_float() ->
    case <<(rand:uniform(1 bsl 32) - 1):32, (rand:uniform(1 bsl 32) - 1):32>> of
        <<F/float>> -> F;
        _ -> 0.5
    end.

sub_binary() ->
    Big = list_to_binary([rand:uniform(256) - 1 || _ <- lists:seq(1, 70 + rand:uniform(60))]),
    Skip = rand:uniform(200),
    Take = rand:uniform(300),
    <<_:Skip, B:Take/bits, _/bits>> = Big,
    B.
