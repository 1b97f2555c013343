/* tests/unit/backend/passage_test.c - runs through a process that does not say the truth: this
 * program is that process, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "backend/passage.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/talk.h"
#include "mortal.h"
#include "unit/tensor/purse.h"

#define INPUT_BYTES 1000u

/* ---- the other process ---- */

/* What it says of its output, by the number of the run: where it lies as seen from the input,
 * and how large it is. */
static const struct lie {
    int64_t from_input;
    uint64_t bytes;
    bool is_believed;
} lies[] = {
    { 0, INPUT_BYTES, true },  { 100, INPUT_BYTES - 100, true }, { INPUT_BYTES, 0, true },
    { 1, INPUT_BYTES, false }, { 0, INPUT_BYTES + 1, false },    { -1, INPUT_BYTES, false },
    { -4096, 1, false },       { INPUT_BYTES, 1, false },        { INT64_C(1) << 40, 1, false },
    { INT64_MIN, 1, false },   { 1, UINT64_MAX, false },         { 0, UINT64_MAX, false },
};

static void lie_on_lane(const struct trp_shm *servers, int lane)
{
    struct trp_worker_call call;
    int fds[TRP_TALK_FDS_MAX];
    while (trp_talk_receive(lane, &call, sizeof call, fds) == TRP_TALK_MESSAGE) {
        struct trp_worker_frame *f = (struct trp_worker_frame *)(void *)(servers->ptr + call.at);
        struct trp_worker_tensor *t = trp_worker_frame_tensors(f);
        const struct lie *l = &lies[f->id];
        const struct trp_worker_answer answer = { .code = TROUPE_OK };
        t[1] = t[0]; /* its place as well */
        t[1].at = t[0].at + (uint64_t)l->from_input;
        t[1].bytes = l->bytes;
        (void)trp_talk_send(lane, &answer, sizeof answer, NULL, 0);
    }
}

static int lie_until_the_end(int control)
{
    struct trp_worker_message m;
    struct trp_shm servers = { .fd = -1 };
    int fds[TRP_TALK_FDS_MAX];
    trp_child_follow_parent();
    while (trp_talk_receive(control, &m, sizeof m, fds) == TRP_TALK_MESSAGE) {
        if (m.kind == TRP_WORKER_ORDER &&
            trp_failed(trp_shm_adopt(fds[0], m.yards[0], &servers, NULL)))
            return 1;
        if (m.kind == TRP_WORKER_LANE)
            lie_on_lane(&servers, fds[0]);
    }
    return 0;
}

/* ---- this one ---- */

struct fixture {
    struct trp_commons *commons;
    struct purse purse;
    struct trp_plot *plot;
    struct trp_stint *stint;
};

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->stint)
        trp_stint_end(f->stint, TRP_S(60));
    trp_stint_unref(f->stint);
    if (f->plot)
        trp_commons_give(f->commons, &f->purse.account, f->plot, 3 * INPUT_BYTES);
    trp_commons_destroy(f->commons);
    return 0;
}

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    static const char *const argv[] = { "passage_test", "worker", NULL };
    *state = &f;
    f = (struct fixture){ .commons = NULL };
    purse_init(&f.purse, UINT64_MAX);
    trp_status st = trp_commons_create(trp_heap(), UINT64_C(1) << 36, &f.commons, NULL);
    if (!trp_failed(st))
        st = trp_commons_open(f.commons, NULL);
    if (!trp_failed(st))
        st = trp_stint_begin(argv, "/proc/self/exe", f.commons, 0, &f.stint, NULL);
    if (!trp_failed(st))
        st = trp_stint_order(f.stint, TRP_STR_LIT("lie"), NULL);
    if (trp_failed(st)) /* nobody tears down what was not set up */
        (void)tear_down(state);
    return st.code;
}

static int32_t run_as(struct fixture *f, uint64_t id, char *input, struct troupe_tensor *out)
{
    struct trp_passage_seen seen;
    struct troupe_error error = { 0 };
    const struct troupe_tensor in = { .dtype = TROUPE_UINT8,
                                      .rank = 1,
                                      .shape = { INPUT_BYTES },
                                      .data = input,
                                      .bytes = INPUT_BYTES };
    const struct troupe_run run = {
        .struct_size = sizeof run, .id = id, .inputs_n = 1, .outputs_n = 1, .error = &error
    };
    *out = (struct troupe_tensor){ .data = NULL };
    const int32_t code = trp_passage_run(f->stint, "m", &run, &in, out, &seen);
    assert_int_equal(seen.copied_bytes, f->stint->sees_commons ? 0 : INPUT_BYTES);
    if (code != TROUPE_OK)
        assert_non_null(strstr(error.text, "named memory that there is not"));
    return code;
}

