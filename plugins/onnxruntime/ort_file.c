/* onnxruntime/ort_file.c - see ort_file.h.
 *
 *   ModelProto.graph 7 -> GraphProto { node 1, input 11, output 12 }
 *   NodeProto { output 2, op_type 4, attribute 5 }    AttributeProto { name 1, ints 8, strings 9 }
 *   ValueInfoProto { name 1, type 2 } -> TypeProto.tensor_type 1 -> shape 2
 *   GraphProto.initializer 5 -> TensorProto { dims 1, data_type 2, name 8, external_data 13,
 *   data_location 14 }
 *
 *  1. Every read is checked against the span it belongs to, every span against its parent's.
 *  2. Each step moves forward by at least a byte, so a walk ends.
 *  3. Reading goes through a window with pread(): a file that shrinks meanwhile is a failed read,
 *     not a signal, and stepping over a gigabyte of weights costs nothing.
 *   Source: onnx.proto3, IR version 10; protobuf encoding. */
#include "ort_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES 4096
#define TEXT_MAX 4096

struct ort_file {
    int fd;
    uint64_t size;
    uint64_t window_at;
    uint64_t window_n;
    unsigned char window[WINDOW_BYTES];
};

struct span {
    uint64_t at, end;
};

enum wire { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;   /* of a VARINT */
    struct span body; /* of a LEN */
};

struct ort_file *ort_file_open(const char *path)
{
    struct stat st;
    struct ort_file *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0 || st.st_size < 0) {
        ort_file_close(f);
        return NULL;
    }
    f->size = (uint64_t)st.st_size;
    return f;
}

