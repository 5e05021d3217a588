/* What stands in one migration file: its name taken apart, its two sections, its checksum. Pure: no
 * file is touched here.
 *
 * A section begins with a line that is nothing but a comment `-- migrate:WORD`; all lines until the
 * next such line are its SQL. Whatever looks like such a line and is not one of the two known is
 * refused, so that a typing mistake cannot make statements part of the wrong section. */
#include "migrate_file.h"

#include "migrate_script.h"

#include "orm/migrate.h"

#include <openssl/evp.h>
#include <string.h>

#define NAME_BYTES_MAX     200
#define VERSION_DIGITS_MIN 4
#define VERSION_DIGITS_MAX 18 /* fits int64 */
#define WHITE_SPACE        STR(" \t\r\n\v\f")
#define SUFFIX             STR(".sql")

/* --- the name -------------------------------------------------------------------------------- */

bool orm_migration_name_is_good(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= NAME_BYTES_MAX;
}

bool orm_migration_parse_name(str file_name, orm_migration *out)
{
    if (!str_ends_with(file_name, SUFFIX))
        return false;
    const str title = str_slice(file_name, 0, file_name.len - SUFFIX.len);
    const size_t digits = str_index(title, '_');
    if (digits < VERSION_DIGITS_MIN || digits > VERSION_DIGITS_MAX || digits == title.len)
        return false;
    const str name = str_slice(title, digits + 1, title.len);
    int64_t version = 0;
    if (title.ptr[0] == '-' || !str_to_int64(str_slice(title, 0, digits), &version))
        return false;
    if (version < 1 || !orm_migration_name_is_good(name))
        return false;
    *out = (orm_migration){ .version = version, .title = title, .name = name };
    return true;
}

/* --- the checksum ---------------------------------------------------------------------------- */

static bool digest_lines(EVP_MD_CTX *context, str section)
{
    str rest = section;
    while (rest.len > 0) {
        const char *cr = memmem(rest.ptr, rest.len, "\r\n", 2);
        const size_t len = cr ? (size_t)(cr - rest.ptr) : rest.len;
        if (EVP_DigestUpdate(context, rest.ptr, len) != 1)
            return false;
        rest = str_slice(rest, cr ? len + 1 : len, rest.len);
    }
    return true;
}

