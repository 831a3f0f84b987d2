// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two ways a NIF makes a refc binary: enif_alloc_binary + enif_make_binary
 * (the VM calls such memory a driver binary), and enif_make_new_binary. And memory
 * of driver_alloc: N blocks of enif_alloc, held until they are released.  And binaries that no
 * term was made of, given back by enif_release_binary.
 *
 * Built without a C library, so that one object loads in every release; it
 * calls nothing but the VM.
 */
#include <erl_nif.h>

/* The VM refuses a NIF of a newer interface than its own. Ours is old enough. */
#undef ERL_NIF_MINOR_VERSION
#define ERL_NIF_MINOR_VERSION 15

static void fill(unsigned char *data, unsigned int size)
{
	/* volatile: or the compiler calls memset(), which we do not have. */
	for (volatile unsigned char *p = data; p < data + size; p++)
		*p = 'n';
}

static ERL_NIF_TERM alloc_binary(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	ErlNifBinary bin;
	unsigned int size;

	if (argc != 1 || !enif_get_uint(env, argv[0], &size) || !enif_alloc_binary(size, &bin))
		return enif_make_badarg(env);
	fill(bin.data, size);
	return enif_make_binary(env, &bin);
}

static ERL_NIF_TERM release_binary(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	unsigned int n, size;
	ErlNifBinary bin;

	if (argc != 2 || !enif_get_uint(env, argv[0], &n) || !enif_get_uint(env, argv[1], &size))
		return enif_make_badarg(env);
	while (n--) {
		if (!enif_alloc_binary(size, &bin))
			return enif_make_badarg(env);
		enif_release_binary(&bin);
		/* a reference that this one does not have */
		if (enif_alloc_binary(size, &bin)) {
			enif_make_binary(env, &bin);
			enif_release_binary(&bin);
		}
	}
	return enif_make_uint(env, 0);
}

static ERL_NIF_TERM new_binary(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	ERL_NIF_TERM term;
	unsigned int size;

	if (argc != 1 || !enif_get_uint(env, argv[0], &size))
		return enif_make_badarg(env);
	fill(enif_make_new_binary(env, size, &term), size);
	return term;
}

/* The blocks hang on a list; its head is handed out as a plain integer. */
static ERL_NIF_TERM hold(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	unsigned int n, size;
	void **head = NULL;

	if (argc != 2 || !enif_get_uint(env, argv[0], &n) || !enif_get_uint(env, argv[1], &size) ||
	    size < sizeof(void *))
		return enif_make_badarg(env);
	while (n--) {
		void **block = enif_alloc(size);

		*block = head;
		head = block;
	}
	return enif_make_uint64(env, (ErlNifUInt64)head);
}

static ERL_NIF_TERM release(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	ErlNifUInt64 head;
	void **block;

	if (argc != 1 || !enif_get_uint64(env, argv[0], &head))
		return enif_make_badarg(env);
	block = (void **)head;
	while (block) {
		void **next = *block;

		enif_free(block);
		block = next;
	}
	return enif_make_uint(env, 0);
}

static ErlNifFunc funcs[] = {
	{ "nif_alloc_binary", 1, alloc_binary, 0 },
	{ "nif_new_binary", 1, new_binary, 0 },
	{ "nif_release_binary", 2, release_binary, 0 },
	{ "nif_hold", 2, hold, 0 },
	{ "nif_release", 1, release, 0 },
};

ERL_NIF_INIT(fixture, funcs, NULL, NULL, NULL, NULL)
