/* wire/oip_control_decode.c - management requests, from HTTP and gRPC to one tree.
 *
 * The JSON bodies of Triton's extensions are not the JSON of its protobuf messages: a load
 * parameter is a bare string that may be base64, a trace setting a string, a list or null.  Each
 * body has a small reader that builds what protobuf would have said.  Texts are copied: the
 * parser's document dies with the next request, a control request may wait. */
#include "model/model_config.h"
#include "model/version_label.h"
#include "wire/oip_control.h"
#include "wire/oip_messages.h"
#include "wire/query.h"

#define SHOWN_MAX 200 /* bytes of a client's text in a message */

struct reading {
    struct trp_control *control;
    struct trp_arena *arena;
    struct trp_error *err;
    struct trp_node *root;
};

static int shown(struct trp_str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

/* For the builders below: a node that could not be made. */
static trp_status made(struct reading *r, const void *node)
{
    if (node)
        return trp_ok();
    return trp_fail(r->err, TRP_OUT_OF_MEMORY, "no memory for the request (limits.request_memory)");
}

static trp_status wrong(struct reading *r, struct trp_str key, const char *expected,
                        struct trp_json got)
{
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "Unable to parse '%.*s': expected %s, got %s",
                    shown(key), key.ptr, expected, trp_json_type_name(trp_json_type(got)));
}

static trp_status add_text(struct reading *r, struct trp_node *parent, const char *key,
                           struct trp_str text)
{
    const struct trp_str copy = trp_arena_dup(r->arena, text);
    TRP_CHECK(made(r, copy.ptr));
    return made(r, trp_node_add_str(r->arena, parent, key, copy));
}

/* A map under a key that comes from the document. */
static trp_status add_entry(struct reading *r, struct trp_node *parent, struct trp_str key,
                            struct trp_node **out)
{
    *out = NULL;
    const struct trp_str copy = trp_arena_dup(r->arena, key);
    TRP_CHECK(made(r, copy.ptr));
    *out = trp_node_add(r->arena, parent, copy, TRP_NODE_MAP);
    return made(r, *out);
}

/* ---- fields of a body ------------------------------------------------------------------------ */

static trp_status add_json_text(struct reading *r, struct trp_json body, const char *key)
{
    struct trp_json v;
    struct trp_str text;
    if (!trp_json_find(body, key, &v) || trp_json_type(v) == TRP_JSON_NULL)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks '%s', a string", key);
    if (!trp_json_as_str(v, &text))
        return wrong(r, trp_str_of(key), "a string", v);
    return add_text(r, r->root, key, text);
}

static trp_status add_json_u64(struct reading *r, struct trp_json body, const char *key,
                               bool required)
{
    struct trp_json v;
    uint64_t number = 0;
    if (!trp_json_find(body, key, &v) || trp_json_type(v) == TRP_JSON_NULL) {
        if (required)
            return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks '%s', a number", key);
        return trp_ok();
    }
    if (!trp_json_as_u64(v, &number))
        return wrong(r, trp_str_of(key), "a non-negative integer", v);
    return made(r, trp_node_add_u64(r->arena, r->root, key, number));
}

static trp_status read_index(struct reading *r, struct trp_json body)
{
    struct trp_json v;
    bool ready = false;
    if (!trp_json_find(body, "ready", &v) || trp_json_type(v) == TRP_JSON_NULL)
        return trp_ok();
    if (!trp_json_as_bool(v, &ready))
        return wrong(r, TRP_STR_LIT("ready"), "a boolean", v);
    return made(r, trp_node_add_bool(r->arena, r->root, "ready", ready));
}

static trp_status read_shm_register(struct reading *r, struct trp_json body)
{
    TRP_CHECK(add_json_text(r, body, "key"));
    TRP_CHECK(add_json_u64(r, body, "offset", false));
    return add_json_u64(r, body, "byte_size", true);
}

