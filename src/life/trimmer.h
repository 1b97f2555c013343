/* life/trimmer.h - what runs left behind.
 * Answers "what did runs leave behind that nobody came for?".  Control's, and private to this
 * room. */
#ifndef TRP_TRIMMER_H
#define TRP_TRIMMER_H

#include "life/life_parts.h"

/* Begins to ask the backends every opts.trim_ns for what runs left behind; stops asking.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged: memory then stays with the models until they leave. */
void trp_trimmer_start(struct trp_life *l);
void trp_trimmer_stop(struct trp_life *l);

#endif
