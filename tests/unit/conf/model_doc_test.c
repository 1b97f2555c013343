/* docs/models.md lists every key of the schema: the part between its two marks is written from the
 * table.  When this test fails because a key changed, TROUPE_WRITE_DOCS=1 in the environment
 * makes it write the page instead. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conf/model_schema.h"

#define PAGE "docs/models.md"
#define BEGIN "<!-- keys: begin (written from src/conf/model_schema.c) -->\n"
#define END "<!-- keys: end -->\n"
#define TABLES_MAX 128

struct page {
    struct trp_buf out;
    const struct trp_message
        *done[TABLES_MAX]; /* a message that stands in two places has one table */
    uint32_t done_n;
};

static const char *use_word(enum trp_field_use use)
{
    static const char *const words[] = { [TRP_USE_ACTS] = "yes",
                                         [TRP_USE_LATER] = "not yet",
                                         [TRP_USE_NO] = "refused",
                                         [TRP_USE_OURS] = "yes, troupe's own" };
    return words[use];
}

static const char *scalar_name(enum trp_field_type type)
{
    switch (type) {
    case TRP_FIELD_STRING:
    case TRP_FIELD_BYTES:
        return "text";
    case TRP_FIELD_BOOL:
        return "true or false";
    case TRP_FIELD_FLOAT:
    case TRP_FIELD_DOUBLE:
        return "number";
    default:
        return "whole number";
    }
}

static void write_enum(struct trp_buf *b, const struct trp_enum *e)
{
    for (uint32_t i = 0; i < e->values_n; i++)
        trp_buf_addf(b, "%s`%s`", i ? ", " : "", e->values[i].name);
}

static void write_type(struct trp_buf *b, const struct trp_field *f)
{
    if (f->label == TRP_FIELD_MANY)
        trp_buf_add_text(b, "list: ");
    else if (f->label != TRP_FIELD_ONE)
        trp_buf_add_text(b, "map: ");
    if (f->type == TRP_FIELD_MESSAGE)
        trp_buf_addf(b, "%s", f->message->fields_n ? "keys, see below" : "no keys");
    else if (f->type == TRP_FIELD_ENUM)
        write_enum(b, f->enumeration);
    else
        trp_buf_add_text(b, scalar_name(f->type));
}

/* What holds for a key inside another one: the parent's refusal or delay covers it. */
static enum trp_field_use inherited(enum trp_field_use parent, enum trp_field_use own)
{
    return parent == TRP_USE_NO || own == TRP_USE_NO ? TRP_USE_NO
           : parent == TRP_USE_LATER                 ? TRP_USE_LATER
                                                     : own;
}

static bool is_done(struct page *p, const struct trp_message *m)
{
    for (uint32_t i = 0; i < p->done_n; i++) {
        if (p->done[i] == m)
            return true;
    }
    assert_true(p->done_n < TABLES_MAX);
    p->done[p->done_n++] = m;
    return false;
}

static void write_table(struct page *p, const struct trp_message *m, const char *path,
                        enum trp_field_use use)
{
    if (m->fields_n == 0 || is_done(p, m))
        return;
    const char *name = strrchr(m->name, '.') + 1;
    trp_buf_addf(&p->out, "\n### %s%s%s\n\n", path[0] ? "`" : "The whole", path,
                 path[0] ? "`" : "");
    if (trp_str_starts_with(trp_str_of(m->name), TRP_STR_LIT("troupe.")))
        trp_buf_add_text(&p->out, "troupe's own.\n\n");
    else
        trp_buf_addf(&p->out, "Triton's `%s`.\n\n", name);
    trp_buf_add_text(&p->out, "| key | holds | acted upon | meaning |\n|---|---|---|---|\n");
    for (const struct trp_field *f = m->fields; f < m->fields + m->fields_n; f++) {
        trp_buf_addf(&p->out, "| `%s` | ", f->name);
        write_type(&p->out, f);
        trp_buf_addf(&p->out, " | %s | %s |\n", use_word(inherited(use, f->use)), f->doc);
    }
    for (const struct trp_field *f = m->fields; f < m->fields + m->fields_n; f++) {
        char below[256];
        if (f->type != TRP_FIELD_MESSAGE)
            continue;
        snprintf(below, sizeof below, "%s%s%s", path, path[0] ? "." : "", f->name);
        write_table(p, f->message, below, inherited(use, f->use));
    }
}

static void the_page_lists_every_key(void **state)
{
    (void)state;
    struct page p = { .done_n = 0 };
    struct trp_error err = { 0 };
    struct trp_buf whole;
    char *text;
    size_t len;
    trp_buf_init(&p.out, trp_heap(), 1 << 20);
    trp_buf_init(&whole, trp_heap(), 1 << 20);
    assert_int_equal(trp_file_read(trp_heap(), PAGE, 1 << 20, &text, &len, &err).code, TRP_OK);
    const char *begin = strstr(text, BEGIN), *end = strstr(text, END);
    assert_true(begin && end && begin < end);
    write_table(&p, &trp_model_config_message, "", TRP_USE_ACTS);
    trp_buf_add(&whole, text, (size_t)(begin - text) + strlen(BEGIN));
    trp_buf_add_str(&whole, trp_buf_str(&p.out));
    trp_buf_add_char(&whole, '\n');
    trp_buf_add_text(&whole, end);
    if (getenv("TROUPE_WRITE_DOCS"))
        assert_int_equal(trp_file_replace(PAGE, whole.ptr, whole.len, &err).code, TRP_OK);
    else if (!trp_str_is_equal(trp_buf_str(&whole), trp_str_make(text, len)))
        fail_msg("%s differs from src/conf/model_schema.c: run this test with TROUPE_WRITE_DOCS=1",
                 PAGE);
    trp_alloc_free(trp_heap(), text);
    trp_buf_deinit(&whole);
    trp_buf_deinit(&p.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_page_lists_every_key) };
    return cmocka_run_group_tests_name("model_doc", tests, NULL, NULL);
}
