/* cli/cmd_infer.c - troupe infer: asks one model, prints the answer.
 *
 * The model's metadata say which inputs it wants; each operand gives one of them as a file or a
 * word.  JSON goes as JSON, files go as binary tensors behind it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "call/call.h"
#include "cli/answer_print.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/curl_print.h"
#include "cli/explain_print.h"
#include "cli/near_name.h"
#include "cli/tensor_file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define INPUTS_MAX 256
#define JSON_BYTES_MAX ((size_t)1 << 31)

/* clang-format off */
#define CLI_REQUEST_OPTIONS                                                                       \
    { "param", 'p', CLI_LIST, "NAME=VALUE", "a request parameter; any number of times" },         \
    { "header", 'H', CLI_LIST, "NAME=VALUE", "a header field; any number of times" }
/* clang-format on */

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "version", 'v', CLI_TEXT, "N",
      "this version of the model; default: the highest that is ready" },
    { "output", 'o', CLI_LIST, "NAME", "only this output; any number of times" },
    { "top", 't', CLI_TEXT, "N",
      "the N best classes with their labels, of --output or of the first output of floats" },
    { "invert", 0, CLI_FLAG, NULL, "images: dark becomes high (ink on paper)" },
    { "scale", 0, CLI_TEXT, "X", "images: multiply pixels (0 to 255) by this; default 1" },
    { "offset", 0, CLI_TEXT, "X", "images: then add this; default 0" },
    CLI_REQUEST_OPTIONS,
    { "curl", 0, CLI_FLAG, NULL, "print the curl line that does the same" },
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
};

struct input {
    struct trp_str name;
    struct cli_wanted wanted;
    struct troupe_tensor tensor; /* data NULL: `json` */
    struct trp_str json;         /* an array or a scalar, as text */
    struct cli_curl_part part;   /* where `data` are; path NULL: in no file */
};

struct question {
    struct cli *cli;
    struct trp_json_parser *parser; /* for metadata, then for JSON operands */
    struct input inputs[INPUTS_MAX];
    uint32_t inputs_n;
    struct trp_str
        classes; /* the first output of floats: what --top means when no output is named */
    struct cli_image_opts image;
    bool is_local; /* what is going on concerns operands, not the server */
    bool is_blind; /* explain, while nobody knows what there is to give: values are what they look
                   * like */
    bool is_usage; /* an operand is not written as operands are */
};

static bool ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && trp_str_is_equal_nocase(trp_str_make(text + n - m, m), trp_str_of(ending));
}

/* -- metadata -- */

static void read_wanted(struct question *q, struct trp_json tensor)
{
    struct trp_json v, dim;
    struct trp_json_iter it;
    struct trp_str text = { NULL, 0 };
    struct input *in = &q->inputs[q->inputs_n++];
    *in = (struct input){ .wanted = { .rank = 0 } };
    if (trp_json_find(tensor, "name", &v) && trp_json_as_str(v, &text))
        in->name = trp_arena_dup(&q->cli->arena, text);
    if (trp_json_find(tensor, "datatype", &v) && trp_json_as_str(v, &text))
        in->wanted.dtype = (int32_t)trp_dtype_parse(text);
    bool more = trp_json_find(tensor, "shape", &v) && trp_json_begin(v, &it);
    while (more && trp_json_next(&it, NULL, &dim) && in->wanted.rank < TROUPE_RANK_MAX)
        trp_json_as_i64(dim, &in->wanted.dims[in->wanted.rank++]);
}

static void read_classes(struct question *q, struct trp_json root)
{
    struct trp_json list, output, v;
    struct trp_json_iter it;
    struct trp_str name, type;
    bool more = trp_json_find(root, "outputs", &list) && trp_json_begin(list, &it);
    while (more && !q->classes.len && trp_json_next(&it, NULL, &output)) {
        if (trp_json_find(output, "datatype", &v) && trp_json_as_str(v, &type) &&
            (trp_str_is(type, "FP32") || trp_str_is(type, "FP64")) &&
            trp_json_find(output, "name", &v) && trp_json_as_str(v, &name))
            q->classes = trp_arena_dup(&q->cli->arena, name);
    }
}

