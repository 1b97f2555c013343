/* life/change_words.c - see change_words.h. */
#include "life/change_words.h"

#include <stdio.h>

#include "life/catalog.h"
#include "repo/digest.h"

/* Appends what one version says; a text that does not fit is cut. */
void trp_change_add_failure(const struct trp_version *v, char *text, size_t size)
{
    const size_t used = strlen(text);
    const int n = snprintf(text + used, size - used, "%sversion %lld is at UNAVAILABLE state: %s",
                           used > 0 ? "; " : "", (long long)v->target.version, v->reason);
    if (n < 0)
        text[used] = '\0';
}

/* Resources may be there the next time; anything else is how the model is. */
enum trp_code trp_change_code(int32_t code)
{
    switch (code) {
    case TRP_OUT_OF_MEMORY:
    case TRP_OVER_BUDGET:
    case TRP_DEADLINE_EXCEEDED:
    case TRP_UNAVAILABLE:
        return (enum trp_code)code;
    case TRP_CANCELLED:
        return TRP_UNAVAILABLE;
    default:
        return TRP_INVALID_ARGUMENT;
    }
}

void trp_change_log_warnings(struct trp_log *log, const struct trp_repo_model *found,
                             struct trp_str warnings, uint64_t *warned)
{
    struct trp_str rest = warnings;
    const uint64_t digest = trp_digest_add_str(trp_catalog_digest(found), rest);
    if (digest == *warned)
        return; /* it was let go and is loaded again */
    *warned = digest;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        const size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        TRP_WARN(log, "life", "%.*s", (int)len, rest.ptr);
        rest.ptr += len + (end != NULL);
        rest.len -= len + (end != NULL);
    }
}

void trp_change_log_loaded(struct trp_log *log, const struct trp_loading *loading, int64_t took_ns,
                           bool is_replacing)
{
    const struct trp_version *v = loading->version;
    const struct trp_mapping *mapping = &loading->loaded.mapping;
    char mapped[64] = "";
    if (mapping->is_mapped)
        (void)snprintf(mapped, sizeof mapped, " and %llu mapped",
                       (unsigned long long)mapping->mapped_bytes);
    TRP_INFO(log, "life", "%s '%s' in %lld ms, %llu bytes%s (%s)%s%s",
             is_replacing ? "replaced" : "loaded", v->id, (long long)(took_ns / 1000000),
             (unsigned long long)loading->loaded.bytes, mapped, loading->source->peek.backend.ptr,
             mapping->note[0] ? "; " : "", mapping->note);
    if (loading->loaded.warning[0]) /* another device that it wanted is told once */
        TRP_WARN(log, "life", "'%s': %s", v->id, loading->loaded.warning);
}

/* Errors of memory name what there was none for; the index shows no codes. */
void trp_change_name_memory(struct trp_error *err)
{
    if (err->status.code == TRP_OUT_OF_MEMORY)
        trp_error_within(err, "out of memory");
}
