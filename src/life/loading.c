/* life/loading.c - see loading.h
 *
 * Before all that, the files of a version with a manifest are compared with it, once for each state
 * of them.
 *
 *   file's head ──► configuration ──► backend ──► open ──► configuration again ──► labels ──► warm-up
 *   (our reader,    (options for      (started     (its own   (against what was
 *    or a probe)     the backend)      at need)     words)      opened)
 *
 * The configuration is completed twice, because the backend needs its options before it opens the
 * file, and only the open model knows for certain what it takes: our reader sees what the file
 * declares, the backend what follows from it.
 *
 * Nothing here decides anything about other versions, and nothing is shared but the version's
 * arena, so any number of loadings run side by side.  Every failure ends in `loaded.error` with
 * what was opened closed again. */
#include "life/loading.h"

#include <stdio.h>

#include "base/file.h"
#include "exec/exec.h"
#include "life/initial_states.h"
#include "life/labels.h"
#include "life/warmup.h"
#include "model/slot_devices.h"
#include "onnx/onnx_reader.h"
#include "repo/manifest.h"
#include "store/known_signature.h"

#define SCRATCH_BLOCK_BYTES (16u << 10)
#define SCRATCH_BYTES_MAX ((size_t)256 << 20)
#define HAZARDS_SHOWN 3u
#define WARNING "warning: "
#define LARGE_BYTES (64u << 10) /* of weights: below, a plain load is as fast and holds as little */

struct trp_loading_steps {
    struct trp_loading *l;
    struct trp_arena scratch; /* what is not needed any more when the version is ready */
    const struct trp_node *written;
    struct trp_backend *backend;
    struct trp_card file_card; /* what the file says it is for */
    uint64_t weights_bytes;
    bool is_large;  /* enough that mapping it pays */
    bool is_deadly; /* a request could end the process that runs it */
    struct troupe_model_desc desc;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to load the model");
}

static bool is_onnx(const struct trp_loading *l)
{
    return trp_str_is(l->source->peek.backend, "onnxruntime");
}

static trp_status give_up_if_told(const struct trp_loading *l, struct trp_error *err)
{
    if (trp_flag_is_up(&l->version->stop))
        return trp_fail(err, TRP_CANCELLED, "the load was given up");
    return trp_ok();
}

/* ---- the manifest ---- */

static struct trp_str manifest_of(const struct trp_loading *l)
{
    const struct trp_repo_model *m = l->source;
    for (uint32_t i = 0; i < m->versions_n; i++)
        if (m->versions[i].number == l->version->target.version)
            return m->versions[i].manifest;
    return (struct trp_str){ 0 };
}

/* A version that may be half there is not looked into at all. */
static trp_status check_manifest(struct trp_loading_steps *s, struct trp_error *err)
{
    const struct trp_loading *l = s->l;
    const uint64_t digest = l->version->digest;
    struct trp_matched *matched = l->env->matched;
    struct trp_counter *place = &matched->digests[digest % ARRAY_LEN(matched->digests)];
    const struct trp_manifest_opts opts = { .manifest = manifest_of(l),
                                            .model_file = l->version->path,
                                            .bytes_max = l->env->label_bytes_max,
                                            .stop = &l->version->stop,
                                            .alloc = s->scratch.alloc };
    if (opts.manifest.len == 0 || trp_counter_get(place) == digest)
        return trp_ok();
    TRP_CHECK(trp_manifest_check(&opts, err));
    trp_counter_set(place, digest);
    return trp_ok();
}

/* ---- the file's head ---- */

static struct trp_str folder_of(struct trp_str path)
{
    while (path.len && path.ptr[path.len - 1] != '/')
        path.len--;
    return path.len > 1 ? trp_str_make(path.ptr, path.len - 1) : TRP_STR_LIT("/");
}

/* External data must be there, whole, beside the model before a runtime goes and opens whatever
 * the file names. */
static trp_status check_file(struct trp_loading_steps *s, struct trp_str folder,
                             const struct trp_onnx_file *e, struct trp_error *err)
{
    struct trp_str path;
    struct trp_file_stat st;
    TRP_CHECK(trp_repo_inside(folder, e->path, &s->scratch, &path, err));
    TRP_CHECK(trp_file_stat(path.ptr, &st, err));
    if (st.bytes >= e->end)
        return trp_ok();
    return trp_fail(err, TRP_DATA_LOSS, "'%.*s' has %llu bytes, the model's tensors end at %llu",
                    TRP_STR(e->path), (unsigned long long)st.bytes, (unsigned long long)e->end);
}

