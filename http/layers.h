/* Layers that come with the engine, for http_app.layers and http_group.layers:
 *
 *   static const http_cors_options CORS = { .origins = { "https://app.example" } };
 *   …
 *   .layers = { { http_security_headers }, { http_cors, &CORS } }
 *
 * Each takes a pointer to its options, which must live as long as the program; NULL stands for all
 * defaults where there are such. Options are checked when the program starts, which fails with
 * HTTP_LAYER_INVALID and says what is wrong. */
#ifndef HTTP_LAYERS_H
#define HTTP_LAYERS_H

#include "http/http.h"

extern const error_kind HTTP_LAYER_INVALID; /* INVALID: a layer's options */

/* --- security headers ------------------------------------------------------------------------- */

/* Of each text NULL is the default and "" leaves the field out. */
typedef struct http_security_options {
    const char *referrer_policy;         /* Referrer-Policy: no-referrer */
    const char *frame_options;           /* X-Frame-Options: DENY; or SAMEORIGIN */
    const char *content_security_policy; /* Content-Security-Policy: frame-ancestors 'none' */
    const char *opener_policy;           /* Cross-Origin-Opener-Policy: same-origin */
    const char *resource_policy;         /* Cross-Origin-Resource-Policy: same-origin */
    /* Strict-Transport-Security, for names that are served over TLS alone: browsers that have seen
     * it come back over TLS only, for so long. 0: none. */
    uint32_t hsts_max_age_s;
    bool hsts_subdomains;
} http_security_options;

/* Sets these fields and X-Content-Type-Options: nosniff, each unless the handler sets it itself. */
YIELDS error http_security_headers(http_request *req, const http_next *next);

/* --- CORS ------------------------------------------------------------------------------------- */

#define HTTP_CORS_ORIGINS_MAX 32
#define HTTP_CORS_NAMES_MAX   32

/* Lists end with NULL. */
typedef struct http_cors_options {
    /* Whose pages may read the answers: "https://app.example", "http://localhost:3000"; a name that
     * begins with "*." stands for every name below it, but not itself; "*" alone for everybody. At
     * least one. */
    const char *origins[HTTP_CORS_ORIGINS_MAX];
    const char *methods[HTTP_CORS_NAMES_MAX]; /* none: those that the path has */
    const char *headers[HTTP_CORS_NAMES_MAX]; /* of requests; none: Authorization, Content-Type */
    const char *exposed[HTTP_CORS_NAMES_MAX]; /* of answers, beside those that are always shown */
    bool credentials;   /* cookies and such go along; not with the origin or a header "*" */
    uint32_t max_age_s; /* how long a browser remembers a preflight; 0: its own 5 s */
} http_cors_options;

/* Cross-origin requests as the Fetch standard has them: answers preflights itself, for each path,
 * and adds the Access-Control- fields to the other answers, errors as well. A request of an origin
 * that is not listed, or of none, is handled as ever and gets no such field. Every answer gets
 * Vary: Origin. Needs options. */
YIELDS error http_cors(http_request *req, const http_next *next);

/* --- request ids ------------------------------------------------------------------------------ */

typedef struct http_request_ids_options {
    const char *header;     /* NULL: X-Request-Id */
    bool from_proxies_only; /* takes over only what HTTP_TRUSTED_PROXIES send */
} http_request_ids_options;

/* Takes the id that a request brings along for its own, when it has 1 to 128 letters, digits and
 * -_.:+/=~@, and shows the id in the answer. From here on log lines have it. */
YIELDS error http_request_ids(http_request *req, const http_next *next);

/* --- rate limits ------------------------------------------------------------------------------ */

extern const error_kind HTTP_RATE_LIMITED; /* TOO_MANY: 429 */

/* Whom a request counts for: any bytes that live as long as it does; STR_NONE: nobody, so that it
 * is not limited. Runs before guards. */
typedef str http_rate_key(http_request *req);

typedef struct http_rate_limit_options {
    uint32_t requests;  /* so many, … */
    uint32_t per_ms;    /* …in this time, on average; 0: a minute */
    uint32_t burst;     /* at once, after a pause; 0: `requests` */
    http_rate_key *key; /* NULL: http_client_address, of IPv6 its /64; those without share one */
    uint32_t keys_max;  /* room for so many keys, 16 bytes each; 0: 65,536 */
    const char *name;   /* in the answer's fields; NULL: default */
} http_rate_limit_options;

