/* model/model_config.c - see model_config.h.
 *
 * Reading goes in two steps, because the file must be found before it can be asked: peek() takes
 * out what finds and schedules it, complete() brings tree and file together.  Tensors are the work
 * of model/model_io.c.  The completed tree is in normal form: its keys stand in the order of the
 * schema's numbers, so /config shows them as Triton does. */
#include "model/model_config.h"

#include "conf/settings.h"
#include "model/model_io.h"

#define PLATFORM_ONNX "onnxruntime_onnx"
#define BACKEND_ONNX "onnxruntime"
#define OPTION_GRAPH_LEVEL \
    "graph.level" /* what the plugin reads; the key is optimization.graph.level */
#define OPTION_ACCELERATOR \
    "gpu_execution_accelerator" /* a name; with it and a key behind it, each with a dot, a
                                 * parameter */

static const struct trp_str nothing = { NULL, 0 };

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the configuration");
}

/* Copies a text of the tree, so that it is terminated and outlives the tree; absent gives an
 * empty one. */
static trp_status take_text(struct trp_arena *a, const struct trp_node *map, const char *key,
                            struct trp_str *out, struct trp_error *err)
{
    const struct trp_str s = trp_node_str(map, key, nothing);
    *out = nothing;
    if (s.len == 0)
        return trp_ok();
    *out = trp_arena_dup(a, s);
    return out->ptr ? trp_ok() : no_memory(err);
}

/* ---- peek ---- */

/* `platform` is the older way to name a backend; where both are written they must agree. */
static trp_status take_backend(struct trp_arena *a, const struct trp_node *tree,
                               struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *platform = trp_node_get(tree, "platform");
    TRP_CHECK(take_text(a, tree, "backend", &c->backend, err));
    TRP_CHECK(take_text(a, tree, "platform", &c->platform, err));
    if (c->platform.len == 0)
        return trp_ok();
    const bool is_onnx = trp_str_is(c->platform, PLATFORM_ONNX);
    if (!is_onnx && c->backend.len == 0)
        return trp_node_fail(platform, err, TRP_INVALID_ARGUMENT,
                             "platform \"%.*s\" is not served here; %s is", TRP_STR(c->platform),
                             PLATFORM_ONNX);
    if (c->backend.len == 0)
        c->backend = TRP_STR_LIT(BACKEND_ONNX);
    if (is_onnx ? !trp_str_is(c->backend, BACKEND_ONNX)
                : !trp_str_is_equal(c->backend, c->platform))
        return trp_node_fail(platform, err, TRP_INVALID_ARGUMENT,
                             "platform \"%.*s\" does not belong to backend \"%.*s\"",
                             TRP_STR(c->platform), TRP_STR(c->backend));
    return trp_ok();
}

static trp_status take_batch_max(const struct trp_node *tree, struct trp_model_config *c,
                                 struct trp_error *err)
{
    const int64_t n = trp_node_i64(tree, "max_batch_size", 0);
    if (n < 0)
        return trp_node_fail(trp_node_get(tree, "max_batch_size"), err, TRP_INVALID_ARGUMENT,
                             "max_batch_size is %lld; it is 0 or more", (long long)n);
    c->batch_max = (int32_t)n;
    return trp_ok();
}

/* Triton's way to ask for batches is `dynamic_batching { }` with a max_batch_size above 1;
 * sequences are joined by it alone. */
static void take_batching(const struct trp_node *tree, struct trp_model_config *c)
{
    const struct trp_field *f =
        trp_message_field(&trp_model_config_message, TRP_STR_LIT("batching"));
    const struct trp_enum_value *v =
        trp_enum_named(f->enumeration, trp_node_str(tree, "batching", nothing));
    c->batching = v ? (enum trp_batching)v->number : TRP_BATCHING_DEFAULT;
    if (c->batching != TRP_BATCHING_DEFAULT)
        return;
    const bool has_sequences = trp_node_get(tree, "sequence_batching") != NULL;
    const bool is_asked = trp_node_get(tree, "dynamic_batching") || has_sequences;
    c->batching = is_asked && c->batch_max > 1 ? TRP_BATCHING_ON
                  : has_sequences              ? TRP_BATCHING_OFF
                                               : TRP_BATCHING_AUTO;
}

