/* Arrivals that were written down: tables of what is read, and of what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tune/arrival_log.h"

static void begin(struct trp_workload *w)
{
    assert_false(trp_failed(trp_workload_init(w, trp_heap(), NULL)));
}

static void reads_a_table_with_its_columns_in_any_order(void **state)
{
    struct trp_workload w;
    (void)state;
    begin(&w);
    const char *text = "# who came on Monday\n"
                       "model, tenant,at_ms,rows,class,timeout_ms\r\n"
                       "a,alice,1.5,4,interactive,20\r\n"
                       "\n"
                       "b,,1.25,,batch,\n"
                       "a,bob,7,1,,0.5";
    assert_false(trp_failed(trp_arrival_log_parse(&w, trp_str_of(text), NULL)));
    assert_int_equal(w.arrivals_n, 3);
    const struct trp_arrival *a = w.arrivals;
    assert_int_equal(a[0].at_ns, 1500000);
    assert_int_equal(a[0].rows, 4);
    assert_int_equal(a[0].class, TRP_PRIORITY_INTERACTIVE);
    assert_int_equal(a[0].timeout_ns, TRP_MS(20));
    assert_true(trp_str_is(w.tenants.names[a[0].tenant], "alice"));
    assert_int_equal(a[1].tenant, 0);
    assert_int_equal(a[1].rows, 1);
    assert_int_equal(a[1].timeout_ns, 0);
    assert_int_equal(a[1].class, TRP_PRIORITY_BATCH);
    assert_true(trp_str_is(w.models.names[a[1].model], "b"));
    assert_int_equal(a[2].timeout_ns, TRP_US(500));
    assert_int_equal(a[2].class, TRP_PRIORITY_NORMAL);
    assert_int_equal(w.models.n, 2);
    assert_false(trp_failed(trp_workload_sort(&w, NULL)));
    trp_workload_rebase(&w);
    assert_int_equal(w.arrivals[0].at_ns, 0);
    assert_int_equal(w.arrivals[1].at_ns, 250000);
    trp_workload_deinit(&w);
}

static void keeps_moments_of_a_wall_clock_exactly(void **state)
{
    struct trp_workload w;
    (void)state;
    begin(&w);
    assert_false(trp_failed(trp_arrival_log_parse(
        &w, TRP_STR_LIT("at_ns,model\n1790000000000000001,m\n1790000000000000008,m\n"), NULL)));
    trp_workload_rebase(&w);
    assert_int_equal(w.arrivals[1].at_ns, 7);
    trp_workload_deinit(&w);
}

static void refuses_what_it_cannot_read_and_says_where(void **state)
{
    static const struct row {
        const char *text, *words;
    } rows[] = {
        { "", "it is empty" },
        { "# nothing\n", "it is empty" },
        { "model\na\n", "no column 'at_s'" },
        { "at_s\n1\n", "no column 'model'" },
        { "at_s,model,colour\n", "line 1: a column 'colour'" },
        { "at_s,at_ms,model\n", "'at' stands twice" },
        { "at_s,model,model\n", "'model' stands twice" },
        { "at_s,model\n1,a\nsoon,a\n", "line 3: at_s: 'soon'" },
        { "at_s,model\n-1,a\n", "line 2: at_s: '-1'" },
        { "at_s,model\nnan,a\n", "line 2: at_s: 'nan'" },
        { "at_s,model\n,a\n", "line 2: at_s is missing" },
        { "at_s,model\n1\n", "line 2: model is missing" },
        { "at_s,model\n1,a,b\n", "line 2: more fields than columns: 'b'" },
        { "at_s,model,class\n1,a,urgent\n",
          "line 2: class: 'urgent'; there are interactive, normal and batch" },
        { "at_s,model,rows\n1,a,0\n", "line 2: rows: '0'" },
        { "at_s,model,rows\n1,a,2000000\n", "line 2: rows: '2000000'" },
        { "at_s,model,timeout_ms\n1,a,x\n", "line 2: timeout_ms: 'x'" },
        { "[1]", "no trace file" },
        { "[{\"id\":1", "JSON" },
    };
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_workload w;
        struct trp_error err = { 0 };
        begin(&w);
        const trp_status st = trp_arrival_log_parse(&w, trp_str_of(r->text), &err);
        print_message("'%s': %s\n", r->text, err.text);
        assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        assert_true(strstr(err.text, r->words) || trp_str_is(trp_str_of(r->words), "JSON"));
        trp_workload_deinit(&w);
    }
}

static void reads_the_trace_file_of_a_server(void **state)
{
    struct trp_workload w;
    (void)state;
    begin(&w);
    const char *text =
        "[{\"id\":1,\"model_name\":\"digits\",\"model_version\":3,\"request_id\":\"r7\","
        "\"rows\":4,\"priority\":\"interactive\",\"tenant\":\"alice\",\"timeout_us\":20000},\n"
        "{\"id\":1,\"timestamps\":[{\"name\":\"REQUEST_START\",\"ns\":150},"
        "{\"name\":\"HTTP_RECV_START\",\"ns\":100},{\"name\":\"REQUEST_END\",\"ns\":250}]},\n"
        "{\"id\":1,\"activity\":\"TENSOR_QUEUE_INPUT\",\"tensor\":{\"name\":\"x\"}},\n"
        "{\"id\":2,\"model_name\":\"other\",\"model_version\":1,\"request_id\":\"\"},\n"
        "{\"id\":2,\"timestamps\":[{\"name\":\"REQUEST_START\",\"ns\":90}]},\n"
        "{\"id\":3,\"model_name\":\"step\",\"parent_id\":2},\n"
        "{\"id\":3,\"timestamps\":[{\"name\":\"REQUEST_START\",\"ns\":95}]},\n"
        "{\"id\":4,\"model_name\":\"never\"}]";
    assert_false(trp_failed(trp_arrival_log_parse(&w, trp_str_of(text), NULL)));
    assert_int_equal(w.arrivals_n, 2);
    const struct trp_arrival *a = w.arrivals;
    assert_int_equal(a[0].at_ns, 100);
    assert_int_equal(a[0].rows, 4);
    assert_int_equal(a[0].class, TRP_PRIORITY_INTERACTIVE);
    assert_int_equal(a[0].timeout_ns, TRP_MS(20));
    assert_true(trp_str_is(w.tenants.names[a[0].tenant], "alice"));
    assert_int_equal(a[1].at_ns, 90);
    assert_int_equal(a[1].rows, 1);
    assert_true(trp_str_is(w.models.names[a[1].model], "other"));
    trp_workload_deinit(&w);
}

static void reads_a_file_and_names_it_when_it_cannot(void **state)
{
    struct trp_workload w;
    struct trp_error err = { 0 };
    (void)state;
    begin(&w);
    assert_int_equal(trp_arrival_log_read(&w, "/nonexistent/log.csv", &err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/log.csv"));
    trp_workload_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_table_with_its_columns_in_any_order),
        cmocka_unit_test(keeps_moments_of_a_wall_clock_exactly),
        cmocka_unit_test(refuses_what_it_cannot_read_and_says_where),
        cmocka_unit_test(reads_the_trace_file_of_a_server),
        cmocka_unit_test(reads_a_file_and_names_it_when_it_cannot),
    };
    return cmocka_run_group_tests_name("arrival_log", tests, NULL, NULL);
}
