/* obs/log.h - what happened, in words.
 * Answers "what should an operator read?".  One line per event, to a descriptor; never blocks a
 * loop for longer than one write.  Format: `I1125 20:03:25.829575 troupe life: text`, or ISO8601,
 * or JSON. */
#ifndef TRP_LOG_H
#define TRP_LOG_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"

enum trp_log_level { TRP_LOG_ERROR, TRP_LOG_WARNING, TRP_LOG_INFO, TRP_LOG_DEBUG };
enum trp_log_format { TRP_LOG_FORMAT_DEFAULT, TRP_LOG_FORMAT_ISO8601, TRP_LOG_FORMAT_JSON };

struct trp_log;

/* Makes a log on a descriptor that stays the caller's (2 by default).
 *   Owns  : the caller destroys.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_log_create(const struct trp_alloc *alloc, const struct trp_clock *clock, int fd,
                          struct trp_log **out_log, struct trp_error *err);
void trp_log_destroy(struct trp_log *log);

/* Which levels are written (Triton's log settings), and how.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_log_enable(struct trp_log *log, enum trp_log_level level, bool on);
bool trp_log_is_enabled(const struct trp_log *log, enum trp_log_level level);
void trp_log_set_verbose(struct trp_log *log, uint32_t level); /* >= 1 turns DEBUG on */
uint32_t trp_log_verbose(const struct trp_log *log);
void trp_log_set_format(struct trp_log *log, enum trp_log_format format);
enum trp_log_format trp_log_get_format(const struct trp_log *log);

/* Writes a line; `room` is the short name of the caller ("life").  NULL log: nothing happens.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: a failed write is counted, see trp_log_lost(). */
void trp_log_write(struct trp_log *log, enum trp_log_level level, const char *room,
                   const char *format, ...) TRP_PRINTF(4, 5);
uint64_t trp_log_lost(const struct trp_log *log);

#define TRP_ERROR_LOG(log, room, ...) trp_log_write((log), TRP_LOG_ERROR, room, __VA_ARGS__)
#define TRP_WARN(log, room, ...) trp_log_write((log), TRP_LOG_WARNING, room, __VA_ARGS__)
#define TRP_INFO(log, room, ...) trp_log_write((log), TRP_LOG_INFO, room, __VA_ARGS__)
#define TRP_DEBUG(log, room, ...) trp_log_write((log), TRP_LOG_DEBUG, room, __VA_ARGS__)

#endif
