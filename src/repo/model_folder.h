/* repo/model_folder.h - one folder as a model.
 * Answers "which versions lie here, in which files?".  Private to this room. */
#ifndef TRP_MODEL_FOLDER_H
#define TRP_MODEL_FOLDER_H

#include "repo/repo_path.h"

/* Fills in a model from the folder or the single file at which the walk stands; `m->name` is set
 * already.
 *   Owns  : everything lives in the walk's arena.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: what is wrong with this model, for m->error; OUT_OF_MEMORY. */
trp_status trp_model_folder_read(struct trp_repo_walk *w, struct trp_repo_model *m,
                                 struct trp_error *err);
trp_status trp_model_file_read(struct trp_repo_walk *w, const struct trp_file_stat *st,
                               struct trp_repo_model *m, struct trp_error *err);

/* The backend that a file's ending stands for (".onnx": "onnxruntime"), empty when none;
 * *out_stem_len is the length of the name without it.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_model_file_backend(struct trp_str file, size_t *out_stem_len);

#endif
