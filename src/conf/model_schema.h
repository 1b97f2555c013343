/* conf/model_schema.h - what may stand in a model's configuration.
 * Answers "which keys does a model's configuration have?".  `config.pbtxt` and `model.yaml` are
 * spellings of Triton's inference.ModelConfig plus a few keys of our own (`load`, `aliases`...),
 * described by one table. */
#ifndef TRP_MODEL_SCHEMA_H
#define TRP_MODEL_SCHEMA_H

#include "conf/schema.h"

extern const struct trp_message
    trp_model_config_message; /* inference.ModelConfig, our keys included */
extern const struct trp_message
    *const trp_model_config_messages[]; /* all of its messages, for reflection */
extern const uint32_t trp_model_config_messages_n;
extern const struct trp_enum *const trp_model_config_enums[];
extern const uint32_t trp_model_config_enums_n;

/* Reads `config.pbtxt` or `model.yaml` text (by the file's ending), or a JSON text (load override),
 * into a normal tree. Keys that are understood but not acted upon are written to *out_warnings, one
 * "file:line: key" per line.
 *   Owns  : the tree lives in `a`; *out_warnings (may be NULL) too.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line. */
trp_status trp_model_config_parse(struct trp_arena *a, struct trp_str text, const char *file,
                                  struct trp_node **out_tree, struct trp_str *out_warnings,
                                  struct trp_error *err);

/* The same for a file that may declare something made of models in place of a model: then
 * *out_definition is the tree as it was written (not normal), and *out_tree NULL; else the other
 * way round.
 *   Owns  : as above.
 *   Thread: owner.
 *   Errors: as above. */
trp_status trp_model_file_parse(struct trp_arena *a, struct trp_str text, const char *file,
                                struct trp_node **out_tree, struct trp_node **out_definition,
                                struct trp_str *out_warnings, struct trp_error *err);

/* What a file declares in place of a model, by the key that says so: "route", "ensemble",
 * "cascade", "pipeline",
 * "ensemble_scheduling" (also for Triton's platform "ensemble"); NULL: a model.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_model_definition_kind(const struct trp_node *written);

#endif