static trp_status check_externals(struct trp_loading_steps *s, const struct trp_onnx_model *m,
                                  struct trp_error *err)
{
    const struct trp_str folder = folder_of(s->l->version->path);
    for (uint32_t i = 0; i < m->files_n; i++)
        TRP_TRY(check_file(s, folder, &m->files[i], err), err, "external data");
    return trp_ok();
}

/* What can take the process down is kept for the index and the log; the rest only fails when it
 * is run. */
static void note_hazards(struct trp_loading_steps *s, const struct trp_onnx_model *m)
{
    struct trp_loading *l = s->l;
    struct trp_buf text;
    uint32_t shown = 0;
    trp_buf_init(&text, trp_heap(), 4096);
    for (uint32_t i = 0; i < m->hazards_n && shown < HAZARDS_SHOWN; i++) {
        if (!trp_onnx_hazard_is_fatal(&m->hazards[i]))
            continue;
        trp_buf_add_text(&text, shown ? " " : WARNING);
        trp_onnx_hazard_format(&m->hazards[i], &text);
        shown++;
    }
    s->is_deadly =
        shown > 0 || m->hazards_total > m->hazards_n; /* of more than are kept, one may be */
    if (!text.failed)
        (void)trp_str_copy(trp_buf_str(&text), l->loaded.warning, sizeof l->loaded.warning);
    trp_buf_deinit(&text);
}

static trp_status read_head(struct trp_loading_steps *s, struct trp_signature *out,
                            struct trp_error *err)
{
    struct trp_onnx_model m;
    const struct trp_onnx_opts opts = { .signature_only = s->l->survey };
    trp_metrics_add(s->l->env->metrics, TRP_METRIC_FILES_READ, 1);
    TRP_CHECK(trp_onnx_read_file(s->l->version->path.ptr, &opts, &s->scratch, &m, err));
    TRP_CHECK(check_externals(s, &m, err));
    s->weights_bytes = m.total.bytes;
    s->is_large = m.files_n > 0 || m.total.bytes >= LARGE_BYTES;
    note_hazards(s, &m);
    TRP_CHECK(trp_card_from_file(&s->scratch, &m, &s->file_card, err));
    return trp_onnx_signature(&m, &s->scratch, out, err);
}

/* A survey wants nothing but the signature; a file whose signature is known is not read for it. */
static trp_status recall_or_read(struct trp_loading_steps *s, struct trp_signature *out,
                                 struct trp_error *err)
{
    struct trp_store *store = s->l->survey ? s->l->env->store : NULL;
    const char *path = s->l->version->path.ptr;
    struct trp_file_stat before = { .kind = 'o' };
    if (store && trp_known_signature_get(store, path, &s->scratch, &before, out, &s->file_card)) {
        trp_metrics_add(s->l->env->metrics, TRP_METRIC_SIGNATURES_KNOWN, 1);
        return trp_ok();
    }
    TRP_CHECK(read_head(s, out, err));
    if (store && before.kind == 'f')
        trp_known_signature_put(store, path, &before, out, &s->file_card);
    return trp_ok();
}

/* What the file declares, in scratch memory.  Files of other backends are known by their backend
 * alone. */
static trp_status look_into_file(struct trp_loading_steps *s, struct trp_signature *out,
                                 struct trp_error *err)
{
    uint32_t capabilities;
    if (is_onnx(s->l))
        return recall_or_read(s, out, err);
    TRP_CHECK(trp_backends_get(s->l->env->backends, s->l->source->peek.backend, &s->backend, err));
    return trp_backend_probe(s->backend, &s->desc, &s->scratch, out, &capabilities, err);
}

/* ---- configuration ---- */

/* What was written, with what the repository found out: which backend runs it. */
static trp_status prepare_written(struct trp_loading_steps *s, struct trp_error *err)
{
    const struct trp_repo_model *source = s->l->source;
    struct trp_arena *a = s->l->survey && !s->l->whole ? &s->scratch : &s->l->version->arena;
    struct trp_node *tree =
        source->config ? trp_node_dup(a, source->config) : trp_node_new(a, TRP_NODE_MAP);
    const struct trp_str backend = trp_arena_dup(a, source->peek.backend);
    if (!tree || !backend.ptr)
        return no_memory(err);
    if (!trp_node_get(tree, "backend") && !trp_node_add_str(a, tree, "backend", backend))
        return no_memory(err);
    s->written = tree;
    return trp_ok();
}

