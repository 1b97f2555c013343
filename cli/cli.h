/* cli/cli.h - the frame of the `troupe` command.
 * Answers "which sub-commands and options exist?".  One table per command is the source of parsing,
 * --help, the manual page and bash completion, so they cannot disagree. */
#ifndef TRP_CLI_H
#define TRP_CLI_H

#include <stdio.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

/* What the process exits with; documented in docs/cli.md. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the server refused, a model failed, a file is broken */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no server answers at that address */
    CLI_NOT_FOUND = 4    /* no such model, version or file */
};

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_LIST };

struct cli_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    const char *argument; /* "ADDR:PORT"; NULL for flags */
    const char *help;
};

struct cli;
struct cli_command {
    const char *name, *operands, *help;
    const char *details; /* more for --help and the manual; may be NULL */
    const char *example; /* command lines, one a line; may be NULL */
    const struct cli_option *options;
    size_t options_n;
    uint32_t operands_min, operands_max;
    int (*run)(struct cli *cli);
    /* What is meant by an option that there is not, as other servers have it; NULL: nobody
     * knows.  May be NULL. */
    const char *(*advise)(struct cli *cli, struct trp_str option);
};

#define CLI_VALUES_MAX 256

struct cli {
    const struct cli_command *command;
    struct trp_arena arena; /* lives as long as the command */
    struct {
        const struct cli_option *option;
        const char *value; /* "" for flags */
    } values[CLI_VALUES_MAX];
    uint32_t values_n;
    const char **operands;
    uint32_t operands_n;
};

extern const struct cli_command *const cli_commands[]; /* ends with NULL */
extern const struct cli_option cli_common_options[];   /* every command has them */
extern const size_t cli_common_options_n;

/* Options: whether a flag was given; the last value of a text (or `otherwise`); the n-th of a list
 * (NULL: no more).
 *   Owns  : borrowed from the command line.
 *   Thread: owner.
 *   Errors: a name that is not in the command's table is a bug. */
bool cli_flag(const struct cli *cli, const char *name);
const char *cli_text(const struct cli *cli, const char *name, const char *otherwise);
const char *cli_list(const struct cli *cli, const char *name, uint32_t index);

/* Whether this command's table has an option at all.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
bool cli_has(const struct cli *cli, const char *name);

/* "512 bytes", "39.5 KiB", "1.2 GiB".
 *   Owns  : in the command's arena.
 *   Thread: owner.
 *   Errors: "?" without memory. */
const char *cli_bytes_text(struct cli *cli, uint64_t bytes);

/* Prints "troupe COMMAND: text" and a hint when there is one, to stderr; returns the exit code that
 * fits.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
int cli_fail(const struct cli *cli, const struct trp_error *err, const char *hint);
int cli_usage(const struct cli *cli, const char *format, ...) TRP_PRINTF(2, 3);

/* Rows with aligned columns: cells are added left to right; numbers of a column may be
 * right-aligned by a '>' in front of its title.  Printing frees nothing: cells live in the arena.
 *   Owns  : texts are copied into the command's arena.
 *   Thread: owner.
 *   Errors: without memory the table is printed incompletely and says so. */
#define CLI_COLUMNS_MAX 16
struct cli_table {
    struct trp_arena *arena;
    const char *titles[CLI_COLUMNS_MAX];
    size_t widths[CLI_COLUMNS_MAX], indent;
    uint32_t columns_n;
    struct cli_row {
        const char *cells[CLI_COLUMNS_MAX];
        struct cli_row *next;
    } * first, *last;
    bool failed;
};
void cli_table_init(struct cli_table *t, struct trp_arena *arena, const char *const *titles,
                    uint32_t columns_n);
void cli_table_row(struct cli_table *t, const struct trp_str *cells);
void cli_table_print(const struct cli_table *t, FILE *out);

/* The first of a text's lines, which is all that a table shows of a reason; a row of two cells for
 * each line of a text.
 *   Owns  : borrowed; copied.
 *   Thread: owner.
 *   Errors: as cli_table_row(). */
struct trp_str cli_first_line(struct trp_str text);
void cli_table_lines(struct cli_table *t, struct trp_str title, struct trp_str text);

/* The same as a section of a report: its title over rows without titles of their own, which may be
 * empty or ">".
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: as above. */
void cli_table_print_section(struct cli_table *t, const char *title, FILE *out);

/* Print the generated texts: help of one command, of all; the manual page; the completion script.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none; a closed pipe ends the output. */
void cli_print_help(const struct cli_command *command, FILE *out);
void cli_print_overview(FILE *out);
void cli_print_manual(FILE *out);
void cli_print_completion(FILE *out);

#endif
