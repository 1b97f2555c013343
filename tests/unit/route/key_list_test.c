/* Lists that follow their files while they are asked. */
#include "route/key_list.h"

#include "base/thread.h"
#include "scratch.h"

struct fixture {
    char path[SCRATCH_PATH_MAX];
    struct trp_metrics *metrics;
    struct trp_key_lists *lists;
    int64_t poll_ns;
};

static void put(struct fixture *f, const char *text)
{
    struct trp_error err = { .text = "" };
    if (trp_failed(trp_file_replace(f->path, text, strlen(text), &err)))
        fail_msg("%s", err.text);
}

static struct trp_key_list *open_list(struct fixture *f)
{
    struct trp_error err = { .text = "" };
    struct trp_key_list *list;
    if (trp_failed(trp_key_list_open(f->lists, f->path, &list, &err)))
        fail_msg("%s", err.text);
    return list;
}

static void make(struct fixture *f)
{
    const struct trp_key_lists_opts opts = { .limits = { .keys_max = 1000 },
                                             .poll_ns = f->poll_ns,
                                             .clock = trp_clock_system(),
                                             .metrics = f->metrics };
    struct trp_error err = { .text = "" };
    if (trp_failed(trp_key_lists_create(trp_heap(), &opts, &f->lists, &err)))
        fail_msg("%s", err.text);
}

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    close(scratch_file(f->path, "list"));
    *state = f;
    assert_int_equal(trp_metrics_create(trp_heap(), 1, &f->metrics, NULL).code, TRP_OK);
    make(f);
    put(f, "alice\nbob\n");
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    trp_key_lists_destroy(f->lists);
    trp_metrics_destroy(f->metrics);
    unlink(f->path);
    free(f);
    return 0;
}

static bool has(struct trp_key_list *list, const char *key)
{
    return trp_key_list_has(list, trp_str_of(key));
}

static void a_list_follows_its_file(void **state)
{
    struct fixture *f = *state;
    struct trp_key_list *list = open_list(f);
    struct trp_key_list_state now;
    assert_true(has(list, "alice"));
    assert_false(has(list, "carol"));
    assert_false(trp_key_lists_refresh(f->lists)); /* nothing has changed */
    put(f, "carol\nbob\ndave\n");
    assert_true(trp_key_lists_refresh(f->lists));
    assert_false(has(list, "alice"));
    assert_true(has(list, "carol"));
    put(f, "alice\n");
    assert_true(trp_key_lists_refresh(f->lists)); /* and back to the first place */
    assert_true(has(list, "alice"));
    trp_key_list_look(list, &now);
    assert_int_equal(now.keys, 1);
    assert_int_equal(now.reloads, 2);
    assert_int_equal(now.failures, 0);
    assert_string_equal(now.trouble, "");
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LIST_KEYS), 1);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LIST_RELOADS), 2);
    trp_key_list_close(list);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LISTS), 0);
}

static void a_file_that_cannot_be_taken_up_leaves_the_list_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct trp_key_list *list = open_list(f);
    struct trp_key_list_state now;
    char *many = calloc(1, 8 * 1001 + 1);
    assert_non_null(many);
    for (int i = 0; i < 1001; i++)
        (void)snprintf(many + strlen(many), 9, "k%d\n", i);
    put(f, many); /* one more than the limit */
    free(many);
    assert_false(trp_key_lists_refresh(f->lists));
    assert_true(has(list, "alice"));
    trp_key_list_look(list, &now);
    assert_int_equal(now.failures, 1);
    assert_non_null(strstr(now.trouble, "1001 keys, the limit is 1000"));
    assert_false(trp_key_lists_refresh(f->lists)); /* it is not read again in vain */
    trp_key_list_look(list, &now);
    assert_int_equal(now.failures, 1);
    unlink(f->path);
    assert_false(trp_key_lists_refresh(f->lists));
    assert_true(has(list, "bob"));
    trp_key_list_look(list, &now);
    assert_int_equal(now.failures, 2);
    assert_non_null(strstr(now.trouble, "No such file"));
    put(f, "carol\n"); /* mended */
    assert_true(trp_key_lists_refresh(f->lists));
    assert_true(has(list, "carol"));
    trp_key_list_look(list, &now);
    assert_string_equal(now.trouble, "");
    trp_key_list_close(list);
}

static void one_file_is_one_list_however_often_it_is_opened(void **state)
{
    struct fixture *f = *state;
    struct trp_key_list *a = open_list(f), *b = open_list(f);
    struct trp_key_list *none = a;
    assert_ptr_equal(a, b);
    assert_int_equal(trp_key_list_open(f->lists, "/nowhere/at/all", &none, NULL).code,
                     TRP_NOT_FOUND);
    assert_null(none);
    trp_key_list_close(a);
    assert_true(has(b, "alice"));
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LISTS), 1);
    trp_key_list_close(b);
    trp_key_list_close(NULL);
}

struct asker {
    struct trp_thread thread;
    struct trp_key_list *list;
    struct trp_flag *stop;
    struct trp_counter asked, wrong;
};

/* "bob" is always there. */
static void ask(void *user)
{
    struct asker *a = user;
    while (!trp_flag_is_up(a->stop)) {
        if (!trp_key_list_has(a->list, TRP_STR_LIT("bob")) ||
            trp_key_list_has(a->list, TRP_STR_LIT("eve")))
            trp_counter_add(&a->wrong, 1);
        trp_counter_add(&a->asked, 1);
    }
}

