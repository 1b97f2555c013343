/* cli/cmd_calibrate.c - troupe calibrate: asks a cheap and a large model the same, and says which
 * threshold a cascade of them needs.
 *
 * Both are asked through the server, some rows at a time; what each cost is taken from its
 * statistics, so that neither the way nor other requests' time counts, but for those that asked
 * the same models meanwhile. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/tensor_file.h"
#include "compose/calibration.h"
#include "compose/confidence.h"
#include "compose/numbers.h"
#include "tensor/dtype.h"

#define INPUTS_MAX 16
#define REQUEST_BYTES_MAX ((size_t)1 << 30)
#define JSON_DEPTH_MAX 32

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "output", 'o', CLI_TEXT, "NAME", "the output of classes; default: probabilities" },
    { "agreement", 'a', CLI_TEXT, "PERCENT",
      "how often the cascade must say what the large model says; default 99" },
    { "confidence", 'c', CLI_TEXT, "KIND", "max, margin or entropy; default max" },
    { "logits", 0, CLI_FLAG, NULL, "the output is logits, not probabilities" },
    { "rows", 'r', CLI_TEXT, "N", "rows of a request; default 32" },
};

struct sample {
    struct trp_str name;
    struct troupe_tensor tensor;
};

struct calibrator {
    struct cli *cli;
    struct trp_json_parser *parser;
    struct sample inputs[INPUTS_MAX];
    uint32_t inputs_n;
    uint64_t rows, step, classes;
    const char *output;
    bool is_local; /* what is going on concerns operands, not the server */
};

/* ---- operands ---- */

static trp_status read_operand(struct calibrator *c, const char *operand, struct trp_error *err)
{
    const char *equals = strchr(operand, '=');
    struct sample *s = &c->inputs[c->inputs_n];
    if (!equals || equals == operand)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%s' is not NAME=FILE.npy", operand);
    s->name = trp_str_make(operand, (size_t)(equals - operand));
    TRP_CHECK(cli_read_npy(&c->cli->arena, equals + 1, &s->tensor, err));
    const struct troupe_tensor *t = &s->tensor;
    if (t->rank == 0 || t->shape[0] < 1 || trp_dtype_bytes(t->dtype) == 0 ||
        (c->rows != 0 && (uint64_t)t->shape[0] != c->rows))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%s': a sample has rows of numbers, and as many as the others", operand);
    c->rows = (uint64_t)t->shape[0];
    c->inputs_n++;
    return trp_ok();
}

static trp_status read_number(const struct cli *cli, const char *name, double low, double high,
                              double *io, struct trp_error *err)
{
    const char *text = cli_text(cli, name, NULL);
    if (!text || (trp_str_parse_f64(trp_str_of(text), io) && *io >= low && *io <= high))
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "--%s is a number from %g to %g, not '%s'", name,
                    low, high, text);
}

/* ---- asking ---- */

static void write_head(const struct calibrator *c, uint64_t count, struct trp_buf *b)
{
    trp_buf_add_text(b, "{\"inputs\":[");
    for (uint32_t i = 0; i < c->inputs_n; i++) {
        const struct troupe_tensor *t = &c->inputs[i].tensor;
        trp_buf_add_text(b, i ? ",{\"name\":" : "{\"name\":");
        trp_json_write_str(b, c->inputs[i].name);
        trp_buf_addf(b, ",\"datatype\":\"%s\",\"shape\":[%llu", trp_dtype_name(t->dtype),
                     (unsigned long long)count);
        for (uint32_t d = 1; d < t->rank; d++)
            trp_buf_addf(b, ",%lld", (long long)t->shape[d]);
        trp_buf_addf(b, "],\"parameters\":{\"binary_data_size\":%llu}}",
                     (unsigned long long)t->bytes / c->rows * count);
    }
    trp_buf_add_text(b, "],\"outputs\":[{\"name\":");
    trp_json_write_str(b, trp_str_of(c->output));
    trp_buf_add_text(b, "}]}");
}

