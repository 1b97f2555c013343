/* store/row_note.c - see row_note.h. */
#include "store/row_note.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/disk.h"
#include "base/file.h"

#define PART "rows"
#define HEAD "troupe rows 1\n" /* another number when the proof is another */
#define TAIL "\nend\n"         /* a note that is cut says nothing */
#define TEXT_MAX (sizeof HEAD + TRP_ROW_NOTE_MAX + sizeof TAIL)

static bool read_note(const char *text, size_t n, char out_why[TRP_ROW_NOTE_MAX])
{
    const size_t head = sizeof HEAD - 1, tail = sizeof TAIL - 1;
    if (n < head + tail || n - head - tail >= TRP_ROW_NOTE_MAX || memcmp(text, HEAD, head) != 0 ||
        memcmp(text + n - tail, TAIL, tail) != 0)
        return false;
    memcpy(out_why, text + head, n - head - tail);
    out_why[n - head - tail] = '\0';
    return true;
}

bool trp_row_note_get(const struct trp_store *s, const struct trp_sha256 *key,
                      char out_why[TRP_ROW_NOTE_MAX])
{
    char file[TRP_STORE_PATH_MAX], name[TRP_SHA256_TEXT];
    char *text = NULL;
    size_t n = 0;
    out_why[0] = '\0';
    trp_sha256_format(key, name);
    if (!trp_store_part(s, PART, name, file) ||
        trp_failed(trp_file_read(trp_heap(), file, TEXT_MAX, &text, &n, NULL)))
        return false;
    const bool is_known = read_note(text, n, out_why);
    (void)utimensat(AT_FDCWD, file, NULL, 0); /* somebody still asks: see notes.h */
    trp_alloc_free(trp_heap(), text);
    return is_known;
}

void trp_row_note_put(struct trp_store *s, const struct trp_sha256 *key, const char *why)
{
    char temporary[TRP_STORE_PATH_MAX], file[TRP_STORE_PATH_MAX], name[TRP_SHA256_TEXT];
    char text[TEXT_MAX + 1];
    trp_sha256_format(key, name);
    const int n = snprintf(text, sizeof text, HEAD "%.*s" TAIL, TRP_ROW_NOTE_MAX - 1, why);
    if (n <= 0 || !trp_store_temporary(s, temporary) || !trp_store_part(s, PART, name, file))
        return;
    if (trp_failed(trp_disk_write_soon(temporary, text, (size_t)n, 0644, NULL)) ||
        trp_failed(trp_disk_move(temporary, file, NULL)))
        (void)trp_disk_remove(temporary, NULL);
}
