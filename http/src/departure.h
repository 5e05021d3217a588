/* Finds out that a client has left while its request is handled, for routes that want to know. */
#ifndef HTTP_SRC_DEPARTURE_H
#define HTTP_SRC_DEPARTURE_H

#include "conn.h"

/* The request's route is known, its body has been read, or its client has ended its side: if the
 * client may have left, that will be found out in a moment. */
void http_departure_consider(http_request *req);
/* Whether its handler ends with the connection, which has closed. */
bool http_departure_ends(const http_request *req);
/* The moment is over. */
void http_departure_probe(http_request *req);

#endif
