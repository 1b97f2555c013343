/* Reports and pictures: the numbers that they show are those of the arrivals, and any viewer can
 * read them. */
#include "unit/tune/sim_world.h"

#include <stdlib.h>

#include "base/json.h"
#include "tune/sim_plot.h"

static void make_day(struct sim_world *w)
{
    sim_begin(w, 3);
    w->opts.executors_n = 2;
    sim_price(w, "a", "2ms");
    sim_price(w, "b", "9ms");
    sim_stream(w, "poisson:model=a,rate=300,class=interactive,tenant=x", TRP_S(5));
    sim_stream(w, "bursts:model=b,rate=60,on=200ms,off=300ms,class=batch,timeout=200ms", TRP_S(5));
    sim_run(w);
}

static void quantiles_are_those_of_the_benchmarks(void **state)
{
    int64_t numbers[] = { 50, 10, 40, 20, 30 };
    (void)state;
    trp_sim_sort(numbers, 5);
    assert_int_equal(trp_sim_quantile(numbers, 5, 0), 10);
    assert_int_equal(trp_sim_quantile(numbers, 5, 0.5), 30);
    assert_int_equal(trp_sim_quantile(numbers, 5, 0.99), 50);
    assert_int_equal(trp_sim_quantile(numbers, 5, 1), 50);
    assert_int_equal(trp_sim_quantile(numbers, 0, 0.5), 0);
}

/* Counts one line again, the slow way. */
static void check_line(const struct sim_world *w, const struct trp_sim_line *line, uint32_t model)
{
    uint64_t answered = 0, below = 0;
    for (uint32_t i = 0; i < w->workload.arrivals_n; i++) {
        if (w->workload.arrivals[i].model != model || w->results[i].end != TRP_SIM_ANSWERED)
            continue;
        answered++;
        below += trp_sim_latency_ns(&w->workload.arrivals[i], &w->results[i]) < line->p90_ns;
    }
    assert_int_equal(line->ends[TRP_SIM_ANSWERED], answered);
    assert_true((double)below <= 0.9 * (double)answered + 1);
    assert_true((double)below >= 0.85 * (double)answered);
    assert_true(line->p50_ns <= line->p90_ns && line->p90_ns <= line->p99_ns &&
                line->p99_ns <= line->max_ns);
}

static void a_report_counts_what_happened(void **state)
{
    struct sim_world w;
    (void)state;
    make_day(&w);
    const struct trp_sim_report *r = &w.report;
    check_line(&w, &r->models[0], 0);
    check_line(&w, &r->models[1], 1);
    assert_int_equal(r->all.arrived, w.workload.arrivals_n);
    assert_int_equal(r->classes[0].arrived, r->models[0].arrived);
    assert_int_equal(r->classes[1].arrived, 0);
    assert_int_equal(r->tenants[0].arrived, r->models[1].arrived);
    assert_int_equal(r->tenants[1].arrived, r->models[0].arrived);
    assert_int_equal(r->all.runs, w.totals.runs);
    sim_end(&w);
}

static void its_json_can_be_read(void **state)
{
    struct sim_world w;
    struct trp_json_parser *parser;
    struct trp_json root, list;
    struct trp_buf b;
    (void)state;
    make_day(&w);
    trp_buf_init(&b, trp_heap(), 1 << 20);
    trp_sim_report_write(&w.report, &b);
    const bool is_written = !b.failed;
    const bool is_made = !trp_failed(trp_json_parser_create(1 << 20, 16, &parser, NULL));
    const bool is_read = is_made && is_written &&
                         !trp_failed(trp_json_parse(parser, trp_buf_str(&b), false, &root, NULL));
    if (is_read) {
        assert_true(trp_json_find(root, "classes", &list));
        assert_int_equal(trp_json_count(list), 2); /* nobody came with class normal */
        assert_true(trp_json_find(root, "models", &list));
        assert_int_equal(trp_json_count(list), 2);
        assert_true(trp_json_find(root, "executors_used", &list));
    }
    if (is_made)
        trp_json_parser_destroy(parser);
    trp_buf_deinit(&b);
    sim_end(&w);
    assert_true(is_read);
}

/* An XML document in small: every element that is opened is closed, in its order, and nothing
 * else stands there. */
static bool is_well_formed(const char *text)
{
    char open[16][16];
    int depth = 0;
    bool has_root = false;
    while ((text = strchr(text, '<')) != NULL) {
        const bool closes = text[1] == '/';
        const char *name = text + 1 + closes, *end = strchr(text, '>');
        const size_t len = strcspn(name, " />");
        if (!end || len == 0 || len >= 16 || memchr(text + 1, '<', (size_t)(end - text - 1)))
            return false;
        if (closes) {
            if (depth == 0 || strlen(open[--depth]) != len || strncmp(open[depth], name, len) != 0)
                return false;
        } else if (end[-1] != '/') {
            if (depth == 16 || (depth == 0 && has_root))
                return false;
            memcpy(open[depth], name, len);
            open[depth++][len] = '\0';
            has_root = true;
        }
        text = end;
    }
    return has_root && depth == 0;
}

static void a_picture_is_well_formed_and_has_every_class_that_came(void **state)
{
    struct sim_world w;
    struct trp_buf b;
    (void)state;
    make_day(&w);
    const struct trp_sim_question q = { &w.opts, &w.workload, &w.prices };
    trp_buf_init(&b, trp_heap(), 4 << 20);
    const trp_status st = trp_sim_plot_write(trp_heap(), &q, w.results, &b, NULL);
    assert_false(trp_failed(st));
    const char *text = trp_buf_text(&b);
    assert_non_null(text);
    assert_true(is_well_formed(text));
    assert_non_null(strstr(text, "<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert_non_null(strstr(text, "stroke=\"#1f77b4\""));
    assert_null(strstr(text, "stroke=\"#2ca02c\"")); /* nobody came with class normal */
    assert_non_null(strstr(text, "stroke=\"#d62728\" stroke-dasharray"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    trp_buf_deinit(&b);
    sim_end(&w);
}

static void a_day_of_one_arrival_can_be_drawn(void **state)
{
    struct sim_world w;
    struct trp_buf b;
    (void)state;
    sim_begin(&w, 1);
    sim_price(&w, "m", "1ms");
    sim_stream(&w, "even:model=m,rate=0.6", TRP_S(2));
    sim_run(&w);
    assert_int_equal(w.workload.arrivals_n, 1);
    const struct trp_sim_question q = { &w.opts, &w.workload, &w.prices };
    trp_buf_init(&b, trp_heap(), 4 << 20);
    assert_false(trp_failed(trp_sim_plot_write(trp_heap(), &q, w.results, &b, NULL)));
    const char *text = trp_buf_text(&b);
    assert_non_null(text);
    assert_true(is_well_formed(text));
    assert_null(strstr(text, "nan"));
    trp_buf_deinit(&b);
    sim_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_those_of_the_benchmarks),
        cmocka_unit_test(a_report_counts_what_happened),
        cmocka_unit_test(its_json_can_be_read),
        cmocka_unit_test(a_picture_is_well_formed_and_has_every_class_that_came),
        cmocka_unit_test(a_day_of_one_arrival_can_be_drawn),
    };
    return cmocka_run_group_tests_name("sim_report", tests, NULL, NULL);
}
