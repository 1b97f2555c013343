/* repo/repo.h - folders of models.
 * Answers "where do models come from?".  All of these are models without any configuration:
 * `m.onnx`, `m/model.onnx`, `m/1/model.onnx`, and either with external data beside it;
 * `config.pbtxt` or `model.yaml` may lie in the folder `m`. `m.echo` and `m.null` (and
 * `m/model.echo` ...) are models of the built-in backends. */
#ifndef TRP_REPO_H
#define TRP_REPO_H

#include "base/arena.h"
#include "base/status.h"
#include "model/model_config.h"

#define TRP_REPO_WARMUP_FOLDER \
    "warmup" /* in a model's folder: what model_warmup's input_data_file names */
#define TRP_REPO_STATE_FOLDER "initial_state" /* what the initial_state of sequences names */

struct trp_repo_version {
    int64_t number;      /* 1 for `m.onnx` and `m/model.onnx` */
    struct trp_str path; /* of the model file */
    uint64_t digest;     /* of size, time and inode of the version's files and those beside it */
    struct trp_str manifest; /* path of the list of its files, see repo/manifest.h; empty: none */
};

struct trp_repo_model {
    struct trp_str name;
    struct trp_str folder;         /* empty for `m.onnx` */
    const char *root;              /* the repository that it lies in */
    uint32_t rank;                 /* which of them: 0 is the first */
    struct trp_str hidden_in;      /* a later repository that has the name too; empty: none */
    const struct trp_node *config; /* normal tree as written; NULL: none */
    /* The file as it was written, when it declares something made of models (conf/model_schema.h:
     * route, ensemble, ...): no model, and without versions; `error` says so to whoever wants to
     * load it as one.  NULL: a model. */
    const struct trp_node *definition;
    struct trp_str definition_text; /* all of that file: for whoever shows where a mistake is */
    /* Of Triton's ensembles: the text of the label_filename of each output that has one, under its
     * name (NULL: none has); why one could not be read (empty: all could). */
    const struct trp_node *labels;
    struct trp_str labels_why;
    struct trp_model_config peek; /* backend, default_file, versions, load */
    struct trp_str warnings;      /* "file:line: ..." per line */
    struct trp_error
        error; /* status OK: usable; else why not (a broken model never hides the others) */
    struct trp_repo_version *versions; /* those that the version policy wants, ascending */
    uint32_t versions_n;
};

struct trp_repo_opts {
    const char *path;
    const char *const
        *further; /* repositories besides `path`; a name is the first one's that has it */
    uint32_t further_n;
    uint32_t models_max, versions_max;
    uint64_t config_bytes_max;
    enum trp_load_policy load_default; /* models.load; 0: on demand */
    struct trp_keeping keeping; /* models.keep_alive and so on; priority 0: the built-in ones */
    const int64_t *only;        /* trp_repo_find(): these versions, whatever the policy wants */
    uint32_t only_n;            /* 0: those that it wants */
    const struct trp_node
        *override; /* trp_repo_find(): in place of the folder's own configuration; NULL: none */
};

/* Lists the repositories: every model, sorted by name.
 *   Owns  : everything lives in `arena`.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno() for a repository's folder itself (of one, and nothing is listed);
 *           TOO_LARGE; one broken model is its own `error`. */
struct trp_repo_listing {
    struct trp_repo_model **models;
    uint32_t models_n;
};
trp_status trp_repo_list(const struct trp_repo_opts *opts, struct trp_arena *arena,
                         struct trp_repo_listing *out, struct trp_error *err);

/* Lists one model, as trp_repo_list() would.
 *   Owns  : lives in `arena`.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: NOT_FOUND; INVALID_ARGUMENT for a name that is empty, blank, "." or "..", or holds
 *           '/' or a zero byte. */
trp_status trp_repo_find(const struct trp_repo_opts *opts, struct trp_str name,
                         struct trp_arena *arena, struct trp_repo_model *out,
                         struct trp_error *err);

/* Checks that a path given inside a model (external data, labels, data of a warm-up) is a plain
 * file inside its folder, links followed: whoever opens a pipe waits for its other end.
 *   Owns  : *out_path lives in `arena`.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (leaves the folder, or no file), NOT_FOUND. */
trp_status trp_repo_inside(struct trp_str folder, struct trp_str relative, struct trp_arena *arena,
                           struct trp_str *out_path, struct trp_error *err);

#endif
