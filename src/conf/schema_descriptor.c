/* conf/schema_descriptor.c - message tables as a FileDescriptorProto; see schema.h.
 * Source: google/protobuf/descriptor.proto, whose field numbers stand below. */
#include "base/pbwire.h"
#include "conf/schema.h"

enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6 };
enum { FILE_SYNTAX = 12 };
enum { MESSAGE_NAME = 1, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4 };
enum { MESSAGE_OPTIONS = 7, MESSAGE_ONEOF = 8, MESSAGE_OPTION_MAP_ENTRY = 7 };
enum { FIELD_NAME = 1, FIELD_NUMBER = 3, FIELD_LABEL = 4, FIELD_TYPE = 5, FIELD_TYPE_NAME = 6 };
enum { FIELD_ONEOF_INDEX = 9, LABEL_OPTIONAL = 1, LABEL_REPEATED = 3 };
enum { ENUM_NAME = 1, ENUM_VALUE = 2, ENUM_VALUE_NAME = 1, ENUM_VALUE_NUMBER = 2 };
enum { SERVICE_NAME = 1, SERVICE_METHOD = 2 };
enum { METHOD_NAME = 1, METHOD_INPUT = 2, METHOD_OUTPUT = 3, METHOD_CLIENT_STREAMS = 5 };
enum { METHOD_SERVER_STREAMS = 6 };

/* "Step" of "inference.ModelEnsembling.Step". */
static struct trp_str last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return trp_str_of(dot ? dot + 1 : name);
}

/* Whether `name` is `parent`, a dot, and a single part. */
static bool is_directly_in(const char *name, const char *parent)
{
    const size_t n = strlen(parent);
    return strncmp(name, parent, n) == 0 && name[n] == '.' && !strchr(name + n + 1, '.');
}

/* "metric_tags" gives "MetricTagsEntry", the name that protobuf's compiler gives to a map's
 * entries. */
static struct trp_str entry_name(const struct trp_field *f, char *out, size_t out_size)
{
    static const char suffix[] = "Entry";
    size_t n = 0;
    bool upper = true;
    for (const char *c = f->name; *c && n + sizeof suffix < out_size; c++) {
        if (*c != '_')
            out[n++] = upper && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        upper = *c == '_';
    }
    memcpy(out + n, suffix, sizeof suffix);
    return trp_str_make(out, n + sizeof suffix - 1);
}

static void write_text(struct trp_buf *b, uint32_t number, const char *text)
{
    trp_pb_write_str(b, number, trp_str_of(text));
}

static void write_type_name(struct trp_buf *b, uint32_t number, const char *name,
                            struct trp_str nested)
{
    const size_t mark = trp_pb_begin(b, number);
    trp_buf_add_char(b, '.'); /* fully qualified */
    trp_buf_add_text(b, name);
    if (nested.len > 0) {
        trp_buf_add_char(b, '.');
        trp_buf_add_str(b, nested);
    }
    trp_pb_end(b, mark);
}

static void write_enum(struct trp_buf *b, uint32_t number, const struct trp_enum *e)
{
    const size_t mark = trp_pb_begin(b, number);
    trp_pb_write_str(b, ENUM_NAME, last_part(e->name));
    for (uint32_t i = 0; i < e->values_n; i++) {
        const size_t value = trp_pb_begin(b, ENUM_VALUE);
        write_text(b, ENUM_VALUE_NAME, e->values[i].name);
        trp_pb_write_i64(b, ENUM_VALUE_NUMBER, e->values[i].number);
        trp_pb_end(b, value);
    }
    trp_pb_end(b, mark);
}

/* Writes type and type name of what a field, or a map's value, holds. */
static void write_type(struct trp_buf *b, const struct trp_field *f)
{
    trp_pb_write_u64(b, FIELD_TYPE, f->type);
    if (f->type == TRP_FIELD_MESSAGE)
        write_type_name(b, FIELD_TYPE_NAME, f->message->name, (struct trp_str){ 0 });
    else if (f->type == TRP_FIELD_ENUM)
        write_type_name(b, FIELD_TYPE_NAME, f->enumeration->name, (struct trp_str){ 0 });
}

/* The index among the message's oneofs, in order of first use; *out_count is how many there are
 * up to here. */
static uint32_t oneof_index(const struct trp_message *m, const struct trp_field *f)
{
    uint32_t index = 0;
    for (const struct trp_field *o = m->fields; o <= f; o++) {
        bool first = o->oneof != NULL;
        for (const struct trp_field *p = m->fields; first && p < o; p++)
            first = !p->oneof || strcmp(p->oneof, o->oneof) != 0;
        if (o->oneof && strcmp(o->oneof, f->oneof) == 0)
            return index;
        index += first;
    }
    return index;
}

static bool is_map(const struct trp_field *f)
{
    return f->label != TRP_FIELD_ONE && f->label != TRP_FIELD_MANY;
}

