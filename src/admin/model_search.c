/* admin/model_search.c - which models do what is wanted?
 *
 * The list of all models, narrowed by a wish, page by page: by name, then by version, so that a
 * page begins where the one before ended, whatever was loaded meanwhile.  It is written from the
 * loop's snapshot without stopping, so a page and a look through the names each have an end: a
 * page may be short, or empty, and still name the next one. */
#include "admin/admin_internal.h"
#include "base/json_members.h"
#include "model/wish.h"
#include "tensor/dtype.h"

#define LIMIT_MAX 1000u  /* models of one page */
#define LOOKS_MAX 20000u /* versions that one page looks at: some milliseconds */
#define PAGE_BYTES_MAX ((size_t)64 << 20)

static const struct trp_str nothing = { NULL, 0 };

/* What api_state() says, for whoever asks for one. */
static const char *const states[] = { "READY",  "LOADING", "WARMING",  "DRAINING",
                                      "FAILED", "COLD",    "UNLOADED", "WAITING" };

struct model_search {
    struct trp_wish wish;
    struct trp_str state; /* empty: any */
    uint64_t limit;
    struct trp_str from_name; /* of the page before: what comes next */
    int64_t from_version;

    struct trp_buf out;
    uint32_t found_n, looked_n;
    struct trp_str
        next_name; /* where the next page begins; borrowed from the snapshot; NULL: no more */
    int64_t next_version;
};

/* ---- the question ---- */

static trp_status refuse_word(const char *key, struct trp_str word, const char *known,
                              struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "query: %s '%.*s' is none of %s", key,
                    (int)(word.len < 80 ? word.len : 80), word.ptr, known);
}

static trp_status read_input(const struct trp_node *q, struct trp_wish *w, struct trp_error *err)
{
    const struct trp_str kind = trp_node_str(q, "input", nothing);
    const struct trp_str dtype = trp_node_str(q, "dtype", nothing);
    w->kind = kind.len ? trp_input_kind_parse(kind) : TRP_INPUT_KINDS;
    if (kind.len && w->kind == TRP_INPUT_KINDS)
        return refuse_word("input", kind, "image, text, audio, tensor", err);
    w->dtype = dtype.len ? (int32_t)trp_dtype_parse(dtype) : TROUPE_NO_DTYPE;
    if (dtype.len && w->dtype == TROUPE_NO_DTYPE)
        return refuse_word("dtype", dtype,
                           "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, "
                           "BF16, FP32, FP64, BYTES",
                           err);
    if (trp_node_get(q, "shape"))
        TRP_CHECK(trp_wish_read_shape(w, trp_node_str(q, "shape", nothing), err));
    return trp_ok();
}

static trp_status read_tags(struct trp_control *c, struct trp_wish *w, struct trp_error *err)
{
    const struct trp_node *list = trp_node_get(c->request, "tag");
    if (!list)
        return trp_ok();
    struct trp_str *tags = trp_arena_zeroed(c->arena, list->children_n, sizeof *tags);
    if (!tags)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
    for (const struct trp_node *n = list->first; n; n = n->next)
        tags[w->tags_n++] = n->v.s;
    w->tags = tags;
    return trp_ok();
}

static trp_status read_state(const struct trp_node *q, struct trp_str *out, struct trp_error *err)
{
    *out = trp_node_str(q, "state", nothing);
    if (out->len == 0)
        return trp_ok();
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (trp_str_is_equal_nocase(*out, trp_str_of(states[i]))) {
            *out = trp_str_of(states[i]);
            return trp_ok();
        }
    return refuse_word("state", *out,
                       "READY, LOADING, WARMING, DRAINING, FAILED, COLD, UNLOADED, WAITING", err);
}

/* "name/version": names may have slashes, versions have none. */
static trp_status read_token(const struct trp_node *q, struct model_search *s,
                             struct trp_error *err)
{
    const struct trp_str token = trp_node_str(q, "page_token", nothing);
    size_t slash = token.len;
    while (slash && token.ptr[slash - 1] != '/')
        slash--;
    if (token.len == 0)
        return trp_ok();
    if (slash < 2 ||
        !trp_str_parse_i64(trp_str_make(token.ptr + slash, token.len - slash), &s->from_version))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "query: page_token '%.*s' is none that a page named",
                        (int)(token.len < 80 ? token.len : 80), token.ptr);
    s->from_name = trp_str_make(token.ptr, slash - 1);
    return trp_ok();
}