static trp_status complete(struct trp_loading_steps *s, struct trp_arena *a,
                           const struct trp_signature *file_signature,
                           struct trp_model_config *out_config, struct trp_signature *out_signature,
                           struct trp_error *err)
{
    TRP_CHECK(trp_model_config_complete(a, s->l->version->target.name, s->written, file_signature,
                                        out_config, out_signature, err));
    struct trp_cores allowed;
    if ((out_config->cores || out_config->groups) && trp_cores_of_process(&allowed))
        TRP_CHECK(trp_slot_groups_check(out_config->tree, &allowed, err));
    return trp_card_complete(a, &s->file_card, &out_config->card, err);
}

/* ---- devices ---- */

/* A line more of what an operator should know about devices. */
static trp_status add_warning(struct trp_loading_steps *s, const struct trp_error *words,
                              struct trp_error *err)
{
    struct trp_str *all = &s->l->loaded.device_warning;
    *all = trp_arena_format(&s->l->version->arena, "%.*s%s%s", TRP_STR(*all), all->len ? "\n" : "",
                            words->text);
    return all->ptr ? trp_ok() : no_memory(err);
}

/* Nobody's mistake: repositories of GPU servers open as they are. */
static trp_status note_vain(struct trp_loading_steps *s, const struct trp_device_list *there,
                            struct trp_error *err)
{
    const struct trp_node *n = trp_slot_devices_in_vain(there, s->l->loaded.config.tree);
    struct trp_error words = { 0 };
    if (!n)
        return trp_ok();
    const char *why = there->n > 0 ? "" : trp_backend_why_no_device(s->backend);
    (void)trp_node_fail(
        n, &words, TRP_UNIMPLEMENTED,
        "\"%.*s\" asks for a GPU, and backend '%s' has %s: it runs on the CPU%s%s%s",
        TRP_STR(n->key), trp_backend_name(s->backend), there->n > 0 ? "others" : "none",
        *why ? " (" : "", why, *why ? ")" : "");
    return add_warning(s, &words, err);
}

/* On a GPU another one is another way to the same answers, and the first tells what to look for;
 * on the CPU any is nothing. */
static trp_status note_accelerators(struct trp_loading_steps *s, struct trp_error *err)
{
    const struct trp_loaded *out = &s->l->loaded;
    const struct trp_node *list = trp_model_config_accelerators(out->config.tree);
    const bool is_on_cpu = out->config.devices_n == 0;
    struct trp_error words = { 0 };
    if (!list || (is_on_cpu && out->device_warning.len > 0))
        return trp_ok(); /* why it is on the CPU was said */
    if (is_on_cpu) {
        (void)trp_node_fail(list, &words, TRP_UNIMPLEMENTED,
                            "\"%.*s\" does nothing: the model runs on the CPU", TRP_STR(list->key));
        return add_warning(s, &words, err);
    }
    for (const struct trp_node *n = is_onnx(s->l) ? list->first : NULL; n; n = n->next) {
        const struct trp_str name = trp_node_str(n, "name", TRP_STR_LIT(""));
        if (trp_str_is(name, "cuda"))
            continue;
        (void)trp_node_fail(n, &words, TRP_UNIMPLEMENTED,
                            "there is no accelerator \"%.*s\" here; CUDA runs it", TRP_STR(name));
        return add_warning(s, &words, err);
    }
    return trp_ok();
}

/* Settles on which devices of the backend the model's runs are; what it is opened with says so,
 * too. */
static trp_status place(struct trp_loading_steps *s, struct trp_arena *a, struct trp_error *err)
{
    struct trp_model_config *c = &s->l->loaded.config;
    struct trp_device_list there;
    s->l->loaded.device_warning = TRP_STR_LIT(""); /* of the first half */
    if (!trp_slot_devices_is_asked_for(c->tree))
        return trp_ok(); /* looking can take seconds, and memory */
    TRP_CHECK(trp_backend_devices(s->backend, &s->scratch, &there, err));
    TRP_CHECK(trp_slot_devices_take(a, &there, c, err));
    s->desc.devices = c->devices;
    s->desc.devices_n = c->devices_n;
    return note_vain(s, &there, err);
}

