/* Files of a directory as answers: which file it is, and how much of it the client is to get.
 *
 * The file is opened once: at once when the kernel remembers every name on the way, those that are
 * not there included, else on an offload thread. Its size and dates are what fstat said of that
 * descriptor, and so are its entity tag and all that is decided by them. What is decided is staged
 * like any other answer and sent by file_send.c when the handler has returned.
 *
 * The entity tag is made from the time of change, size and inode. It is weak while the file is
 * younger than the clock of file systems is coarse: until then a second change could leave all
 * three the same.
 *
 * Invariant: ranges are sent of the file itself only, never of a compressed neighbour: so two parts
 * of one file that a client puts together are parts of the same bytes. */
#include "file.h"

#include "beneath.h"
#include "conditional.h"
#include "conn.h"
#include "head_fields.h"
#include "mime.h"

#include "core/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

ERROR_KIND(HTTP_RANGE_UNSATISFIABLE, ERROR_INVALID, "The ranges are behind the end.");
ERROR_KIND(HTTP_TOO_MANY_FILES, ERROR_UNAVAILABLE, "The server is busy; try again later.");

#define SETTLED_S         2 /* a file this old has a time of change of its own */
#define NEIGHBOUR_SLACK_S 2 /* a copied directory's files have about the same time */
#define ETAG_SEED         0x66696c65
#define SUFFIX_BYTES_MAX  5

typedef struct opening {
    const char *root;
    char *path; /* below it; with room for a suffix behind it */
    size_t path_len;
    uint32_t codings;  /* bit n: http_coding n may be sent in the file's place */
    bool looks_around; /* for neighbours at all */
    http_accepted accepted;
    bool at_once;   /* opens nothing that might have to be waited for */
    bool must_wait; /* there was such: nothing is open */
    int fd;
    struct stat st;
    http_coding coding;
    bool varies;
} opening;

static const char *const SUFFIXES[HTTP_CODINGS] = {
    [HTTP_CODING_BR] = ".br",
    [HTTP_CODING_ZSTD] = ".zst",
    [HTTP_CODING_GZIP] = ".gz",
};

/* Relative, without empty segments, dotfiles or NUL. */
static bool is_servable(str path)
{
    if (str_index(path, '\0') < path.len)
        return false;
    while (path.ptr) {
        const str segment = str_cut(&path, '/');
        if (segment.len == 0 || segment.ptr[0] == '.')
            return false;
    }
    return true;
}

void http_file_close(http_file **f)
{
    if (*f)
        stream_file_release(&(*f)->source);
    *f = NULL;
}

/* --- opening: on the loop, or on an offload thread ----------------------------------------------
 */

static int open_below(opening *o, int root, int flags)
{
    const int fd = o->at_once ? http_beneath_try_open(root, o->path, flags)
                              : http_beneath_open(root, o->path, flags);
    o->must_wait = o->must_wait || (fd < 0 && o->at_once && errno == EAGAIN);
    return fd;
}

static int open_root(opening *o)
{
    const int fd = o->at_once ? http_beneath_try_root(o->root) : http_beneath_root(o->root);
    o->must_wait = o->must_wait || (fd < 0 && o->at_once && errno == EAGAIN);
    return fd;
}

static error open_failed(int why, const char *path)
{
    if (why == EMFILE || why == ENFILE || why == ENOMEM)
        return error_set_errno(&HTTP_TOO_MANY_FILES, why, "file %s", path);
    if (why == EIO)
        return error_set_errno(&SYSTEM_FAILED, why, "file %s", path);
    return error_set_errno(&HTTP_NOT_FOUND, why, "file %s", path);
}

/* The neighbour in a coding that can stand for the file: a regular one that is not older. */
static int open_neighbour(opening *o, int root, http_coding coding, struct stat *st)
{
    memcpy(o->path + o->path_len, SUFFIXES[coding], strlen(SUFFIXES[coding]) + 1);
    const int fd = open_below(o, root, O_RDONLY | O_NONBLOCK);
    o->path[o->path_len] = '\0';
    if (fd < 0)
        return -1;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
        st->st_mtim.tv_sec + NEIGHBOUR_SLACK_S >= o->st.st_mtim.tv_sec)
        return fd;
    close(fd);
    return -1;
}

