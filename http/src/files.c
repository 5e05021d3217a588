/* A directory under a prefix. Paths with a slash behind are directories, of which index.html is
 * shown; nothing is ever listed.
 *
 * The root is looked up with each request, so a deployment may replace it, or a link that stands
 * for it, in one rename; what lies below is opened as file.c says. That there is one at the start
 * is checked then.
 *
 * Redirects to the trailing slash are relative to the path's last segment: "./docs/". So they hold
 * behind a proxy that cuts a prefix off, and no path makes them lead to another host. */
#include "files.h"

#include "conn.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

error http_files_check(const http_route *route, const char *pattern)
{
    if (!route->files || route->files[0] == '\0' || route->method != HTTP_GET)
        return error_set(&HTTP_ROUTES_INVALID, "route %s: http_files is for GET and a directory",
                         pattern);
    const int fd = open(route->files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(&HTTP_ROUTES_INVALID, errno, "route GET %s: directory %s", pattern,
                               route->files);
    close(fd);
    return OK;
}

/* From ".../docs?a=1" to ".../docs/?a=1". */
static error redirect_to_slash(http_request *req)
{
    const str path = req->target.path, query = req->target.query;
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    const str segment = str_slice(path, at, path.len);
    const str to = str_format(&req->conn->arena, "./%.*s/%s%.*s", STR_ARG(segment),
                              query.ptr ? "?" : "", STR_ARG(query));
    return http_redirect(req, 301, to);
}

error http_files(http_request *req)
{
    const http_route *route = req->match.route;
    const char *star = strrchr(req->match.pattern, '*');
    bool is_directory;
    if (!star)
        return redirect_to_slash(req);
    str path = http_path_text(req, star + 1);
    const bool slash = path.len == 0 || path.ptr[path.len - 1] == '/';
    if (slash)
        path = str_format(&req->conn->arena, "%.*sindex.html", STR_ARG(path));
    TRY(http_file_stage(req, route->files, path, &is_directory));
    if (!is_directory)
        return OK;
    return slash ? error_set(&HTTP_NOT_FOUND, "index.html is a directory") : redirect_to_slash(req);
}
