/* Models whose configuration places them on devices: where they are opened, what is run there
 * first, and what cannot be. */
#include "life_asking.h"

#define ECHO "input X FP32 [-1,4]\n"
#define ON_GPUS "instance_group { kind: KIND_GPU }\n"
#define WARM                                                                                    \
    "model_warmup { name: \"first\" count: 3 inputs { key: \"X\" value { data_type: TYPE_FP32 " \
    "dims: [ 4 ] zero_data: true } } }\nmax_batch_size: 8\n"

static void put_model(struct fixture *f, const char *name, const char *config, const char *file)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/config.pbtxt", name);
    put(f, path, config);
    (void)snprintf(path, sizeof path, "%s/1/model.%s", name, file);
    put(f, path, ECHO);
}

static uint64_t runs_on(const struct trp_version *v, uint32_t device)
{
    const struct trp_device_use *uses;
    assert_true(device < trp_backend_device_uses(v->model, &uses));
    return trp_counter_get(&uses[device].runs);
}

static uint32_t times_in_log(const struct fixture *f, const char *words)
{
    char *text;
    size_t len;
    uint32_t n = 0;
    assert_false(trp_failed(trp_file_read(trp_heap(), f->log_path, 1 << 20, &text, &len, NULL)));
    for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
        n++;
    trp_alloc_free(trp_heap(), text);
    return n;
}

static void a_model_is_opened_on_its_devices_and_warmed_on_each(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", ON_GPUS WARM, "echo");
    put_model(f, "one", "instance_group { count: 2 kind: KIND_GPU gpus: 1 }\n" WARM, "echo");
    put_model(f, "cpu", "instance_group { count: 2 kind: KIND_CPU }\n" WARM, "echo");
    start(f);
    pump(f, is(f, "m", "READY") && is(f, "one", "READY") && is(f, "cpu", "READY"));
    const struct trp_version *v = highest(f, "m");
    const struct trp_device_use *uses;
    assert_int_equal(v->config.devices_n, 2);
    assert_int_equal(trp_exec_instances(v), 2);
    assert_int_equal(runs_on(v, 0), 3);
    assert_int_equal(runs_on(v, 1), 3);
    assert_non_null(strstr(trp_version_opening(v).ptr, "on gpu0, gpu1: what is prepared is for"));
    v = highest(f, "one");
    assert_int_equal(v->config.devices_n, 1);
    assert_int_equal(v->config.devices[0].ordinal, 1);
    assert_int_equal(trp_exec_instances(v), 2);
    assert_int_equal(runs_on(v, 0), 3);
    v = highest(f, "cpu");
    assert_int_equal(trp_backend_device_uses(v->model, &uses), 0);
    assert_int_equal(times_in_log(f, "asks for a GPU"), 0);
}

static void a_device_that_is_not_there_fails_the_load_in_words(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "max_batch_size: 8\ninstance_group { kind: KIND_GPU gpus: [ 0, 7 ] }\n",
              "echo");
    start(f);
    pump(f, is(f, "m", "FAILED"));
    print_message("%s\n", highest(f, "m")->reason);
    assert_non_null(strstr(highest(f, "m")->reason,
                           "m/config.pbtxt:2: instance_group wants GPU 7; echo has 0, 1"));
}

/* The configuration of a GPU server serves all the same; whoever reads the log is told once. */
static void without_a_device_it_runs_on_the_cpu_and_says_so_once(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "max_batch_size: 8\ninstance_group { count: 2 kind: KIND_GPU gpus: 7 }\n",
              "null");
    start(f);
    pump(f, is(f, "m", "READY"));
    assert_int_equal(highest(f, "m")->config.devices_n, 0);
    assert_int_equal(trp_exec_instances(highest(f, "m")), 2);
    static const char words[] = "m/config.pbtxt:2: \"gpus\" asks for a GPU, and backend 'null' has "
                                "none: it runs on the CPU";
    assert_int_equal(times_in_log(f, words), 1);
    unload(f, "m");
    load(f, "m", TRP_OK, "");
    assert_int_equal(times_in_log(f, words), 1); /* the files are the same */
    put_model(f, "m", "max_batch_size: 8\ninstance_group { kind: KIND_GPU }\n", "null");
    load(f, "m", TRP_OK, "");
    assert_int_equal(times_in_log(f, "config.pbtxt:2: \"kind\" asks for a GPU"), 1);
}

#define PART "optimization { execution_accelerators { gpu_execution_accelerator { name: "
#define ACCELERATED(name) PART "\"" name "\" } } }\n"

static void an_accelerator_of_a_model_on_the_cpu_does_nothing_and_is_told_once(void **state)
{
    struct fixture *f = *state;
    static const char words[] =
        "m/config.pbtxt:2: \"gpu_execution_accelerator\" does nothing: the model runs on the CPU";
    put_model(f, "m", "max_batch_size: 8\n" ACCELERATED("cuda"), "echo");
    put_model(f, "vain", ON_GPUS ACCELERATED("cuda"), "null");
    put_model(f, "gpu", ON_GPUS ACCELERATED("its own"),
              "echo"); /* the backend knows which it has */
    start(f);
    pump(f, is(f, "m", "READY") && is(f, "gpu", "READY") && is(f, "vain", "READY"));
    assert_int_equal(times_in_log(f, words), 1);
    assert_non_null(strstr(trp_version_reason(highest(f, "m")).ptr, words));
    unload(f, "m");
    load(f, "m", TRP_OK, "");
    assert_int_equal(times_in_log(f, words), 1); /* the files are the same */
    assert_int_equal(times_in_log(f, "does nothing"), 1);
    assert_int_equal(times_in_log(f, "accelerator"), 1);
    assert_int_equal(times_in_log(f, "vain/config.pbtxt:1: \"kind\" asks for a GPU"), 1);
}

static void what_takes_over_has_run_once_on_each(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", ON_GPUS, "echo");
    start(f);
    pump(f, is(f, "m", "READY"));
    const struct trp_version *before = highest(f, "m");
    assert_int_equal(runs_on(before, 0) + runs_on(before, 1), 0); /* nobody waits for it */
    put(f, "m/1/model.echo", ECHO "# other bytes\n");
    load(f, "m", TRP_OK, "");
    assert_ptr_not_equal(highest(f, "m"), before);
    assert_true(runs_on(highest(f, "m"), 0) > 0);
    assert_true(runs_on(highest(f, "m"), 1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(a_model_is_opened_on_its_devices_and_warmed_on_each),
        WITH_LIFE(a_device_that_is_not_there_fails_the_load_in_words),
        WITH_LIFE(without_a_device_it_runs_on_the_cpu_and_says_so_once),
        WITH_LIFE(an_accelerator_of_a_model_on_the_cpu_does_nothing_and_is_told_once),
        WITH_LIFE(what_takes_over_has_run_once_on_each),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