static trp_status read_search(struct trp_control *c, struct model_search *s, struct trp_error *err)
{
    const struct trp_node *q = c->request;
    const struct trp_str limit = trp_node_str(q, "limit", nothing);
    s->wish.task = trp_node_str(q, "task", nothing);
    s->wish.name = trp_node_str(q, "name", nothing);
    s->limit = LIMIT_MAX;
    TRP_CHECK(read_input(q, &s->wish, err));
    TRP_CHECK(read_tags(c, &s->wish, err));
    TRP_CHECK(read_state(q, &s->state, err));
    if (limit.len && (!trp_str_parse_u64(limit, &s->limit) || s->limit < 1 || s->limit > LIMIT_MAX))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "query: limit '%.*s' is no number from 1 to %u",
                        (int)(limit.len < 40 ? limit.len : 40), limit.ptr, LIMIT_MAX);
    return read_token(q, s, err);
}

/* ---- the answer ---- */

/* NEW is a word of the code's.  Whoever reads the list wants to know whether it is for somebody to
 * act: to load what nobody asked for yet, or to mend what is wrong with its files. */
static const char *api_state(const struct trp_entry *e, const struct trp_version *v)
{
    const enum trp_model_state state = v ? trp_lifecycle_get(&v->life) : TRP_MODEL_NEW;
    if (state != TRP_MODEL_NEW)
        return trp_model_state_name(state);
    if (v && trp_version_counts_as_ready(v))
        return "COLD";
    const bool is_wrong = trp_str_of(e->reason).len > 0 || (v && v->failure != 0);
    if (is_wrong && !e->is_unloaded)
        return "FAILED";
    return e->wanted ? "WAITING" : "UNLOADED";
}

static void add_tensor(struct trp_buf *b, const struct trp_io *io, const struct trp_card *card)
{
    bool is_derived = false;
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "name", io->name);
    trp_json_add_str(b, "datatype", trp_str_of(trp_dtype_name(io->dtype)));
    trp_json_add_key(b, "shape");
    trp_buf_add_char(b, '[');
    for (uint32_t d = 0; !io->any_rank && d < io->rank; d++) {
        if (d)
            trp_buf_add_char(b, ',');
        trp_buf_add_i64(b, io->dims[d]);
    }
    trp_buf_add_char(b, ']');
    if (io->any_rank)
        trp_buf_add_text(b, ",\"any_rank\":true");
    if (card) {
        trp_json_add_str(b, "kind",
                         trp_str_of(trp_input_kind_name(trp_card_kind_of(card, io, &is_derived))));
        trp_buf_addf(b, ",\"kind_from\":\"%s\"", is_derived ? "signature" : "owner");
    }
    trp_buf_add_char(b, '}');
}

static void add_tensors(struct trp_buf *b, const char *key, const struct trp_io *ios, uint32_t n,
                        const struct trp_card *card)
{
    trp_json_add_key(b, key);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        add_tensor(b, &ios[i], card);
    }
    trp_buf_add_char(b, ']');
}

static void add_card(struct trp_buf *b, const struct trp_card *card)
{
    if (card->task.len)
        trp_json_add_str(b, "task", card->task);
    for (uint32_t i = 0; i < card->tags_n; i++) {
        trp_buf_add_text(b, i ? "," : ",\"tags\":[");
        trp_json_write_str(b, card->tags[i]);
    }
    if (card->tags_n)
        trp_buf_add_char(b, ']');
    if (card->description.len)
        trp_json_add_str(b, "description", card->description);
    if (!card->quality.name.len)
        return;
    trp_json_add_key(b, "quality");
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "name", card->quality.name);
    trp_json_add_key(b, "value");
    trp_json_write_f64(b, card->quality.value);
    trp_buf_addf(b, ",\"lower_is_better\":%s}", card->quality.lower_is_better ? "true" : "false");
}

