/* catalog/load_facts.c - see load_facts.h.
 *
 * A name that was watched once keeps its slot as long as the server lives, so a loop that looks
 * for it never meets one that goes. */
#include "catalog/load_facts.h"

#include <time.h>
#include <xxhash.h>

#define SEATS (2 * TRP_LOAD_VIEW_MODELS_MAX) /* a power of two; at most half are taken */
#define SECONDS (TRP_LOAD_VIEW_WINDOW_S + 1)
#define VERSIONS_SEEN 8u /* of one name, the highest */
#define CPU_LOOKS 16u
#define CPU_WINDOW_NS TRP_S(1)
#define WORKERS_MAX 256u
#define MILLION 1000000

/* What was counted, or how much of it in some time. */
struct tally {
    uint64_t durations[TRP_HISTOGRAM_BUCKETS];
    uint64_t requests, errors;
};

struct version_seen {
    const void *version; /* or route, or composition; only to be compared: it may be gone */
    uint64_t digest;
    struct tally counted;
};

struct load_slot {
    const char *name;
    size_t name_len;
    uint64_t hash;
    /* published */
    struct trp_gauge is_known, is_composed, ready, queued, busy, wait_ns, p50_ns, p99_ns,
        error_millionths, requests, bytes;
    /* control's */
    uint32_t watches;
    bool is_primed; /* what versions counted before anybody asked is not of the window */
    int64_t second;
    struct tally seconds[SECONDS];
    struct version_seen seen[VERSIONS_SEEN];
};

struct trp_load_facts {
    const struct trp_alloc *alloc;
    struct trp_load_facts_opts opts;
    struct trp_load_view view;
    struct trp_pointer seats; /* struct trp_pointer[SEATS]; NULL: nobody watches anything yet */
    struct trp_gauge cpu_millionths, memory_millionths, in_flight;
    /* control's */
    struct load_slot **slots; /* in order of their first watch */
    uint32_t slots_n;
    const struct trp_snapshot *snapshot;
    struct trp_timer timer;
    struct {
        int64_t at_ns, used_ns;
    } cpu[CPU_LOOKS]; /* a ring; the newest is at cpu_n - 1 */
    uint64_t cpu_n;
};

/* ---- reading ---- */

static struct load_slot *find(const struct trp_load_facts *f, struct trp_str name,
                              struct trp_pointer **out_seat)
{
    struct trp_pointer *seats = (struct trp_pointer *)(uintptr_t)trp_pointer_get(&f->seats);
    const uint64_t hash = XXH3_64bits(name.len ? name.ptr : "", name.len);
    for (uint64_t i = hash; seats; i++) {
        struct trp_pointer *seat = &seats[i & (SEATS - 1)];
        struct load_slot *slot = (struct load_slot *)(uintptr_t)trp_pointer_get(seat);
        if (out_seat)
            *out_seat = seat;
        if (!slot || (slot->hash == hash &&
                      trp_str_is_equal(trp_str_make(slot->name, slot->name_len), name)))
            return slot;
    }
    return NULL;
}

static bool read_model(void *user, uint32_t loop_index, struct trp_str name,
                       struct trp_model_load *out)
{
    const struct load_slot *slot = find(user, name, NULL);
    (void)loop_index;
    if (!slot || !trp_gauge_get(&slot->is_known))
        return false;
    *out = (struct trp_model_load){
        .ready = trp_gauge_get(&slot->ready) != 0,
        .queued = (uint32_t)trp_gauge_get(&slot->queued),
        .busy = (uint32_t)trp_gauge_get(&slot->busy),
        .wait_ns = trp_gauge_get(&slot->wait_ns),
        .p50_ns = trp_gauge_get(&slot->p50_ns),
        .p99_ns = trp_gauge_get(&slot->p99_ns),
        .error_ratio = (double)trp_gauge_get(&slot->error_millionths) / MILLION,
        .requests = (uint64_t)trp_gauge_get(&slot->requests),
        .bytes = (uint64_t)trp_gauge_get(&slot->bytes),
        .is_composed = trp_gauge_get(&slot->is_composed) != 0,
    };
    return true;
}

static bool read_ready(void *user, uint32_t loop_index, struct trp_str name)
{
    const struct trp_load_facts *f = user;
    struct trp_error err = { 0 };
    const struct trp_directory_item *item =
        f->opts.directories
            ? trp_directory_find(trp_directories_of(f->opts.directories, loop_index), name)
            : NULL;
    return item && item->target &&
           !trp_failed(item->target->ops->describe(item->target, loop_index, NULL, NULL, &err));
}

