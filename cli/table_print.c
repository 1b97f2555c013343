/* cli/table_print.c - aligned columns for people. */
#include "cli/cli.h"

/* Columns on a terminal: bytes that begin a UTF-8 sequence count one. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static const char *title_of(const struct cli_table *t, uint32_t column)
{
    return t->titles[column] + (t->titles[column][0] == '>');
}

void cli_table_init(struct cli_table *t, struct trp_arena *arena, const char *const *titles,
                    uint32_t columns_n)
{
    *t = (struct cli_table){ .arena = arena, .columns_n = columns_n };
    TRP_ASSERT(columns_n <= CLI_COLUMNS_MAX);
    for (uint32_t i = 0; i < columns_n; i++) {
        t->titles[i] = titles[i];
        t->widths[i] = width_of(title_of(t, i));
    }
}

struct trp_str cli_first_line(struct trp_str text)
{
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    return end ? trp_str_make(text.ptr, (size_t)(end - text.ptr)) : text;
}

/* A cell is one line: control characters in what a server sent must not move the cursor. */
static const char *clean(struct cli_table *t, struct trp_str cell)
{
    char *copy = trp_arena_get(t->arena, cell.len + 1);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < cell.len; i++) {
        const unsigned char c = (unsigned char)cell.ptr[i];
        copy[i] = c < 0x20 || c == 0x7f ? ' ' : cell.ptr[i];
    }
    copy[cell.len] = '\0';
    return copy;
}

void cli_table_lines(struct cli_table *t, struct trp_str title, struct trp_str text)
{
    TRP_ASSERT(t->columns_n == 2);
    do {
        const struct trp_str line = cli_first_line(text);
        cli_table_row(t, (const struct trp_str[]){ title, line });
        title = TRP_STR_LIT("");
        text = line.len < text.len ? trp_str_make(text.ptr + line.len + 1, text.len - line.len - 1)
                                   : TRP_STR_LIT("");
    } while (text.len > 0);
}

void cli_table_row(struct cli_table *t, const struct trp_str *cells)
{
    struct cli_row *row = trp_arena_zeroed(t->arena, 1, sizeof *row);
    for (uint32_t i = 0; row && i < t->columns_n; i++) {
        row->cells[i] = clean(t, cells[i]);
        if (!row->cells[i]) {
            row = NULL;
            break;
        }
        const size_t width = width_of(row->cells[i]);
        if (width > t->widths[i])
            t->widths[i] = width;
    }
    if (!row) {
        t->failed = true;
        return;
    }
    if (t->last)
        t->last->next = row;
    else
        t->first = row;
    t->last = row;
}

static void pad(size_t n, FILE *out)
{
    while (n-- > 0)
        fputc(' ', out);
}

/* Spaces are owed until something follows them, so that no line ends in one. */
static void print_cells(const struct cli_table *t, const char *const *cells, FILE *out)
{
    size_t owed = t->indent;
    for (uint32_t i = 0; i < t->columns_n; i++) {
        const size_t gap = t->widths[i] - width_of(cells[i]);
        const bool right = t->titles[i][0] == '>';
        if (*cells[i]) {
            pad(owed + (right ? gap : 0), out);
            fputs(cells[i], out);
            owed = right ? 0 : gap;
        } else {
            owed += t->widths[i];
        }
        owed += 2;
    }
    fputc('\n', out);
}

static void print_rows(const struct cli_table *t, FILE *out)
{
    for (const struct cli_row *row = t->first; row; row = row->next)
        print_cells(t, row->cells, out);
    if (t->failed)
        fputs("(cut short: out of memory)\n", out);
}

void cli_table_print(const struct cli_table *t, FILE *out)
{
    const char *titles[CLI_COLUMNS_MAX];
    for (uint32_t i = 0; i < t->columns_n; i++)
        titles[i] = title_of(t, i);
    print_cells(t, titles, out);
    print_rows(t, out);
}

void cli_table_print_section(struct cli_table *t, const char *title, FILE *out)
{
    t->indent = 2;
    fprintf(out, "\n%s\n", title);
    if (!t->first && !t->failed)
        fputs("  none\n", out);
    print_rows(t, out);
}