static void add_found(struct model_search *s, const struct trp_entry *e,
                      const struct trp_version *v, const char *state, struct trp_str reason)
{
    struct trp_buf *b = &s->out;
    trp_buf_add_text(b, s->found_n++ ? ",{" : "{");
    trp_json_add_str(b, "name", e->name);
    if (v)
        trp_json_add_i64(b, "version", v->target.version);
    trp_json_add_str(b, "state", trp_str_of(state));
    trp_json_add_str(b, "reason", reason);
    trp_buf_addf(b, ",\"wanted\":%s", e->wanted ? "true" : "false");
    const struct trp_version *face = v ? trp_version_face(v) : NULL;
    if (face) {
        const struct trp_signature *sig = &face->signature;
        add_card(b, &face->config.card);
        add_tensors(b, "inputs", sig->inputs, sig->inputs_n, &face->config.card);
        add_tensors(b, "outputs", sig->outputs, sig->outputs_n, NULL);
    }
    if (v) {
        trp_json_add_i64(b, "weights_bytes", (int64_t)trp_counter_get(&v->weights.bytes));
        trp_json_add_i64(b, "inferences",
                         (int64_t)trp_counter_get(&trp_version_counts(v)->inference_count));
        trp_json_add_i64(b, "run_ns", trp_version_run_ns(v));
    }
    trp_buf_add_char(b, '}');
}

/* False: the page is full, and this one is the first of the next. */
static bool look(struct model_search *s, const struct trp_entry *e, const struct trp_version *v)
{
    static const struct trp_card no_card = { 0 };
    static const struct trp_signature no_signature = { 0 };
    const struct trp_version *face = v ? trp_version_face(v) : NULL;
    const struct trp_str reason = trp_admin_reason(e, v);
    const char *state = api_state(e, v);
    if (s->looked_n++ == LOOKS_MAX) {
        s->next_name = e->name;
        s->next_version = v ? v->target.version : 0;
        return false;
    }
    if ((s->state.len && !trp_str_is(s->state, state)) ||
        !trp_wish_fits(&s->wish, e->name, face ? &face->config.card : &no_card,
                       face ? &face->signature : &no_signature))
        return true;
    if (s->found_n == s->limit) {
        s->next_name = e->name;
        s->next_version = v ? v->target.version : 0;
        return false;
    }
    add_found(s, e, v, state, reason);
    return true;
}

static bool look_at_entry(void *user, const struct trp_entry *e)
{
    struct model_search *s = user;
    const bool is_first = trp_str_is_equal(e->name, s->from_name);
    if (e->versions_n == 0)
        return look(s, e, NULL);
    for (uint32_t i = 0; i < e->versions_n; i++) {
        if (is_first && e->versions[i]->target.version < s->from_version)
            continue;
        if (!look(s, e, e->versions[i]))
            return false;
    }
    return true;
}

/* `is_listed` is as it was before the snapshot was looked at, which has it all then. */
static void write_page(struct model_search *s, const struct trp_snapshot *snapshot, bool is_listed)
{
    struct trp_buf *b = &s->out;
    trp_buf_add_text(b, "{\"models\":[");
    trp_snapshot_walk(snapshot, s->from_name, look_at_entry, s);
    trp_buf_add_char(b, ']');
    if (s->next_name.len) {
        struct trp_buf token;
        trp_buf_init(&token, b->alloc, 65536);
        trp_buf_add_str(&token, s->next_name);
        trp_buf_add_char(&token, '/');
        trp_buf_add_i64(&token, s->next_version);
        trp_json_add_str(b, "next_page_token", trp_buf_str(&token));
        b->failed = b->failed ? b->failed : token.failed;
        trp_buf_deinit(&token);
    }
    trp_json_add_bool(b, "listed", is_listed);
    trp_buf_add_char(b, '}');
}

trp_status trp_answer_api_models(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    struct model_search s = { .looked_n = 0 };
    const bool is_listed = trp_life_is_listed(a->opts.life);
    TRP_CHECK(read_search(c, &s, err));
    trp_buf_init(&s.out, a->alloc, PAGE_BYTES_MAX);
    write_page(&s, trp_admin_snapshot(a, c), is_listed);
    return trp_control_reply_take(c, &s.out, "list of models", err);
}