void ort_file_close(struct ort_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

/* --- the wire --------------------------------------------------------------------------------- */

static bool read_byte(struct ort_file *f, struct span *s, unsigned char *out)
{
    if (s->at >= s->end)
        return false;
    if (s->at < f->window_at || s->at - f->window_at >= f->window_n) {
        const ssize_t n = pread(f->fd, f->window, WINDOW_BYTES, (off_t)s->at);
        f->window_at = s->at;
        f->window_n = n > 0 ? (uint64_t)n : 0;
        if (n <= 0)
            return false;
    }
    *out = f->window[s->at++ - f->window_at];
    return true;
}

static bool read_varint(struct ort_file *f, struct span *s, uint64_t *out)
{
    uint64_t value = 0;
    unsigned char byte;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (!read_byte(f, s, &byte))
            return false;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool step(struct span *s, uint64_t n)
{
    if (n > s->end - s->at)
        return false;
    s->at += n;
    return true;
}

/* Reads the next field of a message; false at its end, or where it makes no sense. */
static bool next_field(struct ort_file *f, struct span *s, struct field *out)
{
    uint64_t tag, n;
    if (!read_varint(f, s, &tag))
        return false;
    *out = (struct field){ .number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7) };
    switch (out->wire) {
    case WIRE_VARINT:
        return read_varint(f, s, &out->value);
    case WIRE_I64:
        return step(s, 8);
    case WIRE_I32:
        return step(s, 4);
    case WIRE_LEN:
        if (!read_varint(f, s, &n))
            return false;
        out->body.at = s->at;
        if (!step(s, n))
            return false;
        out->body.end = s->at;
        return true;
    default:
        return false;
    }
}

/* The next field of that number that holds bytes. */
static bool next_body(struct ort_file *f, struct span *s, uint32_t number, struct span *out)
{
    struct field field;
    while (next_field(f, s, &field)) {
        if (field.number == number && field.wire == WIRE_LEN) {
            *out = field.body;
            return true;
        }
    }
    return false;
}

static bool first_body(struct ort_file *f, struct span s, uint32_t number, struct span *out)
{
    return next_body(f, &s, number, out);
}

static bool is_text(struct ort_file *f, struct span s, const char *text)
{
    unsigned char byte;
    if (s.end - s.at != strlen(text))
        return false;
    for (; *text; text++)
        if (!read_byte(f, &s, &byte) || byte != (unsigned char)*text)
            return false;
    return true;
}

static bool has_text(struct ort_file *f, struct span message, uint32_t number, const char *text)
{
    struct span body;
    return first_body(f, message, number, &body) && is_text(f, body, text);
}

static char *dup_text(struct ort_file *f, struct span s)
{
    const uint64_t n = s.end - s.at;
    char *text = n <= TEXT_MAX ? malloc(n + 1) : NULL;
    for (uint64_t i = 0; text && i < n; i++) {
        if (!read_byte(f, &s, (unsigned char *)&text[i])) {
            free(text);
            return NULL;
        }
    }
    if (text)
        text[n] = '\0';
    return text;
}

static bool find_graph(struct ort_file *f, struct span *out)
{
    const struct span model = { 0, f->size };
    return first_body(f, model, 7, out);
}

/* --- shapes ----------------------------------------------------------------------------------- */

bool ort_file_has_shape(struct ort_file *f, const char *name)
{
    struct span graph, type, tensor, shape;
    struct field field;
    if (!find_graph(f, &graph))
        return false;
    while (next_field(f, &graph, &field)) {
        if ((field.number != 11 && field.number != 12) || field.wire != WIRE_LEN ||
            !has_text(f, field.body, 1, name))
            continue;
        return first_body(f, field.body, 2, &type) && first_body(f, type, 1, &tensor) &&
               first_body(f, tensor, 2, &shape);
    }
    return false;
}

/* --- ZipMap ----------------------------------------------------------------------------------- */

static bool add_key(struct ort_file_keys *keys, char *text)
{
    if (!text || keys->n == ORT_FILE_KEYS_MAX) {
        free(text);
        return false;
    }
    if ((keys->n & (keys->n - 1)) == 0) { /* full at powers of two */
        char **larger = realloc(keys->texts, (keys->n ? keys->n * 2 : 1) * sizeof *larger);
        if (!larger) {
            free(text);
            return false;
        }
        keys->texts = larger;
    }
    keys->texts[keys->n++] = text;
    return true;
}

static bool add_integer(struct ort_file_keys *keys, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return add_key(keys, strdup(text));
}

/* `ints` may be one field each, or packed into one. */
static bool read_integers(struct ort_file *f, struct span attribute, struct ort_file_keys *out)
{
    struct field field;
    uint64_t value;
    out->are_integers = true;
    while (next_field(f, &attribute, &field)) {
        if (field.number != 8)
            continue;
        if (field.wire == WIRE_VARINT && !add_integer(out, field.value))
            return false;
        while (field.wire == WIRE_LEN && field.body.at < field.body.end)
            if (!read_varint(f, &field.body, &value) || !add_integer(out, value))
                return false;
    }
    return out->n > 0;
}

static bool read_strings(struct ort_file *f, struct span attribute, struct ort_file_keys *out)
{
    struct span text;
    while (next_body(f, &attribute, 9, &text))
        if (!add_key(out, dup_text(f, text)))
            return false;
    return out->n > 0;
}

static bool read_keys(struct ort_file *f, struct span node, struct ort_file_keys *out)
{
    struct span attribute;
    while (next_body(f, &node, 5, &attribute)) {
        if (has_text(f, attribute, 1, "classlabels_int64s") && read_integers(f, attribute, out))
            return true;
        if (has_text(f, attribute, 1, "classlabels_strings") && read_strings(f, attribute, out))
            return true;
        ort_file_free_keys(out); /* an empty list; the other attribute may hold them */
    }
    return false;
}

bool ort_file_zipmap_keys(struct ort_file *f, const char *name, struct ort_file_keys *out)
{
    struct span graph, node;
    *out = (struct ort_file_keys){ 0 };
    if (!find_graph(f, &graph))
        return false;
    while (next_body(f, &graph, 1, &node)) {
        if (!has_text(f, node, 4, "ZipMap") || !has_text(f, node, 2, name))
            continue;
        if (read_keys(f, node, out))
            return true;
        break;
    }
    ort_file_free_keys(out);
    return false;
}

void ort_file_free_keys(struct ort_file_keys *keys)
{
    for (uint32_t i = 0; i < keys->n; i++)
        free(keys->texts[i]);
    free(keys->texts);
    *keys = (struct ort_file_keys){ 0 };
}

/* --- weights that lie elsewhere --------------------------------------------------------------- */

static bool add_dim(struct ort_file_external *e, uint64_t value)
{
    if (e->rank == ORT_FILE_RANK_MAX || value > INT64_MAX)
        return false;
    e->dims[e->rank++] = (int64_t)value;
    return true;
}

static bool read_dims(struct ort_file *f, struct field *field, struct ort_file_external *out)
{
    uint64_t value;
    if (field->wire == WIRE_VARINT)
        return add_dim(out, field->value);
    while (field->wire == WIRE_LEN && field->body.at < field->body.end)
        if (!read_varint(f, &field->body, &value) || !add_dim(out, value))
            return false;
    return true;
}

static bool read_number(struct ort_file *f, struct span text, uint64_t *out)
{
    char digits[24] = "";
    const uint64_t n = text.end - text.at;
    char *end;
    if (n == 0 || n >= sizeof digits)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!read_byte(f, &text, (unsigned char *)&digits[i]))
            return false;
    *out = strtoull(digits, &end, 10);
    return *end == '\0' && digits[0] != '-';
}