static void read_server(void *user, struct trp_server_load *out)
{
    const struct trp_load_facts *f = user;
    *out = (struct trp_server_load){
        .cpu_ratio = (double)trp_gauge_get(&f->cpu_millionths) / MILLION,
        .memory_ratio = (double)trp_gauge_get(&f->memory_millionths) / MILLION,
        .in_flight = (uint32_t)trp_gauge_get(&f->in_flight),
    };
}

/* ---- watching ---- */

static trp_status make_seats(struct trp_load_facts *f, struct trp_error *err)
{
    struct trp_pointer *seats = NULL;
    if (f->slots)
        return trp_ok();
    seats = trp_alloc_zeroed(f->alloc, SEATS, sizeof *seats);
    f->slots =
        seats ? trp_alloc_zeroed(f->alloc, TRP_LOAD_VIEW_MODELS_MAX, sizeof(struct load_slot *))
              : NULL;
    if (!f->slots) {
        trp_alloc_free(f->alloc, seats);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "what rules see of models");
    }
    trp_pointer_put(&f->seats, seats);
    return trp_ok();
}

static struct load_slot *make_slot(struct trp_load_facts *f, struct trp_str name)
{
    struct load_slot *slot = trp_alloc_zeroed(f->alloc, 1, sizeof *slot);
    char *text = slot ? trp_alloc_text(f->alloc, name.ptr, name.len) : NULL;
    if (!text) {
        trp_alloc_free(f->alloc, slot);
        return NULL;
    }
    slot->name = text;
    slot->name_len = name.len;
    slot->hash = XXH3_64bits(text, name.len);
    return slot;
}

static void look_at(struct trp_load_facts *f, struct load_slot *slot, int64_t now_ns);

static trp_status watch(void *user, struct trp_str name, struct trp_error *err)
{
    struct trp_load_facts *f = user;
    struct trp_pointer *seat;
    TRP_CHECK(make_seats(f, err));
    struct load_slot *slot = find(f, name, &seat);
    if (!slot && f->slots_n == TRP_LOAD_VIEW_MODELS_MAX)
        return trp_fail(
            err, TRP_TOO_LARGE,
            "rules have named %u models since the server began, and there is no room for "
            "'%.*s'",
            f->slots_n, TRP_STR(name));
    if (!slot) {
        slot = make_slot(f, name);
        if (!slot)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "what rules see of '%.*s'", TRP_STR(name));
        f->slots[f->slots_n++] = slot;
        trp_pointer_put(seat, slot);
    }
    if (slot->watches++ == 0) {
        slot->is_primed = false;
        look_at(
            f, slot,
            trp_clock_now_ns(f->opts.clock)); /* the first rule does not wait for the next look */
    }
    return trp_ok();
}

static void unwatch(void *user, struct trp_str name)
{
    struct load_slot *slot = find(user, name, NULL);
    TRP_ASSERT(slot && slot->watches > 0);
    if (--slot->watches == 0)
        trp_gauge_set(&slot->is_known, 0);
}

/* ---- looking at a model ---- */

struct meant {
    struct trp_version *const *versions;
    uint32_t versions_n;
    bool is_one; /* which may be another one next time */
};

/* "model@label" and "model@3" mean one version, as where a route names whom it asks. */
static bool find_one(const struct trp_snapshot *s, struct trp_str name, struct meant *out)
{
    const char *at = memrchr(name.ptr, '@', name.len);
    int64_t version;
    if (!at)
        return false;
    const struct trp_str model = trp_str_make(name.ptr, (size_t)(at - name.ptr));
    const struct trp_str which = trp_str_make(at + 1, name.len - model.len - 1);
    const struct trp_entry *e = trp_snapshot_find(s, model);
    if (!e || !trp_version_label_parse(which, &version) ||
        trp_failed(trp_snapshot_number(s, model, version, &version, NULL)))
        return false;
    for (uint32_t i = 0; i < e->versions_n; i++)
        if (e->versions[i]->target.version == version) {
            *out = (struct meant){ &e->versions[i], 1, true };
            return true;
        }
    return false;
}