/* ---- base64 ---------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-') /* the URL alphabet too */
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Decodes with or without padding; line breaks are passed over, as some encoders write them.
 * False: not base64. */
static bool decode_base64(struct trp_str in, uint8_t *out, size_t *out_len)
{
    uint32_t bits = 0, held = 0;
    size_t n = 0, digits = 0, at = 0;
    for (; at < in.len && in.ptr[at] != '='; at++) {
        if (in.ptr[at] == '\n' || in.ptr[at] == '\r')
            continue;
        const int digit = base64_digit(in.ptr[at]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        digits++;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    size_t padding = 0;
    for (; at < in.len; at++) {
        if (in.ptr[at] != '=' && in.ptr[at] != '\n' && in.ptr[at] != '\r')
            return false;
        padding += in.ptr[at] == '=';
    }
    *out_len = n;
    return digits % 4 != 1 && (padding == 0 || (digits + padding) % 4 == 0) && padding <= 2;
}

static trp_status add_base64(struct reading *r, struct trp_node *parent, const char *key,
                             struct trp_str whose, struct trp_str text)
{
    size_t len = 0;
    uint8_t *const bytes = trp_arena_get(r->arena, text.len / 4 * 3 + 4);
    TRP_CHECK(made(r, bytes));
    if (!decode_base64(text, bytes, &len))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "Unable to parse '%.*s': not base64",
                        shown(whose), whose.ptr);
    return made(r, trp_node_add_str(r->arena, parent, key, trp_str_make((char *)bytes, len)));
}

static trp_status read_cuda_register(struct reading *r, struct trp_json body)
{
    struct trp_json handle, b64;
    struct trp_str text;
    if (!trp_json_find(body, "raw_handle", &handle) || !trp_json_find(handle, "b64", &b64))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                        "the request lacks 'raw_handle', an object with 'b64'");
    if (!trp_json_as_str(b64, &text))
        return wrong(r, TRP_STR_LIT("b64"), "a string", b64);
    TRP_CHECK(add_base64(r, r->root, "raw_handle", TRP_STR_LIT("b64"), text));
    TRP_CHECK(add_json_u64(r, body, "device_id", true));
    return add_json_u64(r, body, "byte_size", true);
}

/* ---- load and unload ------------------------------------------------------------------------- */

/* ModelRepositoryParameter: files come as base64, all else as what it is. */
static trp_status add_repository_param(struct reading *r, struct trp_node *entry,
                                       struct trp_str key, struct trp_json v)
{
    struct trp_str text;
    bool flag = false;
    int64_t number = 0;
    if (trp_json_as_str(v, &text)) {
        if (trp_str_starts_with(key, TRP_STR_LIT("file:")))
            return add_base64(r, entry, "bytes_param", key, text);
        return add_text(r, entry, "string_param", text);
    }
    if (trp_json_as_bool(v, &flag))
        return made(r, trp_node_add_bool(r->arena, entry, "bool_param", flag));
    if (trp_json_as_i64(v, &number))
        return made(r, trp_node_add_i64(r->arena, entry, "int64_param", number));
    return wrong(r, key, "a string, a boolean or an integer", v);
}

static trp_status read_repository_params(struct reading *r, struct trp_json body)
{
    struct trp_json params, v;
    struct trp_json_iter it;
    struct trp_str key;
    struct trp_node *entry = NULL;
    if (!trp_json_find(body, "parameters", &params) || trp_json_type(params) == TRP_JSON_NULL)
        return trp_ok();
    if (trp_json_type(params) != TRP_JSON_OBJECT)
        return wrong(r, TRP_STR_LIT("parameters"), "an object", params);
    struct trp_node *const map = trp_node_add_map(r->arena, r->root, "parameters");
    TRP_CHECK(made(r, map));
    if (!trp_json_begin(params, &it))
        return trp_ok();
    while (trp_json_next(&it, &key, &v)) {
        TRP_CHECK(add_entry(r, map, key, &entry));
        TRP_CHECK(add_repository_param(r, entry, key, v));
    }
    return trp_ok();
}

