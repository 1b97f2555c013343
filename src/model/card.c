/* model/card.c - see card.h.
 *
 * Two sources with two tempers: what the owner wrote is refused when it is wrong, with file and
 * line; what a file says of itself was written for others, in their words, and what cannot be
 * used is passed over. */
#include "model/card.h"

#include <math.h>

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what the model is for");
}

bool trp_card_is_word(struct trp_str s)
{
    if (s.len == 0 || s.len > TRP_CARD_WORD_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || memchr("-_.", c, 3)))
            return false;
    }
    return true;
}

static trp_status keep(struct trp_arena *a, struct trp_str s, struct trp_str *out,
                       struct trp_error *err)
{
    *out = s.len ? trp_arena_dup(a, s) : (struct trp_str){ 0 };
    return s.len && !out->ptr ? no_memory(err) : trp_ok();
}

/* ---- from the configuration ---- */

static trp_status take_word(struct trp_arena *a, const struct trp_node *node, const char *what,
                            struct trp_str *out, struct trp_error *err)
{
    if (!trp_card_is_word(node->v.s))
        return trp_node_fail(node, err, TRP_INVALID_ARGUMENT,
                             "%s is \"%.*s\"; it is 1 to %u small letters, digits, '-', '_', '.'",
                             what, (int)(node->v.s.len < 80 ? node->v.s.len : 80), node->v.s.ptr,
                             TRP_CARD_WORD_MAX);
    return keep(a, node->v.s, out, err);
}

static trp_status take_tags(struct trp_arena *a, const struct trp_node *list, struct trp_card *card,
                            struct trp_error *err)
{
    if (list->children_n > TRP_CARD_TAGS_MAX)
        return trp_node_fail(list, err, TRP_INVALID_ARGUMENT, "%u tags; there may be %u",
                             list->children_n, TRP_CARD_TAGS_MAX);
    struct trp_str *tags = trp_arena_zeroed(a, list->children_n + (size_t)1, sizeof *tags);
    if (!tags)
        return no_memory(err);
    for (const struct trp_node *n = list->first; n; n = n->next)
        TRP_CHECK(take_word(a, n, "a tag", &tags[card->tags_n++], err));
    card->tags = tags;
    return trp_ok();
}

static trp_status take_quality(struct trp_arena *a, const struct trp_node *node,
                               struct trp_quality *out, struct trp_error *err)
{
    const struct trp_node *name = trp_node_get(node, "name");
    const struct trp_node *value = trp_node_get(node, "value");
    if (!name || !value)
        return trp_node_fail(node, err, TRP_INVALID_ARGUMENT,
                             "quality has a name and a value: {name: accuracy, value: 0.97}");
    out->value = trp_node_f64(node, "value", NAN);
    out->lower_is_better = trp_node_bool(node, "lower_is_better", false);
    if (!isfinite(out->value))
        return trp_node_fail(value, err, TRP_INVALID_ARGUMENT, "quality: the value is no number");
    return take_word(a, name, "quality's name", &out->name, err);
}

static trp_status take_kinds(struct trp_arena *a, const struct trp_node *written,
                             struct trp_card *card, struct trp_error *err)
{
    const struct trp_node *map = trp_node_get(written, "input_kinds");
    const struct trp_node *inputs = trp_node_get(written, "input");
    const size_t most = (map ? map->children_n : 0) + (size_t)(inputs ? inputs->children_n : 0);
    if (most == 0)
        return trp_ok();
    struct trp_card_kind *kinds = trp_arena_zeroed(a, most, sizeof *kinds);
    if (!kinds)
        return no_memory(err);
    card->kinds = kinds;
    for (const struct trp_node *n = map ? map->first : NULL; n; n = n->next) {
        const enum trp_input_kind kind = trp_input_kind_parse(n->v.s);
        if (kind == TRP_INPUT_KINDS)
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                                 "input_kinds: \"%.*s\" is none of image, text, audio, tensor",
                                 (int)(n->v.s.len < 80 ? n->v.s.len : 80), n->v.s.ptr);
        kinds[card->kinds_n].kind = kind;
        TRP_CHECK(keep(a, n->key, &kinds[card->kinds_n++].input, err));
    }
    for (const struct trp_node *n = inputs ? inputs->first : NULL; n; n = n->next) {
        const struct trp_str none = { 0 }, format = trp_node_str(n, "format", none);
        if (!trp_str_is(format, "FORMAT_NCHW") && !trp_str_is(format, "FORMAT_NHWC"))
            continue;
        kinds[card->kinds_n].kind = TRP_INPUT_IMAGE;
        TRP_CHECK(keep(a, trp_node_str(n, "name", none), &kinds[card->kinds_n++].input, err));
    }
    return trp_ok();
}