static void write_field(struct trp_buf *b, const struct trp_message *m, const struct trp_field *f)
{
    char entry[96];
    const size_t mark = trp_pb_begin(b, MESSAGE_FIELD);
    write_text(b, FIELD_NAME, f->name);
    trp_pb_write_u64(b, FIELD_NUMBER, f->number);
    trp_pb_write_u64(b, FIELD_LABEL, f->label == TRP_FIELD_ONE ? LABEL_OPTIONAL : LABEL_REPEATED);
    if (is_map(f)) {
        trp_pb_write_u64(b, FIELD_TYPE, TRP_FIELD_MESSAGE);
        write_type_name(b, FIELD_TYPE_NAME, m->name, entry_name(f, entry, sizeof entry));
    } else {
        write_type(b, f);
    }
    if (f->oneof)
        trp_pb_write_u64(b, FIELD_ONEOF_INDEX, oneof_index(m, f));
    trp_pb_end(b, mark);
}

static void write_map_entry(struct trp_buf *b, const struct trp_field *f)
{
    char entry[96];
    static const enum trp_field_type key_types[] = {
        [TRP_FIELD_MAP_STRING] = TRP_FIELD_STRING,
        [TRP_FIELD_MAP_UINT64] = TRP_FIELD_UINT64,
        [TRP_FIELD_MAP_UINT32] = TRP_FIELD_UINT32,
    };
    const size_t mark = trp_pb_begin(b, MESSAGE_NESTED);
    trp_pb_write_str(b, MESSAGE_NAME, entry_name(f, entry, sizeof entry));
    for (uint32_t number = 1; number <= 2; number++) {
        const size_t field = trp_pb_begin(b, MESSAGE_FIELD);
        write_text(b, FIELD_NAME, number == 1 ? "key" : "value");
        trp_pb_write_u64(b, FIELD_NUMBER, number);
        trp_pb_write_u64(b, FIELD_LABEL, LABEL_OPTIONAL);
        if (number == 1)
            trp_pb_write_u64(b, FIELD_TYPE, key_types[f->label]);
        else
            write_type(b, f);
        trp_pb_end(b, field);
    }
    const size_t options = trp_pb_begin(b, MESSAGE_OPTIONS);
    trp_pb_write_bool(b, MESSAGE_OPTION_MAP_ENTRY, true);
    trp_pb_end(b, options);
    trp_pb_end(b, mark);
}

static void write_oneofs(struct trp_buf *b, const struct trp_message *m)
{
    uint32_t written = 0;
    for (uint32_t i = 0; i < m->fields_n; i++) {
        const struct trp_field *f = &m->fields[i];
        if (!f->oneof || oneof_index(m, f) < written)
            continue;
        const size_t mark = trp_pb_begin(b, MESSAGE_ONEOF);
        write_text(b, MESSAGE_NAME, f->oneof);
        trp_pb_end(b, mark);
        written++;
    }
}

static void write_message(struct trp_buf *b, uint32_t number, const struct trp_proto_file *file,
                          const struct trp_message *m)
{
    const size_t mark = trp_pb_begin(b, number);
    trp_pb_write_str(b, MESSAGE_NAME, last_part(m->name));
    for (uint32_t i = 0; i < m->fields_n; i++) {
        if (m->fields[i].use != TRP_USE_OURS)
            write_field(b, m, &m->fields[i]);
    }
    for (uint32_t i = 0; i < file->messages_n; i++) {
        if (is_directly_in(file->messages[i]->name, m->name))
            write_message(b, MESSAGE_NESTED, file, file->messages[i]);
    }
    for (uint32_t i = 0; i < m->fields_n; i++) {
        if (is_map(&m->fields[i]) && m->fields[i].use != TRP_USE_OURS)
            write_map_entry(b, &m->fields[i]);
    }
    for (uint32_t i = 0; i < file->enums_n; i++) {
        if (is_directly_in(file->enums[i]->name, m->name))
            write_enum(b, MESSAGE_ENUM, file->enums[i]);
    }
    write_oneofs(b, m);
    trp_pb_end(b, mark);
}

static void write_service(struct trp_buf *b, const struct trp_service *s)
{
    const size_t mark = trp_pb_begin(b, FILE_SERVICE);
    trp_pb_write_str(b, SERVICE_NAME, last_part(s->name));
    for (uint32_t i = 0; i < s->methods_n; i++) {
        const struct trp_method *m = &s->methods[i];
        const size_t method = trp_pb_begin(b, SERVICE_METHOD);
        write_text(b, METHOD_NAME, m->name);
        write_type_name(b, METHOD_INPUT, m->request->name, (struct trp_str){ 0 });
        write_type_name(b, METHOD_OUTPUT, m->reply->name, (struct trp_str){ 0 });
        if (m->client_streams)
            trp_pb_write_bool(b, METHOD_CLIENT_STREAMS, true);
        if (m->server_streams)
            trp_pb_write_bool(b, METHOD_SERVER_STREAMS, true);
        trp_pb_end(b, method);
    }
    trp_pb_end(b, mark);
}

void trp_schema_write_descriptor(struct trp_buf *b, const struct trp_proto_file *file)
{
    write_text(b, FILE_NAME, file->name);
    write_text(b, FILE_PACKAGE, file->package);
    for (uint32_t i = 0; i < file->messages_n; i++) {
        if (is_directly_in(file->messages[i]->name, file->package))
            write_message(b, FILE_MESSAGE, file, file->messages[i]);
    }
    for (uint32_t i = 0; i < file->enums_n; i++) {
        if (is_directly_in(file->enums[i]->name, file->package))
            write_enum(b, FILE_ENUM, file->enums[i]);
    }
    if (file->service)
        write_service(b, file->service);
    write_text(b, FILE_SYNTAX, "proto3");
}
