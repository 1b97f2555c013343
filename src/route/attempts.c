/* route/attempts.c - see attempts.h. */
#include "route/attempts.h"

#include <stddef.h>

#include "route/breaker.h"
#include "route/retry_budget.h"

static const struct trp_attempts_target *target_at(const struct trp_attempts *a, uint32_t place)
{
    return place == 0 ? a->first : a->rule->fallbacks[place - 1];
}

static const void *identity_of(const struct trp_attempts_target *t)
{
    return t->identity ? t->identity : t;
}

/* A chain may name its own first choice again: a split chooses any of its targets.  Who was only
 * refused by its breaker may still be the last resort. */
static bool was_asked(const struct trp_attempts *a, uint32_t place)
{
    for (uint32_t i = 0; i < place && i < 64; i++)
        if ((a->asked_places >> i & 1) != 0 &&
            identity_of(target_at(a, i)) == identity_of(target_at(a, place)))
            return true;
    return false;
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* When the attempt that begins now ends at the latest; 0: never. */
static int64_t attempt_deadline(const struct trp_attempts *a, int64_t now_ns)
{
    const int64_t timeout_ns = a->rule->timeout_ns;
    if (timeout_ns <= 0 || timeout_ns >= INT64_MAX - now_ns)
        return a->deadline_ns;
    return a->deadline_ns > 0 ? earlier(now_ns + timeout_ns, a->deadline_ns) : now_ns + timeout_ns;
}

/* Asks the breaker of a target, and remembers its ticket; or when it tries again. */
static bool is_allowed(struct trp_attempts *a, const struct trp_attempts_target *target,
                       int64_t now_ns)
{
    a->ticket = 0;
    if (!target->breaker)
        return true;
    const struct trp_breaker_answer answer = trp_breaker_ask(target->breaker, now_ns);
    a->ticket = answer.ticket;
    if (!answer.allowed)
        a->retry_after_ns = a->retry_after_ns > 0
                                ? earlier(a->retry_after_ns, answer.retry_after_ns)
                                : answer.retry_after_ns;
    return answer.allowed;
}

static struct trp_attempts_step ask(struct trp_attempts *a, enum trp_attempts_why why,
                                    int64_t now_ns)
{
    a->attempts++;
    a->attempt_deadline_ns = attempt_deadline(a, now_ns);
    return (struct trp_attempts_step){ .move = TRP_ATTEMPTS_ASK,
                                       .why = why,
                                       .target = a->asked,
                                       .place = a->place,
                                       .is_probe = a->ticket != 0,
                                       .deadline_ns = a->attempt_deadline_ns };
}

/* The first from `place` on whose breaker allows it. */
static bool find_next(struct trp_attempts *a, uint32_t place, int64_t now_ns)
{
    for (; place <= a->rule->fallbacks_n; place++) {
        const struct trp_attempts_target *target = target_at(a, place);
        if (was_asked(a, place) || !is_allowed(a, target, now_ns))
            continue;
        a->place = place;
        a->asked = target;
        a->asked_places |= place < 64 ? (uint64_t)1 << place : 0;
        return true;
    }
    return false;
}

struct trp_attempts_step trp_attempts_begin(struct trp_attempts *a,
                                            const struct trp_attempts_rule *rule,
                                            const struct trp_attempts_target *first,
                                            int64_t deadline_ns, int64_t now_ns)
{
    *a = (struct trp_attempts){ .rule = rule, .first = first, .deadline_ns = deadline_ns };
    if (rule->budget)
        trp_retry_budget_add(rule->budget, now_ns);
    if (find_next(a, 0, now_ns))
        return ask(a, a->place == 0 ? TRP_ATTEMPTS_FIRST : TRP_ATTEMPTS_AFTER_OPEN, now_ns);
    return (struct trp_attempts_step){ .move = TRP_ATTEMPTS_NOBODY,
                                       .retry_after_ns = a->retry_after_ns };
}

/* Tells the breaker of the target that was asked. */
static void tell(struct trp_attempts *a, enum trp_fault fault, int64_t now_ns, uint64_t random)
{
    struct trp_breaker *breaker = a->asked->breaker;
    if (!breaker)
        return;
    const bool is_cut_by_rule = a->attempt_deadline_ns > 0 &&
                                (a->deadline_ns == 0 || a->attempt_deadline_ns < a->deadline_ns);
    const bool is_failure =
        fault == TRP_FAULT_ERROR || (fault == TRP_FAULT_TIMEOUT && is_cut_by_rule);
    if (fault == TRP_FAULT_NONE || is_failure)
        trp_breaker_report(breaker, a->ticket, is_failure, now_ns, random);
    else
        trp_breaker_forget(breaker, a->ticket);
}

static bool may_retry(struct trp_attempts *a, enum trp_fault fault, int64_t now_ns)
{
    if (fault != TRP_FAULT_ERROR || a->retries >= a->rule->retries_max ||
        !is_allowed(a, a->asked, now_ns))
        return false;
    if (!a->rule->budget || trp_retry_budget_try_take(a->rule->budget, now_ns)) {
        a->retries++;
        return true;
    }
    if (a->asked->breaker)
        trp_breaker_forget(a->asked->breaker, a->ticket);
    return false;
}

static enum trp_attempts_why why_after(enum trp_fault fault)
{
    static const uint8_t whys[TRP_FAULTS] = {
        [TRP_FAULT_ERROR] = TRP_ATTEMPTS_AFTER_ERROR,
        [TRP_FAULT_TIMEOUT] = TRP_ATTEMPTS_AFTER_TIMEOUT,
        [TRP_FAULT_NOT_READY] = TRP_ATTEMPTS_AFTER_NOT_READY,
        [TRP_FAULT_OVERLOAD] = TRP_ATTEMPTS_AFTER_OVERLOAD,
    };
    return (enum trp_attempts_why)whys[fault];
}

struct trp_attempts_step trp_attempts_next(struct trp_attempts *a, int32_t code, int64_t now_ns,
                                           uint64_t random)
{
    const struct trp_attempts_step answer = { .move = TRP_ATTEMPTS_ANSWER,
                                              .target = a->asked,
                                              .place = a->place };
    const enum trp_fault fault = trp_fault_of(code);
    const uint32_t falls_back = a->rule->falls_back ? a->rule->falls_back : TRP_FAULTS_CURABLE;
    tell(a, fault, now_ns, random);
    if ((TRP_FAULTS_CURABLE & TRP_FAULT_BIT(fault)) == 0 ||
        (a->deadline_ns > 0 && now_ns >= a->deadline_ns))
        return answer;
    if (may_retry(a, fault, now_ns))
        return ask(a, TRP_ATTEMPTS_RETRY, now_ns);
    if ((falls_back & TRP_FAULT_BIT(fault)) != 0 && find_next(a, a->place + 1, now_ns))
        return ask(a, why_after(fault), now_ns);
    return answer;
}

void trp_attempts_settle(struct trp_attempts *a, int32_t code, int64_t now_ns, uint64_t random)
{
    tell(a, trp_fault_of(code), now_ns, random);
}

const char *trp_attempts_why_name(enum trp_attempts_why why)
{
    static const char *const names[TRP_ATTEMPTS_WHYS] = {
        [TRP_ATTEMPTS_FIRST] = "first choice",
        [TRP_ATTEMPTS_RETRY] = "retry after an error",
        [TRP_ATTEMPTS_AFTER_ERROR] = "fallback after an error",
        [TRP_ATTEMPTS_AFTER_TIMEOUT] = "fallback after a timeout",
        [TRP_ATTEMPTS_AFTER_NOT_READY] = "fallback, because it was not ready",
        [TRP_ATTEMPTS_AFTER_OVERLOAD] = "fallback, because it had too much to do",
        [TRP_ATTEMPTS_AFTER_OPEN] = "fallback, because its breaker is open",
    };
    return names[why];
}
