#include "unit/front/front_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "scratch.h"
/* Connects to what `listener` listens on; blocks no longer than a connect to ourselves does. */
static int connect_to(int listener)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void addresses_are_read_or_refused_with_words(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int32_t code;
    } rows[] = {
        { "127.0.0.1:0", TRP_OK },
        { "localhost:0", TRP_OK },
        { "*:0", TRP_OK },
        { ":0", TRP_OK },
        { "8000", TRP_INVALID_ARGUMENT },
        { "127.0.0.1", TRP_INVALID_ARGUMENT },
        { "127.0.0.1:", TRP_INVALID_ARGUMENT },
        { "127.0.0.1:x", TRP_INVALID_ARGUMENT },
        { "127.0.0.1:65536", TRP_INVALID_ARGUMENT },
        { "127.0.0.1:-1", TRP_INVALID_ARGUMENT },
        { "example.com:80", TRP_INVALID_ARGUMENT },
        { "[::1:80", TRP_INVALID_ARGUMENT },
        { "[nothing]:80", TRP_INVALID_ARGUMENT },
        { "::1:80", TRP_INVALID_ARGUMENT },
        { "", TRP_INVALID_ARGUMENT },
        { "unix:", TRP_INVALID_ARGUMENT },
        { "unix:/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
          "0123456789012345678901234567890123456789",
          TRP_INVALID_ARGUMENT },
        { "unix:/nonexistent/troupe.sock", TRP_NOT_FOUND },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_error err = { 0 };
        int fd = -1;
        const trp_status st = trp_listen(rows[i].address, &fd, &err);
        if (st.code != rows[i].code)
            fail_msg("'%s': %s %s", rows[i].address, trp_code_name(st.code), err.text);
        assert_int_equal(fd >= 0, st.code == TRP_OK);
        if (fd >= 0)
            close(fd);
        else
            assert_true(err.text[0] != '\0');
    }
}

static void an_address_in_use_is_named(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    int a = -1, b = -1;
    assert_int_equal(trp_listen("127.0.0.1:0", &a, &err).code, TRP_OK);
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(a, (struct sockaddr *)&at, &len), 0);
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(trp_listen(text, &b, &err).code, TRP_ALREADY_EXISTS);
    assert_non_null(strstr(err.text, text));
    close(a);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    char address[SCRATCH_PATH_MAX + 16], folder[SCRATCH_PATH_MAX];
    scratch_folder(folder, "acceptor");
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct trp_error err = { 0 };
    int a = -1, b = -1;
    assert_int_equal(trp_listen(address, &a, &err).code, TRP_OK);
    assert_int_equal(trp_listen(address, &b, &err).code, TRP_ALREADY_EXISTS);
    close(a);
    assert_int_equal(trp_listen(address, &b, &err).code, TRP_OK);
    close(b);
    assert_int_equal(unlink(address + 5), 0);
    FILE *file = fopen(address + 5, "w"); /* never somebody's file */
    assert_non_null(file);
    fclose(file);
    assert_int_equal(trp_listen(address, &b, &err).code, TRP_ALREADY_EXISTS);
    unlink(address + 5);
    rmdir(folder);
}

/* Two fronts, and who accepts for both. */
struct pair {
    struct fixture f[2];
    struct trp_front *fronts[2];
    struct trp_loop *loops[2];
    struct trp_acceptor *acceptor;
    int listener;
};

static void pair_begin(struct pair *p, const struct trp_alloc *alloc)
{
    struct trp_error err = { 0 };
    for (int i = 0; i < 2; i++) {
        fixture_begin(&p->f[i]);
        p->fronts[i] = p->f[i].front;
        p->loops[i] = p->f[i].loop;
    }
    assert_int_equal(trp_listen("127.0.0.1:0", &p->listener, &err).code, TRP_OK);
    const struct trp_acceptor_opts opts = { .loop = p->loops[0],
                                            .fronts = p->fronts,
                                            .loops = p->loops,
                                            .fronts_n = 2,
                                            .listeners = &p->listener,
                                            .listeners_n = 1,
                                            .metrics = trp_metrics_shard(p->f[0].metrics, 0) };
    assert_int_equal(trp_acceptor_create(alloc, &opts, &p->acceptor, &err).code, TRP_OK);
}

static void pair_end(struct pair *p)
{
    trp_acceptor_destroy(p->acceptor);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(trp_front_connections(p->fronts[i]), 0);
        fixture_close(&p->f[i]);
    }
}

static void connections_go_to_the_emptiest_front(void **state)
{
    (void)state;
    struct pair p;
    int fds[6];
    pair_begin(&p, trp_heap());
    for (int i = 0; i < 6; i++)
        fds[i] = connect_to(p.listener);
    fixture_turns(&p.f[0], 2); /* a burst: none has arrived at the second loop yet */
    assert_int_equal(trp_front_connections(p.fronts[0]), 3);
    assert_int_equal(trp_front_connections(p.fronts[1]), 0);
    fixture_turns(&p.f[1], 1);
    assert_int_equal(trp_front_connections(p.fronts[1]), 3);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    fixture_turns(&p.f[0], 2);
    fixture_turns(&p.f[1], 2);
    trp_acceptor_stop(p.acceptor);
    trp_acceptor_stop(p.acceptor); /* once is enough, twice is harmless */
    pair_end(&p);
}