error orm_migration_checksum(str section, uint8_t out[ORM_CHECKSUM_BYTES])
{
    invariant(EVP_MD_get_size(EVP_sha256()) == ORM_CHECKSUM_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                      digest_lines(context, str_trim(section, WHITE_SPACE)) &&
                      EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good ? OK : error_set(&OUT_OF_MEMORY, "no memory for a checksum");
}

/* --- the sections ---------------------------------------------------------------------------- */

typedef enum section_kind {
    SECTION_NONE = 0, /* above the first marker */
    SECTION_UP,
    SECTION_DOWN,
} section_kind;

typedef struct section_reader {
    str path;
    str text;
    uint32_t line; /* of the line at hand, from 1 */
    section_kind now;
    size_t begins; /* where the present section's SQL does, in `text` */
    bool has[SECTION_DOWN + 1];
    orm_migration_text *out;
} section_reader;

/* Whether a line is `-- migrate:…`, written in whatever way; what follows the colon to `rest`. */
static bool is_marker(str line, str *rest)
{
    static const str WORD = { "migrate:", 8 };
    const str trimmed = str_trim(line, WHITE_SPACE);
    if (!str_starts_with(trimmed, STR("--")))
        return false;
    const str comment = str_trim(str_slice(trimmed, 2, trimmed.len), WHITE_SPACE);
    if (!str_eq_nocase(str_slice(comment, 0, WORD.len), WORD))
        return false;
    *rest = str_slice(comment, WORD.len, comment.len);
    return true;
}

/* Ends the present section where the text's byte `end` is. */
static void close_section(section_reader *r, size_t end)
{
    invariant(end >= r->begins && end <= r->text.len);
    const str body = str_slice(r->text, r->begins, end - r->begins);
    if (r->now == SECTION_UP)
        r->out->up = body;
    else if (r->now == SECTION_DOWN)
        r->out->down = body;
}

static error refuse_line(const section_reader *r, const char *why)
{
    return error_set(&ORM_MIGRATION_BAD, "%.*s:%u: %s", STR_ARG(r->path), r->line, why);
}

/* `words` is what follows "migrate:". */
static error open_section(section_reader *r, str words, size_t begins)
{
    str options = words;
    const str word = str_cut(&options, ' ');
    section_kind next = SECTION_NONE;
    if (str_eq(word, STR("up")))
        next = SECTION_UP;
    else if (str_eq(word, STR("down")))
        next = SECTION_DOWN;
    else
        return error_set(&ORM_MIGRATION_BAD,
                         "%.*s:%u: unknown section \"%.*s\"; there are \"-- migrate:up\" and "
                         "\"-- migrate:down\"",
                         STR_ARG(r->path), r->line, STR_ARG(str_slice(word, 0, 40)));
    const str option = str_trim(options, WHITE_SPACE);
    if (option.len > 0)
        return error_set(&ORM_MIGRATION_BAD, "%.*s:%u: unknown option \"%.*s\"", STR_ARG(r->path),
                         r->line, STR_ARG(str_slice(option, 0, 80)));
    if (r->has[next])
        return refuse_line(r, "a second section of this kind");
    if (next == SECTION_DOWN && !r->has[SECTION_UP])
        return refuse_line(r, "the section \"-- migrate:up\" must come first");
    r->has[next] = true;
    r->now = next;
    r->begins = begins;
    if (next == SECTION_UP)
        r->out->up_line = r->line + 1;
    else
        r->out->down_line = r->line + 1;
    return OK;
}

static error read_line(section_reader *r, str line, size_t begin, size_t next)
{
    str words;
    if (is_marker(line, &words)) {
        close_section(r, begin);
        return open_section(r, words, next);
    }
    if (r->now != SECTION_NONE)
        return OK;
    const str trimmed = str_trim(line, WHITE_SPACE);
    if (trimmed.len > 0 && !str_starts_with(trimmed, STR("--")))
        return refuse_line(r, "only comments may stand above \"-- migrate:up\"");
    return OK;
}

static error find_sections(str path, str text, orm_migration_text *out)
{
    section_reader r = { .path = path, .text = text, .out = out };
    size_t at = 0;
    while (at < text.len) {
        const str rest = str_slice(text, at, text.len);
        const size_t len = str_index(rest, '\n');
        const size_t next = at + len + (len < rest.len);
        r.line++;
        TRY(read_line(&r, str_slice(rest, 0, len), at, next));
        at = next;
    }
    close_section(&r, text.len);
    if (!r.has[SECTION_UP])
        return error_set(&ORM_MIGRATION_BAD, "%.*s: there is no section \"-- migrate:up\"",
                         STR_ARG(path));
    return OK;
}

static error count_statements(str path, str section, uint32_t line, uint32_t *count)
{
    orm_script script;
    orm_statement statement;
    *count = 0;
    orm_script_init(&script, path, section, line);
    for (;;) {
        TRY(orm_script_next(&script, &statement));
        if (statement.sql.len == 0)
            return OK;
        *count += 1;
    }
}

error orm_migration_parse(str path, str text, orm_migration_text *out, bool *reversible)
{
    uint32_t ups = 0;
    uint32_t downs = 0;
    *out = (orm_migration_text){ .up = STR(""), .down = STR("") };
    if (str_starts_with(text, STR("\xef\xbb\xbf")))
        return error_set(&ORM_MIGRATION_BAD, "%.*s: begins with a byte order mark; remove it",
                         STR_ARG(path));
    if (!str_is_utf8(text) || str_index(text, '\0') < text.len)
        return error_set(&ORM_MIGRATION_BAD, "%.*s: is not UTF-8 text", STR_ARG(path));
    TRY(find_sections(path, text, out));
    TRY(count_statements(path, out->up, out->up_line, &ups));
    TRY(count_statements(path, out->down, out->down_line, &downs));
    if (ups == 0)
        return error_set(&ORM_MIGRATION_BAD, "%.*s:%u: the section \"-- migrate:up\" is empty",
                         STR_ARG(path), out->up_line - 1);
    *reversible = downs > 0;
    return OK;
}
