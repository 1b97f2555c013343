/* admin/series.h - series that parts of routes and compositions have: rules, targets, steps,
 * members.
 * Answers "whose series has a page of metrics room for?".  A scrape has a size: names whose parts
 * would make more than TRP_SERIES_MAX series of one metric together are left out whole, those that
 * come later in the directory first, and who writes them says how many these are. */
#ifndef TRP_SERIES_H
#define TRP_SERIES_H

#include "base/buf.h"
#include "call/directory.h"

#define TRP_SERIES_MAX 20000u

struct trp_series_metric {
    const char *name, *type, *help;
};

/* The names of a directory that have parts of one kind. */
struct trp_series {
    const struct trp_directory *directory;        /* NULL: there are none */
    uint32_t (*count)(struct trp_target *target); /* how many parts; 0: it is nothing of the kind */
    uint32_t names_n, left_out; /* that have parts; of these, without room: as of the last metric */
};

/* Writes what one name has of a metric. */
typedef void (*trp_series_fn)(struct trp_buf *b, const struct trp_directory_item *item,
                              const void *user);

/* Writes a metric of all that have room; nothing where nobody has such parts.
 *   Owns  : all is borrowed.
 *   Thread: any that holds the directory.
 *   Cost  : counts and writes each name once.
 *   Errors: what fails sticks to the buffer. */
void trp_series_write(struct trp_series *s, const struct trp_series_metric *metric,
                      struct trp_buf *b, trp_series_fn write, const void *user);

/* Writes how many were left out of the last metric.
 *   Owns  : all is borrowed.
 *   Thread: any.
 *   Errors: what fails sticks to the buffer. */
void trp_series_write_left_out(const struct trp_series *s, const struct trp_series_metric *metric,
                               struct trp_buf *b);

/* Begins one series: metric{key="name",part_key="part"} and a space; its value comes next.  The
 * part is left out where part_key is NULL.
 *   Owns  : all is borrowed.
 *   Thread: any.
 *   Errors: what fails sticks to the buffer. */
void trp_series_begin(struct trp_buf *b, const char *metric, const char *key, struct trp_str name,
                      const char *part_key, struct trp_str part);

#endif