/* A token bucket a key, for all workers together; a reload begins with full ones. Every answer says
 * how many requests are left (RateLimit, with the time until all are there again; of none, until
 * there is one) and what the rule is (RateLimit-Policy). What is too much is answered with 429 and
 * Retry-After, and not counted. When there are more keys than room, a new one takes over the bucket
 * of the one that is nearest to being full, as it is. Layers with the same options share their
 * buckets. Needs options. */
YIELDS error http_rate_limit(http_request *req, const http_next *next);

/* --- limits ----------------------------------------------------------------------------------- */

/* Of both 0 leaves things as they are around this layer. */
typedef struct http_limits_options {
    size_t body_bytes_max; /* past it 413 */
    uint32_t timeout_ms;   /* of layers, guard and handler together; past it 504 */
} http_limits_options;

/* Limits of all routes inside it, in place of HTTP_BODY_BYTES_MAX and HTTP_HANDLER_TIMEOUT. The
 * closest one counts, be it wider or narrower: a route's own, then its group's, then the app's.
 * Needs options. It is settled when the program starts; no request ever runs through it. */
YIELDS error http_limits(http_request *req, const http_next *next);

/* --- entity tags ------------------------------------------------------------------------------ */

typedef struct http_etag_options {
    size_t body_bytes_max; /* larger bodies get no tag, which takes reading them; 0: 1 MiB */
} http_etag_options;

/* Gives staged bodies of GET with status 200 a strong ETag, unless the handler sets its own or says
 * Cache-Control: no-store. If-None-Match with that tag is answered with 304, If-Match without it
 * with 412. Stands inside layers that change bodies: the tag is of what the handler staged. */
YIELDS error http_etag(http_request *req, const http_next *next);

/* --- compression ------------------------------------------------------------------------------ */

#define HTTP_COMPRESS_TYPES_MAX   64
#define HTTP_COMPRESS_CODINGS_MAX 3

/* Lists end with NULL. Of each number 0 is the default. */
typedef struct http_compress_options {
    size_t body_bytes_min; /* smaller bodies leave as they are: 1 KiB */
    size_t body_bytes_max; /* and so do larger ones that are staged: 16 MiB */
    /* Media types without parameters, "application/json", or all of a kind, "text/" and a star;
     * none: text, JSON, XML and whatever else a file's extension stands for that is not packed
     * already. */
    const char *types[HTTP_COMPRESS_TYPES_MAX + 1];
    /* Of "zstd", "br" and "gzip", the one first that is taken where a client likes several as much;
     * none: all three, in this order. */
    const char *codings[HTTP_COMPRESS_CODINGS_MAX + 1];
    /* Past 9, 7 and 7 levels are slow: staged bodies of any size go to an offload thread then, and
     * pieces get 9, 7 and 7. */
    int zstd_level;      /* 1 to 19: 3 */
    int br_level;        /* 1 to 11: 4 */
    int gzip_level;      /* 1 to 9: 5 */
    uint32_t pieces_max; /* answers in pieces that are compressed at once in a worker, each by up to
                            2 MiB of memory; past it they leave as they are: 64 */
} http_compress_options;

/* Compresses answers as they leave, staged ones and those in pieces, errors as well, by what
 * Accept-Encoding says: the best by its weights. A piece that was written can be read by the client
 * before the next one comes. Staged bodies over 64 KiB are compressed on an offload thread, and
 * leave as they are when there is none. So does every body that would not become smaller, that has
 * Content-Encoding, Content-Range, Content-Digest, Repr-Digest or Cache-Control: no-transform, or
 * that is a file; and those of routes that say `.uncompressed`, and of handlers that say
 * http_reply_uncompressed.
 *
 * Answers that might have been compressed get Vary: Accept-Encoding. A strong ETag gets the
 * coding's name, "x" becomes "x--gzip", and a client that says so in If-Match or If-None-Match is
 * understood: handlers see "x". It does not matter where the layer stands among others; of two, the
 * inner one's options count.
 *
 * BREACH: an answer that holds a secret beside what an attacker can make a client send tells the
 * secret by its length. Such routes are to say `.uncompressed`. */
YIELDS error http_compress(http_request *req, const http_next *next);

#endif
