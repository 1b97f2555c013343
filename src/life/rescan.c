/* life/rescan.c - what the repository holds now, against what was taken up
 *
 * One listing runs at a time; a wish that comes meanwhile makes one more, since the running one may
 * have passed the change already.  Its models are taken up in slices of about SLICE_NS, a slice a
 * turn: ten thousand of them would keep an order waiting for a tenth of a second otherwise.  A
 * model is taken up when the digest of its files is another than the one taken up last.  When a
 * watcher asked, the new digest must first have stayed the same for `settle_ns`: somebody may
 * still be copying. */
#include "life/rescan.h"
#include "life/life_parts.h"
#include "life/watcher.h"

#define SLICE_NS TRP_MS(1)

static bool is_named_for_start(const struct trp_life *l, struct trp_str name)
{
    for (uint32_t i = 0; i < l->opts.load_at_start_n; i++) {
        const char *wanted = l->opts.load_at_start[i];
        if (strcmp(wanted, "*") == 0 || trp_str_is(name, wanted))
            return true;
    }
    return false;
}

static bool is_loaded_by_itself(const struct trp_repo_model *found)
{
    return found->peek.load == TRP_LOAD_STARTUP || found->peek.load == TRP_LOAD_BACKGROUND;
}

/* True when the change may be taken up now; otherwise it waits for another look. */
static bool has_settled(struct trp_member *m, uint64_t digest)
{
    const struct trp_life *l = m->life;
    return !l->is_watched || trp_steady_has_stayed(&m->found, digest, l->opts.settle_ns,
                                                   trp_loop_now_ns(l->opts.control));
}

/* Returns false when the model has changed and not settled yet. */
static bool consider(struct trp_life *l, struct trp_catalog *c, const struct trp_repo_model *found)
{
    if (found->definition) /* made of models: a model that had this name before leaves */
        return true;
    const uint64_t digest = trp_catalog_digest(found);
    struct trp_member *m = trp_member_make(l, found->name);
    if (!m)
        return true;
    m->round = l->round;
    if (digest == m->taken) {
        trp_steady_forget(&m->found);
        return true;
    }
    if (!has_settled(m, digest))
        return false;
    trp_steady_forget(&m->found);
    m->taken = digest;
    m->is_present = true;
    if (found->hidden_in.len)
        TRP_WARN(l->opts.log, "life",
                 "model '%.*s' is served from %s; the one in %.*s is not, because that repository "
                 "comes later",
                 TRP_STR(found->name), found->root, TRP_STR(found->hidden_in));
    const bool is_named = !l->has_listed && is_named_for_start(l, found->name);
    const bool is_wanted = is_loaded_by_itself(found) || is_named;
    const bool is_first = is_named || (!l->has_listed && found->peek.load == TRP_LOAD_STARTUP);
    l->first_n += is_first;
    trp_catalog_ref(c);
    const struct trp_op op = { .kind = TRP_OP_TAKE,
                               .catalog = c,
                               .found = found,
                               .is_wanted = is_wanted,
                               .is_first = is_first };
    (void)trp_member_push(m, &op);
    return true;
}

static bool consider_absent(struct trp_member *m)
{
    /* An order that looked while this listing was under way may know more than it does. */
    if (!m->is_present || m->round == m->life->round || m->looked == m->life->listings_n)
        return true;
    if (!has_settled(m, TRP_STEADY_ABSENT))
        return false;
    trp_steady_forget(&m->found);
    m->taken = 0; /* now, not when the op is done: the files may be back before that */
    m->is_present = false;
    const struct trp_op op = { .kind = TRP_OP_LEAVE };
    (void)trp_member_push(m, &op); /* m may be gone now */
    return true;
}

/* A name that the server was told to load and the repository lacks: looked for once, so that the
 * index says why. */
static void load_missing_names(struct trp_life *l)
{
    for (uint32_t i = 0; i < l->opts.load_at_start_n; i++) {
        const struct trp_str name = trp_str_of(l->opts.load_at_start[i]);
        if (name.len == 0 || trp_str_is(name, "*") || trp_member_get(l, name))
            continue;
        struct trp_member *m = trp_member_make(l, name);
        if (!m)
            continue;
        const struct trp_op op = { .kind = TRP_OP_LOAD, .is_first = true };
        l->first_n++;
        (void)trp_member_push(m, &op);
    }
}

