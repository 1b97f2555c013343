/* What is in memory, as the API tells it: written on the control thread, finished on the loop
 * that asked. */
#include "unit/life/life_asking.h"

#include "admin/admin_internal.h"
#include "unit/base/scarce.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"

struct question {
    struct trp_admin admin;
    struct trp_arena arena;
    struct trp_control control;
    struct scarce memory;
    bool is_done;
};

static void note_end(struct trp_control *control, void *user)
{
    struct question *q = user;
    assert_ptr_equal(control, &q->control);
    assert_false(q->is_done);
    q->is_done = true;
}

/* Asks; `name` NULL: after all of them. */
static void begin(struct fixture *f, struct question *q, const char *name, uint64_t blocks)
{
    struct trp_node *query;
    *q = (struct question){ .is_done = false };
    q->admin.alloc = scarce_init(&q->memory, blocks);
    q->admin.opts.life = f->life;
    q->admin.opts.control = f->loop;
    q->admin.opts.ledger = f->ledger;
    trp_arena_init(&q->arena, trp_heap(), 4096, 1u << 20);
    query = trp_node_new(&q->arena, TRP_NODE_MAP);
    if (name)
        assert_non_null(trp_node_add_str(&q->arena, query, "name", trp_str_of(name)));
    q->control = (struct trp_control){ .op = TRP_CONTROL_API_RESIDENCY,
                                       .request = query,
                                       .loop = f->loop,
                                       .arena = &q->arena,
                                       .done = note_end,
                                       .done_user = q };
    trp_residency_begin(&q->admin, &q->control);
    assert_false(q->is_done); /* never from inside */
    pump(f, q->is_done);
    assert_int_equal(trp_counter_get(&q->memory.out), 0);
}

static void end(struct question *q)
{
    trp_arena_deinit(&q->arena);
}

static bool says(struct fixture *f, const char *name, const char *words)
{
    struct question q;
    begin(f, &q, name, UINT64_MAX / 2);
    if (trp_failed(q.control.error.status))
        fail_msg("%s", q.control.error.text);
    const char *text = trp_arena_format(&q.arena, "%.*s", TRP_STR(q.control.raw)).ptr;
    const bool does = text && strstr(text, words);
    if (!does)
        print_message("%s\n", text ? text : "no text");
    end(&q);
    return does;
}

static void start_with_two(struct fixture *f)
{
    put(f, "b/1/model.echo", ECHO "weighs 1000000\n");
    put(f, "b/model.yaml", "max_bytes: 1010000\n");
    put(f, "a.echo", ECHO);
    put(f, "cold/model.echo", ECHO);
    put(f, "cold/model.yaml", "load: on_demand\n");
    f->budget_bytes = 10000000;
    start(f);
    pump(f, is(f, "a", "READY") && is(f, "b", "READY"));
    f->now_ns += TRP_S(11);
    turn(f);
}

static void what_is_there_is_told_by_name_with_its_numbers_and_its_turn(void **state)
{
    struct fixture *f = *state;
    start_with_two(f);
    assert_true(says(f, NULL, "\"models\":[{\"name\":\"a\",\"version\":1,\"state\":\"READY\""));
    assert_true(says(f, NULL, "},{\"name\":\"b\",\"version\":1,\"state\":\"READY\""));
    assert_true(says(f, NULL, "\"private_bytes\":1000064"));
    assert_true(says(f, NULL, "\"standing\":\"may go\",\"next\":1,"));
    assert_true(says(f, NULL, "\"standing\":\"may go\",\"next\":2,"));
    assert_true(says(f, NULL, "\"budget\":{\"limit_bytes\":10000000,"));
    assert_true(says(f, NULL, "\"let_go\":[]}"));
    assert_false(says(f, NULL, "\"asked\""));
    load(f, "b", TRP_OK, "");
    assert_true(says(f, NULL,
                     "\"pinned\":true,\"kept\":\"pinned by an "
                     "operator\",\"standing\":\"pinned\",\"frees_bytes\":"));
}

static void one_model_is_told_of_alone_and_why_it_is_where_it_is(void **state)
{
    struct fixture *f = *state;
    start_with_two(f);
    assert_true(says(f, "a", "{\"asked\":{\"name\":\"a\",\"where\":\"in memory\","));
    assert_false(says(f, "a", "\"name\":\"b\""));
    assert_true(
        says(f, "cold", "\"where\":\"not in memory\",\"why\":\"nobody has asked for it yet"));
    assert_true(says(f, "nobody", "\"where\":\"unknown\""));
    assert_true(trp_member_evict(trp_member_get(f->life, TRP_STR_LIT("b")), "a test wants it"));
    f->now_ns += TRP_S(5);
    turn(f);
    assert_true(
        says(f, "b", "\"why\":\"a test wants it; its next request loads it\",\"for_seconds\":5.0"));
    assert_true(
        says(f, "b", "\"models\":[],\"let_go\":[{\"name\":\"b\",\"why\":\"a test wants it\""));
}

static void a_lack_of_memory_is_told_at_each_place(void **state)
{
    struct fixture *f = *state;
    struct question q;
    bool is_well = false;
    start_with_two(f);
    for (uint64_t blocks = 0; !is_well && blocks < 64; blocks++) {
        begin(f, &q, "a", blocks);
        is_well = !trp_failed(q.control.error.status);
        if (!is_well)
            assert_int_equal(q.control.error.status.code, TRP_OUT_OF_MEMORY);
        end(&q);
    }
    assert_true(is_well);
}

static void a_server_that_ends_does_not_look(void **state)
{
    struct fixture *f = *state;
    struct question q = { .is_done = false };
    start_with_two(f);
    trp_arena_init(&q.arena, trp_heap(), 4096, 1u << 20);
    trp_flag_raise(&q.admin.draining);
    q.control = (struct trp_control){
        .loop = f->loop, .arena = &q.arena, .done = note_end, .done_user = &q
    };
    trp_residency_begin(&q.admin, &q.control);
    pump(f, q.is_done);
    assert_int_equal(q.control.error.status.code, TRP_UNAVAILABLE);
    end(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(what_is_there_is_told_by_name_with_its_numbers_and_its_turn),
        WITH_LIFE(one_model_is_told_of_alone_and_why_it_is_where_it_is),
        WITH_LIFE(a_lack_of_memory_is_told_at_each_place),
        WITH_LIFE(a_server_that_ends_does_not_look),
    };
    return cmocka_run_group_tests_name("residency", tests, NULL, NULL);
}
