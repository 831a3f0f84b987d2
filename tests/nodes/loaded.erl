%% SPDX-License-Identifier: GPL-2.0-only
%% For the test of the harness: is a module of the tests compiled and loaded, and its errors told?
-module(loaded).
-export([answer/0]).

answer() -> [{self(), #{pid => self(), number => 42}}].