static void take_isolation(const struct trp_node *tree, struct trp_model_config *c)
{
    const struct trp_field *f =
        trp_message_field(&trp_model_config_message, TRP_STR_LIT("isolation"));
    const struct trp_enum_value *v =
        trp_enum_named(f->enumeration, trp_node_str(tree, "isolation", nothing));
    c->isolation = v ? (enum trp_isolation_wish)v->number : TRP_ISOLATION_DEFAULT;
    if (c->isolation == TRP_ISOLATION_DEFAULT)
        c->isolation = TRP_ISOLATION_AUTO;
}

static trp_status take_delay(const struct trp_node *dynamic, struct trp_joining_wishes *w,
                             struct trp_error *err)
{
    const uint64_t us = trp_node_u64(dynamic, "max_queue_delay_microseconds", 0);
    if (us > TRP_JOINING_DELAY_MAX_US)
        return trp_node_fail(trp_node_get(dynamic, "max_queue_delay_microseconds"), err,
                             TRP_INVALID_ARGUMENT,
                             "max_queue_delay_microseconds is %llu; it is %llu at most",
                             (unsigned long long)us, (unsigned long long)TRP_JOINING_DELAY_MAX_US);
    w->delay_ns = (int64_t)us * 1000;
    return trp_ok();
}

/* Written in any order. */
static void add_preferred(struct trp_joining_wishes *w, uint32_t rows)
{
    uint32_t at = w->preferred_n++;
    for (; at > 0 && w->preferred[at - 1] > rows; at--)
        w->preferred[at] = w->preferred[at - 1];
    w->preferred[at] = rows;
}

static trp_status take_sizes(const struct trp_node *written, const struct trp_model_config *c,
                             struct trp_joining_wishes *w, struct trp_error *err)
{
    const struct trp_node *sizes = trp_node_get(written, "preferred_batch_size");
    const uint32_t n = sizes ? sizes->children_n : 0;
    if (n > TRP_JOINING_SIZES)
        return trp_node_fail(sizes, err, TRP_TOO_LARGE, "preferred_batch_size: more than %u sizes",
                             TRP_JOINING_SIZES);
    for (const struct trp_node *size = n ? sizes->first : NULL; size; size = size->next) {
        if (size->v.i < 1)
            return trp_node_fail(size, err, TRP_INVALID_ARGUMENT,
                                 "preferred_batch_size is %lld; it is 1 or more",
                                 (long long)size->v.i);
        if (c->batch_max > 0 && size->v.i > c->batch_max)
            return trp_node_fail(size, err, TRP_INVALID_ARGUMENT,
                                 "preferred_batch_size is %lld, but max_batch_size is %d",
                                 (long long)size->v.i, c->batch_max);
        add_preferred(w, (uint32_t)size->v.i);
    }
    return trp_ok();
}

/* Of `direct`: which part of a run's rows must have come for it not to wait; as long as nothing
 * is said, any. */
static trp_status take_utilization(const struct trp_node *direct, const struct trp_model_config *c,
                                   struct trp_joining_wishes *w, struct trp_error *err)
{
    const double part = trp_node_f64(direct, "minimum_slot_utilization", 0);
    const double rows = part * (c->batch_max > 1 ? c->batch_max : 1);
    if (!(part >= 0 && part <= 1))
        return trp_node_fail(trp_node_get(direct, "minimum_slot_utilization"), err,
                             TRP_INVALID_ARGUMENT, "minimum_slot_utilization is %g; it is 0 to 1",
                             part);
    w->rows_enough = (uint32_t)rows < rows ? (uint32_t)rows + 1 : (uint32_t)rows;
    if (w->rows_enough <= 1)
        w->delay_ns = 0;
    return trp_ok();
}

