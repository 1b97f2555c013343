/* base/status.h - how a failure travels.
 * Answers "what is an error?".  A failure is a `trp_status` that must be looked at; its words live
 * in a `struct trp_error` inside whoever owns the operation, so there is nothing to free and
 * nothing is lost between threads.  Callers put their context in front on the way up; libraries
 * never log a failure that they return. */
#ifndef TRP_STATUS_H
#define TRP_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "troupe/status.h"

enum trp_code {
#define X(number, name, grpc, http, retryable, text) TRP_##name = (number),
#include "troupe/status.def"
#undef X
    TRP_CODES
};

/* A newtype: not an int by accident, not ignored by accident. */
typedef struct trp_status {
    int32_t code; /* enum trp_code */
} trp_status;

#define TRP_MUST_USE __attribute__((warn_unused_result))
#define TRP_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

/* Which limit of ours an error tells of; see base/limits.def. */
enum trp_limit {
    TRP_LIMIT_NONE,
#define X(id, settings) TRP_LIMIT_##id,
#include "base/limits.def"
#undef X
    TRP_LIMITS
};

/* Lives inside the request, load or CLI call that owns the operation.  Zero is "no error". */
struct trp_error {
    trp_status status;
    int32_t limit;           /* enum trp_limit: whoever answers the error counts it */
    uint32_t retry_after_ms; /* when the same may succeed; 0: nobody knows */
    char text[512]; /* "model 'a/3': weights: mmap: Cannot allocate memory"; always terminated */
};

static inline trp_status trp_ok(void)
{
    return (trp_status){ TRP_OK };
}
static inline bool trp_failed(trp_status st)
{
    return st.code != TRP_OK;
}

/* Records a failure and returns it.
 *   Owns  : `err` is the caller's; NULL is allowed and drops the words.
 *   Thread: owner.
 *   Errors: returns `code` itself. */
trp_status trp_fail(struct trp_error *err, enum trp_code code, const char *format, ...)
    TRP_PRINTF(3, 4);

/* As trp_fail(), for what a limit refuses.
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: returns `code` itself. */
trp_status trp_fail_limit(struct trp_error *err, enum trp_code code, enum trp_limit limit,
                          const char *format, ...) TRP_PRINTF(4, 5);

/* Records a failure of the operating system: the words get ": " and strerror(errno_value) appended.
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: NOT_FOUND for ENOENT and ENOTDIR, PERMISSION_DENIED for EACCES and EPERM, OUT_OF_MEMORY
 *           for
 *           ENOMEM, ALREADY_EXISTS for EEXIST, IO otherwise. */
trp_status trp_fail_errno(struct trp_error *err, int errno_value, const char *format, ...)
    TRP_PRINTF(3, 4);

#ifdef __clang_analyzer__
/* The analyzer does not see into status.c, and would follow roads on which a failure is OK. */
#define trp_fail(err, code, ...) \
    ((void)trp_fail((err), (code), __VA_ARGS__), (trp_status){ (int32_t)(code) })
#define trp_fail_limit(err, code, limit, ...) \
    ((void)trp_fail_limit((err), (code), (limit), __VA_ARGS__), (trp_status){ (int32_t)(code) })
#endif

/* Puts "context: " in front of the words; too long a text is cut at its end.
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: none. */
void trp_error_within(struct trp_error *err, const char *format, ...) TRP_PRINTF(2, 3);

/* Facts of a code, from status.def; an unknown code counts as UNKNOWN.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_code_name(int32_t code);
const char *trp_code_text(int32_t code);
int trp_code_http(int32_t code);
int trp_code_grpc(int32_t code);
bool trp_code_is_retryable(int32_t code);

/* Leaves on failure and names the step for whoever reads the message. */
#define TRP_TRY(call, err, ...)                   \
    do {                                          \
        const trp_status try_ = (call);           \
        if (trp_failed(try_)) {                   \
            trp_error_within((err), __VA_ARGS__); \
            return try_;                          \
        }                                         \
    } while (0)

/* Leaves on failure as it is. */
#define TRP_CHECK(call)                   \
    do {                                  \
        const trp_status check_ = (call); \
        if (trp_failed(check_))           \
            return check_;                \
    } while (0)

/* A bug, never a user's mistake: prints the place and aborts. */
#define TRP_ASSERT(condition) \
    ((condition) ? (void)0 : trp_assert_failed(#condition, __FILE__, __LINE__))
#ifdef NDEBUG
#define TRP_DEBUG_ASSERT(condition) ((void)0)
#else
#define TRP_DEBUG_ASSERT(condition) TRP_ASSERT(condition)
#endif
__attribute__((noreturn)) void trp_assert_failed(const char *condition, const char *file, int line);

#endif
