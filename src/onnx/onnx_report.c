/* onnx/onnx_report.c - the report for people; see onnx_report.h.
 *
 * A section is written as cells first: '\t' after each, '\n' after a row (no cell holds either:
 * names are cleaned).  Then its columns are measured and it is printed aligned. */
#include "onnx/onnx_report.h"

#include "tensor/dtype.h"

#define CELLS_BYTES_MAX (16u << 20)
#define COLUMNS_MAX 8
#define LABELS_SHOWN 6
#define TEXT_SHOWN 120 /* characters of a long text */
#define INDENT "  "

/* ---- tables --------------------------------------------------------------------------------- */

struct columns {
    size_t width[COLUMNS_MAX];
    uint32_t right; /* bit per column: numbers stand right */
};

/* Characters, not bytes; wide ones are not known here. */
static size_t width_of(struct trp_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* The next cell of a row; false at its end.  *at moves behind it. */
static bool next_cell(struct trp_str cells, size_t *at, struct trp_str *out)
{
    const size_t start = *at;
    while (*at < cells.len && cells.ptr[*at] != '\t' && cells.ptr[*at] != '\n')
        (*at)++;
    *out = trp_str_make(cells.ptr + start, *at - start);
    if (*at < cells.len && cells.ptr[*at] == '\t') {
        (*at)++;
        return true;
    }
    return false;
}

static void measure(struct trp_str cells, struct columns *c)
{
    for (size_t at = 0; at < cells.len; at++) { /* at++ passes the line end */
        struct trp_str cell;
        for (uint32_t i = 0; next_cell(cells, &at, &cell) && i < COLUMNS_MAX; i++) {
            const size_t width = width_of(cell);
            c->width[i] = c->width[i] < width ? width : c->width[i];
        }
    }
}

static void pad(struct trp_buf *b, size_t n)
{
    while (n-- > 0)
        trp_buf_add_char(b, ' ');
}

/* Spaces are owed until something follows them, so no line ends in one. */
static void print_row(struct trp_str cells, size_t *at, const struct columns *c, struct trp_buf *b)
{
    struct trp_str cell;
    size_t owed = 0;
    trp_buf_add_text(b, INDENT);
    for (uint32_t i = 0; next_cell(cells, at, &cell) && i < COLUMNS_MAX; i++) {
        const size_t missing = c->width[i] - width_of(cell);
        const bool right = c->right & (1u << i);
        if (cell.len > 0) {
            pad(b, owed + (right ? missing : 0));
            trp_buf_add_str(b, cell);
            owed = right ? 2 : missing + 2;
        } else {
            owed += missing + 2;
        }
    }
    trp_buf_add_char(b, '\n');
}

/* Prints and empties `cells`. */
static void print_table(const char *title, struct trp_buf *cells, uint32_t right, struct trp_buf *b)
{
    struct columns c = { .right = right };
    const struct trp_str all = trp_buf_str(cells);
    trp_buf_addf(b, "\n%s\n", title);
    measure(all, &c);
    for (size_t at = 0; at < all.len; at++)
        print_row(all, &at, &c, b);
    trp_buf_reset(cells);
}

static void cell_end(struct trp_buf *cells)
{
    trp_buf_add_char(cells, '\t');
}

static void cell_text(struct trp_buf *cells, const char *text)
{
    trp_buf_add_text(cells, text);
    cell_end(cells);
}

static void cell_name(struct trp_buf *cells, struct trp_str name)
{
    trp_onnx_name_format(name, cells);
    cell_end(cells);
}

/* A text of any length, cut where a line would become too long. */
static void cell_prose(struct trp_buf *cells, struct trp_str text)
{
    size_t end = 0;
    for (size_t shown = 0; end < text.len; end++) {
        if (((unsigned char)text.ptr[end] & 0xc0) != 0x80 && shown++ == TEXT_SHOWN)
            break;
    }
    trp_onnx_name_format(trp_str_make(text.ptr, end), cells);
    cell_text(cells, end < text.len ? "..." : "");
}

static void row_end(struct trp_buf *cells)
{
    trp_buf_add_char(cells, '\n');
}

/* 1234567 becomes "1,234,567". */
static void add_number(struct trp_buf *b, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n-- > 0) {
        trp_buf_add_char(b, digits[n]);
        if (n > 0 && n % 3 == 0)
            trp_buf_add_char(b, ',');
    }
}

static void cell_number(struct trp_buf *cells, uint64_t v)
{
    add_number(cells, v);
    cell_end(cells);
}