/* Around the input lies what somebody else has sent. */
static void what_other_requests_sent_is_nobodys_output(void **state)
{
    struct fixture *f = *state;
    struct troupe_tensor out;
    f->stint->sees_commons = true;
    f->plot = trp_commons_take(f->commons, &f->purse.account, 3 * INPUT_BYTES);
    assert_non_null(f->plot);
    for (uint64_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        print_message("lie %llu\n", (unsigned long long)i);
        const int32_t code = run_as(f, i, f->plot->ptr + INPUT_BYTES, &out);
        assert_int_equal(code, lies[i].is_believed ? TROUPE_OK : TROUPE_INTERNAL);
        if (!lies[i].is_believed) {
            assert_null(out.data);
            continue;
        }
        assert_ptr_equal(out.data, f->plot->ptr + INPUT_BYTES + lies[i].from_input);
        assert_null(out.release); /* so whoever has the input keeps it */
    }
}

static void a_process_that_sees_no_commons_is_sent_a_copy(void **state)
{
    struct fixture *f = *state;
    struct troupe_tensor out;
    f->plot = trp_commons_take(f->commons, &f->purse.account, 3 * INPUT_BYTES);
    assert_non_null(f->plot);
    memset(f->plot->ptr, 7, INPUT_BYTES);
    assert_int_equal(run_as(f, 0, f->plot->ptr, &out), TROUPE_OK);
    assert_memory_equal(out.data, f->plot->ptr, INPUT_BYTES);
    assert_ptr_not_equal(out.data, f->plot->ptr);
    out.release(out.release_user, out.data);
}

/* A second yard, in which as little as an order lies for ever. */
static void inputs_that_never_have_room_are_told_from_those_that_have_none_now(void **state)
{
    struct fixture *f = *state;
    static char input[1 << 20];
    static const struct row {
        uint64_t bytes;
        const char *words;
        int32_t code;
    } rows[] = {
        { 950000, "never room", TROUPE_TOO_LARGE }, /* it is rounded up to 1 MiB */
        { sizeof input, "never room", TROUPE_TOO_LARGE },
        { 700000, "no room now", TROUPE_OUT_OF_MEMORY },
    };
    trp_stint_end(f->stint, TRP_S(60));
    trp_stint_unref(f->stint);
    static const char *const argv[] = { "passage_test", "worker", NULL };
    f->stint = NULL;
    assert_int_equal(trp_stint_begin(argv, "/proc/self/exe", NULL, 1 << 20, &f->stint, NULL).code,
                     TRP_OK);
    assert_int_equal(trp_stint_order(f->stint, TRP_STR_LIT("lie"), NULL).code, TRP_OK);
    struct trp_plot *others = trp_yard_take(&f->stint->yard, 400000);
    assert_non_null(others);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_passage_seen seen;
        struct troupe_error error = { 0 };
        struct troupe_tensor out = { .data = NULL };
        const struct troupe_tensor in = { .dtype = TROUPE_UINT8,
                                          .rank = 1,
                                          .shape = { (int64_t)r->bytes },
                                          .data = input,
                                          .bytes = r->bytes };
        const struct troupe_run run = {
            .struct_size = sizeof run, .inputs_n = 1, .outputs_n = 1, .error = &error
        };
        assert_int_equal(trp_passage_run(f->stint, "m", &run, &in, &out, &seen), r->code);
        assert_non_null(strstr(error.text, r->words));
        assert_non_null(strstr(error.text, "limits.worker_bytes"));
        assert_int_equal(seen.refused, 1);
    }
    trp_yard_give(&f->stint->yard, others);
}

#define PASSAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return lie_until_the_end(TRP_WORKER_FD);
    let_children_die();
    const struct CMUnitTest tests[] = {
        PASSAGE(what_other_requests_sent_is_nobodys_output),
        PASSAGE(a_process_that_sees_no_commons_is_sent_a_copy),
        PASSAGE(inputs_that_never_have_room_are_told_from_those_that_have_none_now),
    };
    return cmocka_run_group_tests_name("passage", tests, NULL, NULL);
}
