/* life/change_words.c - see change_words.h. */
#include "life/change_words.h"

#include <stdio.h>

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

void trp_change_log_warnings(struct trp_log *log, const struct trp_repo_model *found)
{
    struct trp_str rest = found->warnings;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        const size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        TRP_WARN(log, "life", "%.*s", (int)len, rest.ptr);
        rest.ptr += len + (end != NULL);
        rest.len -= len + (end != NULL);
    }
}

/* Errors of memory name what there was none for; the index shows no codes. */
void trp_change_name_memory(struct trp_error *err)
{
    if (err->status.code == TRP_OUT_OF_MEMORY)
        trp_error_within(err, "out of memory");
}
