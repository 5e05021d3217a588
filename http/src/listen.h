/* Where a server listens: the addresses of its configuration, and the sockets bound to them. */
#ifndef HTTP_SRC_LISTEN_H
#define HTTP_SRC_LISTEN_H

#include "conn.h"

#define HTTP_ADDRESSES_MAX 16

typedef struct http_address {
    str text; /* as it was configured */
    address at;
    bool proxy; /* connections begin with a PROXY header, */
    bool tls;   /* and then with TLS */
    bool probe; /* for probes */
    bool is_unix;
    int mode; /* of a Unix socket's file; -1: what the umask leaves */
} http_address;

typedef struct http_socket {
    int fd;
    uint32_t address; /* of which it is */
    uint32_t turn;    /* the how many-th of that address */
} http_socket;

typedef struct http_listening {
    http_address addresses[HTTP_ADDRESSES_MAX];
    uint32_t address_count;
    http_socket *sockets;
    uint32_t socket_count;
    uint32_t socket_max;
} http_listening;

/* Reads LISTEN, or HOST and PORT where it is not set; texts live in `a`.
 *   fails  CONFIG_INVALID, naming what is wrong */
error http_listening_parse(arena *a, const http_settings *settings, http_listening *out);
/* Where a socket listens, as LISTEN would have it: with the port that was chosen. In `a`. */
str http_socket_text(arena *a, const http_listening *l, const http_socket *s);
/* Makes room for the sockets of `workers` and `inherited` more. */
error http_listening_open(http_listening *l, uint32_t workers, uint32_t inherited);
/* Takes over a socket that a predecessor bound for the address of that text; false, and closed,
 * when there is no such address any more. */
bool http_listening_adopt(http_listening *l, int fd, str text);
/* Removes what such an address leaves: the file of a Unix socket. */
void http_listening_forget(str text);
/* Binds what the workers need and is not there yet.
 *   fails  SYSTEM_FAILED, naming the address */
error http_listening_bind(http_listening *l, const http_settings *settings, uint32_t workers);
/* Tries what http_listening_bind would bind on new addresses, and leaves nothing behind.
 *   fails  SYSTEM_FAILED, naming the address */
error http_listening_rehearse(const http_listening *l);
/* Whether a socket is one that the worker at `place` of `workers` accepts from. Those of TCP are
 * dealt out, so that each has one worker; one of a Unix address is shared by all. */
bool http_socket_is_of(const http_listening *l, const http_socket *s, uint32_t place,
                       uint32_t workers);
void http_listening_close(http_listening *l);
/* Removes the files of Unix sockets that nobody listens on any more. */
void http_listening_unlink(const http_listening *l);

#endif