/* What is prepared is for the CPU. */
static struct trp_store *store_for(const struct trp_loading_steps *s)
{
    return s->desc.devices_n > 0 ? NULL : s->l->env->store;
}

/* In the log and the index. */
static void tell_devices(const struct trp_loading_steps *s)
{
    struct trp_mapping *m = &s->l->loaded.mapping;
    struct trp_buf names;
    if (s->desc.devices_n == 0)
        return;
    trp_buf_init(&names, trp_heap(), 4096);
    trp_device_add_names(&names, s->desc.devices, s->desc.devices_n, ", ");
    const char *text = trp_buf_text(&names);
    (void)snprintf(m->note, sizeof m->note, "on %s: what is prepared is for the CPU alone",
                   text ? text : "devices");
    trp_buf_deinit(&names);
}

/* ---- the steps ---- */

static void describe(struct trp_loading_steps *s)
{
    struct trp_version *v = s->l->version;
    s->desc = (struct troupe_model_desc){ .struct_size = sizeof s->desc,
                                          .name = v->id,
                                          .path = v->path.ptr,
                                          .thread_mode = TROUPE_THREADS_ONE,
                                          .account = &v->weights.plugin,
                                          .cancel = trp_flag_word(&v->stop) };
}

static void take_options(struct trp_loading_steps *s)
{
    const struct trp_model_config *c = &s->l->loaded.config;
    s->desc.options = c->options;
    s->desc.options_n = c->options_n;
    s->desc.thread_mode = c->hint == TRP_HINT_LATENCY ? TROUPE_THREADS_SHARED : TROUPE_THREADS_ONE;
}

static trp_status check_bytes(const struct trp_loading *l, struct trp_error *err)
{
    const uint64_t bytes = l->loaded.bytes + l->loaded.mapping.mapped_bytes;
    if (l->bytes_max == 0 || bytes <= l->bytes_max)
        return trp_ok();
    return trp_fail(err, TRP_OVER_BUDGET, "it holds %llu bytes, max_bytes is %llu",
                    (unsigned long long)bytes, (unsigned long long)l->bytes_max);
}

static bool is_isolated(const struct trp_loading_steps *s)
{
    const enum trp_isolation_wish wish = s->l->loaded.config.isolation;
    return wish == TRP_ISOLATION_PROCESS || (wish == TRP_ISOLATION_AUTO && s->is_deadly &&
                                             trp_backends_can_isolate(s->l->env->backends));
}

/* Once the configuration is known; from here on whatever runs the version, as its proofs do,
 * runs it there. */
static trp_status find_backend(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_backends *all = s->l->env->backends;
    if (!s->backend)
        TRP_CHECK(trp_backends_get(all, s->l->source->peek.backend, &s->backend, err));
    return is_isolated(s) ? trp_backends_isolate(all, s->backend, &s->backend, err) : trp_ok();
}

/* In the log and the index: what was a warning is a reason now. */
static void tell_isolation(const struct trp_loading_steps *s)
{
    struct trp_loaded *out = &s->l->loaded;
    char note[sizeof out->mapping.note], reason[sizeof out->warning];
    if (!is_isolated(s))
        return;
    if (out->warning[0]) {
        (void)snprintf(reason, sizeof reason, "in a worker process: %s",
                       out->warning + strlen(WARNING));
        memcpy(out->warning, reason, sizeof reason);
    }
    (void)snprintf(note, sizeof note, "in a worker process: %s%s%s",
                   out->config.isolation == TRP_ISOLATION_PROCESS
                       ? "isolation: process"
                       : "a request could end the process that runs it",
                   out->mapping.note[0] ? "; " : "", out->mapping.note);
    memcpy(out->mapping.note, note, sizeof note);
}