static void add_bytes(struct trp_buf *b, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        v /= 1024;
    if (unit == 0)
        trp_buf_addf(b, "%llu %s", (unsigned long long)bytes, bytes == 1 ? "byte" : units[0]);
    else
        trp_buf_addf(b, "%.1f %s", v, units[unit]);
}

static void cell_bytes(struct trp_buf *cells, uint64_t bytes)
{
    add_bytes(cells, bytes);
    cell_end(cells);
}

/* ---- sections ------------------------------------------------------------------------------- */

static void head_row(struct trp_buf *cells, const char *key, struct trp_str value,
                     struct trp_str more)
{
    if (value.len == 0 && more.len == 0)
        return;
    cell_text(cells, key);
    trp_onnx_name_format(value, cells);
    if (value.len > 0 && more.len > 0)
        trp_buf_add_char(cells, ' ');
    cell_name(cells, more);
    row_end(cells);
}

static void add_opsets(const struct trp_onnx_model *m, struct trp_buf *cells)
{
    cell_text(cells, "operator sets");
    for (uint32_t i = 0; i < m->opsets_n; i++) {
        trp_buf_add_text(cells, i ? ", " : "");
        trp_onnx_name_format(m->opsets[i].domain, cells);
        trp_buf_addf(cells, " %lld", (long long)m->opsets[i].version);
    }
    cell_end(cells);
    row_end(cells);
}

static void head(const struct trp_onnx_model *m, struct trp_buf *cells, struct trp_buf *b)
{
    cell_text(cells, "size");
    cell_bytes(cells, m->file_bytes);
    row_end(cells);
    trp_buf_addf(cells, "IR version\t%lld\t\n", (long long)m->ir_version);
    add_opsets(m, cells);
    head_row(cells, "producer", m->producer, m->producer_version);
    if (m->model_version != 0)
        trp_buf_addf(cells, "model version\t%lld\t\n", (long long)m->model_version);
    head_row(cells, "domain", m->domain, (struct trp_str){ 0 });
    head_row(cells, "graph", m->graph_name, (struct trp_str){ 0 });
    if (m->doc.len > 0 || m->graph_doc.len > 0) {
        cell_text(cells, "about");
        cell_prose(cells, m->doc.len > 0 ? m->doc : m->graph_doc);
        row_end(cells);
    }
    print_table("model", cells, 0, b);
}

static void add_shape(const struct trp_io *io, struct trp_buf *cells)
{
    if (io->any_rank) {
        trp_buf_add_text(cells, "any");
        return;
    }
    trp_buf_add_char(cells, '[');
    for (uint32_t i = 0; i < io->rank; i++) {
        if (i > 0)
            trp_buf_add_text(cells, ", ");
        if (io->dims[i] >= 0)
            trp_buf_add_i64(cells, io->dims[i]);
        else if (io->dim_names && io->dim_names[i].len > 0)
            trp_onnx_name_format(io->dim_names[i], cells);
        else
            trp_buf_add_text(cells, "-1");
    }
    trp_buf_add_char(cells, ']');
}

static void add_labels(const struct trp_io *io, struct trp_buf *cells)
{
    trp_buf_addf(cells, "%u classes: ", io->labels_n);
    for (uint32_t i = 0; i < io->labels_n && i < LABELS_SHOWN; i++) {
        trp_buf_add_text(cells, i ? ", " : "");
        trp_onnx_name_format(io->labels[i], cells);
    }
    if (io->labels_n > LABELS_SHOWN)
        trp_buf_add_text(cells, ", ...");
}

static void add_note(const struct trp_onnx_io *io, struct trp_buf *cells)
{
    if (!trp_onnx_io_is_served(io)) {
        trp_onnx_type_format(&io->type, cells);
        trp_buf_add_text(cells, ", not served");
    } else if (io->zipmap) {
        add_labels(&io->io, cells);
    } else if (io->io.optional) {
        trp_buf_add_text(cells, "optional");
    }
}

static void ios(const char *title, const struct trp_onnx_io *list, uint32_t n,
                struct trp_buf *cells, struct trp_buf *b)
{
    for (uint32_t i = 0; i < n; i++) {
        cell_name(cells, list[i].io.name);
        cell_text(cells, trp_onnx_io_is_served(&list[i]) ? trp_dtype_name(list[i].io.dtype) : "-");
        add_shape(&list[i].io, cells);
        cell_end(cells);
        add_note(&list[i], cells);
        cell_end(cells);
        row_end(cells);
    }
    if (n == 0)
        trp_buf_add_text(cells, "none\t\n");
    print_table(title, cells, 0, b);
}