static void the_peers_address_decides_what_is_local(void **state)
{
    (void)state;
    static const char load[] = "POST /v2/repository/models/m/load HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 0\r\n\r\n";
    struct fixture f;
    struct trp_acceptor *acceptor = NULL;
    struct trp_error err = { 0 };
    char address[SCRATCH_PATH_MAX + 16], reply[1024], folder[SCRATCH_PATH_MAX];
    int listeners[2];
    scratch_folder(folder, "acceptor");
    snprintf(address, sizeof address, "unix:%s/s", folder);
    fixture_begin(&f);
    assert_int_equal(trp_listen("127.0.0.1:0", &listeners[0], &err).code, TRP_OK);
    assert_int_equal(trp_listen(address, &listeners[1], &err).code, TRP_OK);
    const struct trp_acceptor_opts opts = { .loop = f.loop,
                                            .fronts = &f.front,
                                            .loops = &f.loop,
                                            .fronts_n = 1,
                                            .listeners = listeners,
                                            .listeners_n = 2,
                                            .metrics = trp_metrics_shard(f.metrics, 0) };
    assert_int_equal(trp_acceptor_create(trp_heap(), &opts, &acceptor, &err).code, TRP_OK);
    for (int i = 0; i < 2; i++) {
        const int fd = connect_to(listeners[i]);
        fixture_turns(&f, 2);
        fixture_send(fd, load, sizeof load - 1);
        fixture_turns(&f, 3);
        fixture_receive(fd, reply, sizeof reply);
        assert_memory_equal(reply, "HTTP/1.1 200", 12);
        close(fd);
    }
    trp_acceptor_destroy(acceptor);
    unlink(address + 5);
    rmdir(folder);
    fixture_close(&f);
}

/* Leaves this process no descriptor more than it has; returns the limit of before. */
static struct rlimit take_descriptors(void)
{
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int lowest = dup(STDIN_FILENO);
    assert_true(lowest >= 0);
    close(lowest);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static uint32_t lines_in(int fd)
{
    char text[4096];
    uint32_t n = 0;
    const ssize_t bytes = read(fd, text, sizeof text);
    for (ssize_t i = 0; i < bytes; i++)
        n += text[i] == '\n';
    return n;
}

static void out_of_descriptors_accepting_rests_and_begins_again(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_acceptor *acceptor = NULL;
    struct trp_log *log = NULL;
    struct trp_error err = { 0 };
    int listener = -1, fds[3], told[2];
    fixture_begin(&f);
    assert_int_equal(pipe2(told, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(trp_log_create(trp_heap(), &f.clock, told[1], &log, &err).code, TRP_OK);
    assert_int_equal(trp_listen("127.0.0.1:0", &listener, &err).code, TRP_OK);
    const struct trp_acceptor_opts opts = { .loop = f.loop,
                                            .fronts = &f.front,
                                            .loops = &f.loop,
                                            .fronts_n = 1,
                                            .listeners = &listener,
                                            .listeners_n = 1,
                                            .metrics = trp_metrics_shard(f.metrics, 0),
                                            .log = log };
    assert_int_equal(trp_acceptor_create(trp_heap(), &opts, &acceptor, &err).code, TRP_OK);
    for (int i = 0; i < 2; i++)
        fds[i] = connect_to(listener);
    const struct rlimit before = take_descriptors();
    fixture_turns(&f, 10); /* it is asked once, not in every turn */
    assert_int_equal(fixture_metric(&f, TRP_METRIC_ACCEPT_DESCRIPTORS), 1);
    assert_int_equal(lines_in(told[0]), 1);
    for (int i = 2; i <= 100; i++) { /* nor does it give up, and the log stays readable */
        f.now_ns += TRP_MS(100);
        fixture_turns(&f, 3);
        assert_int_equal(fixture_metric(&f, TRP_METRIC_ACCEPT_DESCRIPTORS), i);
    }
    assert_int_equal(lines_in(told[0]), 0);
    f.now_ns += TRP_MS(100);
    fixture_turns(&f, 2);
    assert_int_equal(lines_in(told[0]), 1);
    assert_int_equal(trp_front_connections(f.front), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    f.now_ns += TRP_MS(100);
    fixture_turns(&f, 2);
    assert_int_equal(trp_front_connections(f.front), 2); /* who waited is served */
    fds[2] = connect_to(listener);
    fixture_turns(&f, 2);
    assert_int_equal(trp_front_connections(f.front), 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    fixture_turns(&f, 2);
    trp_acceptor_destroy(acceptor);
    fixture_close(&f);
    trp_log_destroy(log);
    close(told[0]);
    close(told[1]);
}

static void memory_that_ends_on_the_way_to_a_front_is_counted(void **state)
{
    (void)state;
    struct pair p;
    struct scarce memory;
    int fds[2];
    pair_begin(&p, scarce_init(&memory, 3));
    for (int i = 0; i < 2; i++)
        fds[i] = connect_to(p.listener);
    fixture_turns(&p.f[0], 2);
    assert_int_equal(trp_front_connections(p.fronts[0]), 1);
    assert_int_equal(fixture_metric(&p.f[0], TRP_METRIC_ACCEPT_MEMORY), 1);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    fixture_turns(&p.f[0], 2);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_or_refused_with_words),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(connections_go_to_the_emptiest_front),
        cmocka_unit_test(the_peers_address_decides_what_is_local),
        cmocka_unit_test(out_of_descriptors_accepting_rests_and_begins_again),
        cmocka_unit_test(memory_that_ends_on_the_way_to_a_front_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