/* explain has fewer options. */
static bool has_flag(const struct question *q, const char *name)
{
    return cli_has(q->cli, name) && cli_flag(q->cli, name);
}

static const char *text_or(const struct cli *cli, const char *name, const char *otherwise)
{
    return cli_has(cli, name) ? cli_text(cli, name, otherwise) : otherwise;
}

static const char *model_path(struct question *q, const char *rest)
{
    const char *version = text_or(q->cli, "version", NULL);
    const char *base = cli_path(q->cli, "/v2/models/%s", q->cli->operands[0]);
    const struct trp_str path =
        version ? trp_arena_format(&q->cli->arena, "%s/versions/%s%s", base, version, rest)
                : trp_arena_format(&q->cli->arena, "%s%s", base, rest);
    return path.ptr ? path.ptr : "";
}

static trp_status read_metadata(struct question *q, struct trp_error *err)
{
    struct cli_reply reply;
    struct trp_json root, list, tensor;
    struct trp_json_iter it;
    const struct cli_request request = { .method = "GET",
                                         .path = model_path(q, ""),
                                         .json_bytes = -1 };
    TRP_CHECK(cli_ask(q->cli, &request, &reply, err));
    TRP_CHECK(trp_json_parse(q->parser, reply.body, false, &root, err));
    bool more = trp_json_find(root, "inputs", &list) && trp_json_begin(list, &it);
    while (more && q->inputs_n < INPUTS_MAX && trp_json_next(&it, NULL, &tensor))
        read_wanted(q, tensor);
    read_classes(q, root);
    if (text_or(q->cli, "top", NULL) && !cli_list(q->cli, "output", 0) && !q->classes.len)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "--top: the model has no output of floats; name one with --output");
    return trp_ok();
}

/* -- operands -- */

static trp_status find_input(struct question *q, struct trp_str name, struct input **out,
                             struct trp_error *err)
{
    for (uint32_t i = 0; i < q->inputs_n; i++) {
        if (trp_str_is_equal(q->inputs[i].name, name)) {
            *out = &q->inputs[i];
            return trp_ok();
        }
    }
    if (q->is_blind && q->inputs_n < INPUTS_MAX) {
        *out = &q->inputs[q->inputs_n++];
        **out = (struct input){ .name = name, .wanted = { .rank = 1, .dims = { -1 } } };
        return trp_ok();
    }
    return trp_fail(err, TRP_INVALID_ARGUMENT, "the model has no input '%.*s'", TRP_STR(name));
}

/* A flat list for a model that wants [batch, n] is one row; a single value for one that wants a
 * list is a list of one. */
static void fill_shape(struct troupe_tensor *t, const struct cli_wanted *wanted)
{
    if (t->rank == 1 && wanted->rank == 2 &&
        (wanted->dims[1] < 0 || wanted->dims[1] == t->shape[0])) {
        t->shape[1] = t->shape[0];
        t->shape[0] = 1;
        t->rank = 2;
    }
    bool takes_one = t->rank == 0;
    for (uint32_t i = 0; i < wanted->rank; i++)
        takes_one = takes_one && (wanted->dims[i] < 0 || wanted->dims[i] == 1);
    for (; takes_one && t->rank < wanted->rank; t->rank++)
        t->shape[t->rank] = 1;
}

static bool is_bare(const char *value)
{
    double number;
    return strcmp(value, "true") == 0 || strcmp(value, "false") == 0 ||
           trp_str_parse_f64(trp_str_of(value), &number);
}

/* By its first element, as shapes are.  Whole numbers stay whole, because rules compare ids. */
static int32_t looks_like(struct trp_str json)
{
    size_t at = 0;
    while (at < json.len && memchr("[ \t\r\n", json.ptr[at], 5))
        at++;
    if (at < json.len && json.ptr[at] == '"')
        return TROUPE_BYTES;
    if (at < json.len && (json.ptr[at] == 't' || json.ptr[at] == 'f'))
        return TROUPE_BOOL;
    for (; at < json.len; at++)
        if (memchr(".eENI", json.ptr[at], 5))
            return TROUPE_FP32;
    return TROUPE_INT64;
}