static trp_status open_model(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loading *l = s->l;
    struct trp_loaded *out = &l->loaded;
    TRP_CHECK(find_backend(s, err));
    TRP_CHECK(give_up_if_told(l, err));
    take_options(s);
    const struct trp_mapping_opts opening = { .store = store_for(s),
                                              .uses = l->env->uses,
                                              .backend = s->backend,
                                              .desc = &s->desc,
                                              .is_worth_it = s->is_large,
                                              .is_packed = l->is_packed,
                                              .log = l->env->log };
    TRP_CHECK(trp_mapping_open(&opening, &l->version->arena, &out->mapping, &out->model,
                               &out->file_signature, err));
    out->backend = s->backend;
    tell_devices(s);
    tell_isolation(s);
    if (l->on_open)
        l->on_open(l);
    struct troupe_memory memory = { .struct_size = sizeof memory };
    const uint64_t seen = trp_counter_get(&l->version->weights.bytes);
    const uint64_t told =
        trp_backend_memory(out->model, &memory) ? memory.weights_bytes + memory.arena_bytes : 0;
    out->bytes = seen > told ? seen : told;
    return check_bytes(l, err);
}

/* What could end the process is not run with numbers that nobody sent. */
static void rehearse(const struct trp_loading_steps *s, const struct trp_warmup *warmup)
{
    const struct trp_loading *l = s->l;
    struct trp_warmup own = *warmup;
    struct trp_error err;
    if (!l->takes_over || s->is_deadly)
        return;
    own.stop = &l->rehearsal->cancel;
    trp_rehearsal_begin(l->rehearsal, l->loaded.model);
    const trp_status st = trp_warmup_rehearse(&own, &err);
    trp_rehearsal_end(l->rehearsal);
    if (trp_failed(st) && st.code == TRP_CANCELLED)
        (void)trp_fail(&err, TRP_CANCELLED, "its run was ended, at the latest after %lld s",
                       (long long)(TRP_REHEARSAL_NS / TRP_S(1)));
    if (trp_failed(st))
        TRP_INFO(l->env->log, "life", "'%s' takes over without having run before: %s",
                 l->version->id, err.text);
}

static trp_status warm_up(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loading *l = s->l;
    const struct trp_warmup warmup = { .model = l->loaded.model,
                                       .version = l->version,
                                       .admission = l->env->admission,
                                       .clock = l->env->clock,
                                       .config = l->loaded.config.tree,
                                       .seen = &l->loaded.signature,
                                       .signature = &l->loaded.file_signature,
                                       .sequences = l->loaded.config.sequences,
                                       .folder = l->source->folder,
                                       .account = &l->version->activations,
                                       .stop = &l->version->stop,
                                       .devices_n = s->desc.devices_n,
                                       .input_bytes_max = l->env->input_bytes_max,
                                       .output_bytes_max = l->env->output_bytes_max,
                                       .run_bytes_max = l->env->run_bytes_max };
    if (l->on_warm)
        l->on_warm(l);
    TRP_CHECK(trp_warmup_run(&warmup, err));
    rehearse(s, &warmup);
    return give_up_if_told(l, err);
}

static trp_status attach_labels(struct trp_loading_steps *s, struct trp_arena *a,
                                struct trp_error *err)
{
    return trp_labels_attach(a, s->l->source->folder, s->l->loaded.config.tree,
                             s->l->env->label_bytes_max, &s->l->loaded.signature, err);
}

/* Of the configuration in force, what models are found by. */
static trp_status keep_card(struct trp_loading_steps *s, struct trp_error *err)
{
    const struct trp_model_config all = s->l->loaded.config;
    struct trp_model_config *kept = &s->l->loaded.config;
    *kept = (struct trp_model_config){ .load = all.load,
                                       .keeping = all.keeping,
                                       .batch_max = all.batch_max,
                                       .instances = all.instances };
    return trp_card_complete(&s->l->version->arena, &all.card, &kept->card, err);
}

/* Ten thousand models are surveyed and never loaded: of each only what the index says is kept. */
static trp_status survey(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loaded *out = &s->l->loaded;
    struct trp_arena *kept = &s->l->version->arena;
    struct trp_signature declared, seen;
    TRP_CHECK(look_into_file(s, &declared, err));
    TRP_CHECK(complete(s, s->l->whole ? kept : &s->scratch, &declared, &out->config,
                       &out->signature, err));
    TRP_CHECK(attach_labels(s, &s->scratch, err)); /* only to see whether they are there */
    TRP_CHECK(trp_signature_dup(&out->signature, kept, &seen, err));
    out->signature = seen;
    return s->l->whole ? trp_ok() : keep_card(s, err);
}