static trp_status take_joining(struct trp_arena *a, const struct trp_node *tree,
                               struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *sequences = trp_node_get(tree, "sequence_batching");
    const struct trp_node *direct = trp_node_get(sequences, "direct");
    const struct trp_node *written =
        sequences ? trp_node_get(sequences, "oldest") : trp_node_get(tree, "dynamic_batching");
    struct trp_joining_wishes *w = written || direct ? trp_arena_zeroed(a, 1, sizeof *w) : NULL;
    if (!written && !direct)
        return trp_ok();
    if (!w)
        return no_memory(err);
    c->joining = w;
    TRP_CHECK(take_delay(written ? written : direct, w, err));
    return written ? take_sizes(written, c, w, err) : take_utilization(direct, c, w, err);
}

static void take_load_policy(const struct trp_node *tree, struct trp_model_config *c)
{
    const struct trp_field *f = trp_message_field(&trp_model_config_message, TRP_STR_LIT("load"));
    const struct trp_str word = trp_node_str(tree, "load", nothing);
    const struct trp_enum_value *v = trp_enum_named(f->enumeration, word);
    c->load = v ? (enum trp_load_policy)v->number : TRP_LOAD_DEFAULT;
}

static trp_status take_keeping(const struct trp_node *tree, struct trp_model_config *c,
                               struct trp_error *err)
{
    const struct trp_node *stay = trp_node_get(tree, "keep_alive");
    const struct trp_node *priority = trp_node_get(tree, "priority");
    const struct trp_node *bytes = trp_node_get(tree, "max_bytes");
    struct trp_keeping *k = &c->keeping;
    *k = (struct trp_keeping){ .keep_alive_ns = TRP_KEEP_ALIVE_NONE,
                               .priority =
                                   (uint32_t)trp_node_u64(tree, "priority", TRP_KEEPING_PRIORITY),
                               .pin = trp_node_bool(tree, "pin", false) };
    const struct trp_str stay_text = trp_node_str(tree, "keep_alive", nothing);
    const struct trp_str bytes_text = trp_node_str(tree, "max_bytes", nothing);
    if (stay && !trp_setting_parse_stay(stay_text, &k->keep_alive_ns))
        return trp_node_fail(stay, err, TRP_INVALID_ARGUMENT,
                             "keep_alive is \"%.*s\"; it is a duration, such as 5m, or forever",
                             TRP_STR(stay_text));
    if (bytes && !trp_setting_parse_bytes(bytes_text, &k->max_bytes))
        return trp_node_fail(bytes, err, TRP_INVALID_ARGUMENT,
                             "max_bytes is \"%.*s\"; it is bytes, such as 512MiB or 2GiB",
                             TRP_STR(bytes_text));
    if (k->priority < 1 || k->priority > 100)
        return trp_node_fail(priority, err, TRP_INVALID_ARGUMENT, "priority is %u; it is 1 to 100",
                             k->priority);
    c->keeping_written = (stay ? TRP_KEEPING_HAS_STAY : 0u) |
                         (trp_node_get(tree, "pin") ? TRP_KEEPING_HAS_PIN : 0u) |
                         (priority ? TRP_KEEPING_HAS_PRIORITY : 0u) |
                         (bytes ? TRP_KEEPING_HAS_BYTES : 0u);
    return trp_ok();
}

void trp_model_config_default(struct trp_model_config *c, enum trp_load_policy load,
                              const struct trp_keeping *keeping)
{
    struct trp_keeping *k = &c->keeping;
    if (c->load == TRP_LOAD_DEFAULT)
        c->load = load == TRP_LOAD_DEFAULT ? TRP_LOAD_ON_DEMAND : load;
    if (!keeping)
        return;
    if (!(c->keeping_written & TRP_KEEPING_HAS_STAY))
        k->keep_alive_ns = keeping->keep_alive_ns;
    if (!(c->keeping_written & TRP_KEEPING_HAS_PIN))
        k->pin = keeping->pin;
    if (!(c->keeping_written & TRP_KEEPING_HAS_PRIORITY))
        k->priority = keeping->priority;
    if (!(c->keeping_written & TRP_KEEPING_HAS_BYTES))
        k->max_bytes = keeping->max_bytes;
}