/* The versions that a name means: all of the model's, or one. */
static bool find_meant(const struct trp_snapshot *s, struct trp_str name, struct meant *out)
{
    const struct trp_entry *e = trp_snapshot_find(s, name);
    if (!e)
        return find_one(s, name, out);
    *out = (struct meant){ e->versions, e->versions_n, false };
    return true;
}

static void take_counts(const struct trp_stats *s, struct tally *out)
{
    *out = (struct tally){ .requests = trp_stats_asked(s) };
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++)
        out->durations[i] = trp_counter_get(&s->total.buckets[i]);
    for (int32_t code = 0; code < TRP_CODES; code++)
        if (trp_code_http(code) >= 500 || code == TRP_QUEUE_FULL)
            out->errors += trp_counter_get(&s->errors[code]);
}

/* Counters of two looks are read one after another while requests come: none of them falls, but
 * their order is nobody's. */
static void add_since(struct tally *sum, const struct tally *now, const struct tally *before)
{
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++)
        sum->durations[i] += now->durations[i] - before->durations[i];
    sum->requests += now->requests - before->requests;
    sum->errors += now->errors - before->errors;
}

/* What was counted of it at the last look: nothing for one that was not there; all of it before
 * anybody has asked, and when a label has come to mean it. */
static struct tally counted_before(const struct load_slot *slot, const struct version_seen *now,
                                   bool is_one)
{
    for (uint32_t i = 0; slot->is_primed && i < VERSIONS_SEEN; i++) {
        const struct version_seen *seen = &slot->seen[i];
        if (seen->version == now->version && seen->digest == now->digest &&
            seen->counted.requests <= now->counted.requests)
            return seen->counted;
    }
    return slot->is_primed && !is_one ? (struct tally){ .requests = 0 } : now->counted;
}

static void count_versions(struct load_slot *slot, const struct meant *e, struct tally *second)
{
    struct version_seen seen[VERSIONS_SEEN] = { { .version = NULL } };
    const uint32_t skip = e->versions_n > VERSIONS_SEEN ? e->versions_n - VERSIONS_SEEN : 0;
    for (uint32_t i = skip; i < e->versions_n; i++) {
        struct version_seen *now = &seen[i - skip];
        now->version = e->versions[i];
        now->digest = e->versions[i]->digest;
        take_counts(trp_version_counts(e->versions[i]), &now->counted);
        const struct tally before = counted_before(slot, now, e->is_one);
        add_since(second, &now->counted, &before);
    }
    memcpy(slot->seen, seen, sizeof seen);
    slot->is_primed = true;
}

/* A route or composition is one thing, which may be another one next time. */
static void count_composed(struct load_slot *slot, const struct trp_stats *s, struct tally *second,
                           const struct trp_target *target)
{
    struct version_seen seen[VERSIONS_SEEN] = { { .version = target } };
    take_counts(s, &seen[0].counted);
    const struct tally before = counted_before(slot, &seen[0], true);
    add_since(second, &seen[0].counted, &before);
    memcpy(slot->seen, seen, sizeof seen);
    slot->is_primed = true;
}

/* The present second's tally; those that have passed without a look are empty. */
static struct tally *turn_to(struct load_slot *slot, int64_t second)
{
    int64_t passed = second - slot->second;
    if (!slot->is_primed || passed > SECONDS || passed < 0)
        passed = SECONDS;
    for (int64_t i = 0; i < passed; i++)
        slot->seconds[(uint64_t)(second - i) % SECONDS] = (struct tally){ .requests = 0 };
    slot->second = second;
    return &slot->seconds[(uint64_t)second % SECONDS];
}

static int64_t bound_ns(uint32_t bucket)
{
    return (int64_t)(trp_histogram_bound_s(bucket) * 1e9);
}

static int64_t quantile_ns(const struct tally *t, double q)
{
    uint64_t n = 0, below = 0;
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++)
        n += t->durations[i];
    if (n == 0)
        return -1;
    const double want = q * (double)n;
    uint32_t i = 0;
    while (i < TRP_HISTOGRAM_BUCKETS - 1 && (double)(below + t->durations[i]) < want)
        below += t->durations[i++];
    const int64_t low_ns = i > 0 ? bound_ns(i - 1) : 0;
    if (i == TRP_HISTOGRAM_BUCKETS - 1 || t->durations[i] == 0)
        return low_ns; /* longer than all bounds: at least this */
    const double part = (want - (double)below) / (double)t->durations[i];
    return low_ns + (int64_t)(part * (double)(bound_ns(i) - low_ns));
}

