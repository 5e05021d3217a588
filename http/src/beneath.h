/* Opening what lies below a directory, and nothing else. */
#ifndef HTTP_SRC_BENEATH_H
#define HTTP_SRC_BENEATH_H

/* Opens `path` below the directory `root`. No component may be a symbolic link, "." or "..".
 *   flags    of open; O_CLOEXEC is added
 *   returns  a descriptor, or -1 with errno */
int http_beneath_open(int root, const char *path, int flags);
/* Opens the directory itself, to open below; links that lead to it are followed. */
int http_beneath_root(const char *path);
/* As these, without waiting for a disk: EAGAIN when that might be needed, or the kernel cannot tell
 * (before Linux 5.12). */
int http_beneath_try_open(int root, const char *path, int flags);
int http_beneath_try_root(const char *path);

#endif
