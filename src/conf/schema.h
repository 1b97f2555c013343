/* conf/schema.h - what may be written, and what it means.
 * Answers "which keys exist, of which type, with which default?".
 *
 * A message descriptor is a protobuf message type as a const table.  From the one table come:
 * checks with file:line and a suggestion, normal form with defaults, JSON, protobuf bytes both
 * ways, and the descriptor that gRPC reflection sends. YAML and pbtxt are two spellings of it.  In
 * a normal tree every field stands in order of its number, scalars have their field's kind,
 * enums are WORDs, maps are MAPs. */
#ifndef TRP_SCHEMA_H
#define TRP_SCHEMA_H

#include "base/buf.h"
#include "conf/node.h"

#define TRP_MESSAGE_FIELDS_MAX 64u     /* fields of one message */
#define TRP_MESSAGE_DEPTH_MAX 32u      /* messages inside messages that are decoded */
#define TRP_MESSAGE_NODES_MAX 1048576u /* values that one decoded message may hold */

enum trp_field_type {
    TRP_FIELD_DOUBLE = 1, /* the numbers are those of FieldDescriptorProto.Type */
    TRP_FIELD_FLOAT = 2,
    TRP_FIELD_INT64 = 3,
    TRP_FIELD_UINT64 = 4,
    TRP_FIELD_INT32 = 5,
    TRP_FIELD_BOOL = 8,
    TRP_FIELD_STRING = 9,
    TRP_FIELD_MESSAGE = 11,
    TRP_FIELD_BYTES = 12,
    TRP_FIELD_UINT32 = 13,
    TRP_FIELD_ENUM = 14
};

enum trp_field_label {
    TRP_FIELD_ONE,
    TRP_FIELD_MANY,
    TRP_FIELD_MAP_STRING,
    TRP_FIELD_MAP_UINT64,
    TRP_FIELD_MAP_UINT32
};

/* What this server does with a field of a user's configuration. */
enum trp_field_use {
    TRP_USE_ACTS,  /* acted upon */
    TRP_USE_LATER, /* understood, accepted, named in a warning: not acted upon yet */
    TRP_USE_NO,    /* refused: has no meaning here */
    TRP_USE_OURS   /* troupe's own key, not in Triton's message: never sent to clients of /config */
};

struct trp_enum_value {
    const char *name;
    int32_t number;
};
struct trp_enum {
    const char *name; /* "inference.DataType" */
    const struct trp_enum_value *values;
    uint32_t values_n;
};

struct trp_message;
struct trp_field {
    const char *name;
    uint32_t number;
    enum trp_field_type type;
    enum trp_field_label label;
    const struct trp_message *message;  /* MESSAGE */
    const struct trp_enum *enumeration; /* ENUM */
    const char *oneof;                  /* name of its oneof, or NULL */
    const char *otherwise;              /* default as text; NULL: the type's zero */
    enum trp_field_use use;
    const char *doc;
};
struct trp_message {
    const char *name; /* "inference.ModelConfig" */
    const struct trp_field *fields;
    uint32_t fields_n;
};

/* Turns what was written into the normal form: single values become lists where the field is
 * repeated, words become enums, numbers are read from strings, `key`/`value` pairs become maps, and
 * unknown keys are refused with the nearest known one.  Fields that were not written, or as null,
 * stay absent.  `on_field` (may be NULL) is told of each field written with another value than its
 * type's zero, so that the caller can warn of those with use LATER; of what stands inside such a
 * one it is not told.  A field with use NO may be written as zero, which says what is so anyway.
 *   Owns  : the tree lives in `a`; texts are shared with `written`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line: unknown key, wrong type, out of range, two of a
 *           oneof, use NO; OUT_OF_MEMORY. */
typedef void (*trp_on_field_fn)(void *user, const struct trp_field *field,
                                const struct trp_node *node);
trp_status trp_schema_normalise(struct trp_arena *a, const struct trp_message *m,
                                const struct trp_node *written, trp_on_field_fn on_field,
                                void *user, struct trp_node **out_tree, struct trp_error *err);

/* Prints a normal tree as JSON with the original field names; with `defaults`, absent fields appear
 * too (messages of a oneof and single messages that are absent do not).  64-bit integers are
 * numbers, bytes are base64, enums names.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_schema_write_json(struct trp_buf *b, const struct trp_message *m,
                           const struct trp_node *tree, bool defaults);

/* Encodes a normal tree as protobuf (without fields of use OURS), and decodes: unknown fields are
 * skipped, numbers are taken packed or not, the last scalar wins, messages that come twice are
 * merged, unknown numbers of an enum stay INTs.
 *   Owns  : copied; the tree lives in `a`, texts are borrowed from `bytes`.
 *   Thread: owner.
 *   Errors: see b->failed; INVALID_ARGUMENT with message and place, TOO_LARGE (see the limits
 *           above), OUT_OF_MEMORY. */
void trp_schema_encode(struct trp_buf *b, const struct trp_message *m, const struct trp_node *tree);
trp_status trp_schema_decode(struct trp_arena *a, const struct trp_message *m, struct trp_str bytes,
                             struct trp_node **out_tree, struct trp_error *err);

/* What one .proto file declares. */
struct trp_method {
    const char *name;
    const struct trp_message *request, *reply;
    bool client_streams, server_streams;
};
struct trp_service {
    const char *name; /* "inference.GRPCInferenceService" */
    const struct trp_method *methods;
    uint32_t methods_n;
};
struct trp_proto_file {
    const char *name, *package; /* "grpc_service.proto", "inference" */
    const struct trp_message *const *messages;
    uint32_t messages_n;
    const struct trp_enum *const *enums;
    uint32_t enums_n;
    const struct trp_service *service; /* NULL: none */
};

/* Encodes a file as a FileDescriptorProto, for reflection.  A message or enum whose name has
 * another's in front ("inference.ModelEnsembling.Step") becomes nested in that one.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_schema_write_descriptor(struct trp_buf *b, const struct trp_proto_file *file);

/* Finds a field by name (NULL: none), and the known name nearest to a wrong one (NULL: nothing
 * near).
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_field *trp_message_field(const struct trp_message *m, struct trp_str name);
const struct trp_field *trp_message_field_numbered(const struct trp_message *m, uint32_t number);
const char *trp_message_nearest(const struct trp_message *m, struct trp_str name);

/* The same for the values of an enum; the nearest of "FP32" is also "TYPE_FP32".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: NULL: none. */
const struct trp_enum_value *trp_enum_named(const struct trp_enum *e, struct trp_str name);
const struct trp_enum_value *trp_enum_numbered(const struct trp_enum *e, int64_t number);
const char *trp_enum_nearest(const struct trp_enum *e, struct trp_str name);

/* Whether a value of a normal tree is what absence means: zero, false, empty.  A message never is.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_field_is_zero(const struct trp_field *f, const struct trp_node *n);

#endif