/* Reads the shape of nested arrays from their first elements; the server checks the rest. */
static trp_status measure(struct question *q, struct input *in, struct trp_error *err)
{
    struct trp_json v;
    struct trp_json_iter it;
    struct troupe_tensor *t = &in->tensor;
    TRP_TRY(trp_json_parse(q->parser, in->json, false, &v, err), err, "input '%.*s'",
            TRP_STR(in->name));
    if (trp_json_type(v) == TRP_JSON_OBJECT)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "input '%.*s': an object; expected an array of its values (whole requests "
                        "are sent by: curl -s ADDR:PORT/v2/models/%s/infer -d @FILE)",
                        TRP_STR(in->name), q->cli->operands[0]);
    if (q->is_blind)
        in->wanted.dtype = looks_like(in->json);
    t->dtype = in->wanted.dtype;
    while (trp_json_type(v) == TRP_JSON_ARRAY && t->rank < TROUPE_RANK_MAX) {
        t->shape[t->rank++] = (int64_t)trp_json_count(v);
        if (!trp_json_begin(v, &it) || !trp_json_next(&it, NULL, &v))
            break;
    }
    fill_shape(t, &in->wanted);
    return trp_ok();
}

static trp_status read_json_file(struct question *q, const char *path, struct input *in,
                                 struct trp_error *err)
{
    char *ptr;
    size_t len;
    TRP_CHECK(trp_file_read(trp_heap(), path, JSON_BYTES_MAX, &ptr, &len, err));
    in->json = trp_arena_dup(&q->cli->arena, trp_str_make(ptr, len));
    trp_alloc_free(trp_heap(), ptr);
    if (!in->json.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s", path);
    return measure(q, in, err);
}

/* A file as it is, as one element: its length, then its bytes. */
static trp_status read_bytes(struct question *q, const char *path, struct input *in,
                             struct trp_error *err)
{
    char *ptr;
    size_t len;
    TRP_CHECK(trp_file_read(trp_heap(), path, JSON_BYTES_MAX, &ptr, &len, err));
    char *data = trp_arena_get(&q->cli->arena, len + 4);
    for (size_t i = 0; data && i < 4; i++)
        data[i] = (char)(uint8_t)(len >> (8 * i)); /* little-endian */
    if (data)
        memcpy(data + 4, ptr, len);
    trp_alloc_free(trp_heap(), ptr);
    if (!data)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s", path);
    in->tensor.dtype = TROUPE_BYTES;
    in->tensor.data = data;
    in->tensor.bytes = len + 4;
    in->part = (struct cli_curl_part){ path, len, true };
    fill_shape(&in->tensor, &in->wanted);
    return trp_ok();
}

/* Its numbers are written down where a person will read them. */
static trp_status read_picture(const struct question *q, const char *path, struct input *in,
                               struct trp_error *err)
{
    struct troupe_tensor *t = &in->tensor;
    TRP_CHECK(cli_read_image(&q->cli->arena, path, &in->wanted, &q->image, t, err));
    if (has_flag(q, "curl"))
        in->json = cli_curl_numbers(q->cli, t);
    if (in->json.ptr)
        t->data = NULL;
    return trp_ok();
}

/* A bare word for a text input. */
static struct trp_str quoted(struct cli *cli, struct trp_str word)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    trp_json_write_str(&b, word);
    const struct trp_str out = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

static bool is_picture(const char *value)
{
    return ends_with(value, ".png") || ends_with(value, ".jpg") || ends_with(value, ".jpeg");
}

static trp_status take_picture(struct question *q, const char *value, struct input *in,
                               struct trp_error *err)
{
    if (in->wanted.dtype == TROUPE_BYTES)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "input '%.*s' takes BYTES; to send the file as it is: %.*s=@%s",
                        TRP_STR(in->name), TRP_STR(in->name), value);
    if (q->is_blind)
        return trp_fail(err, TRP_NOT_READY,
                        "input '%.*s': what a picture should become is known when the models of "
                        "%s are loaded (troupe load MODEL); a file.npy or JSON can be given now",
                        TRP_STR(in->name), q->cli->operands[0]);
    return read_picture(q, value, in, err);
}