static trp_status take_specific(struct trp_arena *a, const struct trp_node *specific,
                                struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *list = trp_node_get(specific, "versions");
    const uint32_t n = list ? list->children_n : 0;
    int64_t *numbers = trp_arena_get(a, ((size_t)n + 1) * sizeof *numbers);
    if (!numbers)
        return no_memory(err);
    if (n == 0)
        return trp_node_fail(specific, err, TRP_INVALID_ARGUMENT,
                             "version_policy: specific names no version");
    for (const struct trp_node *v = list->first; v; v = v->next) {
        if (v->v.i < 0)
            return trp_node_fail(v, err, TRP_INVALID_ARGUMENT, "version_policy: %lld is no version",
                                 (long long)v->v.i);
        numbers[c->versions.specific_n++] = v->v.i;
    }
    c->versions.kind = TRP_VERSIONS_SPECIFIC;
    c->versions.specific = numbers;
    return trp_ok();
}

static trp_status take_versions(struct trp_arena *a, const struct trp_node *tree,
                                struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *policy = trp_node_get(tree, "version_policy");
    const struct trp_node *specific = trp_node_get(policy, "specific");
    c->versions.kind = trp_node_get(policy, "all") ? TRP_VERSIONS_ALL : TRP_VERSIONS_LATEST;
    c->versions.latest_n =
        (uint32_t)trp_node_u64(trp_node_get(policy, "latest"), "num_versions", 0);
    if (c->versions.latest_n == 0)
        c->versions.latest_n = 1;
    return specific ? take_specific(a, specific, c, err) : trp_ok();
}

static trp_status take_labels(struct trp_arena *a, const struct trp_node *tree,
                              struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *map = trp_node_get(tree, "labels");
    const uint32_t n = map ? map->children_n : 0;
    if (n > TRP_VERSION_LABELS_MAX)
        return trp_node_fail(map, err, TRP_TOO_LARGE, "labels: more than %u",
                             TRP_VERSION_LABELS_MAX);
    struct trp_version_label *labels = trp_arena_get(a, ((size_t)n + 1) * sizeof *labels);
    if (!labels)
        return no_memory(err);
    for (const struct trp_node *l = map ? map->first : NULL; l; l = l->next) {
        if (!trp_version_label_is_name(l->key))
            return trp_node_fail(l, err, TRP_INVALID_ARGUMENT,
                                 "labels: '%.*s' is no label: a letter, then letters, digits, '_', "
                                 "'-' and '.', at most 64",
                                 TRP_STR(l->key));
        if (l->v.i < 1)
            return trp_node_fail(l, err, TRP_INVALID_ARGUMENT,
                                 "labels: '%.*s' is for version %lld; versions are 1, 2, ...",
                                 TRP_STR(l->key), (long long)l->v.i);
        if (trp_version_label_find(labels, c->labels_n, trp_version_label_key(l->key)))
            return trp_node_fail(l, err, TRP_INVALID_ARGUMENT,
                                 "labels: '%.*s' cannot be told apart from another one",
                                 TRP_STR(l->key));
        labels[c->labels_n++] = (struct trp_version_label){ l->key, l->v.i };
    }
    c->labels = labels;
    return trp_ok();
}

/* Run slots of all groups together; a group without a count has no limit, so the whole has none. */
static trp_status take_instances(const struct trp_node *tree, struct trp_model_config *c,
                                 struct trp_error *err)
{
    const struct trp_node *groups = trp_node_get(tree, "instance_group");
    uint64_t slots = 0;
    bool limited = groups && groups->first;
    for (const struct trp_node *g = groups ? groups->first : NULL; g; g = g->next) {
        const int64_t count = trp_node_i64(g, "count", 0);
        if (count < 0)
            return trp_node_fail(g, err, TRP_INVALID_ARGUMENT,
                                 "instance_group: count is %lld; it is 0 or more",
                                 (long long)count);
        limited = limited && count > 0;
        slots += (uint64_t)count;
    }
    c->instances = !limited ? 0 : slots < UINT32_MAX ? (uint32_t)slots : UINT32_MAX;
    return trp_ok();
}

/* The default is throughput: a run has one thread. */
static void take_hint(const struct trp_node *tree, struct trp_model_config *c)
{
    const struct trp_field *f = trp_message_field(&trp_model_config_message, TRP_STR_LIT("hint"));
    const struct trp_enum_value *v =
        trp_enum_named(f->enumeration, trp_node_str(tree, "hint", nothing));
    c->hint = v && v->number != TRP_HINT_DEFAULT ? (enum trp_hint)v->number : TRP_HINT_THROUGHPUT;
}

