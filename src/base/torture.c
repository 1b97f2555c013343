/* base/torture.c - see torture.h.  The one place with mutable globals: it exists in torture
 * builds only. */
#include "base/torture.h"

typedef int trp_torture_not_empty; /* ISO C wants a declaration */

#ifdef TRP_TORTURE
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SITES_MAX 4096

static _Atomic uint64_t calls;
static _Atomic(const void *) sites[SITES_MAX];
static _Atomic int64_t fail_at = -1; /* -1: environment not read yet; 0: count only */

static bool is_first_visit(const void *site)
{
    for (size_t i = ((uintptr_t)site >> 2) % SITES_MAX, n = 0; n < SITES_MAX;
         i = (i + 1) % SITES_MAX, n++) {
        const void *seen = atomic_load(&sites[i]);
        if (seen == site)
            return false;
        if (!seen && atomic_compare_exchange_strong(&sites[i], &seen, site))
            return true;
        if (seen == site)
            return false;
    }
    return false;
}

static void report(void)
{
    const char *path = getenv("TRP_TORTURE_REPORT");
    if (!path)
        return;
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "%llu\n", (unsigned long long)atomic_load(&calls));
        fclose(f);
    }
}

bool trp_torture_fails(const char *what, const void *site)
{
    int64_t at = atomic_load(&fail_at);
    if (at < 0) {
        const char *text = getenv("TRP_TORTURE_FAIL");
        int64_t unread = -1;
        at = text ? strtoll(text, NULL, 10) : 0;
        if (atomic_compare_exchange_strong(&fail_at, &unread, at))
            atexit(report);
    }
    if (!is_first_visit(site))
        return false;
    const uint64_t n = atomic_fetch_add(&calls, 1) + 1;
    if (at > 0 && n == (uint64_t)at) {
        fprintf(stderr, "torture: failing call %llu (%s at %p)\n", (unsigned long long)n, what,
                site);
        return true;
    }
    return false;
}
#endif
