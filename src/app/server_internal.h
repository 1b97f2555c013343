/* app/server_internal.h - the server's parts, shared by the files of this room.
 * Answers "what does the server own?".  Not for other rooms. */
#ifndef TRP_SERVER_INTERNAL_H
#define TRP_SERVER_INTERNAL_H

#include "admin/admin.h"
#include "app/meter.h"
#include "app/readers.h"
#include "app/routes_place.h"
#include "app/server.h"
#include "base/shifted_clock.h"
#include "base/thread.h"
#include "catalog/load_facts.h"
#include "catalog/routing.h"
#include "compose/cookbook.h"
#include "exec/crew.h"
#include "exec/tenants.h"
#include "front/front.h"
#include "life/life.h"
#include "route/key_list.h"

#define LISTEN_MAX 64

enum phase { PHASE_SERVING, PHASE_DRAINING, PHASE_CLOSING };

struct loop_room { /* what one loop thread owns besides its loop */
    struct trp_server *server;
    struct trp_front *front;
    struct trp_mail drain_mail, drained_mail, give_up_mail;
};

struct trp_server {
    const struct trp_alloc *alloc;
    struct trp_server_opts opts;
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_trace *trace;
    struct trp_account accounts[TRP_ACCOUNT_KINDS];
    struct trp_account *account_list[TRP_ACCOUNT_KINDS];
    struct trp_ledger *ledger;
    struct trp_headrooms *headrooms;
    struct trp_usage usage;
    struct trp_meter meter;
    struct trp_commons
        *commons; /* where large bodies lie, once a model runs in a process of its own */
    struct trp_backends *backends;
    struct trp_store *store;     /* NULL: none */
    struct trp_registry *before; /* the empty picture that loops hold before the first listing */
    struct trp_loop *control;
    struct trp_readers readers;
    struct trp_exec *exec;
    struct trp_tenant_rule *tenant_rules; /* of sched.tenants */
    struct trp_shifted_clock rule_clock;  /* these three: what rules see */
    struct trp_load_facts *facts;
    struct trp_key_lists *lists;
    struct trp_life *life;
    struct trp_admin *admin;
    struct trp_directories directories;
    struct trp_route_env route_env;
    struct trp_matcher **matchers; /* one for each loop */
    struct trp_cookbook_opts cookbook_opts;
    struct trp_feedback *feedback;
    struct trp_crew *crew; /* of compositions and routes */
    struct trp_routing *routing;
    struct trp_canary_watch canaries;
    struct trp_routes_place routes_place;
    struct loop_room *rooms;
    struct trp_pool **pools; /* one for each loop */
    struct trp_front **fronts;
    struct trp_loop **loops;
    struct trp_counter connections;
    struct trp_acceptor *acceptor;
    int listeners[LISTEN_MAX];
    uint32_t listeners_n;
    struct trp_thread opener;

    enum phase phase;
    int signals_fd;
    struct trp_watch signals;
    struct trp_timer drain_timer;
    struct trp_mail stop_mail, acceptor_mail;
    struct trp_flag stop_asked;
    struct trp_routing_order rescan;
    struct trp_routing_order *named; /* one for each name that is loaded at the start */
    bool rescan_running;
    uint32_t drained_n;
    bool drain_expired;
};

/* Raises the limit of descriptors as far as it goes, and returns it; 0: none.
 * Here because the budget of descriptors is made from it. */
uint64_t trp_server_raise_descriptors(void);

/* What rules see: made before life, which shows its models to it; server_facts.c. */
trp_status trp_server_make_facts(struct trp_server *s, struct trp_error *err);

/* Makes every part, from the bottom up; what was made before a failure is freed by
 * trp_server_destroy(). */
trp_status trp_server_assemble(struct trp_server *s, struct trp_error *err);

/* app/routing_make.c: the file of routes, what routes are given, who reads them. */
trp_status trp_server_make_routing(struct trp_server *s, struct trp_error *err);
void trp_server_end_routing(struct trp_server *s);
uint32_t trp_server_cores(void); /* that it may use */

#endif