static trp_status read_value(struct question *q, const char *value, struct input *in,
                             struct trp_error *err)
{
    const bool is_bytes = in->wanted.dtype == TROUPE_BYTES;
    if (value[0] == '@' && (is_bytes || q->is_blind))
        return read_bytes(q, value + 1, in, err);
    if (value[0] == '@')
        value++; /* a habit from curl */
    if (ends_with(value, ".npy")) {
        TRP_CHECK(cli_read_npy(&q->cli->arena, value, &in->tensor, err));
        in->part = (struct cli_curl_part){ value, in->tensor.bytes, false };
        return trp_ok();
    }
    if (is_picture(value))
        return take_picture(q, value, in, err);
    if (ends_with(value, ".json"))
        return read_json_file(q, value, in, err);
    in->json = trp_str_of(value);
    const bool is_word = q->is_blind && !is_bare(value) && value[0] != '{';
    if ((is_bytes || is_word) && value[0] != '[' && value[0] != '"')
        in->json = quoted(q->cli, in->json);
    else if (!*value || !strchr("[{\"-0123456789tfnNI", value[0]))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "input '%.*s': '%s' is neither JSON nor a file that ends in .npy, .png, "
                        ".jpg or .json",
                        TRP_STR(in->name), value);
    return measure(q, in, err);
}

static trp_status read_operand(struct question *q, const char *operand, struct trp_error *err)
{
    const char *equals = strchr(operand, '=');
    struct input *in = NULL;
    q->is_usage = !equals || equals == operand;
    if (q->is_usage)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%s' is not NAME=VALUE (a file.npy, an image, file.json, or JSON itself)",
                        operand);
    TRP_CHECK(find_input(q, trp_str_make(operand, (size_t)(equals - operand)), &in, err));
    return read_value(q, equals + 1, in, err);
}

/* Types decide little of what rules say, and whoever gave none should know which were taken. */
static void tell_guesses(const struct question *q)
{
    char shape[256];
    fprintf(stderr, "troupe explain: what %s takes is known when its models are loaded; until then",
            q->cli->operands[0]);
    for (uint32_t i = 0; i < q->inputs_n; i++) {
        const struct troupe_tensor *t = &q->inputs[i].tensor;
        fprintf(stderr, "%s '%.*s' is taken for %s%s", i ? "," : "", TRP_STR(q->inputs[i].name),
                trp_dtype_name(t->dtype), trp_shape_format(t->shape, t->rank, shape, sizeof shape));
    }
    fputc('\n', stderr);
}

/* -- parameters and headers -- */

/* False: it is not NAME=VALUE. */
static bool cut(const char *word, struct trp_str *out_name, const char **out_value)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return false;
    *out_name = trp_str_make(word, (size_t)(equals - word));
    *out_value = equals + 1;
    return true;
}

/* The first of an option's words that is not NAME=VALUE, or has one of `never` in it; NULL: all
 * are good. */
static const char *wrong_word(const struct cli *cli, const char *option, const char *never)
{
    struct trp_str name;
    const char *word, *value;
    for (uint32_t i = 0; (word = cli_list(cli, option, i)) != NULL; i++)
        if (!cut(word, &name, &value) || strpbrk(word, never))
            return word;
    return NULL;
}

/* What looks like a number or a truth is one; everything else is a text, and so is what stands
 * in quotes. */
static void write_params(const struct question *q, struct trp_buf *b)
{
    struct trp_str name;
    const char *word, *value;
    for (uint32_t i = 0; (word = cli_list(q->cli, "param", i)) != NULL; i++) {
        if (!cut(word, &name, &value))
            continue; /* check_options() has refused it */
        trp_buf_add_text(b, i ? "," : ",\"parameters\":{");
        trp_json_write_str(b, name);
        trp_buf_add_char(b, ':');
        if (is_bare(value) || value[0] == '"')
            trp_buf_add_text(b, value);
        else
            trp_json_write_str(b, trp_str_of(value));
    }
    if (cli_list(q->cli, "param", 0))
        trp_buf_add_char(b, '}');
}