trp_status trp_card_from_config(struct trp_arena *a, const struct trp_node *written,
                                struct trp_card *out, struct trp_error *err)
{
    struct trp_card card = { 0 };
    const struct trp_node *task = trp_node_get(written, "task");
    const struct trp_node *text = trp_node_get(written, "description");
    const struct trp_node *tags = trp_node_get(written, "tags");
    const struct trp_node *quality = trp_node_get(written, "quality");
    if (task && task->v.s.len)
        TRP_CHECK(take_word(a, task, "task", &card.task, err));
    if (text && text->v.s.len > TRP_CARD_TEXT_MAX)
        return trp_node_fail(text, err, TRP_INVALID_ARGUMENT,
                             "description has %zu bytes; it may have %u", text->v.s.len,
                             TRP_CARD_TEXT_MAX);
    if (text)
        TRP_CHECK(keep(a, text->v.s, &card.description, err));
    if (tags && tags->first)
        TRP_CHECK(take_tags(a, tags, &card, err));
    if (quality)
        TRP_CHECK(take_quality(a, quality, &card.quality, err));
    TRP_CHECK(take_kinds(a, written, &card, err));
    *out = card;
    return trp_ok();
}

/* ---- from the file ---- */

static struct trp_str trimmed(struct trp_str s)
{
    while (s.len && memchr(" \t\r\n", s.ptr[0], 4))
        s = trp_str_make(s.ptr + 1, s.len - 1);
    while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4))
        s.len--;
    return s;
}

static struct trp_str property(const struct trp_onnx_model *m, const char *key)
{
    for (uint32_t i = 0; i < m->metadata_n; i++)
        if (trp_str_is_equal_nocase(m->metadata[i].key, trp_str_of(key)))
            return trimmed(m->metadata[i].value);
    return (struct trp_str){ 0 };
}

/* Small letters, and '-' for blanks; false when that makes no word. */
static bool as_word(struct trp_str s, char *out, struct trp_str *word)
{
    s = trimmed(s);
    if (s.len == 0 || s.len > TRP_CARD_WORD_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == ' ' ? '-' : c;
    }
    *word = trp_str_make(out, s.len);
    return trp_card_is_word(*word);
}

static trp_status read_task(struct trp_arena *a, const struct trp_onnx_model *m,
                            struct trp_card *card, struct trp_error *err)
{
    static const char *const ours[][2] = { { "detect", "detection" },
                                           { "object-detection", "detection" },
                                           { "segment", "segmentation" },
                                           { "image-segmentation", "segmentation" },
                                           { "classify", "classification" },
                                           { "image-classification", "classification" },
                                           { "feature-extraction", "embedding" },
                                           { "sentence-similarity", "embedding" },
                                           { "text-ranking", "ranking" } };
    char text[TRP_CARD_WORD_MAX];
    struct trp_str word;
    if (!as_word(property(m, "task"), text, &word))
        return trp_ok();
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (trp_str_is(word, ours[i][0])) {
            card->task = trp_str_of(ours[i][1]);
            return trp_ok();
        }
    return keep(a, word, &card->task, err);
}

static trp_status read_tags(struct trp_arena *a, const struct trp_onnx_model *m,
                            struct trp_card *card, struct trp_error *err)
{
    struct trp_str rest = property(m, "tags");
    if (rest.len == 0)
        return trp_ok();
    struct trp_str *tags = trp_arena_zeroed(a, TRP_CARD_TAGS_MAX, sizeof *tags);
    if (!tags)
        return no_memory(err);
    card->tags = tags;
    while (rest.len && card->tags_n < TRP_CARD_TAGS_MAX) {
        char text[TRP_CARD_WORD_MAX];
        const char *comma = memchr(rest.ptr, ',', rest.len);
        const size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
        struct trp_str word;
        if (as_word(trp_str_make(rest.ptr, len), text, &word))
            TRP_CHECK(keep(a, word, &tags[card->tags_n++], err));
        rest = trp_str_make(rest.ptr + len + (comma != NULL), rest.len - len - (comma != NULL));
    }
    return trp_ok();
}

static trp_status read_quality(struct trp_arena *a, const struct trp_onnx_model *m,
                               struct trp_card *card, struct trp_error *err)
{
    const struct trp_str said = property(m, "quality");
    const char *equals = said.len ? memchr(said.ptr, '=', said.len) : NULL;
    char text[TRP_CARD_WORD_MAX];
    struct trp_str name;
    double value = NAN;
    if (!equals)
        return trp_ok();
    const size_t at = (size_t)(equals - said.ptr);
    const struct trp_str number = trimmed(trp_str_make(equals + 1, said.len - at - 1));
    if (!as_word(trp_str_make(said.ptr, at), text, &name) || !trp_str_parse_f64(number, &value) ||
        !isfinite(value))
        return trp_ok();
    card->quality.value = value;
    return keep(a, name, &card->quality.name, err);
}

/* The start of a text, cut between characters; not UTF-8: nothing. */
static struct trp_str cut_text(struct trp_str s)
{
    size_t len = 0;
    while (len < s.len) {
        const size_t step = trp_str_utf8_length(s.ptr + len, s.len - len);
        if (step == 0)
            return (struct trp_str){ 0 };
        if (len + step > TRP_CARD_TEXT_MAX)
            break;
        len += step;
    }
    return trp_str_make(s.ptr, len);
}

