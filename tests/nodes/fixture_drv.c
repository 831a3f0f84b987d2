// SPDX-License-Identifier: GPL-2.0-only
/*
 * References to driver binaries, counted by hand: control(Port, Command, <<N:32/native>>) makes N
 * binaries of SIZE bytes and, for each, calls what the command says.
 *
 * Built without a C library, as fixture_nif.c is.
 */
#include <erl_driver.h>

enum { SIZE = 5000 };
enum {
	MAKE_FREE = 1,	  /* driver_free_binary */
	INC_DEC_FREE = 2, /* driver_binary_inc_refc, driver_binary_dec_refc, driver_free_binary */
};

static ErlDrvData start(ErlDrvPort port, char *command)
{
	(void)port;
	(void)command;
	return (ErlDrvData)0;
}

static ErlDrvSSizeT control(ErlDrvData data, unsigned int command, char *buf, ErlDrvSizeT len,
			    char **out, ErlDrvSizeT room)
{
	unsigned int n;
	ErlDrvBinary *bin;

	(void)data;
	(void)out;
	(void)room;
	if (len != sizeof(n))
		return -1;
	for (n = *(unsigned int *)buf; n; n--) {
		bin = driver_alloc_binary(SIZE);
		if (!bin)
			return -1;
		if (command == INC_DEC_FREE) {
			driver_binary_inc_refc(bin);
			driver_binary_dec_refc(bin);
		}
		driver_free_binary(bin);
	}
	return 0;
}

static ErlDrvEntry entry = {
	.start = start,
	.driver_name = (char *)"fixture_drv",
	.control = control,
	.extended_marker = (int)ERL_DRV_EXTENDED_MARKER,
	.major_version = ERL_DRV_EXTENDED_MAJOR_VERSION,
	.minor_version = 0,
	.driver_flags = 0,
};

DRIVER_INIT(fixture_drv)
{
	return &entry;
}
