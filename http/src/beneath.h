/* Opening what lies below a directory, and nothing else. */
#ifndef HTTP_SRC_BENEATH_H
#define HTTP_SRC_BENEATH_H

/* Opens `path` below the directory `root`. No component may be a symbolic link, "." or "..".
 *   flags    of open; O_CLOEXEC is added
 *   returns  a descriptor, or -1 with errno */
int http_beneath_open(int root, const char *path, int flags);

#endif