static trp_status write_fields(struct question *q, struct trp_str *out, struct trp_error *err)
{
    struct trp_buf b;
    struct trp_str name;
    const char *word, *value;
    trp_buf_init(&b, trp_heap(), 65536);
    for (uint32_t i = 0; (word = cli_list(q->cli, "header", i)) != NULL; i++)
        if (cut(word, &name, &value))
            trp_buf_addf(&b, "%.*s: %s\r\n", TRP_STR(name), value);
    const trp_status st = trp_buf_check(&b, "header fields", err);
    *out = trp_arena_dup(&q->cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return st;
}

/* -- the request -- */

static void write_inputs(const struct question *q, struct trp_buf *b)
{
    bool first = true;
    for (uint32_t i = 0; i < q->inputs_n; i++) {
        const struct input *in = &q->inputs[i];
        if (!in->tensor.data && !in->json.len)
            continue;
        trp_buf_add_text(b, first ? "{\"name\":" : ",{\"name\":");
        first = false;
        trp_json_write_str(b, in->name);
        trp_buf_addf(b, ",\"datatype\":\"%s\",\"shape\":[", trp_dtype_name(in->tensor.dtype));
        for (uint32_t d = 0; d < in->tensor.rank; d++)
            trp_buf_addf(b, "%s%lld", d ? "," : "", (long long)in->tensor.shape[d]);
        if (in->tensor.data)
            trp_buf_addf(b, "],\"parameters\":{\"binary_data_size\":%llu}}",
                         (unsigned long long)in->tensor.bytes);
        else if (in->json.ptr[0] == '[')
            trp_buf_addf(b, "],\"data\":%.*s}", TRP_STR(in->json));
        else
            trp_buf_addf(b, "],\"data\":[%.*s]}", TRP_STR(in->json));
    }
}

static void write_outputs(const struct question *q, struct trp_buf *b)
{
    const char *top = text_or(q->cli, "top", NULL);
    const char *name = cli_list(q->cli, "output", 0);
    if (!name && top)
        name = q->classes.ptr;
    for (uint32_t i = 0; name; name = cli_list(q->cli, "output", ++i)) {
        trp_buf_add_text(b, i ? ",{\"name\":" : ",\"outputs\":[{\"name\":");
        trp_json_write_str(b, trp_str_of(name));
        if (top)
            trp_buf_addf(b, ",\"parameters\":{\"classification\":%d}", (int)strtol(top, NULL, 10));
        trp_buf_add_char(b, '}');
        if (!cli_list(q->cli, "output", i + 1))
            trp_buf_add_char(b, ']');
    }
}

/* Fills `b` with the whole body; *out_json_bytes is -1 when all of it is JSON. */
static trp_status write_request(const struct question *q, struct trp_buf *b,
                                int64_t *out_json_bytes, struct trp_error *err)
{
    bool binary = false;
    trp_buf_add_text(b, "{\"inputs\":[");
    write_inputs(q, b);
    trp_buf_add_char(b, ']');
    write_outputs(q, b);
    write_params(q, b);
    const char *protocol = text_or(q->cli, "protocol", NULL);
    if (protocol)
        trp_buf_addf(b, ",\"protocol\":\"%s\"", protocol); /* it was looked at */
    trp_buf_add_char(b, '}');
    const int64_t json_bytes = (int64_t)b->len;
    for (uint32_t i = 0; i < q->inputs_n; i++) {
        if (!q->inputs[i].tensor.data)
            continue;
        trp_buf_add(b, q->inputs[i].tensor.data, q->inputs[i].tensor.bytes);
        binary = true;
    }
    *out_json_bytes = binary ? json_bytes : -1;
    return trp_buf_check(b, "request", err);
}

/* A picture that is too large to be written down was made here from a file, and no shell command
 * makes it. */
static void print_curl(struct question *q, struct trp_str body, int64_t json_bytes)
{
    struct cli_curl curl = { .path = model_path(q, "/infer"),
                             .json = json_bytes < 0 ? body
                                                    : trp_str_make(body.ptr, (size_t)json_bytes) };
    struct cli_curl_part *parts =
        trp_arena_zeroed(&q->cli->arena, q->inputs_n + (size_t)1, sizeof *parts);
    bool is_possible = parts != NULL;
    for (uint32_t i = 0; is_possible && i < q->inputs_n; i++) {
        if (!q->inputs[i].tensor.data)
            continue;
        parts[curl.parts_n++] = q->inputs[i].part;
        is_possible = q->inputs[i].part.path != NULL;
    }
    curl.parts = parts;
    if (is_possible)
        cli_print_curl(q->cli, &curl);
    else
        fputs("troupe infer: no curl line, because a large picture was resized\n", stderr);
}

/* Whether it is known what the model takes. */
static bool has_inputs(const struct question *q)
{
    return q->inputs_n > 0 && !q->is_blind;
}

/* "digits_mlp takes: image FP32 [-1,64]" */
static const char *inputs_text(struct question *q)
{
    struct trp_buf b;
    char shape[256];
    trp_buf_init(&b, trp_heap(), 65536);
    trp_buf_addf(&b, "%s takes:", q->cli->operands[0]);
    for (uint32_t i = 0; i < q->inputs_n; i++) {
        const struct input *in = &q->inputs[i];
        trp_buf_addf(&b, "%s %.*s %s%s", i ? "," : "", TRP_STR(in->name),
                     trp_dtype_name(in->wanted.dtype),
                     trp_shape_format(in->wanted.dims, in->wanted.rank, shape, sizeof shape));
    }
    trp_buf_addf(&b, "; give each as NAME=VALUE, see troupe infer --help");
    const struct trp_str text = trp_arena_dup(&q->cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return text.ptr;
}

/* What nobody can ask for now, because its models are not there, can be explained all the same. */
static bool can_do_without_metadata(const struct question *q, trp_status st)
{
    return st.code == TRP_NOT_READY && q->cli->command == &cmd_explain;
}

static trp_status ask(struct question *q, struct trp_error *err)
{
    struct trp_buf body;
    struct cli_reply reply;
    struct cli_request request = { .method = "POST" };
    const bool is_explained = q->cli->command == &cmd_explain;
    const trp_status known = read_metadata(q, err);
    if (trp_failed(known) && !can_do_without_metadata(q, known))
        return known;
    q->is_blind = trp_failed(known);
    TRP_CHECK(write_fields(q, &request.fields, err));
    q->is_local = true;
    for (uint32_t i = 1; i < q->cli->operands_n; i++)
        TRP_CHECK(read_operand(q, q->cli->operands[i], err));
    q->is_local = false;
    if (q->is_blind && q->inputs_n > 0)
        tell_guesses(q);
    trp_buf_init(&body, trp_heap(), JSON_BYTES_MAX);
    trp_status st = write_request(q, &body, &request.json_bytes, err);
    if (!trp_failed(st)) {
        request.path = is_explained
                           ? cli_path(q->cli, "/api/routes/%s/explain", q->cli->operands[0])
                           : model_path(q, "/infer");
        request.body = trp_buf_str(&body);
        if (has_flag(q, "curl"))
            print_curl(q, request.body, request.json_bytes);
        st = cli_ask(q->cli, &request, &reply, err);
    }
    trp_buf_deinit(&body);
    TRP_CHECK(st);
    if (cli_flag(q->cli, "json"))
        return printf("%.*s\n", TRP_STR(reply.body)), trp_ok();
    return is_explained ? cli_print_explained(q->parser, reply.body,
                                              has_inputs(q) ? inputs_text(q) : NULL, err)
                        : cli_print_answer(q->cli, q->parser, reply.body, err);
}

/* The server names the input that it did not like: too few numbers, a shape that does not fit. */
static bool is_about_input(const struct trp_error *err)
{
    return err->status.code == TRP_INVALID_ARGUMENT && strstr(err->text, "input '");
}

static int fail(struct question *q, const struct trp_error *err)
{
    char folder[4096];
    if (q->is_local && err->status.code == TRP_NOT_FOUND && getcwd(folder, sizeof folder))
        return cli_fail(
            q->cli, err,
            trp_arena_format(&q->cli->arena, "files are looked for from %s on", folder).ptr);
    if (has_inputs(q) && (q->is_local || q->cli->operands_n == 1 || is_about_input(err))) {
        const int code = cli_fail(q->cli, err, inputs_text(q));
        return q->is_usage ? CLI_USAGE : code;
    }
    return cli_fail_of_name(q->cli, q->cli->operands[0], err);
}

/* What can be said of the command line before anybody is asked; CLI_OK: it is well written. */
static int check_options(const struct cli *cli, struct cli_image_opts *image)
{
    const char *param = wrong_word(cli, "param", ""), *field = wrong_word(cli, "header", "\r\n");
    uint64_t top, version;
    enum trp_protocol protocol;
    if (!trp_str_parse_f64(trp_str_of(text_or(cli, "scale", "1")), &image->scale) ||
        !trp_str_parse_f64(trp_str_of(text_or(cli, "offset", "0")), &image->offset))
        return cli_usage(cli, "--scale and --offset need numbers");
    if (!trp_str_parse_u64(trp_str_of(text_or(cli, "top", "1")), &top) || top == 0 || top > 1000000)
        return cli_usage(cli, "--top needs a number from 1 to 1000000");
    if (!trp_str_parse_u64(trp_str_of(text_or(cli, "version", "1")), &version) || version == 0)
        return cli_usage(cli, "--version needs a number from 1 on");
    if (!trp_call_protocol_parse(trp_str_of(text_or(cli, "protocol", "http")), &protocol))
        return cli_usage(cli, "--protocol needs http, grpc or internal");
    if (param)
        return cli_usage(cli, "--param '%s' is not NAME=VALUE", param);
    if (field)
        return cli_usage(cli, "--header '%s' is not NAME=VALUE", field);
    return CLI_OK;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct question *q = trp_arena_zeroed(&cli->arena, 1, sizeof *q);
    struct cli_image_opts image = { 1, 0, false };
    if (check_options(cli, &image) != CLI_OK)
        return CLI_USAGE;
    if (!q || trp_failed(trp_json_parser_create(JSON_BYTES_MAX, 128, &q->parser, &err)))
        return cli_usage(cli, "out of memory");
    q->cli = cli;
    q->image = image;
    q->image.invert = has_flag(q, "invert");
    const trp_status st = ask(q, &err);
    trp_json_parser_destroy(q->parser);
    return trp_failed(st) ? fail(q, &err) : CLI_OK;
}

const struct cli_command cmd_infer = {
    .name = "infer",
    .operands = "MODEL NAME=VALUE...",
    .help = "ask a model and print its answer",
    .details = "NAME is an input of the model (troupe inspect MODEL lists them).  VALUE is a "
               "file.npy, a .png\n"
               "or .jpg image (resized to what the model wants), a file.json with an array, or "
               "JSON itself;\n"
               "for an input of BYTES also @FILE, the bytes of any file.\n"
               "A flat list for a model that wants [batch, n] is one row; a single value for one "
               "that wants\n"
               "a list is a list of one.",
    .example = "troupe infer digits_mlp image=examples/inputs/digit_3_scan.png --invert\n"
               "troupe infer digits_cnn image=examples/inputs/digit_3.npy --top 3\n"
               "troupe infer add 'x=[1,2,3]' y=4\n"
               "troupe infer lookup word=cat --curl",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = INPUTS_MAX,
    .run = run,
};

static const struct cli_option explain_options[] = {
    CLI_SERVER_OPTION,
    CLI_REQUEST_OPTIONS,
    { "output", 'o', CLI_LIST, "NAME", "an output that the request would ask for" },
    { "protocol", 0, CLI_TEXT, "NAME",
      "how the request would come: http (the default), grpc, or internal: asked by the server "
      "itself" },
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
};

const struct cli_command cmd_explain = {
    .name = "explain",
    .operands = "NAME INPUT=VALUE...",
    .help = "show which rule of a route, or which steps of a composition, a request would take",
    .details = "The request is written as for troupe infer.  The server decides as it would for "
               "the request\n"
               "itself; no model is asked, and nothing is counted.  Of an ensemble, cascade or "
               "pipeline\n"
               "steps are marked: -> is done, ? depends on what others make, and the rest is not "
               "done.",
    .example = "troupe explain recommend 'user=[17]' --param purchases=0\n"
               "troupe explain describe content=@picture.png\n"
               "troupe explain recommend 'user=[17]' --header troupe-tenant=gold --json",
    .options = explain_options,
    .options_n = ARRAY_LEN(explain_options),
    .operands_min = 1,
    .operands_max = INPUTS_MAX,
    .run = run,
};