static trp_status add_option(struct trp_arena *a, struct troupe_option *options, uint32_t *n,
                             struct trp_str key, struct trp_str value, struct trp_error *err)
{
    const struct trp_str k = trp_arena_dup(a, key), v = trp_arena_dup(a, value);
    if (!k.ptr || !v.ptr)
        return no_memory(err);
    options[(*n)++] = (struct troupe_option){ k.ptr, v.ptr };
    return trp_ok();
}

const struct trp_node *trp_model_config_accelerators(const struct trp_node *tree)
{
    const struct trp_node *optimization = trp_node_get(tree, "optimization");
    const struct trp_node *list = trp_node_get(trp_node_get(optimization, "execution_accelerators"),
                                               "gpu_execution_accelerator");
    return list && list->first ? list : NULL;
}

static size_t count_accelerated(const struct trp_node *list)
{
    size_t n = 0;
    for (const struct trp_node *one = list ? list->first : NULL; one; one = one->next) {
        const struct trp_node *parameters = trp_node_get(one, "parameters");
        n += 1 + (parameters ? parameters->children_n : 0);
    }
    return n;
}

/* The name of each, and "gpu_execution_accelerator.cuda.use_tf32": a name of its owner's choice
 * is no other option's. */
static trp_status take_accelerators(struct trp_arena *a, const struct trp_node *list,
                                    struct troupe_option *options, uint32_t *n,
                                    struct trp_error *err)
{
    for (const struct trp_node *one = list ? list->first : NULL; one; one = one->next) {
        const struct trp_str name = trp_node_str(one, "name", nothing);
        const struct trp_node *parameters = trp_node_get(one, "parameters");
        TRP_CHECK(add_option(a, options, n, TRP_STR_LIT(OPTION_ACCELERATOR), name, err));
        for (const struct trp_node *p = parameters ? parameters->first : NULL; p; p = p->next) {
            const struct trp_str key = trp_arena_format(a, OPTION_ACCELERATOR ".%.*s.%.*s",
                                                        TRP_STR(name), TRP_STR(p->key));
            if (!key.ptr)
                return no_memory(err);
            TRP_CHECK(
                add_option(a, options, n, key, p->kind == TRP_NODE_STR ? p->v.s : nothing, err));
        }
    }
    return trp_ok();
}

static trp_status take_options(struct trp_arena *a, const struct trp_node *tree,
                               struct trp_model_config *c, struct trp_error *err)
{
    const struct trp_node *parameters = trp_node_get(tree, "parameters");
    const struct trp_node *graph = trp_node_get(trp_node_get(tree, "optimization"), "graph");
    const struct trp_node *accelerators = trp_model_config_accelerators(tree);
    const size_t capacity =
        (parameters ? parameters->children_n : 0) + count_accelerated(accelerators) + 1;
    struct troupe_option *options = trp_arena_get(a, capacity * sizeof *options);
    if (!options)
        return no_memory(err);
    c->options = options;
    for (const struct trp_node *p = parameters ? parameters->first : NULL; p; p = p->next)
        TRP_CHECK(add_option(a, options, &c->options_n, p->key,
                             trp_node_str(p, "string_value", nothing), err));
    TRP_CHECK(take_accelerators(a, accelerators, options, &c->options_n, err));
    if (!graph)
        return trp_ok();
    const struct trp_str level =
        trp_arena_format(a, "%lld", (long long)trp_node_i64(graph, "level", 0));
    if (!level.ptr)
        return no_memory(err);
    return add_option(a, options, &c->options_n, TRP_STR_LIT(OPTION_GRAPH_LEVEL), level, err);
}