/* ---- trace and log settings ------------------------------------------------------------------ */

/* One text of a trace setting; integers are taken as their digits. */
static trp_status add_trace_text(struct reading *r, struct trp_node *list, struct trp_str key,
                                 struct trp_json v)
{
    struct trp_str text;
    int64_t number = 0;
    if (trp_json_as_str(v, &text))
        return add_text(r, list, "", text);
    if (!trp_json_as_i64(v, &number))
        return wrong(r, key, "a string, a list of strings or null", v);
    text = trp_arena_format(r->arena, "%lld", (long long)number);
    TRP_CHECK(made(r, text.ptr));
    return made(r, trp_node_add_str(r->arena, list, "", text));
}

/* SettingValue: a list of texts; an empty one (null) clears the setting. */
static trp_status add_trace_setting(struct reading *r, struct trp_node *settings,
                                    struct trp_str key, struct trp_json v)
{
    struct trp_node *entry = NULL;
    struct trp_json_iter it;
    struct trp_json item;
    TRP_CHECK(add_entry(r, settings, key, &entry));
    struct trp_node *const list = trp_node_add_list(r->arena, entry, "value");
    TRP_CHECK(made(r, list));
    if (trp_json_type(v) == TRP_JSON_NULL)
        return trp_ok();
    if (trp_json_type(v) != TRP_JSON_ARRAY)
        return add_trace_text(r, list, key, v);
    if (!trp_json_begin(v, &it))
        return trp_ok();
    while (trp_json_next(&it, NULL, &item))
        TRP_CHECK(add_trace_text(r, list, key, item));
    return trp_ok();
}

static trp_status add_log_setting(struct reading *r, struct trp_node *settings, struct trp_str key,
                                  struct trp_json v)
{
    struct trp_node *entry = NULL;
    struct trp_str text;
    uint64_t number = 0;
    bool flag = false;
    if (trp_json_type(v) == TRP_JSON_NULL)
        return trp_ok();
    TRP_CHECK(add_entry(r, settings, key, &entry));
    if (trp_json_as_bool(v, &flag))
        return made(r, trp_node_add_bool(r->arena, entry, "bool_param", flag));
    if (trp_json_as_u64(v, &number) && number <= UINT32_MAX)
        return made(r, trp_node_add_u64(r->arena, entry, "uint32_param", number));
    if (trp_json_as_str(v, &text))
        return add_text(r, entry, "string_param", text);
    return wrong(r, key, "a boolean, a string or an integer below 2^32", v);
}

static trp_status read_settings(struct reading *r, struct trp_json body)
{
    struct trp_json_iter it;
    struct trp_str key;
    struct trp_json v;
    struct trp_node *const settings = trp_node_add_map(r->arena, r->root, "settings");
    TRP_CHECK(made(r, settings));
    if (!trp_json_begin(body, &it))
        return trp_ok();
    while (trp_json_next(&it, &key, &v))
        TRP_CHECK(r->control->op == TRP_CONTROL_LOG_SET ? add_log_setting(r, settings, key, v)
                                                        : add_trace_setting(r, settings, key, v));
    return trp_ok();
}

/* {"labels": {"canary": 4, "old": null}, "force": true}: null takes a label away, and stands as
 * 0 in the tree. */
