/* base/cores.c - see cores.h. */
#include "base/cores.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(cpu_set_t) == sizeof(struct trp_cores), "the system's sets are as large");

static bool has(const struct trp_cores *c, uint32_t core)
{
    return core < TRP_CORES_MAX && (c->words[core / 64] >> core % 64 & 1) != 0;
}

/* "6" or "0-3". */
static bool add_range(struct trp_str text, struct trp_cores *out)
{
    const char *dash = text.len > 0 ? memchr(text.ptr, '-', text.len) : NULL;
    const size_t first_len = dash ? (size_t)(dash - text.ptr) : text.len;
    uint64_t first, last;
    if (!trp_str_parse_u64(trp_str_make(text.ptr, first_len), &first))
        return false;
    last = first;
    if (dash && !trp_str_parse_u64(trp_str_make(dash + 1, text.len - first_len - 1), &last))
        return false;
    if (last < first || last >= TRP_CORES_MAX)
        return false;
    for (uint64_t core = first; core <= last; core++)
        out->words[core / 64] |= UINT64_C(1) << core % 64;
    return true;
}

bool trp_cores_parse(struct trp_str text, struct trp_cores *out)
{
    struct trp_cores c = { { 0 } };
    bool ok = text.len > 0;
    for (size_t from = 0; ok && from <= text.len;) {
        const char *comma = memchr(text.ptr + from, ',', text.len - from);
        const size_t to = comma ? (size_t)(comma - text.ptr) : text.len;
        ok = add_range(trp_str_make(text.ptr + from, to - from), &c);
        from = to + 1;
    }
    if (ok)
        *out = c;
    return ok;
}

void trp_cores_format(const struct trp_cores *c, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t first = 0; first < TRP_CORES_MAX; first++) {
        char range[24];
        uint32_t last = first;
        if (!has(c, first))
            continue;
        while (has(c, last + 1))
            last++;
        const int n = last > first
                          ? snprintf(range, sizeof range, "%s%u-%u", len ? "," : "", first, last)
                          : snprintf(range, sizeof range, "%s%u", len ? "," : "", first);
        if (len + (size_t)n + sizeof "..." > size) {
            memcpy(out + len, "...", sizeof "...");
            return;
        }
        memcpy(out + len, range, (size_t)n + 1);
        len += (size_t)n;
        first = last;
    }
}

bool trp_cores_is_equal(const struct trp_cores *a, const struct trp_cores *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool trp_cores_is_within(const struct trp_cores *part, const struct trp_cores *whole)
{
    for (size_t i = 0; i < TRP_CORES_MAX / 64; i++)
        if (part->words[i] & ~whole->words[i])
            return false;
    return true;
}

uint32_t trp_cores_count(const struct trp_cores *c)
{
    uint32_t count = 0;
    for (size_t i = 0; i < TRP_CORES_MAX / 64; i++)
        count += (uint32_t)__builtin_popcountll(c->words[i]);
    return count;
}

struct trp_cores trp_cores_at(const struct trp_cores *c, uint32_t index)
{
    struct trp_cores one = { { 0 } };
    for (uint32_t core = 0; core < TRP_CORES_MAX; core++)
        if (has(c, core) && index-- == 0) {
            one.words[core / 64] = UINT64_C(1) << core % 64;
            break;
        }
    return one;
}

static bool cores_of(pid_t pid, struct trp_cores *out)
{
    cpu_set_t set;
    if (sched_getaffinity(pid, sizeof set, &set) != 0)
        return false;
    memset(out, 0, sizeof *out);
    for (uint32_t core = 0; core < TRP_CORES_MAX; core++)
        if (CPU_ISSET(core, &set))
            out->words[core / 64] |= UINT64_C(1) << core % 64;
    return true;
}

bool trp_cores_of_process(struct trp_cores *out)
{
    return cores_of(getpid(), out);
}

bool trp_cores_of_thread(struct trp_cores *out)
{
    return cores_of(0, out);
}

bool trp_cores_keep_thread(const struct trp_cores *c)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (uint32_t core = 0; core < TRP_CORES_MAX; core++)
        if (has(c, core))
            CPU_SET(core, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static _Thread_local struct trp_cores work;
static _Thread_local bool is_work_bound;

void trp_cores_bind_work(const struct trp_cores *c)
{
    is_work_bound = c != NULL;
    if (c)
        work = *c;
}

bool trp_cores_of_work(struct trp_cores *out)
{
    if (is_work_bound)
        *out = work;
    return is_work_bound;
}