/* One key and its value; `location` gets a copy. */
static bool read_place(struct ort_file *f, struct span entry, struct ort_file_external *out,
                       char **location)
{
    struct span value;
    if (!first_body(f, entry, 2, &value))
        return false;
    if (has_text(f, entry, 1, "offset"))
        return read_number(f, value, &out->offset);
    if (has_text(f, entry, 1, "length"))
        return read_number(f, value, &out->bytes);
    if (has_text(f, entry, 1, "location") && !*location)
        *location = dup_text(f, value);
    return true;
}

struct external {
    struct ort_file_external is;
    char *name, *location;
    bool is_external;
};

static bool read_tensor(struct ort_file *f, struct span tensor, struct external *out)
{
    struct field field;
    bool is_well = true;
    while (is_well && next_field(f, &tensor, &field)) {
        if (field.number == 1)
            is_well = read_dims(f, &field, &out->is);
        else if (field.number == 2 && field.wire == WIRE_VARINT)
            out->is.element = (int32_t)field.value;
        else if (field.number == 8 && field.wire == WIRE_LEN && !out->name)
            out->name = dup_text(f, field.body);
        else if (field.number == 13 && field.wire == WIRE_LEN)
            is_well = read_place(f, field.body, &out->is, &out->location);
        else if (field.number == 14 && field.wire == WIRE_VARINT)
            out->is_external = field.value == 1;
    }
    out->is.name = out->name;
    out->is.location = out->location;
    return is_well && out->is_external && out->name && out->location && out->is.bytes > 0;
}

static bool is_input(struct ort_file *f, struct span graph, const char *name)
{
    struct span input;
    while (next_body(f, &graph, 11, &input))
        if (has_text(f, input, 1, name))
            return true;
    return false;
}

bool ort_file_each_external(struct ort_file *f,
                            bool (*each)(void *user, const struct ort_file_external *e), void *user)
{
    struct span graph, rest, tensor;
    bool goes_on = true;
    if (!find_graph(f, &graph))
        return true;
    for (rest = graph; goes_on && next_body(f, &rest, 5, &tensor);) {
        struct external e = { .is = { .element = 0 } };
        if (read_tensor(f, tensor, &e) && !is_input(f, graph, e.name))
            goes_on = each(user, &e.is);
        free(e.name);
        free(e.location);
    }
    return goes_on;
}
