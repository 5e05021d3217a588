/* The parts of a backend's work. */
#ifndef TESTS_UNIT_PG_WALK_WORK_H
#define TESTS_UNIT_PG_WALK_WORK_H

#include "walk_server.h"

/* A request has ended so; with an error, after which the rest of its group is passed over. */
void walk_request_done(walk_backend *b, uint64_t id, walk_verdict verdict);
void walk_request_failed(walk_backend *b, uint64_t id, const char *state);
void walk_request_ready(walk_backend *b, walk_request *r);
/* Says a CommandComplete, a message without a body. */
void walk_say_tag(walk_backend *b, const char *tag);
void walk_say_empty(walk_backend *b, char type);

/* A Query; what comes for a COPY; its end, or a script's, with an error. */
void walk_work_query(walk_backend *b, const walk_message *m);
void walk_work_copy(walk_backend *b, const walk_message *m);
void walk_simple_failed(walk_backend *b, uint64_t id, const char *state);

#endif