trp_status trp_model_config_peek(struct trp_arena *a, const struct trp_node *written,
                                 struct trp_model_config *out_config, struct trp_error *err)
{
    struct trp_model_config c = { .tree = written };
    TRP_CHECK(take_text(a, written, "name", &c.name, err));
    TRP_CHECK(take_text(a, written, "default_model_filename", &c.default_file, err));
    TRP_CHECK(take_backend(a, written, &c, err));
    TRP_CHECK(take_batch_max(written, &c, err));
    take_batching(written, &c);
    take_isolation(written, &c);
    TRP_CHECK(take_joining(a, written, &c, err));
    take_load_policy(written, &c);
    TRP_CHECK(take_keeping(written, &c, err));
    TRP_CHECK(take_versions(a, written, &c, err));
    TRP_CHECK(take_labels(a, written, &c, err));
    TRP_CHECK(take_instances(written, &c, err));
    TRP_CHECK(trp_queue_rules_take(a, written, &c.queue, err));
    take_hint(written, &c);
    TRP_CHECK(trp_slot_groups_take(a, written, &c.cores, &c.groups, err));
    TRP_CHECK(take_options(a, written, &c, err));
    TRP_CHECK(trp_card_from_config(a, written, &c.card, err));
    *out_config = c;
    return trp_ok();
}

/* ---- complete ---- */

/* Who the model is: the caller's name, and the backend that the file or the configuration asks
 * for. */
static trp_status settle_identity(struct trp_arena *a, struct trp_str name,
                                  const struct trp_signature *file, struct trp_model_config *c,
                                  struct trp_error *err)
{
    if (c->name.len > 0 && !trp_str_is_equal(c->name, name))
        return trp_node_fail(trp_node_get(c->tree, "name"), err, TRP_INVALID_ARGUMENT,
                             "name is \"%.*s\", but the model is called \"%.*s\"", TRP_STR(c->name),
                             TRP_STR(name));
    const struct trp_str platform = file->platform.len > 0 ? file->platform : c->platform;
    if (c->platform.len > 0 && !trp_str_is_equal(c->platform, platform))
        return trp_node_fail(trp_node_get(c->tree, "platform"), err, TRP_INVALID_ARGUMENT,
                             "platform is \"%.*s\", but the file is \"%.*s\"", TRP_STR(c->platform),
                             TRP_STR(platform));
    c->name = trp_arena_dup(a, name);
    c->platform = trp_arena_dup(a, platform);
    if (c->backend.len == 0)
        c->backend = trp_str_is(platform, PLATFORM_ONNX) ? TRP_STR_LIT(BACKEND_ONNX) : c->platform;
    return c->name.ptr && c->platform.ptr ? trp_ok() : no_memory(err);
}

/* Whoever wrote no version policy is shown the one that holds. */
static bool add_version_policy(struct trp_arena *a, struct trp_node *tree,
                               const struct trp_model_config *c)
{
    const struct trp_node *written = trp_node_get(c->tree, "version_policy");
    if (written && written->first)
        return trp_node_add_copy(a, tree, written) != NULL;
    struct trp_node *policy = trp_node_add_map(a, tree, "version_policy");
    struct trp_node *latest = trp_node_add_map(a, policy, "latest");
    return trp_node_add_i64(a, latest, "num_versions", c->versions.latest_n) != NULL;
}

static const struct trp_io *fixed_one(const struct trp_io *ios, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ios[i].any_rank || ios[i].rank == 0 || ios[i].dims[0] >= 0)
            return &ios[i];
    return NULL;
}

const struct trp_io *trp_model_config_fixed(const struct trp_signature *s)
{
    const struct trp_io *io = fixed_one(s->inputs, s->inputs_n);
    return io ? io : fixed_one(s->outputs, s->outputs_n);
}

/* Whoever asks for batches of what has no rows is told at once. */
static trp_status check_batching(const struct trp_model_config *c, const struct trp_signature *file,
                                 struct trp_error *err)
{
    const struct trp_io *fixed =
        c->batching == TRP_BATCHING_ON ? trp_model_config_fixed(file) : NULL;
    if (!fixed || c->batch_max > 0) /* with max_batch_size each of them was looked at */
        return trp_ok();
    return trp_node_fail(trp_node_get(c->tree, "batching"), err, TRP_INVALID_ARGUMENT,
                         "batching is on, but \"%.*s\" has no free first dimension in the file: "
                         "requests cannot be joined",
                         TRP_STR(fixed->name));
}