static void operators(const struct trp_onnx_model *m, struct trp_buf *cells, struct trp_buf *b)
{
    for (uint32_t i = 0; i < m->ops_n; i++) {
        cell_number(cells, m->ops[i].count);
        cell_name(cells, m->ops[i].name);
        row_end(cells);
    }
    if (m->nodes == 0)
        trp_buf_add_text(cells, "none\t\n");
    print_table("operators", cells, 1, b);
    if (m->subgraphs > 0)
        trp_buf_addf(b, INDENT "in %u inner graphs besides the main one\n", m->subgraphs);
    if (m->functions > 0)
        trp_buf_addf(b, INDENT "%u local functions, counted once each\n", m->functions);
}

static void sum_row(const char *kind, const char *what, const struct trp_onnx_sum *sum,
                    struct trp_buf *cells)
{
    trp_buf_add_text(cells, kind);
    cell_text(cells, what);
    cell_number(cells, sum->elements);
    cell_bytes(cells, sum->bytes);
    trp_buf_add_text(cells, "in ");
    add_number(cells, sum->tensors);
    cell_text(cells, sum->tensors == 1 ? " tensor" : " tensors");
    row_end(cells);
}

/* Rows for what there is; returns how many. */
static uint32_t sum_rows(const char *kind, const struct trp_onnx_sum *sums, int32_t n,
                         const char *(*name_of)(int32_t), struct trp_buf *cells)
{
    uint32_t rows = 0;
    for (int32_t i = 0; i < n; i++) {
        if (sums[i].tensors == 0)
            continue;
        sum_row(kind, name_of(i), &sums[i], cells);
        rows++;
    }
    return rows;
}

static void parameters(const struct trp_onnx_model *m, struct trp_buf *cells, struct trp_buf *b)
{
    if (m->total.tensors == 0) {
        trp_buf_add_text(cells, "none\t\n");
    } else {
        if (sum_rows("in ", m->places, TRP_ONNX_PLACES, trp_onnx_place_name, cells) > 1)
            sum_row("", "together", &m->total, cells);
        sum_rows("of type ", m->elems, TRP_ONNX_ELEMS, trp_onnx_elem_name, cells);
    }
    print_table("parameters", cells, 2 | 4, b);
}

static void files(const struct trp_onnx_model *m, struct trp_buf *cells, struct trp_buf *b)
{
    if (m->files_n == 0)
        return;
    for (uint32_t i = 0; i < m->files_n; i++) {
        cell_name(cells, m->files[i].path);
        cell_bytes(cells, m->files[i].bytes);
        trp_buf_add_text(cells, "for ");
        add_number(cells, m->files[i].tensors);
        cell_text(cells, m->files[i].tensors == 1 ? " tensor" : " tensors");
        row_end(cells);
    }
    print_table("external files", cells, 2, b);
}

static void hazards(const struct trp_onnx_model *m, struct trp_buf *b)
{
    if (m->hazards_total == 0)
        return;
    trp_buf_add_text(b, "\nhazards\n");
    for (uint32_t i = 0; i < m->hazards_n; i++) {
        trp_buf_add_text(b, trp_onnx_hazard_is_fatal(&m->hazards[i]) ? INDENT "DANGER  "
                                                                     : INDENT "note    ");
        trp_onnx_hazard_format(&m->hazards[i], b);
        trp_buf_add_char(b, '\n');
    }
    if (m->hazards_total > m->hazards_n)
        trp_buf_addf(b, INDENT "and %llu more\n",
                     (unsigned long long)(m->hazards_total - m->hazards_n));
}

static void metadata(const struct trp_onnx_model *m, struct trp_buf *cells, struct trp_buf *b)
{
    if (m->metadata_n == 0)
        return;
    for (uint32_t i = 0; i < m->metadata_n; i++) {
        cell_name(cells, m->metadata[i].key);
        cell_prose(cells, m->metadata[i].value);
        row_end(cells);
    }
    print_table("metadata", cells, 0, b);
}

void trp_onnx_report_text(const struct trp_onnx_model *model, struct trp_str path,
                          struct trp_buf *b)
{
    struct trp_buf cells;
    trp_buf_init(&cells, b->alloc, CELLS_BYTES_MAX);
    trp_onnx_name_format(path, b);
    trp_buf_add_char(b, '\n');
    head(model, &cells, b);
    ios("inputs", model->inputs, model->inputs_n, &cells, b);
    ios("outputs", model->outputs, model->outputs_n, &cells, b);
    operators(model, &cells, b);
    parameters(model, &cells, b);
    files(model, &cells, b);
    hazards(model, b);
    metadata(model, &cells, b);
    if (cells.failed != TRP_OK && b->failed == TRP_OK)
        b->failed = cells.failed;
    trp_buf_deinit(&cells);
}
