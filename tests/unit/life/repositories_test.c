/* Several repositories, large ones, and versions that say what they must consist of. */
#include "base/sha256.h"
#include "life_asking.h"

#define ECHO "input X FP32 [-1]\n"
#define OTHER "input Other FP32 [-1]\n"
#define THIRD "input Third FP32 [-1]\n"

static const char *further[1];

static bool takes(const struct fixture *f, const char *model, const char *input)
{
    const struct trp_version *v = highest(f, model);
    return v && trp_lifecycle_get(&v->life) == TRP_MODEL_READY && v->signature.inputs_n &&
           trp_str_is(v->signature.inputs[0].name, input);
}

/* A second repository beside the first. */
static void add_repository(struct fixture *f)
{
    static char second[96];
    (void)snprintf(second, sizeof second, "%s/second", f->base);
    assert_int_equal(mkdir(second, 0755), 0);
    further[0] = second;
    f->opts.repo.further = further;
    f->opts.repo.further_n = 1;
}

static void put_second(struct fixture *f, const char *path, const char *text)
{
    char relative[256];
    (void)snprintf(relative, sizeof relative, "../second/%s", path);
    put(f, relative, text);
}

static void a_name_is_the_first_repositorys_that_has_it(void **state)
{
    struct fixture *f = *state;
    add_repository(f);
    put(f, "both/1/model.echo", ECHO);
    put(f, "mine.echo", ECHO);
    put_second(f, "both/7/model.echo", OTHER);
    put_second(f, "theirs.echo", OTHER);
    start(f);
    pump(f, takes(f, "both", "X") && takes(f, "mine", "X") && takes(f, "theirs", "Other"));
    assert_true(log_says(f, "model 'both' is served from"));
    assert_true(log_says(f, "/second is not, because that repository comes later"));
    load(f, "both", TRP_OK, ""); /* by name, the same one */
    assert_true(takes(f, "both", "X"));
    load(f, "theirs", TRP_OK, "");
    load(f, "nobodys", TRP_NOT_FOUND, "and the repositories after it");
    take_away(f, "both"); /* what it hid comes to light */
    rescan(f);
    pump(f, takes(f, "both", "Other"));
    assert_int_equal(highest(f, "both")->target.version, 7);
    put(f, "both/1/model.echo", ECHO);
    rescan(f);
    pump(f, takes(f, "both", "X"));
    assert_int_equal(highest(f, "both")->target.version, 1);
}

static void every_repository_is_watched(void **state)
{
    struct fixture *f = *state;
    add_repository(f);
    f->opts.watch = TRP_WATCH_NOTIFY;
    put_second(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, takes(f, "m", "X"));
    pump(f, !trp_loaders_are_busy(f->life->loaders)); /* both are covered */
    put_second(f, "m/2/model.echo", OTHER);
    pump(f, takes(f, "m", "Other"));
}

static void a_repository_that_cannot_be_listed_takes_nothing_away(void **state)
{
    struct fixture *f = *state;
    add_repository(f);
    put(f, "mine.echo", ECHO);
    put_second(f, "theirs.echo", ECHO);
    start(f);
    pump(f, takes(f, "mine", "X") && takes(f, "theirs", "X"));
    take_away(f, "../second");
    put(f, "new.echo", ECHO);
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_NOT_FOUND, "second");
    assert_true(takes(f, "theirs", "X"));
    assert_null(entry(f, "new"));
}

/* ---- many models ---- */

static int64_t hurry(void *user)
{
    int64_t *now_ns = user;
    return *now_ns += TRP_US(300); /* whoever asks for the time has worked for a while */
}

#define MANY 400

static void an_order_does_not_wait_until_a_large_listing_is_taken_up(void **state)
{
    struct fixture *f = *state;
    int64_t now_ns = 0;
    const struct trp_clock clock = { .now_ns = hurry, .wall_ns = hurry, .user = &now_ns };
    struct wish order = { 0 },
                looked = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    char name[64];
    f->opts.clock = &clock;
    start(f);
    /* The order comes to this one: it waits for nothing but the control thread, least of all for
     * a load. */
    put(f, "m000/model.yaml", "load: explicit\n");
    put(f, "m000/1/model.echo", ECHO);
    for (int i = 1; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "m%03d.echo", i);
        put(f, name, ECHO);
    }
    trp_life_submit(f->life, &looked.order);
    pump(f, entry(f, "m000") != NULL);
    assert_null(entry(f, "m399")); /* a slice at a time */
    assert_false(looked.is_done);
    submit_unload(f, &order, "m000");
    pump(f, order.is_done);
    assert_false(looked.is_done);
    load(f, "m399", TRP_OK, ""); /* ahead of the listing, which leaves it alone */
    check_order(f, &looked, TRP_OK, "");
    for (int i = 1; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "m%03d", i);
        pump(f, is(f, name, "READY"));
    }
}

