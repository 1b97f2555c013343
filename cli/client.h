/* cli/client.h - a small HTTP client for the command's own server.
 * Answers "what does the server say?".  Blocking, one connection per request, parsed by llhttp.
 * Not libcurl, because that would more than double the resident size of `troupe serve`, which is
 * the same binary. */
#ifndef TRP_CLIENT_H
#define TRP_CLIENT_H

#include "cli/cli.h"

struct cli_reply {
    int status;
    struct trp_str body; /* in the command's arena; terminated */
    int64_t json_bytes;  /* Inference-Header-Content-Length; -1: none */
};

struct cli_request {
    const char *method, *path; /* the path is percent-encoded already */
    struct trp_str body;
    int64_t json_bytes;    /* -1: all of the body is JSON */
    int64_t timeout_ms;    /* of silence; 0: 60,000 */
    struct trp_str fields; /* further header fields, each with its CRLF; empty: none */
};

#define CLI_SERVER_OPTION                                                              \
    {                                                                                  \
        "server", 's', CLI_TEXT, "ADDR:PORT",                                          \
            "where the server is: ADDR:PORT or unix:PATH; default 127.0.0.1:8000, or " \
            "$TROUPE_SERVER"                                                           \
    }

/* Where the server is: --server, else $TROUPE_SERVER, else the default.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
const char *cli_server(const struct cli *cli);

/* Sends a request and reads the reply; a status of 400 and above is a failure with the server's own
 * words.
 *   Owns  : the reply lives in cli->arena.
 *   Thread: owner.
 *   Blocks: until the reply is there, or nothing came for timeout_ms.
 *   Errors: UNAVAILABLE (nobody there), NOT_FOUND (404), DEADLINE_EXCEEDED, INVALID_ARGUMENT
 *           (400), INTERNAL otherwise. */
trp_status cli_ask(struct cli *cli, const struct cli_request *request, struct cli_reply *out,
                   struct trp_error *err);

/* Fails for the reader: the words of cli_ask(), and what to do next.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: returns the exit code. */
int cli_fail_asking(const struct cli *cli, const struct trp_error *err);

/* Says that who answers is no troupe server: its answer has another form.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: returns INTERNAL. */
trp_status cli_fail_foreign(const struct cli *cli, struct trp_error *err);

/* Percent-encodes a name for a path.
 *   Owns  : in cli->arena.
 *   Thread: owner.
 *   Errors: "" without memory. */
const char *cli_path(struct cli *cli, const char *format, const char *name);

#endif