/* Without a store or a budget nobody needs to know; then it is cheap as well. */
static trp_status estimate(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loading *l = s->l;
    if (!s->backend)
        TRP_CHECK(trp_backends_get(l->env->backends, l->source->peek.backend, &s->backend, err));
    TRP_CHECK(place(s, &s->scratch, err));
    take_options(s);
    const struct trp_sizing sizing = { .store = store_for(s),
                                       .backend = s->backend,
                                       .desc = &s->desc,
                                       .weights_bytes = s->weights_bytes,
                                       .is_packed = l->is_packed,
                                       .bytes_max = l->bytes_max,
                                       .digest = l->version->digest,
                                       .measured = l->measured };
    return trp_sizing_estimate(&sizing, &s->scratch, &l->size, err);
}

static trp_status look(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loaded *out = &s->l->loaded;
    struct trp_signature declared;
    TRP_CHECK(look_into_file(s, &declared, err));
    TRP_CHECK(complete(s, &s->scratch, &declared, &out->config, &out->signature, err));
    TRP_CHECK(give_up_if_told(s->l, err));
    return estimate(s, err);
}

static trp_status keep_sequences(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loading *l = s->l;
    struct trp_loaded *out = &l->loaded;
    if (!out->config.sequences)
        return trp_ok();
    TRP_CHECK(trp_initial_states_read(&l->version->arena, l->source->folder,
                                      l->env->input_bytes_max, out->config.sequences, err));
    return trp_exec_keep_sequences(l->env->exec, l->version, &out->config, &out->sequencer, err);
}

static trp_status finish(struct trp_loading_steps *s, struct trp_error *err)
{
    struct trp_loaded *out = &s->l->loaded;
    TRP_CHECK(open_model(s, err));
    TRP_CHECK(complete(s, &s->l->version->arena, &out->file_signature, &out->config,
                       &out->signature, err));
    TRP_CHECK(place(s, &s->l->version->arena, err));
    TRP_CHECK(note_accelerators(s, err));
    TRP_CHECK(attach_labels(s, &s->l->version->arena, err));
    TRP_CHECK(keep_sequences(s, err));
    TRP_CHECK(give_up_if_told(s->l, err));
    return warm_up(s, err);
}

static void end(struct trp_loading *l, trp_status st)
{
    if (trp_failed(st)) {
        l->loaded.error.status = st;
        trp_backend_close(l->loaded.model);
        l->loaded.model = NULL;
        trp_mapping_release(l->env->store, &l->loaded.mapping);
        if (!l->survey)
            trp_backend_trim(l->env->backends); /* a failed load leaves no memory behind */
    }
    trp_loading_drop(l);
}

void trp_loading_drop(struct trp_loading *l)
{
    if (l->steps) {
        trp_arena_deinit(&l->steps->scratch);
        trp_alloc_free(&l->version->activations.alloc, l->steps);
    }
    l->steps = NULL;
    l->size = (struct trp_size){ 0 };
}

void trp_loading_look(struct trp_loading *l)
{
    l->loaded = (struct trp_loaded){ 0 };
    if (l->on_begin)
        l->on_begin(l);
    struct trp_loading_steps *s = trp_alloc_zeroed(&l->version->activations.alloc, 1, sizeof *s);
    if (!s) {
        end(l, no_memory(&l->loaded.error));
        return;
    }
    s->l = l;
    trp_arena_init(&s->scratch, &l->version->activations.alloc, SCRATCH_BLOCK_BYTES,
                   SCRATCH_BYTES_MAX);
    l->steps = s;
    describe(s);
    trp_status st = give_up_if_told(l, &l->loaded.error);
    if (!trp_failed(st))
        st = check_manifest(s, &l->loaded.error);
    if (!trp_failed(st))
        st = prepare_written(s, &l->loaded.error);
    if (!trp_failed(st))
        st = l->survey ? survey(s, &l->loaded.error) : look(s, &l->loaded.error);
    if (trp_failed(st) || l->survey)
        end(l, st);
}

void trp_loading_finish(struct trp_loading *l)
{
    if (l->on_begin)
        l->on_begin(l);
    end(l, finish(l->steps, &l->loaded.error));
}

void trp_loading_work(struct trp_loading *l)
{
    trp_loading_look(l);
    if (l->steps)
        end(l, finish(l->steps, &l->loaded.error)); /* it began with the first half */
}