/* The flat values of the only output, added to the others as doubles. */
static trp_status read_values(struct calibrator *c, struct trp_str body, uint64_t count,
                              struct trp_buf *values, struct trp_error *err)
{
    struct trp_json root, list, output, data, v;
    struct trp_json_iter it;
    struct trp_str type = { NULL, 0 };
    double value;
    TRP_CHECK(trp_json_parse(c->parser, body, false, &root, err));
    const bool has_data = trp_json_find(root, "outputs", &list) && trp_json_begin(list, &it) &&
                          trp_json_next(&it, NULL, &output) && trp_json_find(output, "data", &data);
    const uint64_t all = has_data ? trp_json_count(data) : 0;
    if (has_data && trp_json_find(output, "datatype", &v) && trp_json_as_str(v, &type) &&
        !trp_numbers_is_float((int32_t)trp_dtype_parse(type)))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "output '%s' is %.*s: labels do not say how sure a model is; --output "
                        "names one of probabilities",
                        c->output, TRP_STR(type));
    if (all == 0 || all % count != 0 || (c->classes != 0 && all / count != c->classes))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "output '%s' is no [rows, classes], or of other classes than the other "
                        "model's",
                        c->output);
    c->classes = all / count;
    bool more = trp_json_begin(data, &it);
    while (more && trp_json_next(&it, NULL, &v)) {
        if (!trp_json_as_f64(v, &value))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "output '%s' is no numbers", c->output);
        trp_buf_add(values, (const char *)&value, sizeof value);
    }
    return trp_buf_check(values, "the answers", err);
}

static trp_status ask_some(struct calibrator *c, const char *model, uint64_t first, uint64_t count,
                           struct trp_buf *values, struct trp_error *err)
{
    struct trp_buf b;
    struct cli_reply reply;
    trp_buf_init(&b, trp_heap(), REQUEST_BYTES_MAX);
    write_head(c, count, &b);
    const int64_t json_bytes = (int64_t)b.len;
    for (uint32_t i = 0; i < c->inputs_n; i++) {
        const struct troupe_tensor *t = &c->inputs[i].tensor;
        const uint64_t width = t->bytes / c->rows;
        trp_buf_add(&b, (const char *)t->data + first * width, (size_t)(count * width));
    }
    const struct cli_request request = { .method = "POST",
                                         .path = cli_path(c->cli, "/v2/models/%s/infer", model),
                                         .body = trp_buf_str(&b),
                                         .json_bytes = json_bytes };
    trp_status st = trp_buf_check(&b, "the request", err);
    if (!trp_failed(st))
        st = cli_ask(c->cli, &request, &reply, err);
    trp_buf_deinit(&b);
    return trp_failed(st) ? st : read_values(c, reply.body, count, values, err);
}

/* What all runs of a model took so far. */
static trp_status read_cost(struct calibrator *c, const char *model, double *out_ns,
                            struct trp_error *err)
{
    struct cli_reply reply;
    struct trp_json root, list, entry, stats, part, v;
    struct trp_json_iter it;
    int64_t ns = 0;
    const struct cli_request request = { .method = "GET",
                                         .path = cli_path(c->cli, "/v2/models/%s/stats", model),
                                         .json_bytes = -1 };
    TRP_CHECK(cli_ask(c->cli, &request, &reply, err));
    TRP_CHECK(trp_json_parse(c->parser, reply.body, false, &root, err));
    if (trp_json_find(root, "model_stats", &list) && trp_json_begin(list, &it) &&
        trp_json_next(&it, NULL, &entry) && trp_json_find(entry, "inference_stats", &stats) &&
        trp_json_find(stats, "compute_infer", &part) && trp_json_find(part, "ns", &v))
        (void)trp_json_as_i64(v, &ns);
    *out_ns = (double)ns;
    return trp_ok();
}

/* All rows of one model, and what a row cost; the first ones are asked twice, because a first
 * run costs more. */
