/* model/card_bytes.c - see card_bytes.h.  What is empty is left out. */
#include "model/card_bytes.h"

#include "base/pbwire.h"

enum card_field {
    CARD_TASK = 1,
    CARD_DESCRIPTION = 2,
    CARD_TAG = 3, /* any number of them */
    CARD_QUALITY = 4,
    CARD_QUALITY_VALUE = 5,
    CARD_LOWER_IS_BETTER = 6,
    CARD_KIND_INPUT = 7, /* any number of pairs: the input, then its kind */
    CARD_KIND = 8
};

void trp_card_bytes_encode(const struct trp_card *card, struct trp_buf *b)
{
    if (card->task.len)
        trp_pb_write_str(b, CARD_TASK, card->task);
    if (card->description.len)
        trp_pb_write_str(b, CARD_DESCRIPTION, card->description);
    for (uint32_t i = 0; i < card->tags_n; i++)
        trp_pb_write_str(b, CARD_TAG, card->tags[i]);
    if (card->quality.name.len) {
        trp_pb_write_str(b, CARD_QUALITY, card->quality.name);
        trp_pb_write_double(b, CARD_QUALITY_VALUE, card->quality.value);
        trp_pb_write_bool(b, CARD_LOWER_IS_BETTER, card->quality.lower_is_better);
    }
    for (uint32_t i = 0; i < card->kinds_n; i++) {
        trp_pb_write_str(b, CARD_KIND_INPUT, card->kinds[i].input);
        trp_pb_write_u64(b, CARD_KIND, card->kinds[i].kind);
    }
}

struct reading_card {
    struct trp_arena *arena;
    struct trp_str *tags;
    struct trp_card_kind *kinds;
    uint32_t tags_n, kinds_n, inputs_n; /* room for; kinds whose input came */
    bool is_short, is_damaged;
};

static struct trp_str keep(struct reading_card *r, struct trp_str s)
{
    const struct trp_str copy = trp_arena_dup(r->arena, s);
    r->is_short |= !copy.ptr;
    return copy;
}

static void make_room(struct reading_card *r, struct trp_str bytes)
{
    struct trp_pb_reader reader = trp_pb_reader_of(bytes);
    struct trp_pb_field f;
    enum trp_pb_next next;
    while ((next = trp_pb_next(&reader, &f)) == TRP_PB_FIELD) {
        r->tags_n += f.number == CARD_TAG && f.type == TRP_PB_BYTES;
        r->kinds_n += f.number == CARD_KIND_INPUT && f.type == TRP_PB_BYTES;
    }
    r->is_damaged = next != TRP_PB_END;
    r->tags = trp_arena_zeroed(r->arena, (size_t)r->tags_n + 1, sizeof *r->tags);
    r->kinds = trp_arena_zeroed(r->arena, (size_t)r->kinds_n + 1, sizeof *r->kinds);
    r->is_short = !r->tags || !r->kinds;
}

static void take_text(struct reading_card *r, const struct trp_pb_field *f, struct trp_card *card)
{
    switch (f->number) {
    case CARD_TASK:
        card->task = keep(r, f->bytes);
        break;
    case CARD_DESCRIPTION:
        card->description = keep(r, f->bytes);
        break;
    case CARD_TAG:
        r->tags[card->tags_n++] = keep(r, f->bytes);
        break;
    case CARD_QUALITY:
        card->quality.name = keep(r, f->bytes);
        break;
    case CARD_KIND_INPUT:
        r->kinds[r->inputs_n++].input = keep(r, f->bytes);
        break;
    default:
        r->is_damaged = true;
    }
}

static void take_number(struct reading_card *r, const struct trp_pb_field *f, struct trp_card *card)
{
    if (f->number == CARD_QUALITY_VALUE && f->type == TRP_PB_FIXED64)
        card->quality.value = trp_pb_double(f->scalar);
    else if (f->number == CARD_LOWER_IS_BETTER)
        card->quality.lower_is_better = f->scalar != 0;
    else if (f->number == CARD_KIND && f->scalar < TRP_INPUT_KINDS && card->kinds_n < r->inputs_n)
        r->kinds[card->kinds_n++].kind = (enum trp_input_kind)f->scalar;
    else
        r->is_damaged = true;
}

trp_status trp_card_bytes_decode(struct trp_str bytes, struct trp_arena *arena,
                                 struct trp_card *out, struct trp_error *err)
{
    struct trp_card card = { 0 };
    struct reading_card r = { .arena = arena };
    struct trp_pb_reader reader = trp_pb_reader_of(bytes);
    struct trp_pb_field f;
    make_room(&r, bytes);
    while (!r.is_damaged && !r.is_short && trp_pb_next(&reader, &f) == TRP_PB_FIELD) {
        if (f.type == TRP_PB_BYTES)
            take_text(&r, &f, &card);
        else
            take_number(&r, &f, &card);
    }
    if (r.is_short)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "card");
    if (r.is_damaged || r.inputs_n != card.kinds_n)
        return trp_fail(err, TRP_DATA_LOSS, "these bytes are no card");
    card.tags = r.tags;
    card.kinds = r.kinds;
    *out = card;
    return trp_ok();
}
