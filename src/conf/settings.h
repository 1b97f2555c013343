/* conf/settings.h - the server's own options.
 * Answers "what is this server told to do, and by whom?".  Every option is a row of
 * conf/settings.def; it can stand in troupe.yaml, in `--set key=value`, in the environment
 * (TROUPE_KEY_WITH_UNDERSCORES), and each remembers which. */
#ifndef TRP_SETTINGS_H
#define TRP_SETTINGS_H

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "conf/node.h"

enum trp_setting_type {
    TRP_SETTING_BOOL,
    TRP_SETTING_COUNT,    /* unsigned */
    TRP_SETTING_BYTES,    /* "64MiB", "1GB", "4096" */
    TRP_SETTING_SHARE,    /* as BYTES, or "80%": of the memory of the machine or its container */
    TRP_SETTING_DURATION, /* "250ms", "2s", "1m"; kept as ns */
    TRP_SETTING_TEXT,
    TRP_SETTING_CHOICE, /* one of the words in `choices`, separated by | */
    TRP_SETTING_LIST    /* of texts */
};

/* X(id, key, type, otherwise, choices_or_unit, minimum, maximum, doc) */
enum trp_setting {
#define X(id, key, type, otherwise, choices, minimum, maximum, doc) TRP_SETTING_ID_##id,
#include "conf/settings.def"
#undef X
    TRP_SETTINGS
};

struct trp_setting_row {
    const char *key;
    enum trp_setting_type type;
    const char *otherwise, *choices;
    uint64_t minimum, maximum;
    const char *doc;
};

/* Reads "64MiB", "1GB", "4096" as options of BYTES are read.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Errors: false when it is none, or does not fit. */
bool trp_setting_parse_bytes(struct trp_str text, uint64_t *out);

/* Reads "5m", "0s" or "forever" (which gives TRP_SETTING_FOREVER), as models.keep_alive is written.
 *   Units : ns.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Errors: false when it is none of these, or does not fit. */
#define TRP_SETTING_FOREVER INT64_C(-1)
bool trp_setting_parse_stay(struct trp_str text, int64_t *out);

/* Reads "3h", "-90m" or "0s" as time.offset is written: a duration, ahead or (with a minus) behind.
 *   Units : ns; a hundred years at most.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Errors: false when it is none, or too long. */
bool trp_setting_parse_offset(struct trp_str text, int64_t *out);

/* The row of an option.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_setting_row *trp_setting_row(enum trp_setting id);

struct trp_settings;

/* Makes settings that hold every default.
 *   Owns  : the caller destroys.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_settings_create(const struct trp_alloc *alloc, struct trp_settings **out_settings,
                               struct trp_error *err);
void trp_settings_destroy(struct trp_settings *s);

/* Sets from a file (YAML tree), the environment (NULL-terminated `environ`), or one "key=value";
 * later calls win.
 * Variables with our prefix that are no option, nor nearly one, are somebody else's and left alone.
 *   Owns  : copied.
 *   Thread: startup.
 *   Errors: INVALID_ARGUMENT with the place and the nearest key, or what values are allowed;
 *           nothing of that source's later keys is set then. */
trp_status trp_settings_read_file(struct trp_settings *s, const char *path, struct trp_error *err);
trp_status trp_settings_read_env(struct trp_settings *s, char *const *environment,
                                 struct trp_error *err);
trp_status trp_settings_set(struct trp_settings *s, struct trp_str assignment, const char *source,
                            struct trp_error *err);
/* Appends to a LIST option (a repeated flag); the first append replaces the default.
 *   Owns  : copied.
 *   Thread: startup.
 *   Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
trp_status trp_settings_append(struct trp_settings *s, enum trp_setting id, struct trp_str value,
                               const char *source, struct trp_error *err);

/* Values.
 *   Units : bytes; ns for durations; a share was multiplied out when it was set.
 *   Owns  : borrowed from the settings.
 *   Thread: any, after startup.
 *   Errors: none. */
bool trp_settings_bool(const struct trp_settings *s, enum trp_setting id);
uint64_t trp_settings_u64(const struct trp_settings *s,
                          enum trp_setting id); /* COUNT, BYTES, SHARE, DURATION */
const char *trp_settings_text(const struct trp_settings *s, enum trp_setting id); /* TEXT, CHOICE */
uint32_t trp_settings_list_n(const struct trp_settings *s, enum trp_setting id);
const char *const *trp_settings_list(const struct trp_settings *s,
                                     enum trp_setting id); /* all of it */
const char *trp_settings_list_at(const struct trp_settings *s, enum trp_setting id, uint32_t index);
const char *trp_settings_source(const struct trp_settings *s,
                                enum trp_setting id); /* "default", "troupe.yaml:3", "--set" */
void trp_setting_allowed_text(
    enum trp_setting id, struct trp_buf *out); /* "0 to 256", "off, poll, notify", or nothing */
void trp_settings_value_text(const struct trp_settings *s, enum trp_setting id,
                             struct trp_buf *out);

#endif