static trp_status read_kinds(struct trp_arena *a, const struct trp_onnx_model *m,
                             struct trp_card *card, struct trp_error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->inputs_n; i++)
        n += m->inputs[i].denotation.len > 0;
    if (n == 0)
        return trp_ok();
    struct trp_card_kind *kinds = trp_arena_zeroed(a, n, sizeof *kinds);
    if (!kinds)
        return no_memory(err);
    card->kinds = kinds;
    for (uint32_t i = 0; i < m->inputs_n; i++) {
        const enum trp_input_kind kind = trp_input_kind_parse(m->inputs[i].denotation);
        if (kind == TRP_INPUT_KINDS)
            continue;
        kinds[card->kinds_n].kind = kind;
        TRP_CHECK(keep(a, m->inputs[i].io.name, &kinds[card->kinds_n++].input, err));
    }
    return trp_ok();
}

trp_status trp_card_from_file(struct trp_arena *a, const struct trp_onnx_model *model,
                              struct trp_card *out, struct trp_error *err)
{
    struct trp_card card = { 0 };
    const struct trp_str said = property(model, "description");
    TRP_CHECK(read_task(a, model, &card, err));
    TRP_CHECK(read_tags(a, model, &card, err));
    TRP_CHECK(read_quality(a, model, &card, err));
    TRP_CHECK(read_kinds(a, model, &card, err));
    TRP_CHECK(keep(a, cut_text(said.len ? said : trimmed(model->doc)), &card.description, err));
    *out = card;
    return trp_ok();
}

/* ---- both ---- */

static trp_status copy_tags(struct trp_arena *a, const struct trp_card *file, struct trp_card *card,
                            struct trp_error *err)
{
    struct trp_str *tags = trp_arena_zeroed(a, file->tags_n, sizeof *tags);
    if (!tags)
        return no_memory(err);
    for (uint32_t i = 0; i < file->tags_n; i++)
        TRP_CHECK(keep(a, file->tags[i], &tags[i], err));
    card->tags = tags;
    card->tags_n = file->tags_n;
    return trp_ok();
}

/* The owner's come first, and the first that names an input holds. */
static trp_status join_kinds(struct trp_arena *a, const struct trp_card *file,
                             struct trp_card *card, struct trp_error *err)
{
    const size_t most = (size_t)card->kinds_n + file->kinds_n;
    struct trp_card_kind *kinds = trp_arena_zeroed(a, most, sizeof *kinds);
    if (!kinds)
        return no_memory(err);
    for (uint32_t i = 0; i < card->kinds_n; i++)
        kinds[i] = card->kinds[i];
    for (uint32_t i = 0; i < file->kinds_n; i++) {
        struct trp_card_kind *k = &kinds[card->kinds_n + i];
        k->kind = file->kinds[i].kind;
        TRP_CHECK(keep(a, file->kinds[i].input, &k->input, err));
    }
    card->kinds = kinds;
    card->kinds_n = (uint32_t)most;
    return trp_ok();
}

trp_status trp_card_complete(struct trp_arena *a, const struct trp_card *file,
                             struct trp_card *card, struct trp_error *err)
{
    if (card->task.len == 0)
        TRP_CHECK(keep(a, file->task, &card->task, err));
    if (card->description.len == 0)
        TRP_CHECK(keep(a, file->description, &card->description, err));
    if (card->quality.name.len == 0 && file->quality.name.len) {
        TRP_CHECK(keep(a, file->quality.name, &card->quality.name, err));
        card->quality.value = file->quality.value;
        card->quality.lower_is_better = file->quality.lower_is_better;
    }
    if (card->tags_n == 0 && file->tags_n)
        TRP_CHECK(copy_tags(a, file, card, err));
    return file->kinds_n ? join_kinds(a, file, card, err) : trp_ok();
}

trp_status trp_card_check(const struct trp_card *card, const struct trp_node *written,
                          const struct trp_signature *signature, struct trp_error *err)
{
    for (uint32_t i = 0; i < card->kinds_n; i++) {
        if (trp_signature_input(signature, card->kinds[i].input))
            continue;
        return trp_node_fail(
            trp_node_get_str(trp_node_get(written, "input_kinds"), card->kinds[i].input), err,
            TRP_INVALID_ARGUMENT, "input_kinds: the model has no input \"%.*s\"",
            TRP_STR(card->kinds[i].input));
    }
    return trp_ok();
}

enum trp_input_kind trp_card_kind_of(const struct trp_card *card, const struct trp_io *io,
                                     bool *out_is_derived)
{
    *out_is_derived = false;
    for (uint32_t i = 0; i < card->kinds_n; i++)
        if (trp_str_is_equal(card->kinds[i].input, io->name))
            return card->kinds[i].kind;
    *out_is_derived = true;
    return trp_input_kind_derive(io);
}