static void publish_window(struct load_slot *slot)
{
    const struct tally nothing = { .requests = 0 };
    struct tally sum = nothing;
    for (uint32_t i = 0; i < SECONDS; i++)
        add_since(&sum, &slot->seconds[i], &nothing);
    trp_gauge_set(&slot->p50_ns, quantile_ns(&sum, 0.5));
    trp_gauge_set(&slot->p99_ns, quantile_ns(&sum, 0.99));
    trp_gauge_set(&slot->requests, (int64_t)sum.requests);
    trp_gauge_set(&slot->error_millionths,
                  sum.requests > 0 ? (int64_t)((double)sum.errors / (double)sum.requests * MILLION)
                                   : 0);
}

/* A cold one is loaded before it runs. */
static int64_t load_left_ns(const struct trp_version *v)
{
    const int64_t ns = v->is_cold ? trp_gauge_get(&v->load_ns) : 0;
    return ns > 0 ? ns : 0;
}

static void publish_now(struct trp_load_facts *f, struct load_slot *slot, const struct meant *e)
{
    struct trp_exec_load load, newest = { .wait_ns = 0 };
    uint64_t bytes = 0;
    uint32_t queued = 0, busy = 0;
    bool is_ready = false;
    for (uint32_t i = 0; i < e->versions_n; i++) {
        const struct trp_version *v = e->versions[i];
        bytes += trp_counter_get(&v->weights.bytes) + trp_counter_get(&v->activations.bytes);
        is_ready |= trp_version_counts_as_ready(v);
        if (!f->opts.exec)
            continue;
        trp_exec_load(f->opts.exec, v, &load);
        queued += load.queued;
        busy += load.running;
        if (trp_version_takes_calls(v)) {
            newest = load;
            newest.wait_ns += load_left_ns(v);
        }
    }
    trp_gauge_set(&slot->ready, is_ready);
    trp_gauge_set(&slot->queued, queued);
    trp_gauge_set(&slot->busy, busy);
    trp_gauge_set(&slot->wait_ns, newest.wait_ns);
    trp_gauge_set(&slot->bytes, (int64_t)bytes);
}

static void look_at(struct trp_load_facts *f, struct load_slot *slot, int64_t now_ns)
{
    const struct trp_str name = trp_str_make(slot->name, slot->name_len);
    struct meant meant;
    const struct trp_directory_item *item =
        f->opts.directories ? trp_directory_find(f->opts.directories->newest, name) : NULL;
    const bool is_composed = item && item->target;
    const bool is_known =
        is_composed || (f->snapshot && !item && find_meant(f->snapshot, name, &meant));
    if (is_composed) {
        count_composed(slot, item->target->ops->stats(item->target),
                       turn_to(slot, now_ns / TRP_S(1)), item->target);
        publish_window(slot);
    } else if (is_known) {
        count_versions(slot, &meant, turn_to(slot, now_ns / TRP_S(1)));
        publish_window(slot);
        publish_now(f, slot, &meant);
    }
    trp_gauge_set(&slot->is_composed, is_composed);
    trp_gauge_set(&slot->is_known, is_known);
}

/* ---- looking at the server ---- */

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    return clock_gettime(id, &t) == 0 ? (int64_t)t.tv_sec * TRP_S(1) + t.tv_nsec : 0;
}

static int64_t used_ns(const struct trp_load_facts *f)
{
    pid_t workers[WORKERS_MAX];
    if (f->opts.used_ns)
        return f->opts.used_ns(f->opts.user);
    int64_t ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const uint32_t n =
        f->opts.backends ? trp_backends_pids(f->opts.backends, workers, WORKERS_MAX) : 0;
    for (uint32_t i = 0; i < n && i < WORKERS_MAX; i++) {
        clockid_t id;
        if (clock_getcpuclockid(workers[i], &id) == 0)
            ns += clock_ns(id);
    }
    return ns;
}

/* Of the last second: since the newest look that is as old, or the oldest that is kept.  A worker
 * that has ended takes what it had used with it. */