static trp_status ask_all(struct calibrator *c, const char *model, struct trp_buf *values,
                          double *out_ns, struct trp_error *err)
{
    double before, after;
    TRP_CHECK(ask_some(c, model, 0, c->rows < c->step ? c->rows : c->step, values, err));
    trp_buf_reset(values);
    TRP_CHECK(read_cost(c, model, &before, err));
    for (uint64_t first = 0; first < c->rows; first += c->step) {
        const uint64_t left = c->rows - first;
        TRP_CHECK(ask_some(c, model, first, left < c->step ? left : c->step, values, err));
    }
    TRP_CHECK(read_cost(c, model, &after, err));
    *out_ns = (after - before) / (double)c->rows;
    return trp_ok();
}

/* ---- the threshold ---- */

static uint64_t largest(const double *row, uint64_t n)
{
    uint64_t best = 0;
    for (uint64_t i = 1; i < n; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

static trp_status compare(struct calibrator *c, const struct trp_buf *cheap,
                          const struct trp_buf *large, enum trp_confidence_kind kind,
                          struct trp_calibration_row *rows, struct trp_error *err)
{
    const double *a = (const double *)(const void *)cheap->ptr,
                 *b = (const double *)(const void *)large->ptr;
    const struct troupe_tensor t = { .dtype = TROUPE_FP64,
                                     .rank = 2,
                                     .shape = { (int64_t)c->rows, (int64_t)c->classes },
                                     .data = cheap->ptr,
                                     .bytes = cheap->len };
    double *sure = trp_arena_zeroed(&c->cli->arena, c->rows, sizeof *sure);
    if (!sure)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for %llu rows",
                        (unsigned long long)c->rows);
    TRP_CHECK(trp_confidence_rows(kind, cli_flag(c->cli, "logits"), &t, sure, c->rows, err));
    for (uint64_t i = 0; i < c->rows; i++)
        rows[i] =
            (struct trp_calibration_row){ sure[i], largest(a + i * c->classes, c->classes) ==
                                                       largest(b + i * c->classes, c->classes) };
    return trp_ok();
}

/* Rounded up, so that no more rows than those counted are the cheap model's. */
static double rounded(double threshold)
{
    return ceil(threshold * 1e6) / 1e6;
}

/* Of a few rows one more or less is much. */
static void warn_few(const struct calibrator *c, double target)
{
    const uint64_t wanted = trp_calibration_rows(target);
    const double shown = c->rows > 3 ? 1 - 3 / (double)c->rows : 0;
    if (wanted == UINT64_MAX)
        fprintf(stderr,
                "troupe calibrate: no number of rows says that --agreement %g holds for others as "
                "well: %llu rows say %.4g at most\n",
                100 * target, (unsigned long long)c->rows, 100 * shown);
    else if (c->rows < wanted)
        fprintf(stderr,
                "troupe calibrate: %llu rows say little: that --agreement %g holds for others as "
                "well takes some %llu at least\n",
                (unsigned long long)c->rows, 100 * target, (unsigned long long)wanted);
}

static void print(const struct calibrator *c, const struct trp_calibration *found,
                  const double *cost_ns, const char *kind)
{
    const char *cheap = c->cli->operands[0], *large = c->cli->operands[1];
    const double cost = cost_ns[1] > 0 ? cost_ns[0] / cost_ns[1] + (1 - found->share) : 1;
    printf("%llu rows; %s costs %.1f us a row, %s %.1f us\n", (unsigned long long)c->rows, cheap,
           cost_ns[0] / 1e3, large, cost_ns[1] / 1e3);
    printf("threshold %.6g: %s answers %.1f %% of the rows, the cascade says what %s says on "
           "%.2f %%, and costs %.2f of it\n\n",
           rounded(found->threshold), cheap, 100 * found->share, large, 100 * found->agreement,
           cost);
    if (cost >= 1)
        fprintf(stderr,
                "troupe calibrate: nothing is gained: the cascade costs more than %s alone\n",
                large);
    printf("cascades:\n  NAME: { steps: [%s, %s], output: %s, confidence: %s, threshold: %.6g, "
           "per: row%s }\n",
           cheap, large, c->output, kind, rounded(found->threshold),
           cli_flag(c->cli, "logits") ? ", logits: true" : "");
}

static trp_status calibrate(struct calibrator *c, enum trp_confidence_kind kind, double target,
                            struct trp_buf *answers, struct trp_error *err)
{
    struct trp_calibration found;
    double cost_ns[2];
    c->is_local = true;
    for (uint32_t i = 2; i < c->cli->operands_n; i++)
        TRP_CHECK(read_operand(c, c->cli->operands[i], err));
    c->is_local = false;
    for (uint32_t i = 0; i < 2; i++)
        TRP_CHECK(ask_all(c, c->cli->operands[i], &answers[i], &cost_ns[i], err));
    c->is_local = true;
    struct trp_calibration_row *rows = trp_arena_zeroed(&c->cli->arena, c->rows, sizeof *rows);
    if (!rows)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for %llu rows",
                        (unsigned long long)c->rows);
    TRP_CHECK(compare(c, &answers[0], &answers[1], kind, rows, err));
    trp_calibration_find(rows, c->rows, target, &found);
    warn_few(c, target);
    if (found.threshold > 1)
        return trp_fail(err, TRP_OUT_OF_RANGE,
                        "no threshold: where %s is surest it disagrees with %s, and %.2f %% is "
                        "what they can agree on",
                        c->cli->operands[0], c->cli->operands[1], 100 * found.reachable);
    print(c, &found, cost_ns, trp_confidence_name(kind));
    return trp_ok();
}