static void what_leaves_while_a_listing_is_taken_up_is_no_trouble(void **state)
{
    struct fixture *f = *state;
    int64_t now_ns = 0;
    const struct trp_clock clock = { .now_ns = hurry, .wall_ns = hurry, .user = &now_ns };
    char name[64];
    f->opts.clock = &clock;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "m%03d.echo", i);
        put(f, name, ECHO);
    }
    start(f);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "m%03d.echo", i);
        take_away(f, name);
    }
    rescan(f);
    pump(f, trp_table_count(f->life->names) == 0);
    assert_int_equal(trp_snapshot_count(trp_registry_current(f->life->registry)), 0);
}

static void the_end_may_come_while_a_listing_is_taken_up(void **state)
{
    struct fixture *f = *state;
    int64_t now_ns = 0;
    const struct trp_clock clock = { .now_ns = hurry, .wall_ns = hurry, .user = &now_ns };
    char name[64];
    f->opts.clock = &clock;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "m%03d.echo", i);
        put(f, name, ECHO);
    }
    create(f);
    trp_life_start(f->life);
    pump(f, entry(f, "m000") != NULL);
    assert_null(entry(f, "m399"));
    stop(f);
}

/* An order that found what came after the listing was made knows better than the listing. */
static void what_an_order_found_is_not_taken_for_gone_by_an_older_listing(void **state)
{
    struct fixture *f = *state;
    struct wish w = { 0 }, looked = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    put(f, "old.echo", ECHO);
    start(f);
    trp_life_submit(f->life, &looked.order);
    put(f, "new.echo", ECHO);
    submit_load(f, &w, "new");
    check_order(f, &w, TRP_OK, "");
    check_order(f, &looked, TRP_OK, "");
    assert_true(takes(f, "new", "X"));
}

/* ---- versions that come and go ---- */

static void when_the_newest_version_goes_the_one_before_serves(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    put(f, "m/2/model.echo", OTHER);
    put(f, "m/3/model.echo", THIRD);
    start(f);
    pump(f, takes(f, "m", "Third"));
    take_away(f, "m/3");
    rescan(f);
    pump(f, takes(f, "m", "Other"));
    assert_int_equal(highest(f, "m")->target.version, 2);
    put(f, "m/3/model.echo", THIRD);
    rescan(f);
    pump(f, takes(f, "m", "Third"));
}

static void put_sums(struct fixture *f, const char *folder, const char *text)
{
    struct trp_sha256 digest;
    char path[128], line[160], digits[TRP_SHA256_TEXT];
    must(trp_sha256_memory(text, strlen(text), &digest, NULL), NULL);
    trp_sha256_format(&digest, digits);
    (void)snprintf(path, sizeof path, "%s/SHA256SUMS", folder);
    (void)snprintf(line, sizeof line, "%s  model.echo\n", digits);
    put(f, path, line);
}

static void a_version_is_taken_up_when_all_that_its_manifest_names_is_there(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, takes(f, "m", "X"));
    put_sums(f, "m/2", OTHER); /* the list first, then what it names */
    put(f, "m/2/model.echo", "input Oth");
    rescan(f);
    pump(f, entry(f, "m")->reason != NULL);
    assert_non_null(strstr(entry(f, "m")->reason, "SHA256SUMS: 'model.echo' is not whole"));
    assert_true(takes(f, "m", "X"));
    put(f, "m/2/model.echo", OTHER);
    rescan(f);
    pump(f, takes(f, "m", "Other"));
    assert_null(entry(f, "m")->reason);
    load(f, "m", TRP_OK, "");
}

static void a_model_that_is_not_loaded_is_compared_with_its_manifest_as_well(void **state)
{
    struct fixture *f = *state;
    put(f, "m/model.yaml", "load: explicit\n");
    put_sums(f, "m", OTHER);
    put(f, "m/model.echo", ECHO);
    start(f);
    pump(f, highest(f, "m") && trp_version_reason(highest(f, "m")).len);
    assert_non_null(strstr(trp_version_reason(highest(f, "m")).ptr, "is not whole"));
    load(f, "m", TRP_INVALID_ARGUMENT, "is not whole");
    put(f, "m/model.echo", OTHER);
    load(f, "m", TRP_OK, "");
    assert_true(takes(f, "m", "Other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(a_name_is_the_first_repositorys_that_has_it),
        WITH_LIFE(every_repository_is_watched),
        WITH_LIFE(a_repository_that_cannot_be_listed_takes_nothing_away),
        WITH_LIFE(an_order_does_not_wait_until_a_large_listing_is_taken_up),
        WITH_LIFE(what_leaves_while_a_listing_is_taken_up_is_no_trouble),
        WITH_LIFE(the_end_may_come_while_a_listing_is_taken_up),
        WITH_LIFE(what_an_order_found_is_not_taken_for_gone_by_an_older_listing),
        WITH_LIFE(when_the_newest_version_goes_the_one_before_serves),
        WITH_LIFE(a_version_is_taken_up_when_all_that_its_manifest_names_is_there),
        WITH_LIFE(a_model_that_is_not_loaded_is_compared_with_its_manifest_as_well),
    };
    return cmocka_run_group_tests_name("repositories", tests, NULL, NULL);
}