static trp_status read_labels(struct reading *r, struct trp_json body)
{
    struct trp_json map, v;
    struct trp_json_iter it;
    struct trp_str key;
    if (!trp_json_find(body, "labels", &map) || trp_json_type(map) != TRP_JSON_OBJECT)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                        "the request lacks 'labels', an object such as {\"canary\": 4}");
    struct trp_node *labels = trp_node_add(r->arena, r->root, TRP_STR_LIT("labels"), TRP_NODE_MAP);
    TRP_CHECK(made(r, labels));
    for (bool ok = trp_json_begin(map, &it); ok && trp_json_next(&it, &key, &v);) {
        int64_t version = 0;
        if (trp_json_type(v) != TRP_JSON_NULL && (!trp_json_as_i64(v, &version) || version < 1))
            return wrong(r, key, "the number of a version, or null", v);
        const struct trp_str copy = trp_arena_dup(r->arena, key);
        struct trp_node *n = copy.ptr ? trp_node_add(r->arena, labels, copy, TRP_NODE_INT) : NULL;
        TRP_CHECK(made(r, n));
        n->v.i = version;
    }
    bool is_forced = false;
    if (trp_json_find(body, "force", &v) && !trp_json_as_bool(v, &is_forced))
        return wrong(r, TRP_STR_LIT("force"), "true or false", v);
    return made(r, trp_node_add_bool(r->arena, r->root, "force", is_forced));
}

/* {"count": 3}: how many; null, which stands as 0 in the tree: as the configuration says. */
static trp_status read_instances(struct reading *r, struct trp_json body)
{
    static const char want[] = "a number from 1 to 1024, or null for what the configuration says";
    struct trp_json v;
    int64_t count = 0;
    if (!trp_json_find(body, "count", &v))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks 'count', %s", want);
    if (trp_json_type(v) != TRP_JSON_NULL &&
        (!trp_json_as_i64(v, &count) || count < 1 || count > TRP_INSTANCES_MAX))
        return wrong(r, TRP_STR_LIT("count"), want, v);
    return made(r, trp_node_add_i64(r->arena, r->root, "count", count));
}

/* {"offset": "3h"}: what it means is asked of the settings, where the same is written. */
static trp_status read_time(struct reading *r, struct trp_json body)
{
    static const char want[] = "a duration, such as \"3h\" or \"-90m\"";
    struct trp_json v;
    struct trp_str text;
    if (!trp_json_find(body, "offset", &v))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks 'offset', %s", want);
    if (!trp_json_as_str(v, &text))
        return wrong(r, TRP_STR_LIT("offset"), want, v);
    return add_text(r, r->root, "offset", text);
}

static trp_status add_label(struct reading *r, struct trp_node *parent, const char *key,
                            struct trp_json v)
{
    static const char want[] = "a whole number or a text, or a list of them and null";
    struct trp_str text;
    int64_t number;
    if (trp_json_type(v) == TRP_JSON_NULL)
        return made(r, trp_node_add(r->arena, parent, trp_str_of(key), TRP_NODE_NULL));
    if (trp_json_as_str(v, &text))
        return add_text(r, parent, key, text);
    if (!trp_json_as_i64(v, &number))
        return wrong(r, TRP_STR_LIT("label"), want, v);
    return made(r, trp_node_add_i64(r->arena, parent, key, number));
}

/* {"id": "17", "label": 3}: what was right about a request; a list has one for each of its rows.
 * Whoever misspells `model` would teach all. */
static trp_status read_feedback(struct reading *r, struct trp_json body)
{
    struct trp_json v, item;
    struct trp_json_iter it;
    struct trp_str text;
    for (bool ok = trp_json_begin(body, &it); ok && trp_json_next(&it, &text, &v);)
        if (!trp_str_is(text, "id") && !trp_str_is(text, "model") && !trp_str_is(text, "label"))
            return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                            "unknown key '%.*s'; expected 'id', 'label' and perhaps 'model'",
                            (int)(text.len < 100 ? text.len : 100), text.ptr);
    if (!trp_json_find(body, "id", &v))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks 'id', a request's own");
    if (!trp_json_as_str(v, &text) || text.len == 0)
        return wrong(r, TRP_STR_LIT("id"), "a text that is not empty", v);
    TRP_CHECK(add_text(r, r->root, "id", text));
    if (trp_json_find(body, "model", &v)) {
        if (!trp_json_as_str(v, &text))
            return wrong(r, TRP_STR_LIT("model"), "the name of an ensemble", v);
        TRP_CHECK(add_text(r, r->root, "model", text));
    }
    if (!trp_json_find(body, "label", &v))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "the request lacks 'label', what was right");
    if (trp_json_type(v) != TRP_JSON_ARRAY)
        return add_label(r, r->root, "label", v);
    struct trp_node *const list = trp_node_add_list(r->arena, r->root, "label");
    TRP_CHECK(made(r, list));
    for (bool ok = trp_json_begin(v, &it); ok && trp_json_next(&it, NULL, &item);)
        TRP_CHECK(add_label(r, list, "", item));
    return trp_ok();
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