/* The first operand that is not NAME=FILE.npy; NULL: all are. */
static const char *wrong_operand(const struct cli *cli)
{
    for (uint32_t i = 2; i < cli->operands_n; i++)
        if (cli->operands[i][0] == '=' || !strchr(cli->operands[i], '='))
            return cli->operands[i];
    return NULL;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct calibrator *c = trp_arena_zeroed(&cli->arena, 1, sizeof *c);
    enum trp_confidence_kind kind;
    double agreement = 99, rows = 32;
    struct trp_buf answers[2];
    if (wrong_operand(cli))
        return cli_usage(cli, "'%s' is not NAME=FILE.npy", wrong_operand(cli));
    if (!trp_confidence_parse(trp_str_of(cli_text(cli, "confidence", "max")), &kind))
        return cli_usage(cli, "--confidence is max, margin or entropy");
    if (trp_failed(read_number(cli, "agreement", 0, 100, &agreement, &err)) ||
        trp_failed(read_number(cli, "rows", 1, 65536, &rows, &err)))
        return cli_usage(cli, "%s", err.text);
    if (!c ||
        trp_failed(trp_json_parser_create(REQUEST_BYTES_MAX, JSON_DEPTH_MAX, &c->parser, &err)))
        return cli_usage(cli, "out of memory");
    c->cli = cli;
    c->step = (uint64_t)rows;
    c->output = cli_text(cli, "output", "probabilities");
    for (uint32_t i = 0; i < 2; i++)
        trp_buf_init(&answers[i], trp_heap(), REQUEST_BYTES_MAX);
    const trp_status st = calibrate(c, kind, agreement / 100, answers, &err);
    for (uint32_t i = 0; i < 2; i++)
        trp_buf_deinit(&answers[i]);
    trp_json_parser_destroy(c->parser);
    if (!trp_failed(st))
        return CLI_OK;
    return c->is_local ? cli_fail(cli, &err, NULL) : cli_fail_asking(cli, &err);
}

const struct cli_command cmd_calibrate = {
    .name = "calibrate",
    .operands = "CHEAP LARGE NAME=FILE.npy...",
    .help = "find the threshold of a cascade: when a cheap model's word is enough",
    .details =
        "Both models are asked about the rows of the files.  The lowest threshold is printed "
        "at which a\n"
        "cascade of them says what LARGE says as often as --agreement asks for, and what it "
        "costs then.",
    .example = "troupe calibrate digits_linear digits_cnn image=sample.npy --agreement 99.5",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 3,
    .operands_max = 2 + INPUTS_MAX,
    .run = run,
};
