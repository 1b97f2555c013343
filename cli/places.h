/* cli/places.h - the folders of models that are meant.
 * Answers "which repositories, in which order?": those of the command line, then repository.paths;
 * the current folder when there is neither. */
#ifndef TRP_PLACES_H
#define TRP_PLACES_H

#include "base/file.h"
#include "cli/cli.h"
#include "conf/settings.h"

#define CLI_PLACES_MAX 64u

struct cli_places { /* zero it before first use */
    const char *paths[CLI_PLACES_MAX];
    struct trp_file_stat stats[CLI_PLACES_MAX];
    uint32_t n; /* at least one, when they are found */
};

/* The one whose troupe.yaml holds the settings.
 *   Owns  : borrowed from the command line.
 *   Thread: owner.
 *   Errors: none. */
const char *cli_first_place(const struct cli *cli);

/* Finds them all.
 *   Owns  : borrowed from the command line and the settings.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: NOT_FOUND, INVALID_ARGUMENT (no folder; one that is given twice), TOO_LARGE. */
trp_status cli_find_places(const struct cli *cli, const struct trp_settings *settings,
                           struct cli_places *out, struct trp_error *err);

#endif