/* What the request message of an operation holds; NULL: nothing of that kind. */
struct shape {
    const char *model, *version, *region; /* fields that the path fills */
    trp_status (*body)(struct reading *r, struct trp_json body);
    bool body_first, body_required;
    const struct trp_query_key *keys; /* what the query may say; NULL: it is passed over */
    uint32_t keys_n;
};

static const struct trp_query_key search_keys[] = {
    { "task", false },  { "tag", true },    { "input", false },
    { "dtype", false }, { "shape", false }, { "name", false },
    { "state", false }, { "limit", false }, { "page_token", false },
};

static const struct trp_query_key residency_keys[] = { { "name", false } };

static const struct shape shapes[TRP_CONTROLS] = {
    [TRP_CONTROL_MODEL_READY] = { .model = "name", .version = "version" },
    [TRP_CONTROL_MODEL_METADATA] = { .model = "name", .version = "version" },
    [TRP_CONTROL_MODEL_CONFIG] = { .model = "name", .version = "version" },
    [TRP_CONTROL_MODEL_STATISTICS] = { .model = "name", .version = "version" },
    [TRP_CONTROL_REPOSITORY_INDEX] = { .body = read_index },
    [TRP_CONTROL_MODEL_LOAD] = { .model = "model_name", .body = read_repository_params },
    [TRP_CONTROL_MODEL_UNLOAD] = { .model = "model_name", .body = read_repository_params },
    [TRP_CONTROL_SHM_STATUS] = { .region = "name" },
    [TRP_CONTROL_SHM_REGISTER] = { .region = "name",
                                   .body = read_shm_register,
                                   .body_required = true },
    [TRP_CONTROL_SHM_UNREGISTER] = { .region = "name" },
    [TRP_CONTROL_CUDA_SHM_STATUS] = { .region = "name" },
    [TRP_CONTROL_CUDA_SHM_REGISTER] = { .region = "name",
                                        .body = read_cuda_register,
                                        .body_required = true },
    [TRP_CONTROL_CUDA_SHM_UNREGISTER] = { .region = "name" },
    [TRP_CONTROL_TRACE_GET] = { .model = "model_name" },
    [TRP_CONTROL_TRACE_SET] = { .model = "model_name", .body = read_settings, .body_first = true },
    [TRP_CONTROL_LOG_SET] = { .body = read_settings },
    [TRP_CONTROL_API_RESIDENCY] = { .keys = residency_keys, .keys_n = ARRAY_LEN(residency_keys) },
    [TRP_CONTROL_API_MODELS] = { .keys = search_keys, .keys_n = ARRAY_LEN(search_keys) },
    [TRP_CONTROL_API_LABELS_SET] = { .body = read_labels, .body_required = true },
    [TRP_CONTROL_API_TIME_SET] = { .body = read_time, .body_required = true },
    [TRP_CONTROL_API_FEEDBACK] = { .body = read_feedback, .body_required = true },
    [TRP_CONTROL_API_INSTANCES_SET] = { .body = read_instances, .body_required = true },
};

static bool is_blank(struct trp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(" \t\r\n", s.ptr[i], 4))
            return false;
    return true;
}

