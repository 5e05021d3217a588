/* A server of large things, for ./dev bench: files of the directory "files" and answers written
 * piece by piece go out, bodies of up to 64 GiB come in, are hashed or dropped, and their length
 * and SHA-256 are the answer. */
#include "core/scope.h"

#include <brio/http.h>
#include <openssl/evp.h>

#define BODY_BYTES_MAX ((size_t)64 << 30)
#define TIMEOUT_MS     600000
#define PIECE_BYTES    ((uint64_t)1 << 20)

static error discard(http_request *req)
{
    uint64_t bytes = 0;
    for (str piece;;) {
        TRY(http_body_read(req, &piece));
        if (piece.len == 0)
            break;
        bytes += piece.len;
    }
    return http_reply_text(
        req, 200, str_format(http_request_arena(req), "%llu\n", (unsigned long long)bytes));
}

static void free_digest(void *digest)
{
    EVP_MD_CTX_free(digest);
}

static error free_digest_in_scope(void *digest)
{
    free_digest(digest);
    return OK;
}

static const cleanup DIGEST = { .run = free_digest_in_scope,
                                .abandon = free_digest,
                                .name = "digest" };

static error hash(http_request *req)
{
    static ERROR_KIND(NO_DIGEST, ERROR_INTERNAL, "The body cannot be hashed.");
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char sum[32];
    if (!digest)
        return error_set(&NO_DIGEST, "no memory");
    scope_defer(&DIGEST, digest);
    bool good = EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    for (str piece;;) {
        TRY(http_body_read(req, &piece));
        if (piece.len == 0)
            break;
        good = good && EVP_DigestUpdate(digest, piece.ptr, piece.len);
    }
    if (!good || !EVP_DigestFinal_ex(digest, sum, NULL))
        return error_set(&NO_DIGEST, "libcrypto refuses");
    char *text = arena_alloc(http_request_arena(req), 2 * sizeof sum + 1, 1);
    for (size_t i = 0; i < sizeof sum; i++) {
        text[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    text[2 * sizeof sum] = '\n';
    return http_reply_text(req, 200, (str){ text, 2 * sizeof sum + 1 });
}

static error write_pieces(http_request *req)
{
    static const char piece[PIECE_BYTES];
    const uint64_t bytes = (uint64_t)http_path_int8(req, "bytes");
    TRY(http_reply_start_sized(req, 200, STR("application/octet-stream"), bytes));
    for (uint64_t left = bytes; left > 0;) {
        const uint64_t part = left < PIECE_BYTES ? left : PIECE_BYTES;
        TRY(http_reply_write(req, (str){ piece, (size_t)part }));
        left -= part;
    }
    return OK;
}

static const http_route routes[] = {
    HTTP_FILES("/files", "files", http_public),
    { HTTP_POST, "/discard", discard, http_public, .body_bytes_max = BODY_BYTES_MAX,
      .timeout_ms = TIMEOUT_MS },
    { HTTP_POST, "/hash", hash, http_public, .body_bytes_max = BODY_BYTES_MAX,
      .timeout_ms = TIMEOUT_MS },
    { HTTP_GET, "/written/:bytes<int8>", write_pieces, http_public, .timeout_ms = TIMEOUT_MS },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv, &(http_app){ .name = "bulk", .routes = HTTP_ROUTES(routes) });
}