static void a_list_can_be_asked_while_it_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct trp_key_list *list = open_list(f);
    struct trp_flag stop = { 0 };
    struct asker askers[3] = { 0 };
    for (uint32_t i = 0; i < ARRAY_LEN(askers); i++) {
        askers[i].list = list;
        askers[i].stop = &stop;
        assert_int_equal(trp_thread_start(&askers[i].thread, "asker", ask, &askers[i], NULL).code,
                         TRP_OK);
    }
    for (int i = 0; i < 60; i++) {
        put(f, i % 2 ? "bob\n" : "alice\nbob\ncarol\n");
        assert_true(trp_key_lists_refresh(f->lists));
    }
    trp_flag_raise(&stop);
    for (uint32_t i = 0; i < ARRAY_LEN(askers); i++) {
        trp_thread_join(&askers[i].thread);
        assert_int_equal(trp_counter_get(&askers[i].wrong), 0);
    }
    trp_key_list_close(list);
}

static void the_thread_sees_a_change_by_itself(void **state)
{
    struct fixture *f = *state;
    trp_key_lists_destroy(f->lists);
    f->poll_ns = TRP_MS(2);
    make(f);
    struct trp_key_list *list = open_list(f);
    assert_int_equal(trp_key_lists_start(f->lists, NULL).code, TRP_OK);
    put(f, "carol\n");
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + TRP_S(30);
    while (!has(list, "carol") && trp_clock_now_ns(trp_clock_system()) < until_ns)
        usleep(1000);
    const bool was_seen = has(list, "carol");
    trp_key_lists_stop(f->lists);
    trp_key_list_close(list);
    assert_true(was_seen);
}

/* ---- files that somebody waits for ---- */

struct waiting {
    struct trp_key_reading reading;
    const char *paths[2];
    struct trp_key_list *lists[2];
    struct trp_error errors[2];
    struct trp_flag is_done;
};

static void is_done(struct trp_key_reading *reading)
{
    trp_flag_raise(&TRP_CONTAINER_OF(reading, struct waiting, reading)->is_done);
}

static void read_files(struct fixture *f, struct waiting *w, const char *first, const char *second)
{
    *w = (struct waiting){ .paths = { first, second } };
    w->reading = (struct trp_key_reading){
        .paths = w->paths, .paths_n = 2, .lists = w->lists, .errors = w->errors, .done = is_done
    };
    trp_key_lists_read(f->lists, &w->reading);
}

static void wait_for(struct waiting *w)
{
    for (int i = 0; i < 30000 && !trp_flag_is_up(&w->is_done); i++)
        usleep(1000);
    assert_true(trp_flag_is_up(&w->is_done));
}

static void close_both(struct waiting *w)
{
    trp_key_list_close(w->lists[0]);
    trp_key_list_close(w->lists[1]);
}

static void the_thread_opens_files_and_says_which_it_could_not(void **state)
{
    struct fixture *f = *state;
    struct waiting w, again;
    read_files(f, &w, f->path, "/nowhere/at/all"); /* without a thread: here */
    assert_true(trp_flag_is_up(&w.is_done));
    assert_int_equal(w.errors[1].status.code, TRP_NOT_FOUND);
    close_both(&w);
    assert_int_equal(trp_key_lists_start(f->lists, NULL).code,
                     TRP_OK); /* it looks at no file by itself */
    read_files(f, &w, f->path, "/nowhere/at/all");
    wait_for(&w);
    assert_non_null(w.lists[0]);
    assert_null(w.lists[1]);
    assert_int_equal(w.errors[0].status.code, TRP_OK);
    assert_int_equal(w.errors[1].status.code, TRP_NOT_FOUND);
    assert_true(has(w.lists[0], "alice"));
    read_files(f, &again, f->path, f->path); /* what is open is there at once */
    assert_true(trp_flag_is_up(&again.is_done));
    assert_ptr_equal(again.lists[0], w.lists[0]);
    assert_ptr_equal(again.lists[1], w.lists[0]);
    trp_key_list_retain(w.lists[0]);
    trp_key_list_close(w.lists[0]);
    close_both(&again);
    assert_true(has(w.lists[0], "bob"));
    close_both(&w);
    trp_key_lists_stop(f->lists);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LISTS), 0);
}

/* Readings, looks at the files, look-ups and the end, all at once. */
static void readings_and_looks_do_not_disturb_each_other(void **state)
{
    struct fixture *f = *state;
    struct waiting w[16];
    assert_int_equal(trp_key_lists_start(f->lists, NULL).code, TRP_OK);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < ARRAY_LEN(w); i++)
            read_files(f, &w[i], f->path, i % 2 ? f->path : "/nowhere/at/all");
        put(f, round % 2 ? "bob\n" : "bob\ncarol\n");
        (void)trp_key_lists_refresh(f->lists);
        for (uint32_t i = 0; round < 19 && i < ARRAY_LEN(w); i++) {
            wait_for(&w[i]);
            assert_true(has(w[i].lists[0], "bob"));
            close_both(&w[i]);
        }
    }
    trp_key_lists_stop(f->lists); /* those that have not begun are never told */
    for (uint32_t i = 0; i < ARRAY_LEN(w); i++)
        close_both(&w[i]);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_LISTS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_follows_its_file, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_taken_up_leaves_the_list_and_says_why,
                                        begin, end),
        cmocka_unit_test_setup_teardown(one_file_is_one_list_however_often_it_is_opened, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_list_can_be_asked_while_it_is_read_again, begin, end),
        cmocka_unit_test_setup_teardown(the_thread_sees_a_change_by_itself, begin, end),
        cmocka_unit_test_setup_teardown(the_thread_opens_files_and_says_which_it_could_not, begin,
                                        end),
        cmocka_unit_test_setup_teardown(readings_and_looks_do_not_disturb_each_other, begin, end),
    };
    return cmocka_run_group_tests_name("key_list", tests, NULL, NULL);
}
