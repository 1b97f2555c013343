/* catalog/settling.c - see settling.h. */
#include "catalog/settling.h"

#include "repo/digest.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

bool trp_settling_is_empty(struct trp_str text)
{
    size_t i = 0;
    while (i < text.len) {
        const char *line = text.ptr + i;
        const char *end = memchr(line, '\n', text.len - i);
        size_t len = end ? (size_t)(end - line) : text.len - i;
        i += len + (end != NULL);
        while (len > 0 && is_blank(line[0])) {
            line++;
            len--;
        }
        while (len > 0 && is_blank(line[len - 1]))
            len--;
        const struct trp_str said = trp_str_make(line, len);
        if (len > 0 && line[0] != '#' && !trp_str_is(said, "---") && !trp_str_is(said, "..."))
            return false;
    }
    return true;
}

enum trp_settling_verdict trp_settling_judge(struct trp_settling *s,
                                             const struct trp_settling_look *look)
{
    const uint64_t digest =
        look->is_there ? trp_digest_add_str(1, look->text) | 1 : TRP_STEADY_ABSENT;
    const bool is_empty = !look->is_there || trp_settling_is_empty(look->text);
    const bool may_be_at_work = is_empty ? look->serves : look->is_patient;
    if (digest != s->taken && may_be_at_work) {
        if (!trp_steady_has_stayed(&s->found, digest, look->settle_ns, look->now_ns))
            return TRP_SETTLING_WAIT;
        if (look->is_there && is_empty)
            return TRP_SETTLING_REFUSE; /* it goes on waiting: the next look refuses it at once */
    }
    trp_steady_forget(&s->found);
    s->taken = digest;
    return TRP_SETTLING_TAKE;
}