static void look_at_cpu(struct trp_load_facts *f, int64_t now_ns)
{
    const int64_t now_used_ns = used_ns(f);
    const uint64_t kept = f->cpu_n < CPU_LOOKS ? f->cpu_n : CPU_LOOKS;
    uint64_t back = 1;
    while (back < kept && now_ns - f->cpu[(f->cpu_n - back) % CPU_LOOKS].at_ns < CPU_WINDOW_NS)
        back++;
    if (kept > 0) {
        const uint64_t from = (f->cpu_n - back) % CPU_LOOKS;
        const double span = (double)(now_ns - f->cpu[from].at_ns) * f->opts.processors;
        const double used = (double)(now_used_ns - f->cpu[from].used_ns);
        const double ratio = span > 0 && used > 0 ? used / span : 0;
        trp_gauge_set(&f->cpu_millionths, (int64_t)((ratio < 1 ? ratio : 1) * MILLION));
    }
    f->cpu[f->cpu_n % CPU_LOOKS].at_ns = now_ns;
    f->cpu[f->cpu_n % CPU_LOOKS].used_ns = now_used_ns;
    f->cpu_n++;
}

static void look_at_memory(struct trp_load_facts *f)
{
    struct trp_budget b;
    if (!f->opts.ledger)
        return;
    trp_ledger_look(f->opts.ledger, &b);
    const double limit = (double)b.limit.of[TRP_RESOURCE_BYTES];
    const double used = (double)b.fixed.of[TRP_RESOURCE_BYTES] +
                        (double)b.committed.of[TRP_RESOURCE_BYTES] +
                        (double)b.reserved.of[TRP_RESOURCE_BYTES];
    trp_gauge_set(&f->memory_millionths, limit > 0 ? (int64_t)(used / limit * MILLION) : 0);
}

void trp_load_facts_look(struct trp_load_facts *f)
{
    const int64_t now_ns = trp_clock_now_ns(f->opts.clock);
    look_at_cpu(f, now_ns);
    look_at_memory(f);
    const int64_t in_flight =
        f->opts.metrics ? trp_metrics_get(f->opts.metrics, TRP_METRIC_IN_FLIGHT) : 0;
    trp_gauge_set(&f->in_flight, in_flight > 0 ? in_flight : 0);
    for (uint32_t i = 0; i < f->slots_n; i++)
        if (f->slots[i]->watches > 0)
            look_at(f, f->slots[i], now_ns);
}

void trp_load_facts_show(struct trp_load_facts *f, const struct trp_snapshot *snapshot)
{
    f->snapshot = snapshot;
}

/* ---- again and again ---- */

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_load_facts *f = TRP_CONTAINER_OF(timer, struct trp_load_facts, timer);
    trp_load_facts_look(f);
    /* The loop has room for one timer since the first time, so this cannot fail. */
    (void)trp_timer_arm(f->opts.control, timer, now_ns + f->opts.interval_ns, NULL);
}

trp_status trp_load_facts_create(const struct trp_alloc *alloc,
                                 const struct trp_load_facts_opts *opts,
                                 struct trp_load_facts **out_facts, struct trp_error *err)
{
    *out_facts = NULL;
    struct trp_load_facts *f = trp_alloc_zeroed(alloc, 1, sizeof *f);
    if (!f)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "what rules see");
    f->alloc = alloc;
    f->opts = *opts;
    f->timer.due = due;
    f->view = (struct trp_load_view){ .user = f,
                                      .watch = watch,
                                      .unwatch = unwatch,
                                      .model = read_model,
                                      .ready = read_ready,
                                      .server = read_server };
    *out_facts = f;
    return trp_ok();
}

trp_status trp_load_facts_start(struct trp_load_facts *f, struct trp_error *err)
{
    trp_load_facts_look(f);
    return trp_timer_arm(f->opts.control, &f->timer,
                         trp_clock_now_ns(f->opts.clock) + f->opts.interval_ns, err);
}

void trp_load_facts_stop(struct trp_load_facts *f)
{
    trp_timer_disarm(f->opts.control, &f->timer);
}

void trp_load_facts_destroy(struct trp_load_facts *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->slots_n; i++) {
        trp_alloc_free(f->alloc, (char *)(uintptr_t)f->slots[i]->name);
        trp_alloc_free(f->alloc, f->slots[i]);
    }
    trp_alloc_free(f->alloc, (void *)(uintptr_t)trp_pointer_get(&f->seats));
    trp_alloc_free(f->alloc, f->slots);
    trp_alloc_free(f->alloc, f);
}

const struct trp_load_view *trp_load_facts_view(const struct trp_load_facts *f)
{
    return &f->view;
}
