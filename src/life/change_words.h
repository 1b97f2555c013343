/* life/change_words.h - what is said of a set of versions that was to be loaded.
 * Answers "in which words is whoever ordered, waits or reads the log told what became of it?".
 * Private to this room. */
#ifndef TRP_CHANGE_WORDS_H
#define TRP_CHANGE_WORDS_H

#include "life/loading.h"
#include "obs/log.h"

/* Appends to `text` why a version failed; what does not fit is cut.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_change_add_failure(const struct trp_version *v, char *text, size_t size);

/* The code of an order whose load failed with `code`.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
enum trp_code trp_change_code(int32_t code);

/* Logs what is doubtful in a model's files, each line of `warnings`; once for each state of them
 * (*warned is which was told last, 0: none), however often the model goes and is loaded again.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_change_log_warnings(struct trp_log *log, const struct trp_repo_model *found,
                             struct trp_str warnings, uint64_t *warned);

/* Logs a version that has been loaded, and what an operator should know of it.
 *   Units : `took_ns` on any clock.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_change_log_loaded(struct trp_log *log, const struct trp_loading *loading, int64_t took_ns,
                           bool is_replacing);

/* Says "out of memory" where that is what an error is about.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_change_name_memory(struct trp_error *err);

#endif
