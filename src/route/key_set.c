/* route/key_set.c - see key_set.h.
 *
 *     text   alice\nbob\ncarol\n...          as read, without what is no key
 *     lines  [ tag | where + 1 ] * 8 ...      two of three slots are taken, from a line's first one on; 0: free
 *
 * The upper half of a key's hash chooses a line of the cache, the lower half is its tag: a key that
 * is not in the set is compared with one that is once in four billion looks at a taken slot.
 * What does not fit into its line stands in the next. */
#include "route/key_set.h"

#include <xxhash.h>

#include "base/atomic.h"

#define KEYS_MOST (UINT64_C(1) << 30)
#define BYTES_MOST (UINT32_MAX - UINT64_C(1))
#define LINE_SLOTS 8u
#define LINE_BYTES 64u

struct trp_key_set {
    const struct trp_alloc *alloc;
    struct trp_refs refs;
    char *text; /* keys, each with '\n' behind it */
    size_t text_bytes, text_room;
    uint64_t *slots;
    uint64_t slots_n, count, seed;
    struct trp_file_stat source;
};

static uint64_t hash_of(const struct trp_key_set *set, struct trp_str key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, set->seed);
}

static bool is_at(const struct trp_key_set *set, uint64_t at, struct trp_str key)
{
    return key.len < set->text_bytes - at && set->text[at + key.len] == '\n' &&
           memcmp(set->text + at, key.ptr, key.len) == 0 && !memchr(key.ptr, '\n', key.len);
}

/* The slot of a key, or the free one where it belongs. */
static uint64_t *find(const struct trp_key_set *set, struct trp_str key, uint64_t hash)
{
    uint64_t i = ((hash >> 32) * (set->slots_n / LINE_SLOTS)) >> 32;
    i *= LINE_SLOTS;
    for (;; i = i + 1 == set->slots_n ? 0 : i + 1) {
        const uint64_t slot = set->slots[i];
        if (slot == 0 ||
            (slot >> 32 == (hash & UINT32_MAX) && is_at(set, (slot & UINT32_MAX) - 1, key)))
            return &set->slots[i];
    }
}

bool trp_key_set_has(const struct trp_key_set *set, struct trp_str key)
{
    return key.len > 0 && set->count > 0 && *find(set, key, hash_of(set, key)) != 0;
}

/* ---- making ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The key of a line; empty: there is none. */
static struct trp_str key_of(struct trp_str line)
{
    while (line.len > 0 && is_blank(line.ptr[0]))
        line = trp_str_make(line.ptr + 1, line.len - 1);
    while (line.len > 0 && is_blank(line.ptr[line.len - 1]))
        line.len--;
    return line.len > 0 && line.ptr[0] == '#' ? trp_str_make(line.ptr, 0) : line;
}

/* Takes the next line off the text. */
static struct trp_str next_line(struct trp_str *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    const size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    const struct trp_str line = trp_str_make(rest->ptr, len);
    *rest = end ? trp_str_make(end + 1, rest->len - len - 1) : trp_str_make(NULL, 0);
    return line;
}

/* Moves the keys together, each with '\n' behind it, and counts them.  A key never moves to the
 * right: what was read has room for the '\n' of its last line, because it is terminated. */
static uint64_t gather(struct trp_key_set *set, size_t bytes)
{
    struct trp_str rest = trp_str_make(set->text, bytes);
    char *to = set->text;
    uint64_t n = 0;
    if (trp_str_starts_with(rest, TRP_STR_LIT("\xef\xbb\xbf")))
        rest = trp_str_make(rest.ptr + 3, rest.len - 3);
    while (rest.len > 0) {
        const struct trp_str key = key_of(next_line(&rest));
        if (key.len == 0)
            continue;
        memmove(to, key.ptr, key.len);
        to += key.len;
        *to++ = '\n';
        n++;
    }
    set->text_bytes = (size_t)(to - set->text);
    return n;
}

static void fill(struct trp_key_set *set)
{
    struct trp_str rest = trp_str_make(set->text, set->text_bytes);
    while (rest.len > 0) {
        const struct trp_str key = next_line(&rest);
        const uint64_t hash = hash_of(set, key);
        uint64_t *slot = find(set, key, hash);
        if (*slot != 0)
            continue; /* it stands there twice */
        *slot = hash << 32 | ((uint64_t)(key.ptr - set->text) + 1);
        set->count++;
    }
}

static uint64_t bounded(uint64_t limit, uint64_t most)
{
    return limit > 0 && limit < most ? limit : most;
}

static trp_status take(struct trp_key_set *set, const char *path,
                       const struct trp_key_set_limits *limits, struct trp_error *err)
{
    size_t bytes;
    TRP_CHECK(trp_file_stat(path, &set->source,
                            err)); /* before it is read: what changes meanwhile differs from this */
    const trp_status st = trp_file_read(set->alloc, path, bounded(limits->bytes_max, BYTES_MOST),
                                        &set->text, &bytes, err);
    if (err && st.code == TRP_TOO_LARGE)
        err->limit = TRP_LIMIT_LIST_BYTES;
    TRP_CHECK(st);
    set->text_room = bytes + 1;
    const uint64_t keys = gather(set, bytes), most = bounded(limits->keys_max, KEYS_MOST);
    if (keys > most)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_LIST_KEYS,
                              "%s: %llu keys, the limit is %llu", path, (unsigned long long)keys,
                              (unsigned long long)most);
    set->slots_n = (keys + keys / 2) / LINE_SLOTS * LINE_SLOTS + LINE_SLOTS;
    set->slots = trp_alloc_aligned(set->alloc, set->slots_n * sizeof *set->slots, LINE_BYTES);
    if (!set->slots)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: a table for %llu keys", path,
                        (unsigned long long)keys);
    memset(set->slots, 0, set->slots_n * sizeof *set->slots);
    fill(set);
    return trp_ok();
}

trp_status trp_key_set_load(const struct trp_alloc *alloc, const char *path,
                            const struct trp_key_set_limits *limits, struct trp_key_set **out_set,
                            struct trp_error *err)
{
    *out_set = NULL;
    struct trp_key_set *set = trp_alloc_zeroed(alloc, 1, sizeof *set);
    if (!set)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: a set of keys", path);
    set->alloc = alloc;
    set->seed = (uint64_t)(uintptr_t)set; /* as in base/table.c */
    trp_refs_init(&set->refs);
    const trp_status st = take(set, path, limits, err);
    if (trp_failed(st))
        trp_key_set_unref(set);
    else
        *out_set = set;
    return st;
}

void trp_key_set_ref(struct trp_key_set *set)
{
    trp_refs_up(&set->refs);
}

void trp_key_set_unref(struct trp_key_set *set)
{
    if (!set || !trp_refs_down(&set->refs))
        return;
    trp_alloc_free(set->alloc, set->text);
    trp_alloc_free(set->alloc, set->slots);
    trp_alloc_free(set->alloc, set);
}

uint64_t trp_key_set_count(const struct trp_key_set *set)
{
    return set->count;
}

uint64_t trp_key_set_bytes(const struct trp_key_set *set)
{
    return sizeof *set + set->text_room + set->slots_n * sizeof *set->slots;
}

const struct trp_file_stat *trp_key_set_source(const struct trp_key_set *set)
{
    return &set->source;
}
