/* wire/oip_reflection.c - grpc.reflection.v1 and v1alpha, and grpc.health.v1.
 *
 * The two versions of reflection have the same messages under two package names.  Files are made
 * from the message tables when asked for: a reflection client asks once, and nothing has to be
 * kept. */
#include "base/pbwire.h"
#include "wire/oip_control.h"
#include "wire/oip_messages.h"

#define FIELD(name, number, label, type, oneof)                                                   \
    {                                                                                             \
        name, number, TRP_FIELD_##type, TRP_FIELD_##label, NULL, NULL, oneof, NULL, TRP_USE_ACTS, \
            NULL                                                                                  \
    }
#define OF(name, number, label, message, oneof)                                          \
    {                                                                                    \
        name, number, TRP_FIELD_MESSAGE, TRP_FIELD_##label, &message, NULL, oneof, NULL, \
            TRP_USE_ACTS, NULL                                                           \
    }
#define MESSAGE(id, full_name, ...)                                \
    static const struct trp_field id##_fields[] = { __VA_ARGS__ }; \
    static const struct trp_message id = { full_name, id##_fields, ARRAY_LEN(id##_fields) }

/* ---- the files ------------------------------------------------------------------------------- */

static const struct trp_enum_value serving_values[] = {
    { "UNKNOWN", 0 },
    { "SERVING", 1 },
    { "NOT_SERVING", 2 },
    { "SERVICE_UNKNOWN", 3 },
};
static const struct trp_enum serving = { "grpc.health.v1.HealthCheckResponse.ServingStatus",
                                         serving_values, ARRAY_LEN(serving_values) };
MESSAGE(health_request, "grpc.health.v1.HealthCheckRequest",
        FIELD("service", 1, ONE, STRING, NULL));
MESSAGE(health_reply, "grpc.health.v1.HealthCheckResponse",
        { "status", 1, TRP_FIELD_ENUM, TRP_FIELD_ONE, NULL, &serving, NULL, NULL, TRP_USE_ACTS,
          NULL });
static const struct trp_message *const health_messages[] = { &health_request, &health_reply };
static const struct trp_enum *const health_enums[] = { &serving };
static const struct trp_method health_methods[] = {
    { "Check", &health_request, &health_reply, false, false },
    { "Watch", &health_request, &health_reply, false, true },
};
static const struct trp_service health_service = { "grpc.health.v1.Health", health_methods,
                                                   ARRAY_LEN(health_methods) };

/* Everything of one version of reflection, its names beginning with `v`. */
#define REFLECTION(v, package)                                                                     \
    MESSAGE(v##_extension_request, package ".ExtensionRequest",                                    \
            FIELD("containing_type", 1, ONE, STRING, NULL),                                        \
            FIELD("extension_number", 2, ONE, INT32, NULL));                                       \
    MESSAGE(v##_request, package ".ServerReflectionRequest", FIELD("host", 1, ONE, STRING, NULL),  \
            FIELD("file_by_filename", 3, ONE, STRING, "message_request"),                          \
            FIELD("file_containing_symbol", 4, ONE, STRING, "message_request"),                    \
            OF("file_containing_extension", 5, ONE, v##_extension_request, "message_request"),     \
            FIELD("all_extension_numbers_of_type", 6, ONE, STRING, "message_request"),             \
            FIELD("list_services", 7, ONE, STRING, "message_request"));                            \
    MESSAGE(v##_file_reply, package ".FileDescriptorResponse",                                     \
            FIELD("file_descriptor_proto", 1, MANY, BYTES, NULL));                                 \
    MESSAGE(v##_extension_reply, package ".ExtensionNumberResponse",                               \
            FIELD("base_type_name", 1, ONE, STRING, NULL),                                         \
            FIELD("extension_number", 2, MANY, INT32, NULL));                                      \
    MESSAGE(v##_one_service, package ".ServiceResponse", FIELD("name", 1, ONE, STRING, NULL));     \
    MESSAGE(v##_list_reply, package ".ListServiceResponse",                                        \
            OF("service", 1, MANY, v##_one_service, NULL));                                        \
    MESSAGE(v##_error_reply, package ".ErrorResponse", FIELD("error_code", 1, ONE, INT32, NULL),   \
            FIELD("error_message", 2, ONE, STRING, NULL));                                         \
    MESSAGE(v##_reply, package ".ServerReflectionResponse",                                        \
            FIELD("valid_host", 1, ONE, STRING, NULL),                                             \
            OF("original_request", 2, ONE, v##_request, NULL),                                     \
            OF("file_descriptor_response", 4, ONE, v##_file_reply, "message_response"),            \
            OF("all_extension_numbers_response", 5, ONE, v##_extension_reply, "message_response"), \
            OF("list_services_response", 6, ONE, v##_list_reply, "message_response"),              \
            OF("error_response", 7, ONE, v##_error_reply, "message_response"));                    \
    static const struct trp_message *const v##_messages[] = {                                      \
        &v##_request,    &v##_reply,       &v##_extension_request, &v##_file_reply,                \
        &v##_list_reply, &v##_one_service, &v##_extension_reply,   &v##_error_reply                \
    };                                                                                             \
    static const struct trp_method v##_methods[] = { { "ServerReflectionInfo", &v##_request,       \
                                                       &v##_reply, true, true } };                 \
    static const struct trp_service v##_service = { package ".ServerReflection", v##_methods,      \
                                                    ARRAY_LEN(v##_methods) }

REFLECTION(v1, "grpc.reflection.v1");
REFLECTION(v1alpha, "grpc.reflection.v1alpha");

#define REFLECTION_FILE(v, folder)                                                              \
    {                                                                                           \
        "grpc/reflection/" folder "/reflection.proto", "grpc.reflection." folder, v##_messages, \
            ARRAY_LEN(v##_messages), NULL, 0, &v##_service                                      \
    }

static const struct trp_proto_file fixed_files[] = {
    { "grpc/health/v1/health.proto", "grpc.health.v1", health_messages, ARRAY_LEN(health_messages),
      health_enums, ARRAY_LEN(health_enums), &health_service },
    REFLECTION_FILE(v1, "v1"),
    REFLECTION_FILE(v1alpha, "v1alpha"),
};
enum { FILES = ARRAY_LEN(fixed_files) + 1 };

/* ---- symbols --------------------------------------------------------------------------------- */

/* Whether `symbol` is `name`, or `name` and a dot in front of *out_rest. */
static bool is_or_within(struct trp_str symbol, const char *name, struct trp_str *out_rest)
{
    const struct trp_str whole = trp_str_of(name);
    *out_rest = trp_str_make(NULL, 0);
    if (!trp_str_starts_with(symbol, whole))
        return false;
    if (symbol.len == whole.len)
        return true;
    if (symbol.ptr[whole.len] != '.')
        return false;
    *out_rest = trp_str_make(symbol.ptr + whole.len + 1, symbol.len - whole.len - 1);
    return true;
}

static bool service_has(const struct trp_service *service, struct trp_str symbol)
{
    struct trp_str rest;
    if (!is_or_within(symbol, service->name, &rest))
        return false;
    for (uint32_t i = 0; i < service->methods_n && rest.len > 0; i++)
        if (trp_str_is(rest, service->methods[i].name))
            return true;
    return rest.len == 0;
}

static bool message_has(const struct trp_message *message, struct trp_str symbol)
{
    struct trp_str rest;
    if (!is_or_within(symbol, message->name, &rest))
        return false;
    if (rest.len == 0)
        return true;
    const struct trp_field *const field = trp_message_field(message, rest);
    return field && field->use != TRP_USE_OURS;
}

static bool file_has(const struct trp_proto_file *file, struct trp_str symbol)
{
    struct trp_str rest;
    if (service_has(file->service, symbol))
        return true;
    for (uint32_t i = 0; i < file->messages_n; i++)
        if (message_has(file->messages[i], symbol))
            return true;
    for (uint32_t i = 0; i < file->enums_n; i++)
        if (is_or_within(symbol, file->enums[i]->name, &rest) &&
            (rest.len == 0 || trp_enum_named(file->enums[i], rest)))
            return true;
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

enum request_field {
    REQUEST_HOST = 1,
    REQUEST_BY_NAME = 3,
    REQUEST_BY_SYMBOL = 4,
    REQUEST_BY_EXTENSION = 5,
    REQUEST_EXTENSIONS_OF = 6,
    REQUEST_LIST = 7
};
enum reply_field { REPLY_HOST = 1, REPLY_REQUEST = 2, REPLY_FILES = 4, REPLY_EXTENSIONS = 5 };
enum { REPLY_SERVICES = 6, REPLY_ERROR = 7 };

struct question {
    struct trp_str host, text;
    uint32_t kind; /* enum request_field; 0: none of the oneof */
};

static trp_status read_question(struct trp_str request, struct question *q, struct trp_error *err)
{
    struct trp_pb_reader reader = trp_pb_reader_of(request);
    struct trp_pb_field f;
    enum trp_pb_next next;
    *q = (struct question){ 0 };
    while ((next = trp_pb_next(&reader, &f)) == TRP_PB_FIELD) {
        if (f.number == 2 || f.number > REQUEST_LIST)
            continue;
        if (f.type != TRP_PB_BYTES)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "ServerReflectionRequest: field %u has a "
                            "wrong wire type",
                            f.number);
        if (f.number == REQUEST_HOST) {
            q->host = f.bytes;
            continue;
        }
        q->kind = f.number;
        q->text = f.bytes;
    }
    if (next == TRP_PB_CORRUPT)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "ServerReflectionRequest: malformed protobuf");
    return trp_ok();
}

static void write_error(struct trp_buf *out, enum trp_code code, const char *what,
                        struct trp_str name)
{
    const size_t mark = trp_pb_begin(out, REPLY_ERROR);
    trp_pb_write_i64(out, 1, trp_code_grpc((int32_t)code));
    const size_t text = trp_pb_begin(out, 2);
    trp_buf_add_text(out, what);
    if (trp_str_is_utf8(name))
        trp_buf_add_str(out, name);
    trp_pb_end(out, text);
    trp_pb_end(out, mark);
}

static void write_file(struct trp_buf *out, const struct trp_proto_file *file)
{
    const size_t reply = trp_pb_begin(out, REPLY_FILES);
    const size_t descriptor = trp_pb_begin(out, 1);
    trp_schema_write_descriptor(out, file);
    trp_pb_end(out, descriptor);
    trp_pb_end(out, reply);
}

static void write_services(struct trp_buf *out, const struct trp_proto_file *files)
{
    const size_t reply = trp_pb_begin(out, REPLY_SERVICES);
    for (uint32_t i = 0; i < FILES; i++) {
        const size_t service = trp_pb_begin(out, 1);
        trp_pb_write_str(out, 1, trp_str_of(files[i].service->name));
        trp_pb_end(out, service);
    }
    trp_pb_end(out, reply);
}

static void write_found(struct trp_buf *out, const struct trp_proto_file *files,
                        const struct question *q)
{
    for (uint32_t i = 0; i < FILES; i++)
        if (q->kind == REQUEST_BY_NAME ? trp_str_is(q->text, files[i].name)
                                       : file_has(&files[i], q->text)) {
            write_file(out, &files[i]);
            return;
        }
    write_error(out, TRP_NOT_FOUND,
                q->kind == REQUEST_BY_NAME ? "File not found: " : "Symbol not found: ", q->text);
}

trp_status trp_reflection_answer(struct trp_arena *arena, struct trp_str request,
                                 struct trp_buf *out, struct trp_error *err)
{
    struct question q;
    struct trp_proto_file files[FILES];
    TRP_CHECK(read_question(request, &q, err));
    TRP_CHECK(trp_oip_proto_file(arena, &files[0], err));
    memcpy(&files[1], fixed_files, sizeof fixed_files);
    if (q.host.len > 0)
        trp_pb_write_str(out, REPLY_HOST, q.host);
    trp_pb_write_str(out, REPLY_REQUEST, request);
    switch (q.kind) {
    case REQUEST_BY_NAME:
    case REQUEST_BY_SYMBOL:
        write_found(out, files, &q);
        break;
    case REQUEST_LIST:
        write_services(out, files);
        break;
    case REQUEST_BY_EXTENSION:
    case REQUEST_EXTENSIONS_OF:
        write_error(out, TRP_NOT_FOUND, "there are no extensions", trp_str_make(NULL, 0));
        break;
    default:
        write_error(out, TRP_INVALID_ARGUMENT, "the request asks nothing", trp_str_make(NULL, 0));
    }
    return trp_buf_check(out, "reflection", err);
}

/* ---- health ---------------------------------------------------------------------------------- */

trp_status trp_health_decode(struct trp_str request, struct trp_str *out_service,
                             struct trp_error *err)
{
    struct trp_pb_reader reader = trp_pb_reader_of(request);
    struct trp_pb_field f;
    enum trp_pb_next next;
    struct trp_str service = { 0 };
    while ((next = trp_pb_next(&reader, &f)) == TRP_PB_FIELD) {
        if (f.number != 1)
            continue;
        if (f.type != TRP_PB_BYTES)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "HealthCheckRequest: 'service' is no string");
        service = f.bytes;
    }
    if (next == TRP_PB_CORRUPT)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "HealthCheckRequest: malformed protobuf");
    *out_service = service;
    return trp_ok();
}

void trp_health_encode(int status, struct trp_buf *out)
{
    trp_pb_write_i64(out, 1, status);
}
