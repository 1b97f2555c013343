/* cli/curl_print.h - the shell line that asks the same without troupe.
 * Answers "how would I ask this with curl?". */
#ifndef TRP_CURL_PRINT_H
#define TRP_CURL_PRINT_H

#include "cli/cli.h"
#include "troupe/tensor.h"

/* The bytes of an input that stand behind the JSON: the last ones of a file. */
struct cli_curl_part {
    const char *path;
    uint64_t bytes;
    bool is_element; /* all of the file, as one element of BYTES: its length goes in front */
};

struct cli_curl {
    const char *path; /* of the request */
    struct trp_str json;
    const struct cli_curl_part *parts;
    uint32_t parts_n; /* 0: the JSON is all */
};

/* Prints the line, with the header fields of --header.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
void cli_print_curl(struct cli *cli, const struct cli_curl *curl);

/* The numbers of a small tensor of FP32 or UINT8 as a JSON list, for a line that people read.
 *   Owns  : lives in the arena of the command.
 *   Thread: owner.
 *   Errors: ptr NULL: it has more than 4,096, or no memory. */
struct trp_str cli_curl_numbers(struct cli *cli, const struct troupe_tensor *t);

#endif
