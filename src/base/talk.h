/* base/talk.h - messages between two processes on one machine, with descriptors.
 * Answers "what does the other one say, and is he still there?".  A message arrives whole or not at
 * all; when the other process has ended, however that came, receiving says so at once. */
#ifndef TRP_TALK_H
#define TRP_TALK_H

#include <stddef.h>

#include "base/status.h"

#define TRP_TALK_FDS_MAX 3u /* descriptors in one message */

enum trp_talk { TRP_TALK_MESSAGE, TRP_TALK_NOT_YET, TRP_TALK_OVER };

/* Makes the two ends; neither is inherited by programs that are started.
 *   Owns  : the caller closes both.
 *   Thread: any.
 *   Errors: as trp_fail_errno(). */
trp_status trp_talk_pair(int out_ends[2], struct trp_error *err);

/* Sends one message; with `fds` the other one gets descriptors of its own for the same files.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: until there is room in the other's box.
 *   Errors: false: the other one is gone, or the message is larger than the kernel takes. */
bool trp_talk_send(int end, const void *bytes, size_t len, const int *fds, uint32_t fds_n);

/* Receives one message of exactly `len` bytes; a message of another length is as if the talk were
 * over.
 *   Owns  : descriptors are the caller's then; those that did not come are -1.
 *   Thread: any, one at a time for one end.
 *   Blocks: until there is one, or as long as trp_talk_set_patience() says (NOT_YET).
 *   Errors: OVER: the other one is gone. */
enum trp_talk trp_talk_receive(int end, void *bytes, size_t len, int fds[TRP_TALK_FDS_MAX]);
void trp_talk_set_patience(int end, int64_t wait_ns);

/* Ends the talk for both, also for a thread that waits in trp_talk_receive(); the descriptor stays
 * open.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_talk_hang_up(int end);

#endif