/* Takes the client's best among the file and its neighbours. */
static void choose_neighbour(opening *o, int root)
{
    int fds[HTTP_CODING_IDENTITY];
    struct stat sts[HTTP_CODING_IDENTITY];
    uint32_t offered = 1U << HTTP_CODING_IDENTITY;
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODING_IDENTITY; i++) {
        fds[i] = open_neighbour(o, root, i, &sts[i]);
        o->varies = o->varies || fds[i] >= 0;
        offered |= fds[i] >= 0 && (o->codings >> i & 1) ? 1U << i : 0;
    }
    o->coding = http_accept_best(&o->accepted, offered);
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODING_IDENTITY; i++) {
        if (fds[i] < 0)
            continue;
        close(o->coding == i ? o->fd : fds[i]);
        if (o->coding == i) {
            o->fd = fds[i];
            o->st = sts[i];
        }
    }
}

static error open_file(void *arg)
{
    opening *o = arg;
    const int root = open_root(o);
    if (root < 0)
        return errno == EMFILE || errno == ENFILE
                   ? open_failed(errno, o->root)
                   : error_set_errno(&SYSTEM_FAILED, errno, "directory %s", o->root);
    o->fd = open_below(o, root, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    error e = OK;
    if (o->fd < 0)
        e = open_failed(errno, o->path);
    else if (fstat(o->fd, &o->st) < 0)
        e = error_set_errno(&SYSTEM_FAILED, errno, "file %s", o->path);
    else if (!S_ISREG(o->st.st_mode) && !S_ISDIR(o->st.st_mode))
        e = error_set(&HTTP_NOT_FOUND, "%s is no regular file", o->path);
    else if (S_ISREG(o->st.st_mode) && o->looks_around)
        choose_neighbour(o, root);
    close(root);
    if ((e.kind || o->must_wait) && o->fd >= 0) {
        close(o->fd);
        o->fd = -1;
    }
    return e;
}

static error open_at_once_or_wait(opening *o)
{
    o->at_once = true;
    const error e = open_file(o);
    if (!o->must_wait)
        return e;
    o->at_once = o->must_wait = false;
    o->coding = HTTP_CODING_IDENTITY;
    o->varies = false;
    return offload(open_file, o);
}

/* --- judging ---------------------------------------------------------------------------------- */

static str list_of(const http_request *req, str name)
{
    return http_head_list(&req->conn->arena, &req->head, name);
}

static str make_etag(arena *a, const struct stat *st, bool settled)
{
    const uint64_t identity[] = { (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
                                  (uint64_t)st->st_ino };
    /* Hashed, so that it does not tell what the inode is. */
    const uint64_t hash = str_hash((str){ (const char *)identity, sizeof identity }, ETAG_SEED);
    return str_format(a, "%s\"%016llx-%llx\"", settled ? "" : "W/", (unsigned long long)hash,
                      (unsigned long long)st->st_size);
}

static void take_whole(http_file *f)
{
    f->parts[0] = (http_range){ 0, f->bytes };
    f->part_count = 1;
}

/* Which parts a GET is to get: sets them and the status. */
static error choose_parts(http_request *req, http_file *f, const http_conditions *conditions,
                          const http_validators *v, int64_t now_s, int *status)
{
    take_whole(f);
    *status = 200;
    if (req->head.method != HTTP_GET || f->coding != HTTP_CODING_IDENTITY ||
        !http_if_range_holds(conditions, v, now_s))
        return OK;
    switch (http_range_parse(list_of(req, STR("Range")), f->bytes, f->parts, &f->part_count)) {
    case HTTP_RANGE_WHOLE:
        take_whole(f);
        return OK;
    case HTTP_RANGE_PARTS:
        *status = 206;
        return OK;
    case HTTP_RANGE_BEHIND_END:
        break;
    }
    TRY(http_replace_header(
        req, STR("Content-Range"),
        str_format(&req->conn->arena, "bytes */%llu", (unsigned long long)f->bytes)));
    return error_set(&HTTP_RANGE_UNSATISFIABLE, "of %llu bytes", (unsigned long long)f->bytes);
}

/* What the client gets of the file: RFC 9110, 13.2.2. */
static error judge(http_request *req, http_file *f, const struct stat *st)
{
    const int64_t now_s = clock_wall_s();
    const bool settled = st->st_mtim.tv_sec + SETTLED_S <= now_s;
    /* RFC 9110, 8.8.2.1: a date of the future is none to be told */
    f->modified_s = st->st_mtim.tv_sec < now_s ? st->st_mtim.tv_sec : now_s;
    f->etag = make_etag(&req->conn->arena, st, settled);
    const http_validators v = { f->etag, f->modified_s, settled };
    const http_conditions conditions = {
        .if_match = list_of(req, STR("If-Match")),
        .if_unmodified_since = list_of(req, STR("If-Unmodified-Since")),
        .if_none_match = list_of(req, STR("If-None-Match")),
        .if_modified_since = list_of(req, STR("If-Modified-Since")),
        .if_range = list_of(req, STR("If-Range")),
    };
    const bool reads = req->head.method == HTTP_GET || req->head.method == HTTP_HEAD;
    int status = 304;
    switch (reads ? http_conditions_check(&conditions, &v, now_s) : HTTP_CONDITION_MET) {
    case HTTP_CONDITION_FAILED:
        return error_set(&HTTP_PRECONDITION_FAILED, "the file is %.*s", STR_ARG(f->etag));
    case HTTP_CONDITION_MET:
        TRY(choose_parts(req, f, &conditions, &v, now_s, &status));
        break;
    case HTTP_CONDITION_NOT_MODIFIED:
        break;
    }
    TRY(http_reply_bytes(req, status, f->type, STR("")));
    req->sends_file = true;
    return OK;
}

error http_file_stage(http_request *req, const char *root, str path, bool *is_directory)
{
    arena *a = &req->conn->arena;
    invariant(!req->streaming);
    *is_directory = false;
    if (!is_servable(path))
        return error_set(&HTTP_NOT_FOUND, "path is not servable");
    const http_mime mime = http_mime_of(path);
    opening *o = ARENA_NEW(a, opening);
    o->root = root;
    o->path = arena_alloc(a, path.len + SUFFIX_BYTES_MAX, 1);
    o->path_len = path.len;
    memcpy(o->path, path.ptr, path.len);
    o->path[path.len] = '\0';
    o->fd = -1;
    o->coding = HTTP_CODING_IDENTITY;
    o->looks_around = mime.compressible;
    o->accepted = http_accept_encoding(list_of(req, STR("Accept-Encoding")));
    const bool ranges = req->head.method == HTTP_GET && http_header(req, STR("Range")).ptr &&
                        o->accepted.quality[HTTP_CODING_IDENTITY] > 0;
    o->codings = ranges ? 0 : UINT32_MAX;
    http_file *f = ARENA_NEW(a, http_file);
    TRY(open_at_once_or_wait(o));
    http_file_close(&req->file);
    TRY(stream_file_new(o->fd, &f->source));
    req->file = f; /* the request's from here on */
    f->is_directory = S_ISDIR(o->st.st_mode);
    *is_directory = f->is_directory;
    if (f->is_directory)
        return OK;
    f->bytes = (uint64_t)o->st.st_size;
    f->type = mime.type;
    f->coding = o->coding;
    f->varies = o->varies;
    return judge(req, f, &o->st);
}

error http_reply_file(http_request *req, const char *root, str path)
{
    bool is_directory;
    TRY(http_file_stage(req, root, path, &is_directory));
    return is_directory ? error_set(&HTTP_NOT_FOUND, "it is a directory") : OK;
}
