/* cli/model_list.h - the models of a running server, all pages of them.
 * Answers "which models does the server have, that fit this question?". */
#ifndef TRP_MODEL_LIST_H
#define TRP_MODEL_LIST_H

#include "base/json.h"
#include "cli/cli.h"

struct cli_model_list { /* zero is empty */
    struct cli_model_page {
        struct trp_json_parser *parser;
        struct trp_json_iter models;
        struct trp_str text; /* the models as JSON, without the brackets around them */
    } * pages;
    uint32_t pages_n, capacity;
    bool is_listed; /* the server has looked through its repository once: this is all */
};

/* Asks for all that fit `query` ("task=ranking&name=x"; empty: all), page by page.
 *   Owns  : the caller frees *out, also after a failure; texts live in cli->arena.
 *   Thread: owner.
 *   Blocks: until the server has answered.
 *   Errors: those of cli_ask(), and of trp_json_parse(); INTERNAL: what answers is no troupe
 *           server. */
trp_status cli_model_list_ask(struct cli *cli, const char *query, struct cli_model_list *out,
                              struct trp_error *err);
void cli_model_list_free(struct cli_model_list *list);

/* Visits them in the server's order: by name, then by version.
 *   Owns  : borrowed until the list is freed.
 *   Thread: owner.
 *   Errors: none. */
void cli_model_list_each(const struct cli_model_list *list,
                         void (*each)(void *user, struct trp_json model), void *user);

#endif
