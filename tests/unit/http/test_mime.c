/* Media types by extension. */
#include "mime.h"

#include "tests/support/in_fiber.h"

static void test_mime_extension_tells_the_type(void **state)
{
    static const struct {
        str path;
        const char *type;
        bool compressible;
    } rows[] = {
        { { "a.html", 6 }, "text/html; charset=utf-8", true },
        { { "A.HTML", 6 }, "text/html; charset=utf-8", true },
        { { "in/a.min.js", 11 }, "text/javascript; charset=utf-8", true },
        { { "a.7z", 4 }, "application/x-7z-compressed", false },
        { { "a.zst", 5 },
          "application/zst"
          "d",
          false },
        { { "a.webmanifest", 13 }, "application/manifest+json", true },
        { { "a.webmanifests", 14 }, "application/octet-stream", false },
        { { "a.png", 5 }, "image/png", false },
        { { "a.unheard", 9 }, "application/octet-stream", false },
        { { "html", 4 }, "application/octet-stream", false },
        { { "a.", 2 }, "application/octet-stream", false },
        { { "", 0 }, "application/octet-stream", false },
        { { "a.d/html", 8 }, "application/octet-stream", false },
        { { "a.js\0x", 6 }, "application/octet-stream", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const http_mime m = http_mime_of(rows[i].path);
        if (!str_eq(m.type, str_from_c(rows[i].type)) || m.compressible != rows[i].compressible)
            fail_msg("%.*s is %.*s", STR_ARG(rows[i].path), STR_ARG(m.type));
    }
}

/* Each row is found, so the table is sorted. */
static void test_mime_every_known_extension_is_found(void **state)
{
    static const char *const extensions[] = {
        "7z",    "aac",  "apng", "atom",   "avif", "bmp",         "bz2",  "css",  "csv",
        "epub",  "flac", "gif",  "gz",     "htm",  "html",        "ico",  "ics",  "jpeg",
        "jpg",   "js",   "json", "jsonld", "jxl",  "m3u8",        "m4a",  "map",  "md",
        "mjs",   "mp3",  "mp4",  "mpd",    "oga",  "ogg",         "ogv",  "opus", "otf",
        "pdf",   "png",  "rss",  "svg",    "tar",  "tif",         "tiff", "ts",   "ttf",
        "txt",   "vtt",  "wasm", "wav",    "webm", "webmanifest", "webp", "woff", "woff2",
        "xhtml", "xml",  "xz",   "yaml",   "yml",  "zip",         "zst",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "x.%s", extensions[i]);
        if (str_eq(http_mime_of(str_from_c(path)).type, STR("application/octet-stream")))
            fail_msg("%s is not known", path);
    }
}

static void test_mime_compressible_types(void **state)
{
    static const struct {
        const char *type;
        bool compressible;
    } rows[] = {
        { "application/json", true },
        { "Application/JSON", true },
        { "application/problem+json", true },
        { "application/vnd.api+JSON", true },
        { "text/html", true },
        { "text/x-own", true },
        { "image/svg+xml", true },
        { "application/xml", true },
        { "application/wasm", true },
        { "font/otf", true },
        { "image/png", false },
        { "application/zip", false },
        { "application/octet-stream", false },
        { "video/mp4", false },
        { "text", false },
        { "+json", false },
        { "", false },
        { "application/jsonx", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (http_mime_compressible(str_from_c(rows[i].type)) != rows[i].compressible)
            fail_msg("%s", rows[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mime_extension_tells_the_type),
        cmocka_unit_test(test_mime_every_known_extension_is_found),
        cmocka_unit_test(test_mime_compressible_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
