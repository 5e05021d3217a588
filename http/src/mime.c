/* Media types by extension. The types are those that the IANA has registered, and text is UTF-8:
 * RFC 9239 for JavaScript, RFC 8081 for fonts, WHATWG for what browsers sniff. No file is ever
 * read to guess what it is.
 *
 * Invariant: the table is sorted by extension, which is lower case. */
#include "mime.h"

#include <stdlib.h>
#include <string.h>

#define EXTENSION_BYTES_MAX 11

typedef struct mime_row {
    const char *extension;
    const char *type;
    bool compressible;
} mime_row;

// clang-format off
static const mime_row ROWS[] = {
    { "7z",          "application/x-7z-compressed",             false },
    { "aac",         "audio/aac",                               false },
    { "apng",        "image/apng",                              false },
    { "atom",        "application/atom+xml",                    true },
    { "avif",        "image/avif",                              false },
    { "bmp",         "image/bmp",                               true },
    { "bz2",         "application/x-bzip2",                     false },
    { "css",         "text/css; charset=utf-8",                 true },
    { "csv",         "text/csv; charset=utf-8",                 true },
    { "epub",        "application/epub+zip",                    false },
    { "flac",        "audio/flac",                              false },
    { "gif",         "image/gif",                               false },
    { "gz",          "application/gzip",                        false },
    { "htm",         "text/html; charset=utf-8",                true },
    { "html",        "text/html; charset=utf-8",                true },
    { "ico",         "image/vnd.microsoft.icon",                true },
    { "ics",         "text/calendar; charset=utf-8",            true },
    { "jpeg",        "image/jpeg",                              false },
    { "jpg",         "image/jpeg",                              false },
    { "js",          "text/javascript; charset=utf-8",          true },
    { "json",        "application/json",                        true },
    { "jsonld",      "application/ld+json",                     true },
    { "jxl",         "image/jxl",                               false },
    { "m3u8",        "application/vnd.apple.mpegurl",           true },
    { "m4a",         "audio/mp4",                               false },
    { "map",         "application/json",                        true },
    { "md",          "text/markdown; charset=utf-8",            true },
    { "mjs",         "text/javascript; charset=utf-8",          true },
    { "mp3",         "audio/mpeg",                              false },
    { "mp4",         "video/mp4",                               false },
    { "mpd",         "application/dash+xml",                    true },
    { "oga",         "audio/ogg",                               false },
    { "ogg",         "audio/ogg",                               false },
    { "ogv",         "video/ogg",                               false },
    { "opus",        "audio/ogg",                               false },
    { "otf",         "font/otf",                                true },
    { "pdf",         "application/pdf",                         false },
    { "png",         "image/png",                               false },
    { "rss",         "application/rss+xml",                     true },
    { "svg",         "image/svg+xml",                           true },
    { "tar",         "application/x-tar",                       true },
    { "tif",         "image/tiff",                              false },
    { "tiff",        "image/tiff",                              false },
    { "ts",          "video/mp2t",                              false },
    { "ttf",         "font/ttf",                                true },
    { "txt",         "text/plain; charset=utf-8",               true },
    { "vtt",         "text/vtt; charset=utf-8",                 true },
    { "wasm",        "application/wasm",                        true },
    { "wav",         "audio/wav",                               true },
    { "webm",        "video/webm",                              false },
    { "webmanifest", "application/manifest+json",               true },
    { "webp",        "image/webp",                              false },
    { "woff",        "font/woff",                               false },
    { "woff2",       "font/woff2",                              false },
    { "xhtml",       "application/xhtml+xml",                   true },
    { "xml",         "application/xml",                         true },
    { "xz",          "application/x-xz",                        false },
    { "yaml",        "application/yaml",                        true },
    { "yml",         "application/yaml",                        true },
    { "zip",         "application/zip",                         false },
    { "zst",         "application/zstd",                        false },
};
// clang-format on

static int by_extension(const void *key, const void *row)
{
    return strcmp(key, ((const mime_row *)row)->extension);
}

/* What stands behind the last dot of the last segment, in lower case; false when there is none, or
 * none that the table could have. */
static bool extension_of(str path, char out[EXTENSION_BYTES_MAX + 1])
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '.') {
        if (path.ptr[at - 1] == '/' || path.ptr[at - 1] == '\0')
            return false;
        at--;
    }
    const size_t len = path.len - at;
    if (at == 0 || len == 0 || len > EXTENSION_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char c = path.ptr[at + i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    out[len] = '\0';
    return true;
}

http_mime http_mime_of(str path)
{
    char extension[EXTENSION_BYTES_MAX + 1];
    const mime_row *row = extension_of(path, extension) ? bsearch(extension, ROWS, ARRAY_LEN(ROWS),
                                                                  sizeof ROWS[0], by_extension)
                                                        : NULL;
    if (!row)
        return (http_mime){ STR("application/octet-stream"), false };
    return (http_mime){ str_from_c(row->type), row->compressible };
}

bool http_mime_compressible(str type)
{
    const size_t end = type.len;
    if (str_eq_nocase(str_slice(type, 0, 5), STR("text/")) ||
        (end > 5 && str_eq_nocase(str_slice(type, end - 5, 5), STR("+json"))) ||
        (end > 4 && str_eq_nocase(str_slice(type, end - 4, 4), STR("+xml"))))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        str of = str_from_c(ROWS[i].type);
        if (ROWS[i].compressible && str_eq_nocase(str_cut(&of, ';'), type))
            return true;
    }
    return false;
}
