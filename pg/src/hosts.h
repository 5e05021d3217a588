/* The servers that a connection string names, each with its port and the password for it. */
#ifndef PG_SRC_HOSTS_H
#define PG_SRC_HOSTS_H

#include "conninfo.h"

/* Fills `out->hosts` from the lists host, hostaddr and port, and their passwords from the parameter
 * or the password file; `out` has user and database already.
 *   fails  PG_CONNINFO_INVALID: lists of different lengths, more than PG_HOSTS_MAX hosts, an
 *          address or a port that is none, a path too long; OUT_OF_MEMORY
 *   owns   they live in `a` */
error pg_hosts_read(const pg_parameters *p, arena *a, pg_conninfo *out);

#endif
