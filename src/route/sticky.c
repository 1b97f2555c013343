/* route/sticky.c - see sticky.h. */
#include "route/sticky.h"

#include <xxhash.h>

#define RING ((uint64_t)1 << 32)
#define FREE UINT32_MAX

/* The ring while it is divided: spans in their order, of which each claim splits two at most. */
struct ring {
    struct trp_sticky_span *spans;
    uint32_t n;
};

static uint64_t begin_of(const struct ring *r, uint32_t i)
{
    return i == 0 ? 0 : (uint64_t)r->spans[i - 1].last + 1;
}

static uint64_t length_of(const struct ring *r, uint32_t i)
{
    return (uint64_t)r->spans[i].last + 1 - begin_of(r, i);
}

/* Makes two of a span: one of `parts`, and the rest. */
static void cut(struct ring *r, uint32_t i, uint64_t parts)
{
    if (parts == 0 || parts >= length_of(r, i))
        return;
    const uint32_t last = (uint32_t)(begin_of(r, i) + parts - 1);
    memmove(&r->spans[i + 1], &r->spans[i], (r->n - i) * sizeof *r->spans);
    r->spans[i].last = last;
    r->n++;
}

/* The span that begins with `anchor`; a free one is cut there. */
static uint32_t span_at(struct ring *r, uint32_t anchor)
{
    uint32_t i = 0;
    while (r->spans[i].last < anchor)
        i++;
    if (begin_of(r, i) == anchor || r->spans[i].choice != FREE)
        return i;
    cut(r, i, anchor - begin_of(r, i));
    return i + 1;
}

static void claim(struct ring *r, uint32_t choice, uint32_t anchor, uint64_t parts)
{
    uint32_t i = parts > 0 ? span_at(r, anchor) : 0;
    for (uint32_t seen = 0; parts > 0 && seen < r->n; seen++) {
        if (r->spans[i].choice == FREE) {
            cut(r, i, parts);
            parts -= length_of(r, i);
            r->spans[i].choice = choice;
        }
        i = i + 1 < r->n ? i + 1 : 0;
    }
}

/* 1/2, 1/4, 3/4, 1/8, 5/8, ... of the ring, for 1, 2, 3, ...: each as far as can be from those
 * before. */
static uint32_t anchor_of(uint32_t n)
{
    uint32_t reversed = 0;
    for (uint32_t bit = 0; bit < 32; bit++)
        reversed |= (n >> bit & 1) << (31 - bit);
    return reversed;
}

/* Neighbours of one choice become one span; what nobody claimed is `rest`'s. */
static void tidy(struct ring *r, uint32_t rest)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        struct trp_sticky_span span = r->spans[i];
        if (span.choice == FREE)
            span.choice = rest;
        if (n > 0 && r->spans[n - 1].choice == span.choice)
            r->spans[n - 1].last = span.last;
        else
            r->spans[n++] = span;
    }
    r->n = n;
}

trp_status trp_sticky_make(struct trp_arena *arena, const uint32_t *weights, uint32_t n,
                           struct trp_sticky *out, struct trp_error *err)
{
    uint64_t sum = 0;
    uint32_t rest = 0;
    if (n == 0 || n > TRP_STICKY_CHOICES_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a split has 1 to %u choices, this one has %u",
                        TRP_STICKY_CHOICES_MAX, n);
    for (uint32_t i = 0; i < n; i++) {
        sum += weights[i];
        if (weights[i] > 0 && weights[rest] == 0)
            rest = i; /* the first that gets anything */
    }
    if (sum == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "all weights of the split are 0");
    struct ring ring = { .n = 1,
                         .spans = trp_arena_zeroed(arena, 2 * (size_t)n + 1, sizeof *ring.spans) };
    if (!ring.spans)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a split of %u choices", n);
    ring.spans[0] = (struct trp_sticky_span){ .last = UINT32_MAX, .choice = FREE };
    for (uint32_t i = 0; i < n; i++)
        if (i != rest)
            /* Below 2^32 times 2^32, and a share that is cut off is less than a place. */
            claim(&ring, i, anchor_of(i), (uint64_t)weights[i] * RING / sum);
    tidy(&ring, rest);
    *out = (struct trp_sticky){ .spans = ring.spans, .spans_n = ring.n };
    return trp_ok();
}

uint32_t trp_sticky_pick(const struct trp_sticky *s, uint32_t place)
{
    uint32_t low = 0, n = s->spans_n;
    while (n > 1) { /* the first span whose last place is not before it */
        const uint32_t half = n / 2;
        low += s->spans[low + half - 1].last < place ? half : 0;
        n -= half;
    }
    return s->spans[low].choice;
}

/* ---- places ---- */

uint64_t trp_sticky_seed(struct trp_str name)
{
    return XXH3_64bits(name.len ? name.ptr : "", name.len);
}

uint32_t trp_sticky_place_of_text(uint64_t seed, struct trp_str key)
{
    return (uint32_t)(XXH3_64bits_withSeed(key.len ? key.ptr : "", key.len, seed) >> 32);
}

/* Numbers are hashed as texts are, with a byte in front that says what they are: nine bytes that
 * are no client's text, or do no harm if they are. */
static uint32_t place_of_bits(uint64_t seed, char kind, uint64_t bits)
{
    char text[1 + sizeof bits] = { kind };
    memcpy(text + 1, &bits, sizeof bits);
    return trp_sticky_place_of_text(seed, trp_str_make(text, sizeof text));
}

uint32_t trp_sticky_place_of_int(uint64_t seed, int64_t key)
{
    return place_of_bits(seed, 'i', (uint64_t)key);
}

uint32_t trp_sticky_place_of_double(uint64_t seed, double key)
{
    uint64_t bits;
    if (key >= -9007199254740992.0 && key <= 9007199254740992.0 && key == (double)(int64_t)key)
        return trp_sticky_place_of_int(seed, (int64_t)key);
    memcpy(&bits, &key, sizeof bits);
    return place_of_bits(seed, 'd', key == key ? bits : 0); /* all that are no number are one key */
}

uint32_t trp_sticky_place_of_turn(uint64_t seed, uint64_t n)
{
    return (uint32_t)(((seed + n) * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}