static trp_status read_body(struct reading *r, const struct shape *shape,
                            struct trp_json_parser *json, struct trp_str body)
{
    struct trp_json root;
    if (!shape->body || (is_blank(body) && !shape->body_required))
        return trp_ok();
    TRP_TRY(trp_json_parse(json, body, false, &root, r->err), r->err,
            "Unable to parse the request");
    if (trp_json_type(root) != TRP_JSON_OBJECT)
        return wrong(r, TRP_STR_LIT("the request"), "an object", root);
    return shape->body(r, root);
}

/* Names from the path; a tree has its fields in the order of their numbers, see trace settings. */
static trp_status add_path(struct reading *r, const struct shape *shape,
                           const struct trp_route *route)
{
    if (shape->model && route->model.len > 0)
        TRP_CHECK(made(r, trp_node_add_str(r->arena, r->root, shape->model, route->model)));
    if (shape->region && route->region.len > 0)
        TRP_CHECK(made(r, trp_node_add_str(r->arena, r->root, shape->region, route->region)));
    if (!shape->version || route->version == 0)
        return trp_ok();
    const struct trp_str version = trp_arena_format(r->arena, "%lld", (long long)route->version);
    TRP_CHECK(made(r, version.ptr));
    return made(r, trp_node_add_str(r->arena, r->root, shape->version, version));
}

trp_status trp_control_decode_http(const struct trp_route *route, struct trp_json_parser *json,
                                   struct trp_str body, struct trp_control *control,
                                   struct trp_error *err)
{
    const struct shape *const shape = &shapes[route->op];
    struct reading r = { .control = control, .arena = control->arena, .err = err };
    control->op = route->op;
    control->model = route->model;
    control->version = route->version;
    control->request = NULL;
    r.root = trp_node_new(r.arena, TRP_NODE_MAP);
    TRP_CHECK(made(&r, r.root));
    if (shape->keys)
        TRP_CHECK(trp_query_read(r.arena, route->query, shape->keys, shape->keys_n, r.root, err));
    if (shape->body_first)
        TRP_CHECK(read_body(&r, shape, json, body));
    TRP_CHECK(add_path(&r, shape, route));
    if (!shape->body_first)
        TRP_CHECK(read_body(&r, shape, json, body));
    if (r.root->first)
        control->request = r.root;
    return trp_ok();
}

/* ---- gRPC ------------------------------------------------------------------------------------ */

static trp_status take_version(struct trp_str text, int64_t *out, struct trp_error *err)
{
    *out = 0;
    if (text.len == 0 || trp_version_label_parse(text, out))
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "failed to get model version from specified version string '%.*s', version "
                    "should be an integral value > 0",
                    shown(text), text.ptr);
}

/* TraceSetting and LogSettings ask without settings and change with some. */
static enum trp_control_op op_of(enum trp_control_op op, const struct trp_node *request)
{
    const struct trp_node *const settings = trp_node_get(request, "settings");
    if (!settings || settings->children_n == 0)
        return op;
    if (op == TRP_CONTROL_TRACE_GET)
        return TRP_CONTROL_TRACE_SET;
    return op == TRP_CONTROL_LOG_GET ? TRP_CONTROL_LOG_SET : op;
}

trp_status trp_control_decode_grpc(const struct trp_route *route, struct trp_str bytes,
                                   struct trp_control *control, struct trp_error *err)
{
    const struct shape *const shape = &shapes[route->op];
    const struct trp_message *const message = trp_oip_request_message(route->op);
    struct trp_node *request = NULL;
    if (!message)
        return trp_fail(err, TRP_UNIMPLEMENTED, "this operation has no gRPC method");
    TRP_CHECK(trp_schema_decode(control->arena, message, bytes, &request, err));
    control->op = op_of(route->op, request);
    control->request = request && request->first ? request : NULL;
    control->model = (struct trp_str){ 0 };
    control->version = 0;
    if (shape->model)
        control->model = trp_node_str(request, shape->model, control->model);
    if (shape->version)
        TRP_CHECK(take_version(trp_node_str(request, shape->version, trp_str_of("")),
                               &control->version, err));
    return trp_ok();
}