static void answer_listings(struct trp_life *l, const struct trp_error *err)
{
    struct trp_order *order = l->listings;
    l->listings = NULL;
    l->listings_end = &l->listings;
    while (order) {
        struct trp_order *next = order->next;
        order->error = *err;
        trp_life_answer(l, order);
        order = next;
    }
}

static void begin(struct trp_life *l);

/* ---- a listing against what was taken up, some at a time ---- */

/* `c` has one reference, that of whoever asked; `error` of status OK: all of it was taken up. */
static void end_listing(struct trp_life *l, struct trp_catalog *c, const struct trp_error *error)
{
    l->is_listing = false;
    l->has_listed = true;
    answer_listings(l, error);
    trp_catalog_unref(c);
    if (l->list_again && !l->is_stopping)
        begin(l);
    trp_life_check(l);
}

/* Takes up one model, or lets one go that is not there any more; false: nothing is left. */
static bool take_one(struct trp_life *l)
{
    struct trp_catalog *c = l->taking.catalog;
    if (l->taking.next < c->listing.models_n) {
        l->taking.is_unsettled |= !consider(l, c, c->listing.models[l->taking.next++]);
        if (l->taking.next == c->listing.models_n)
            l->taking.member = l->members;
        return true;
    }
    struct trp_member *m = l->taking.member;
    if (!m)
        return false;
    l->taking.member = m->next; /* m may be gone afterwards; free_member() looks after `next` */
    l->taking.is_unsettled |= !consider_absent(m);
    return true;
}

static void take_some(struct trp_mail *mail)
{
    static const struct trp_error ok = { 0 };
    struct trp_life *l = TRP_CONTAINER_OF(mail, struct trp_life, taking.mail);
    const int64_t until_ns = trp_clock_now_ns(l->opts.clock) + SLICE_NS;
    while (!l->is_stopping && take_one(l)) {
        if (trp_clock_now_ns(l->opts.clock) < until_ns)
            continue;
        trp_loop_post(l->opts.control, &l->taking.mail); /* after whatever else has come */
        return;
    }
    struct trp_catalog *c = l->taking.catalog;
    l->taking.catalog = NULL;
    if (!l->is_stopping) {
        if (!l->has_listed)
            load_missing_names(l);
        if (l->opts.listed)
            l->opts.listed(l->opts.listed_user, &c->listing, l->is_watched);
        trp_watcher_listed(l->watcher, l->taking.is_unsettled);
    }
    end_listing(l, c, &ok);
}

static void listed(struct trp_catalog *c)
{
    struct trp_life *l = c->user;
    if (trp_failed(c->error.status)) {
        TRP_ERROR_LOG(l->opts.log, "life", "cannot list the repository: %s", c->error.text);
        trp_metrics_hit(l->opts.metrics, &c->error);
        trp_watcher_failed(l->watcher);
        const struct trp_error error = c->error;
        end_listing(l, c, &error);
        return;
    }
    l->round++;
    l->taking.catalog = c;
    l->taking.next = 0;
    l->taking.is_unsettled = false;
    l->taking.member = c->listing.models_n ? NULL : l->members;
    l->taking.mail.deliver = take_some;
    take_some(&l->taking.mail);
}

static void begin(struct trp_life *l)
{
    struct trp_error err = { 0 };
    const struct trp_catalog_request request = { .opts = &l->opts.repo, .done = listed, .user = l };
    l->is_watched = l->again_is_watched;
    l->list_again = false;
    l->listings_n++;
    *l->listings_end = l->rescans; /* empty before: its orders were answered */
    l->listings_end = l->rescans ? l->rescans_end : l->listings_end;
    l->rescans = NULL;
    l->rescans_end = &l->rescans;
    l->is_listing = !trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, &err));
    if (l->is_listing)
        return;
    TRP_ERROR_LOG(l->opts.log, "life", "cannot list the repository: %s", err.text);
    trp_watcher_failed(l->watcher);
    l->has_listed = true;
    answer_listings(l, &err);
    trp_life_check(l);
}

void trp_rescan_begin(struct trp_life *l, bool is_watched, struct trp_order *order)
{
    if (order) {
        order->next = NULL;
        *l->rescans_end = order;
        l->rescans_end = &order->next;
    }
    /* A wish to take up everything wins over one that would wait for it to settle. */
    l->again_is_watched = l->list_again ? l->again_is_watched && is_watched : is_watched;
    l->list_again = true;
    if (!l->is_listing)
        begin(l);
}