struct completion {
    struct trp_arena *arena;
    const struct trp_signature *file; /* but for what is hidden */
    struct trp_model_config *config;
    struct trp_signature *out; /* what clients see */
    struct trp_error *err;
};

static trp_status add_side(const struct completion *x, struct trp_node *tree, bool is_input)
{
    const struct trp_model_side side = {
        .kind = is_input ? "input" : "output",
        .file = is_input ? x->file->inputs : x->file->outputs,
        .file_n = is_input ? x->file->inputs_n : x->file->outputs_n,
        .written = trp_node_get(x->config->tree, is_input ? "input" : "output"),
        .batch_max = x->config->batch_max,
    };
    return trp_model_io_complete(x->arena, &side, tree,
                                 is_input ? &x->out->inputs : &x->out->outputs,
                                 is_input ? &x->out->inputs_n : &x->out->outputs_n, x->err);
}

/* Adds one key of the completed tree: settled values, or what was written. */
static trp_status add_key(const struct completion *x, struct trp_node *tree,
                          const struct trp_field *f)
{
    const struct trp_model_config *c = x->config;
    const struct trp_node *written = trp_node_get(c->tree, f->name);
    const struct trp_str key = trp_str_of(f->name);
    bool ok = true;
    if (trp_str_is(key, "input") || trp_str_is(key, "output"))
        return add_side(x, tree, trp_str_is(key, "input"));
    if (trp_str_is(key, "name"))
        ok = trp_node_add_str(x->arena, tree, f->name, c->name) != NULL;
    else if (trp_str_is(key, "platform"))
        ok = trp_node_add_str(x->arena, tree, f->name, c->platform) != NULL;
    else if (trp_str_is(key, "backend"))
        ok = trp_node_add_str(x->arena, tree, f->name, c->backend) != NULL;
    else if (trp_str_is(key, "max_batch_size"))
        ok = trp_node_add_i64(x->arena, tree, f->name, c->batch_max) != NULL;
    else if (trp_str_is(key, "version_policy"))
        ok = add_version_policy(x->arena, tree, c);
    else if (written)
        ok = trp_node_add_copy(x->arena, tree, written) != NULL;
    return ok ? trp_ok() : no_memory(x->err);
}

static trp_status take_sequences(struct trp_arena *a, const struct trp_signature *file,
                                 struct trp_model_config *c, struct trp_signature *out_visible,
                                 struct trp_error *err)
{
    const struct trp_sequence_request request = {
        .written = trp_node_get(c->tree, "sequence_batching"),
        .outputs = trp_node_get(c->tree, "output"),
        .file = file,
        .batch_max = c->batch_max,
    };
    *out_visible = *file;
    return request.written ? trp_sequence_config_take(a, &request, &c->sequences, out_visible, err)
                           : trp_ok();
}

trp_status trp_model_config_complete(struct trp_arena *a, struct trp_str name,
                                     const struct trp_node *written,
                                     const struct trp_signature *file_signature,
                                     struct trp_model_config *out_config,
                                     struct trp_signature *out_signature, struct trp_error *err)
{
    struct trp_model_config c;
    struct trp_signature s = { 0 }, visible;
    const struct completion x = { a, &visible, &c, &s, err };
    struct trp_node *tree = trp_node_new(a, TRP_NODE_MAP);
    if (!tree)
        return no_memory(err);
    TRP_CHECK(trp_model_config_peek(a, written, &c, err));
    TRP_CHECK(settle_identity(a, name, file_signature, &c, err));
    TRP_CHECK(check_batching(&c, file_signature, err));
    TRP_CHECK(take_sequences(a, file_signature, &c, &visible, err));
    for (uint32_t i = 0; i < trp_model_config_message.fields_n; i++)
        TRP_CHECK(add_key(&x, tree, &trp_model_config_message.fields[i]));
    TRP_CHECK(trp_card_check(&c.card, written, &s, err));
    if (c.sequences)
        TRP_CHECK(trp_sequence_config_hide(a, c.sequences, &s, err));
    s.batch_max = c.batch_max;
    s.platform = c.platform;
    c.tree = tree;
    *out_config = c;
    *out_signature = s;
    return trp_ok();
}
