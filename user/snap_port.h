/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ports, read from outside: the port table, and what erlang:port_info/2 tells of each.
 *
 * The table is one like that of processes (ErtsPTab); the identifier in each Port leads back to its
 * slot, and is read again after everything else that belongs to the port.
 */
#ifndef EBEAM_SNAP_PORT_H
#define EBEAM_SNAP_PORT_H

#include "pages.h"
#include "vm.h"

/* Port.state: the same positions in all releases (erl_port.h) */
enum {
	PORT_CONNECTED = 1 << 0, PORT_EXITING = 1 << 1, PORT_DISTRIBUTION = 1 << 2,
	PORT_BINARY_IO = 1 << 3, PORT_SOFT_EOF = 1 << 4, PORT_CLOSING = 1 << 5,
	PORT_SEND_CLOSED = 1 << 6, PORT_LINEBUF_IO = 1 << 7, PORT_FREE = 1 << 8,
	PORT_INITIALIZING = 1 << 9, PORT_SPECIFIC_LOCK = 1 << 10, PORT_INVALID = 1 << 11,
	PORT_HALT = 1 << 12,
};

enum port_proof {
	PORT_PROVEN_STATE, /* without it, ports that are leaving are among the rows */
	PORT_PROVEN_CONNECTED,
	PORT_PROVEN_NAME,
	PORT_PROVEN_DRIVER,
	PORT_PROVEN_REG,
	PORT_PROVEN_QUEUE, /* and bytes in and out */
	PORT_PROVEN_OS_PID,
	PORT_PROVEN_LINKS, /* links and monitors */
	PORT_NPROVEN,
};

struct port_row {
	vmaddr_t addr; /* Port* */
	eterm_t id, connected, reg_name; /* reg_name 0: none */
	uint32_t state;
	char *name, *driver; /* escaped; NULL: cannot be read; a long name ends in "..." */
	uint64_t input, output, queue_size;
	int64_t os_pid; /* < 0: it has none */
	bool linked;	/* links and monitors are known */
	uint64_t links, monitors, monitored_by;
};

struct ports {
	struct port_row *v;
	size_t n;
	uint64_t leaving; /* left out: they are exiting or closing */
	uint64_t skipped; /* that moved each time they were read */
};

struct snap_port {
	struct vm *vm;
	struct pages pages;
	vmaddr_t tab, invalid;
	uint64_t max, mask;
	bool proven[PORT_NPROVEN];
	char unproven[160]; /* names of what is not, for a note; "" */
};

/* Proves the offsets on the ports there are; -1 with a failure noted. */
int snap_port_open(struct snap_port *s, struct vm *vm);
void snap_port_close(struct snap_port *s);
/* All ports that erlang:port_info/2 knows, its oracle; -1 when the table cannot be read. */
int snap_port_all(struct snap_port *s, struct ports *out);
void snap_ports_free(struct ports *p);

/* "binary_io, linebuf": flags of state worth telling, "" for none. */
void port_state_text(uint32_t state, char *buf, size_t size);

#endif
