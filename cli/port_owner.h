/* cli/port_owner.h - which process listens on a port of this machine.
 * Answers "who is there already?". */
#ifndef TRP_PORT_OWNER_H
#define TRP_PORT_OWNER_H

#include "base/str.h"

#define CLI_OWNER_MAX 64

/* Finds the process that listens on a TCP port, as "troupe (process 4711)".
 *   Owns  : written into `out`.
 *   Thread: any.
 *   Blocks: on /proc.
 *   Errors: false when nobody listens, or when it is a process that we may not look into. */
bool cli_port_owner(uint64_t port, char out[CLI_OWNER_MAX]);

#endif
