/* What a sequence begins with: files of the model's folder, zeros where none is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "life/initial_states.h"
#include "repo/repo.h"
#include "scratch.h"

struct fixture {
    char folder[SCRATCH_PATH_MAX];
    struct trp_arena arena;
    struct trp_error err;
    struct trp_sequence_state states[2];
    struct trp_sequence_config config;
};

static void write_state(const struct fixture *f, const char *name, const void *bytes, size_t len)
{
    char path[SCRATCH_PATH_MAX + 64];
    struct trp_error err = { 0 };
    (void)snprintf(path, sizeof path, "%s/" TRP_REPO_STATE_FOLDER, f->folder);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/" TRP_REPO_STATE_FOLDER "/%s", f->folder, name);
    assert_false(trp_failed(trp_file_replace(path, bytes, len, &err)));
}

/* Two numbers from the file `begin`, and two that nobody says. */
static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    scratch_folder(f->folder, "states");
    trp_arena_init(&f->arena, trp_heap(), 4096, 1u << 20);
    for (int i = 0; i < 2; i++)
        f->states[i].initial = (struct troupe_tensor){
            .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 2 }, .bytes = 8
        };
    f->states[0].data_file = TRP_STR_LIT("begin");
    f->config.states = f->states;
    f->config.states_n = 2;
}

static void tear_down(struct fixture *f)
{
    trp_arena_deinit(&f->arena);
    char path[SCRATCH_PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/" TRP_REPO_STATE_FOLDER "/begin", f->folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/" TRP_REPO_STATE_FOLDER, f->folder);
    (void)rmdir(path);
    (void)rmdir(f->folder);
}

static trp_status read_states(struct fixture *f)
{
    return trp_initial_states_read(&f->arena, trp_str_of(f->folder), 1000, &f->config, &f->err);
}

static void a_state_begins_as_its_file_says_or_with_zeros(void **state)
{
    (void)state;
    struct fixture f;
    static const float two[2] = { 1.5f, -2 }, none[2];
    set_up(&f);
    write_state(&f, "begin", two, sizeof two);
    if (trp_failed(read_states(&f)))
        fail_msg("%s", f.err.text);
    assert_memory_equal(f.states[0].initial.data, two, sizeof two);
    assert_memory_equal(f.states[1].initial.data, none, sizeof none);
    tear_down(&f);
}

static void a_file_that_does_not_hold_the_state_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_true(trp_failed(read_states(&f))); /* it is not there */
    write_state(&f, "begin", "1234567", 7);
    assert_int_equal(read_states(&f).code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "initial_state 'begin': it has 7 bytes, the state has 8"));
    f.states[0].data_file = TRP_STR_LIT("../begin");
    assert_true(trp_failed(read_states(&f)));
    f.states[0].data_file = TRP_STR_LIT("begin");
    assert_int_equal(
        trp_initial_states_read(&f.arena, (struct trp_str){ 0 }, 1000, &f.config, &f.err).code,
        TRP_INVALID_ARGUMENT);
    tear_down(&f);
}

static void strings_have_their_lengths_in_front(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.states[0].initial.dtype = TROUPE_BYTES;
    write_state(&f, "begin", "\1\0\0\0a\0\0\0\0", 9);
    if (trp_failed(read_states(&f)))
        fail_msg("%s", f.err.text);
    assert_int_equal(f.states[0].initial.bytes, 9);
    write_state(&f, "begin", "\1\0\0\0a\0\0\0", 8);
    assert_int_equal(read_states(&f).code, TRP_INVALID_ARGUMENT);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_begins_as_its_file_says_or_with_zeros),
        cmocka_unit_test(a_file_that_does_not_hold_the_state_is_refused),
        cmocka_unit_test(strings_have_their_lengths_in_front),
    };
    return cmocka_run_group_tests_name("initial_states", tests, NULL, NULL);
}
